"""SIP and audio faults at the edge: the agent's datagrams, its INVITEs, and the RTP of each call."""

from __future__ import annotations

import re

from bwlib.sandbox.faults import Facts, Fault, Faults
from bwlib.sip.agent import IncomingCall
from bwlib.sip.media import Media
from bwlib.sip.transport import Address
from bwlib.sip.transport import Fault as Hook

_HEAD_BYTES = 4_000  # enough for the headers that name a call
_CALL_ID = re.compile(r"^(?:call-id|i)[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(r"^cseq[ \t]*:[ \t]*\d+[ \t]+(\w+)", re.IGNORECASE | re.MULTILINE)
_TO = re.compile(r"^(?:to|t)[ \t]*:[^\r\n]*?sips?:([^@>;\s]+)@", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(r"^(?:from|f)[ \t]*:[^\r\n]*?sips?:([^@>;\s]+)@", re.IGNORECASE | re.MULTILINE)


def datagram_fault(faults: Faults) -> Hook:
    """The hook for the edge's agent: sip-silence and sip-bye-lost."""

    def hook(outgoing: bool, datagram: bytes, far_end: Address) -> bytes | None:
        if not faults.on():
            return datagram
        head = datagram[:_HEAD_BYTES].decode("utf-8", "replace")
        facts = _facts(head, far_end)
        call = str(facts["call"])
        if faults.claim("sip-silence", call, facts) is not None:
            return None
        if not head.startswith("BYE "):
            return datagram
        lost = faults.claim("sip-bye-lost", call, facts)
        return None if lost is not None and lost.value in ("both", "out" if outgoing else "in") else datagram

    return hook


async def hold_back(faults: Faults, call: IncomingCall) -> None:
    """sip-late: nothing but the agent's own 100 for a while."""
    fault = _claimed(faults, "sip-late", call)
    if fault is not None:
        await fault.pause(fault.number)


def wrong_status(faults: Faults, call: IncomingCall) -> int | None:
    """sip-reject: the status to answer this INVITE with, whatever the right one is."""
    fault = _claimed(faults, "sip-reject", call)
    return int(fault.value) if fault is not None else None


def break_audio(faults: Faults, media: Media, call: str, to: str, from_: str) -> None:
    """Let the audio faults act on this session from now on. call: its Call-ID; to and from_: the numbers."""
    facts = {"call": call, "to": to, "from": from_}

    def hook(outgoing: bool, packet: bytes) -> bytes | None:
        return None if faults.on() and _is_lost(faults, media, facts, outgoing, packet) else packet

    media.fault = hook


def _is_lost(faults: Faults, media: Media, facts: Facts, outgoing: bool, packet: bytes) -> bool:
    call = str(facts["call"])
    if faults.claim("audio-out-lost" if outgoing else "audio-in-lost", call, facts) is not None:
        return True
    agreed = media.negotiated
    is_digit = agreed is not None and len(packet) > 1 and packet[1] & 0x7F == agreed.telephone_event
    if is_digit and faults.claim("dtmf-lost", call, facts) is not None:
        return True
    lossy = faults.claim("audio-packets-lost", call, facts)
    return lossy is not None and lossy.random.random() * 100 < lossy.number


def _claimed(faults: Faults, name: str, call: IncomingCall) -> Fault | None:
    headers = call.request.headers
    lines = [f"{key}: {headers.get(key)}" for key in ("Call-ID", "CSeq", "To", "From")]
    return faults.claim(name, call.sip_call_id, _facts("\n".join(lines), call.source))


def _facts(head: str, far_end: Address) -> Facts:
    found = {"method": _CSEQ, "call": _CALL_ID, "to": _TO, "from": _FROM}
    matches = {key: pattern.search(head) for key, pattern in found.items()}
    facts = {key: match.group(1) if match else "" for key, match in matches.items()}
    return {**facts, "source": f"{far_end[0]}:{far_end[1]}"}
