"""bwlib.bxml: what is built can be read back, and what Bandwidth would refuse is refused here."""

from __future__ import annotations

import contextlib

import pytest
from bandwidth.models.bxml import Gather as OfficialGather
from bandwidth.models.bxml import Response as OfficialResponse
from bandwidth.models.bxml import SpeakSentence as OfficialSpeakSentence
from hypothesis import given
from hypothesis import strategies as st

from bwlib import bxml
from bwlib.errors import NotAsExpected, SettingsError


def test_a_document_reads_back_as_it_was_built() -> None:
    text = bxml.document(
        bxml.Ring(2, answer_call=False),
        bxml.Pause(0.5),
        bxml.SpeakSentence("Tom & <Jerry>", voice="julie"),
        bxml.PlayAudio("https://x.example/a.wav?b=1&c=2"),
        bxml.Record("/recordComplete", max_duration_s=30),
        bxml.Redirect("https://x.example/next", "GET"),
        bxml.Hangup(),
    )
    read = bxml.read(text)
    assert read.warnings == ()
    assert [verb.name for verb in read.verbs] == [
        "Ring",
        "Pause",
        "SpeakSentence",
        "PlayAudio",
        "Record",
        "Redirect",
        "Hangup",
    ]
    assert read.verbs[0].attributes == {"duration": "2", "answerCall": "false"}
    assert read.verbs[2].text == "Tom & <Jerry>"
    assert read.verbs[3].text == "https://x.example/a.wav?b=1&c=2"


def test_a_gather_holds_its_prompts() -> None:
    text = bxml.document(bxml.Gather((bxml.SpeakSentence("Press one"),), "gather", max_digits=1))
    (gather,) = bxml.read(text).verbs
    assert gather.attributes["maxDigits"] == "1"
    assert [(child.name, child.text) for child in gather.children] == [("SpeakSentence", "Press one")]


def test_no_verb_is_a_hang_up() -> None:
    assert bxml.read(bxml.document()).verbs == ()


@pytest.mark.parametrize(
    "verb",
    [
        bxml.SpeakSentence(" "),
        bxml.SpeakSentence("a", gender="none"),
        bxml.SpeakSentence("bell \a"),
        bxml.SpeakSentence("\ud800"),
        bxml.PlayAudio(""),
        bxml.PlayAudio("javascript:alert(1)"),
        bxml.PlayAudio("https://x/ y"),
        bxml.Pause(0),
        bxml.Pause(float("nan")),
        bxml.Ring(86401),
        bxml.Gather(max_digits=0),
        bxml.Gather(max_digits=51),
        bxml.Gather(inter_digit_timeout_s=0.5),
        bxml.Gather(first_digit_timeout_s=61),
        bxml.Gather(terminating_digits="x"),
        bxml.Gather(gather_url="g", gather_method="PUT"),
        bxml.Gather(prompts=(bxml.SpeakSentence("a"),) * 11, repeat_count=2),
        bxml.Gather(tag="t" * 257),
        bxml.Record(file_format="ogg"),
        bxml.Record(max_duration_s=10801),
        bxml.Redirect(""),
    ],
    ids=repr,
)
def test_what_bandwidth_would_refuse_is_refused(verb: bxml.Verb) -> None:
    with pytest.raises(SettingsError, match="build BXML"):
        bxml.document(verb)


def test_the_64_kb_are_counted_in_bytes() -> None:
    bxml.document(bxml.SpeakSentence("ä" * 32_000))
    with pytest.raises(SettingsError, match="65536"):
        bxml.document(bxml.SpeakSentence("ä" * 33_000))


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_is_refused_or_comes_back(text: str, tag: str) -> None:
    try:
        document = bxml.document(bxml.SpeakSentence(text), bxml.Gather(tag=tag))
    except SettingsError:
        return
    speak, gather = bxml.read(document).verbs
    assert speak.text == " ".join(text.split())
    assert "".join(gather.attributes["tag"].split()) == "".join(tag.split())


# ---------------------------------------------------------------- read


def test_ssml_is_text_and_not_verbs() -> None:
    (speak,) = bxml.read('<Response><SpeakSentence>a <break time="1s"/><s>b</s></SpeakSentence></Response>').verbs
    assert (speak.text, speak.children) == ("a b", ())


def test_what_the_official_library_writes_is_read_without_warnings() -> None:
    official = OfficialResponse(
        [OfficialGather(audio_verbs=[OfficialSpeakSentence("Press one")], gather_url="/g", max_digits=1)]
    )
    read = bxml.read(official.to_bxml())
    assert read.warnings == ()
    assert read.verbs[0].attributes["gatherUrl"] == "/g"
    assert read.verbs[0].children[0].text == "Press one"


def test_unknown_names_are_warnings() -> None:
    read = bxml.read('<Response><Say>hi</Say><Gather gatherURL="x"/><Transfer foo="1"/></Response>')
    assert read.warnings == ("<Say> is not a documented verb", "<Gather> has no documented attribute gatherURL")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "<Response>",
        "<html><body/></html>",
        "{}",
        b"\xff\xfe",
        '<!DOCTYPE r [<!ENTITY a "b">]><Response>&a;</Response>',
        "<Response>" + " " * 65_536 + "</Response>",
    ],
)
def test_what_bandwidth_could_not_execute_is_said(text: str | bytes) -> None:
    with pytest.raises(NotAsExpected, match="invalid-bxml"):
        bxml.read(text)


def test_deep_nesting_is_read_without_harm() -> None:
    depth = 3000
    read = bxml.read("<Response>" + "<Gather>" * depth + "</Gather>" * depth + "</Response>")
    assert read.verbs[0].name == "Gather"


@given(st.binary(max_size=300))
def test_no_document_breaks_the_reader(body: bytes) -> None:
    with contextlib.suppress(NotAsExpected):
        bxml.read(b"<Response>" + body + b"</Response>")
