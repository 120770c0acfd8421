"""BXML as the sandbox reads it, and as it carries it out on a leg with real audio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bwlib.heard import compare
from bwlib.sandbox import speech, wav
from bwlib.sandbox.bxml_player import NextEvent, Player
from bwlib.sandbox.bxml_reader import MAX_BYTES, BxmlError, read
from bwlib.sandbox.leg import CallFailed
from bwlib.sandbox.webhooks import Target, Undeliverable
from bwlib.sip.media import Media

BASE = "http://127.0.0.1:9/app/initiate"

# -------------------------------------------------------------------- reading


def test_verbs_attributes_and_nested_prompts_are_read():
    (gather, hangup) = read(
        "<Response><Gather gatherUrl='/g' maxDigits='3'><SpeakSentence voice='julie'>Press <break/> one."
        "</SpeakSentence></Gather><Hangup/></Response>"
    )
    assert (gather.get("gatherUrl"), gather.number("maxDigits", 50)) == ("/g", 3)
    assert gather.children[0].text == "Press one."
    assert hangup.name == "Hangup"


def test_an_xml_declaration_and_the_bxml_root_are_fine():
    assert read("<?xml version='1.0' encoding='UTF-8'?>\n<Bxml><Pause duration='0.5'/></Bxml>")[0].name == "Pause"


@pytest.mark.parametrize(
    "document",
    [
        "",
        "hello",
        "<Response>",
        "<Wrong/>",
        "<Response><Shout/></Response>",
        "<Response><Pause duration='0'/></Response>",
        "<Response><Pause duration='long'/></Response>",
        "<Response><Gather maxDigits='51'/></Response>",
        "<Response><Gather><Hangup/></Gather></Response>",
        "<Response><Gather gatherMethod='PUT'/></Response>",
        "<Response><Redirect/></Response>",
        "<Response><PlayAudio/></Response>",
        "<Response>" + "<Gather>" + "<SpeakSentence>a</SpeakSentence>" * 21 + "</Gather></Response>",
        "<!DOCTYPE r [<!ENTITY e 'x'>]><Response><SpeakSentence>&e;</SpeakSentence></Response>",
        "<Response>" + " " * MAX_BYTES + "</Response>",
        "<Response><SpeakSentence>" + "x" * MAX_BYTES + "</SpeakSentence></Response>",
    ],
)
def test_a_document_that_cannot_be_is_invalid_bxml(document):
    with pytest.raises(BxmlError) as refused:
        read(document)
    assert refused.value.cause == "invalid-bxml"


@pytest.mark.parametrize("verb", ["Transfer", "Conference", "StartStream", "Record fileFormat='mp3'"])
def test_what_is_not_imitated_is_said_plainly(verb):
    with pytest.raises(BxmlError) as refused:
        read(f"<Response><{verb}/></Response>")
    assert refused.value.cause == "application-error"


def test_an_unknown_attribute_is_no_reason_to_end_a_call():
    assert read("<Response><Gather gatherFallback_url='/x'/></Response>")[0].name == "Gather"


# -------------------------------------------------------------------- playing


class Leg:
    """A leg whose far end is here: what is played into `media` is heard by `ear`, and the other way round."""

    def __init__(self) -> None:
        self.sip_call_id = "1"
        self.media, self.ear = Media(), Media()
        self.answered, self.ended = asyncio.Event(), asyncio.Event()
        self.end_cause = ""
        self.error_message: str | None = None
        self.sip_response_code: int | None = None
        self.rung = False

    async def open(self) -> None:
        self.media.accept(self.ear.answer(self.media.offer()))
        await self.media.open()
        await self.ear.open()

    async def close(self) -> None:
        await self.media.close()
        await self.ear.close()

    async def ring(self) -> None:
        self.rung = True

    async def answer(self) -> None:
        self.answered.set()

    async def hang_up(self) -> None:
        self.ended.set()

    async def reject(self, code: int) -> None:
        self.ended.set()


def play(
    document: str,
    meanwhile: Callable[[Leg], Any] | None = None,
    files: dict[str, bytes] | None = None,
    kept: list[Any] | None = None,
) -> tuple[NextEvent | None, Leg]:
    """Play a document; `meanwhile(leg)` is what the far end does. The next event and the leg afterwards."""

    async def fetch(target: Target) -> bytes:
        if target.url not in (files or {}):
            raise Undeliverable("404")
        return (files or {})[target.url]

    async def run() -> tuple[NextEvent | None, Leg]:
        leg = Leg()
        await leg.open()

        def keep(recorded: Any, base_url: str) -> dict[str, Any]:
            (kept if kept is not None else []).append(recorded)
            names = ("recordingId", "mediaUrl", "startTime", "endTime", "duration", "fileFormat", "channels")
            return dict.fromkeys(names, "x")

        far_end = asyncio.ensure_future(meanwhile(leg) if meanwhile else asyncio.sleep(0))
        try:
            upcoming = await asyncio.wait_for(Player(leg, leg.answer, keep, fetch).run(read(document), BASE), 30)
            await far_end
            await asyncio.sleep(0.1)  # the last packets are on their way
        finally:
            far_end.cancel()
            await leg.close()
        return upcoming, leg

    return asyncio.run(run())


def test_a_sentence_is_heard_and_the_end_of_the_document_is_a_hangup():
    upcoming, leg = play("<Response><SpeakSentence>Hello there.</SpeakSentence></Response>")
    assert upcoming is None
    assert leg.answered.is_set()
    assert compare(speech.say("Hello there."), leg.ear.received()).correlation >= 0.99


def test_pause_does_not_answer_and_hangup_ends_the_document():
    upcoming, leg = play("<Response><Pause duration='0.1'/><Hangup/><SpeakSentence>No.</SpeakSentence></Response>")
    assert (upcoming, leg.answered.is_set(), leg.rung) == (None, False, False)


def test_ring_rings_without_answering_only_when_told_so():
    assert play("<Response><Ring duration='0.1' answerCall='false'/></Response>")[1].rung
    leg = play("<Response><Ring duration='0.5'/></Response>")[1]
    assert leg.answered.is_set()
    assert np.abs(leg.ear.received()).max() > 1000


def test_a_file_is_fetched_relative_to_the_document_and_played():
    clip = speech.say("A clip.")
    url = "http://127.0.0.1:9/app/clip.wav"
    _, leg = play("<Response><PlayAudio>clip.wav</PlayAudio></Response>", files={url: wav.encode(clip)})
    assert compare(clip, leg.ear.received()).correlation >= 0.99


@pytest.mark.parametrize("files", [{}, {"http://127.0.0.1:9/app/clip.wav": b"no wav"}])
def test_a_file_that_cannot_be_played_is_an_application_error(files):
    with pytest.raises(CallFailed) as failed:
        play("<Response><PlayAudio>clip.wav</PlayAudio></Response>", files=files)
    assert failed.value.cause == "application-error"


def test_gather_returns_the_digits_up_to_its_maximum():
    document = "<Response><Gather gatherUrl='g' maxDigits='3' tag='t'/><SpeakSentence>No.</SpeakSentence></Response>"
    upcoming, _ = play(document, lambda leg: leg.ear.send_digits("1234"))
    assert upcoming.fields == {"digits": "123", "terminatingDigit": ""}
    assert (upcoming.event_type, upcoming.target.url, upcoming.tag) == ("gather", "http://127.0.0.1:9/app/g", "t")


def test_a_terminating_digit_ends_a_gather_and_is_told_apart():
    document = "<Response><Gather gatherUrl='/g' terminatingDigits='#*'/></Response>"
    upcoming, _ = play(document, lambda leg: leg.ear.send_digits("42#"))
    assert upcoming.fields == {"digits": "42", "terminatingDigit": "#"}


def test_a_digit_stops_the_prompt():
    long = "This is a very long sentence that nobody wants to hear to its end, so somebody presses a key. " * 3
    document = (
        f"<Response><Gather gatherUrl='/g' maxDigits='1'><SpeakSentence>{long}</SpeakSentence></Gather></Response>"
    )

    async def press_when_it_speaks(leg: Leg) -> None:
        while leg.ear.last_voice is None:  # noqa: ASYNC110 -- real audio has no event for this
            await asyncio.sleep(0.02)
        await leg.ear.send_digits("5")

    upcoming, leg = play(document, press_when_it_speaks)
    assert upcoming.fields["digits"] == "5"
    assert len(np.trim_zeros(leg.ear.received())) < len(speech.say(long.strip())) / 2


def test_a_gather_that_hears_nothing_sends_empty_digits_or_goes_on():
    silent = "<Response><Gather {} firstDigitTimeout='0'/><Redirect redirectUrl='/r'/></Response>"
    assert play(silent.format("gatherUrl='/g'"))[0].fields["digits"] == ""
    assert play(silent.format(""))[0].event_type == "redirect"


def test_digits_pressed_before_a_gather_do_not_count():
    document = "<Response><Pause duration='1'/><Gather gatherUrl='/g' firstDigitTimeout='0'/></Response>"
    upcoming, _ = play(document, lambda leg: leg.ear.send_digits("9"))
    assert upcoming.fields["digits"] == ""


def test_prompts_are_repeated_when_nothing_is_pressed():
    prompt = "<SpeakSentence>Again.</SpeakSentence>"
    document = f"<Response><Gather gatherUrl='/g' repeatCount='2' firstDigitTimeout='0'>{prompt}</Gather></Response>"
    said = speech.say("Again.")
    once = np.pad(said, (0, -len(said) % 160))  # audio leaves in whole frames
    _, leg = play(document)
    assert compare(np.concatenate([once, once]), leg.ear.received()).correlation >= 0.99


def test_record_ends_at_its_terminating_digit_and_holds_what_was_said():
    said = speech.say("Please call me back.")
    kept: list[Any] = []

    async def speak(leg: Leg) -> None:
        await leg.ear.play(said)
        await leg.ear.send_digits("#")

    upcoming, _ = play("<Response><Record recordCompleteUrl='/done'/></Response>", speak, kept=kept)
    assert upcoming.event_type == "recordComplete"
    assert compare(said, kept[0].pcm).correlation >= 0.99


def test_record_ends_after_silence_when_told_so():
    document = "<Response><Record silenceTimeout='1' maxDuration='60'/><Redirect redirectUrl='/r'/></Response>"
    kept: list[Any] = []
    assert play(document, kept=kept)[0].event_type == "redirect"
    assert len(kept[0].pcm) < 10 * 8000


def test_a_redirect_has_its_method_credentials_and_fallback():
    upcoming, _ = play(
        "<Response><Redirect redirectUrl='r' redirectMethod='GET' redirectFallbackUrl='/f' username='u' password='p'"
        " fallbackUsername='fu' fallbackPassword='fp'/></Response>"
    )
    assert upcoming.target == Target("http://127.0.0.1:9/app/r", "GET", "u", "p")
    assert upcoming.fallback == Target("http://127.0.0.1:9/f", "POST", "fu", "fp")


# -------------------------------------------------------------------- audio files


def test_wav_bytes_give_back_what_was_put_in():
    pcm = speech.say("Back and forth.")
    assert np.array_equal(wav.decode(wav.encode(pcm)), pcm)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"\x00" * 100, wav.encode(np.zeros(10, np.int16))[:30]])
def test_bytes_that_are_no_wav_are_refused(data):
    with pytest.raises(wav.WavError):
        wav.decode(data)
