"""What is done wrong with an Asterisk beyond the fields of trunk, route and extension: its traps, as findings."""

from __future__ import annotations

import ipaddress

from bwlib.models import Finding, Registration, Trunk
from bwlib.pbx.asterisk_read import ANY_REALM, trunk_auth_of
from bwlib.pbx.state import PbxState, Transport

_RELOAD = "then core reload on Asterisk's command line"
# Addresses that nobody has (RFC 5737).
_DOCUMENTATION = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))


def findings_in(state: PbxState, registrations: list[Registration], trunk: Trunk, file: str) -> list[Finding]:
    """The traps of a trunk written by hand. trunk: as wanted. file: where its sections are."""
    found = [
        _registration(registrations, trunk, file),
        _pinned_realm(state, trunk, file),
        _audio_address(state, file),
    ]
    return [one for one in found if one is not None]


def _registration(registrations: list[Registration], trunk: Trunk, file: str) -> Finding | None:
    """Many examples on the web register, and the guide's trunk does not."""
    found = tuple(one.says for one in registrations if one.is_of(trunk))
    if not found:
        return None
    fix = f"take the section of type registration that leads to {trunk.server} out of {file}, {_RELOAD}"
    return Finding("Registration is left on: the trunk registers at the realm", found, fix, "registration-on")


def _pinned_realm(state: PbxState, trunk: Trunk, file: str) -> Finding | None:
    realm = trunk_auth_of(state.trunk).get("realm", "")
    if realm in ANY_REALM or realm.lower() == trunk.server.lower():
        return None
    cause = "The trunk answers challenges of another realm only (realm= on its authentication)"
    fix = f"take realm= out of the section of type auth in {file}, {_RELOAD}"
    return Finding(cause, (f"realm={realm}, the challenge names {trunk.server}",), fix, "pinned-realm")


def _audio_address(state: PbxState, file: str) -> Finding | None:
    wrong = audio_elsewhere(state)
    if not wrong:
        return None
    cause = "The PBX names an address for its audio that is not its own"
    fix = f"correct media_address on the trunk, or external_media_address on the transport, in {file}, {_RELOAD}"
    return Finding(cause, tuple(f"{name} is {address}" for name, address in wrong.items()), fix, "nat-address")


# ---------------------------------------------------------------- where audio is wanted


def audio_addresses(state: PbxState) -> dict[str, str]:
    """The addresses that somebody has set for the PBX to name in SDP, by the option that says so."""
    named = state.trunk.get("endpoint", {}).get("media_address") or ""
    external = {
        f"external_media_address of {transport.name}": transport.external_media_address
        for transport in state.transports
        if transport.external_media_address
    }
    return {**({"media_address": named} if named else {}), **external}


def audio_elsewhere(state: PbxState) -> dict[str, str]:
    """Those of them at which no audio can come back, as far as can be seen from here."""
    return {name: address for name, address in audio_addresses(state).items() if not _is_own(address, state.transports)}


def _is_own(address: str, transports: tuple[Transport, ...]) -> bool:
    """No text that is no address, no address of the documentation ranges; on loopback only a loopback address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "." in address and " " not in address and "(" not in address  # a name: Asterisk resolves it
    if all(transport.bind.startswith("127.") for transport in transports if transport.protocol == "udp"):
        return found.is_loopback
    return not (found.is_unspecified or any(found in network for network in _DOCUMENTATION))
