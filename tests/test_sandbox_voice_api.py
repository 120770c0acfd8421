"""The Voice API of a started sandbox: what it takes, what it refuses, and how its calls change."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import Any

import pytest
from sandbox_world import ASIDE_S, Pbx, World, callbacks, eventually

from bwlib.sip.media import Media

WAIT = "<Response><SpeakSentence>Hello.</SpeakSentence><Pause duration='60'/></Response>"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running):
    running.sandbox.reset()
    return running


@pytest.fixture
def app():
    with callbacks() as server:
        server.answers["/answer"] = WAIT
        yield server


def request(world: World, **fields: Any) -> dict[str, Any]:
    """A body for POST /calls; a field given as None is left out."""
    body = {
        "from": world.sandbox.number,
        "to": "+15005550006",  # ends at once: the PSTN is not imitated
        "applicationId": world.application("http://127.0.0.1:9/"),
        "answerUrl": "http://127.0.0.1:9/",
        **fields,
    }
    return {name: value for name, value in body.items() if value is not None}


def answered(world: World, app: Any, then: Any, **fields: Any) -> Any:
    """Place a call, answer it, and run `then(pbx_side_call, media, call_id)` while it is up."""

    async def run() -> Any:
        async with Pbx(world) as pbx:
            host, port = pbx.agent.address
            urls = {"answerUrl": f"{app.url}/answer", "disconnectUrl": f"{app.url}/status"}
            body = request(world, to=f"sip:101@{host}:{port}", **{**urls, **fields})
            made = (await asyncio.to_thread(world.voice, "POST", "/calls", body)).json()
            call, media = await asyncio.wait_for(pbx.taken.get(), ASIDE_S), Media()
            call.answer(media.answer(call.remote_sdp))
            await media.open()
            await asyncio.to_thread(app.wait_for, "answer")
            try:
                return await then(call, media, made["callId"])
            finally:
                await asyncio.wait_for(call.ended.wait(), ASIDE_S)
                await media.close()

    return asyncio.run(run())


def test_a_created_call_is_201_with_its_location_and_the_defaults_filled_in(world):
    answer = world.voice("POST", "/calls", request(world, tag="mine"))
    body = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, body["callUrl"])
    assert (body["callTimeout"], body["callbackTimeout"], body["answerMethod"], body["tag"]) == (30, 15, "POST", "mine")
    assert body["accountId"] == world.sandbox.account_id
    assert [len(group) for group in body["callId"].split("-")] == [1, 8, 8, 4, 4, 4, 12]


@pytest.mark.parametrize(
    "fields",
    [
        {"to": None},
        {"from": None},
        {"applicationId": None},
        {"answerUrl": None},
        {"to": "101"},
        {"to": "sip:"},
        {"from": "sip:101@127.0.0.1"},
        {"from": "+15005550001"},
        {"applicationId": "00000000-0000-4000-8000-000000000000"},
        {"answerUrl": "ftp://127.0.0.1"},
        {"answerUrl": "http://" + "a" * 2048},
        {"answerMethod": "PUT"},
        {"username": "me", "password": "secret"},
        {"callTimeout": 0},
        {"callTimeout": 301},
        {"callTimeout": "6"},
        {"callbackTimeout": 26},
        {"priority": True},
        {"tag": "t" * 4097},
        {"disconnectUrl": "nowhere"},
    ],
)
def test_a_call_that_cannot_be_is_a_validation_error(world, fields):
    answer = world.voice("POST", "/calls", request(world, **fields))
    assert answer.status_code == 400
    assert (answer.json()["type"], sorted(answer.json())) == ("validation", ["description", "id", "type"])


@pytest.mark.parametrize(("content_type", "body", "status"), [
    ("application/xml", b"{}", 415),
    ("application/json", b"{", 400),
    ("application/json", b"[]", 400),
    ("application/json", b"\xff\xfe", 400),
])  # fmt: skip
def test_a_body_that_is_not_a_json_object_is_refused(world, content_type, body, status):
    url = f"{world.sandbox.voice_url}/accounts/{world.sandbox.account_id}/calls"
    headers = {**world.bearer(), "Content-Type": content_type}
    assert world.http.post(url, content=body, headers=headers).status_code == status


def test_errors_of_who_and_where_have_their_types(world):
    calls = f"{world.sandbox.voice_url}/accounts/{world.sandbox.account_id}/calls"
    assert world.http.get(calls).json()["type"] == "authentication-error"
    other = world.http.get(f"{world.sandbox.voice_url}/accounts/1/calls", headers=world.bearer())
    assert (other.status_code, other.json()["type"]) == (403, "authorization-error")
    assert world.voice("GET", "/calls/c-unknown").status_code == 404
    assert world.voice("DELETE", "/calls").status_code == 405
    assert world.voice("GET", "/no/such/path").json()["type"] == "validation"


def test_a_callback_password_is_echoed_once_and_kept_nowhere(world):
    fields = {"answerUrl": "https://127.0.0.1:9/", "username": "me", "password": "hush-hush"}
    made = world.voice("POST", "/calls", request(world, **fields)).json()
    assert made["password"] == "hush-hush"
    assert "hush-hush" not in world.voice("GET", f"/calls/{made['callId']}").text
    files = [path for path in world.sandbox.directory.rglob("*") if path.is_file()]
    assert not any(b"hush-hush" in path.read_bytes() for path in files)


def test_a_new_call_may_be_404_for_a_while(world):
    world.sandbox.set_switch("call_not_found_s", "3600")
    made = world.voice("POST", "/calls", request(world)).json()
    assert world.voice("GET", f"/calls/{made['callId']}").status_code == 404


def test_a_call_goes_from_queued_to_disconnected_and_says_why(world):
    made = world.voice("POST", "/calls", request(world, to="+15005550006")).json()

    def over():
        call = world.voice("GET", f"/calls/{made['callId']}").json()
        return call if call["state"] == "disconnected" else None

    call = eventually(over)
    assert (call["direction"], call["disconnectCause"], call["answerTime"]) == ("outbound", "error", None)
    assert "PSTN" in call["errorMessage"]
    assert call["errorId"]


def test_calls_are_listed_oldest_first_filtered_and_paged(world):
    ids = [world.voice("POST", "/calls", request(world, to=f"+1500555000{n}")).json()["callId"] for n in range(3)]
    assert [call["callId"] for call in world.voice("GET", "/calls").json()] == ids
    (only,) = world.voice("GET", "/calls?to=%2B15005550001").json()
    assert only["callId"] == ids[1]
    first = world.voice("GET", "/calls?pageSize=2")
    following = world.http.get(first.links["next"]["url"], headers=world.bearer())
    assert [call["callId"] for call in following.json()] == ids[2:]
    assert world.voice("GET", "/calls?pageSize=0").status_code == 400


def test_completed_hangs_up(world, app):
    async def then(call, media, call_id):
        answer = await asyncio.to_thread(world.voice, "POST", f"/calls/{call_id}", {"state": "completed"})
        await asyncio.wait_for(call.ended.wait(), ASIDE_S)
        return answer.status_code, call.end_reason

    assert answered(world, app, then) == (200, "bye")
    assert app.wait_for("disconnect")["cause"] == "hangup"


def test_a_redirect_interrupts_what_is_playing(world, app):
    app.answers["/next"] = "<Response><Hangup/></Response>"

    async def then(call, media, call_id):
        body = {"redirectUrl": f"{app.url}/next", "tag": "new"}
        answer = await asyncio.to_thread(world.voice, "POST", f"/calls/{call_id}", body)
        await asyncio.wait_for(call.ended.wait(), ASIDE_S)
        return answer.status_code

    assert answered(world, app, then, tag="old") == 200
    assert (app.wait_for("answer")["tag"], app.wait_for("redirect")["tag"]) == ("old", "new")
    assert app.wait_for("disconnect")["tag"] == "new"


@pytest.mark.parametrize(
    "body",
    [
        {"state": "paused"},
        {},
        {"state": "active"},
        {"redirectUrl": "x"},
        {"state": "completed", "redirectUrl": "x"},
        [],
    ],
)
def test_a_change_that_cannot_be_is_400(world, body):
    made = world.voice("POST", "/calls", request(world)).json()
    assert world.voice("POST", f"/calls/{made['callId']}", body).status_code == 400


def test_a_call_that_has_ended_cannot_be_changed(world):
    made = world.voice("POST", "/calls", request(world, to="+15005550006")).json()
    path = f"/calls/{made['callId']}"
    eventually(lambda: world.voice("GET", path).json()["state"] == "disconnected")
    assert world.voice("POST", path, {"state": "completed"}).status_code == 404


def test_a_recording_is_announced_and_its_media_is_wav_of_that_length(world, app):
    app.answers["/answer"] = (
        "<Response><Record maxDuration='1' recordCompleteUrl='/done' recordingAvailableUrl='/available'/></Response>"
    )

    async def then(call, media, call_id):
        return await asyncio.to_thread(app.wait_for, "recordComplete")

    event = answered(world, app, then)
    assert app.wait_for("recordingAvailable")["status"] == "complete"
    media = world.http.get(event["mediaUrl"], headers=world.bearer())
    with wave.open(io.BytesIO(media.content)) as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 1)
        assert file.getnframes() > 0.9 * 8000
    assert world.http.get(event["mediaUrl"]).status_code == 401
    (listed,) = world.voice("GET", f"/calls/{event['callId']}/recordings").json()
    assert listed["recordingId"] == event["recordingId"]
    one = world.voice("GET", f"/calls/{event['callId']}/recordings/{event['recordingId']}")
    assert one.json()["fileFormat"] == "wav"
    assert world.voice("GET", f"/calls/{event['callId']}/recordings/r-unknown").status_code == 404
