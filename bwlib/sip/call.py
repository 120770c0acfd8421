"""What a call is once it is answered, whoever called (RFC 3261 sections 12 to 15)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from bwlib.sip.dialog import Dialog
from bwlib.sip.digest import Credentials
from bwlib.sip.message import Request, Response
from bwlib.sip.timers import Resend
from bwlib.sip.transaction import ServerTransaction, TransactionLayer
from bwlib.sip.transport import Address

log = logging.getLogger(__name__)

SDP = "application/sdp"


class CallHost(Protocol):
    """What a call needs of its agent."""

    layer: TransactionLayer

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        sdp: str | None = None,
    ) -> None: ...

    def complete(self, request: Request) -> Request: ...

    def keep(self, call: Call) -> None: ...

    def forget(self, call: Call) -> None: ...

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None: ...

    async def exchange(self, request: Request, target: Address, credentials: Credentials | None) -> Response: ...


class Call:
    """What an incoming and an outbound call share once there is a dialog.

    sip_call_id: the Call-ID. remote_sdp / local_sdp: the last one seen / sent. on_reinvite(sdp) gives the answer SDP
    (sdp is "" when the peer wants our offer; a ValueError is answered 488); without it the last local SDP is
    repeated. on_info(content_type, body) gets each INFO. ended is set once, end_reason says why:
    "bye" (the peer), "local" (we), "cancel", "rejected", "timeout".
    """

    def __init__(self, host: CallHost, call_id: str, credentials: Credentials | None = None) -> None:
        self._host, self._credentials = host, credentials
        self.sip_call_id = call_id
        self.dialog: Dialog | None = None
        self.remote_sdp = ""
        self.local_sdp = ""
        self.ended = asyncio.Event()
        self.end_reason = ""
        self.on_reinvite: Callable[[str], str] | None = None
        self.on_info: Callable[[str, bytes], None] | None = None
        self._unacked: tuple[int, ServerTransaction, Resend] | None = None  # CSeq of a 200 that waits for its ACK
        self._own_invite_pending = False

    def end(self, reason: str) -> None:
        """Note that the call is over. Only the first reason counts."""
        if self.ended.is_set():
            return
        self._stop_200()
        self.end_reason = reason
        self._host.forget(self)
        self.ended.set()

    # ------------------------------------------------------------ our requests

    async def _bye(self, reason: str) -> None:
        """Over for us at once (`ended` is set); returns when BYE was answered, or after timer F."""
        if self.dialog is None or self.ended.is_set():
            return
        self.end(reason)
        response = await self._in_dialog("BYE")
        if response.status >= 300:
            log.info("BYE of %s was answered %d %s", self.sip_call_id, response.status, response.reason)

    async def _in_dialog(self, method: str, content_type: str = "", body: bytes = b"") -> Response:
        if self.dialog is None:
            raise RuntimeError(f"{method} needs an answered call")
        request = self._host.complete(self.dialog.request(method))
        if body:
            request.set_body(content_type, body)
        response = await self._host.exchange(request, self.dialog.next_hop(), self._credentials)
        self.dialog.local_cseq = max(self.dialog.local_cseq, response.cseq[0])
        if response.status in (408, 481) and method != "BYE":
            self.end("timeout")  # RFC 3261 section 12.2.1.2: the dialog is gone
        return response

    async def info(self, content_type: str, body: bytes) -> Response:
        """Send INFO (RFC 2976 style, as DTMF by INFO uses it) and return the final answer."""
        return await self._in_dialog("INFO", content_type, body)

    async def reinvite(self, sdp: str) -> Response:
        """Offer another SDP inside the call and return the final answer; a 2xx is ACKed and updates remote_sdp."""
        self._own_invite_pending = True
        try:
            response = await self._in_dialog("INVITE", SDP, sdp.encode())
        finally:
            self._own_invite_pending = False
        if response.status < 300 and self.dialog is not None:
            self.dialog.refresh_target(response)
            self.local_sdp, self.remote_sdp = sdp, response.sdp or self.remote_sdp
            self._send_ack(self.dialog, response)
        return response

    def _send_ack(self, dialog: Dialog, response: Response, invite: Request | None = None) -> None:
        """ACK a 2xx along the route set, with the credentials of the INVITE."""
        ack = dialog.request("ACK", response.cseq[0])
        for name in ("Authorization", "Proxy-Authorization"):
            for value in invite.headers.get_all(name) if invite is not None else ():
                ack.headers.add(name, value)
        self._host.layer.acknowledge(response, ack, dialog.next_hop())

    # ------------------------------------------------------------ the peer's requests

    def receive(self, request: Request, transaction: ServerTransaction | None) -> None:
        """A request inside this dialog; transaction is None for an ACK."""
        if transaction is None:
            self._receive_ack(request)
            return
        if self.dialog is None or request.cseq[0] <= self.dialog.remote_cseq:
            self._host.respond(transaction, 500, "CSeq out of order")
            return
        self.dialog.remote_cseq = request.cseq[0]
        if request.method == "BYE":
            self._receive_bye(transaction)
        elif request.method == "INVITE":
            self._receive_reinvite(request, transaction)
        elif request.method == "INFO":
            self._receive_info(request, transaction)
        else:
            self._host.respond(transaction, 200 if request.method == "OPTIONS" else 405)

    def _receive_bye(self, transaction: ServerTransaction) -> None:
        self._host.respond(transaction, 200)
        self.end("bye")

    def _receive_info(self, request: Request, transaction: ServerTransaction) -> None:
        if self.on_info is None:
            self._host.respond(transaction, 415 if request.body else 200)
            return
        self._host.respond(transaction, 200)
        self.on_info(request.headers.get("Content-Type") or "", request.body)

    def _receive_reinvite(self, request: Request, transaction: ServerTransaction) -> None:
        if self._own_invite_pending:
            self._host.respond(transaction, 491)
            return
        if self._unacked is not None or not self.local_sdp:
            self._host.respond(transaction, 500, headers=[("Retry-After", "1")])  # RFC 3261 section 14.2
            return
        try:
            answer = self.on_reinvite(request.sdp) if self.on_reinvite is not None else self.local_sdp
        except ValueError as error:
            log.info("re-INVITE of %s refused: %s", self.sip_call_id, error)
            self._host.respond(transaction, 488)
            return
        assert self.dialog is not None
        self.dialog.refresh_target(request)
        self.remote_sdp = request.sdp or self.remote_sdp
        self._send_200(transaction, answer)

    def _send_200(self, transaction: ServerTransaction, sdp: str) -> None:
        """200 to an INVITE, repeated until its ACK; without one for 64*T1 we hang up (RFC 3261 section 13.3.1.4)."""
        timers = self._host.layer.timers
        self.local_sdp = sdp
        self._host.respond(transaction, 200, sdp=sdp)
        again = _AfterFirst(transaction.send_again)
        resend = Resend(again, timers.t1_s, timers.t2_s, timers.timeout_s, self._ack_missing)
        self._unacked = (transaction.request.cseq[0], transaction, resend)

    def _ack_missing(self) -> None:
        log.info("no ACK for the 200 of %s: hanging up", self.sip_call_id)
        self._unacked = None
        self._host.spawn(self._bye("timeout"))

    def _stop_200(self) -> None:
        if self._unacked is not None:
            self._unacked[2].stop()
            self._unacked = None

    def _receive_ack(self, ack: Request) -> None:
        if self._unacked is None or ack.cseq[0] != self._unacked[0]:
            return  # a repeated ACK
        self._stop_200()
        self.remote_sdp = ack.sdp or self.remote_sdp  # the answer, when our 200 held the offer
        self._acknowledged()

    def _acknowledged(self) -> None:
        """A 200 of ours was ACKed."""


class _AfterFirst:
    """Swallows the first call: Resend sends at once, but respond() has already sent the 200."""

    def __init__(self, send: Callable[[], object]) -> None:
        self._send, self._first = send, True

    def __call__(self) -> None:
        if not self._first:
            self._send()
        self._first = False
