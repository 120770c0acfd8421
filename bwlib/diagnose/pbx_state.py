"""What the running PBX says of itself beyond the site's objects: contacts, media addresses, what is not in force.

How it is read: `bwlib.pbx.state`. A PBX that cannot tell a thing says nothing about it, and no rule follows.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bwlib.diagnose.facts import Fact
from bwlib.diagnose.scene import Scene
from bwlib.phone import host_towards
from bwlib.sip.agent import Agent
from bwlib.sip.uri import SipUri, SipUriError

if TYPE_CHECKING:
    from bwlib.pbx.state import Contact, PbxState, Transport

SOURCE = "PBX"
OPTIONS_S = 1.5
G711 = ("ulaw", "alaw")


def probe(scene: Scene) -> list[Fact]:
    """Ask the PBX. Raises: PbxError."""
    look, table = getattr(scene.run.on.pbx(), "state", None), scene.run.settings.pbx
    if look is None:
        return []
    state: PbxState = look(table.trunk, table.extension, scene.run.settings.test.dial, "")
    facts = [*_contacts(scene, state), *_trunk(state), *_extension(state), *_dialled(state), *_pending(state)]
    if state.rtp_ports:
        says = "the PBX takes audio on UDP ports {} to {}: open them to Bandwidth".format(*state.rtp_ports)
        facts.append(Fact("pbx.rtp", "known", says, SOURCE))
    return facts


# ---------------------------------------------------------------- contacts


def _contacts(scene: Scene, state: PbxState) -> list[Fact]:
    if "contacts" in state.unknown:
        return []
    table = scene.run.settings.pbx
    facts = []
    of_trunk = [contact for contact in state.contacts if contact.aor == table.trunk]
    if of_trunk:
        gone = all(contact.status == "Unavail" for contact in of_trunk)
        says = f"the trunk's contact is {', '.join(contact.status for contact in of_trunk)}"
        facts.append(Fact("trunk.contact", "unavailable" if gone else "usable", says, SOURCE))
    phones = [contact for contact in state.contacts if contact.aor == table.extension]
    return [*facts, _phone(scene, phones)]


def _phone(scene: Scene, contacts: list[Contact]) -> Fact:
    """Whether somebody answers where the extension is registered: asked from here, which changes nothing there."""
    name = "extension.contact"
    if not contacts:
        scene.contact = "none"
        return Fact(name, "none", "no phone is registered at the extension now", SOURCE)
    alive = any(contact.status == "Avail" or _answers(contact.uri) for contact in contacts)
    scene.contact = "alive" if alive else "silent"
    where = ", ".join(contact.uri for contact in contacts)
    says = f"the extension is registered at {where}, which {'answers' if alive else 'does not answer'} OPTIONS"
    return Fact(name, scene.contact, says, SOURCE)


def _answers(uri: str) -> bool:
    try:
        parsed = SipUri.parse(uri)
        target = (socket.gethostbyname(parsed.host), parsed.port or 5060)
    except (SipUriError, OSError):
        return False
    return asyncio.run(_options(uri, target))


async def _options(uri: str, target: tuple[str, int]) -> bool:
    agent = Agent(host_towards(target), user_agent="bw-runbook-probe")
    await agent.start()
    try:
        return await agent.options(SipUri.parse(uri), target, OPTIONS_S) is not None
    finally:
        await agent.stop()


# ---------------------------------------------------------------- options in force


def _trunk(state: PbxState) -> list[Fact]:
    endpoint, auth = state.trunk.get("endpoint", {}), state.trunk.get("auth", {})
    if not endpoint or "trunk" in state.unknown:
        return []
    facts = []
    if not endpoint.get("outbound_auth"):
        facts.append(Fact("trunk.outbound_auth", "absent", "the trunk's endpoint has no outbound_auth", SOURCE))
    realm = auth.get("realm", "")
    if realm:
        facts.append(Fact("trunk.realm", realm, f"the trunk's authentication says realm={realm}", SOURCE))
    return [*facts, _media(endpoint, state.transports)]


def _media(endpoint: Mapping[str, Any], transports: tuple[Transport, ...]) -> Fact:
    """The address that the PBX names for its audio, where somebody has set one."""
    named = endpoint.get("media_address") or ""
    given = {"media_address": named} if named else {}
    given |= {
        f"external_media_address of {transport.name}": transport.external_media_address
        for transport in transports
        if transport.external_media_address
    }
    wrong = {name: address for name, address in given.items() if not _is_own(address, transports)}
    says = "; ".join(f"{name} is {address}" for name, address in (wrong or given).items())
    return Fact("trunk.media", "elsewhere" if wrong else "own", says or "the PBX names its own address", SOURCE)


def _is_own(address: str, transports: tuple[Transport, ...]) -> bool:
    """Whether audio can come back there, as far as can be seen: no text that is no address, and not an address of the
    documentation ranges; on loopback only a loopback address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "." in address and " " not in address and "(" not in address  # a name: Asterisk resolves it
    on_loopback = all(transport.bind.startswith("127.") for transport in transports if transport.protocol == "udp")
    if on_loopback:
        return found.is_loopback
    return not (found.is_unspecified or any(found in network for network in _DOCUMENTATION))


# Addresses that nobody has (RFC 5737).
_DOCUMENTATION = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))


def _extension(state: PbxState) -> list[Fact]:
    endpoint, aor = state.extension.get("endpoint", {}), state.extension.get("aor", {})
    facts = []
    if aor.get("max_contacts") == "0":
        facts.append(Fact("extension.registrable", "no", "the extension's aor says max_contacts=0", SOURCE))
    allow = endpoint.get("allow", "")
    if allow and not any(codec in allow for codec in G711):
        facts.append(Fact("extension.codecs", "no-g711", f"the extension allows {allow}", SOURCE))
    return facts


def _dialled(state: PbxState) -> list[Fact]:
    dialled = state.dialled
    if dialled is None or not dialled.number:
        return []
    if not dialled.pattern:
        says = f"{dialled.number} matches nothing in the context {dialled.context or '(none)'}"
        return [Fact("route.matches", "no", says, SOURCE)]
    says = f"{dialled.number} matches {dialled.pattern} in {dialled.context}"
    return [Fact("route.dialplan", "matches", says, SOURCE)]


def _pending(state: PbxState) -> list[Fact]:
    """Only what the files say and is not running: a file that was saved again as it was is no fault."""
    if not state.not_in_force:
        return []
    changed = f" (changed since the last reload: {', '.join(state.changed_since_reload)})"
    says = f"not in force: {'; '.join(state.not_in_force)}" + (changed if state.changed_since_reload else "")
    return [Fact("pbx.pending", "yes", says, SOURCE)]
