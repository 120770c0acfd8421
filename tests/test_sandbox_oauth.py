"""Who may use the sandbox's APIs: tokens, roles, accounts, and Basic before and after its end."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from sandbox_world import World, application_xml, error_code, eventually, realm_xml, root

URL = "http://127.0.0.1:9/callback"
APIS = {"Application Management": "/applications", "SIP Credentials": "/realms", "HttpVoice": "/calls"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running):
    running.sandbox.reset()
    return running


def token(world: World, **options: Any) -> httpx.Response:
    auth = (world.sandbox.client_id, world.sandbox.client_secret.get_secret_value())
    return world.http.post(
        world.sandbox.token_url, **{"auth": auth, "data": {"grant_type": "client_credentials"}} | options
    )


def bearer(world: World) -> dict[str, str]:
    """A token of now: `World.bearer` keeps an earlier one."""
    return {"Authorization": f"Bearer {token(world).json()['access_token']}"}


def claims(world: World) -> dict[str, Any]:
    payload = token(world).json()["access_token"].split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return read


def get(world: World, path: str, **options: Any) -> httpx.Response:
    return world.http.get(f"{world.sandbox.api_url}/accounts/{world.sandbox.account_id}{path}", **options)


def basic(world: World) -> httpx.Response:
    auth = (world.sandbox.client_id, world.sandbox.client_secret.get_secret_value())
    return get(world, "/realms", auth=auth)


# -------------------------------------------------------------------- tokens


def test_a_token_runs_out_when_it_said_it_would(world):
    world.sandbox.set_switch("token_lifetime_s", "4")
    headers, expires_at = bearer(world), claims(world)["exp"]
    assert get(world, "/realms", headers=headers).status_code == 200
    eventually(lambda: time.time() >= expires_at and get(world, "/realms", headers=headers).status_code == 401)


@pytest.mark.parametrize(
    "options",
    [{"auth": ("sandbox-nobody", "x")}, {"auth": None}, {"headers": {"Authorization": "Basic !"}, "auth": None}],
)
def test_a_client_that_is_unknown_or_silent_is_invalid_client(world, options):
    answer = token(world, **options)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(("status", "secret"), [("400", "wrong"), ("401", "wrong")])
def test_invalid_client_comes_with_either_status_that_clients_take_for_it(world, status, secret):
    world.sandbox.set_switch("invalid_client_status", status)
    answer = token(world, auth=(world.sandbox.client_id, secret))
    assert (str(answer.status_code), answer.json()["error"]) == (status, "invalid_client")


@pytest.mark.parametrize(
    ("data", "error"), [({}, "invalid_request"), ({"grant_type": "password"}, "unsupported_grant_type")]
)
def test_another_form_than_client_credentials_is_a_bad_request(world, data, error):
    answer = token(world, data=data)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_revoked_credential_gets_no_token_and_its_tokens_are_refused_as_the_switch_says(world):
    headers = bearer(world)
    world.sandbox.set_switch("api_credential", "revoked")
    assert token(world).json()["error"] == "invalid_client"
    assert get(world, "/realms", headers=headers).status_code == 401
    world.sandbox.set_switch("tokens_of_revoked", "accepted")
    assert get(world, "/realms", headers=headers).status_code == 200


# -------------------------------------------------------------------- the service's clock


def ahead_s(answer: httpx.Response) -> float:
    return (parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)).total_seconds()


def test_every_answer_says_the_services_time_once(world):
    headers = bearer(world)
    for answer in (token(world), token(world, auth=("nobody", "x")), get(world, "/realms", headers=headers),
                   get(world, "/realms"), world.http.get(f"{world.sandbox.http_url}/nowhere")):  # fmt: skip
        assert len(answer.headers.get_list("Date")) == 1
        assert -60 < ahead_s(answer) < 60


@pytest.mark.parametrize(("seconds", "status"), [("300", 200), ("301", 401)])
def test_a_service_that_is_far_ahead_takes_every_token_for_an_old_one(world, seconds, status):
    headers = bearer(world)
    world.sandbox.set_switch("clock_ahead_s", seconds)
    answers = [get(world, path, headers=headers) for path in APIS.values()]
    voice = f"{world.sandbox.http_url}/v2/accounts/{world.sandbox.account_id}/voice-applications/x"
    answers.append(world.http.patch(voice, headers=headers, json={}))
    assert {answer.status_code == 401 for answer in answers} == {status == 401}
    granted = token(world)
    assert granted.status_code == 200
    assert all(float(seconds) - 60 < ahead_s(answer) < float(seconds) + 60 for answer in (*answers, granted))


def test_one_accounts_clock_is_not_anothers(world):
    other = world.other_account("class")
    other.sandbox.set_switch("clock_ahead_s", "600")
    assert get(other, "/realms", headers=bearer(other)).status_code == 401
    assert get(world, "/realms", headers=bearer(world)).status_code == 200
    assert ahead_s(token(other)) > 500
    assert ahead_s(token(world)) < 60


# -------------------------------------------------------------------- roles and accounts


@pytest.mark.parametrize("role", APIS)
def test_a_credential_without_a_role_is_kept_from_that_api_only(world, role):
    world.sandbox.set_switch("missing_role", role)
    assert role not in claims(world)["roles"]
    headers = bearer(world)
    statuses = {name: get(world, path, headers=headers).status_code for name, path in APIS.items()}
    assert statuses == {name: 403 if name == role else 200 for name in APIS}


def test_the_account_api_says_1001_and_the_voice_api_authorization_error_for_a_role(world):
    world.sandbox.set_switch("missing_role", "SIP Credentials")
    assert error_code(get(world, "/realms", headers=bearer(world))) == "1001"
    world.sandbox.set_switch("missing_role", "HttpVoice")
    assert get(world, "/calls", headers=bearer(world)).json()["type"] == "authorization-error"


@pytest.mark.parametrize(("names", "listed", "status"), [("own", 1, 200), ("other", 1, 403), ("system-wide", 0, 200)])
def test_a_token_counts_for_the_accounts_it_names_and_for_all_when_it_names_none(world, names, listed, status):
    world.sandbox.set_switch("token_accounts", names)
    assert len(claims(world)["accounts"]) == listed
    assert get(world, "/realms", headers=bearer(world)).status_code == status


@pytest.mark.parametrize(
    ("switch", "path", "xml", "status", "code"),
    [
        ("http_voice", "/applications", application_xml(URL), 409, "12150"),
        ("sip_entitled", "/realms", realm_xml("abc"), 400, "33004"),
    ],
)
def test_an_account_without_a_feature_can_read_and_not_create(world, switch, path, xml, status, code):
    world.sandbox.set_switch(switch, "no")
    assert world.account("GET", path).status_code == 200
    answer = world.account("POST", path, xml)
    assert (answer.status_code, error_code(answer)) == (status, code)


def test_a_locked_account_is_404_with_4022(world):
    world.sandbox.set_switch("account_locked", "yes")
    answer = world.account("GET", "/realms")
    assert (answer.status_code, error_code(answer)) == (404, "4022")


# -------------------------------------------------------------------- Basic


def day(days_from_now: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days_from_now)).isoformat()


def test_basic_is_accepted_before_the_day_it_ends_and_refused_from_then_on(world):
    world.sandbox.set_switch("basic_auth_ends", day(2))
    assert basic(world).status_code == 200
    world.sandbox.set_switch("basic_auth_ends", day(-1))
    answer = basic(world)
    assert answer.status_code == 401
    assert "API Credentials" in root(answer).findtext("ResponseStatus/Description", "")
    world.sandbox.set_switch("basic_auth_ended_status", "403")
    assert basic(world).status_code == 403


def test_the_day_is_bandwidths_unless_it_is_set(world):
    assert world.sandbox.switches()["basic_auth_ends"] == "2026-12-02"


def test_a_wrong_password_is_401_on_either_side_of_that_day(world):
    for ends in (day(2), day(-1)):
        world.sandbox.set_switch("basic_auth_ends", ends)
        assert get(world, "/realms", auth=(world.sandbox.client_id, "wrong")).status_code == 401


# -------------------------------------------------------------------- rate limits


@pytest.mark.parametrize(("switch", "path"), [("account_api_per_s", "/realms"), ("voice_api_per_s", "/calls")])
def test_too_many_requests_in_a_second_are_429_with_retry_after(world, switch, path):
    headers = bearer(world)
    world.sandbox.set_switch(switch, "3")
    answers = [get(world, path, headers=headers) for _ in range(50)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:3]] == [200] * 3
    assert limited
    assert {answer.headers["retry-after"] for answer in limited} == {"1"}
    assert (
        all(error_code(each) is None for each in limited) if path == "/realms" else limited[0].json()["type"] == "error"
    )


def test_one_accounts_haste_does_not_slow_another(world):
    world.sandbox.set_switch("account_api_per_s", "1")
    eventually(lambda: world.account("GET", "/realms").status_code == 429)
    assert world.other_account("patient").account("GET", "/realms").status_code == 200


def call_body(world: World) -> dict[str, str]:
    application_id = world.application(URL)
    return {"from": world.sandbox.number, "to": "+15005550006", "applicationId": application_id, "answerUrl": URL}


def test_too_many_new_calls_in_a_second_are_429_and_reading_goes_on(world):
    body = call_body(world)
    world.sandbox.set_switch("voice_calls_per_s", "2")
    answers = [world.voice("POST", "/calls", body) for _ in range(20)]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["description"] == "Account call creation rate limit exceeded"
    assert world.voice("GET", "/calls").status_code == 200


def test_too_many_calls_at_once_are_429(world):
    body = {**call_body(world), "to": "sip:nobody@127.0.0.1:9"}  # rings for ever: nobody is there to answer
    world.sandbox.set_switch("voice_concurrent_calls", "2")
    answers = [world.voice("POST", "/calls", body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].json()["description"] == "Account concurrent call limit exceeded"
