"""An INVITE from a peer (RFC 3261 section 13.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bwlib.sip.call import Call, CallHost
from bwlib.sip.dialog import Dialog
from bwlib.sip.message import Request
from bwlib.sip.transaction import ServerTransaction


class IncomingCall(Call):
    """An INVITE from a peer. Exactly one of challenge(), reject() or answer() finishes the INVITE.

    cancelled: the peer sent CANCEL (487 has been sent). acked: our 200 was ACKed; remote_sdp then holds the answer
    if the INVITE came without an offer. The caller of ring/answer need not check for a CANCEL first: they do nothing
    on a call that is over.
    """

    def __init__(self, host: CallHost, request: Request, transaction: ServerTransaction) -> None:
        super().__init__(host, request.call_id)
        self.request = request
        self.source = request.source
        self.remote_sdp = request.sdp
        self.cancelled = asyncio.Event()
        self.acked = asyncio.Event()
        self._answered = False
        self._transaction = transaction
        transaction.on_cancel = self._cancel
        self.dialog = Dialog.as_server(request, transaction.to_tag)
        loop, timers = asyncio.get_running_loop(), host.layer.timers
        self._trying = loop.call_later(timers.trying_s, lambda: host.respond(transaction, 100))
        self._limit = loop.call_later(timers.ring_limit_s, self.reject, 480)
        host.keep(self)

    @property
    def answered(self) -> bool:
        return self._answered

    def ring(self, sdp: str | None = None) -> None:
        """180, or 183 with SDP."""
        if self._open():
            self._trying.cancel()
            self._host.respond(self._transaction, 180 if sdp is None else 183, sdp=sdp)

    def challenge(self, header_name: str, header_value: str) -> None:
        """401 (WWW-Authenticate) or 407 (Proxy-Authenticate). The caller's retry is a new IncomingCall."""
        self.reject(401 if header_name.lower() == "www-authenticate" else 407, headers=[(header_name, header_value)])

    def reject(self, code: int, reason: str | None = None, headers: Sequence[tuple[str, str]] = ()) -> None:
        """A final answer other than 2xx, with any further headers; repeated until its ACK."""
        if self._open():
            self._host.respond(self._transaction, code, reason, headers)
            self._close("rejected")

    def answer(self, sdp: str) -> bool:
        """200, repeated until its ACK. False when the call is over already (a CANCEL came first)."""
        if not self._open():
            return False
        self._trying.cancel()
        self._limit.cancel()
        self._answered = True
        self._send_200(self._transaction, sdp)
        return True

    async def hang_up(self) -> None:
        """BYE, after the ACK has come (RFC 3261 section 15); a call not yet answered is rejected with 603."""
        if not self._answered:
            self.reject(603)
            return
        acked, ended = asyncio.ensure_future(self.acked.wait()), asyncio.ensure_future(self.ended.wait())
        await asyncio.wait((acked, ended), return_when=asyncio.FIRST_COMPLETED)
        acked.cancel()
        ended.cancel()
        await self._bye("local")

    def _open(self) -> bool:
        return not self._answered and not self.ended.is_set()

    def _close(self, reason: str) -> None:
        self._trying.cancel()
        self._limit.cancel()
        self.end(reason)

    def end(self, reason: str) -> None:
        self._trying.cancel()
        self._limit.cancel()
        super().end(reason)

    def _cancel(self) -> None:
        if self._open():
            self._host.respond(self._transaction, 487)
            self.cancelled.set()
            self._close("cancel")

    def _receive_bye(self, transaction: ServerTransaction) -> None:
        if not self._answered:  # a BYE on the early dialog (RFC 3261 section 15.1.2)
            self._host.respond(self._transaction, 487)
        super()._receive_bye(transaction)

    def _acknowledged(self) -> None:
        self.acked.set()
