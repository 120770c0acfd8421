"""The agent as a whole: calls, registration, options, two agents talking."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr
from sip_peer import QUICK, SDP, agent_and_peer, answering, idle

from bwlib.models import SipEvent
from bwlib.sip.agent import SILENT, Agent, Credentials, IncomingCall
from bwlib.sip.digest import DigestServer, ha1
from bwlib.sip.message import Request, Response, SipMessageError
from bwlib.sip.timers import Timers
from bwlib.sip.uri import SipUri, SipUriError

REALM = "site.auth.bandwidth.test"
ALICE = Credentials("alice", SecretStr("right"))
TARGET = f"sip:+19195550100@{REALM}"


class Edge:
    """Challenges every INVITE with 407, then answers and keeps the call."""

    def __init__(self) -> None:
        self.digest = DigestServer()
        self.calls: list[IncomingCall] = []

    async def on_invite(self, call: IncomingCall) -> None:
        value = call.request.headers.get("Proxy-Authorization")
        if value is None:
            call.challenge("Proxy-Authenticate", self.digest.challenge(REALM))
        elif not self.digest.check(call.request, value, lambda user, realm: ha1("alice", realm, "right")).ok:
            call.reject(403, headers=[("X-Why", "wrong password")])
        else:
            self.calls.append(call)
            call.ring()
            call.answer(SDP)


def test_a_call_is_challenged_answered_and_hung_up_by_the_caller() -> None:
    async def main() -> None:
        edge = Edge()
        server, client = Agent(on_invite=edge.on_invite, timers=QUICK), Agent(timers=QUICK)
        await server.start()
        await client.start()
        call = client.invite(
            TARGET, from_uri='"Site" <sip:+19195550111@site>', sdp=SDP, credentials=ALICE,
            headers=[("P-Asserted-Identity", "<sip:+19195550111@site>")], send_to=server.address,
        )  # fmt: skip
        await asyncio.wait_for(call.answered.wait(), 10)
        incoming = edge.calls[0]
        await asyncio.wait_for(incoming.acked.wait(), 10)
        assert (call.status, call.remote_sdp, incoming.remote_sdp) == (200, SDP, SDP)
        assert call.sip_call_id == incoming.sip_call_id
        assert incoming.request.headers.get("P-Asserted-Identity"), "headers go along on the retry"
        assert SipUri.parse(incoming.request.uri).host == REALM
        await call.hang_up()
        await asyncio.wait_for(incoming.ended.wait(), 10)
        assert (call.end_reason, incoming.end_reason) == ("local", "bye")
        await idle(client)
        await idle(server)
        await client.stop()
        await server.stop()

    asyncio.run(main())


def test_the_answering_side_can_hang_up() -> None:
    async def main() -> None:
        edge = Edge()
        async with agent_and_peer(on_invite=edge.on_invite) as (server, _):
            call = server.invite(TARGET, from_uri="sip:a@b", sdp=SDP, credentials=ALICE, send_to=server.address)
            await asyncio.wait_for(call.answered.wait(), 10)
            await edge.calls[0].hang_up()
            await asyncio.wait_for(call.ended.wait(), 10)
            assert (call.end_reason, edge.calls[0].end_reason) == ("bye", "local")

    asyncio.run(main())


def test_a_wrong_password_ends_after_one_retry_with_the_servers_own_words() -> None:
    async def main() -> None:
        events: list[SipEvent] = []
        async with agent_and_peer(on_invite=Edge().on_invite, on_event=events.append) as (agent, _):
            wrong = Credentials("alice", SecretStr("wrong"))
            call = agent.invite(TARGET, from_uri="sip:a@b", sdp=SDP, credentials=wrong, send_to=agent.address)
            await asyncio.wait_for(call.ended.wait(), 10)
            assert (call.status, call.reason, call.end_reason) == (403, "Forbidden", "rejected")
            assert call.final_response is not None
            assert call.final_response.headers.get("x-why") == "wrong password"
        assert len({event.text for event in events if event.text.startswith("INVITE")}) == 2

    asyncio.run(main())


def test_a_peer_that_challenges_for_ever_is_given_up() -> None:
    async def on_invite(call: IncomingCall) -> None:
        call.challenge("WWW-Authenticate", DigestServer().challenge(REALM))

    async def main() -> None:
        async with agent_and_peer(on_invite=on_invite) as (agent, _):
            call = agent.invite(TARGET, from_uri="sip:a@b", sdp=SDP, credentials=ALICE, send_to=agent.address)
            await asyncio.wait_for(call.ended.wait(), 10)
            assert (call.status, call.end_reason) == (401, "rejected")

    asyncio.run(main())


def test_a_reinvite_is_answered_by_the_handler_and_acked() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(on_invite=answering(calls)) as (agent, _):
            call = agent.invite(TARGET, from_uri="sip:a@b", sdp=SDP, send_to=agent.address)
            await asyncio.wait_for(call.answered.wait(), 10)
            await asyncio.wait_for(calls[0].acked.wait(), 10)
            calls[0].on_reinvite = lambda sdp: sdp.replace("4000", "4002")
            for _ in range(2):
                response = await call.reinvite(SDP + "a=sendonly\r\n")
                assert response.status == 200
            assert calls[0].remote_sdp.endswith("a=sendonly\r\n")
            assert "4002" in call.remote_sdp
            call.on_reinvite = None
            assert (await calls[0].reinvite(SDP)).sdp == call.local_sdp, "default: the last local SDP again"

    asyncio.run(main())


def test_a_reinvite_that_the_handler_refuses_is_488_and_the_call_goes_on() -> None:
    def refuse(sdp: str) -> str:
        raise ValueError("no common codec")

    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(on_invite=answering(calls)) as (agent, _):
            call = agent.invite(TARGET, from_uri="sip:a@b", sdp=SDP, send_to=agent.address)
            await asyncio.wait_for(call.answered.wait(), 10)
            await asyncio.wait_for(calls[0].acked.wait(), 10)
            calls[0].on_reinvite = refuse
            assert (await call.reinvite(SDP)).status == 488
            assert not call.ended.is_set()

    asyncio.run(main())


def test_digits_by_info_reach_the_handler() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        seen: list[tuple[str, bytes]] = []
        async with agent_and_peer(on_invite=answering(calls)) as (agent, _):
            call = agent.invite(TARGET, from_uri="sip:a@b", sdp=SDP, send_to=agent.address)
            await asyncio.wait_for(call.answered.wait(), 10)
            assert (await call.info("application/dtmf-relay", b"Signal=4")).status == 415
            calls[0].on_info = lambda content_type, body: seen.append((content_type, body))
            assert (await call.info("application/dtmf-relay", b"Signal=4")).status == 200
        assert seen == [("application/dtmf-relay", b"Signal=4")]

    asyncio.run(main())


def test_a_failing_handler_is_a_500_not_a_silence() -> None:
    async def broken(call: IncomingCall) -> None:
        raise KeyError("bug")

    def broken_too(request: Request) -> Response | None:
        raise KeyError("bug")

    async def main() -> None:
        async with agent_and_peer(on_invite=broken, on_request=broken_too) as (agent, _):
            call = agent.invite(TARGET, from_uri="sip:a@b", sdp=SDP, send_to=agent.address)
            await asyncio.wait_for(call.ended.wait(), 10)
            assert call.status == 500
            options = await agent.options(TARGET, send_to=agent.address)
            assert options is not None
            assert options.status == 500

    asyncio.run(main())


def test_on_request_decides_about_options_and_register() -> None:
    def on_request(request: Request) -> Response | None:
        if request.method == "REGISTER":
            return request.response(200, headers=[("Contact", request.headers.get("Contact") or "")])
        return SILENT if request.uri.startswith("sip:silent@") else None

    async def main() -> None:
        async with agent_and_peer(on_request=on_request) as (agent, _):
            assert (await agent.register(agent.address, "101", ALICE)).status == 200
            answer = await agent.options("sip:loud@x", send_to=agent.address)
            assert answer is not None
            assert answer.headers.get("Allow")
            assert await agent.options("sip:silent@x", send_to=agent.address) is None
            await idle(agent)

    asyncio.run(main())


def test_without_a_handler_register_is_405_and_an_unknown_method_501() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            assert (await agent.register(agent.address, "101", ALICE)).status == 405
            peer.send(peer.message("FLY"))
            await peer.response(501)
            peer.send(peer.message("INVITE", body=SDP))
            await peer.response(480)

    asyncio.run(main())


def test_register_answers_the_challenge_and_a_423_and_keeps_its_call_id() -> None:
    async def main() -> None:
        digest, seen = DigestServer(), list[Request]()

        def registrar(request: Request) -> Response:
            seen.append(request)
            value = request.headers.get("Authorization")
            if value is None or not digest.check(request, value, lambda u, r: ha1("alice", r, "right")).ok:
                return request.response(401, headers=[("WWW-Authenticate", digest.challenge(REALM))])
            if 0 < int(request.headers.get("Expires") or 0) < 600:
                return request.response(423, headers=[("Min-Expires", "600")])
            return request.response(200)

        async with agent_and_peer(on_request=registrar) as (agent, _):
            assert (await agent.register(agent.address, "101", ALICE, expires_s=60)).status == 200
            assert seen[-1].headers.get("Expires") == "600"
            assert (await agent.register(agent.address, "101", ALICE, expires_s=0)).status == 200
            assert (await agent.register(agent.address, "101", Credentials("alice", SecretStr("no")))).status == 401
        assert len({request.call_id for request in seen}) == 1
        numbers = [request.cseq[0] for request in seen]
        assert numbers == list(range(1, len(seen) + 1))

    asyncio.run(main())


def test_nobody_there_is_a_local_408_for_register_and_none_for_options() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            answer = await agent.register(("127.0.0.1", peer.port), "101", ALICE)
            assert (answer.status, answer.locally_generated) == (408, True)
            assert await agent.options("sip:x@y", send_to=("127.0.0.1", peer.port), timeout_s=0.05) is None
            await idle(agent)

    asyncio.run(main())


def test_a_name_that_does_not_resolve_ends_the_call_and_the_registration() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, _):
            call = agent.invite(TARGET, from_uri="sip:a@b", sdp=SDP)
            await asyncio.wait_for(call.ended.wait(), 30)
            assert (call.status, call.final_response) == (503, None)
            assert (await agent.register(SipUri(None, REALM), "101", ALICE)).locally_generated
            await idle(agent)

    asyncio.run(main())


@pytest.mark.parametrize("bad", [("X", "a\r\nVia: b"), ("Via", "SIP/2.0/UDP x"), ("Call-ID", "1"), ("X y", "1")])
def test_a_header_of_the_caller_cannot_break_the_message(bad: tuple[str, str]) -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            with pytest.raises(SipMessageError):
                agent.invite("sip:a@127.0.0.1", from_uri="sip:a@b", sdp=SDP, headers=[bad])
            with pytest.raises(SipUriError):
                agent.invite("sip:a@127.0.0.1", from_uri="sip:a@b\r\nX: y", sdp=SDP)
            assert await peer.quiet(0.05) == []
            assert agent.state_count == 0

    asyncio.run(main())


def test_events_are_the_wire_and_faults_sit_in_between() -> None:
    async def main() -> None:
        events: list[SipEvent] = []
        async with agent_and_peer(on_event=events.append, fault=lambda outgoing, data, far_end: None) as (agent, peer):
            peer.send(peer.message("OPTIONS"))
            assert await peer.quiet() == []
            assert [event.text.split()[0] for event in events] == ["OPTIONS"], "it arrived; nothing left"
            agent.fault = lambda outgoing, data, far_end: data.replace(b"200 OK", b"403 No") if outgoing else data
            peer.send(peer.message("OPTIONS"))
            await peer.response(403)
            assert events[-1].text.startswith("SIP/2.0 403 No")
            assert (events[-1].source, events[-1].target) == (f"127.0.0.1:{agent.address[1]}", f"127.0.0.1:{peer.port}")

    asyncio.run(main())


def test_failing_hooks_do_not_stop_the_messages() -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("bug in a hook")

    async def main() -> None:
        async with agent_and_peer(on_event=broken, fault=broken) as (_, peer):
            peer.send(peer.message("OPTIONS"))
            await peer.response(200)

    asyncio.run(main())


def test_stop_ends_what_is_up_and_frees_the_port() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(on_invite=answering(calls)) as (agent, _):
            call = agent.invite(TARGET, from_uri="sip:a@b", sdp=SDP, send_to=agent.address)
            await asyncio.wait_for(call.answered.wait(), 10)
            port = agent.address[1]
            await agent.stop()
            assert call.ended.is_set()
            assert calls[0].end_reason == "local"
            assert agent.state_count == 0
            again = Agent(port=port)
            await again.start()
            await again.stop()

    asyncio.run(main())


def test_nothing_is_remembered_after_many_calls_either_way() -> None:
    async def on_invite(call: IncomingCall) -> None:
        if call.request.uri.startswith("sip:busy@"):
            call.reject(486)
            return
        call.answer(SDP)
        if call.request.uri.startswith("sip:short@"):
            await call.hang_up()

    async def one(agent: Agent, number: int) -> str:
        user = ("busy", "short", "long")[number % 3]
        call = agent.invite(f"sip:{user}@x", from_uri="sip:a@b", sdp=SDP, send_to=agent.address)
        if user == "long":
            await call.answered.wait()
            await call.hang_up()
        await call.ended.wait()
        return call.end_reason

    async def main() -> None:
        async with agent_and_peer(Timers(t1_s=0.1, t2_s=0.4, t4_s=0.1), on_invite=on_invite) as (agent, _):
            reasons: list[str] = []
            for batch in range(10):
                reasons += await asyncio.gather(*(one(agent, batch * 30 + number) for number in range(30)))
            assert {reason: reasons.count(reason) for reason in reasons} == {"rejected": 100, "bye": 100, "local": 100}
            await idle(agent)

    asyncio.run(main())
