"""A site at a real Asterisk: an edge that challenges as Bandwidth's does on one side, a phone on the other."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from bwlib.models import Extension, OutboundRoute, SipEvent, Trunk
from bwlib.pbx.asterisk import AsteriskPbx
from bwlib.sandbox import pbx as stage_of
from bwlib.sip.agent import Agent, IncomingCall, OutboundCall
from bwlib.sip.digest import Credentials, DigestServer, ha1
from bwlib.sip.media import Media
from bwlib.sip.message import Request
from bwlib.sip.sdp import negotiate, offer

REALM = "acme-1a2b3c.auth.bandwidth.test"
NUMBER = "+19195550100"
PASSWORD = SecretStr("p;a=>ss")
PHONE = Credentials("101", SecretStr("phone-secret"))
LIMIT_S = 60
SITE = "north"


def bindable(host: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


EDGE_HOST, PHONE_HOST, STRANGER_HOST = (
    host if bindable(host) else "127.0.0.1" for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4")
)


def in_words(remote_sdp: str) -> str:
    """An answer without media behind it, for calls in which nothing is said."""
    return negotiate(remote_sdp, EDGE_HOST, 40000, ("PCMU",)).answer


@dataclass
class Edge:
    """Stands in for Bandwidth: 407, checks the digest, then does what `final` says (200 answers, else rejects).

    redirect: the Contact of a 302. calls: those that it answered.
    """

    final: int = 200
    redirect: str = ""
    media: Media | None = None
    password: str = PASSWORD.get_secret_value()
    digest: DigestServer = field(default_factory=DigestServer)
    events: list[SipEvent] = field(default_factory=list)
    invites: list[Request] = field(default_factory=list)
    calls: list[IncomingCall] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, event: SipEvent) -> None:
        self.events.append(event)
        self.news.set()

    async def on_invite(self, call: IncomingCall) -> None:
        self.invites.append(call.request)
        value = call.request.headers.get("Proxy-Authorization")
        stored = ha1("acme-user", REALM, self.password)
        if value is None or not self.digest.check(call.request, value, lambda user, realm: stored, realm=REALM).ok:
            call.challenge("Proxy-Authenticate", self.digest.challenge(REALM))
        elif self.final == 200:
            self.calls.append(call)
            call.answer(self.media.answer(call.remote_sdp) if self.media else in_words(call.remote_sdp))
        elif self.final == 302:
            call.reject(302, headers=[("Contact", self.redirect)])
        elif self.final:
            call.reject(self.final)

    def wire(self) -> list[str]:
        """What passed between PBX and edge: methods and statuses, in order, repeats and 100 left out."""
        lines = [event.text.split("\r\n", 1)[0].split() for event in self.events]
        words = [line[1] if line[0] == "SIP/2.0" else line[0] for line in lines]
        return [word for before, word in itertools.pairwise(["", *words]) if word not in ("100", before)]

    async def seen(self, count: int, word: str) -> None:
        """Until `word` passed that often."""
        async with asyncio.timeout(LIMIT_S):
            while self.wire().count(word) < count:
                self.news.clear()
                await self.news.wait()


@dataclass
class Site:
    pbx: AsteriskPbx
    stage: stage_of.PbxStage
    edge: Edge
    edge_agent: Agent
    phone: Agent
    phone_does: Callable[[IncomingCall], Awaitable[None]]
    rung: list[IncomingCall] = field(default_factory=list)

    async def on_phone(self, call: IncomingCall) -> None:
        self.rung.append(call)
        await self.phone_does(call)

    def dial(self, number: str, sdp: str = "") -> OutboundCall:
        return self.phone.invite(
            f"sip:{number}@{self.stage.sip[0]}:{self.stage.sip[1]}",
            from_uri=f"sip:101@{self.stage.sip[0]}",
            sdp=sdp or offer(PHONE_HOST, 40002),
            credentials=PHONE,
        )


def connect(stage: stage_of.PbxStage, site: str) -> AsteriskPbx:
    return AsteriskPbx(stage.config_dir, stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret, site)


async def over(call: OutboundCall) -> None:
    """Until the call was answered or ended."""
    events = [asyncio.ensure_future(event.wait()) for event in (call.answered, call.ended)]
    async with asyncio.timeout(LIMIT_S):
        await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)


async def ring_and_answer(call: IncomingCall) -> None:
    call.ring()
    call.answer(negotiate(call.remote_sdp, PHONE_HOST, 40002, ("PCMU",)).answer)


@asynccontextmanager
async def a_site(stage: stage_of.PbxStage, edge: Edge) -> AsyncIterator[Site]:
    """Edge and registered phone up, the PBX configured for both."""
    edge_agent = Agent(EDGE_HOST, on_invite=edge.on_invite, on_event=edge.on_event)
    phone = Agent(PHONE_HOST, on_invite=lambda call: site.on_phone(call))
    await edge_agent.start()
    await phone.start()
    pbx = connect(stage, SITE)
    site = Site(pbx, stage, edge, edge_agent, phone, ring_and_answer)
    proxy = f"{EDGE_HOST}:{edge_agent.address[1]}"
    pbx.put_trunk(
        Trunk("bandwidth", REALM, "acme-user", PASSWORD, NUMBER, REALM, outbound_proxy=proxy,
              bandwidth_ips=(EDGE_HOST,), inbound_extension="101")
    )  # fmt: skip
    pbx.put_route(OutboundRoute("us", "NXXNXXXXXX", "+1", "bandwidth", NUMBER))
    pbx.put_extension(Extension("101", PHONE.password, "us", "Front desk"))
    pbx.apply()
    registered = await phone.register(stage.sip, "101", PHONE)
    assert registered.status == 200
    try:
        yield site
    finally:
        await phone.register(stage.sip, "101", PHONE, expires_s=0)
        await phone.stop()
        await edge_agent.stop()


def at_site(
    stage: stage_of.PbxStage, edge: Callable[[], Edge], do: Callable[[Site], Coroutine[Any, Any, None]]
) -> None:
    async def run() -> None:
        async with a_site(stage, edge()) as site:
            await do(site)

    asyncio.run(run())


async def from_bandwidth(site: Site, agent: Agent, user: str) -> OutboundCall:
    sip = site.stage.sip
    call = agent.invite(f"sip:{user}@{sip[0]}:{sip[1]}", from_uri=f"sip:{NUMBER}@{EDGE_HOST}",
                        sdp=offer(EDGE_HOST, 40000))  # fmt: skip
    await over(call)
    return call
