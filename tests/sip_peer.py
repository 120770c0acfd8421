"""A raw SIP peer for the tests: sends exactly the bytes it is told to and waits for what comes back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bwlib.sip.agent import Agent, IncomingCall
from bwlib.sip.message import Request, Response, parse_message
from bwlib.sip.timers import Timers

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
QUICK = Timers(t1_s=0.02, t2_s=0.08, t4_s=0.05, trying_s=0.1, ring_limit_s=30)

_numbers = itertools.count(1)


class RawPeer(asyncio.DatagramProtocol):
    """A UDP socket without any SIP logic of its own."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.taken: set[tuple[str, str]] = set()  # branch and method of each request that request() gave out
        self.transport: Any = None
        self.agent_address = ("", 0)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.inbox.put_nowait(data)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def send(self, data: bytes | str) -> None:
        self.transport.sendto(data.encode() if isinstance(data, str) else data, self.agent_address)

    async def get(self, timeout_s: float = 10) -> Request | Response:
        return parse_message(await asyncio.wait_for(self.inbox.get(), timeout_s))

    async def response(self, status: int) -> Response:
        """The next message must be this response (100 is skipped)."""
        message = await self.get()
        while isinstance(message, Response) and message.status == 100 != status:
            message = await self.get()
        assert isinstance(message, Response), message
        assert message.status == status
        return message

    async def request(self, method: str) -> Request:
        """The next message must be this request (one that was taken and is sent again is skipped, as by a peer)."""
        message = await self.get()
        while isinstance(message, Request) and (message.top_via.branch, message.method) in self.taken:
            message = await self.get()
        assert isinstance(message, Request), message
        assert message.method == method
        if method != "ACK":  # which is no transaction of its own
            self.taken.add((message.top_via.branch, method))
        return message

    async def quiet(self, for_s: float = 0.3) -> list[bytes]:
        """What still comes within for_s."""
        await asyncio.sleep(for_s)
        return [self.inbox.get_nowait() for _ in range(self.inbox.qsize())]

    def message(
        self,
        method: str = "INVITE",
        *,
        cseq: int = 1,
        call_id: str = "call-1",
        branch: str = "",
        to_tag: str = "",
        via_port: int | str | None = None,
        via_params: str = "",
        extra: str = "",
        body: str = "",
    ) -> str:
        """A request from us; a new branch unless given, SDP when there is a body."""
        branch = branch or f"z9hG4bKraw{next(_numbers)}"
        tag = f";tag={to_tag}" if to_tag else ""
        content = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} sip:+19195550100@127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{via_port or self.port};branch={branch}{via_params}\r\n"
            f"From: <sip:raw@127.0.0.1>;tag=raw\r\nTo: <sip:+19195550100@127.0.0.1>{tag}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:raw@127.0.0.1:{self.port}>\r\n{extra}{content}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def answer(self, request: Request, status: int, extra: tuple[tuple[str, str], ...] = (), sdp: str = "") -> None:
        """Answer a request of the agent."""
        headers = [("Contact", f"<sip:raw@127.0.0.1:{self.port}>"), *extra]
        response = request.response(status, headers=headers, to_tag="rawtag")
        if sdp:
            response.set_body("application/sdp", sdp)
        self.send(response.encode())

    async def answered_call(self, **message: Any) -> str:
        """INVITE, 200, ACK. Returns the agent's To tag."""
        self.send(self.message(body=SDP, **message))
        tag = (await self.response(200)).to_addr.tag
        self.send(self.message("ACK", to_tag=tag))
        return tag


@asynccontextmanager
async def agent_and_peer(timers: Timers = QUICK, **options: Any) -> AsyncIterator[tuple[Agent, RawPeer]]:
    """A running Agent and a raw peer that sends to it."""
    agent = Agent(timers=timers, **options)
    await agent.start()
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_datagram_endpoint(RawPeer, local_addr=("127.0.0.1", 0))
    peer.agent_address = agent.address
    try:
        yield agent, peer
    finally:
        await agent.stop()
        peer.transport.close()


async def idle(agent: Agent) -> None:
    """Wait until the agent remembers nothing."""
    async with asyncio.timeout(20):
        while agent.state_count:  # noqa: ASYNC110  it counts timers that signal nobody
            await asyncio.sleep(0.02)


def answering(calls: list[IncomingCall]) -> Callable[[IncomingCall], Any]:
    """An on_invite that notes the call and answers it."""

    async def on_invite(call: IncomingCall) -> None:
        calls.append(call)
        call.answer(SDP)

    return on_invite
