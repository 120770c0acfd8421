"""The pictures of the report: the whole, a call on one time axis, a sound. Each says in words what it shows."""

from __future__ import annotations

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from reported_run import BXML, EDGE, PBX, PHONE, START, call_events, call_webhooks, tone

from bwlib.models import Digits, Webhook
from bwlib.record.call_timeline import bxml_verbs, bxml_words, call_timeline_svg, call_timeline_text
from bwlib.record.overview import COLOURS, Part, overview_svg, overview_text
from bwlib.record.report_calls import lanes_of
from bwlib.record.waveform import seconds_of, waveform_svg
from bwlib.sip import ladder

SVG = "{http://www.w3.org/2000/svg}"
LANES = ("Phone 191", "PBX", "Realm", "Application")
EVIL = '"><script>alert(1)</script>\x00\x1b\ufffe'


def words_of(svg: str) -> str:
    return " ".join(part.strip() for part in ElementTree.fromstring(svg).itertext() if part.strip())


def overview(**changed: Part) -> str:
    parts = {name: Part(name.capitalize()) for name in ("phone", "pbx", "trunk", "realm", "application", "webhooks")}
    return overview_svg(**{**parts, **changed})


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours written #rrggbb."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# ---------------------------------------------------------------- the whole


def test_the_overview_shows_a_sites_own_values_and_says_each_state_in_words() -> None:
    svg = overview(
        realm=Part("Realm", ("demo-7d75f0.auth.test", "credential demo"), "proven"),
        trunk=Part("Trunk", ("demo",), "failed"),
        phone=Part("Phone", ("extension 191",), "not proven"),
    )
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    described = root.find(f"{SVG}desc")
    assert described is not None
    assert described.text is not None
    assert "Realm: proven (demo-7d75f0.auth.test; credential demo)" in described.text.splitlines()
    drawn = [text.text for text in root.iter(f"{SVG}text")]
    assert {"extension 191", "credential demo", "proven", "failed", "not proven"} <= set(drawn)
    assert len(root.findall(f".//{SVG}circle")) == 3  # the disc that bears the sign


def test_without_a_state_nothing_is_claimed() -> None:
    assert not re.search("proven|failed", words_of(overview(realm=Part("Realm", ("my-site",)))))


def test_a_long_value_is_wrapped_and_leaves_the_others_a_line() -> None:
    uri = "sip:ceed057d-970c-4ae0-bc09-73e894234f9a@sip-uri.voice-api.bandwidth.com"
    root = ElementTree.fromstring(overview(realm=Part("SIP URI", (uri, "enabled"), "proven")))
    drawn = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert "enabled" in drawn
    assert "".join(drawn[drawn.index("SIP URI") + 1 : drawn.index("enabled")]).startswith("sip:ceed057d-970c-4ae0-bc09")
    assert max(map(len, drawn)) < 60


def test_calls_stand_below_the_overview_each_with_its_state() -> None:
    call = Part("Call from the extension", ("heard", "digits 4"), "proven")
    parts = {name: Part(name) for name in ("phone", "pbx", "trunk", "realm", "application", "webhooks")}
    assert "Call from the extension · heard · digits 4" in words_of(overview_svg(**parts, calls=[call]))
    assert overview_text([call]) == "Call from the extension: proven (heard; digits 4)"


def test_every_state_can_be_read_on_its_ground() -> None:
    assert all(contrast(colour, ground) >= 4.5 for colour, ground in COLOURS.values())


def test_every_arrow_can_be_read_on_white() -> None:
    assert all(contrast(colour, "#ffffff") >= 5 for colour in ladder.COLOURS.values())


def test_hostile_values_stay_words_in_every_picture() -> None:
    hook = Webhook(1, START, EVIL, "c", EVIL, {"digits": EVIL, "cause": EVIL}, 200, EVIL, True)
    for svg in (
        overview(realm=Part(EVIL, (EVIL,), "failed")),
        call_timeline_svg(call_events(), [hook], {PHONE: EVIL}, EVIL, lanes=(EVIL, "PBX", "Realm", "Application")),
        waveform_svg(tone(), EVIL.replace("\x00", "").replace("\x1b", "").replace("\ufffe", "")),
    ):
        assert not list(ElementTree.fromstring(svg).iter(f"{SVG}script"))


# ---------------------------------------------------------------- a call


def test_sip_webhooks_and_bxml_stand_on_one_axis_in_the_order_of_time() -> None:
    text = call_timeline_text(call_events(), call_webhooks(), lanes_of(call_events(), LANES), lanes=LANES)
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "0 ms Phone 191 -> PBX INVITE +19195550199",
        "6 ms PBX -> Realm INVITE +19195550199",
        "9 ms Realm -> PBX 407 Proxy Authentication Required (INVITE)",
        "12 ms PBX -> Realm INVITE +19195550199, credentials",
        "60 ms Realm -> Application initiate",
        "60 ms Application -> Realm 401 asks for credentials",
        "64 ms Realm -> Application initiate, credentials",
        "64 ms Application -> Realm 200 SpeakSentence, Gather",
        "90 ms Realm -> PBX 200 OK (INVITE)",
        "92 ms PBX -> Phone 191 200 OK (INVITE)",
        "8100 ms Realm -> Application gather, digits 4, credentials",
        "8100 ms Application -> Realm 200 Hangup",
        "10140 ms Realm -> PBX BYE demo",
        "10142 ms Realm -> Application disconnect, cause hangup, credentials",
        "10142 ms Application -> Realm 204 nothing to do",
    ]


def test_the_picture_of_a_call_is_described_by_its_words_and_masks_digests() -> None:
    names = lanes_of(call_events(), LANES)
    svg = call_timeline_svg(call_events(), call_webhooks(), names, "A call", lanes=LANES)
    described = ElementTree.fromstring(svg).find(f"{SVG}desc")
    assert described is not None
    assert described.text == call_timeline_text(call_events(), call_webhooks(), names, lanes=LANES)
    assert "without messages" in words_of(svg)
    assert "6629fae49393a05397450978507c4ef1" not in svg


def test_a_webhook_before_the_first_sip_message_is_second_zero() -> None:
    early = [Webhook(1, START - timedelta(seconds=2), "initiate", "c", "/", {}, 200, BXML, True)]
    lines = call_timeline_text(call_events(), early, {}).splitlines()
    assert lines[0].split()[:2] == ["0", "ms"]
    assert lines[2].split()[:2] == ["2000", "ms"]


def test_webhooks_alone_make_a_picture_and_nothing_at_all_says_so() -> None:
    assert "Realm -> Application  initiate" in call_timeline_text([], call_webhooks(), {})
    assert ElementTree.fromstring(call_timeline_svg([], [], {})).tag == f"{SVG}svg"
    assert call_timeline_text([], [], {}) == "No SIP messages, no webhooks."


def test_a_digit_that_the_phone_pressed_has_a_row_of_its_own() -> None:
    pressed = [Digits(START + timedelta(milliseconds=8070), "4")]
    names = lanes_of(call_events(), LANES)
    text = call_timeline_text(call_events(), call_webhooks(), names, digits=pressed, lanes=LANES)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[10:12] == [
        "8070 ms Phone 191 -> PBX presses 4 (DTMF)",
        "8100 ms Realm -> Application gather, digits 4, credentials",
    ]
    svg = call_timeline_svg(call_events(), call_webhooks(), names, digits=pressed, lanes=LANES)
    assert "presses 4 (DTMF)" in [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert call_timeline_text([], [], {}, digits=pressed) == "       0 ms  Phone -> PBX  presses 4 (DTMF)"


def test_lanes_follow_from_who_saw_what() -> None:
    assert lanes_of(call_events(), LANES) == {PHONE: "Phone 191", PBX: "PBX", EDGE: "Realm"}
    assert lanes_of([], LANES) == {}


@pytest.mark.parametrize(
    ("answer", "verbs"),
    [
        (BXML, ("SpeakSentence", "Gather")),
        ("<Bxml><Hangup/></Bxml>", ("Hangup",)),
        ("<Response><SpeakSentence>a</SpeakSentence><Gather", ("SpeakSentence",)),
        ("<Response><Hangup /><SpeakSentence>«redacted:x»", ("Hangup", "SpeakSentence")),
        ("no credentials yet\n", ()),
        ("", ()),
        ("<!DOCTYPE x [<!ENTITY y 'z'>]><Response>&y;</Response>", ()),
    ],
)
def test_the_verbs_of_an_answer_are_named_also_when_it_is_spoilt(answer: str, verbs: tuple[str, ...]) -> None:
    assert bxml_verbs(answer) == verbs


def test_what_an_answer_makes_the_caller_hear_is_told() -> None:
    assert bxml_words(BXML) == "SpeakSentence “You dialled 1 9 9.”, Gather (SpeakSentence “Press one digit.”)"


# ---------------------------------------------------------------- a sound


def test_a_sound_is_drawn_over_its_seconds() -> None:
    svg = waveform_svg(tone(2.5), "What the phone heard")
    assert seconds_of(tone(2.5)) == 2.5
    assert "What the phone heard: 2.5 s, loudest -12 dB of full scale" in words_of(svg)
    assert [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")] == ["0 s", "1 s", "2 s"]


@pytest.mark.parametrize("wav", [b"", b"RIFF", b"not a sound", tone()[:44], tone()[:30], tone(0.00025)])
def test_what_is_no_sound_has_no_picture_or_a_small_one(wav: bytes) -> None:
    svg = waveform_svg(wav, "x")
    assert not svg or ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert seconds_of(wav) >= 0
