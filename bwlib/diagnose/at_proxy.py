"""A trunk's outbound proxy, where DNS leads to the realm without one: to the same place it is no detour."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bwlib.diagnose.facts import Fact
from bwlib.diagnose.scene import Scene
from bwlib.sip.dns_message import DnsError
from bwlib.sip.srv import Address, NoNameServer, Server, resolve_a, resolve_srv

SIP_PORT = 5060
_PROXY = re.compile(r"(?:sips?:)?([\w.-]+)(?::(\d+))?(?:;.*)?")


def places_of(servers: Iterable[Server], addresses: Iterable[str]) -> set[Address]:
    """Where a name leads: by its SRV records, else to its addresses at the port of SIP (RFC 3263 section 4.2)."""
    named = {(address, server.port) for server in servers for address in server.addresses}
    return named or {(address, SIP_PORT) for address in addresses}


def compare(scene: Scene, realm: set[Address], nameserver: Address | None) -> list[Fact]:
    """Takes back that a proxy nobody asked for differs, where all that it leads to is a place of the realm's."""
    trunk = scene.on_pbx.trunk
    if trunk is None or not trunk.outbound_proxy or scene.run.on.trunk_proxy:
        return []
    led_to = _places(trunk.outbound_proxy, nameserver)
    if not led_to or not led_to <= realm:
        return []
    says = f"the trunk's outbound proxy {trunk.outbound_proxy} is where DNS says that {scene.host} is"
    return [Fact("trunk.outbound_proxy", "as-wanted", says, "DNS")]


def _places(proxy: str, nameserver: Address | None) -> set[Address]:
    """Empty when it cannot be known."""
    named = _PROXY.fullmatch(proxy)
    if named is None:
        return set()
    host, port = named[1], int(named[2] or 0)
    if re.fullmatch(r"[\d.]+", host):
        return {(host, port or SIP_PORT)}
    try:
        if port:
            return {(address, port) for address in resolve_a(host, nameserver)}
        return places_of(resolve_srv(f"_sip._udp.{host}", nameserver), resolve_a(host, nameserver))
    except (NoNameServer, DnsError):
        return set()
