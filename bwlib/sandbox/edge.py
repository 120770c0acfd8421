"""The SIP edge: what stands where a realm's FQDN or a SIP URI's host leads to. One UDP port on loopback.

Who may call, and for which application, is decided in `realm_door` and `sip_uri_edge`. Programmatic calls leave from
the same port.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Any

from bwlib.sandbox.admission import Admitted, Challenge, Refusal
from bwlib.sandbox.edge_legs import InboundLeg, OutboundLeg
from bwlib.sandbox.faults import Faults
from bwlib.sandbox.leg import CallFailed, CallLeg
from bwlib.sandbox.realm_door import RealmDoor
from bwlib.sandbox.sip_faults import break_audio, datagram_fault, hold_back, wrong_status
from bwlib.sandbox.sip_trace import SipTrace
from bwlib.sandbox.sip_uri_edge import SipUriDoor, is_for_sip_uri
from bwlib.sandbox.state import State
from bwlib.sandbox.switchboard import Switchboard
from bwlib.sandbox.webhooks import is_loopback
from bwlib.sip.agent import SILENT, Agent, IncomingCall
from bwlib.sip.media import Media, SdpError
from bwlib.sip.message import Request, Response
from bwlib.sip.uri import SipUri, SipUriError, is_e164

log = logging.getLogger(__name__)
HOSTS = ("127.0.0.2", "127.0.0.1")  # an address of its own where the system has it: ladders read better


class Edge:
    """start() binds; after stop(), start() binds the same port again."""

    def __init__(
        self,
        state: State,
        switchboard: Switchboard,
        on_activity: Callable[[], None],
        port: int = 0,
        faults: Faults | None = None,
    ) -> None:
        self._state = state
        self._switchboard = switchboard
        self._faults = faults or Faults()
        self._realms = RealmDoor(state)
        self._sip_uris = SipUriDoor(state)
        self._bind: tuple[str, int] | None = None
        self._port = port
        self._agent: Agent | None = None
        self.trace = SipTrace(on_activity)

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        if self._agent is not None:
            return
        for host in [self._bind[0]] if self._bind else HOSTS:
            agent = Agent(
                host,
                self._bind[1] if self._bind else self._port,
                user_agent="bw-runbook-sandbox",
                on_invite=self._on_invite,
                on_request=self._on_request,
                on_event=self.trace.add,
                fault=datagram_fault(self._faults),
            )
            try:
                await agent.start()
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or host == HOSTS[-1]:
                    raise
                continue
            self._agent, self._bind = agent, agent.address
            return

    async def stop(self) -> None:
        """Gone without a word, as after a crash: calls that are up get no BYE."""
        if self._agent is not None:
            await self._agent.stop()
            self._agent = None

    @property
    def running(self) -> bool:
        return self._agent is not None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, or did before it was stopped."""
        assert self._bind is not None, "the edge was never started"
        return self._bind

    # ---------------------------------------------------------------- calls to a SIP URI

    async def dial(self, to: str, from_: str, call: dict[str, Any]) -> CallLeg:
        """INVITE to `sip:user@host[:port]` on loopback. Raises CallFailed when it cannot be tried."""
        if self._agent is None:
            raise CallFailed("error", "the SIP edge is stopped")
        if is_e164(to):
            raise CallFailed("error", f"the sandbox does not imitate the PSTN: {to} cannot be reached")
        try:
            target = SipUri.parse(to)
        except SipUriError as error:
            raise CallFailed("error", f"{to}: {error}") from error
        if target.scheme != "sip" or not is_loopback(target.host):
            raise CallFailed("error", f"the sandbox calls sip: URIs on loopback only, not {to}")
        media = self._media()
        calling = self._agent.invite(target, from_uri=f"sip:{from_}@{self.address[0]}", sdp=media.offer())
        break_audio(self._faults, media, calling.sip_call_id, to, from_)
        return OutboundLeg(calling, media)

    def _media(self) -> Media:
        return Media(self.address[0], symmetric=self._state.switch("symmetric_rtp") == "yes")

    # ---------------------------------------------------------------- what comes in

    def _on_request(self, request: Request) -> Response | None:
        if request.method == "REGISTER":
            return request.response(int(self._state.switch("register")))
        if request.method != "OPTIONS" or self._state.switch("options") == "200":
            return None  # the agent's own answer
        return SILENT if self._state.switch("options") == "silent" else request.response(405)

    async def _on_invite(self, call: IncomingCall) -> None:
        await hold_back(self._faults, call)
        try:
            by_sip_uri = is_for_sip_uri(call.request)
            admitted = self._sip_uris.admit(call) if by_sip_uri else self._realms.admit(call.request, self.address[0])
            media = self._media()
        except Challenge as challenge:
            call.challenge(challenge.header, challenge.value)
        except Refusal as refusal:
            self._refuse(call, refusal)
        else:
            await self._connect(call, media, admitted)

    async def _connect(self, call: IncomingCall, media: Media, admitted: Admitted) -> None:
        try:
            answer = media.answer(call.remote_sdp) if call.remote_sdp else media.offer()
        except SdpError as error:
            await media.close()
            self._refuse(call, Refusal(488, str(error)))
            return
        wrong = wrong_status(self._faults, call)
        if wrong is not None:
            await media.close()
            call.reject(wrong)
            return
        break_audio(self._faults, media, call.sip_call_id, admitted.to, admitted.from_)
        self._switchboard.take_inbound(InboundLeg(call, media, answer), admitted)

    def _refuse(self, call: IncomingCall, refusal: Refusal) -> None:
        log.info("INVITE %s: %d, %s", call.sip_call_id, refusal.status, refusal.why)
        text = refusal.why.replace("\\", "").replace('"', "'")
        status = wrong_status(self._faults, call) or refusal.status
        call.reject(status, headers=[("Warning", f'399 bw-runbook-sandbox "{text}"')])
