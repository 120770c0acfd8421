"""What is at Bandwidth: tokens and rights, application, realm, credential, SIP URI. GETs only.

A GET that succeeds does not prove that the account may create SIP credentials: only a create can, and a look makes
none. So a refusal that this site's own runs met is read from their records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from bwlib.bandwidth.wire import hash1
from bwlib.diagnose.facts import UNKNOWN, Fact
from bwlib.diagnose.scene import Scene
from bwlib.errors import BandwidthError, BwlibError, NotAuthenticated, NotEntitled, Refused, Unavailable
from bwlib.models import Application, Exchange, Realm, SipCredential
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders
from bwlib.steps.application import FIELDS
from bwlib.steps.compare import differences, is_absent

T = TypeVar("T")
SOURCE = "Bandwidth"
# More than this and tokens, certificates and time stamps begin to fail in ways that look like something else.
CLOCK_LIMIT_S = 60
LATELY_S = 60
# The account may not use SIP credentials (github.com/Bandwidth/api-docs numbers errors.mdx, read 2026-11-23).
NOT_ENABLED = ("33004", "23013", "12150")
_TRIED = ("application", "realm", "sip_credential")


def probe(scene: Scene) -> list[Fact]:
    """Read all of it, in the order in which one thing needs the other."""
    facts: list[Fact] = []
    applications = _answer(facts, "applications", scene.run.on.client.list_applications)
    if applications is None:  # the other reads would fail alike, each after its own retries
        return [*facts, *_clock(scene), *_refused_before(scene)]
    facts += _application(scene, applications)
    if scene.run.settings.road == "realm":
        facts += _realm(scene)
        facts += _credential(scene)
    else:
        facts += _sip_uri(scene)
    return [*facts, *_clock(scene), *_refused_before(scene)]


def _answer(facts: list[Fact], what: str, ask: Callable[[], T]) -> T | None:
    """Ask, and say how the account took it; None when there was no usable answer."""
    name = f"account.{what}"
    try:
        answer = ask()
    except BandwidthError as error:
        facts.append(Fact(name, _word(error), f"{error.attempted}: {error.came_back}", SOURCE))
        return None
    facts.append(Fact(name, "ok", f"the account's {what} can be read", SOURCE))
    return answer


def _word(error: BandwidthError) -> str:
    if isinstance(error, NotAuthenticated):
        return "no-token" if error.attempted.startswith("get an access token") else "token-refused"
    if isinstance(error, NotEntitled):
        return "not-entitled"
    if isinstance(error, Unavailable):
        return "rate-limited" if error.status == 429 else "no-answer" if error.status is None else "broken"
    return "absent" if isinstance(error, Refused) and error.status == 404 else "refused"


# ---------------------------------------------------------------- the objects


def _application(scene: Scene, there: Iterable[Application]) -> list[Fact]:
    wanted = scene.run.on.application
    named = [one for one in there if one.name == wanted.name]
    voice = [one for one in named if one.service_type == wanted.service_type]
    if not voice:
        other = f" (there is one of type {named[0].service_type})" if named else ""
        word = "other-type" if named else "absent"
        return [Fact("application", word, f'no Voice application "{wanted.name}" in the account{other}', SOURCE)]
    if len(voice) > 1:
        return [Fact("application", "twice", f'{len(voice)} Voice applications are named "{wanted.name}"', SOURCE)]
    facts = [Fact("application", "found", f'application "{wanted.name}" is {voice[0].id}', SOURCE)]
    # a list may leave fields out
    found = _answer(facts, "application", lambda: scene.run.on.client.get_application(voice[0].id))
    if found is None:
        return facts
    scene.account.application = found
    rows = {row.field: row for row in differences(found, wanted, FIELDS)}
    for field in FIELDS:
        row = rows.get(field)
        says = f"{field} is {row.found}, wanted {row.wanted}" if row else f"{field} is as wanted"
        facts.append(Fact(f"application.{field}", "differs" if row else "as-wanted", says, SOURCE))
    return facts


def _realm(scene: Scene) -> list[Fact]:
    from bwlib.steps.realm import realm_of

    facts: list[Fact] = []
    name, there = scene.run.settings.realm.name, _answer(facts, "realms", scene.run.on.client.list_realms)
    if there is None:
        return facts
    found = realm_of(name, there)
    if found is None:
        others = ", ".join(realm.fqdn for realm in there) or "none at all"
        says = f'there is no realm "{name}"; realms of the account: {others}'
        return [*facts, Fact("realm", "absent", says, SOURCE)]
    scene.account.realm = found
    return [*facts, Fact("realm", found.status, f"realm {found.fqdn} is {found.status}", SOURCE)]


def _credential(scene: Scene) -> list[Fact]:
    from bwlib.steps.sip_credential import find_sip_credential

    realm, username = scene.account.realm, scene.run.settings.sip_credential.username
    if realm is None:
        return []
    facts: list[Fact] = []
    found = _answer(facts, "credentials", lambda: find_sip_credential(scene.run.on.client, realm, username))
    if found is None:
        read = facts[0].value == "ok"
        facts += [Fact("credential", "absent", f"there is no SIP credential {username} in the realm", SOURCE)] * read
        return facts
    scene.account.credential = found
    for name, hashed in (("HA1", found.ha1), ("HA1b", found.ha1b)):
        scene.run.record.redactor.learn(name, hashed.get_secret_value())
    same_case = found.username == username
    return [
        *facts,
        Fact("credential", "found", f"SIP credential {found.username} is in {realm.fqdn}", SOURCE),
        Fact(
            "credential.username",
            "as-wanted" if same_case else "other-case",
            f"its user name is {found.username}" + ("" if same_case else f", the site file says {username}"),
            SOURCE,
        ),
        _bound_to(scene, found),
        _password(scene, realm, found),
    ]


def _bound_to(scene: Scene, found: SipCredential) -> Fact:
    name, application = "credential.application", scene.account.application
    if found.application_id is None:
        return Fact(name, "none", f"SIP credential {found.username} is bound to no application", SOURCE)
    if application is not None and found.application_id == application.id:
        return Fact(name, "as-wanted", f"it is bound to {application.name}", SOURCE)
    try:
        other = scene.run.on.client.get_application(found.application_id)
    except BandwidthError as error:
        says = f"SIP credential {found.username} is bound to {found.application_id}"
        if isinstance(error, Refused) and is_absent(error):
            return Fact(name, "gone", f"{says}, which does not exist (any more)", SOURCE)
        return Fact(name, UNKNOWN, f"{says}, which cannot be read: {error.came_back}", SOURCE)
    if application is None and other.name == scene.run.on.application.name:  # it was found, but not read, or twice
        return Fact(name, "as-wanted", f"it is bound to an application named {other.name}", SOURCE)
    says = f'SIP credential {found.username} is bound to another application: "{other.name}" ({other.id})'
    return Fact(name, "other", says, SOURCE)


def _password(scene: Scene, realm: Realm, found: SipCredential) -> Fact:
    password, name = scene.password(), "credential.password"
    if password is None:
        return Fact(name, UNKNOWN, "the site's secret reference gives no password now: not compared", "site file")
    if not found.ha1.get_secret_value():
        return Fact(name, UNKNOWN, "Bandwidth's answer has no Hash1 to compare with", SOURCE)
    fits = hash1(found.username, realm.fqdn, password).get_secret_value() == found.ha1.get_secret_value().lower()
    says = "HA1 of the site's password and Hash1 at Bandwidth are " + ("the same" if fits else "not the same")
    return Fact(name, "as-wanted" if fits else "differs", says, SOURCE)


def _sip_uri(scene: Scene) -> list[Fact]:
    from bwlib.wanted import found_sip_uri

    facts: list[Fact] = []
    if scene.account.application is None:
        return facts
    found = _answer(facts, "voice application", lambda: found_sip_uri(scene.run))
    if found is None:
        absent = Fact("sip_uri", "absent", "the application has no Inbound SIP URI", SOURCE)
        return [*facts, absent] if facts[0].value == "ok" else facts  # what cannot be read is not absent
    scene.account.sip_uri = found
    word = "enabled" if found.enabled else "disabled"
    return [*facts, Fact("sip_uri", word, f"the application's {found.uri or 'SIP URI'} is {word}", SOURCE)]


# ---------------------------------------------------------------- clocks, and what was refused before


def _clock(scene: Scene) -> list[Fact]:
    """By the Date of the answers that came to this run, the one that took least time to come."""
    exchanges = [one for one in scene.run.on.recorder.latest if "date" in one.response_headers and _is_new(scene, one)]
    if not exchanges:
        return []
    quickest = min(exchanges, key=lambda exchange: exchange.elapsed_s)
    try:
        there = parsedate_to_datetime(quickest.response_headers["date"])
    except (ValueError, TypeError):
        return []
    there = there if there.tzinfo else there.replace(tzinfo=UTC)  # a Date that ends in -0000
    ahead_s = (there - quickest.at.astimezone(UTC)).total_seconds()
    off = abs(ahead_s) > CLOCK_LIMIT_S + quickest.elapsed_s
    direction = "behind" if ahead_s > 0 else "ahead of"
    says = f"this machine's clock is {abs(ahead_s):.0f} s {direction} Bandwidth's (Date: {there:%Y-%m-%d %H:%M:%S})"
    return [Fact("clock", "off" if off else "right", says if off else "this machine's clock agrees", SOURCE)]


def _is_new(scene: Scene, exchange: Exchange) -> bool:
    """Whether Bandwidth answered it (the callback URL's server has a clock of its own), and in this look: a clock that
    was mended since the last one is right."""
    by_bandwidth = f"/accounts/{scene.run.on.account_id}/" in exchange.url or "/oauth2/" in exchange.url
    return by_bandwidth and abs((datetime.now(UTC) - exchange.at).total_seconds()) < LATELY_S


def _refused_before(scene: Scene) -> list[Fact]:
    """A refusal for want of a right, the last word of this site's runs about a thing that is not there now."""
    settings, last = scene.run.settings, dict[str, tuple[str, str]]()
    for folder in run_folders(settings.runs_dir)[-10:]:
        try:
            for line in read_lines(folder / "journal.jsonl"):
                if line.get("kind") == "step" and line.get("step") in _TRIED and line.get("status") != "running":
                    last[str(line["step"])] = (str(line.get("came_back") or ""), str(line.get("at") or ""))
        except (BwlibError, OSError):
            continue
    account = scene.account
    there_now = {"application": account.application, "realm": account.realm, "sip_credential": account.credential}
    for step, (came_back, at) in last.items():
        if there_now[step] is not None:  # made since, by hand or elsewhere: what was refused once is allowed by now
            continue
        code = next((code for code in NOT_ENABLED if code in came_back), "")
        if code:
            when = f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M}" if at else "before"
            return [Fact("account.entitled", "no", f"{step.replace('_', ' ')}, {when}: {came_back}", "record")]
    return []
