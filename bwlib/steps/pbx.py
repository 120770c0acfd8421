"""Guide step 3: a trunk that authenticates outbound and does not register, an outbound route, an extension.

The three objects live by the same rules, so one plan/ensure/check/remove serves them; what differs is a `Kind`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, TypeVar

from bwlib.errors import NotAsExpected, PbxRefused
from bwlib.models import Extension, InboundSipUri, OutboundRoute, Outcome, Realm, SipCredential, Trunk
from bwlib.pbx import Pbx
from bwlib.steps.compare import NOBODY, Witness, differences, everything_new, must_match

T = TypeVar("T", Trunk, OutboundRoute, Extension)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What the PBX calls a thing, how it is named, and how to get, put and delete it."""

    word: Literal["trunk", "route", "extension"]
    title: str
    name: Callable[[T], str]
    get: Callable[[Pbx, str], T | None]
    put: Callable[[Pbx, T], None]
    delete: Callable[[Pbx, str], None]


TRUNK: Kind[Trunk] = Kind(
    "trunk",
    "Trunk",
    lambda trunk: trunk.name,
    lambda pbx, name: pbx.get_trunk(name),
    lambda pbx, trunk: pbx.put_trunk(trunk),
    lambda pbx, name: pbx.delete_trunk(name),
)
ROUTE: Kind[OutboundRoute] = Kind(
    "route",
    "Outbound route",
    lambda route: route.name,
    lambda pbx, name: pbx.get_route(name),
    lambda pbx, route: pbx.put_route(route),
    lambda pbx, name: pbx.delete_route(name),
)
EXTENSION: Kind[Extension] = Kind(
    "extension",
    "Extension",
    lambda extension: extension.number,
    lambda pbx, number: pbx.get_extension(number),
    lambda pbx, extension: pbx.put_extension(extension),
    lambda pbx, number: pbx.delete_extension(number),
)


def trunk_to(
    realm: Realm,
    credential: SipCredential,
    *,
    name: str,
    password: Any,
    number: str,
    bandwidth_ips: tuple[str, ...],
    extension: str,
    outbound_proxy: str | None = None,
) -> Trunk:
    """The trunk that the guide asks for, from the realm and credential as Bandwidth answered them.

    No registration, outbound authentication, From user = the site's number in +E.164, From domain = the realm's FQDN,
    no qualify, port left to SRV.
    """
    return Trunk(
        name=name,
        server=realm.fqdn,
        username=credential.username,
        password=password,
        from_user=number,
        from_domain=realm.fqdn,
        outbound_proxy=outbound_proxy,
        bandwidth_ips=bandwidth_ips,
        inbound_extension=extension if bandwidth_ips else None,
    )


def trunk_to_sip_uri(
    sip_uri: InboundSipUri,
    *,
    name: str,
    username: str,
    password: Any,
    number: str,
    bandwidth_ips: tuple[str, ...],
    extension: str,
    outbound_proxy: str | None = None,
) -> Trunk:
    """The same trunk by the second road: to the host of the application's SIP URI. username "": the URI's uuid."""
    return Trunk(
        name=name,
        server=sip_uri.host,
        username=username or sip_uri.user,
        password=password,
        from_user=number,
        from_domain=sip_uri.host,
        outbound_proxy=outbound_proxy,
        bandwidth_ips=bandwidth_ips,
        inbound_extension=extension if bandwidth_ips else None,
    )


def plan_on_pbx(pbx: Pbx, kind: Kind[T], wanted: T) -> Outcome[T]:
    """What Apply would change about this object on the PBX; changes nothing.

    Raises: PbxRefused when somebody else's object (another site's too) has the same name and other settings, or when
    the PBX would not take it.
    """
    name = kind.name(wanted)
    found = kind.get(pbx, name)
    names = [field.name for field in fields(wanted)]
    if found is None:
        _refuse_foreign(pbx, kind, name, wanted)
        return Outcome("planned", kind.title, None, everything_new(wanted, names), "would be created")
    rows = differences(found, wanted, names)
    if not rows:
        return Outcome("unchanged", kind.title, found)
    _refuse_foreign(pbx, kind, name, wanted)
    return Outcome("planned", kind.title, found, rows, "would be updated")


def ensure_on_pbx(pbx: Pbx, kind: Kind[T], wanted: T, witness: Witness = NOBODY) -> Outcome[T]:
    """Make sure the PBX has this object, load it, and read it back from the running PBX.

    Raises: PbxRefused when it belongs to somebody else, PbxUnreachable, NotAsExpected when the PBX kept something else.
    """
    plan = plan_on_pbx(pbx, kind, wanted)
    if plan.action == "unchanged":
        return plan
    if plan.found is None:
        witness.creating()
    kind.put(pbx, wanted)
    if plan.found is None:
        witness.created(wanted)  # the PBX may refuse to load it, and then it is there all the same
    pbx.apply()
    found = check_on_pbx(pbx, kind, wanted)
    return Outcome("created" if plan.found is None else "updated", kind.title, found, plan.differences)


def check_on_pbx(pbx: Pbx, kind: Kind[T], wanted: T) -> T:
    """Read the object back from the running PBX and compare it field by field.

    Raises: NotAsExpected naming each field that differs, or that it is not there.
    """
    name = kind.name(wanted)
    found = kind.get(pbx, name)
    if found is None:
        raise NotAsExpected(f"check the {kind.word} {name} on the PBX", "there is none", "run notebook 30_pbx")
    rows = differences(found, wanted, [field.name for field in fields(wanted)])
    must_match(f"the {kind.word} {name} on the PBX", rows, "run notebook 30_pbx, or change it there by hand")
    return found


def check_no_registration(pbx: Pbx, trunk: Trunk) -> None:
    """Make sure that the PBX does not register at the realm: the guide wants outbound authentication only.

    Only what is the trunk's own, or leads to its very server, counts: `bandwidth-old`, or another realm whose name
    begins or ends the same, is not the trunk's.
    Raises: NotAsExpected naming the registrations found.
    """
    found = [one.says for one in pbx.registrations() if one.is_of(trunk)]
    if found:
        raise NotAsExpected(
            f"check that the trunk {trunk.name} does not register",
            f"the PBX has an outbound registration: {'; '.join(found)}",
            "turn registration off for this trunk on the PBX (it should authenticate outbound only)",
        )


def plan_removal(pbx: Pbx, kind: Kind[T], name: str, why_keep: Callable[[T], str] = lambda found: "") -> Outcome[T]:
    """What `remove_from_pbx` would do; changes nothing."""
    left = _left_alone(pbx, kind, name, why_keep)
    return left or Outcome("planned", kind.title, kind.get(pbx, name), note="would be removed")


def remove_from_pbx(pbx: Pbx, kind: Kind[T], name: str, why_keep: Callable[[T], str] = lambda found: "") -> Outcome[T]:
    """Remove what this site put on the PBX under that name; leave somebody else's alone.

    why_keep: asked about the object as it is now; a reason that it gives keeps it.
    """
    left = _left_alone(pbx, kind, name, why_keep)
    if left is not None:
        return left
    kind.delete(pbx, name)
    pbx.apply()
    if kind.get(pbx, name) is not None:
        raise NotAsExpected(
            f"check that the {kind.word} {name} is gone",
            "the running PBX still has it",
            "reload the PBX, then run again",
        )
    return Outcome("removed", kind.title, None)


def _left_alone(pbx: Pbx, kind: Kind[T], name: str, why_keep: Callable[[T], str]) -> Outcome[T] | None:
    owner = pbx.owner(kind.word, name)
    if owner is None:
        return Outcome("unchanged", kind.title, None, note="already gone")
    found = kind.get(pbx, name)
    if owner == "other":
        return Outcome("kept", kind.title, found, note=f"the {kind.word} {name} is not ours to remove")
    reason = why_keep(found) if found is not None else ""
    return Outcome("kept", kind.title, found, note=reason) if reason else None


def _refuse_foreign(pbx: Pbx, kind: Kind[T], name: str, wanted: T) -> None:
    """The PBX itself says whose it is, where it knows; a plan must not promise what Apply would refuse."""
    pbx.check_put(wanted)
    if pbx.owner(kind.word, name) == "other":
        raise PbxRefused(
            f"set up the {kind.word} {name} on the PBX",
            f"a {kind.word} {name} exists already with other settings, and it is not ours to change",
            f"choose another name for pbx.{kind.word} in the site file, "
            "or give the existing one these settings by hand",
        )
