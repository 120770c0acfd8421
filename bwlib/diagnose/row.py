"""How a row of the table of causes is written; the rows themselves are in `rules_bandwidth`, `rules_pbx`, `rules_call`.

A row says what must have been seen (`when`, every entry of it), how sure that makes it (`kind`), and what else it
explains (`explains`): a failing call that something read explains needs no second cause.

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

# Of a call of before whose messages nobody of ours saw: Bandwidth's word for how it ended, other than by hanging up
# (dev.bandwidth.com/docs/voice/webhooks/disconnect, read 2026-11-27).
NOT_TAKEN, CALLBACK_ENDED = ("timeout", "rejected", "busy"), ("callback-error", "invalid-bxml", "application-error")
ENDED_BADLY = (*NOT_TAKEN, *CALLBACK_ENDED, "account-limit", "node-capacity-exceeded", "error")
# What a cause on the way out of the PBX leads to, and one on the way in.
OUT: Where = {"outward.trunk": FAILED}
IN: Where = {"inward.pbx": FAILED, "inward.phone": ("did-not-ring",), "call.ended": NOT_TAKEN}
OUT_REFUSED: Where = {"outward.trunk": REFUSED}
# The realm says something, and does not let the call through: what cannot make it, or the way to it, silent.
OUT_TURNED_AWAY: Where = {"outward.trunk": (*REFUSED, *HELD, ladder.NOT_RETRIED)}
IN_TURNED_AWAY: Where = {**IN, "inward.pbx": (*REFUSED, *HELD, ladder.NOT_RETRIED)}
# A PBX that cannot send answers its phone 503 or 404 itself, as if it had been refused.
OUT_NOT_SENT: Where = {"outward.trunk": (*NOT_SENT, ladder.UNANSWERED, ladder.REFUSED_SOMEWHERE)}
PHONE: Where = {"phone.register": ("refused",), **OUT_NOT_SENT}
OUT_TALK: Where = {f"outward.{what}": NOT_HEARD for what in ("heard", "spoken", "digits")}
TALK: Where = {**OUT_TALK, **{f"inward.{what}": NOT_HEARD for what in ("heard", "spoken", "digits")}}
NOT_MADE = ("refused", "rate-limited", "no-answer")
ACCOUNT_FAILS: Where = {"inward.create": NOT_MADE, "inward.phone": ("did-not-ring",)}


@dataclass(frozen=True)
class Rule:
    """One row. step: the step whose Apply mends it, "" where Apply cannot. bullet: its heading in notebook 50."""

    name: str
    cause: str
    kind: Kind
    when: Where
    fix: str
    bullet: Bullet
    explains: Where = field(default_factory=dict)
    step: str = ""
    next_probe: str = ""


def read(
    name: str, cause: str, when: Where, fix: str, bullet: Bullet, explains: Where | None = None, step: str = ""
) -> Rule:
    return Rule(name, cause, "read", when, fix, bullet, explains or {}, step)


def seen(name: str, cause: str, when: Where, fix: str, bullet: Bullet, next_probe: str = "") -> Rule:
    return Rule(name, cause, "seen", when, fix, bullet, next_probe=next_probe)


def fits(name: str, cause: str, when: Where, fix: str, bullet: Bullet, next_probe: str) -> Rule:
    return Rule(name, cause, "fits", when, fix, bullet, next_probe=next_probe)


NB10, NB20, NB30 = "notebook 10_application", "notebook 20_sip_credentials", "notebook 30_pbx"

#: name -> the values that say that something failed: what wants a cause.
SYMPTOMS: Where = {
    "outward.trunk": FAILED,
    "inward.pbx": FAILED,
    "inward.phone": ("did-not-ring",),
    "inward.create": NOT_MADE,
    "phone.register": ("refused", "silent"),
    "outward.webhook": ("none", "refused"),
    "inward.webhook": ("none",),
    "outward.caller": ("differs",),
    "call.ended": ENDED_BADLY,
    **TALK,
}
