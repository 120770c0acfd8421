"""An INVITE of ours (RFC 3261 section 13.2)."""

from __future__ import annotations

import asyncio

from bwlib.sip.call import Call, CallHost
from bwlib.sip.dialog import Dialog, authorize
from bwlib.sip.digest import Credentials
from bwlib.sip.message import Request, Response
from bwlib.sip.transaction import ClientTransaction
from bwlib.sip.transport import Address


class OutboundCall(Call):
    """An INVITE of ours. `answered` or `ended` always fires.

    status and reason: of the last answer; 408 with final_response None when nobody answered.
    ringing: a provisional answer other than 100 came.
    """

    def __init__(self, host: CallHost, invite: Request, credentials: Credentials | None) -> None:
        super().__init__(host, invite.call_id, credentials)
        self.request = invite
        self.local_sdp = invite.sdp
        self.status: int | None = None
        self.reason = ""
        self.final_response: Response | None = None
        self.ringing = asyncio.Event()
        self.answered = asyncio.Event()
        self._target: Address = ("", 0)
        self._transaction: ClientTransaction | None = None
        self._hanging_up = False

    def start(self, target: Address) -> None:
        self._target = target
        if not self.ended.is_set():
            self._transaction = self._host.layer.send(self.request, target, self._on_response)

    def fail(self, status: int, reason: str) -> None:
        """End it without an answer from anyone."""
        if not self.ended.is_set() and not self.answered.is_set():
            self.status, self.reason = status, reason
            self.end("timeout")

    async def hang_up(self) -> None:
        """BYE when answered, else CANCEL. Returns when the call is over; with a silent peer that takes timer B.

        A CANCEL may only follow a provisional answer, and a 200 may cross it: then it is ACKed and followed by BYE.
        """
        if self.answered.is_set():
            await self._bye("local")
            return
        self._hanging_up = True
        if self._transaction is None:
            self.end("cancel")
        elif self._transaction.provisional:
            self._transaction.cancel()
        await self.ended.wait()

    def _on_response(self, response: Response) -> None:
        if response.status >= 300 and not self._hanging_up:
            retry = authorize(self.request, response, self._credentials)
            if retry is not None:
                self.request = retry
                self.start(self._target)
                return
        if self.answered.is_set() or self.ended.is_set():
            if 200 <= response.status < 300:
                self._accept(response)
            return
        self.status, self.reason = response.status, response.reason
        if response.status < 200:
            self._progress(response)
            return
        self.final_response = None if response.locally_generated else response
        if response.status < 300:
            self._accept(response)
        elif self._hanging_up:
            self.end("cancel")
        else:
            self.end("timeout" if response.locally_generated else "rejected")

    def _progress(self, response: Response) -> None:
        if response.status > 100:
            self.remote_sdp = response.sdp or self.remote_sdp  # early media
            self.ringing.set()
        if self._hanging_up and self._transaction is not None:
            self._transaction.cancel()

    def _accept(self, response: Response) -> None:
        """A 2xx: the first makes the call, another one (a fork) gets ACK and BYE."""
        dialog = Dialog.as_client(self.request, response, self._target)
        self._send_ack(dialog, response, self.request)
        if self.dialog is not None:
            bye = self._host.complete(dialog.request("BYE"))
            self._host.spawn(self._host.exchange(bye, dialog.next_hop(), self._credentials))
            return
        self.dialog = dialog
        self.remote_sdp = response.sdp or self.remote_sdp
        if self._hanging_up:
            self._host.spawn(self._bye("cancel"))
            return
        self._host.keep(self)
        self.answered.set()
