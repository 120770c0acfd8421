"""SIP, audio and webhook faults by name: what the phone hears and says, and what readback sees or misses."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sandbox_world import World, callbacks, eventually

from bwlib import heard
from bwlib.errors import NotAsExpected, StillPending
from bwlib.phone import Phone, PhoneCall
from bwlib.readback_client import Readback

NUMBER = "+15005550006"
HELLO = "<Response><SpeakSentence>Hello.</SpeakSentence></Response>"
SPEAK = "<Response><SpeakSentence>Twelve red bottles stood along the garden wall.</SpeakSentence></Response>"
LISTEN = '<Response><Gather gatherUrl="/gather" maxDigits="1" firstDigitTimeout="20"/></Response>'
NOISE = (np.random.default_rng(3).normal(size=8000) * 3000).astype(np.int16)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running: World) -> Iterator[World]:
    """Nobody is challenged, so that the phone reaches the edge without a PBX between; afterwards nothing is left."""
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    running.sandbox.set_switch("challenge", "off")
    yield running
    assert running.sandbox.faults() == []
    eventually(lambda: running.sandbox.status()["calls_up"] == 0)


@pytest.fixture
def app() -> Iterator[Any]:
    with callbacks() as server:
        server.answers["/initiate"] = HELLO
        yield server


@pytest.fixture
def phone(world: World) -> Iterator[Phone]:
    with Phone(world.sandbox.edge, "pbx", SecretStr("not asked for")) as opened:
        yield opened


def answered_by(world: World, url: str, **fields: str) -> None:
    """Calls of the phone go to this URL."""
    world.credential(world.realm("acme", default=True), "pbx", world.application(url, **fields))


def audible(pcm: Any) -> bool:
    return bool(np.any(np.abs(pcm) > 500))


@contextlib.contextmanager
def talking(phone: Phone, app: Any, bxml: str) -> Iterator[PhoneCall]:
    """A call while the application carries out `bxml`."""
    app.answers["/initiate"] = bxml
    with phone.dial(NUMBER) as call:
        yield call


def press(call: PhoneCall, digit: str) -> None:
    """Press a key that ends the call, maybe before it is released."""
    with contextlib.suppress(NotAsExpected):
        call.send_digits(digit)


# ---------------------------------------------------------------- SIP


def test_silence_is_no_sip_answer_at_all(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("sip-silence"), pytest.raises(NotAsExpected, match="no SIP answer at all"):
        phone.dial(NUMBER, timeout_s=1)
    assert app.types() == []
    phone.dial(NUMBER).wait_ended()


def test_silence_towards_one_address_leaves_the_others_alone(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    host, port = phone.address
    with (
        Phone(world.sandbox.edge, "pbx", SecretStr("not asked for"), host="127.0.0.1") as other,
        world.sandbox.fault("sip-silence", match={"source": f"{host}:{port}"}) as fault,
    ):
        with pytest.raises(NotAsExpected, match="no SIP answer at all"):
            phone.dial(NUMBER, timeout_s=1)
        other.dial(NUMBER).wait_ended()
        acted = [one for one in world.sandbox.faults() if one["id"] == fault["id"]]
        assert acted[0]["last"].endswith(f"source {host}:{port}")


def test_another_status_for_one_address_only(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("sip-reject", value="486", match={"source": f"{phone.address[0]}:*"}):
        with pytest.raises(NotAsExpected, match="486"):
            phone.dial(NUMBER)
        assert world.sandbox.faults()[0]["acted"] == 1
    with world.sandbox.fault("sip-reject", value="486", match={"source": "192.0.2.1:*"}):
        phone.dial(NUMBER).wait_ended()


def test_a_late_answer_is_100_and_then_nothing_for_too_long(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with (
        world.sandbox.fault("sip-late", value="60"),
        pytest.raises(NotAsExpected, match="100 Trying, and nobody answered"),
    ):
        phone.dial(NUMBER, timeout_s=3)
    phone.dial(NUMBER).wait_ended()


def test_an_answer_that_is_late_but_not_too_late_is_one(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("sip-late", value="0.5", times=1):
        phone.dial(NUMBER).wait_ended()
        assert world.sandbox.faults()[0]["acted"] == 1


@pytest.mark.parametrize("status", ["486", "500", "603"])
def test_a_wrong_status_is_what_the_caller_sees(world, app, phone, status):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("sip-reject", value=status), pytest.raises(NotAsExpected) as refused:
        phone.dial(NUMBER)
    assert refused.value.came_back.startswith(status)
    phone.dial(NUMBER).wait_ended()


def test_a_wrong_status_takes_the_place_of_the_right_one(world, phone):
    with world.sandbox.fault("sip-reject", value="480"), pytest.raises(NotAsExpected, match="480"):
        phone.dial(NUMBER)
    with pytest.raises(NotAsExpected, match="404"):
        phone.dial(NUMBER)


def test_only_the_calls_that_match_are_hit_and_only_so_often(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("sip-reject", times=1, match={"to": "+1500*6", "from": "pbx"}):
        phone.dial("+15005550007").wait_ended()
        with pytest.raises(NotAsExpected, match="500"):
            phone.dial(NUMBER)
        phone.dial(NUMBER).wait_ended()


def test_a_lost_bye_leaves_the_phone_in_the_call_until_one_gets_through(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("sip-bye-lost", value="out"), talking(phone, app, SPEAK) as call:
        eventually(lambda: world.sandbox.faults()[0]["acted"])
        with pytest.raises(NotAsExpected, match="still up"):
            call.wait_ended(timeout_s=0.5)
        world.sandbox.switch_faults_off()
        assert call.wait_ended(timeout_s=20) == "bye", "BYE is sent again and again"


def test_a_lost_bye_of_the_phone_leaves_the_call_up_at_the_edge(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    app.answers["/initiate"] = LISTEN
    with world.sandbox.fault("sip-bye-lost", value="in"):
        leaving = threading.Thread(target=phone.dial(NUMBER).hang_up)
        leaving.start()
        eventually(lambda: world.sandbox.faults()[0]["acted"])
        assert world.sandbox.calls()[-1]["state"] == "answered"
    leaving.join(20)
    eventually(lambda: world.sandbox.calls()[-1]["state"] == "disconnected")


# ---------------------------------------------------------------- audio


def test_one_way_audio_out_and_the_phone_hears_nothing_until_it_is_over(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with (
        world.sandbox.fault("audio-out-lost"),
        talking(phone, app, SPEAK.replace("<Response>", "<Response>" + SPEAK[10:-11])) as call,
    ):
        assert not call.wait_for_speech(timeout_s=1.5)
        assert call.stats.packets_received == 0
        world.sandbox.switch_faults_off()
        assert call.wait_for_speech(timeout_s=10)


def test_one_way_audio_in_and_the_edge_hears_nothing(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("audio-in-lost"), talking(phone, app, SPEAK) as call:
        call.play(NOISE)
        call_id = world.sandbox.calls()[-1]["callId"]
        assert audible(world.sandbox.sent_audio(call_id))
        assert not audible(world.sandbox.heard_audio(call_id))
    with talking(phone, app, SPEAK) as call:
        call.play(NOISE)
        assert audible(world.sandbox.heard_audio(world.sandbox.calls()[-1]["callId"]))


def test_lost_packets_are_counted_by_the_phone_and_heard(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("audio-packets-lost", value="30"), talking(phone, app, SPEAK) as call:
        call.wait_ended()
    sent = world.sandbox.sent_audio(world.sandbox.calls()[-1]["callId"])
    assert call.stats.packets_lost > 0.1 * call.stats.packets_received
    assert audible(call.recording)
    assert heard.compare(sent, call.recording).correlation < 0.98
    with talking(phone, app, SPEAK) as whole:
        whole.wait_ended()
    assert whole.stats.packets_lost == 0


def test_lost_digits_are_pressed_in_vain_although_the_voice_gets_through(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with world.sandbox.fault("dtmf-lost"), talking(phone, app, LISTEN) as call:
        call.send_digits("4")
        call.play(NOISE)
        assert audible(world.sandbox.heard_audio(world.sandbox.calls()[-1]["callId"]))
        assert "gather" not in app.types()
        world.sandbox.switch_faults_off()
        press(call, "5")
        assert app.wait_for("gather")["digits"] == "5"


def test_a_call_that_is_up_is_hit_by_bandwidths_own_id(world, app, phone):
    answered_by(world, f"{app.url}/initiate")
    with talking(phone, app, LISTEN) as call:
        call_id = world.sandbox.calls()[-1]["callId"]
        with world.sandbox.fault("dtmf-lost", match={"call": call_id}) as fault:
            call.send_digits("4")
        assert fault["match"]["call"] == call.sip_call_id
        press(call, "5")
        assert app.wait_for("gather")["digits"] == "5"


# ---------------------------------------------------------------- webhooks, at readback


@pytest.fixture
def readback(world: World) -> Iterator[Readback]:
    """Calls go to readback, and their ends are told to it."""
    address = world.sandbox.readback
    password = address.password.get_secret_value()
    answered_by(
        world,
        f"{address.url}/initiate",
        CallStatusCallbackUrl=f"{address.url}/disconnect",
        CallbackCreds=f"<UserId>{address.user}</UserId><Password>{password}</Password>",
    )
    with Readback(address.url, address.token, address.ca_file) as opened:
        yield opened


def admitted(readback: Readback, after_id: int) -> list[tuple[str, str]]:
    """(event type, call id) of what readback accepted, in its order."""
    return [(w.event_type, w.call_id) for w in readback.webhooks(after_id=after_id) if w.answer_status < 400]


def short_call(world: World, phone: Phone) -> str:
    """A call that the phone ends as soon as it hears something; Bandwidth's id of it."""
    with phone.dial(NUMBER) as call:
        call.wait_for_speech()
    return str(world.sandbox.calls()[-1]["callId"])


def test_a_duplicate_comes_twice_and_the_call_goes_on_once(world, phone, readback):
    last = readback.last_id()
    with world.sandbox.fault("webhook-duplicate"):
        call_id = short_call(world, phone)
        readback.wait_for("disconnect", call_id=call_id, after_id=last)
        eventually(lambda: len(admitted(readback, last)) == 4)
    assert sorted(kind for kind, _ in admitted(readback, last)) == ["disconnect"] * 2 + ["initiate"] * 2
    bodies = [w.body for w in readback.webhooks(call_id, last) if w.event_type == "disconnect" and w.authenticated]
    assert bodies[0] == bodies[1]


def test_an_event_that_is_reordered_comes_after_the_next_one(world, phone, readback):
    last = readback.last_id()
    with world.sandbox.fault("webhook-reorder", value="60", times=1, match={"event": "disconnect"}):
        first = short_call(world, phone)
        eventually(lambda: world.sandbox.faults()[0]["acted"])
        with pytest.raises(NotAsExpected):
            readback.wait_for("disconnect", call_id=first, after_id=last, timeout_s=0.5)
        second = short_call(world, phone)
        readback.wait_for("disconnect", call_id=second, after_id=last)
        readback.wait_for("disconnect", call_id=first, after_id=last)
    order = admitted(readback, last)
    assert order.index(("initiate", second)) < order.index(("disconnect", first))


def test_switching_reorder_off_delivers_what_was_held_back(world, phone, readback):
    last = readback.last_id()
    with world.sandbox.fault("webhook-reorder", value="120"):
        call_id = short_call(world, phone)
        eventually(lambda: world.sandbox.faults()[0]["acted"])
    readback.wait_for("disconnect", call_id=call_id, after_id=last)


def test_a_dropped_disconnect_never_comes_and_is_written_down_as_such(world, phone, readback):
    last = readback.last_id()
    with world.sandbox.fault("webhook-drop", match={"event": "disconnect"}):
        call_id = short_call(world, phone)
        eventually(lambda: world.sandbox.faults()[0]["acted"])
        with pytest.raises(NotAsExpected, match="initiate"):
            readback.wait_for("disconnect", call_id=call_id, after_id=last, timeout_s=0.5)
    assert "webhook-drop" in world.sandbox.deliveries(call_id)[-1]["error"]


def test_a_dropped_initiate_ends_the_call_with_a_callback_error(world, phone, readback):
    last = readback.last_id()
    with world.sandbox.fault("webhook-drop", match={"event": "initiate"}):
        with pytest.raises(NotAsExpected, match="603"):
            phone.dial(NUMBER)
        with pytest.raises((StillPending, NotAsExpected)):
            readback.wait_for("initiate", after_id=last, timeout_s=0.5)
    eventually(lambda: world.sandbox.calls()[-1].get("disconnectCause") == "callback-error")
    short_call(world, phone)
