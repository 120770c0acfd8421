"""What the running PBX says of itself beyond the site's objects: contacts, media addresses, what is not in force.

How it is read: `bwlib.pbx.state`. A PBX that cannot tell a thing says nothing about it, and no rule follows.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from bwlib.calling import registrar
from bwlib.diagnose import by_log
from bwlib.diagnose.at_pbx import G711
from bwlib.diagnose.at_realm import USER
from bwlib.diagnose.facts import UNKNOWN, Fact
from bwlib.diagnose.scene import Scene
from bwlib.errors import BwlibError
from bwlib.own_pbx import is_loopback
from bwlib.pbx.asterisk_checks import audio_addresses, audio_elsewhere
from bwlib.pbx.asterisk_read import ANY_REALM, trunk_auth_of
from bwlib.phone import host_towards
from bwlib.sip.agent import Agent
from bwlib.sip.uri import SipUri, SipUriError

if TYPE_CHECKING:
    from bwlib.pbx.state import Contact, PbxState

SOURCE = "PBX"
OPTIONS_S = 2.5
RFC4733 = ("rfc4733", "auto", "auto_info")  # dtmf_mode by which Asterisk takes telephone-events


def probe(scene: Scene) -> list[Fact]:
    """Ask the PBX. Raises: PbxError."""
    look, table = getattr(scene.run.on.pbx(), "state", None), scene.run.settings.pbx
    if look is None:
        return []
    state: PbxState = look(table.trunk, table.extension, scene.run.settings.test.dial, "")
    scene.trunk_ha1, scene.dialled = state.trunk_ha1, state.dialled
    scene.reloaded_at = state.reloaded_at or 0.0
    if _inbound_is_otherwise(scene):
        context = state.trunk.get("endpoint", {}).get("context", "")
        scene.inbound = look(table.trunk, table.extension, table.extension, context).dialled
    scene.run.record.redactor.learn("trunk's HA1", state.trunk_ha1.get_secret_value())
    facts = [*_contacts(scene, state), *_trunk(state), *_extension(state), *_dialled(state), *_pending(state)]
    facts += by_log.of_files(scene, state.refused)
    if state.other_options:
        says = f"options that this runbook does not write: {'; '.join(state.other_options)}"
        facts.append(Fact("pbx.options", "others", says, SOURCE))
    if state.rtp_ports:
        says = "the PBX takes audio on UDP ports {} to {}: open them to Bandwidth".format(*state.rtp_ports)
        facts.append(Fact("pbx.rtp", "known", says, SOURCE))
    return facts


def _inbound_is_otherwise(scene: Scene) -> bool:
    """Whether other lines than ours decide where Bandwidth's calls go. On a FreePBX that is its inbound route's."""
    trunk, table = scene.on_pbx.trunk, scene.run.settings.pbx
    return trunk is not None and table.kind == "asterisk" and trunk.inbound_extension != table.extension


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
    """Whether somebody answers where the extension is registered: asked from here, which changes nothing there.

    Silence counts where the PBX has heard none either, or is on this machine: a phone may answer its PBX alone, or be
    in a net that only the PBX is in.
    """
    name = "extension.contact"
    if not contacts:
        scene.contact = "none"
        return Fact(name, "none", "no phone is registered at the extension now", SOURCE)
    alive = any(contact.status == "Avail" or _answers(contact.uri) for contact in contacts)
    heard = alive or all(contact.status == "Unavail" for contact in contacts) or _is_here(scene)
    scene.contact = "alive" if alive else "silent" if heard else UNKNOWN
    where = ", ".join(contact.uri for contact in contacts)
    says = f"the extension is registered at {where}, which {'answers' if alive else 'does not answer'} OPTIONS"
    return Fact(name, scene.contact, says if heard else f"{says} from here: the PBX may reach it all the same", SOURCE)


def _is_here(scene: Scene) -> bool:
    """Whether the PBX is on this machine: then it reaches whom we reach."""
    try:
        address = registrar(scene.run)
        return is_loopback(address[0]) or host_towards(address) == address[0]
    except (BwlibError, OSError):
        return False


def _answers(uri: str) -> bool:
    try:
        parsed = SipUri.parse(uri)
        target = (socket.gethostbyname(parsed.host), parsed.port or 5060)
    except (SipUriError, OSError):
        return False
    return asyncio.run(_options(uri, target))


async def _options(uri: str, target: tuple[str, int]) -> bool:
    agent = Agent(host_towards(target), user_agent=USER)
    await agent.start()
    try:
        return await agent.options(SipUri.parse(uri), target, OPTIONS_S) is not None
    finally:
        await agent.stop()


# ---------------------------------------------------------------- options in force


def _trunk(state: PbxState) -> list[Fact]:
    endpoint = state.trunk.get("endpoint", {})
    if not endpoint or "trunk" in state.unknown:
        return []
    facts = []
    if not endpoint.get("outbound_auth"):
        facts.append(Fact("trunk.outbound_auth", "absent", "the trunk's endpoint has no outbound_auth", SOURCE))
    asks = bool(endpoint.get("auth"))
    says = f"the trunk's endpoint asks {'its callers for a password: auth is set' if asks else 'nobody for a password'}"
    facts.append(Fact("trunk.inbound_auth", "on" if asks else "off", says, SOURCE))
    realm = trunk_auth_of(state.trunk).get("realm", "")
    if realm not in ANY_REALM:
        facts.append(Fact("trunk.realm", realm, f"the trunk's authentication says realm={realm}", SOURCE))
    encryption = endpoint.get("media_encryption", "")
    if encryption not in ("", "no", "none"):
        facts.append(Fact("trunk.encryption", "on", f"the trunk's media_encryption is {encryption}", SOURCE))
    wrong, given = audio_elsewhere(state), audio_addresses(state)
    says = "; ".join(f"{name} is {address}" for name, address in (wrong or given).items())
    word = "elsewhere" if wrong else "own"
    return [*facts, Fact("trunk.media", word, says or "the PBX names its own address", SOURCE)]


def _extension(state: PbxState) -> list[Fact]:
    endpoint, aor = state.extension.get("endpoint", {}), state.extension.get("aor", {})
    facts = []
    fixed = aor.get("contacts") or aor.get("contact")  # a phone that does not register, and is reached all the same
    if aor.get("max_contacts") == "0" and not fixed:
        facts.append(Fact("extension.registrable", "no", "the extension's aor says max_contacts=0", SOURCE))
    allow = endpoint.get("allow", "")
    if allow and not any(codec in allow for codec in G711):
        facts.append(Fact("extension.codecs", "no-g711", f"the extension allows {allow}", SOURCE))
    dtmf = endpoint.get("dtmf_mode", "")
    if dtmf and dtmf not in RFC4733:
        facts.append(Fact("extension.dtmf", "differs", f"the extension's dtmf_mode is {dtmf}", SOURCE))
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
