"""DNS for the sandbox's realms, on loopback: SRV and A, as a PBX with its port left blank looks for them (RFC 3263).

`_sip._udp.<realm>` says priority 5, weight 50, a port other than 5060 and a target in the realms' domain:
dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23). An ACTIVE realm may not resolve yet: realm_dns_s.
What the SIP URIs' host looks like in DNS is not public: here it is as a realm's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from bwlib.sandbox.realms import find_host
from bwlib.sandbox.sip_uris import HOST as SIP_URI_HOST
from bwlib.sandbox.state import State
from bwlib.sip import dns_message as dns

log = logging.getLogger(__name__)

TARGET = "abc.auth.bandwidth.test"
_SERVICE = "_sip._udp."


class DnsResponder(asyncio.DatagramProtocol):
    """Answers for names of the sandbox; every other name does not exist. edge: where SIP is served now."""

    def __init__(self, state: State, edge: Callable[[], tuple[str, int]]) -> None:
        self._state = state
        self._edge = edge
        self._socket: asyncio.DatagramTransport | None = None
        self.address: tuple[str, int] | None = None

    async def start(self, host: str, port: int = 0) -> None:
        """Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._socket, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        self.address = self._socket.get_extra_info("sockname")[:2]

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            answer = self.answer(data)
        except Exception:
            log.exception("a DNS query could not be handled; the socket stays open")
            return
        if answer is not None and self._socket is not None:
            self._socket.sendto(answer, addr)

    def error_received(self, exc: Exception) -> None:
        log.info("the network reports an error to DNS: %s", exc)

    def answer(self, data: bytes) -> bytes | None:
        """The answer to a datagram; None for what is no query."""
        try:
            asked = dns.parse(data)
        except dns.DnsError as error:
            log.info("a datagram that is no DNS query: %s", error)
            return None
        if asked.is_response:
            return None
        if asked.opcode != 0:
            return dns.response(asked, dns.NOTIMP)
        if asked.dns_class != dns.IN:
            return dns.response(asked, dns.REFUSED)
        return self._look_up(asked)

    def _look_up(self, asked: dns.Message) -> bytes:
        name, (host, port) = asked.name.lower(), self._edge()
        place = dns.Record(TARGET, dns.A, host)
        if name.startswith(_SERVICE) and self._is_served(name.removeprefix(_SERVICE)):
            servers = [dns.Record(asked.name, dns.SRV, f"5 50 {port} {TARGET}")]
            return dns.response(asked, dns.NOERROR, *((servers, [place]) if asked.type == dns.SRV else ()))
        if name == TARGET or self._is_served(name):
            addresses = [dns.Record(asked.name, dns.A, host)]
            return dns.response(asked, dns.NOERROR, addresses if asked.type == dns.A else ())
        return dns.response(asked, dns.NXDOMAIN)

    def _is_served(self, host: str) -> bool:
        if host == SIP_URI_HOST:
            return True
        found = find_host(self._state, host)
        if found is None:
            return False
        state, realm = found
        return realm.status == "ACTIVE" and time.time() >= realm.active_at + state.switch_s("realm_dns_s")
