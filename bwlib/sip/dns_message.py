"""DNS messages, as far as finding a SIP server needs them: A and SRV, questions and answers (RFC 1035, RFC 2782). Pure.

Names are text without the last dot. Everything here may come from a stranger: whatever does not fit is a DnsError.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, CNAME, SRV = 1, 5, 33
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION = 0x8000, 0x0400, 0x0200, 0x0100
_HEADER = struct.Struct("!6H")


class DnsError(ValueError):
    """A message that cannot be read, or a name that cannot be asked for."""


@dataclass(frozen=True)
class Record:
    """One resource record. data: an IPv4 address (A), a name (CNAME), or "priority weight port target" (SRV)."""

    name: str
    type: int
    data: str
    ttl_s: int = 5


@dataclass(frozen=True)
class Message:
    """id and flags as on the wire; the question's name keeps its case, those of records are lower case."""

    id: int
    flags: int
    name: str
    type: int
    records: tuple[Record, ...] = ()
    dns_class: int = IN

    @property
    def is_response(self) -> bool:
        return bool(self.flags & _RESPONSE)

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 15

    @property
    def rcode(self) -> int:
        return self.flags & 15

    @property
    def truncated(self) -> bool:
        return bool(self.flags & _TRUNCATED)


def question(message_id: int, name: str, type_: int) -> bytes:
    """A query with recursion desired. Raises DnsError for what is no name."""
    return _HEADER.pack(message_id, _RECURSION, 1, 0, 0, 0) + _name(name) + struct.pack("!2H", type_, IN)


def response(asked: Message, rcode: int, answers: Sequence[Record] = (), additional: Sequence[Record] = ()) -> bytes:
    """The authoritative answer to a query, its question repeated as it was written."""
    flags = _RESPONSE | _AUTHORITATIVE | asked.opcode << 11 | asked.flags & _RECURSION | rcode
    head = _HEADER.pack(asked.id, flags, 1, len(answers), 0, len(additional))
    body = _name(asked.name) + struct.pack("!2H", asked.type, asked.dns_class)
    return head + body + b"".join(map(_record, [*answers, *additional]))


def parse(data: bytes) -> Message:
    """Read a message with exactly one question. Records of other types are left out. Raises DnsError."""
    try:
        message_id, flags, questions, *counts = _HEADER.unpack_from(data)
        if questions != 1:
            raise DnsError("not exactly one question")
        name, at = _read_name(data, _HEADER.size)
        type_, dns_class = struct.unpack_from("!2H", data, at)
        at, records = at + 4, []
        for _ in range(sum(counts)):
            record, at = _read_record(data, at)
            if record is not None:
                records.append(record)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DnsError("the message ends too early or holds what is no name") from error
    return Message(message_id, flags, name, type_, tuple(records), dns_class)


def _record(record: Record) -> bytes:
    if record.type == A:
        data = ipaddress.IPv4Address(record.data).packed
    elif record.type == SRV:
        priority, weight, port, target = record.data.split(" ")
        data = struct.pack("!3H", int(priority), int(weight), int(port)) + _name(target)
    else:
        data = _name(record.data)
    return _name(record.name) + struct.pack("!2HIH", record.type, IN, record.ttl_s, len(data)) + data


def _name(text: str) -> bytes:
    encoded = bytearray()
    for label in text.rstrip(".").split(".") if text.rstrip(".") else []:
        raw = label.encode("latin-1", "replace")
        if not 1 <= len(raw) <= 63:
            raise DnsError(f"{text[:80]!r} is no domain name")
        encoded += bytes([len(raw)]) + raw
    if len(encoded) > 254:
        raise DnsError(f"{text[:80]!r} is too long for a domain name")
    return bytes(encoded) + b"\0"


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """The name at `at`, and where it ends. A pointer must point backwards, so that none can go in circles."""
    labels: list[str] = []
    end, limit, size = 0, at, 0
    while data[at]:
        length = data[at]
        if length & 0xC0 == 0xC0:
            end = end or at + 2
            target = (length & 0x3F) << 8 | data[at + 1]
            if target >= limit:
                raise DnsError("a name points forwards")
            at = limit = target
            continue
        if length > 63:
            raise DnsError("a label of a kind that there is not")
        size += length + 1
        if size > 254 or at + 1 + length > len(data):
            raise DnsError("a name is too long")
        labels.append(data[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels), end or at + 1


def _read_record(data: bytes, at: int) -> tuple[Record | None, int]:
    name, at = _read_name(data, at)
    type_, dns_class, ttl_s, length = struct.unpack_from("!2HIH", data, at)
    at, end = at + 10, at + 10 + length
    if end > len(data):
        raise DnsError("a record is cut off")
    if dns_class != IN or type_ not in (A, CNAME, SRV):
        return None, end
    if type_ == A:
        if length != 4:
            raise DnsError("an A record without an IPv4 address")
        text = str(ipaddress.IPv4Address(data[at:end]))
    elif type_ == SRV:
        priority, weight, port = struct.unpack_from("!3H", data, at)
        text = f"{priority} {weight} {port} {_read_name(data, at + 6)[0].lower()}"
    else:
        text = _read_name(data, at)[0].lower()
    return Record(name.lower(), type_, text, ttl_s), end
