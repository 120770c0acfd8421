"""Where a SIP server is: SRV first, then A (RFC 3263 section 4.2, RFC 2782), asked of one name server or the system's.

Blocking, and small: a probe asks it once. A truncated answer is asked for again over TCP.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bwlib.sip import dns_message as dns

Address = tuple[str, int]
TIMEOUT_S = 2.0
_ATTEMPTS = 2
_RCODES = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}


class NoNameServer(OSError):
    """No name server gave a usable answer: this says nothing about the name."""


@dataclass(frozen=True)
class Server:
    """One place to send to, as an SRV record names it, with the IPv4 addresses of its target."""

    priority: int
    weight: int
    port: int
    target: str
    addresses: tuple[str, ...]


def resolve_srv(name: str, nameserver: Address | None = None, timeout_s: float = TIMEOUT_S) -> list[Server]:
    """The servers that `name` (such as _sip._udp.example.com) stands for, in the order to try; empty when none.

    nameserver: (address, port); None means the system's. Raises NoNameServer, and DnsError for what is no name.
    """
    answer = _ask(name, dns.SRV, nameserver, timeout_s)
    servers = []
    for record in answer.records:
        if record.type != dns.SRV or record.name != _canonical(name, answer.records):
            continue
        priority, weight, port, target = record.data.split(" ")
        if not target:  # "." says: decidedly not available here (RFC 2782)
            return []
        known = tuple(r.data for r in answer.records if r.type == dns.A and r.name == target)
        addresses = known or tuple(resolve_a(target, nameserver, timeout_s))
        servers.append(Server(int(priority), int(weight), int(port), target, addresses))
    return sorted(servers, key=lambda server: (server.priority, -server.weight, server.target))


def resolve_a(name: str, nameserver: Address | None = None, timeout_s: float = TIMEOUT_S) -> list[str]:
    """The IPv4 addresses of `name`; empty when it has none or does not exist. Raises as resolve_srv."""
    answer = _ask(name, dns.A, nameserver, timeout_s)
    wanted = _canonical(name, answer.records)
    return [record.data for record in answer.records if record.type == dns.A and record.name == wanted]


def system_nameservers(file: Path = Path("/etc/resolv.conf")) -> list[Address]:
    """The name servers of resolv.conf(5), IPv4 and IPv6; without any, the one on this machine."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    named = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return [(address, 53) for address in named if _is_address(address)] or [("127.0.0.1", 53)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _canonical(name: str, records: Sequence[dns.Record]) -> str:
    """Follow CNAMEs inside one answer."""
    wanted = name.rstrip(".").lower()
    for _ in range(8):
        alias = next((r.data for r in records if r.type == dns.CNAME and r.name == wanted), None)
        if alias is None:
            break
        wanted = alias
    return wanted


def _ask(name: str, type_: int, nameserver: Address | None, timeout_s: float) -> dns.Message:
    faults = []
    for server in [nameserver] if nameserver else system_nameservers():
        for _ in range(_ATTEMPTS):
            try:
                answer = _exchange(name, type_, server, timeout_s)
            except (OSError, dns.DnsError) as error:
                faults.append(f"{server[0]}: {error or type(error).__name__}")
                continue
            if answer.rcode in (dns.NOERROR, dns.NXDOMAIN):
                return answer
            faults.append(f"{server[0]}: {_RCODES.get(answer.rcode, answer.rcode)}")
            break
    raise NoNameServer("; ".join(dict.fromkeys(faults)))


def _exchange(name: str, type_: int, server: Address, timeout_s: float) -> dns.Message:
    message_id = secrets.randbelow(65_536)
    query = dns.question(message_id, name, type_)
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.connect(server)  # datagrams from anybody else are not ours
        udp.send(query)
        deadline = time.monotonic() + timeout_s
        while True:
            udp.settimeout(max(0.01, deadline - time.monotonic()))
            answer = _ours(udp.recv(65_535), message_id, name, type_)
            if answer is not None:
                break
            if time.monotonic() >= deadline:
                raise TimeoutError("no answer to the question asked")
    return _by_tcp(query, server, family, timeout_s) if answer.truncated else answer


def _ours(data: bytes, message_id: int, name: str, type_: int) -> dns.Message | None:
    """The answer to our question; None for anything else, however it came here."""
    try:
        message = dns.parse(data)
    except dns.DnsError:
        return None
    asked = (message.id, message.name.lower(), message.type, message.is_response)
    return message if asked == (message_id, name.rstrip(".").lower(), type_, True) else None


def _by_tcp(query: bytes, server: Address, family: int, timeout_s: float) -> dns.Message:
    with socket.socket(family, socket.SOCK_STREAM) as tcp:
        tcp.settimeout(timeout_s)
        tcp.connect(server)
        tcp.sendall(struct.pack("!H", len(query)) + query)
        with tcp.makefile("rb") as stream:
            (length,) = struct.unpack("!H", stream.read(2).rjust(2, b"\0"))
            message = dns.parse(stream.read(length))
    if message.id != struct.unpack_from("!H", query)[0]:
        raise dns.DnsError("an answer to another question")
    return message
