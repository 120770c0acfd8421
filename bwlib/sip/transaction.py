"""Transactions over UDP: who repeats what, and for how long (RFC 3261 section 17, with RFC 6026 for 2xx to INVITE)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace

from bwlib.sip.message import Headers, Request, Response, SipMessageError, Via, parse_message, with_top_via
from bwlib.sip.timers import Resend, Timers
from bwlib.sip.transport import Address, UdpTransport, is_sendable

log = logging.getLogger(__name__)

MAGIC_COOKIE = "z9hG4bK"


class ClientTransaction:
    """A request of ours. on_response gets each provisional, then the final one (for INVITE the 2xx of each fork).

    No answer is a locally generated 408. The ACK to a non-2xx final answer is sent here; the ACK to a 2xx is made by
    the call and given to acknowledge(), which repeats it whenever that 2xx comes again.
    """

    def __init__(
        self, layer: TransactionLayer, request: Request, target: Address, on_response: Callable[[Response], None]
    ) -> None:
        self.request, self.target = request, target
        self.key = (request.top_via.branch, request.method)
        self.provisional = False
        self._layer, self._on_response = layer, on_response
        self._state = "calling"
        self._linger: asyncio.TimerHandle | None = None
        self._ack: bytes = b""
        self._acks_2xx: dict[str, tuple[bytes, Address]] = {}  # by To tag: a fork answers with several
        data, timers = request.encode(), layer.timers
        cap_s = timers.timeout_s if request.method == "INVITE" else timers.t2_s
        self._resend = Resend(
            lambda: layer.transport.send(data, target), timers.t1_s, cap_s, timers.timeout_s, self._no_answer
        )

    @property
    def pending(self) -> bool:
        return self._state == "calling"

    def receive(self, response: Response) -> None:
        if response.status < 200:
            if not self.pending:
                return
            self.provisional = True
            if self.request.method == "INVITE":
                self._resend.stop()
            else:
                self._resend.slow_down()
        elif self._state == "completed":
            if self._ack:
                self._layer.transport.send(self._ack, self.target)
            return
        elif self._state == "accepted" and (response.status >= 300 or self._repeat_ack(response)):
            return
        else:
            self._finish(response)
        self._on_response(response)

    def acknowledge(self, response: Response, ack: bytes, target: Address) -> None:
        """Send the ACK to a 2xx, now and for each repeat of it."""
        self._acks_2xx[response.headers.get("To") or ""] = (ack, target)
        self._repeat_ack(response)

    def _repeat_ack(self, response: Response) -> bool:
        known = self._acks_2xx.get(response.headers.get("To") or "")
        if known is not None:
            self._layer.transport.send(*known)
        return known is not None

    def _finish(self, response: Response) -> None:
        """The first final answer, or the 2xx of another fork."""
        self._resend.stop()
        invite, timers = self.request.method == "INVITE", self._layer.timers
        if self._state == "calling":
            self._end_after(timers.timeout_s if invite else timers.t4_s)
        self._state = "accepted" if invite and response.status < 300 else "completed"
        if invite and response.status >= 300:
            self._ack = ack_for_failure(self.request, response).encode()
            self._layer.transport.send(self._ack, self.target)

    def cancel(self) -> None:
        """Send CANCEL (only after a provisional answer, RFC 3261 section 9.1); no final answer in 64*T1 is a 408."""
        if self.pending and self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(self._layer.timers.timeout_s, self._no_answer)
            self._layer.send(cancel_for(self.request), self.target, lambda response: None)

    def _no_answer(self) -> None:
        self.terminate()
        self._on_response(local_response(self.request, 408))

    def _end_after(self, delay_s: float) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._linger = asyncio.get_running_loop().call_later(delay_s, self.terminate)

    def terminate(self) -> None:
        self._state = "terminated"
        self._resend.stop()
        if self._linger is not None:
            self._linger.cancel()
        self._layer.clients.pop(self.key, None)


class ServerTransaction:
    """A request of a peer. Repeats of it are absorbed: they get the last answer again."""

    def __init__(self, layer: TransactionLayer, key: tuple[str, ...], request: Request) -> None:
        self.request, self.key = request, key
        self.to_tag = secrets.token_hex(6)
        self.on_cancel: Callable[[], None] | None = None
        self.merge_key = _merge_key(request)
        self._layer = layer
        self._target = response_target(request)
        self._last: bytes = b""
        self.final_status: int | None = None
        self._resend: Resend | None = None
        self._timer: asyncio.TimerHandle | None = None

    def respond(self, response: Response) -> None:
        """Send a provisional or the final answer. Anything after the final one is our mistake: logged, not sent."""
        if self.final_status is not None:
            log.warning("%s was already answered with %d", self.request.method, self.final_status)
            return
        self._last = response.encode()
        if response.status < 200:
            self._send_last()
            return
        self.final_status = response.status
        timers = self._layer.timers
        if self.request.method == "INVITE" and response.status >= 300:
            self._resend = Resend(self._send_last, timers.t1_s, timers.t2_s, timers.timeout_s, self.terminate)
        else:
            self._send_last()
            self._end_after(timers.timeout_s)

    def send_again(self) -> None:
        """The last answer once more: for a repeated request, and for a 200 to INVITE that was not ACKed yet."""
        if self._last:
            self._send_last()

    def stay_silent(self) -> None:
        """Never answer; repeats are absorbed for as long as the peer may send them."""
        self._end_after(self._layer.timers.timeout_s)

    def receive_ack(self) -> bool:
        """An ACK in this transaction. True when it belongs to a non-2xx answer and is dealt with."""
        if self.final_status is None or self.final_status < 300:
            return False
        if self._resend is not None:
            self._resend.stop()
            self._resend = None
            self._end_after(self._layer.timers.t4_s)
        return True

    def _send_last(self) -> None:
        self._layer.transport.send(self._last, self._target)

    def _end_after(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.terminate)

    def terminate(self) -> None:
        for timer in (self._resend, self._timer):
            if isinstance(timer, Resend):
                timer.stop()
            elif timer is not None:
                timer.cancel()
        self.on_cancel = None
        self._layer.forget_server(self)


class TransactionLayer:
    """Matches datagrams to transactions. on_request(request, transaction) gets new requests, and ACKs with None."""

    def __init__(
        self,
        transport: UdpTransport,
        timers: Timers,
        on_request: Callable[[Request, ServerTransaction | None], None],
    ) -> None:
        self.transport, self.timers, self._on_request = transport, timers, on_request
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self.servers: dict[tuple[str, ...], ServerTransaction] = {}
        self._merge_keys: dict[tuple[str, ...], ServerTransaction] = {}

    # ------------------------------------------------------------ client side

    def with_via(self, request: Request) -> Request:
        """A copy with our Via on top and a new branch."""
        host, port = self.transport.address
        via = Via("UDP", host, port, {"branch": MAGIC_COOKIE + secrets.token_hex(10), "rport": ""})
        return replace(request, headers=Headers([("Via", str(via)), *request.headers]))

    def send(
        self, request: Request, target: Address, on_response: Callable[[Response], None]
    ) -> ClientTransaction | None:
        """Start a transaction; a request without Via gets one. A target that is no address answers 503 by itself."""
        if not is_sendable(target):
            log.warning("%s not sent: %r is not an IPv4 address and port", request.method, target)
            asyncio.get_running_loop().call_soon(on_response, local_response(request, 503))
            return None
        request = request if "Via" in request.headers else self.with_via(request)
        transaction = ClientTransaction(self, request, target, on_response)
        self.clients[transaction.key] = transaction
        return transaction

    async def exchange(self, request: Request, target: Address) -> Response:
        """Send a request and wait for the final answer; 408 or 503 locally generated when there is none."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def keep(response: Response) -> None:
            if response.status >= 200 and not future.done():
                future.set_result(response)

        transaction = self.send(request, target, keep)
        try:
            return await future
        finally:
            if future.cancelled() and transaction is not None:
                transaction.terminate()  # the caller gave up: stop repeating

    def acknowledge(self, response: Response, ack: Request, target: Address) -> None:
        """Send the ACK to a 2xx: a request of its own, repeated when the 2xx is (RFC 3261 section 13.2.2.4)."""
        data = self.with_via(ack).encode()
        transaction = self.clients.get((response.top_via.branch, response.cseq[1]))
        if transaction is not None:
            transaction.acknowledge(response, data, target)
        else:
            self.transport.send(data, target)

    # ------------------------------------------------------------ receiving

    def receive(self, data: bytes, source: Address) -> None:
        try:
            message = parse_message(data)
        except SipMessageError as error:
            log.warning("unreadable message from %s:%d: %s", *source, error)
            if error.partial is not None:
                self._refuse(error.partial, error.status, str(error), source)
            return
        message.source = source
        if isinstance(message, Response):
            self._receive_response(message)
        else:
            self._receive_request(_with_received(message))

    def _refuse(self, request: Request, status: int, why: str, source: Address) -> None:
        """Answer a malformed request without keeping state: to where it came from, its Via cannot be trusted."""
        answer = request.response(status, to_tag=secrets.token_hex(6))
        answer.headers.add("Warning", f'399 bw-runbook "{why}"')
        self.transport.send(answer.encode(), source)

    def _receive_response(self, response: Response) -> None:
        transaction = self.clients.get((response.top_via.branch, response.cseq[1]))
        if transaction is None:
            log.debug("a %d response matches no transaction of ours", response.status)
        else:
            transaction.receive(response)

    def _receive_request(self, request: Request) -> None:
        key = server_key(request, "INVITE" if request.method == "ACK" else request.method)
        known = self.servers.get(key)
        if request.method == "ACK":
            if known is None or not known.receive_ack():
                self._on_request(request, None)
            return
        if known is not None:
            known.send_again()
            return
        transaction = ServerTransaction(self, key, request)
        self.servers[key] = transaction
        if request.method == "CANCEL":
            self._receive_cancel(request, transaction)
        elif transaction.merge_key and transaction.merge_key in self._merge_keys:
            transaction.respond(request.response(482, to_tag=transaction.to_tag))
        else:
            if transaction.merge_key:
                self._merge_keys[transaction.merge_key] = transaction
            self._on_request(request, transaction)

    def _receive_cancel(self, request: Request, transaction: ServerTransaction) -> None:
        invite = self.servers.get(server_key(request, "INVITE"))
        if invite is None:
            transaction.respond(request.response(481, to_tag=transaction.to_tag))
            return
        transaction.respond(request.response(200, to_tag=invite.to_tag))
        if invite.final_status is None and invite.on_cancel is not None:
            invite.on_cancel()

    def forget_server(self, transaction: ServerTransaction) -> None:
        self.servers.pop(transaction.key, None)
        if self._merge_keys.get(transaction.merge_key) is transaction:
            del self._merge_keys[transaction.merge_key]

    def close(self) -> None:
        for client in list(self.clients.values()):
            client.terminate()
        for server in list(self.servers.values()):
            server.terminate()


# ---------------------------------------------------------------- rules


def server_key(request: Request, method: str) -> tuple[str, ...]:
    """What makes two requests the same transaction (RFC 3261 section 17.2.3)."""
    via = request.top_via
    if via.branch.lower().startswith(MAGIC_COOKIE.lower()) and len(via.branch) > len(MAGIC_COOKIE):
        return (via.branch, via.host.lower(), str(via.port), method)
    return (request.call_id, request.from_addr.tag, str(request.cseq[0]), str(via), method)  # an RFC 2543 peer


def _merge_key(request: Request) -> tuple[str, ...]:
    """The same request over two paths has this in common (RFC 3261 section 8.2.2.2); () inside a dialog."""
    if request.to_addr.tag or request.method in ("CANCEL", "ACK"):
        return ()
    return (request.call_id, request.from_addr.tag, str(request.cseq[0]), request.method)


def _with_received(request: Request) -> Request:
    """Note in the top Via where the request came from (RFC 3261 section 18.2.1, RFC 3581 section 4)."""
    via, (host, port) = request.top_via, request.source
    if "rport" in via.params:
        via.params.update(received=host, rport=str(port))
    elif via.host != host:
        via.params.update(received=host)
    else:
        return request
    return with_top_via(request, via)


def response_target(request: Request) -> Address:
    """Where answers go: back to the source port when rport was asked for, else to the sent-by port."""
    via, (host, port) = request.top_via, request.source
    return (host, port) if "rport" in via.params else (host, via.port or 5060)


def ack_for_failure(invite: Request, response: Response) -> Request:
    """The ACK to a non-2xx answer: the INVITE's branch, the answer's To (RFC 3261 section 17.1.1.3)."""
    return _same_branch(invite, "ACK", response.headers.get("To") or "")


def cancel_for(invite: Request) -> Request:
    """The CANCEL of an INVITE (RFC 3261 section 9.1)."""
    return _same_branch(invite, "CANCEL", invite.headers.get("To") or "")


def _same_branch(invite: Request, method: str, to_value: str) -> Request:
    headers = Headers([("Via", str(invite.top_via)), ("Max-Forwards", "70")])
    headers.add("From", invite.headers.get("From") or "")
    headers.add("To", to_value)
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", f"{invite.cseq[0]} {method}")
    for route in invite.headers.get_all("Route"):
        headers.add("Route", route)
    return Request(method, invite.uri, headers=headers)


def local_response(request: Request, status: int) -> Response:
    """A stand-in for an answer that never came (RFC 3261 section 8.1.3.1)."""
    response = request.response(status)
    response.locally_generated = True
    return response
