"""A pair of UDP sockets for one RTP session."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from bwlib.errors import SettingsError

_TRIES_ANY_PORT = 200
_RECEIVE_BUFFER_BYTES = 1 << 20


def reserve_pair(host: str, port_range: tuple[int, int] | None = None) -> tuple[socket.socket, socket.socket]:
    """Bound sockets for RTP (even port) and RTCP (the port after it), RFC 3550 section 11.

    port_range: first and last port that may be used, None = any free ones. Raises SettingsError when none is free.
    """
    for port in _candidates(port_range):
        pair = _bind_pair(host, port)
        if pair is not None:
            return pair
    where = f"{port_range[0]}-{port_range[1]} " if port_range else ""
    raise SettingsError(
        f"reserve RTP ports on {host}",
        f"no free even/odd pair of UDP ports {where}",
        "end other calls, or widen the range of RTP ports",
    )


def _candidates(port_range: tuple[int, int] | None) -> Iterable[int]:
    if port_range is None:
        return [0] * _TRIES_ANY_PORT
    first, last = port_range
    ports = list(range(first + first % 2, last, 2))
    random.shuffle(ports)  # a port just given back may still receive the previous call's last packets
    return ports


def _bind_pair(host: str, port: int) -> tuple[socket.socket, socket.socket] | None:
    rtp = _bind(host, port)
    if rtp is None:
        return None
    number = rtp.getsockname()[1]
    rtcp = _bind(host, number + 1) if number % 2 == 0 else None
    if rtcp is None:
        rtp.close()
        return None
    return rtp, rtcp


def _bind(host: str, port: int) -> socket.socket | None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        sock.bind((host, port))
    except (OSError, OverflowError):
        sock.close()
        return None
    return sock
