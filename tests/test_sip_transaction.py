"""What goes wrong on UDP: lost, repeated and crossing messages, seen by a raw peer (RFC 3261 sections 8, 9, 13, 17)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pydantic import SecretStr
from sip_peer import QUICK, SDP, RawPeer, agent_and_peer, answering, idle

from bwlib.sip.agent import Agent, Credentials, IncomingCall, OutboundCall
from bwlib.sip.message import Request, parse_message
from bwlib.sip.timers import Timers

ALICE = Credentials("alice", SecretStr("right"))
CHALLENGE = ("Proxy-Authenticate", 'Digest realm="r", nonce="n1", qop="auth", algorithm=MD5')
SLOW_FIRST = Timers(t1_s=0.3, t2_s=1, t4_s=0.1, trying_s=0.1)  # repeats late enough not to disturb the script


async def busy(call: IncomingCall) -> None:
    call.reject(486)


def call_out(agent: Agent, peer: RawPeer, **options: Any) -> OutboundCall:
    target = f"sip:+19195550100@127.0.0.1:{peer.port}"
    return agent.invite(target, from_uri="sip:a@b", sdp=SDP, **options)


async def ended(call: OutboundCall | IncomingCall) -> str:
    await asyncio.wait_for(call.ended.wait(), 15)
    return call.end_reason


# ---------------------------------------------------------------- server side


def test_an_invite_sent_three_times_is_one_call() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []

        async def on_invite(call: IncomingCall) -> None:
            calls.append(call)
            call.ring()

        async with agent_and_peer(on_invite=on_invite) as (_, peer):
            invite = peer.message(body=SDP)
            for _ in range(3):
                peer.send(invite)
                assert (await peer.response(180)).to_addr.tag
            assert len(calls) == 1

    asyncio.run(main())


def test_trying_is_sent_when_the_handler_takes_its_time() -> None:
    async def main() -> None:
        waiting = asyncio.Event()

        async def on_invite(call: IncomingCall) -> None:
            await waiting.wait()
            call.answer(SDP)

        async with agent_and_peer(SLOW_FIRST, on_invite=on_invite) as (_, peer):
            peer.send(peer.message(body=SDP))
            assert (await peer.response(100)).to_addr.tag == ""
            waiting.set()
            await peer.response(200)

    asyncio.run(main())


def test_a_200_is_repeated_until_its_ack_and_again_for_a_repeated_invite() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(on_invite=answering(calls)) as (_, peer):
            invite = peer.message(body=SDP)
            peer.send(invite)
            tags = {(await peer.response(200)).to_addr.tag for _ in range(3)}
            assert len(tags) == 1
            peer.send(peer.message("ACK", to_tag=tags.pop()))
            await asyncio.wait_for(calls[0].acked.wait(), 5)
            await peer.quiet(0.02)
            assert await peer.quiet() == [], "silent after the ACK"
            peer.send(invite)
            await peer.response(200)
            assert len(calls) == 1

    asyncio.run(main())


def test_a_200_without_ack_ends_in_bye() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(on_invite=answering(calls)) as (agent, peer):
            peer.send(peer.message(body=SDP))
            message = await peer.get()
            while not isinstance(message, Request):
                message = await peer.get()
            assert message.method == "BYE"
            peer.answer(message, 200)
            assert await ended(calls[0]) == "timeout"
            await idle(agent)

    asyncio.run(main())


def test_hang_up_waits_for_the_ack() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(SLOW_FIRST, on_invite=answering(calls)) as (_, peer):
            peer.send(peer.message(body=SDP))
            tag = (await peer.response(200)).to_addr.tag
            hang_up = asyncio.ensure_future(calls[0].hang_up())
            await peer.response(200)  # still only repeats, no BYE
            peer.send(peer.message("ACK", to_tag=tag))
            peer.answer(await peer.request("BYE"), 200)
            await hang_up

    asyncio.run(main())


def test_a_486_is_repeated_until_its_ack() -> None:
    async def main() -> None:
        async with agent_and_peer(on_invite=busy) as (agent, peer):
            peer.send(peer.message(body=SDP, branch="z9hG4bKsame"))
            tags = [(await peer.response(486)).to_addr.tag for _ in range(3)]
            peer.send(peer.message("ACK", branch="z9hG4bKsame", to_tag=tags[0]))
            await peer.quiet(0.02)
            assert await peer.quiet() == []
            await idle(agent)

    asyncio.run(main())


def test_a_486_without_any_ack_is_given_up_and_forgotten() -> None:
    async def main() -> None:
        async with agent_and_peer(on_invite=busy) as (agent, peer):
            peer.send(peer.message(body=SDP))
            await peer.response(486)
            await idle(agent)
            assert len(await peer.quiet(0)) > 3

    asyncio.run(main())


def test_a_repeated_bye_gets_200_each_time() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(on_invite=answering(calls)) as (_, peer):
            tag = await peer.answered_call()
            await peer.quiet(0.05)
            bye = peer.message("BYE", cseq=2, to_tag=tag)
            for _ in range(3):
                peer.send(bye)
                await peer.response(200)
            assert await ended(calls[0]) == "bye"
            peer.send(peer.message("BYE", cseq=3, to_tag=tag))
            await peer.response(481)

    asyncio.run(main())


def test_cancel_is_200_then_487_until_its_ack() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []

        async def on_invite(call: IncomingCall) -> None:
            calls.append(call)
            call.ring()

        async with agent_and_peer(on_invite=on_invite) as (agent, peer):
            peer.send(peer.message(body=SDP, branch="z9hG4bKc"))
            tag = (await peer.response(180)).to_addr.tag
            peer.send(peer.message("CANCEL", branch="z9hG4bKc"))
            messages = [await peer.get(), await peer.get()]
            assert sorted((m.status, m.cseq[1]) for m in messages) == [(200, "CANCEL"), (487, "INVITE")]  # type: ignore[union-attr]
            await peer.response(487)
            peer.send(peer.message("ACK", branch="z9hG4bKc", to_tag=tag))
            assert await ended(calls[0]) == "cancel"
            assert calls[0].cancelled.is_set()
            assert calls[0].answer(SDP) is False
            await idle(agent)

    asyncio.run(main())


def test_a_cancel_after_our_200_changes_nothing() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(SLOW_FIRST, on_invite=answering(calls)) as (_, peer):
            peer.send(peer.message(body=SDP, branch="z9hG4bKc"))
            tag = (await peer.response(200)).to_addr.tag
            peer.send(peer.message("CANCEL", branch="z9hG4bKc"))
            assert (await peer.response(200)).cseq[1] == "CANCEL"
            peer.send(peer.message("ACK", to_tag=tag))
            await asyncio.wait_for(calls[0].acked.wait(), 5)
            assert not calls[0].cancelled.is_set()

    asyncio.run(main())


def test_requests_that_match_nothing_are_481() -> None:
    async def main() -> None:
        async with agent_and_peer(on_invite=busy) as (_, peer):
            for method in ("CANCEL", "BYE", "INFO"):
                peer.send(peer.message(method, to_tag="" if method == "CANCEL" else "nobody"))
                await peer.response(481)
            peer.send(peer.message("INVITE", to_tag="nobody", body=SDP))
            await peer.response(481)

    asyncio.run(main())


def test_the_same_request_over_two_paths_is_482() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(SLOW_FIRST, on_invite=answering(calls)) as (_, peer):
            peer.send(peer.message(body=SDP, branch="z9hG4bKone"))
            peer.send(peer.message(body=SDP, branch="z9hG4bKtwo"))
            assert sorted([(await peer.get()).status, (await peer.get()).status]) == [200, 482]  # type: ignore[union-attr]
            assert len(calls) == 1

    asyncio.run(main())


def test_record_routes_are_echoed_in_order_and_used_in_order() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        routes = "Record-Route: <sip:127.0.0.1:{0};lr;n=1>\r\nRecord-Route: <sip:127.0.0.1:{0};lr;n=2>\r\n"
        async with agent_and_peer(on_invite=answering(calls)) as (_, peer):
            extra = routes.format(peer.port)
            peer.send(peer.message(body=SDP, extra=extra))
            ok = await peer.response(200)
            wanted = [f"<sip:127.0.0.1:{peer.port};lr;n={n}>" for n in (1, 2)]
            assert ok.headers.get_list("Record-Route") == wanted
            peer.send(peer.message("ACK", to_tag=ok.to_addr.tag))
            await asyncio.wait_for(calls[0].acked.wait(), 5)
            await peer.quiet(0.02)
            hang_up = asyncio.ensure_future(calls[0].hang_up())
            bye = await peer.request("BYE")
            assert bye.headers.get_list("Route") == wanted
            assert bye.uri == f"sip:raw@127.0.0.1:{peer.port}"
            peer.answer(bye, 200)
            await hang_up

    asyncio.run(main())


def test_an_invite_without_offer_gets_ours_and_the_answer_comes_in_the_ack() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(on_invite=answering(calls)) as (_, peer):
            peer.send(peer.message())
            ok = await peer.response(200)
            assert ok.sdp == SDP
            answer = SDP.replace("4000", "4444")
            peer.send(peer.message("ACK", to_tag=ok.to_addr.tag, body=answer))
            await asyncio.wait_for(calls[0].acked.wait(), 5)
            assert calls[0].remote_sdp == answer

    asyncio.run(main())


def test_an_old_cseq_inside_a_dialog_is_500() -> None:
    async def main() -> None:
        calls: list[IncomingCall] = []
        async with agent_and_peer(on_invite=answering(calls)) as (_, peer):
            tag = await peer.answered_call(cseq=5)
            peer.send(peer.message("ACK", to_tag=tag, cseq=5))
            await peer.quiet(0.05)
            peer.send(peer.message("INFO", cseq=4, to_tag=tag))
            await peer.response(500)
            assert not calls[0].ended.is_set()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "status", "header"),
    [
        ({"extra": "Require: 100rel, x\r\n", "body": SDP}, 420, ("Unsupported", "100rel, x")),
        ({"extra": "Content-Type: text/plain\r\nX-Pad: 1\r\n"}, 480, ("Server", "bw-runbook")),
    ],
)
def test_what_an_invite_may_not_ask_for(options: dict[str, Any], status: int, header: tuple[str, str]) -> None:
    async def main() -> None:
        async with agent_and_peer() as (_, peer):
            peer.send(peer.message(**options))
            assert (await peer.response(status)).headers.get(header[0]) == header[1]

    asyncio.run(main())


def test_an_invite_with_another_body_than_sdp_is_415() -> None:
    async def main() -> None:
        async with agent_and_peer(on_invite=busy) as (_, peer):
            peer.send(peer.message(body="hello").replace("application/sdp", "text/plain"))
            assert (await peer.response(415)).headers.get("Accept") == "application/sdp"

    asyncio.run(main())


@pytest.mark.parametrize("port", ["99999", "-1", "0", "5060x"])
def test_a_bad_via_port_is_answered_400_and_the_socket_lives(port: str) -> None:
    async def main() -> None:
        async with agent_and_peer() as (_, peer):
            peer.send(peer.message("OPTIONS", via_port=port))
            answer = await asyncio.wait_for(peer.inbox.get(), 10)  # it echoes the bad Via, so no parser takes it
            assert answer.startswith(b"SIP/2.0 400 ")
            peer.send(peer.message("OPTIONS"))
            await peer.response(200)

    asyncio.run(main())


def test_rport_and_received_in_a_request_are_not_believed() -> None:
    async def main() -> None:
        async with agent_and_peer() as (_, peer):
            peer.send(peer.message("OPTIONS", via_port=9, via_params=";rport=99999;received=no.such.host"))
            via = (await peer.response(200)).top_via
            assert (via.params["rport"], via.params["received"]) == (str(peer.port), "127.0.0.1")

    asyncio.run(main())


# ---------------------------------------------------------------- client side


def test_an_invite_to_a_silent_peer_is_repeated_and_ends_as_408() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            call = call_out(agent, peer)
            assert await ended(call) == "timeout"
            assert (call.status, call.final_response) == (408, None)
            sent = await peer.quiet(0)
            assert len(sent) == 7, "timer A doubles from T1 to 64*T1"
            assert len(set(sent)) == 1
            assert agent.state_count == 0

    asyncio.run(main())


def test_a_machine_that_stands_still_for_a_moment_repeats_as_often() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            call = call_out(agent, peer)
            await peer.get()
            time.sleep(0.2)  # noqa: ASYNC251 - the whole event loop
            assert await ended(call) == "timeout"
            assert len(await peer.quiet(0)) == 6, "a repeat that is late delays none of the others"

    asyncio.run(main())


def test_hang_up_on_a_silent_peer_sends_no_cancel_and_ends_with_timer_b() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            call = call_out(agent, peer)
            await peer.request("INVITE")
            await asyncio.wait_for(call.hang_up(), 10)
            assert call.end_reason == "cancel"
            assert {parse_message(data).cseq[1] for data in await peer.quiet(0)} <= {"INVITE"}

    asyncio.run(main())


def test_a_bye_to_a_silent_peer_is_repeated_and_given_up() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            call = call_out(agent, peer)
            peer.answer(await peer.request("INVITE"), 200, sdp=SDP)
            await peer.request("ACK")
            await asyncio.wait_for(call.hang_up(), 15)
            assert call.end_reason == "local"
            assert len(await peer.quiet(0)) > 4
            await idle(agent)

    asyncio.run(main())


def test_a_407_is_acked_and_absorbed_and_the_retry_keeps_the_headers() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer, credentials=ALICE, headers=[("X-Site", "berlin")])
            first = await peer.request("INVITE")
            for _ in range(2):
                peer.answer(first, 407, (CHALLENGE,))
            messages = [await peer.get() for _ in range(3)]
            acks = [m for m in messages if isinstance(m, Request) and m.method == "ACK"]
            retries = [m for m in messages if isinstance(m, Request) and m.method == "INVITE"]
            assert (len(acks), len(retries)) == (2, 1)
            assert acks[0].top_via.branch == first.top_via.branch
            retry = retries[0]
            assert retry.headers.get("X-Site") == "berlin"
            assert (retry.call_id, retry.from_addr.tag, retry.cseq[0]) == (first.call_id, first.from_addr.tag, 2)
            assert retry.top_via.branch != first.top_via.branch
            peer.answer(retry, 486)
            await peer.request("ACK")
            assert await ended(call) == "rejected"

    asyncio.run(main())


def test_a_stale_nonce_is_answered_again() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer, credentials=ALICE)
            for nonce in ("n1", "n2", "n3"):
                invite = await peer.request("INVITE")
                value = CHALLENGE[1].replace("n1", nonce) + (", stale=true" if nonce != "n1" else "")
                peer.answer(invite, 407, (("Proxy-Authenticate", value),))
                await peer.request("ACK")
            invite = await peer.request("INVITE")
            assert 'nonce="n3"' in (invite.headers.get("Proxy-Authorization") or "")
            peer.answer(invite, 486)
            assert await ended(call) == "rejected"

    asyncio.run(main())


def test_cancel_waits_for_a_provisional_answer_and_487_is_acked() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer)
            invite = await peer.request("INVITE")
            hang_up = asyncio.ensure_future(call.hang_up())
            await asyncio.sleep(0)
            peer.answer(invite, 180)
            cancel = await peer.request("CANCEL")
            assert cancel.top_via.branch == invite.top_via.branch
            assert cancel.cseq == (invite.cseq[0], "CANCEL")
            peer.answer(cancel, 200)
            peer.answer(invite, 487)
            ack = await peer.request("ACK")
            assert ack.to_addr.tag == "rawtag"
            await asyncio.wait_for(hang_up, 5)
            assert (call.end_reason, call.status) == ("cancel", 487)

    asyncio.run(main())


def test_a_200_that_crosses_our_cancel_is_acked_and_hung_up() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer)
            invite = await peer.request("INVITE")
            peer.answer(invite, 180)
            await asyncio.wait_for(call.ringing.wait(), 5)
            hang_up = asyncio.ensure_future(call.hang_up())
            peer.answer(await peer.request("CANCEL"), 481)
            peer.answer(invite, 200, sdp=SDP)
            await peer.request("ACK")
            peer.answer(await peer.request("BYE"), 200)
            await asyncio.wait_for(hang_up, 5)
            assert call.end_reason == "cancel"
            assert not call.answered.is_set()

    asyncio.run(main())


def test_a_peer_that_ignores_our_cancel_is_given_up() -> None:
    async def main() -> None:
        async with agent_and_peer() as (agent, peer):
            call = call_out(agent, peer)
            peer.answer(await peer.request("INVITE"), 180)
            await asyncio.wait_for(call.ringing.wait(), 5)
            await asyncio.wait_for(call.hang_up(), 10)
            assert call.end_reason == "cancel"
            await idle(agent)

    asyncio.run(main())


def test_the_ack_to_a_200_follows_contact_and_the_reversed_route_set() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer)
            invite = await peer.request("INVITE")
            routes = tuple(("Record-Route", f"<sip:127.0.0.1:{peer.port};lr;n={n}>") for n in (1, 2))
            peer.answer(invite, 200, routes, SDP)
            ack = await peer.request("ACK")
            assert ack.uri == f"sip:raw@127.0.0.1:{peer.port}"
            assert ack.headers.get_list("Route") == [value for _, value in routes[::-1]]
            assert ack.top_via.branch != invite.top_via.branch
            assert ack.cseq == (1, "ACK")
            assert call.answered.is_set()

    asyncio.run(main())


def test_a_strict_router_gets_the_rfc_2543_form() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call_out(agent, peer)
            invite = await peer.request("INVITE")
            peer.answer(invite, 200, (("Record-Route", f"<sip:127.0.0.1:{peer.port}>"),), SDP)
            ack = await peer.request("ACK")
            assert ack.uri == f"sip:127.0.0.1:{peer.port}"
            assert ack.headers.get_list("Route") == [f"<sip:raw@127.0.0.1:{peer.port}>"]

    asyncio.run(main())


def test_a_repeated_200_gets_the_same_ack_and_a_fork_gets_ack_and_bye() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer)
            invite = await peer.request("INVITE")
            acks = []
            for _ in range(3):
                peer.answer(invite, 200, sdp=SDP)
                acks.append((await peer.request("ACK")).encode())
            assert len(set(acks)) == 1
            fork = invite.response(200, headers=[("Contact", f"<sip:fork@127.0.0.1:{peer.port}>")], to_tag="fork")
            peer.send(fork.encode())
            assert (await peer.request("ACK")).to_addr.tag == "fork"
            bye = await peer.request("BYE")
            assert bye.to_addr.tag == "fork"
            peer.answer(bye, 200)
            assert call.answered.is_set()
            assert not call.ended.is_set()

    asyncio.run(main())


def test_a_repeated_200_to_our_reinvite_gets_its_ack_again() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer)
            peer.answer(await peer.request("INVITE"), 200, sdp=SDP)
            await peer.request("ACK")
            task = asyncio.ensure_future(call.reinvite(SDP))
            again = await peer.request("INVITE")
            for _ in range(2):
                peer.answer(again, 200, sdp=SDP)
                assert (await peer.request("ACK")).cseq == (2, "ACK")
            assert (await task).status == 200

    asyncio.run(main())


def test_a_reinvite_while_ours_is_pending_is_491() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer)
            invite = await peer.request("INVITE")
            peer.answer(invite, 200, sdp=SDP)
            await peer.request("ACK")
            task = asyncio.ensure_future(call.reinvite(SDP))
            ours = await peer.request("INVITE")
            theirs = peer.message("INVITE", call_id=call.sip_call_id, to_tag=invite.from_addr.tag, body=SDP)
            peer.send(theirs.replace(";tag=raw\r\n", ";tag=rawtag\r\n"))
            await peer.response(491)
            peer.answer(ours, 200, sdp=SDP)
            await peer.request("ACK")
            assert (await task).status == 200

    asyncio.run(main())


def test_early_media_and_ringing_are_seen() -> None:
    async def main() -> None:
        async with agent_and_peer(SLOW_FIRST) as (agent, peer):
            call = call_out(agent, peer)
            invite = await peer.request("INVITE")
            peer.answer(invite, 100)
            peer.answer(invite, 183, sdp=SDP)
            await asyncio.wait_for(call.ringing.wait(), 5)
            assert (call.status, call.remote_sdp) == (183, SDP)
            peer.answer(invite, 603)
            await peer.request("ACK")
            assert await ended(call) == "rejected"
            assert (call.status, call.reason) == (603, "Decline")

    asyncio.run(main())


def test_a_contact_that_cannot_be_sent_to_never_kills_the_socket() -> None:
    async def main() -> None:
        async with agent_and_peer(QUICK) as (agent, peer):
            call = call_out(agent, peer)
            invite = await peer.request("INVITE")
            response = invite.response(200, headers=[("Contact", "<sip:x@no.such.host:1>")], to_tag="rawtag")
            peer.send(response.encode())
            ack = await peer.request("ACK")
            assert ack.uri == "sip:x@no.such.host:1", "a name stands for the peer we know"
            peer.answer(invite, 200)
            await peer.get()
            assert call.answered.is_set()

    asyncio.run(main())
