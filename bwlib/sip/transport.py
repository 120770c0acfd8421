"""One UDP/IPv4 socket: guarded sending, and the one seam where the ladder and the faults hook in.

The events are the wire, and the fault sits between the agent and the wire: an arriving datagram is reported before
the fault may drop it, a leaving one after, as it really left.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from bwlib.models import SipEvent

Address = tuple[str, int]
# (leaving?, the datagram, the far end's address) -> what goes on, None for nothing
Fault = Callable[[bool, bytes, Address], bytes | None]

log = logging.getLogger(__name__)

MAX_DATAGRAM_BYTES = 65_507


def is_sendable(address: Address) -> bool:
    """Is this an IPv4 literal and a port from 1 to 65535?

    asyncio closes a datagram socket for good when sendto() raises anything but OSError, and looks up host names in
    the middle of the event loop: so nothing else ever reaches it.
    """
    host, port = address
    try:
        ip = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return 1 <= port <= 65535 and not ip.is_multicast and not ip.is_unspecified


class UdpTransport(asyncio.DatagramProtocol):
    """Bind with open(), send with send(), close with close(). receive(data, source) gets each datagram."""

    def __init__(
        self,
        receive: Callable[[bytes, Address], None],
        on_event: Callable[[SipEvent], None] | None = None,
        fault: Fault | None = None,
    ) -> None:
        self._receive = receive
        self.on_event = on_event
        self.fault = fault
        self._socket: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()
        self.address: Address = ("", 0)

    async def open(self, host: str, port: int) -> None:
        """Bind. Raises OSError when the address is taken or not on this machine."""
        loop = asyncio.get_running_loop()
        self._socket, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        self.address = self._socket.get_extra_info("sockname")[:2]

    async def close(self) -> None:
        """Close, and return when the port is free again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            await self._closed.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            log.error("the socket on %s:%d was lost: %s", *self.address, exc)
        self._closed.set()

    def send(self, data: bytes, target: Address) -> bool:
        """Send one datagram. False, and a log line, when it cannot be sent; never raises."""
        changed = self._apply_fault(True, data, target)
        if changed is None:
            return False
        if self._socket is None or not is_sendable(target) or len(changed) > MAX_DATAGRAM_BYTES:
            log.warning("not sent: %d bytes to %r (socket open: %s)", len(changed), target, self._socket is not None)
            return False
        self._report(changed, self.address, target)
        self._socket.sendto(changed, target)
        return True

    def datagram_received(self, data: bytes, addr: Address) -> None:
        source = (addr[0], addr[1])
        if not data.strip(b"\r\n\0"):
            return  # a keep-alive (RFC 5626 section 4.4.1) or an empty datagram
        try:
            self._report(data, source, self.address)
            changed = self._apply_fault(False, data, source)
            if changed is not None:
                self._receive(changed, source)
        except Exception:
            log.exception("a datagram from %s:%d could not be handled; the socket stays open", *source)

    def error_received(self, exc: Exception) -> None:
        log.info("the network reports an error on %s:%d: %s", *self.address, exc)

    def _apply_fault(self, outgoing: bool, data: bytes, far_end: Address) -> bytes | None:
        if self.fault is None:
            return data
        try:
            return self.fault(outgoing, data, far_end)
        except Exception:
            log.exception("the fault hook failed; the datagram goes on unchanged")
            return data

    def _report(self, data: bytes, source: Address, target: Address) -> None:
        if self.on_event is None:
            return
        text = data.decode("utf-8", "replace")
        event = SipEvent(datetime.now(UTC), _text(source), _text(target), text, seen_by=_text(self.address))
        try:
            self.on_event(event)
        except Exception:
            log.exception("the event hook failed; the message goes on")


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
