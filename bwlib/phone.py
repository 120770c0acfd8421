"""The scripted phone: registers at the PBX, dials, answers, speaks, presses keys, and keeps what it heard.

Its face is synchronous; the event loop runs in a daemon thread, so it works inside Jupyter, whose own loop is busy.

    with Phone(("127.0.0.1", 5060), "101", secret) as phone:
        phone.register()
        call = phone.dial("+19195550100")
        call.wait_for_speech(timeout_s=5)
        call.wait_for_silence()
        call.send_digits("4")
        call.wait_ended(timeout_s=20)
        verdict = heard.compare(sent, call.recording)

PCM is int16, 8000 Hz, mono.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ipaddress
import logging
import re
import socket
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Self, TypeVar

from pydantic import SecretStr

from bwlib.errors import BwlibError, NotAsExpected, PbxRefused, PbxUnreachable, SettingsError
from bwlib.models import Digits, SipEvent
from bwlib.phone_call import LoopThread, PhoneCall
from bwlib.sip.agent import Agent, Credentials, IncomingCall, OutboundCall
from bwlib.sip.ladder import redact_sip
from bwlib.sip.media import Media, SdpError
from bwlib.sip.message import Response
from bwlib.sip.uri import SipUri

__all__ = ["Phone", "PhoneCall", "Waiting", "host_towards"]

LOOPBACK_HOST = "127.0.0.3"  # apart from the PBX and the edge, so that a ladder can be read
_NUMBER = re.compile(r"[0-9A-Za-z+*#._-]{1,64}")
_LOOK_AT_PBX = "look at the PBX's log and at the SIP ladder of this call"

T = TypeVar("T")
log = logging.getLogger(__name__)


class Waiting:
    """A call that is expected. `result()` waits for it."""

    def __init__(self, number: str, answer_after_s: float) -> None:
        self.answer_after_s = answer_after_s
        self.future: concurrent.futures.Future[PhoneCall] = concurrent.futures.Future()
        self._number = number

    def result(self, timeout_s: float = 30) -> PhoneCall:
        """The answered call.

        Raises NotAsExpected when none came in time, or the one that came was not answered; may be asked again.
        """
        try:
            return self.future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            raise NotAsExpected(
                f"answer a call at extension {self._number}",
                f"no call was answered within {timeout_s:g} s",
                "check that the phone is registered and that the inbound context of the trunk dials this extension",
            ) from None

    def cancel(self) -> None:
        """Expect it no longer; a later call is answered 480."""
        self.future.cancel()


class Phone:
    """An extension's phone. A `with` block switches it on and off; leaving it hangs up and unregisters.

    registrar: the PBX's SIP address. host: the address to use here; None = 127.0.0.3 for a PBX on loopback (127.0.0.1
    where the system has no other), else the one that leads to the PBX. events: every SIP message, digest responses
    masked.
    """

    def __init__(
        self, registrar: tuple[str, int], number: str, secret: SecretStr, *, host: str | None = None, port: int = 0
    ) -> None:
        self.registrar, self.number = registrar, _checked(number)
        self.host = host or host_towards(registrar)
        self.events: list[SipEvent] = []
        self._credentials = Credentials(number, secret)
        self._port = port
        self._expected: deque[Waiting] = deque()
        self._calls: list[PhoneCall] = []
        self._dialling: set[OutboundCall] = set()
        self._ending = False
        self._thread: LoopThread | None = None
        self._agent: Agent | None = None
        self._refresh: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Phone {self.number} at {self.registrar[0]}:{self.registrar[1]}>"

    def __enter__(self) -> Self:
        self._thread = LoopThread(f"phone {self.number}")
        try:
            self._run(self._start())
        except BaseException:
            self._thread.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            return
        try:
            self._run(self._stop())
        finally:
            self._thread.stop()
            for waiting in self._expected:
                waiting.cancel()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._thread is None:
            coroutine.close()
            raise BwlibError("use the phone", "it is switched off", "use it inside its `with` block")
        return self._thread.run(coroutine)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it is switched on."""
        return self._switched_on().address

    @property
    def pressed(self) -> list[Digits]:
        """What it has pressed in its calls, oldest first. May be read from any thread, as `events` may."""
        return [digits for call in list(self._calls) for digits in list(call.pressed)]

    # ------------------------------------------------------------ registration

    def register(self, expires_s: int = 300, *, timeout_s: float = 10) -> None:
        """Register, and again before it expires. PbxRefused when the PBX says no, PbxUnreachable when it is silent."""
        response = self._run(self._register(expires_s, timeout_s))
        attempted = f"register extension {self.number} at {self.registrar[0]}:{self.registrar[1]}"
        if response is None or response.locally_generated:
            raise PbxUnreachable(
                attempted, f"no answer within {timeout_s:g} s", "check that the PBX runs and listens there"
            )
        if response.status >= 300:
            raise PbxRefused(
                attempted,
                f"{response.status} {response.reason}",
                "check that the extension exists on the PBX and that its secret is the phone's",
            )

    def unregister(self) -> None:
        """Take the registration back. Errors as register()."""
        self.register(0)

    async def _register(self, expires_s: int, timeout_s: float) -> Response | None:
        if self._refresh is not None:
            self._refresh.cancel()
            self._refresh = None
        response = await self._send_register(expires_s, timeout_s)
        if response is not None and response.status < 300 and expires_s > 0:
            self._refresh = asyncio.get_running_loop().create_task(self._keep_registered(expires_s))
        return response

    async def _send_register(self, expires_s: int, timeout_s: float) -> Response | None:
        agent = self._switched_on()
        try:
            async with asyncio.timeout(timeout_s):
                return await agent.register(self.registrar, self.number, self._credentials, expires_s)
        except TimeoutError:
            return None

    async def _keep_registered(self, expires_s: int) -> None:
        while True:
            await asyncio.sleep(expires_s / 2)
            response = await self._send_register(expires_s, expires_s / 4)
            if response is None or response.status >= 300:
                log.warning("extension %s could not renew its registration: %s", self.number, _status(response))

    # ------------------------------------------------------------ calls

    def dial(self, number: str, *, timeout_s: float = 20) -> PhoneCall:
        """Call `number` through the PBX and wait until it is answered.

        Raises NotAsExpected otherwise; its `came_back` begins with the SIP status, such as "403 Forbidden".
        """
        return self._run(self._dial(_checked(number), timeout_s))

    def end_calls(self) -> None:
        """Hang up what is up or being dialled, and take no more. From any thread: whoever waits in another is told."""
        if self._thread is not None and self._thread.running:
            self._run(self._end_calls())

    async def _end_calls(self) -> None:
        self._ending = True
        for waiting in list(self._expected):
            waiting.cancel()
        async with asyncio.TaskGroup() as group:
            for call in list(self._calls):
                group.create_task(call.finish())
            for dialled in list(self._dialling):
                group.create_task(dialled.hang_up())

    async def _dial(self, number: str, timeout_s: float) -> PhoneCall:
        if self._ending:
            raise NotAsExpected(f"dial {number}", "this phone's calls were ended", "switch it on anew")
        agent, media = self._switched_on(), Media(self.host)
        try:
            call = agent.invite(
                SipUri(number, *self.registrar),
                from_uri=str(SipUri(self.number, *self.registrar)),
                sdp=media.offer(),
                credentials=self._credentials,
                send_to=self.registrar,
            )
        except ValueError as error:
            await media.close()
            raise SettingsError(f"dial {number}", str(error), "check the number and the PBX's address") from error
        self._dialling.add(call)
        try:
            in_time = await _first_of(call.answered, call.ended, timeout_s)
            return await self._take(call, media, _answered_or_raise(call, number, in_time, timeout_s))
        except BaseException:
            agent.spawn(call.hang_up())
            await media.close()
            raise
        finally:
            self._dialling.discard(call)

    async def _take(self, call: IncomingCall | OutboundCall, media: Media, attempted: str) -> PhoneCall:
        """The call is answered: agree on its media, if that is not done, and open them."""
        if media.negotiated is None:
            try:
                media.accept(call.remote_sdp)
            except SdpError as error:
                raise NotAsExpected(attempted, f"an SDP answer we cannot use: {error}", _LOOK_AT_PBX) from error
        await media.open()
        assert self._thread is not None
        self._calls.append(PhoneCall(self._thread, call, media))
        return self._calls[-1]

    def expect_call(self, *, answer_after_s: float = 0.5) -> Waiting:
        """Answer the next call that comes: 180 at once, 200 after `answer_after_s`. Others get 480."""
        self._switched_on()
        waiting = Waiting(self.number, answer_after_s)
        self._expected.append(waiting)
        return waiting

    async def _on_invite(self, call: IncomingCall) -> None:
        waiting = None if self._ending else self._next_expected()
        if waiting is None:
            call.reject(480)
            return
        media = Media(self.host)
        try:
            waiting.future.set_result(await self._answer(call, media, waiting.answer_after_s))
        except (Exception, asyncio.CancelledError) as error:
            call.reject(488 if isinstance(error, SdpError) else 500)
            await call.hang_up()
            await media.close()
            waiting.future.set_exception(_unanswered(self.number, error))
            if isinstance(error, asyncio.CancelledError):
                raise

    def _next_expected(self) -> Waiting | None:
        while self._expected:
            waiting = self._expected.popleft()
            if waiting.future.set_running_or_notify_cancel():
                return waiting
        return None

    async def _answer(self, call: IncomingCall, media: Media, answer_after_s: float) -> PhoneCall:
        attempted = f"answer a call at extension {self.number}"
        sdp = media.answer(call.remote_sdp) if call.remote_sdp else media.offer()
        call.ring()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(answer_after_s):
                await call.ended.wait()
        call.answer(sdp)
        if media.negotiated is not None:
            await media.open()  # not after the ACK: the first words may come with it
        await _first_of(call.acked, call.ended, None)
        if not call.acked.is_set():
            raise NotAsExpected(attempted, f"the caller gave up ({call.end_reason})", _LOOK_AT_PBX)
        return await self._take(call, media, attempted)

    # ------------------------------------------------------------ on and off

    def _switched_on(self) -> Agent:
        if self._agent is None or self._thread is None or not self._thread.running:
            raise BwlibError("use the phone", "it is switched off", "use it inside its `with` block")
        return self._agent

    async def _start(self) -> None:
        agent = Agent(self.host, self._port, on_invite=self._on_invite, on_event=self._on_event)
        try:
            await agent.start()
        except OSError as error:
            raise SettingsError(
                f"open the phone's SIP port {self.host}:{self._port}", str(error), "choose another host, or port 0"
            ) from error
        self._agent = agent

    async def _stop(self) -> None:
        agent = self._switched_on()
        async with asyncio.TaskGroup() as group:
            for call in self._calls:
                group.create_task(call.finish())
        if self._refresh is not None:
            response = await self._register(0, 2)
            if response is None or response.status >= 300:
                log.warning("extension %s could not unregister: %s", self.number, _status(response))
        await agent.stop()

    def _on_event(self, event: SipEvent) -> None:
        self.events.append(replace(event, text=redact_sip(event.text)))


def _answered_or_raise(call: OutboundCall, number: str, in_time: bool, timeout_s: float) -> str:
    attempted = f"dial {number}"
    if call.answered.is_set():
        return attempted
    last = f"{call.status} {call.reason}" if call.status is not None else "no SIP answer at all"
    if not in_time:
        raise NotAsExpected(attempted, f"{last}, and nobody answered within {timeout_s:g} s", _LOOK_AT_PBX)
    raise NotAsExpected(attempted, last, _LOOK_AT_PBX)


def _unanswered(number: str, error: BaseException) -> BwlibError:
    if isinstance(error, BwlibError):
        return error
    attempted = f"answer a call at extension {number}"
    if isinstance(error, asyncio.CancelledError):
        return NotAsExpected(attempted, "the phone was switched off", "keep its `with` block open")
    if not isinstance(error, SdpError):
        log.error("answering a call failed", exc_info=error)
    return NotAsExpected(attempted, f"the phone could not: {error}", _LOOK_AT_PBX)


async def _first_of(one: asyncio.Event, other: asyncio.Event, timeout_s: float | None) -> bool:
    """Wait for either; False when the time was up first."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return bool(done)


def _checked(number: str) -> str:
    if not _NUMBER.fullmatch(number):
        raise SettingsError(
            "use the phone", f"{number[:70]!r} is no number to dial", "use digits, letters and + * # . _ -"
        )
    return number


def _status(response: Response | None) -> str:
    return "no answer" if response is None else f"{response.status} {response.reason}"


def host_towards(registrar: tuple[str, int]) -> str:
    """Our address as the PBX sees it. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            if ipaddress.ip_address(registrar[0]).is_loopback:
                sock.bind((LOOPBACK_HOST, 0))
                return LOOPBACK_HOST
            sock.connect(registrar)
            return str(sock.getsockname()[0])
        except (OSError, ValueError):
            return "127.0.0.1"
