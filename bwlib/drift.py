"""Drift: is what a record says still so? Re-reads Bandwidth and the PBX, compares field by field, writes to neither.

Each recorded fact is still so, changed (from what to what), gone, or unknown (and why). What failed to answer is
unknown, never gone. What comes of it is a small record of its own, which cites the one that was checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from bwlib.bandwidth.wire import hash1
from bwlib.errors import BwlibError, NotAsExpected, RecordError, SettingsError
from bwlib.guide import Run
from bwlib.look import KINDS, NAMED_BY, NOT_SET, changes, look, named
from bwlib.looking import failure_sealed, seal_look
from bwlib.models import Difference, SipCredential, Trunk
from bwlib.record.cited import citation, is_sealed, refuse_tampered
from bwlib.record.journal import read_lines
from bwlib.record.redact import Redactor
from bwlib.record.run_record import hold, start_run
from bwlib.run import operator, run_on
from bwlib.settings import Settings
from bwlib.steps.pbx import check_no_registration
from bwlib.wanted import learn_ha1
from bwlib.widgets.show import object_facts

# What a run sets up, in the guide's order.
FACTS = ("application", "realm", "sip_credential", "inbound_sip_uri", "trunk", "route", "extension", "no_registration")
# Fields that are in a record and claim nothing: other people's credentials in a realm come and go. A realm's status is
# a claim: the step passed only because it was ACTIVE.
NO_CLAIM: Mapping[str, frozenset[str]] = {"realm": frozenset({"credential_count"})}
# The words of a fact, with the status that each has in the journal.
Word = Literal["still so", "changed", "gone", "unknown"]
STATUS: Mapping[Word, str] = {"still so": "passed", "changed": "failed", "gone": "failed", "unknown": "skipped"}
SECRET_FIELDS = ("password", "secret")
_DIFFERS = "differs from the reference"

Tell = Callable[[Mapping[str, Any]], None]
"""Told the journal line of each fact, in order."""


@dataclass(frozen=True)
class Seen:
    """One recorded fact, looked at again.

    differences: `found` is now, `wanted` was recorded. reason: why it is unknown, wholly or in its secret. found: the
    thing as it is. exit_code: of the error that kept us from looking, None when we could look.
    """

    step: str
    title: str
    word: Word
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    found: Any = None
    exit_code: int | None = None


@dataclass(frozen=True)
class Checked:
    """What a look at a whole record came to, and the folder of the record that says so."""

    folder: Path
    facts: tuple[Seen, ...]
    why_not_sealed: str = ""

    @property
    def word(self) -> Word:
        """The worst of its facts: changed, then still so, and unknown only when nothing could be looked at."""
        if any(STATUS[seen.word] == "failed" for seen in self.facts):
            return "changed"
        return "still so" if any(seen.exit_code is None for seen in self.facts) else "unknown"

    def counts(self) -> dict[str, int]:
        """How many facts have each word; words that none has are left out."""
        return {word: number for word in STATUS if (number := sum(seen.word == word for seen in self.facts))}

    @property
    def exit_code(self) -> int:
        """9 for drift, 0 when nothing that could be looked at has drifted, else the code of what was in the way."""
        if self.word == "unknown":
            return next((seen.exit_code for seen in self.facts if seen.exit_code), 1)
        return RecordError.exit_code if self.word == "changed" or self.why_not_sealed else 0


def check_record(folder: Path, settings: Settings, tell: Tell) -> Checked:
    """Look again at all that the record in `folder` says was set up; the outcome is a sealed record of its own.

    Raises: RecordError, before anything is looked at, when the record is not what it was; SettingsError when it is of
    another site, account or PBX than the site file, or when it holds no fact; what a look cannot do without, such as
    SecretUnavailable for the account's own credential.
    """
    refuse_tampered(folder)
    facts = facts_of(folder)
    _refuse_other_site(folder, settings)
    about = {"target": settings.target, "operator": operator(), "command": "drift", "cites": citation(folder)}
    record = start_run(settings.runs_dir, Redactor(), site=settings.name, site_file=str(settings.path), **about)
    with hold(record):
        with failure_sealed(record, settings, about, "drift"):
            run = run_on(settings, record, notebook="drift", mode="plan")
            _refuse_elsewhere(run, folder, facts)
            seen = look_again(run, facts, tell)
        return Checked(record.folder, tuple(seen), seal_look(record, settings, about))


def facts_of(folder: Path) -> dict[str, dict[str, Any]]:
    """By step: the last journal line that says a thing is set up; what the same run took back is left out.

    Raises: SettingsError when there is none.
    """
    facts: dict[str, dict[str, Any]] = {}
    for line in read_lines(folder / "journal.jsonl"):
        if line["kind"] != "step" or line.get("status") != "passed":
            continue
        step = str(line["step"])
        if step in FACTS and isinstance(line.get("object"), dict):
            facts[step] = line
        elif step.startswith("undo ") and line.get("action") in ("removed", "unchanged"):
            facts.pop(step.removeprefix("undo "), None)
    if not set(facts) & set(NAMED_BY):
        raise SettingsError(
            f"look again at {folder}",
            "the record says of nothing that it was set up",
            "name the record of a run that went through notebook 10 or further",
        )
    return facts


def look_again(run: Run, facts: Mapping[str, Mapping[str, Any]], tell: Tell) -> list[Seen]:
    """Look at each fact in the guide's order, write down what is found, tell it."""
    seen: dict[str, Seen] = {}
    for step in FACTS:
        if step in facts:
            started, before = time.monotonic(), len(run.on.recorder.ids)
            run.record.journal.append("step", step=f"drift {step}", notebook="drift", status="running")
            seen[step] = _without_consequences(_look_at(run, step, facts), seen)
            told = {"elapsed_s": round(time.monotonic() - started, 3), "exchanges": run.on.recorder.ids[before:]}
            tell(_write(run, seen[step], facts[step], told))
    return list(seen.values())


def in_words(row: Mapping[str, str]) -> str:
    """A difference as a journal line holds it, for people."""
    if row["field"] in SECRET_FIELDS:
        return f"{row['field']} {row['found']} {row['wanted']}"
    return f"{row['field']}: was {row['wanted']}, is {row['found']}"


# ---------------------------------------------------------------- one fact


def _look_at(run: Run, step: str, facts: Mapping[str, Mapping[str, Any]]) -> Seen:
    recorded = facts[step]["object"]
    title = f"{facts[step].get('title', step)} {recorded.get(NAMED_BY.get(step, ''), '')}".rstrip()
    try:
        if step == "no_registration":
            return _registration(run, title, facts)
        found = look(run, step, recorded)
    except BwlibError as error:
        return Seen(step, title, "unknown", reason=error.came_back, exit_code=error.exit_code)
    if found is None:
        return Seen(step, title, "gone")
    rows = [row for row in changes(run, recorded, found) if row.field not in _no_claim(step, facts)]
    differs, reason = _secret(run, step, found, facts)
    rows += differs
    word: Word = "changed" if rows else "unknown" if reason else "still so"
    return Seen(step, title, word, tuple(rows), reason, found)


def _no_claim(step: str, facts: Mapping[str, Any]) -> frozenset[str]:
    """A trunk's `registration` is left to the fact that is about it, where the record has that one."""
    own = frozenset({"registration"}) if step == "trunk" and "no_registration" in facts else frozenset()
    return NO_CLAIM.get(step, frozenset()) | own


def _registration(run: Run, title: str, facts: Mapping[str, Mapping[str, Any]]) -> Seen:
    """Whether the PBX still does not register at the trunk's server, as it was checked when it was recorded."""
    recorded = facts.get("trunk", {}).get("object", {})
    name, server = (named("trunk", recorded, field) for field in ("name", "server"))
    try:
        check_no_registration(run.on.pbx(), Trunk(name, server, "", SecretStr(""), "", ""))
    except NotAsExpected as error:
        row = Difference("outbound registrations", str(run.record.redactor.value(error.came_back)), "none")
        return Seen("no_registration", title, "changed", (row,))
    return Seen("no_registration", title, "still so")


def _secret(run: Run, step: str, found: Any, facts: Mapping[str, Any]) -> tuple[list[Difference], str]:
    """The live secret against the site's reference, resolved now: the difference in words, or why nobody can say."""
    reference = _reference(run, step, facts)
    if not reference:
        return [], ""
    field = "secret" if step == "extension" else "password"
    try:
        secret = run.secret(reference)
    except BwlibError as error:
        return [], f"its {field} cannot be compared: {reference}: {error.came_back}"
    if isinstance(found, SipCredential):
        learn_ha1(run, found.realm_fqdn, found.username, secret)
        wanted = hash1(found.username, found.realm_fqdn, secret)
        same = found.ha1.get_secret_value().lower() == wanted.get_secret_value()
    else:
        live: SecretStr = getattr(found, field)
        run.record.redactor.learn(f"{step} {field} on the PBX", live.get_secret_value())
        same = live.get_secret_value() == secret.get_secret_value()
    return ([] if same else [Difference(field, _DIFFERS, reference)]), ""


def _reference(run: Run, step: str, facts: Mapping[str, Any]) -> str:
    """Where the site file says that this thing's secret is. A trunk's depends on the road that it was made for."""
    if step == "extension":
        return run.settings.pbx.extension_secret
    if step == "trunk":
        uri = facts.get("inbound_sip_uri", {}).get("object", {}).get("uri", "")
        by_uri = bool(uri) and f"@{facts['trunk']['object'].get('server')}" in uri
        return run.settings.sip_uri.password if by_uri else run.settings.sip_credential.password
    return run.settings.sip_credential.password if step == "sip_credential" else ""


def _without_consequences(seen: Seen, others: Mapping[str, Seen]) -> Seen:
    """A credential that lost its binding because its application is gone has not changed by itself."""
    application = others.get("application")
    if seen.step != "sip_credential" or application is None or application.word != "gone":
        return seen
    rows = tuple(row for row in seen.differences if (row.field, row.found) != ("application_id", NOT_SET))
    word: Word = "still so" if seen.word == "changed" and not rows else seen.word
    return Seen(seen.step, seen.title, word, rows, seen.reason, seen.found, seen.exit_code)


def _write(run: Run, seen: Seen, line: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    rows = [vars(row) for row in seen.differences]
    facts: dict[str, Any] = {"pbx": line["pbx"]} if line.get("pbx") else {}
    if STATUS[seen.word] == "failed":
        facts |= {
            "error": "NotAsExpected",
            "exit_code": NotAsExpected.exit_code,
            "attempted": f"check that it is still as recorded: {seen.title}",
            "came_back": "; ".join(map(in_words, rows)) or "it is gone",
            "do_next": "find out who changed it; bw-runbook run sets up again what the site file says",
        }
    return run.record.journal.append(
        "step",
        step=f"drift {seen.step}",
        notebook="drift",
        status=STATUS[seen.word],
        action=seen.word,
        title=seen.title,
        note=seen.reason,
        object=object_facts(seen.found),
        recorded=line["object"],
        differences=rows,
        account=run.on.account_id,
        **facts,
        **told,
    )


# ---------------------------------------------------------------- the same site, account and PBX


def _refuse_other_site(folder: Path, settings: Settings) -> None:
    first = next(read_lines(folder / "journal.jsonl"), {})
    for what, here in (("site", settings.name), ("target", settings.target)):
        if first.get(what) not in (None, here):
            raise _elsewhere(folder, f"it is of the {what} {first[what]}, and {settings.path} says {here}")


def _refuse_elsewhere(run: Run, folder: Path, facts: Mapping[str, Mapping[str, Any]]) -> None:
    accounts = {str(line["account"]) for line in facts.values() if line.get("account")} - {run.on.account_id}
    if accounts:
        raise _elsewhere(
            folder, f"it is of account {accounts.pop()}, and the site file leads to account {run.on.account_id}"
        )
    recorded = next((line["pbx"] for step, line in facts.items() if step in KINDS and line.get("pbx")), None)
    if recorded is None:
        return
    try:
        here = dict(run.on.pbx().identity())
    except BwlibError:
        return  # each fact on the PBX says so of itself
    if here != recorded:
        raise _elsewhere(folder, f"it is of the PBX {_place(recorded)}, and the site file leads to {_place(here)}")


def _place(pbx: Mapping[str, str]) -> str:
    return " at ".join(filter(None, (pbx.get("config_dir"), pbx.get("ami_host"))))


def _elsewhere(folder: Path, came_back: str) -> SettingsError:
    return SettingsError(
        f"look again at {folder}", came_back, "name the site file that the record was made with: --site SITE.toml"
    )


# ---------------------------------------------------------------- its own record


def still_open(folder: Path) -> str:
    """A warning for people when a record is not sealed yet, else ""."""
    return "" if is_sealed(folder) else "the record is not sealed: nothing proves that it is what the run wrote"
