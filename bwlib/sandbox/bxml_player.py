"""Carrying out BXML verbs on a leg: dev.bandwidth.com/docs/voice/bxml (read 2026-11-23).

A document ends in one of three ways: a verb with a URL of its own leads to the next event, the last verb is done
(hang up), or the call fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import numpy as np

from bwlib.sandbox import speech, wav
from bwlib.sandbox.bxml_reader import Verb
from bwlib.sandbox.leg import CallFailed, CallLeg
from bwlib.sandbox.webhooks import Target, Undeliverable

_LOUD = 200  # RMS of a frame, in int16 steps, above which someone is talking
_RING_HZ = (440.0, 480.0)  # the North American ringback tone


@dataclass(frozen=True)
class NextEvent:
    """A BXML event to send, and what it says beyond the common fields."""

    event_type: str
    target: Target
    fallback: Target | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    tag: str | None = None


@dataclass(frozen=True)
class Recorded:
    """What a Record verb caught. Times in seconds since 1970."""

    verb: Verb
    pcm: wav.Pcm
    started_at: float
    ended_at: float


class Player:
    """Plays documents on one leg.

    answer: answers the call when it is not yet; keep_recording: stores one and returns its fields;
    fetch: GETs an audio file; began: is told of each verb of a document as it begins.
    """

    def __init__(
        self,
        leg: CallLeg,
        answer: Callable[[], Awaitable[None]],
        keep_recording: Callable[[Recorded, str], dict[str, Any]],
        fetch: Callable[[Target], Awaitable[bytes]],
        began: Callable[[Verb], None] = lambda verb: None,
    ) -> None:
        self._leg = leg
        self._answer = answer
        self._keep_recording = keep_recording
        self._fetch = fetch
        self._began = began

    async def run(self, verbs: tuple[Verb, ...], base_url: str) -> NextEvent | None:
        """Play one document that came from `base_url`; None means hang up."""
        for verb in verbs:
            upcoming: NextEvent | None = None
            self._began(verb)
            match verb.name:
                case "Hangup":
                    return None
                case "Pause":
                    await asyncio.sleep(verb.number("duration", 1))
                case "Ring":
                    await self._ring(verb)
                case "SpeakSentence" | "PlayAudio":
                    await self._answer()
                    await self._leg.media.play(await self._audio(verb, base_url))
                case "Gather":
                    upcoming = await self._gather(verb, base_url)
                case "Record":
                    upcoming = await self._record(verb, base_url)
                case "Redirect":
                    upcoming = _next("redirect", verb, "redirect", base_url, {})
            if upcoming is not None:
                return upcoming
        return None

    async def _audio(self, verb: Verb, base_url: str) -> wav.Pcm:
        if verb.name == "SpeakSentence":
            return await asyncio.to_thread(speech.say, verb.text)
        url = urljoin(base_url, verb.text)
        try:
            data = await self._fetch(Target(url, "GET", verb.get("username") or None, verb.get("password") or None))
            return wav.decode(data)
        except (Undeliverable, wav.WavError) as error:
            raise CallFailed("application-error", f"PlayAudio {url}: {error}") from error

    async def _ring(self, verb: Verb) -> None:
        duration_s = verb.number("duration", 5)
        if verb.get("answerCall", "true") == "false":
            await self._leg.ring()
            await asyncio.sleep(duration_s)
            return
        await self._answer()
        await self._leg.media.play(_ringback(duration_s))

    # ---------------------------------------------------------------- Gather

    async def _gather(self, verb: Verb, base_url: str) -> NextEvent | None:
        await self._answer()
        digits = self._leg.media.digits
        while not digits.empty():  # only what is pressed from now on counts
            digits.get_nowait()
        first: str | None = None
        for _ in range(int(verb.number("repeatCount", 1))):
            first = await self._first_digit(verb, base_url)
            if first is not None:
                break
        gathered, terminating = await self._more_digits(verb, first)
        fields = {"digits": gathered, "terminatingDigit": terminating}
        return _next("gather", verb, "gather", base_url, fields)

    async def _first_digit(self, verb: Verb, base_url: str) -> str | None:
        """The digit that stops the prompts (barge-in) or follows them in time."""
        waiting = asyncio.ensure_future(self._leg.media.digits.get())
        prompting = asyncio.ensure_future(self._prompts(verb, base_url))
        try:
            await asyncio.wait({waiting, prompting}, return_when=asyncio.FIRST_COMPLETED)
            if prompting.done():
                prompting.result()
                await asyncio.wait({waiting}, timeout=verb.number("firstDigitTimeout", 5))
            return waiting.result() if waiting.done() else None
        finally:
            waiting.cancel()
            prompting.cancel()
            await asyncio.wait({prompting})

    async def _prompts(self, verb: Verb, base_url: str) -> None:
        for child in verb.children:
            await self._leg.media.play(await self._audio(child, base_url))

    async def _more_digits(self, verb: Verb, first: str | None) -> tuple[str, str]:
        """All digits and the one that ended them ("" when none did)."""
        gathered, digit = "", first
        while digit is not None:
            if digit in verb.get("terminatingDigits"):
                return gathered, digit
            gathered += digit
            if len(gathered) >= verb.number("maxDigits", 50):
                break
            digit = await _within(self._leg.media.digits, verb.number("interDigitTimeout", 5))
        return gathered, ""

    # ---------------------------------------------------------------- Record

    async def _record(self, verb: Verb, base_url: str) -> NextEvent | None:
        await self._answer()
        media, started_at = self._leg.media, time.time()
        media.start_recording()
        try:
            await self._until_recorded(verb)
        finally:  # a caller who hangs up ends the recording, it does not lose it
            pcm = media.stop_recording()
            kept = self._keep_recording(Recorded(verb, pcm, started_at, time.time()), base_url)
        names = ("recordingId", "mediaUrl", "startTime", "endTime", "duration", "fileFormat", "channels")
        return _next("recordComplete", verb, "recordComplete", base_url, {name: kept[name] for name in names})

    async def _until_recorded(self, verb: Verb) -> None:
        deadline = time.monotonic() + verb.number("maxDuration", 60)
        silence_s = verb.number("silenceTimeout", 0)
        quiet_since, heard = time.monotonic(), 0
        while (left_s := deadline - time.monotonic()) > 0:
            digit = await _within(self._leg.media.digits, min(left_s, 0.1))
            if digit is not None and digit in verb.get("terminatingDigits", "#"):
                return
            received = self._leg.media.received()
            if _is_loud(received[heard:]):  # nothing new counts as silence
                quiet_since = time.monotonic()
            heard = len(received)
            if silence_s and time.monotonic() - quiet_since >= silence_s:
                return


def _next(event_type: str, verb: Verb, prefix: str, base_url: str, fields: dict[str, Any]) -> NextEvent | None:
    """The event a verb leads to; None when it has no URL and the document goes on."""
    target = target_of(verb, prefix, base_url)
    if target is None:
        return None
    url = verb.get(f"{prefix}FallbackUrl")
    fallback = Target(
        urljoin(base_url, url),
        verb.get(f"{prefix}FallbackMethod", "POST"),
        verb.get("fallbackUsername") or None,
        verb.get("fallbackPassword") or None,
    )
    return NextEvent(event_type, target, fallback if url else None, fields, verb.attributes.get("tag"))


def target_of(verb: Verb, prefix: str, base_url: str) -> Target | None:
    """Where `<prefix>Url` of a verb points, relative to the URL that gave the document."""
    url = verb.get(f"{prefix}Url")
    if not url:
        return None
    user, password = verb.get("username") or None, verb.get("password") or None
    return Target(urljoin(base_url, url), verb.get(f"{prefix}Method", "POST"), user, password)


async def _within(digits: asyncio.Queue[str], timeout_s: float) -> str | None:
    try:
        return await asyncio.wait_for(digits.get(), timeout_s)
    except TimeoutError:
        return None


def _is_loud(pcm: wav.Pcm) -> bool:
    return len(pcm) > 0 and float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2))) > _LOUD


def _ringback(duration_s: float) -> wav.Pcm:
    """Two seconds of tone, four of silence, over and over."""
    t = np.arange(int(min(duration_s, 3600) * wav.RATE)) / wav.RATE
    tone = sum(np.sin(2 * np.pi * hz * t) for hz in _RING_HZ)
    return np.asarray(np.where(t % 6 < 2, 4000 * tone, 0), dtype=np.int16)
