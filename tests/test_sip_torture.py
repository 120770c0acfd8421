"""Messages after RFC 4475 (SIP torture tests), written from its descriptions, and a fuzz with a fixed seed."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
from sip_peer import SDP, RawPeer, agent_and_peer, answering, idle

from bwlib.sip.agent import IncomingCall
from bwlib.sip.message import Request, Response, SipMessageError, parse_message
from bwlib.sip.transport import is_sendable

HEAD = (
    "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKtorture\r\nFrom: <sip:caller@example.com>;tag=1\r\n"
    "To: <sip:callee@example.net>\r\nCall-ID: torture.1@example.com\r\n"
)


def request(start: str, rest: str = "", head: str = HEAD) -> str:
    method = start.split(" ", 1)[0]
    return f"{start}\r\n{head}CSeq: 1 {method}\r\n{rest}\r\n"


VALID = {
    # section 3.1.1.1: blanks, folds and quotes in every legal place
    "a short tortuous INVITE": (
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
        "TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
        'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
        "MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 0\r\n"
        "cseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n"
        "s :\r\nNewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
        "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nRoute:\r\n <sip:services.example.com;lr;unknown=value;flag>\r\n"
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
        'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n'
        "  secondparam ; q = 0.33\r\n\r\n"
    ),
    # section 3.1.1.2: every character that a token and a user may hold
    "wide range of valid characters": request(
        "!interesting-Method0123456789_*+`.%indeed'~ "
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com"
        " SIP/2.0",
        "extensionHeader-!.%*+_`'~: \ufeff\u5927\u505c\u96fb\r\n",
    ),
    "escaped characters (3.1.1.3)": request("INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0"),
    "escaped nulls (3.1.1.4)": request("REGISTER sip:null-%00-null@example.com SIP/2.0"),
    "a percent that escapes nothing (3.1.1.5)": request("RE%47IST%45R sip:registrar.example.com SIP/2.0"),
    "no blank before the bracket (3.1.1.6)": request("OPTIONS sip:user@example.com SIP/2.0").replace(
        "From: <", "From: caller<"
    ),
    "long values (3.1.1.7)": request(
        "INVITE sip:user@example.com SIP/2.0",
        f"Unknown-{'Long' * 20}: {'unknown-value' * 100}\r\n" + "Via: SIP/2.0/TCP sip33.example.com\r\n" * 34,
    ),
    "a second message in the datagram (3.1.1.8)": request("REGISTER sip:example.com SIP/2.0", "Content-Length: 0\r\n")
    + request("INVITE sip:joe@example.com SIP/2.0"),
    "semicolon in the user part (3.1.1.9)": request("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0"),
    "unknown transports in Via (3.1.1.10)": request(
        "OPTIONS sip:user@example.com SIP/2.0", "Via: SIP/2.0/UNKNOWN t1.example.com;branch=z9hG4bKx\r\n"
    ),
    "a body of several parts (3.1.1.11)": request(
        "MESSAGE sip:k@example.com SIP/2.0", "Content-Type: multipart/mixed;boundary=7a\r\nContent-Length: 4\r\n"
    )
    + "--7a",
    "a reason in another script (3.1.1.12)": request("SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять").replace(
        "1 SIP/2.0", "1 INVITE"
    ),
    "an empty reason (3.1.1.13)": request("SIP/2.0 100 ").replace("1 SIP/2.0", "1 INVITE"),
    "zero Max-Forwards (3.3.11)": request("OPTIONS sip:user@example.com SIP/2.0", "Max-Forwards: 0\r\n"),
    "a Contact with its parameters (3.3.13)": request(
        "REGISTER sip:example.com SIP/2.0", "Contact: sip:+19725552222@gw1.example.net;unknownparam\r\n"
    ),
    "an RFC 2543 request (3.4.1)": request("INVITE sip:u@example.com SIP/2.0", "Supported: \r\n").replace(
        ";branch=z9hG4bKtorture", ""
    ),
}

INVALID = {
    "extraneous separators (3.1.2.1)": request("INVITE sip:u@example.com SIP/2.0", "Via: SIP/2.0/UDP h;;,;,,\r\n"),
    "Content-Length too large (3.1.2.2)": request("INVITE sip:u@example.com SIP/2.0", "Content-Length: 9999\r\n") + SDP,
    "negative Content-Length (3.1.2.3)": request("INVITE sip:u@example.com SIP/2.0", "Content-Length: -999\r\n"),
    "numbers too large (3.1.2.4)": request("REGISTER sip:example.com SIP/2.0").replace(
        "CSeq: 1 ", "CSeq: 36893488147419103232 "
    ),
    "an unfinished quote (3.1.2.6)": request("INVITE sip:u@example.com SIP/2.0").replace(
        "To: <sip:callee@example.net>", 'To: "Mr. J. User <sip:j.user@example.com>'
    ),
    "brackets around the Request-URI (3.1.2.7)": request("INVITE <sip:user@example.com> SIP/2.0"),
    "blanks in the Request-URI (3.1.2.8)": request("INVITE sip:user@example.com; lr SIP/2.0"),
    "several blanks in the start line (3.1.2.9)": request("INVITE  sip:user@example.com  SIP/2.0"),
    "headers in the Request-URI (3.1.2.11)": request("INVITE sip:u@example.com?Route=%3Csip:e.com%3E SIP/2.0"),
    "a bare Contact with a question mark (3.1.2.13)": request(
        "REGISTER sip:example.com SIP/2.0", "Contact: sip:user@example.com?Route=%3Csip:s.example.com%3E\r\n"
    ),
    "an unquoted display name (3.1.2.15)": request("OPTIONS sip:u@example.com SIP/2.0").replace(
        "From: <", "From: Bell, Alexander <"
    ),
    "another SIP version (3.1.2.16)": request("OPTIONS sip:t.watson@example.org SIP/7.0"),
    "CSeq with another method (3.1.2.17)": request("OPTIONS sip:user@example.com SIP/2.0").replace("1 OPT", "1 INV"),
    "an unknown method that CSeq contradicts (3.1.2.18)": request("NEWMETHOD sip:user@example.com SIP/2.0").replace(
        "1 NEWMETHOD", "1 INVITE"
    ),
    "an unknown scheme (3.3.2)": request("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0"),
    "a known scheme that is not SIP (3.3.3)": request("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0"),
    "values that must be single (3.3.8)": request("INVITE sip:u@example.com SIP/2.0", "Call-ID: other\r\n"),
    "two Content-Lengths (3.3.9)": request(
        "OPTIONS sip:u@example.com SIP/2.0", "Content-Length: 0\r\nContent-Length: 5\r\n"
    ),
}  # fmt: skip

DROPPED = {
    "trailing blanks (3.1.2.10)": request("OPTIONS sip:remote-target@example.com SIP/2.0  "),
    "an overlarge response code (3.1.2.19)": request("SIP/2.0 4294967301 better not break the receiver"),
    "missing required headers (3.3.1)": "INVITE sip:user@example.com SIP/2.0\r\nCSeq: 193942 INVITE\r\n\r\n",
    "a response that is not for us (3.3.10)": request("SIP/2.0 200 OK").replace("1 SIP/2.0", "1 INVITE"),
    "an ACK that cannot be read": request("ACK sip:u@example.com SIP/2.0", "Content-Length: x\r\n"),
}


def via_peer(message: str, peer: RawPeer) -> str:
    """The same message with answers led back to the peer."""
    return message.replace("192.0.2.2;branch", "192.0.2.2;rport;branch").replace("192.0.2.2\r\n", "192.0.2.2;rport\r\n")


@pytest.mark.parametrize("name", VALID)
def test_a_valid_torture_message_is_read(name: str) -> None:
    message = parse_message(VALID[name].encode())
    again = parse_message(message.encode())
    assert isinstance(again, type(message))
    assert again.body == message.body
    assert {pair for pair in message.headers if pair[0] != "Content-Length"} <= set(again.headers)


@pytest.mark.parametrize("name", VALID)
def test_a_valid_torture_request_is_answered_but_not_with_400(name: str) -> None:
    async def main() -> None:
        async with agent_and_peer() as (_, peer):
            message = parse_message(VALID[name].encode())
            peer.send(via_peer(VALID[name], peer))
            if isinstance(message, Request):
                answer = await peer.get()
                assert isinstance(answer, Response)
                assert answer.status != 400
            peer.send(peer.message("OPTIONS", call_id="alive"))
            while (await peer.get()).call_id != "alive":
                pass

    asyncio.run(main())


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_torture_message_is_refused_and_the_agent_lives(name: str) -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            peer.send(via_peer(INVALID[name], peer))
            answer = await asyncio.wait_for(peer.inbox.get(), 10)
            assert int(answer.split()[1]) in (400, 416, 505)
            assert agent.state_count == 0, "a refusal keeps no state"
            peer.send(peer.message("OPTIONS"))
            await peer.response(200)

    asyncio.run(main())


@pytest.mark.parametrize("name", DROPPED)
def test_what_cannot_be_answered_is_dropped_and_the_agent_lives(name: str) -> None:
    async def main() -> None:
        async with agent_and_peer() as (_, peer):
            peer.send(DROPPED[name])
            peer.send(peer.message("OPTIONS"))
            await peer.response(200)

    asyncio.run(main())


def mutated(rng: random.Random, message: bytes) -> bytes:
    """One to six edits: bytes changed, cut, doubled, or replaced by what breaks parsers."""
    data = bytearray(message)
    for _ in range(rng.randint(1, 6)):
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == 1:
            del data[at : min(end, at + 40)]
        elif kind == 2:
            data[at:at] = data[at : min(end, at + 80)]
        elif kind == 3:
            data[at:at] = rng.choice(
                [b"\r\n", b"\0", b'"', b"<", b";rport=99999", b":99999", b"%", b"\xff", b" ", b"-1"]
            )
        elif kind == 4:
            data = bytearray(bytes(data).replace(b"1", rng.choice([b"99999999999", b"-", b"\xd9\xa3"]), 1))
        else:
            data = data[: max(1, end)]
    return bytes(data)


def test_mutated_messages_raise_nothing_but_sip_message_error() -> None:
    rng = random.Random(4475)
    sources = [text.encode() for text in [*VALID.values(), *INVALID.values(), *DROPPED.values()]]
    for _ in range(20_000 if os.environ.get("BW_SOAK") == "1" else 2_000):
        data = mutated(rng, rng.choice(sources))
        try:
            message = parse_message(data)
            assert parse_message(message.encode()).call_id == message.call_id
        except SipMessageError as error:
            if error.partial is not None:
                error.partial.response(400).encode()  # what is echoed must not raise either


def test_the_agent_stays_alive_under_mutated_messages_and_forgets_them() -> None:
    async def main() -> None:
        rng = random.Random(3261)
        calls: list[IncomingCall] = []
        count = 5_000 if os.environ.get("BW_SOAK") == "1" else 200
        async with agent_and_peer(on_invite=answering(calls)) as (agent, peer):
            tag = await peer.answered_call(call_id="fuzzed")
            for number in range(count):
                method = rng.choice(["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "REGISTER"])
                inside = rng.random() < 0.4
                message = peer.message(
                    method, cseq=number + 2, call_id="fuzzed" if inside else f"f{number}", to_tag=tag if inside else "",
                    body=rng.choice(["", SDP]), extra=rng.choice(["", "Record-Route: <sip:p;lr>\r\n"]),
                )  # fmt: skip
                peer.send(mutated(rng, message.encode()))
                if number % 20 == 0:
                    peer.send(peer.message("OPTIONS", call_id=f"alive{number}"))
                    async with asyncio.timeout(10):
                        while f"alive{number}".encode() not in await peer.inbox.get():
                            pass
            peer.transport.abort()  # nobody answers the BYEs: everything must time out by itself
            for call in calls:
                if not call.ended.is_set() and call.acked.is_set():
                    await call.hang_up()
            await idle(agent)

    asyncio.run(main())


def test_a_reply_is_only_sent_where_a_datagram_can_go() -> None:
    assert is_sendable(("127.0.0.1", 5060))
    bad = [("127.0.0.1", 0), ("127.0.0.1", 65536), ("127.0.0.1", -1), ("localhost", 5060), ("::1", 5060), ("", 5060)]
    assert not [address for address in [*bad, ("224.0.0.1", 5060), ("0.0.0.0", 5060)] if is_sendable(address)]


def test_peers_of_every_kind_of_response_do_no_harm() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            call = agent.invite(f"sip:x@127.0.0.1:{peer.port}", from_uri="sip:a@b", sdp=SDP)
            invite = await peer.request("INVITE")
            rng = random.Random(17)
            for status in (100, 180, 183, 200, 401, 407, 486):
                response = invite.response(status, to_tag="t", headers=[("Contact", "<sip:x@y>")]).encode()
                for _ in range(20):
                    changed = mutated(rng, response)
                    peer.send(changed.replace(b"SIP/2.0 200", b"SIP/2.0 180"))
            while not call.ended.is_set() and not call.answered.is_set():
                peer.answer(invite, 486)
                await asyncio.sleep(0.01)
            peer.send(peer.message("OPTIONS", call_id="alive"))
            while (await peer.get()).call_id != "alive":
                pass

    asyncio.run(main())
