"""Where DNS says that the realm (or the SIP URI's host) is: SRV first, then A, as a PBX with its port left blank asks.

Bandwidth's realms are not on port 5060: an SRV record says the account's port. ACTIVE does not mean that the name
resolves already. Source: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23), RFC 3263.
"""

from __future__ import annotations

from bwlib.errors import StillPending
from bwlib.models import Outcome
from bwlib.sip.srv import Address, NoNameServer, Server, resolve_a, resolve_srv

TITLE = "DNS"
NO_SANDBOX_DNS = "not tested: sandbox without DNS"


def check_dns(host: str, nameservers: tuple[Address, ...] | None, proxy: str | None = None) -> Outcome[dict[str, str]]:
    """Ask for `_sip._udp.<host>` and `<host>`. nameservers: None for the system's, () where there is none to ask.

    proxy: where the trunk sends its packets instead, so that DNS does not decide. Skipped when nobody can be asked.
    Raises: StillPending when the name does not resolve and no proxy makes up for it.
    """
    if nameservers == ():
        return Outcome("skipped", TITLE, None, note=NO_SANDBOX_DNS)
    nameserver = nameservers[0] if nameservers else None
    try:
        servers = resolve_srv(f"_sip._udp.{host}", nameserver)
        addresses = resolve_a(host, nameserver)
    except NoNameServer as error:
        return Outcome("skipped", TITLE, None, note=f"not tested: no name server answers ({error})")
    if not servers and not addresses and not proxy:
        raise StillPending(
            f"find {host} in DNS",
            f"neither _sip._udp.{host} (SRV) nor {host} (A) is there",
            "a new realm may need some minutes: run this cell again; calls fail until then",
        )
    facts = {
        "name": host,
        "asked": f"{nameserver[0]}:{nameserver[1]}" if nameserver else "the system's name servers",
        "SRV": "; ".join(map(_words, servers)) or "none",
        "A": ", ".join(addresses) or "none",
    }
    return Outcome("passed", TITLE, facts, note=_note(servers, addresses, proxy))


def _note(servers: list[Server], addresses: list[str], proxy: str | None) -> str:
    if proxy:
        return f"the trunk does not depend on it: it sends to the outbound proxy {proxy}"
    if not servers:
        return f"no SRV record: a PBX with its port left blank will send to {', '.join(addresses)} port 5060"
    if any(not server.addresses for server in servers):
        return "a target of an SRV record has no address"
    return ""


def _words(server: Server) -> str:
    where = ", ".join(server.addresses) or "no address"
    return f"{server.target} port {server.port} ({where}), priority {server.priority}, weight {server.weight}"
