"""What is on the PBX, against what the call needs: trunk, route, extension, registrations, contacts, known traps.

`probe` reads; `compare` (pure) says what follows once Bandwidth's side is known too. User name and password:
`at_trunk_login`; what the dialplan does: `at_dialplan`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Protocol, runtime_checkable

from bwlib.diagnose import at_dialplan
from bwlib.diagnose.at_fields import rows
from bwlib.diagnose.at_trunk_login import login
from bwlib.diagnose.facts import Fact
from bwlib.diagnose.scene import Scene
from bwlib.models import Extension, Finding, OutboundRoute, Registration, Trunk
from bwlib.pbx.asterisk_read import NOT_LOOSE
from bwlib.steps.pbx import trunk_to, trunk_to_sip_uri

SOURCE = "PBX"
# Names that no public name server knows (RFC 6761): the sandbox's realms are below .test.
NEVER_RESOLVE = (".test", ".invalid", ".example")
G711 = ("ulaw", "alaw")
# Compared in a way of their own.
_APART = ("name", "password", "username", "codecs", "port", "qualify_s", "registration")


@runtime_checkable
class HasTraps(Protocol):
    """A PBX that knows what is done wrong with it."""

    def findings(self, trunk: Trunk, route: OutboundRoute, extension: Extension) -> list[Finding]: ...


def probe(scene: Scene) -> list[Fact]:
    """Read trunk, route, extension and registrations. Raises: PbxError when the PBX does not answer."""
    pbx, table, seen = scene.run.on.pbx(), scene.run.settings.pbx, scene.on_pbx
    seen.trunk = pbx.get_trunk(table.trunk)
    seen.route = pbx.get_route(table.route)
    seen.extension = pbx.get_extension(table.extension)
    for name, secret in (  # not those of the site file: that they are others may be what is wrong
        ("trunk's password", seen.trunk.password if seen.trunk else None),
        ("extension's secret", seen.extension.secret if seen.extension else None),
    ):
        scene.run.record.redactor.learn(name, secret.get_secret_value() if secret else "")
    facts = [
        _there("trunk", table.trunk, seen.trunk),
        _there("route", table.route, seen.route),
        _there("extension", table.extension, seen.extension),
    ]
    if seen.trunk is not None:
        trunk = seen.trunk
        facts.append(_registration(trunk, pbx.registrations()))
    return facts


def _registration(trunk: Trunk, there: list[Registration]) -> Fact:
    """On: one of the trunk's name, one at its realm, or one that uses its authentication, wherever that leads."""
    found = [one.says for one in there if one.is_of(trunk)]
    if trunk.registration and not found:
        found = [one.says for one in there] or ["by the trunk's own authentication"]
    says = f"the PBX registers for this trunk: {'; '.join(found)}" if found else "the trunk registers nowhere"
    return Fact("trunk.registration", "on" if found else "off", says, SOURCE)


def _there(what: str, name: str, found: object) -> Fact:
    says = f"{what} {name} is on the PBX" if found else f"there is no {what} {name} on the PBX"
    return Fact(what, "found" if found else "absent", says, SOURCE)


# ---------------------------------------------------------------- what follows


def compare(scene: Scene) -> list[Fact]:
    """Field by field. What cannot be compared, because the other side is not known, says nothing."""
    seen = scene.on_pbx
    facts: list[Fact] = []
    if seen.trunk is not None:
        facts += _trunk(scene, seen.trunk)
    if seen.route is not None:
        facts += at_dialplan.route(scene, seen.route)
    if seen.extension is not None:
        facts += _extension(scene, seen.extension)
    return facts


def _trunk(scene: Scene, found: Trunk) -> list[Fact]:
    wanted = _wanted_trunk(scene, found)
    alike = _alike(found, wanted)
    names = [field.name for field in fields(Trunk) if field.name not in _APART]
    if not scene.host:
        names = [name for name in names if name not in ("server", "from_domain")]
    if not scene.run.on.bandwidth_ips:  # the site does not say whom the PBX should admit: nothing to compare with
        names = [name for name in names if name not in ("bandwidth_ips", "inbound_extension")]
    return [
        *at_dialplan.inbound(scene, found, rows("trunk", alike, wanted, names)),
        _from_user(scene, found),
        *login(scene, found),
        *_others(found),
        *_way(scene, found),
    ]


def _alike(found: Trunk, wanted: Trunk) -> Trunk:
    """In the wanted spelling: host names have no case, and a network that holds all of Bandwidth's addresses admits
    them."""
    hosts = {name: getattr(wanted, name) for name in ("server", "from_domain")}
    same = {name: host for name, host in hosts.items() if getattr(found, name).lower() == host.lower()}
    admits = _hold(found.bandwidth_ips, wanted.bandwidth_ips)
    return replace(found, **same, bandwidth_ips=wanted.bandwidth_ips if admits else found.bandwidth_ips)


def _hold(networks: Iterable[str], addresses: Iterable[str]) -> bool:
    try:
        admitted = [ipaddress.IPv4Network(network) for network in networks]
        return all(any(ipaddress.IPv4Network(one).subnet_of(net) for net in admitted) for one in addresses)
    except ValueError:  # a name, an IPv6 address: only as it is written
        return False


def _way(scene: Scene, found: Trunk) -> list[Fact]:
    """Whether the trunk needs DNS, and what DNS says to it."""
    if found.outbound_proxy or literal(found.server):
        return [Fact("trunk.needs_dns", "no", "the trunk's packets go to an address, not to a name", SOURCE)]
    facts = [Fact("trunk.needs_dns", "yes", f"the trunk needs DNS to find {found.server or 'nothing'}", SOURCE)]
    if found.server.endswith(NEVER_RESOLVE) and scene.run.on.trunk_proxy:
        says = f"{found.server} is in no public DNS (RFC 6761), and the trunk has no outbound proxy"
        return [*facts, Fact("trunk.resolves", "no", says, "DNS")]
    return facts


def _wanted_trunk(scene: Scene, found: Trunk) -> Trunk:
    """As the guide asks; what is not known at Bandwidth is taken as it is."""
    on, account, extension = scene.run.on, scene.account, scene.run.settings.pbx.extension
    if account.sip_uri is not None:
        return trunk_to_sip_uri(
            account.sip_uri, name=found.name, username=scene.run.settings.sip_uri.username, password=found.password,
            number=on.number, bandwidth_ips=on.bandwidth_ips, extension=extension, outbound_proxy=on.trunk_proxy,
        )  # fmt: skip
    if account.realm is not None and account.credential is not None:
        return trunk_to(
            account.realm, account.credential, name=found.name, password=found.password, number=on.number,
            bandwidth_ips=on.bandwidth_ips, extension=extension, outbound_proxy=on.trunk_proxy,
        )  # fmt: skip
    return Trunk(
        found.name, found.server, found.username, found.password, on.number, found.from_domain,
        outbound_proxy=on.trunk_proxy, bandwidth_ips=on.bandwidth_ips, inbound_extension=extension,
    )  # fmt: skip


def literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _from_user(scene: Scene, found: Trunk) -> Fact:
    """The caller id as the trunk sends it; the route's own is compared with the route."""
    number = scene.run.on.number
    if found.from_user == number:
        return Fact("trunk.from_user", "as-wanted", f"trunk from_user is {number}", SOURCE)
    e164 = re.fullmatch(r"\+[1-9]\d{6,14}", found.from_user)
    word = "other-number" if e164 else "not-e164"
    shown = found.from_user or "not set"
    return Fact("trunk.from_user", word, f"trunk from_user is {shown}, wanted {number}", SOURCE)


def _others(found: Trunk) -> list[Fact]:
    usable = [codec for codec in found.codecs if codec in G711]
    codecs = ", ".join(found.codecs) or "none"
    facts = [Fact("trunk.codecs", "usable" if usable else "no-g711", f"the trunk offers {codecs}", SOURCE)]
    port = str(found.port) if found.port else "by-srv"
    facts.append(Fact("trunk.port", port, f"the trunk's port is {found.port or 'left to SRV'}", SOURCE))
    if found.outbound_proxy and found.outbound_proxy.endswith(NOT_LOOSE):
        facts.append(Fact("trunk.proxy_lr", "no", f"trunk outbound_proxy is {found.outbound_proxy}", SOURCE))
    qualify = "on" if found.qualify_s else "off"
    says = f"the trunk is qualified every {found.qualify_s} s" if found.qualify_s else "the trunk is not qualified"
    return [*facts, Fact("trunk.qualify", qualify, says, SOURCE)]


def _extension(scene: Scene, found: Extension) -> list[Fact]:
    table, secret = scene.run.settings.pbx, scene.extension_secret()
    same = found.route == table.route
    wanted = "" if same else f", wanted route {table.route}"
    says = f"extension {found.number} dials by {f'route {found.route}' if found.route else 'no route'}{wanted}"
    facts = [Fact("extension.route", "as-wanted" if same else "differs", says, SOURCE)]
    if secret is not None:
        fits = secret.get_secret_value() == found.secret.get_secret_value()
        says = f"the extension's secret on the PBX is {'' if fits else 'not '}the one that the site file refers to"
        facts.append(Fact("extension.secret", "as-wanted" if fits else "differs", says, SOURCE))
    return facts


def traps(scene: Scene) -> list[Fact]:
    """What this kind of PBX is known to do wrong (`bwlib.pbx.freepbx_checks` and its like). Raises: PbxError."""
    pbx, seen = scene.run.on.pbx(), scene.on_pbx
    if not isinstance(pbx, HasTraps) or seen.trunk is None or seen.route is None or seen.extension is None:
        return []
    route = at_dialplan.wanted_route(scene, seen.route)
    scene.traps = pbx.findings(_wanted_trunk(scene, seen.trunk), route, seen.extension)
    return [Fact(f"trap.{index}", "found", trap.cause, SOURCE) for index, trap in enumerate(scene.traps)]
