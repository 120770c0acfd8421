"""Each HTTP fault by name: what Bandwidth's client makes of it, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from pydantic import SecretStr
from sandbox_world import World, error_code, eventually, realm_xml

from bwlib.bandwidth import http
from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.errors import BandwidthError, NotAuthenticated, NotEntitled, Refused, Unavailable
from bwlib.models import CallRequest, Exchange, Realm

PASSWORD = SecretStr("correct-horse-1")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running: World) -> World:
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    running.sandbox.set_switch("realm_delete_s", "0")
    return running


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    """Its token is fetched before any fault is on; between its attempts it does not wait."""
    with new_client(world) as opened:
        opened.list_realms()
        yield opened


def new_client(world: World, on_exchange: Callable[[Exchange], None] | None = None) -> Client:
    box = world.sandbox
    auth = OAuth2(box.client_id, box.client_secret, box.token_url)
    urls = {"api_url": box.api_url, "voice_url": box.voice_url}
    return Client(box.account_id, auth=auth, **urls, on_exchange=on_exchange, sleep=lambda _: None)


def raised(do: Callable[[], object]) -> BandwidthError:
    with pytest.raises(BandwidthError) as caught:
        do()
    return caught.value


def names(client: Client) -> list[str]:
    return [realm.fqdn.partition("-")[0] for realm in client.list_realms()]


# ---------------------------------------------------------------- a status


@pytest.mark.parametrize(
    ("status", "error", "exit_code"),
    [
        ("401", NotAuthenticated, 2),
        ("403", NotEntitled, 4),
        ("404", Refused, 3),
        ("409", Refused, 4),
        ("429", Unavailable, 7),
        ("500", Unavailable, 1),
        ("503", Unavailable, 1),
    ],
)
@pytest.mark.parametrize("voice", [False, True])
def test_a_status_is_the_error_it_stands_for(world, client, status, error, exit_code, voice):
    def do() -> object:
        return client.get_call("c-1") if voice else client.list_realms()

    with world.sandbox.fault("http-status", value=status):
        refused = raised(do)
    assert (type(refused), refused.status, refused.exit_code) == (error, int(status), exit_code)
    assert "http-status" in refused.came_back
    assert client.list_realms() == []


def test_a_status_is_not_carried_out(world, client):
    with world.sandbox.fault("http-status", value="500"):
        raised(lambda: client.create_realm("acme", ""))
    assert names(client) == []


def test_a_refused_token_is_not_authenticated(world):
    with world.sandbox.fault("http-status", value="401", match={"path": "*/oauth2/token"}), new_client(world) as fresh:
        assert isinstance(raised(fresh.list_realms), NotAuthenticated)
    with new_client(world) as fresh:
        assert fresh.list_realms() == []


def test_a_fault_acts_as_often_as_it_was_told_and_the_client_gets_over_it(world, client):
    with world.sandbox.fault("http-status", value="503", times=2, match={"path": "/realms"}) as fault:
        assert client.list_realms() == []
        [now] = world.sandbox.faults()
    assert (now["id"], now["left"], now["acted"]) == (fault["id"], 0, 2)
    statuses = [seen["status"] for seen in world.sandbox.exchanges() if seen["path"].endswith("/realms")]
    assert statuses[-3:] == [503, 503, 200]


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({"method": "GET", "path": "/realms"}, True),
        ({"path": "/api/v2/accounts/*/realms"}, True),
        ({"method": "POST"}, False),
        ({"path": "/realms/*"}, False),
        ({"account": "1234567"}, False),
    ],
)
def test_only_what_matches_is_hit(world, match, hit):
    with world.sandbox.fault("http-status", match=match):
        assert world.account("GET", "/realms").status_code == (503 if hit else 200)


def test_a_token_error_has_the_form_of_oauth(world):
    with world.sandbox.fault("http-status", match={"path": "*/token"}):
        refused = world.http.post(world.sandbox.token_url)
    assert refused.json()["error"] == "server_error"


# ---------------------------------------------------------------- no answer, or none in time


def test_a_dropped_request_was_not_carried_out(world, client):
    with world.sandbox.fault("http-drop"):
        error = raised(lambda: client.create_realm("acme", ""))
    assert isinstance(error, Unavailable)
    assert error.may_have_arrived, "the client cannot know, so it says: look first"
    assert names(client) == []
    assert [seen["status"] for seen in world.sandbox.exchanges()][-2] == 0


def test_a_lost_answer_was_carried_out_and_the_post_is_not_sent_again(world, client):
    with world.sandbox.fault("http-answer-lost", match={"method": "POST"}) as fault:
        error = raised(lambda: client.create_realm("acme", ""))
        acted = world.sandbox.faults()[0]["acted"]
    assert isinstance(error, Unavailable)
    assert error.may_have_arrived
    assert names(client) == ["acme"]
    assert (fault["left"], acted) == (None, 1)


def test_a_read_survives_one_lost_answer(world, client):
    with world.sandbox.fault("http-answer-lost", times=1, match={"method": "GET"}):
        assert client.list_realms() == []


def test_a_late_answer_is_a_timeout(world, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", httpx.Timeout(60, read=1))
    with new_client(world) as impatient:
        impatient.list_realms()
        with world.sandbox.fault("http-delay", value="60"):
            error = raised(lambda: impatient.create_realm("acme", ""))
        assert isinstance(error, Unavailable)
        assert (error.timed_out, error.may_have_arrived, error.exit_code) == (True, True, 5)
        assert names(impatient) == ["acme"]


def test_switching_a_delay_off_lets_go_what_it_held(world):
    answers: list[int] = []
    world.bearer()
    with world.sandbox.fault("http-delay", value="120"):
        waiting = threading.Thread(target=lambda: answers.append(world.account("GET", "/realms").status_code))
        waiting.start()
        eventually(lambda: world.sandbox.faults()[0]["acted"])
    waiting.join(20)
    assert answers == [200]


def test_a_dripping_body_is_a_timeout_although_every_read_brings_something(world, client, monkeypatch):
    monkeypatch.setattr(http, "MAX_REPLY_S", 0.5)
    with world.sandbox.fault("http-drip", value="0.1"):
        error = raised(client.list_realms)
    assert isinstance(error, Unavailable)
    assert (error.timed_out, error.exit_code) == (True, 5)
    assert client.list_realms() == []


def test_a_drip_that_is_fast_enough_brings_the_whole_answer(world, client):
    client.create_realm("acme", "")
    with world.sandbox.fault("http-drip", value="0"):
        assert names(client) == ["acme"]


# ---------------------------------------------------------------- an answer that is none


@pytest.mark.parametrize("value", ["bytes", "html", "empty"])
def test_a_garbage_body_is_no_usable_answer_and_says_to_look(world, client, value):
    with world.sandbox.fault("http-garbage", value=value):
        error = raised(lambda: client.create_realm("acme", ""))
    assert isinstance(error, Unavailable)
    assert (error.may_have_arrived, error.status) == (True, 201)
    assert names(client) == ["acme"]


def test_a_garbage_body_of_the_voice_api_is_no_usable_answer(world, client):
    app = world.application("http://127.0.0.1:9/initiate")
    call = CallRequest("sip:101@127.0.0.1:9", world.sandbox.number, app, "http://127.0.0.1:9/answer")
    with world.sandbox.fault("http-garbage"):
        error = raised(lambda: client.create_call(call))
    assert isinstance(error, Unavailable)
    assert error.may_have_arrived


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_truncated_body_is_no_answer(world, client, method):
    realm = client.create_realm("acme", "")
    with world.sandbox.fault("http-truncated"):
        error = raised(client.list_realms if method == "GET" else lambda: client.delete_realm(realm))
    assert isinstance(error, Unavailable)
    assert names(client) == (["acme"] if method == "GET" else [])


# ---------------------------------------------------------------- 201 that means no


def test_a_201_with_errors_is_refused_and_its_echoed_hashes_stay_hidden(world):
    seen: list[Exchange] = []
    with new_client(world, seen.append) as client:
        made = client.create_realm("acme", "")
        with world.sandbox.fault("http-201-errors"):
            error = raised(lambda: client.create_sip_credential(made, "pbx", PASSWORD, None))
        assert client.list_sip_credentials(made) == []
    assert isinstance(error, Refused)
    assert (error.status, error.code) == (201, "23026")
    [answered] = [each for each in seen if each.status == 201 and "Errors" in each.response_body]
    assert "<Hash1>" in answered.response_body, "the server echoed them"
    assert not any(hash_of(made) in text for text in (str(error), answered.response_body, answered.request_body))


def hash_of(realm: Realm) -> str:
    from sandbox_world import hashes

    return hashes(realm.fqdn, "pbx", PASSWORD.get_secret_value())[0]


def test_a_201_with_an_error_of_choice_on_another_noun(world, client):
    with world.sandbox.fault("http-201-errors", value="33004"):
        error = raised(lambda: client.create_realm("acme", ""))
        assert error_code(world.account("POST", "/applications", "<Application/>")) == "33004"
    assert (type(error), error.code) == (NotEntitled, "33004")
    assert names(client) == []


# ---------------------------------------------------------------- nothing left behind


def test_after_all_faults_at_once_nothing_is_left(world, client):
    for name in ("http-delay", "http-garbage", "http-truncated", "http-drip", "http-drop"):
        world.sandbox.switch_fault_on(name, match={"path": "/realms*"})
    assert isinstance(raised(client.list_realms), Unavailable)
    assert world.sandbox.switch_faults_off() == 5
    assert world.sandbox.faults() == []
    world.account("POST", "/realms", realm_xml("acme"))
    assert names(client) == ["acme"]
    log = (world.home / "sandbox" / "supervisor.log").read_text()
    assert "Traceback" not in log


def test_connections_cut_do_not_pile_up(world):
    pid = world.sandbox.pid
    before = len(os.listdir(f"/proc/{pid}/fd"))

    async def drop_many() -> list[object]:
        async with httpx.AsyncClient(trust_env=False) as many:
            url = f"{world.sandbox.api_url}/accounts/1/realms"
            return await asyncio.gather(*(many.get(url) for _ in range(50)), return_exceptions=True)

    with world.sandbox.fault("http-drop"):
        assert all(isinstance(each, httpx.HTTPError) for each in asyncio.run(drop_many()))
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before + 2)
