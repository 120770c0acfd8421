"""The ladder: what it masks, what it says in words, and that its SVG is well-formed whatever was on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from bwlib.models import SipEvent
from bwlib.sip.ladder import FOUR_LANES, GROUND, Row, draw_svg, draw_text, ladder_svg, ladder_text, redact_sip

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = {"127.0.0.3:5070": "Phone 101", "127.0.0.1": "PBX", "127.0.0.2": "Realm"}
SECRET = "6629fae49393a05397450978507c4ef1"
INVITE = (
    "INVITE sip:+19195550100@realm.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.3:5070;branch=z9hG4bK1\r\n"
    f'Proxy-Authorization: Digest username="u", realm="r", response="{SECRET}", cnonce="c"\r\n'
    "CSeq: 2 INVITE\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"
)
BUSY = "SIP/2.0 486 Busy Here\r\nCSeq: 2 INVITE\r\n\r\n"
SVG = "{http://www.w3.org/2000/svg}"


def event(ms: int, source: str, target: str, text: str, seen_by: str = "x") -> SipEvent:
    return SipEvent(START + timedelta(milliseconds=ms), source, target, text, seen_by)


def a_call() -> list[SipEvent]:
    return [
        event(0, "127.0.0.3:5070", "127.0.0.1:15060", INVITE),
        event(7, "127.0.0.1:15060", "127.0.0.2:5060", INVITE),
        event(20, "127.0.0.2:5060", "127.0.0.1:15060", BUSY),
    ]


def test_redact_masks_the_digest_response_and_nothing_else() -> None:
    assert redact_sip(INVITE) == INVITE.replace(f'"{SECRET}"', '"«redacted»"')


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Digest username=u, response={SECRET}",
        f'AUTHORIZATION : Digest username="u",\r\n\tresponse = "{SECRET}"',
        f"Proxy-Authorization: Digest response='{SECRET}', realm=\"x\"",
        f"Author\x00ization: Digest response={SECRET}",
        f"Authorization: Basic {SECRET}",
        f"Authorization: NoOneKnows opaque-data-{SECRET}",
        f'Authentication-Info: rspauth="{SECRET}"',
    ],
)
def test_redact_masks_every_spelling_of_credentials(line: str) -> None:
    masked = redact_sip(f"REGISTER sip:a SIP/2.0\r\nTo: <sip:a>\r\n{line}\r\nCSeq: 1 REGISTER\r\n\r\n")
    assert SECRET not in masked
    assert "To: <sip:a>\r\n" in masked
    assert "CSeq: 1 REGISTER\r\n\r\n" in masked


def test_ladder_text_names_lanes_times_and_messages() -> None:
    lines = ladder_text(a_call(), NAMES).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "0 ms Phone 101 -> PBX INVITE +19195550100, credentials, SDP",
        "7 ms PBX -> Realm INVITE +19195550100, credentials, SDP",
        "20 ms Realm -> PBX 486 Busy Here (INVITE)",
    ]


def test_ladder_shows_a_repeat_but_not_the_same_datagram_from_two_witnesses() -> None:
    sent = event(0, "127.0.0.3:5070", "127.0.0.1:15060", INVITE, "phone")
    also = event(1, "127.0.0.3:5070", "127.0.0.1:15060", INVITE, "pbx")
    again = event(500, "127.0.0.3:5070", "127.0.0.1:15060", INVITE, "phone")
    lines = ladder_text([again, also, sent], NAMES).splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("(repeat 1)")


def test_ladder_svg_is_well_formed_and_described_for_screen_readers() -> None:
    root = ElementTree.fromstring(ladder_svg(a_call(), NAMES, "Test <call> & more"))
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert title.text == "Test <call> & more"
    assert desc is not None
    assert desc.text == ladder_text(a_call(), NAMES)
    assert len(root.findall(f"{SVG}g")) == 3
    assert SECRET not in ElementTree.tostring(root, encoding="unicode")


def test_ladder_svg_survives_markup_and_control_characters_from_the_wire() -> None:
    evil = 'SIP/2.0 400 <script>alert("x")</script>\x00\x1b\ufffe\ud800\r\nCSeq: 1 </title>\r\n\r\n'
    events = [event(0, "127.0.0.9:1", "127.0.0.1:2", evil), event(1, "127.0.0.9:1", "127.0.0.9:1", "\x01garbage")]
    svg = ladder_svg(events, {"127.0.0.9": '"><b>'})
    root = ElementTree.fromstring(svg)
    assert root.find(f".//{SVG}script") is None
    assert "not a SIP message" in ladder_text(events, {})


def test_two_ladders_on_one_page_share_no_id() -> None:
    def ids(svg: str) -> set[str]:
        return {found for node in ElementTree.fromstring(svg).iter() if (found := node.get("id"))}

    assert not ids(ladder_svg(a_call(), NAMES)) & ids(ladder_svg(a_call(), NAMES))


def test_ladder_of_nothing_says_so() -> None:
    assert ladder_text([], {}) == "No SIP messages."
    assert ElementTree.fromstring(ladder_svg([], {})).tag == f"{SVG}svg"


def test_ladder_svg_shows_a_challenge_as_no_refusal_and_a_long_silence_as_a_row() -> None:
    challenge = "SIP/2.0 407 Proxy Authentication Required\r\nCSeq: 1 INVITE\r\n\r\n"
    calm = ladder_svg([event(0, "127.0.0.2:5060", "127.0.0.1:15060", challenge)], NAMES)
    assert "-challenge)" in calm
    assert "-refusal)" not in calm
    assert "without SIP messages" not in calm
    assert "-refusal)" in ladder_svg(a_call(), NAMES)
    late = event(5_020, "127.0.0.2:5060", "127.0.0.1:15060", challenge)
    assert "5.0 s without SIP messages" in ladder_svg([*a_call(), late], NAMES)


def test_no_two_arrows_or_labels_of_a_ladder_share_a_height() -> None:
    slow = [
        event(at * 900, "127.0.0.1:15060", "127.0.0.2:5060", f"INVITE sip:{at}@r SIP/2.0\r\n\r\n") for at in range(9)
    ]
    root = ElementTree.fromstring(ladder_svg([*slow, event(30_000, "127.0.0.9", "127.0.0.1", BUSY)], NAMES))
    heights = [int(path.get("d", "").split()[1]) for path in root.findall(f"{SVG}g/{SVG}path")]
    assert heights == sorted(set(heights))
    assert max(heights) < int(root.get("height", "0"))


def test_rows_of_any_origin_can_be_drawn_with_a_legend_and_a_silence_of_their_own() -> None:
    rows = [Row(0, 0, 1, "POST /hook", "the whole <request>", "webhook"), Row(5000, 1, 0, "204", "", "answer", True)]
    svg = draw_svg(["A", "B"], rows, "Mixed", layout=FOUR_LANES, legend="a legend", silence="without anything")
    words = " ".join(ElementTree.fromstring(svg).itertext())
    assert all(said in words for said in ("POST /hook", "the whole <request>", "a legend", "5.0 s without anything"))
    assert svg.count("stroke-dasharray") == 1
    assert draw_text(["A", "B"], rows).splitlines()[1].split() == ["5000", "ms", "B", "->", "A", "204"]


def test_a_long_label_or_name_is_told_whole_in_as_many_lines_as_it_takes() -> None:
    label = "INVITE sip:reminders-of-the-whole-practice@front-desk.example.net, credentials, SDP (repeat 12)"
    lanes = ["Phone 101", "PBX of the practice in the old building", "Realm", "Application"]
    rows = [Row(0, 1, 2, label, "", "request"), Row(20, 0, 3, f"{label} {label}", "", "webhook")]
    root = ElementTree.fromstring(draw_svg(lanes, rows, "A title. " * 12, layout=FOUR_LANES))
    texts = [part for part in root.iter(f"{SVG}text") if len(list(part.iter(f"{SVG}tspan")))]
    told = ["".join(part.itertext()) for part in texts]
    squeezed = "".join(told).replace(" ", "")
    assert "…" not in squeezed
    for whole in (label, f"{label} {label}", lanes[1], "A title. " * 12):
        assert whole.replace(" ", "") in squeezed
    height = int(root.get("height", "0"))
    assert all(0 < int(part.get("y", "0")) < height for part in root.iter(f"{SVG}text"))


def test_a_label_hides_the_life_lines_below_it_and_its_arrow_lies_on_top() -> None:
    for group in ElementTree.fromstring(ladder_svg(a_call(), NAMES)).findall(f"{SVG}g"):
        _, time, label, arrow = list(group)
        assert (label.get("stroke"), label.get("paint-order")) == (GROUND, "stroke")
        assert arrow.tag == f"{SVG}path"
        assert time.get("text-anchor") == "end"


def test_what_the_last_lane_sends_to_itself_is_drawn_where_there_is_room() -> None:
    rows = [Row(0, 1, 1, "BYE +19195550100", "", "request"), Row(9, 0, 0, "BYE +19195550100", "", "request")]
    last, first = ElementTree.fromstring(draw_svg(["A", "B"], rows)).findall(f"{SVG}g")
    assert [group[2].get("text-anchor") for group in (last, first)] == ["end", "start"]
