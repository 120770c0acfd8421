"""A SIP user agent on one UDP socket: server and client, as the sandbox's edge and the scripted phone use it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from bwlib.models import SipEvent
from bwlib.sip.call import SDP, Call
from bwlib.sip.dialog import DialogKey, authorize, literal_address, renumbered
from bwlib.sip.digest import Credentials
from bwlib.sip.incoming import IncomingCall
from bwlib.sip.message import Headers, Request, Response, SipMessageError
from bwlib.sip.outbound import OutboundCall
from bwlib.sip.timers import Timers
from bwlib.sip.transaction import ServerTransaction, TransactionLayer
from bwlib.sip.transport import Address, Fault, UdpTransport
from bwlib.sip.uri import NameAddr, SipUri, SipUriError

__all__ = ["SILENT", "Agent", "Credentials", "IncomingCall", "OutboundCall", "Timers"]

log = logging.getLogger(__name__)

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"
UNSUPPORTED = ("REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "MESSAGE", "UPDATE")  # known, so 405
RESERVED = ("via", "from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "contact")
SILENT = Response(0, "no answer at all")  # what on_request returns to stay silent


class Agent:
    """One UDP socket, UAS and UAC. Everything runs in the event loop that start() was called in.

    on_invite(call): a task per new INVITE outside a dialog; repeats, merged requests (482), unknown extensions (420)
    and bodies other than SDP (415) never reach it. on_request(request): any other request outside a dialog; it
    returns a Response (made with request.response()), SILENT, or None for the default (200 to OPTIONS, else 405).
    on_event: every datagram on the wire, unredacted. fault(outgoing, datagram): changes or drops (None) datagrams.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        user_agent: str = "bw-runbook",
        timers: Timers | None = None,
        on_invite: Callable[[IncomingCall], Awaitable[None]] | None = None,
        on_request: Callable[[Request], Response | None] | None = None,
        on_event: Callable[[SipEvent], None] | None = None,
        fault: Fault | None = None,
    ) -> None:
        self.user_agent = user_agent
        self.on_invite = on_invite
        self.on_request = on_request
        self._bind = (host, port)
        self._transport = UdpTransport(self._receive, on_event, fault)
        self.layer = TransactionLayer(self._transport, timers or Timers(), self._dispatch)
        self._calls: dict[DialogKey, Call] = {}
        self._outbound: set[OutboundCall] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._registrations: dict[tuple[str, str], tuple[str, int]] = {}  # Call-ID and CSeq stay per address

    async def start(self) -> None:
        """Bind the socket. Raises OSError when the address is taken or not on this machine."""
        await self._transport.open(*self._bind)

    async def stop(self) -> None:
        """Close the socket and drop all state. Calls that are up end with reason "local"; no BYE is sent."""
        for call in [*self._calls.values(), *self._outbound]:
            call.end("local")
        self.layer.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.close()

    @property
    def address(self) -> Address:
        """Where the socket is bound: (host, port)."""
        return self._transport.address

    @property
    def fault(self) -> Fault | None:
        """The fault hook; may be set while running."""
        return self._transport.fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._transport.fault = fault

    @property
    def state_count(self) -> int:
        """How many transactions, calls and tasks are remembered; 0 when idle."""
        layer = self.layer
        return len(layer.clients) + len(layer.servers) + len(self._calls) + len(self._outbound) + len(self._tasks)

    def contact(self, user: str | None = None) -> SipUri:
        """Our address as a URI, as it stands in Contact."""
        return SipUri(user, self.address[0], self.address[1])

    # ------------------------------------------------------------ client side

    def invite(
        self,
        target: SipUri | str,
        *,
        from_uri: str,
        sdp: str,
        credentials: Credentials | None = None,
        headers: Sequence[tuple[str, str]] = (),
        send_to: Address | None = None,
    ) -> OutboundCall:
        """Call. Returns at once; wait for `answered` or `ended`. send_to: where packets go (an outbound proxy).

        from_uri: a URI or `"Name" <uri>`. headers go along on the retry after a challenge too. Raises SipUriError or
        SipMessageError (both ValueError) when target, from_uri or headers cannot be sent.
        """
        request = self._new_request("INVITE", str(target), from_uri)
        for name, value in headers:
            if name.lower() in RESERVED:
                raise SipMessageError(f"{name} is set by the agent")
            request.headers.add(name, value)
        request = self.complete(request)
        if sdp:
            request.set_body(SDP, sdp)
        call = OutboundCall(self, request, credentials)
        self._outbound.add(call)
        address = send_to or literal_address(request.uri)
        if address is not None:
            call.start(address)
        else:
            self.spawn(self._start_by_name(call, SipUri.parse(request.uri)))
        return call

    async def _start_by_name(self, call: OutboundCall, uri: SipUri) -> None:
        try:
            call.start(await resolve(uri))
        except OSError as error:
            call.fail(503, f"{uri.host} does not resolve ({error.strerror})")

    async def register(
        self,
        registrar: Address | SipUri,
        username: str,
        credentials: Credentials | None,
        expires_s: int = 300,
    ) -> Response:
        """REGISTER and answer 401, 407 and 423. expires_s 0 unregisters.

        Returns the final answer; when nobody answered it is a 408 (name not found: 503) with `locally_generated`.
        """
        uri = registrar if isinstance(registrar, SipUri) else SipUri(None, registrar[0], registrar[1])
        address_of_record = str(SipUri(username, uri.host, uri.port))
        key = (str(uri), username)
        call_id, cseq = self._registrations.get(key, (secrets.token_hex(12), 0))
        request = self._new_request("REGISTER", str(uri), address_of_record, to_uri=address_of_record)
        request.headers.set("Call-ID", call_id)
        request.headers.set("CSeq", f"{cseq + 1} REGISTER")
        request.headers.add("Contact", f"<{self.contact(username)}>")
        request.headers.add("Expires", str(expires_s))
        request.headers.add("User-Agent", self.user_agent)
        try:
            target = await resolve(uri)
        except OSError:
            return Response(503, f"{uri.host} does not resolve", locally_generated=True)
        response = await self.exchange(request, target, credentials)
        self._registrations[key] = (call_id, response.cseq[0])
        return response

    async def options(
        self, target: SipUri | str, send_to: Address | None = None, timeout_s: float | None = None
    ) -> Response | None:
        """Ask whether someone is there. None when nobody answered in time (default: timer F, 32 s)."""
        request = self._new_request("OPTIONS", str(target), str(self.contact()))
        request.headers.add("Accept", SDP)
        try:
            address = send_to or await resolve(SipUri.parse(str(target)))
            async with asyncio.timeout(timeout_s):
                response = await self.layer.exchange(request, address)
        except (TimeoutError, OSError):
            return None
        return None if response.locally_generated else response

    async def exchange(self, request: Request, target: Address, credentials: Credentials | None) -> Response:
        """Send a request outside or inside a dialog; answer challenges and 423; return the final answer."""
        response = await self.layer.exchange(request, target)
        for _ in range(4):  # 401, 407, stale, 423: more is a loop
            retry = authorize(request, response, credentials) or _longer(request, response)
            if retry is None:
                break
            request = retry
            response = await self.layer.exchange(request, target)
        return response

    def _new_request(self, method: str, uri: str, from_uri: str, to_uri: str | None = None) -> Request:
        SipUri.parse(uri)
        sender = as_name_addr(from_uri)
        headers = Headers([("Max-Forwards", "70")])
        headers.add("From", str(NameAddr(sender.uri, sender.display_name, {"tag": secrets.token_hex(6)})))
        headers.add("To", f"<{to_uri or uri}>")
        headers.add("Call-ID", secrets.token_hex(12))
        headers.add("CSeq", f"1 {method}")
        return Request(method, uri, headers=headers)

    # ------------------------------------------------------------ server side

    def _receive(self, data: bytes, source: Address) -> None:
        self.layer.receive(data, source)

    def _dispatch(self, request: Request, transaction: ServerTransaction | None) -> None:
        """Nothing in a request may end in silence: what fails here is answered 400 or 500."""
        try:
            self._receive_request(request, transaction)
        except Exception as error:
            status = 400 if isinstance(error, (SipMessageError, SipUriError)) else 500
            log.exception("a %s from %s:%d could not be handled", request.method, *request.source)
            if transaction is not None and transaction.final_status is None:
                self.respond(transaction, status)

    def _receive_request(self, request: Request, transaction: ServerTransaction | None) -> None:
        call = self._calls.get((request.call_id, request.to_addr.tag, request.from_addr.tag))
        if call is not None:
            call.receive(request, transaction)
        elif transaction is None:
            log.debug("an ACK matches no call")
        elif request.to_addr.tag:
            self.respond(transaction, 481)
        elif request.method == "INVITE":
            self._receive_invite(request, transaction)
        else:
            self._receive_other(request, transaction)

    def _receive_invite(self, request: Request, transaction: ServerTransaction) -> None:
        required = request.headers.get_list("Require")
        if required:
            self.respond(transaction, 420, headers=[("Unsupported", ", ".join(required))])
        elif request.body and not request.sdp:
            self.respond(transaction, 415, headers=[("Accept", SDP)])
        elif self.on_invite is None:
            self.respond(transaction, 480)
        else:
            self.spawn(self._run_on_invite(self.on_invite, IncomingCall(self, request, transaction)))

    async def _run_on_invite(self, on_invite: Callable[[IncomingCall], Awaitable[None]], call: IncomingCall) -> None:
        try:
            await on_invite(call)
        except Exception:
            log.exception("the handler of an incoming call failed")
            if call.answered:
                await call.hang_up()
            call.reject(500)

    def _receive_other(self, request: Request, transaction: ServerTransaction) -> None:
        required = request.headers.get_list("Require")
        if required:
            self.respond(transaction, 420, headers=[("Unsupported", ", ".join(required))])
            return
        try:
            answer = self.on_request(request) if self.on_request is not None else None
        except Exception:
            log.exception("the handler of a %s failed", request.method)
            answer = request.response(500)
        if answer is SILENT:
            transaction.stay_silent()
            return
        if answer is None:
            known = request.method in UNSUPPORTED or request.method in ALLOW.split(", ")
            status = 200 if request.method == "OPTIONS" else 405 if known else 501
            self.respond(transaction, status, headers=[("Accept", SDP)] if status == 200 else ())
            return
        self._tag(answer, transaction)
        transaction.respond(answer)

    def _tag(self, answer: Response, transaction: ServerTransaction) -> None:
        if not answer.to_addr.tag and answer.status > 100:
            answer.headers.set("To", f"{answer.headers.get('To')};tag={transaction.to_tag}")
        if "Server" not in answer.headers:
            answer.headers.add("Server", self.user_agent)

    # ------------------------------------------------------------ what calls need (call.CallHost)

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        sdp: str | None = None,
    ) -> None:
        request = transaction.request
        answer = request.response(status, reason, headers, transaction.to_tag)
        if request.method == "INVITE" and 101 <= status < 300:
            answer.headers.add("Contact", f"<{self.contact(_user(request.uri))}>")
        if status in (200, 405, 501) and "Allow" not in answer.headers:
            answer.headers.add("Allow", ALLOW)
        answer.headers.add("Server", self.user_agent)
        if sdp:
            answer.set_body(SDP, sdp)
        transaction.respond(answer)

    def complete(self, request: Request) -> Request:
        """Add what each request of ours carries: Contact, Allow and User-Agent (in place)."""
        if request.method == "INVITE":
            request.headers.add("Contact", f"<{self.contact(_user(request.from_addr.uri))}>")
            request.headers.add("Allow", ALLOW)
        request.headers.add("User-Agent", self.user_agent)
        return request

    def keep(self, call: Call) -> None:
        if call.dialog is not None:
            self._calls[call.dialog.key] = call

    def forget(self, call: Call) -> None:
        if call.dialog is not None:
            self._calls.pop(call.dialog.key, None)
        if isinstance(call, OutboundCall):
            self._outbound.discard(call)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def as_name_addr(text: str) -> NameAddr:
    """A SIP URI or a name-addr, as a caller may write From. Raises SipUriError."""
    if "<" in text:
        address = NameAddr.parse(text)
        address.sip_uri()
        return address
    return NameAddr(str(SipUri.parse(text)))


def _user(uri: str) -> str | None:
    try:
        return SipUri.parse(uri).user
    except SipUriError:
        return None


def _longer(request: Request, response: Response) -> Request | None:
    """A REGISTER again with the Expires that a 423 asks for (RFC 3261 section 10.2.8), challenges answered anew."""
    minimum = response.headers.get("Min-Expires") or ""
    if response.status != 423 or not minimum.isdecimal() or int(minimum) <= int(request.headers.get("Expires") or 0):
        return None
    retry = renumbered(request)
    retry.headers.set("Expires", minimum)
    retry.headers.remove("Authorization")
    retry.headers.remove("Proxy-Authorization")
    return retry


async def resolve(uri: SipUri) -> Address:
    """Host and port of a URI as an IPv4 address. Raises OSError when the name does not resolve."""
    known = literal_address(str(uri))
    if known is not None:
        return known
    found = await asyncio.get_running_loop().getaddrinfo(
        uri.host, uri.port or 5060, family=socket.AF_INET, type=socket.SOCK_DGRAM
    )
    return (str(found[0][4][0]), int(found[0][4][1]))
