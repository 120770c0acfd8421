"""Two phones on loopback and, between them, a small PBX: it passes the signalling on, the RTP goes directly."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import SecretStr

from bwlib import heard
from bwlib.errors import BwlibError, NotAsExpected, PbxRefused, PbxUnreachable, SettingsError
from bwlib.phone import Phone
from bwlib.phone_call import LoopThread
from bwlib.sip.agent import Agent
from bwlib.sip.digest import DigestServer, Verdict, ha1
from bwlib.sip.uri import SipUri

SECRETS = {"101": "first-secret", "102": "second-secret"}
DRAW = np.random.default_rng(8)
HELLO, REPLY = ((DRAW.normal(size=8000) * 3000).astype(np.int16) for _ in range(2))


class MiniPbx:
    """102 is a phone; 486 is busy, 488 wants another codec, 180 rings for ever, everything else is not found."""

    def __init__(self):
        self.agent = Agent(on_request=self.on_request, on_invite=self.on_invite)
        self.digest = DigestServer()
        self.contacts, self.expires = {}, []
        self.legs = []
        self.change_sdp = lambda sdp: sdp  # what the callee gets to see

    def verdict(self, request, header):
        def find(user, realm):
            return ha1(user, realm, SECRETS[user]) if user in SECRETS else None

        return self.digest.check(request, request.headers.get(header) or "", find, realm="pbx").verdict

    def on_request(self, request):
        if request.method != "REGISTER":
            return None
        verdict = self.verdict(request, "Authorization")
        if verdict in (Verdict.WRONG_PASSWORD, Verdict.UNKNOWN_USER):
            return request.response(403)
        if verdict is not Verdict.OK:
            return request.response(401, headers=[("WWW-Authenticate", self.digest.challenge("pbx"))])
        self.expires.append(int(request.headers.get("Expires")))
        self.contacts[request.to_addr.sip_uri().user] = request.source
        return request.response(200)

    async def on_invite(self, call):
        if self.verdict(call.request, "Proxy-Authorization") is not Verdict.OK:
            return call.challenge("Proxy-Authenticate", self.digest.challenge("pbx"))
        number = SipUri.parse(call.request.uri).user
        if number == "180":
            return call.ring()
        if number not in self.contacts:
            return call.reject(int(number) if number in ("486", "488") else 404)
        return await self.bridge(call, number)

    async def bridge(self, call, number):
        host, port = contact = self.contacts[number]
        sdp = self.change_sdp(call.remote_sdp)
        out = self.agent.invite(SipUri(number, host, port), from_uri="sip:101@pbx", sdp=sdp, send_to=contact)
        self.legs = [call, out]
        await first_of(out.answered, out.ended, call.ended)
        if out.answered.is_set():
            call.answer(out.remote_sdp)
        elif not call.ended.is_set():
            call.reject(out.status or 500)
        await first_of(call.ended, out.ended)
        await asyncio.gather(call.hang_up(), out.hang_up())


async def first_of(*events):
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


@pytest.fixture
def pbx():
    thread = LoopThread("mini PBX")
    mini = MiniPbx()
    mini.thread = thread
    thread.run(mini.agent.start())
    yield mini
    thread.run(mini.agent.stop())
    thread.stop()


def phone(pbx, number, secret=None):
    return Phone(pbx.agent.address, number, SecretStr(secret or SECRETS[number]))


@pytest.fixture
def phones(pbx):
    with phone(pbx, "101") as caller, phone(pbx, "102") as callee:
        caller.register()
        callee.register()
        yield caller, callee


@pytest.fixture
def calls(phones):
    """A call that is up: the caller's end and the callee's."""
    waiting = phones[1].expect_call(answer_after_s=0)
    call = phones[0].dial("102")
    return call, waiting.result(10)


# ---------------------------------------------------------------- registration


def test_a_phone_registers_and_unregisters_when_it_is_switched_off(pbx):
    with phone(pbx, "101") as one:
        one.register(expires_s=120)
        assert pbx.expires == [120]
    assert pbx.expires == [120, 0]


def test_a_registration_is_renewed_before_it_expires(pbx):
    with phone(pbx, "101") as one:
        one.register(expires_s=1)
        renewed = threading.Event()
        deadline = 100
        while len(pbx.expires) < 3 and deadline:
            renewed.wait(0.1)
            deadline -= 1
        assert pbx.expires[:3] == [1, 1, 1]


def test_a_wrong_secret_is_refused_and_never_shown(pbx):
    with phone(pbx, "101", "not-the-secret") as one, pytest.raises(PbxRefused, match="403 Forbidden") as caught:
        one.register()
    assert "not-the-secret" not in str(caught.value) + repr(one)


def test_a_silent_pbx_is_unreachable():
    with Phone(("127.0.0.1", 9), "101", SecretStr("x")) as one, pytest.raises(PbxUnreachable, match="no answer"):
        one.register(timeout_s=0.3)


def test_events_hold_the_messages_but_no_digest_response(pbx):
    with phone(pbx, "101") as one:
        one.register()
        texts = [event.text for event in one.events]
    assert [text.split()[0] for text in texts[:4]] == ["REGISTER", "SIP/2.0", "REGISTER", "SIP/2.0"]
    digests = [line for text in texts for line in text.splitlines() if line.startswith("Authorization:")]
    assert digests
    assert ha1("101", "pbx", SECRETS["101"]) not in str(texts)
    assert not any(
        part.strip('" ').isalnum() and len(part.strip('" ')) == 32
        for line in digests
        for part in line.split("response=")[1].split(",")[:1]
    )


# ---------------------------------------------------------------- calls


def test_both_ends_hear_what_the_other_says(calls):
    caller, callee = calls
    caller.play(HELLO)
    callee.play(REPLY)
    assert callee.wait_for_speech()
    assert callee.wait_for_silence(0.5)
    assert caller.wait_for_speech()
    assert caller.wait_for_silence(0.5)
    assert heard.compare(caller.sent, callee.recording).correlation >= 0.99
    assert heard.compare(callee.sent, caller.recording).correlation >= 0.99
    assert heard.find(HELLO, callee.recording).correlation >= 0.99


def test_digits_arrive_both_ways(calls):
    caller, callee = calls
    caller.send_digits("4711#")
    callee.send_digits("*0")
    assert callee.wait_for_digits(5) == "4711#"
    assert caller.wait_for_digits(2) == "*0"
    assert caller.digits_heard == "*0"
    assert [[one.digits for one in call.pressed] for call in (caller, callee)] == [["4711#"], ["*0"]]


def test_a_script_can_answer_a_prompt_after_it_has_ended(calls):
    caller, callee = calls
    callee.play(np.concatenate([HELLO, np.zeros(3200, dtype=np.int16), HELLO]), wait=False)
    assert caller.wait_for_speech()
    assert caller.wait_for_silence(0.8)
    assert len(heard.utterances(caller.recording)) == 2
    caller.send_digits("1")
    assert not caller.wait_for_speech(0.3)
    callee.play(REPLY, wait=False)
    assert caller.wait_for_speech()
    assert callee.wait_for_digits(1) == "1"


@pytest.mark.parametrize(("first", "reasons"), [(0, ("local", "bye")), (1, ("bye", "local"))])
def test_either_end_can_hang_up(calls, first, reasons):
    calls[first].hang_up()
    calls[first].hang_up()
    assert tuple(call.wait_ended(10) for call in calls) == reasons


def test_what_was_said_and_heard_outlives_the_call_and_the_phone(pbx):
    with phone(pbx, "101") as caller, phone(pbx, "102") as callee:
        callee.register()
        waiting = callee.expect_call(answer_after_s=0)
        call = caller.dial("102")
        other = waiting.result(10)
        call.play(HELLO)
        call.send_digits("5")
        assert other.wait_for_digits(1) == "5"
    assert call.wait_ended() in ("local", "bye")
    assert heard.find(HELLO, other.recording).correlation >= 0.99
    assert heard.compare(HELLO, call.sent).correlation >= 0.99
    assert other.digits_heard == "5"
    assert other.stats.packets_received > 50


def test_playing_on_a_call_that_ends_says_so(calls):
    caller, callee = calls
    caller.play(np.tile(HELLO, 30), wait=False)
    callee.hang_up()
    caller.wait_ended(10)
    with pytest.raises(NotAsExpected, match="not up"):
        caller.play(HELLO)


def test_a_call_that_stays_up_is_told_by_wait_ended(calls):
    with pytest.raises(NotAsExpected, match="still up"):
        calls[0].wait_ended(0.1)


def test_hold_and_resume_by_the_pbx_keep_the_call(pbx, calls):
    caller, callee = calls
    leg = pbx.legs[0]

    async def offer_again(direction):
        return await leg.reinvite(leg.local_sdp.replace("a=sendrecv", f"a={direction}"))

    held = pbx.thread.run(offer_again("sendonly"))
    assert (held.status, "a=recvonly" in held.sdp) == (200, True)
    leg.local_sdp = leg.local_sdp.replace("a=sendonly", "a=sendrecv")
    assert "a=sendrecv" in pbx.thread.run(offer_again("sendrecv")).sdp
    caller.play(HELLO)
    assert callee.wait_for_speech()
    assert callee.wait_for_silence(0.5)
    assert heard.find(HELLO, callee.recording).correlation >= 0.99


def test_dtmf_by_info_is_heard_too(pbx, calls):
    pbx.thread.run(pbx.legs[1].info("application/dtmf-relay", b"Signal=7\r\nDuration=160\r\n"))
    assert calls[1].wait_for_digits(1) == "7"


# ---------------------------------------------------------------- calls that do not come about


@pytest.mark.parametrize(("number", "status"), [("486", "486 Busy Here"), ("999", "404 Not Found")])
def test_a_refused_call_names_the_sip_status(pbx, number, status):
    with phone(pbx, "101") as one, pytest.raises(NotAsExpected) as caught:
        one.dial(number)
    assert caught.value.attempted == f"dial {number}"
    assert caught.value.came_back == status


def test_a_call_that_nobody_answers_is_cancelled(pbx):
    with phone(pbx, "101") as one:
        with pytest.raises(NotAsExpected, match="180 Ringing, and nobody answered within"):
            one.dial("180", timeout_s=3)
        sent = wait_for_message(one, "CANCEL")
    assert sent


def wait_for_message(one, method):
    pause = threading.Event()
    for _ in range(100):
        if any(event.text.startswith(method) for event in one.events):
            return True
        pause.wait(0.1)
    return False


def test_a_call_to_a_phone_that_expects_none_is_turned_away(phones):
    with pytest.raises(NotAsExpected, match="480"):
        phones[0].dial("102")
    phones[1].expect_call().cancel()
    with pytest.raises(NotAsExpected, match="480"):
        phones[0].dial("102")


def test_an_offer_without_a_common_codec_is_refused_with_488(pbx, phones):
    pbx.change_sdp = lambda sdp: sdp.replace("RTP/AVP 0 8 101", "RTP/AVP 9")
    waiting = phones[1].expect_call()
    with pytest.raises(NotAsExpected, match="488"):
        phones[0].dial("102")
    with pytest.raises(NotAsExpected, match="no common codec"):
        waiting.result(10)


def test_a_call_without_an_offer_gets_ours_and_ends_when_the_ack_brings_no_answer(pbx, phones):
    pbx.change_sdp = lambda sdp: ""
    waiting = phones[1].expect_call(answer_after_s=0)
    with contextlib.suppress(NotAsExpected):
        phones[0].dial("102", timeout_s=5)
    with pytest.raises(NotAsExpected, match="an SDP answer we cannot use"):
        waiting.result(10)
    assert any("m=audio" in event.text for event in phones[1].events if event.text.startswith("SIP/2.0 200"))
    assert wait_for_message(phones[1], "BYE")


def test_an_expected_call_that_never_comes_says_so(phones):
    with pytest.raises(NotAsExpected, match="no call was answered within"):
        phones[1].expect_call().result(0.1)


def test_a_caller_that_gives_up_while_it_rings_is_reported(phones):
    waiting = phones[1].expect_call(answer_after_s=10)
    with pytest.raises(NotAsExpected):
        phones[0].dial("102", timeout_s=2)
    with pytest.raises(NotAsExpected, match="gave up"):
        waiting.result(10)


@pytest.mark.parametrize("number", ["", "1 2", "101@evil", "1\r\nX: y", "<1>", "1" * 80])
def test_what_is_no_number_is_never_dialled(pbx, number):
    with phone(pbx, "101") as one:
        with pytest.raises(SettingsError):
            one.dial(number)
        assert one.events == []


# ---------------------------------------------------------------- on and off


def test_a_phone_that_is_switched_off_says_so(pbx):
    one = phone(pbx, "101")
    with pytest.raises(BwlibError, match="switched off"):
        one.register()
    with one:
        pass
    with pytest.raises(BwlibError, match="switched off"):
        one.dial("102")
    assert SECRETS["101"] not in repr(one)


def test_a_port_that_is_taken_is_a_settings_error(pbx):
    with phone(pbx, "101") as one:
        host, port = one.address
        with (
            pytest.raises(SettingsError, match="choose another host"),
            Phone(pbx.agent.address, "102", SecretStr("x"), host=host, port=port),
        ):
            pass


def test_it_works_while_another_event_loop_runs_in_this_thread(pbx):
    async def cell():
        with phone(pbx, "101") as one:
            one.register()
            return one.address

    assert asyncio.run(cell())[0].startswith("127.0.0.")


def test_no_thread_is_left_behind(pbx):
    before = set(threading.enumerate())
    with phone(pbx, "101") as one:
        one.register()
    assert set(threading.enumerate()) <= before


def test_whoever_dials_in_another_thread_is_told_when_the_phones_calls_are_ended(pbx):
    with phone(pbx, "101") as caller, ThreadPoolExecutor(1) as another:
        dialling = another.submit(caller.dial, "180")
        while not any(event.text.startswith("SIP/2.0 180") for event in caller.events):
            assert not dialling.done()
            time.sleep(0.01)
        caller.end_calls()
        assert isinstance(dialling.exception(10), NotAsExpected)
        assert any(event.text.startswith("CANCEL ") for event in caller.events)
        with pytest.raises(NotAsExpected, match="were ended"):
            caller.dial("180")


def test_ending_a_phones_calls_hangs_up_the_one_that_is_up(phones, calls):
    phones[0].end_calls()
    assert calls[1].wait_ended(10) == "bye"
