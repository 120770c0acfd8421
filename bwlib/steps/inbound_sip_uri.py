"""The second road: Bandwidth's Inbound SIP URI, enabled on the application of guide step 1.

Bandwidth makes the password and says it in one answer only, so it is put where the site file says before anything else
is done. Whether the settings can be read back is not public: where they cannot, an outcome says so.
Source: dev.bandwidth.com/docs/voice/programmable-voice/inbound-sip-uri (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pydantic import SecretStr

from bwlib.bandwidth.client import Client
from bwlib.errors import NotAsExpected, NotEntitled, Refused, SecretUnavailable
from bwlib.models import Application, Difference, InboundSipUri, Outcome
from bwlib.steps.compare import is_absent

TITLE = "Inbound SIP URI"
AS_ANSWERED = "as answered, not read back"
# What "there is no GET" may look like; a gateway in front says 403 to a method that it does not know.
_NOT_READABLE = (403, 404, 405)


@dataclass(frozen=True)
class Keeper:
    """Where the one-time password is kept. Both raise SecretUnavailable; `check` is asked before there is one."""

    exists: Callable[[], bool]
    check: Callable[[], None]
    keep: Callable[[SecretStr], None]


@dataclass(frozen=True)
class Wanted:
    """What the site wants of it; an empty tuple leaves Bandwidth's own value."""

    allowed_source_ips: tuple[str, ...] = ()
    allowed_regions: tuple[str, ...] = ()


def read_back(client: Client, application: Application) -> InboundSipUri | None:
    """The settings as Bandwidth has them now; None where it does not let anybody read them."""
    try:
        return client.get_voice_application(application.id)
    except (Refused, NotEntitled) as error:
        if error.status in _NOT_READABLE:
            return None
        raise


def plan_inbound_sip_uri(
    client: Client, application: Application, wanted: Wanted, known: InboundSipUri | None, has_password: bool
) -> Outcome[InboundSipUri]:
    """What Apply would change; sends nothing that writes. known: what this site's last answer was, None for none."""
    found = read_back(client, application)
    note = "" if found is not None else AS_ANSWERED
    found = found or known
    if found is None:
        rows = _new(wanted)
        return Outcome("planned", TITLE, None, rows, "would be enabled; whether it is already cannot be read")
    if not found.enabled:
        return Outcome("planned", TITLE, None, _new(wanted), "would be enabled")
    rows = _differences(found, wanted)
    if not has_password:
        rows += (Difference("password", "not kept here", "as Bandwidth says it once, when it is made"),)
    if rows:
        return Outcome("planned", TITLE, found, rows, "; ".join(filter(None, ["would be changed", note])))
    return Outcome("unchanged", TITLE, found, note=note)


def ensure_inbound_sip_uri(
    client: Client,
    application: Application,
    wanted: Wanted,
    keeper: Keeper,
    *,
    known: InboundSipUri | None = None,
    rotate: bool = False,
) -> Outcome[InboundSipUri]:
    """Make sure that the application can be called by its SIP URI with a password that is kept here.

    rotate: a URI that is enabled with a password nobody kept is disabled and enabled anew; others may be using it.
    Raises: SecretUnavailable before anything is sent when the password could not be kept; NotAsExpected when it is
    enabled already and its password is not known here, or when Bandwidth answered something else.
    """
    plan = plan_inbound_sip_uri(client, application, wanted, known, keeper.exists())
    if plan.action == "unchanged":
        return plan
    keeper.check()
    if plan.found is not None and not keeper.exists():
        _disable_or_refuse(client, application, rotate)
    answered = _enable(client, application, wanted, keeper)
    if answered.password is None and not keeper.exists():
        _disable_or_refuse(client, application, rotate)
        answered = _enable(client, application, wanted, keeper)
    found, note = _confirmed(client, application, wanted, answered)
    is_new = answered.password is not None and plan.found is None
    return Outcome("created" if is_new else "updated", TITLE, found, plan.differences, note)


def check_inbound_sip_uri(
    client: Client, application: Application, wanted: Wanted, known: InboundSipUri | None
) -> InboundSipUri | None:
    """The settings read back, or as last answered where they cannot be read; None when it was never enabled.

    Raises: NotAsExpected when it is disabled by now, or set otherwise.
    """
    found = read_back(client, application) or known
    if found is None:
        return None
    if known is None and not found.enabled:
        return None
    _must_fit(found, wanted)
    return replace(found, password=None)


def remove_inbound_sip_uri(client: Client, application_id: str, uri: str) -> Outcome[InboundSipUri]:
    """Disable the URI that a run enabled, if it still is the one."""
    try:
        application = client.get_application(application_id)
    except Refused as error:
        if is_absent(error):
            return Outcome("unchanged", TITLE, None, note="already gone, with its application")
        raise
    found = read_back(client, application)
    if found is not None and not found.enabled:
        return Outcome("unchanged", TITLE, None, note="already disabled")
    if found is not None and found.uri != uri:
        return Outcome("kept", TITLE, found, note=f"the application's URI is now {found.uri}: not ours to disable")
    answered = client.update_voice_application(application_id, enabled=False)
    after = read_back(client, application)
    if answered.enabled or (after is not None and after.enabled):
        raise NotAsExpected(f"disable {uri}", "Bandwidth still has it enabled", "run 90_undo again")
    return Outcome("removed", TITLE, None, note="" if after is not None else AS_ANSWERED)


def _enable(client: Client, application: Application, wanted: Wanted, keeper: Keeper) -> InboundSipUri:
    """PATCH, and keep the password before anything else can go wrong."""
    answered = client.update_voice_application(
        application.id,
        enabled=True,
        password_auth=True,
        allowed_source_ips=wanted.allowed_source_ips or None,
        allowed_regions=wanted.allowed_regions or None,
    )
    if answered.password is not None:
        try:
            keeper.keep(answered.password)
        except SecretUnavailable as error:
            raise SecretUnavailable(
                f"keep the password of {answered.uri}",
                f"{error.came_back}; Bandwidth says it only once, so it is lost",
                "name a place in sip_uri.password that can be written, set sip_uri.rotate = true, and run again",
            ) from error
    return answered


def _disable_or_refuse(client: Client, application: Application, rotate: bool) -> None:
    if not rotate:
        raise NotAsExpected(
            f"use the SIP URI of the application {application.name}",
            "it is enabled already, and its password, which Bandwidth said only once, is not in sip_uri.password",
            "put it there, or set sip_uri.rotate = true to disable the URI and enable it with a new one "
            "(whoever else uses it must then be told; the old one cannot be restored)",
        )
    client.update_voice_application(application.id, enabled=False)


def _confirmed(
    client: Client, application: Application, wanted: Wanted, answered: InboundSipUri
) -> tuple[InboundSipUri, str]:
    """The settings read back, or the answer itself and the note that says so."""
    found = read_back(client, application)
    if found is not None and found.uri != answered.uri:
        raise NotAsExpected(
            f"check the SIP URI of the application {application.name}",
            f"it reads {found.uri}, while the answer said {answered.uri}",
            "run notebook 20_sip_credentials again",
        )
    _must_fit(found or answered, wanted)
    return replace(found or answered, password=None), "" if found is not None else AS_ANSWERED


def _must_fit(found: InboundSipUri, wanted: Wanted) -> None:
    rows = _differences(found, wanted)
    if rows:
        raise NotAsExpected(
            f"check the SIP URI of application {found.application_id}",
            "; ".join(f"{row.field} is {row.found}, wanted {row.wanted}" for row in rows),
            "run notebook 20_sip_credentials",
        )


def _differences(found: InboundSipUri, wanted: Wanted) -> tuple[Difference, ...]:
    rows = []
    if not found.enabled:
        rows.append(Difference("enabled", "no", "yes"))
    if not found.password_auth:
        rows.append(Difference("password_auth", "no", "yes"))
    if found.enabled and not found.uri.startswith("sip:"):
        rows.append(Difference("uri", found.uri or "not set", "sip:<uuid>@<host>"))
    for name in ("allowed_source_ips", "allowed_regions"):
        have, want = getattr(found, name), getattr(wanted, name)
        if want and set(have) != set(want):
            rows.append(Difference(name, ", ".join(have) or "not set", ", ".join(want)))
    return tuple(rows)


def _new(wanted: Wanted) -> tuple[Difference, ...]:
    rows = [
        Difference("enabled", "no", "yes"),
        Difference("password", "absent", "made by Bandwidth, said once, kept by the secret reference"),
    ]
    for name in ("allowed_source_ips", "allowed_regions"):
        if getattr(wanted, name):
            rows.append(Difference(name, "not set", ", ".join(getattr(wanted, name))))
    return tuple(rows)
