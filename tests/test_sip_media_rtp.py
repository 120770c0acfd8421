import contextlib
import random

import numpy as np
import pytest

from bwlib.errors import SettingsError
from bwlib.sip import dtmf, g711
from bwlib.sip.hearing import Hearing
from bwlib.sip.rtp import (
    Reception,
    ReportBlock,
    RtcpReport,
    RtpError,
    RtpPacket,
    encode_bye,
    encode_sdes,
    parse_rtcp,
    parse_rtp,
)
from bwlib.sip.timeline import MAX_SECONDS, Timeline

TONE = (np.sin(np.arange(160 * 50) * 0.37) * 8000).astype(np.int16)


def packets(pcm=TONE, ssrc=7, first_sequence=100, first_timestamp=5000):
    for n in range(len(pcm) // 160):
        payload = g711.encode_ulaw(pcm[n * 160 : (n + 1) * 160])
        timestamp = (first_timestamp + n * 160) & 0xFFFFFFFF
        yield RtpPacket(0, (first_sequence + n) & 0xFFFF, timestamp, ssrc, payload)


def hear(sequence, hearing=None, start=0):
    """Each packet arrives 20 ms after the one before it."""
    hearing = hearing or Hearing()
    for n, packet in enumerate(sequence):
        hearing.voice(packet, "PCMU", start + n * 160)
    return hearing


HEARD = g711.decode_ulaw(g711.encode_ulaw(TONE))

# ---------------------------------------------------------------- packets


def test_a_packet_survives_encoding_and_parsing():
    packet = RtpPacket(101, 65535, 0xFFFFFFFF, 0x80000001, b"abc", marker=True)
    assert parse_rtp(packet.encode()) == packet


def test_csrc_extension_and_padding_are_no_payload():
    plain = RtpPacket(0, 1, 2, 3, b"").encode()
    data = bytes([0x80 | 0x20 | 0x10 | 2]) + plain[1:] + b"c" * 8 + b"\xbe\xde\0\1" + b"e" * 4 + b"voice" + b"\0\0\3"
    assert parse_rtp(data).payload == b"voice"


@pytest.mark.parametrize("data", [b"", b"\x80" * 11, b"\x40" + bytes(20), b"\x8f" + bytes(11), b"\xa0" + bytes(12)])
def test_what_is_no_rtp_raises_rtp_error(data):
    with pytest.raises(RtpError):
        parse_rtp(data)


def test_a_compound_rtcp_packet_survives_encoding_and_parsing():
    block = ReportBlock(9, 0.25, -3, 70000, 12, 0x12345678, 65536)
    report = RtcpReport(7, (block,), packets=500, octets=80000, ntp=1 << 40, rtp_timestamp=99)
    data = report.encode() + encode_sdes(7, "phone@127.0.0.3") + encode_bye(7)
    assert len(data) % 4 == 0
    assert parse_rtcp(data) == [report]


def test_mutated_rtcp_raises_nothing_but_rtp_error():
    draw, good = random.Random(1), RtcpReport(7, (ReportBlock(9, 0, 0, 1, 1),), 1).encode() + encode_sdes(7, "x")
    for _ in range(2000):
        data = bytearray(good[: draw.randint(0, len(good))])
        for _ in range(draw.randint(0, 4) if data else 0):
            data[draw.randrange(len(data))] = draw.randrange(256)
        with contextlib.suppress(RtpError):
            parse_rtcp(bytes(data))


# ---------------------------------------------------------------- figures


def test_lost_packets_are_counted_across_the_wrap_of_the_sequence_number():
    reception = Reception(7, 65530)
    for n in (0, 1, 2, 5, 6, 8, 20):
        reception.count((65530 + n) & 0xFFFF, n * 160, n * 160)
    assert (reception.received, reception.expected, reception.lost) == (7, 21, 14)


def test_jitter_is_that_of_rfc_3550():
    steady, shaken = Reception(1, 0), Reception(2, 0)
    for n in range(500):
        steady.count(n, n * 160, n * 160 + 1000)
        shaken.count(n, n * 160, n * 160 + (n % 2) * 80)
    assert steady.jitter == 0
    assert shaken.jitter == pytest.approx(80, abs=1)


def test_fraction_lost_is_that_of_the_interval():
    reception = Reception(1, 0)
    for n in (0, 1, 2, 3, 6, 7):
        reception.count(n, 0, 0)
    assert reception.report(0, 0).fraction_lost == 0.25
    reception.count(8, 0, 0)
    assert reception.report(0, 0).fraction_lost == 0


def test_one_odd_sequence_number_changes_nothing_two_are_a_restart():
    reception = Reception(1, 10)
    for sequence in (10, 11, 40000, 12):
        reception.count(sequence, 0, 0)
    assert (reception.received, reception.lost) == (3, 0)
    for sequence in (50000, 50001, 50002):
        reception.count(sequence, 0, 0)
    assert reception.lost == 0


# ---------------------------------------------------------------- the timeline


def test_packets_are_placed_by_timestamp_whatever_their_order():
    shuffled = list(packets())
    shuffled[1:] = random.Random(3).sample(shuffled[1:], len(shuffled) - 1)
    assert np.array_equal(hear(shuffled).timeline.pcm(), HEARD)


def test_what_never_came_is_silence():
    kept = [packet for n, packet in enumerate(packets()) if n not in (10, 11)]
    pcm = hear(kept).timeline.pcm()
    assert not pcm[1600:1920].any()
    assert np.array_equal(pcm[1920:], HEARD[1920:])


def test_late_packets_that_come_in_a_burst_keep_their_places():
    hearing, pcm = Hearing(), list(packets())
    for packet in pcm[:10]:
        hearing.voice(packet, "PCMU", 0)
    for packet in pcm[10:]:
        hearing.voice(packet, "PCMU", 30_000)
    assert np.array_equal(hearing.timeline.pcm(), HEARD)


def test_the_timestamp_may_wrap():
    assert np.array_equal(hear(packets(first_timestamp=2**32 - 480)).timeline.pcm(), HEARD)


def test_a_second_ssrc_is_placed_when_it_arrives():
    hearing = hear(packets())
    hear(packets(ssrc=8, first_timestamp=123456789), hearing, start=10_000)
    assert np.array_equal(hearing.timeline.pcm()[10_000:], HEARD)
    assert hearing.lost == 0


def test_a_jump_of_the_timestamps_is_followed_from_the_second_packet_on():
    hearing = hear(packets())
    hear(packets(first_sequence=150, first_timestamp=900_000_000), hearing, start=8000)
    assert np.array_equal(hearing.timeline.pcm()[8160:], HEARD[160:])


def test_one_garbage_timestamp_is_dropped():
    sequence = list(packets())
    sequence[20] = RtpPacket(0, 120, (5000 + 2**31) & 0xFFFFFFFF, 7, b"\0" * 160)
    pcm = hear(sequence).timeline.pcm()
    assert len(pcm) == len(HEARD)
    assert np.array_equal(pcm[3360:], HEARD[3360:])


def test_voice_is_told_from_silence():
    assert hear(packets(np.zeros(1600, dtype=np.int16))).last_voice is None
    assert hear(packets()).last_voice == len(TONE)


def test_the_timeline_has_an_end_and_no_beginning_before_0():
    timeline = Timeline()
    assert not timeline.write(MAX_SECONDS * 8000, TONE)
    assert timeline.write(-160, TONE[:320])
    assert np.array_equal(timeline.pcm(), TONE[160:320])


# ---------------------------------------------------------------- DTMF


def events(digits, start=1000):
    """(timestamp, payload) as a sender would send them."""
    timestamp = 0
    for n, frame in enumerate(dtmf.frames(digits)):
        if frame.first:
            timestamp = start + n * 160
        if frame.payload:
            yield timestamp, frame.payload


def receive(sequence):
    receiver = dtmf.DtmfReceiver()
    return "".join(digit for packet in sequence if (digit := receiver.feed(*packet)))


def test_every_digit_is_reported_once():
    assert receive(events(dtmf.DIGITS)) == dtmf.DIGITS


def test_the_same_digit_twice_is_two_digits():
    assert receive(events("5511")) == "5511"


def test_digits_arrive_although_all_end_packets_are_lost():
    assert receive(packet for packet in events("4711") if not packet[1][1] & 0x80) == "4711"


def test_digits_arrive_although_only_end_packets_come():
    assert receive(packet for packet in events("4711") if packet[1][1] & 0x80) == "4711"


def test_repeated_and_reordered_packets_add_no_digits():
    sent = list(events("12"))
    assert receive([*sent, *sent[:5], *sent]) == "12"


def test_flash_and_short_events_are_ignored():
    assert receive([(1, b"\x10\x0a\x00\xa0"), (2, b"\x05\x0a"), (3, b""), (4, b"\xff" * 4)]) == ""


def test_a_key_held_beyond_the_longest_duration_is_one_digit():
    segments = [(1000, b"\x05\x0a\xff\xff"), (1000 + 0xFFFF, b"\x05\x0a\x10\x00"), (1000 + 0xFFFF, b"\x05\x8a\x20\x00")]
    assert receive(segments) == "5"


def test_a_digit_pressed_again_one_longest_duration_later_is_a_second_digit():
    segments = [(1000, b"\x05\x0a\x05\x00"), (1000 + 0xFFFF, b"\x05\x0a\x05\x00")]
    assert receive(segments) == "55"


def test_each_digit_ends_with_three_packets_of_the_same_duration():
    frames = [frame.payload for frame in dtmf.frames("5", tone_ms=160, gap_ms=100)]
    assert frames[7:10] == [b"\x05\x8a\x05\x00"] * 3
    assert [int.from_bytes(payload[2:], "big") for payload in frames[:7]] == [160 * n for n in range(1, 8)]
    assert frames[10:] == [b""] * 5


@pytest.mark.parametrize("digits", ["12x", "1 2", "é"])
def test_what_is_no_digit_is_refused(digits):
    with pytest.raises(SettingsError):
        dtmf.frames(digits)


@pytest.mark.parametrize(
    ("content_type", "body", "digit"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "5"),
        ("application/dtmf-relay; x=y", b"Duration=1\nSignal = #", "#"),
        ("application/dtmf", b"a", "A"),
        ("application/dtmf-relay", b"Signal=16", None),
        ("application/dtmf-relay", b"\xff\xfe", None),
        ("application/media_control+xml", b"5", None),
    ],
)
def test_dtmf_by_info_is_read(content_type, body, digit):
    assert dtmf.digit_of_info(content_type, body) == digit
