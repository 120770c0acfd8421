"""How a row of the table of causes is written; the rows themselves are in `rules_bandwidth`, `rules_pbx`, `rules_call`.

A row says what must have been seen (`when`, every entry of it), how sure that makes it (`kind`), and what else it
explains (`explains`): a failing call that something read explains needs no second cause.

Its first entry is what is wrong; the others say when that counts, and with which other rows it must not be confused.

kind "read": the wrong thing itself was read. "seen": only its effect was seen, and nothing else in this table has that
effect. "fits": its effect was seen, and other rows have the same one; then `next_probe` says how to tell them apart.

No row looks at which code the realm refused with: Bandwidth does not publish which it gives for what. What counts is
when it refused. Sources: dev.bandwidth.com/docs/account/sipRegistrar, /docs/voice/webhooks, support.bandwidth.com on
failed calls (read 2026-11-23); the signatures were recorded on Asterisk 22.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bwlib.diagnose import ladder

Kind = Literal["read", "seen", "fits"]
# The guide's four bullets, and what lies before them.
Bullet = Literal["no callbacks", "caller id", "urls", "firewall"]
Where = Mapping[str, tuple[str, ...]]

REFUSED = (ladder.REFUSED_AFTER, ladder.REFUSED_BEFORE, ladder.REFUSED_SOMEWHERE)
NOT_SENT = (ladder.NO_INVITE, ladder.SILENT)
HELD = (ladder.TRYING, ladder.REFUSED_AFTER_TRYING, ladder.UNANSWERED)
UNANSWERED = (*NOT_SENT, *HELD)
FAILED = (*REFUSED, *UNANSWERED, ladder.NOT_RETRIED)
NOT_HEARD = ("no", "lossy")

# How Bandwidth says that a call ended when it was no ordinary end (dev.bandwidth.com/docs/voice, disconnect causes, an
# open list; read 2026-11-23).
CALLBACK_FAILED = ("callback-error", "invalid-bxml", "application-error")
NO_ROOM = ("account-limit", "node-capacity-exceeded")
ENDED_BADLY = ("rejected", "timeout", "busy", "error", *CALLBACK_FAILED, *NO_ROOM)

# What a cause on the way out of the PBX leads to, and one on the way in.
OUT: Where = {"outward.trunk": FAILED}
IN: Where = {"inward.pbx": FAILED, "inward.phone": ("did-not-ring",), "call.cause": ("rejected", "timeout")}
OUT_REFUSED: Where = {"outward.trunk": REFUSED}
# The realm says something, and does not let the call through: what cannot make it, or the way to it, silent.
OUT_TURNED_AWAY: Where = {"outward.trunk": (*REFUSED, *HELD, ladder.NOT_RETRIED)}
IN_TURNED_AWAY: Where = {**IN, "inward.pbx": (*REFUSED, *HELD, ladder.NOT_RETRIED)}
# A PBX that cannot send answers its phone 503 or 404 itself, as if it had been refused.
OUT_NOT_SENT: Where = {"outward.trunk": (*NOT_SENT, ladder.UNANSWERED, ladder.REFUSED_SOMEWHERE)}
PHONE: Where = {"phone.register": ("refused",), **OUT_NOT_SENT}
OUT_TALK: Where = {"outward.heard": NOT_HEARD, "outward.spoken": NOT_HEARD, "outward.digits": ("no",)}
TALK: Where = {**OUT_TALK, "inward.heard": NOT_HEARD, "inward.spoken": NOT_HEARD, "inward.digits": ("no",)}
NOT_MADE = ("refused", "rate-limited", "no-answer")
ACCOUNT_FAILS: Where = {"inward.create": NOT_MADE, "inward.phone": ("did-not-ring",)}


@dataclass(frozen=True)
class Rule:
    """One row. step: the step whose Apply mends it, "" where Apply cannot. bullet: its heading in notebook 50. covers:
    rows that would say the same once more, in parts."""

    name: str
    cause: str
    kind: Kind
    when: Where
    fix: str
    bullet: Bullet
    explains: Where = field(default_factory=dict)
    step: str = ""
    next_probe: str = ""
    covers: tuple[str, ...] = ()


def read(
    name: str, cause: str, when: Where, fix: str, bullet: Bullet, explains: Where | None = None, step: str = "",
    covers: tuple[str, ...] = (),
) -> Rule:  # fmt: skip
    return Rule(name, cause, "read", when, fix, bullet, explains or {}, step, covers=covers)


def seen(name: str, cause: str, when: Where, fix: str, bullet: Bullet, next_probe: str = "") -> Rule:
    return Rule(name, cause, "seen", when, fix, bullet, next_probe=next_probe)


def fits(name: str, cause: str, when: Where, fix: str, bullet: Bullet, next_probe: str) -> Rule:
    return Rule(name, cause, "fits", when, fix, bullet, next_probe=next_probe)


NB10, NB20, NB30 = "notebook 10_application", "notebook 20_sip_credentials", "notebook 30_pbx"

#: name -> the values that say that something failed: what wants a cause.
SYMPTOMS: Where = {
    "outward.trunk": FAILED,
    "outward.phone": ("not-answered",),
    "inward.pbx": FAILED,
    "inward.phone": ("did-not-ring",),
    "inward.create": NOT_MADE,
    "phone.register": ("refused", "silent"),
    "outward.webhook": ("none", "refused"),
    "inward.webhook": ("none",),
    "outward.caller": ("differs",),
    "outward.number": ("differs",),
    "outward.cut": ("yes",),
    "inward.cut": ("yes",),
    **TALK,
    "call.cause": ENDED_BADLY,
}
