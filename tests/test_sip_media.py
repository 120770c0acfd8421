import asyncio
import random
import socket
import time
from contextlib import asynccontextmanager

import numpy as np
import pytest

from bwlib import heard
from bwlib.errors import BwlibError, NotAsExpected, SettingsError
from bwlib.sip import g711
from bwlib.sip.media import Media, SdpError
from bwlib.sip.rtp import RtpPacket

NOISE = (np.random.default_rng(1).normal(size=8000) * 3000).astype(np.int16)
OTHER = (np.random.default_rng(2).normal(size=8000) * 3000).astype(np.int16)


@asynccontextmanager
async def two_legs(codecs=("PCMU", "PCMA"), **options):
    """Two call legs on loopback that have agreed and are open: the one that offered, the one that answered."""
    left, right = Media(**options), Media(**options)
    left.accept(right.answer(left.offer(codecs)))
    await left.open()
    await right.open()
    try:
        yield left, right
    finally:
        await left.close()
        await right.close()


async def until(holds, timeout_s=60):
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - packets that arrive set no event
            await asyncio.sleep(0.01)


async def all_arrived(sender, receiver):
    """What the sender has sent by now has arrived."""
    count = sender.stats.packets_sent
    await until(lambda: receiver.stats.packets_received >= count)


async def take_digits(media, count):
    async with asyncio.timeout(60):
        return "".join([await media.digits.get() for _ in range(count)])


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_what_is_played_is_heard_both_ways(codec):
    async def call():
        async with two_legs((codec,)) as (left, right):
            await asyncio.gather(left.play(NOISE), right.play(OTHER))
            await all_arrived(left, right)
            await all_arrived(right, left)
            return left.negotiated.codec, left.sent(), right.received(), right.sent(), left.received()

    used, sent, arrived, sent_back, arrived_back = asyncio.run(call())
    assert used == codec
    assert heard.find(NOISE, arrived).correlation >= 0.99
    assert heard.compare(sent, arrived).correlation >= 0.99
    assert heard.compare(sent_back, arrived_back).correlation >= 0.99


def test_samples_keep_their_places_when_the_sender_was_blocked():
    async def call():
        async with two_legs() as (left, right):
            playing = asyncio.ensure_future(left.play(NOISE))
            await until(lambda: right.stats.packets_received > 3)
            time.sleep(1.5)  # noqa: ASYNC251 - the whole event loop stands still, as on a busy machine
            await playing
            await all_arrived(left, right)
            return right.received()

    assert heard.find(NOISE, asyncio.run(call())).correlation >= 0.99


def test_silence_is_sent_when_nothing_is_played():
    async def call():
        async with two_legs() as (left, right):
            await until(lambda: right.stats.packets_received >= 10)
            return left.sent(), right.received()

    sent, arrived = asyncio.run(call())
    assert len(sent) >= 1600
    assert not sent.any()
    assert not arrived.any()


def test_clips_played_together_follow_each_other():
    async def call():
        async with two_legs() as (left, right):
            await asyncio.gather(left.play(NOISE[:4000]), left.play(NOISE[4000:]))
            await all_arrived(left, right)
            return right.received()

    assert heard.find(NOISE, asyncio.run(call())).correlation >= 0.99


def test_playing_stops_at_once_when_it_is_cancelled():
    async def call():
        async with two_legs() as (left, right):
            playing = asyncio.ensure_future(left.play(np.tile(NOISE, 60)))
            await until(lambda: right.stats.packets_received > 20)
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            await left.play(OTHER)
            await all_arrived(left, right)
            return right.received()

    arrived = asyncio.run(call())
    assert heard.find(OTHER, arrived).correlation >= 0.99
    assert len(arrived) < 20 * 8000


def test_digits_arrive_both_ways_each_once():
    async def call():
        async with two_legs() as (left, right):
            await asyncio.gather(left.send_digits("12#5500"), right.send_digits("*9aD"))
            await all_arrived(left, right)
            await all_arrived(right, left)
            return await take_digits(right, 7), await take_digits(left, 4), right.digits.empty(), left.digits.empty()

    assert asyncio.run(call()) == ("12#5500", "*9AD", True, True)


def test_digits_interrupt_what_is_played_and_it_goes_on_afterwards():
    async def call():
        async with two_legs() as (left, right):
            playing = asyncio.ensure_future(left.play(np.concatenate([NOISE, NOISE])))
            await until(lambda: right.stats.packets_received > 10)
            await left.send_digits("7")
            before = playing.done()
            await playing
            await all_arrived(left, right)
            return before, await take_digits(right, 1), right.received()

    finished_before, digit, arrived = asyncio.run(call())
    assert (finished_before, digit) == (False, "7")
    assert heard.find(NOISE[-4000:], arrived).correlation >= 0.99


def test_digits_arrive_although_every_other_packet_is_lost():
    async def call():
        async with two_legs() as (left, right):
            count = iter(range(10**6))
            left.fault = lambda outgoing, packet: packet if not outgoing or next(count) % 2 else None
            await left.send_digits("4711")
            digits = await take_digits(right, 4)
            await until(lambda: right.stats.packets_lost > 10)
            return digits, right.digits.empty()

    assert asyncio.run(call()) == ("4711", True)


def test_digits_are_refused_when_the_far_end_takes_none():
    async def call():
        media = Media()
        media.answer("v=0\nc=IN IP4 127.0.0.1\nm=audio 9000 RTP/AVP 0\n")
        await media.open()
        try:
            await media.send_digits("1")
        finally:
            await media.close()

    with pytest.raises(NotAsExpected, match="telephone-event"):
        asyncio.run(call())


def test_a_recording_holds_what_was_heard_between_its_start_and_its_end():
    async def call():
        async with two_legs() as (left, right):
            await left.play(NOISE)
            await all_arrived(left, right)
            right.start_recording()
            await left.play(OTHER)
            await all_arrived(left, right)
            return right.stop_recording()

    recording = asyncio.run(call())
    assert heard.find(OTHER[:7000], recording).correlation >= 0.99
    assert heard.find(NOISE[:4000], recording).correlation < 0.3


def test_stopping_a_recording_that_was_not_started_is_an_error():
    media = Media()
    with pytest.raises(BwlibError, match="none was started"):
        media.stop_recording()
    asyncio.run(media.close())


def test_hold_stops_the_sender_and_resume_starts_it_again():
    async def call():
        async with two_legs() as (left, right):
            assert "a=recvonly" in right.answer(left.offer(direction="sendonly"))
            await asyncio.sleep(0)
            held = right.stats.packets_sent
            await right.play(NOISE[:1600])
            still = right.stats.packets_sent
            left.accept(right.answer(left.offer()))
            await right.play(OTHER)
            await all_arrived(right, left)
            return held, still, left.received()

    held, still, arrived = asyncio.run(call())
    assert held == still
    assert heard.find(OTHER, arrived).correlation >= 0.99


def test_rtcp_reports_tell_both_directions():
    async def call():
        async with two_legs(report_interval_s=0.1) as (left, _right):
            await left.play(NOISE[:1600])
            await until(lambda: left.stats.remote_hears_us and left.stats.round_trip_ms is not None)
            return left.stats

    stats = asyncio.run(call())
    assert stats.audio_path == "both ways"
    assert stats.remote_packets_sent > 0
    assert stats.remote_lost == 0


@pytest.mark.parametrize(("drops_outgoing", "name"), [(True, "only in"), (False, "only out")])
def test_one_way_audio_is_named(drops_outgoing, name):
    async def call():
        async with two_legs(report_interval_s=0.1) as (left, _right):
            left.fault = lambda outgoing, packet: None if outgoing == drops_outgoing else packet
            await until(lambda: left.stats.reports_received > 3 and left.stats.audio_path == name)
            return left.stats

    stats = asyncio.run(call())
    assert stats.packets_sent > 0
    assert (stats.packets_received == 0) == (not drops_outgoing)


def test_a_silent_far_end_without_rtcp_is_not_called_deaf():
    async def call():
        media = Media()
        media.answer("v=0\nc=IN IP4 127.0.0.1\nm=audio 9000 RTP/AVP 0\n")
        stats = media.stats
        await media.close()
        return stats

    assert asyncio.run(call()).audio_path == "out unknown"


def test_the_far_end_may_speak_from_another_port_of_loopback():
    async def call():
        media = Media()
        media.answer("v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n")
        await media.open()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind(("127.0.0.1", 0))
            elsewhere.setblocking(False)
            elsewhere.sendto(RtpPacket(0, 1, 160, 5, g711.encode_ulaw(NOISE[:160])).encode(), ("127.0.0.1", media.port))
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(elsewhere, 2000), 10)
        await media.close()
        return answer

    assert len(asyncio.run(call())) == 172


def test_without_symmetric_rtp_the_address_of_the_sdp_gets_it_whoever_speaks():
    async def call():
        media, loop = Media(symmetric=False), asyncio.get_running_loop()
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as named,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker,
        ):
            for each in (named, speaker):
                each.bind(("127.0.0.1", 0))
                each.setblocking(False)
            media.answer(f"v=0\nc=IN IP4 127.0.0.1\nm=audio {named.getsockname()[1]} RTP/AVP 0\n")
            await media.open()
            speaker.sendto(RtpPacket(0, 1, 160, 5, g711.encode_ulaw(NOISE[:160])).encode(), ("127.0.0.1", media.port))
            await until(lambda: media.stats.packets_received == 1)
            after_it = media.stats.packets_sent
            for _ in range(after_it + 3):
                await asyncio.wait_for(loop.sock_recv(named, 2000), 10)
            with pytest.raises(BlockingIOError):
                speaker.recv(2000)
        await media.close()

    asyncio.run(call())


def test_a_stranger_is_not_heard_once_the_far_end_has_spoken():
    async def call():
        async with two_legs() as (_left, right):
            await until(lambda: right.stats.packets_received > 2)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for n in range(5):
                    stranger.sendto(RtpPacket(0, n, n * 160, 5, b"\0" * 160).encode(), ("127.0.0.1", right.port))
                await until(lambda: right.stats.packets_rejected == 5)
            return right.received()

    assert not asyncio.run(call()).any()


def test_garbage_on_the_rtp_and_rtcp_ports_harms_nothing():
    async def call():
        draw = random.Random(200)
        async with two_legs(report_interval_s=0.1) as (left, right):
            good = RtpPacket(101, 1, 160, 5, b"\x05\x0a\x00\xa0" * 40).encode()
            for n in range(400):
                data = bytearray(good[: draw.randint(0, len(good))])
                for _ in range(draw.randint(0, 6) if data else 0):
                    data[draw.randrange(len(data))] = draw.randrange(256)
                # from the far end's own sockets: the stranger's are turned away before they could harm
                left._transports[n % 2].sendto(bytes(data), ("127.0.0.1", right.port + n % 2))
            await left.play(NOISE)
            await until(lambda: heard.find(NOISE, right.received()).correlation >= 0.99)
            return right.stats.packets_rejected

    assert asyncio.run(call()) > 20


def test_a_failing_fault_hook_does_not_stop_the_sender():
    async def call():
        async with two_legs() as (left, right):

            def fails(outgoing, packet):
                left.fault = None
                raise ValueError("injected")

            left.fault = fails
            await until(lambda: left.fault is None)  # or it may cost a packet of what is played
            await left.play(NOISE)
            await all_arrived_but_one(left, right)
            return right.received()

    async def all_arrived_but_one(left, right):
        count = left.stats.packets_sent
        await until(lambda: right.stats.packets_received >= count - 1)

    assert heard.find(NOISE[:6000], asyncio.run(call())).correlation >= 0.99


def test_the_ports_are_an_even_pair_and_free_again_after_close():
    async def call():
        media = Media(port_range=(38000, 38099))
        assert media.port % 2 == 0
        assert 38000 <= media.port < 38099
        taken = media.port
        with pytest.raises(SettingsError, match="no free even/odd pair"):
            Media(port_range=(taken, taken + 1))
        await media.close()
        again = Media(port_range=(taken, taken + 1))
        await again.close()
        return again.port == taken

    assert asyncio.run(call())


def test_a_closed_session_refuses_to_play_and_says_so():
    async def call():
        async with two_legs() as (left, _right):
            playing = asyncio.ensure_future(left.play(NOISE))
            await asyncio.sleep(0.05)
            await left.close()
            await left.close()
            cut_short = (await asyncio.gather(playing, return_exceptions=True))[0]
            assert isinstance(cut_short, NotAsExpected)
            await left.play(NOISE)

    with pytest.raises(NotAsExpected, match="not up"):
        asyncio.run(call())


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_session_that_is_closed_while_it_opens_gives_its_ports_back(cancelled):
    async def call():
        media = Media()
        opening = asyncio.ensure_future(media.open())
        await asyncio.sleep(0)
        if cancelled:
            opening.cancel()
        await asyncio.gather(media.close(), opening, return_exceptions=True)
        again = Media(port_range=(media.port, media.port + 1))
        await again.close()
        return again.port == media.port

    assert asyncio.run(call())


def test_what_arrives_before_the_opening_is_not_lost():
    async def call():
        left, right = Media(), Media()
        left.accept(right.answer(left.offer()))
        await left.open()
        await left.play(NOISE)
        await right.open()
        await until(lambda: right.stats.packets_received >= 50)
        await asyncio.gather(left.close(), right.close())
        return right.received()

    assert heard.find(NOISE, asyncio.run(call())).correlation >= 0.99


def test_many_legs_at_once_are_all_heard():
    async def call():
        legs = [Media() for _ in range(40)]
        for left, right in zip(legs[::2], legs[1::2], strict=True):
            left.accept(right.answer(left.offer()))
        for leg in legs:
            await leg.open()
        await asyncio.gather(*(leg.play(NOISE) for leg in legs[::2]))
        for left, right in zip(legs[::2], legs[1::2], strict=True):
            await all_arrived(left, right)
        arrived = [leg.received() for leg in legs[1::2]]
        for leg in legs:
            await leg.close()
        return arrived

    assert all(heard.find(NOISE, pcm).correlation >= 0.99 for pcm in asyncio.run(call()))


def test_an_unusable_offer_raises_sdp_error_and_leaves_the_leg_as_it_was():
    async def call():
        async with two_legs() as (left, right):
            with pytest.raises(SdpError):
                right.answer("v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 9\n")
            await left.play(NOISE[:1600])
            return right.negotiated.codec

    assert asyncio.run(call()) == "PCMU"
