import random

import pytest

from bwlib.sip import sdp
from bwlib.sip.sdp import SdpError

ASTERISK = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Asterisk\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 20010 RTP/AVP 9 8 0 96\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=ptime:20\r\na=maxptime:150\r\na=sendrecv\r\n"
)


def negotiate(text):
    return sdp.negotiate(text, "127.0.0.2", 4000)


def test_negotiate_takes_the_offerers_first_codec_that_is_ours():
    agreed = negotiate(ASTERISK)
    assert (agreed.codec, agreed.payload_type, agreed.host, agreed.port) == ("PCMA", 8, "127.0.0.1", 20010)
    assert "m=audio 4000 RTP/AVP 8 96\r\n" in agreed.answer


def test_negotiate_echoes_the_number_of_telephone_event():
    agreed = negotiate(ASTERISK)
    assert agreed.telephone_event == 96
    assert "a=rtpmap:96 telephone-event/8000" in agreed.answer


def test_an_offer_and_its_answer_agree_on_both_sides():
    theirs = negotiate(sdp.offer("127.0.0.3", 5000))
    ours = sdp.accept(theirs.answer)
    assert (ours.host, ours.port, ours.codec, ours.telephone_event) == ("127.0.0.2", 4000, "PCMU", 101)
    assert (theirs.host, theirs.port, theirs.rtcp_port) == ("127.0.0.3", 5000, 5001)


def test_codecs_without_rtpmap_are_known_by_their_static_number():
    assert negotiate("v=0\nc=IN IP4 127.0.0.1\nm=audio 9000 RTP/AVP 0\n").codec == "PCMU"


def test_a_static_number_that_is_mapped_to_something_else_is_something_else():
    with pytest.raises(SdpError, match="no common codec"):
        negotiate("v=0\nc=IN IP4 127.0.0.1\nm=audio 9000 RTP/AVP 0\na=rtpmap:0 OPUS/48000\n")


def test_a_second_media_line_is_answered_with_port_0():
    answer = negotiate(ASTERISK + "m=video 20012 RTP/AVP 34\r\n").answer
    assert answer.count("m=") == 2
    assert answer.endswith("m=video 0 RTP/AVP 34\r\n")


def test_media_lines_keep_their_order_when_video_comes_first():
    head, audio = ASTERISK.split("m=audio")
    lines = [
        line
        for line in negotiate(f"{head}m=video 9 RTP/AVP 34\r\nm=audio{audio}").answer.splitlines()
        if line[:2] == "m="
    ]
    assert lines == ["m=video 0 RTP/AVP 34", "m=audio 4000 RTP/AVP 8 96"]


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_the_direction_is_mirrored(offered, answered):
    agreed = negotiate(ASTERISK.replace("a=sendrecv", f"a={offered}"))
    assert agreed.direction == answered
    assert f"a={answered}\r\n" in agreed.answer


def test_hold_by_the_address_0_0_0_0_means_we_only_listen():
    assert negotiate(ASTERISK.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0")).direction == "recvonly"


def test_an_explicit_rtcp_port_counts():
    assert negotiate(ASTERISK + "a=rtcp:30001 IN IP4 127.0.0.1\r\n").rtcp_port == 30001


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "hello",
        ASTERISK.replace("RTP/AVP", "RTP/SAVP"),
        ASTERISK.replace("20010", "0"),
        ASTERISK.replace("20010", "99999"),
        ASTERISK.replace("20010", "-1"),
        ASTERISK.replace("20010", "٣٤٥"),
        ASTERISK.replace("8 0 96", "8 0 4711"),
        ASTERISK.replace("IN IP4 127.0.0.1\r\nt", "IN IP4 evil.example\r\nt"),
        ASTERISK.replace("IN IP4 127.0.0.1\r\nt", "IN IP6 ::1\r\nt"),
        ASTERISK.replace("IN IP4 127.0.0.1\r\nt", "IN IP4 224.0.0.1\r\nt"),
        ASTERISK.replace("c=IN IP4 127.0.0.1\r\n", ""),
        ASTERISK.replace("9 8 0 96", "9 96"),
        ASTERISK + "a" * 20_000,
    ],
)
def test_what_cannot_be_agreed_on_raises_sdp_error(bad):
    with pytest.raises(SdpError):
        negotiate(bad)


def test_an_answer_that_refuses_our_stream_raises_sdp_error():
    with pytest.raises(SdpError, match="refuses"):
        sdp.accept(ASTERISK.replace("20010", "0"))


def test_mutated_sdp_raises_nothing_but_sdp_error():
    draw = random.Random(4711)
    refused = 0
    for _ in range(2000):
        text = list(ASTERISK)
        for _ in range(draw.randint(1, 8)):
            text[draw.randrange(len(text))] = chr(draw.choice([0, 10, 32, 45, 57, 61, 255, 0x663]))
        try:
            assert negotiate("".join(text)).answer.startswith("v=0\r\n")
        except SdpError:
            refused += 1
    assert 0 < refused < 2000
