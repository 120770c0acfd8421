"""The official client, unmodified from the package index, judges the sandbox's Voice API."""

from __future__ import annotations

import pytest
from peers import module
from sandbox_world import World

bandwidth = module("bandwidth", "bandwidth-sdk==23.3.1")
pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def calls_api(world):
    configuration = bandwidth.Configuration(
        host=world.sandbox.voice_url,
        ignore_operation_servers=True,
        access_token_url=world.sandbox.token_url,
        client_id=world.sandbox.client_id,
        client_secret=world.sandbox.client_secret.get_secret_value(),
    )
    with bandwidth.ApiClient(configuration) as client:
        yield bandwidth.CallsApi(client)


def wanted(world, **fields):
    return bandwidth.models.CreateCall(
        **{
            "from": world.sandbox.number,
            "to": "+15005550006",  # ends at once: the PSTN is not imitated
            "application_id": world.application("http://127.0.0.1:9/"),
            "answer_url": "http://127.0.0.1:9/answer",
            **fields,
        }
    )


def test_it_creates_a_call_and_reads_it_back(world, calls_api):
    made = calls_api.create_call_with_http_info(world.sandbox.account_id, wanted(world, call_timeout=6.0, tag="mine"))
    assert made.status_code == 201
    assert made.data.call_url == made.headers["location"]
    assert (made.data.call_timeout, made.data.tag) == (6, "mine")
    call = calls_api.get_call_state(world.sandbox.account_id, made.data.call_id)
    assert (call.call_id, call.direction.value) == (made.data.call_id, "outbound")


def test_it_lists_calls(world, calls_api):
    made = calls_api.create_call(world.sandbox.account_id, wanted(world))
    listed = calls_api.list_calls(world.sandbox.account_id)
    assert made.call_id in [call.call_id for call in listed]


def test_it_understands_our_refusals(world, calls_api):
    with pytest.raises(bandwidth.exceptions.BadRequestException) as refused:
        calls_api.create_call(world.sandbox.account_id, wanted(world, **{"from": "+15005550001"}))
    assert "not a number of the account" in refused.value.data.description
    with pytest.raises(bandwidth.exceptions.NotFoundException):
        calls_api.get_call_state(world.sandbox.account_id, "c-unknown")
