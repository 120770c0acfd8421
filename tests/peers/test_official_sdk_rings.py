"""The official client, unmodified from the package index, makes a phone at a real PBX ring."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import pytest
from peers import asterisk, module
from readback_site import EXTENSION, EXTENSION_SECRET, ReadbackSite, connect_pbx, start

from bwlib.heard import compare, find
from bwlib.models import PbxInfo
from bwlib.phone import Phone
from bwlib.readback_clip import clip_pcm

pytestmark = [pytest.mark.peer, pytest.mark.slow]

VOICE = clip_pcm()[:12_000]


@pytest.fixture(scope="module")
def sdk() -> Any:
    return module("bandwidth", "bandwidth-sdk==23.3.1")


@pytest.fixture(scope="module")
def site(sdk: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadbackSite]:
    asterisk()
    site = start(tmp_path_factory.mktemp("home"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def pbx(site: ReadbackSite) -> PbxInfo:
    return connect_pbx(site)[1]


@pytest.fixture
def calls_api(sdk: Any, site: ReadbackSite) -> Iterator[Any]:
    sandbox = site.world.sandbox
    configuration = sdk.Configuration(
        host=sandbox.voice_url,
        ignore_operation_servers=True,
        access_token_url=sandbox.token_url,
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret.get_secret_value(),
    )
    with sdk.ApiClient(configuration) as client:
        yield sdk.CallsApi(client)


def guides_call(sdk: Any, site: ReadbackSite, pbx: PbxInfo) -> Any:
    """The guide's body of POST /calls, in the client's own words."""
    address = site.world.sandbox.readback
    return sdk.models.CreateCall(
        **{
            "from": site.number,
            "to": f"sip:{EXTENSION}@{pbx.sip_host}:{pbx.sip_port}",
            "application_id": site.application_id,
            "answer_url": f"{address.url}/answer",
            "disconnect_url": f"{address.url}/disconnect",
            "username": address.user,
            "password": address.password.get_secret_value(),
            "call_timeout": 6.0,
        }
    )


def test_its_version_is_the_one_we_speak_of(sdk: Any) -> None:
    assert importlib.metadata.version("bandwidth-sdk") == "23.3.1"


def test_a_call_it_creates_rings_the_phone_and_is_heard(
    sdk: Any, calls_api: Any, site: ReadbackSite, pbx: PbxInfo
) -> None:
    account_id = site.world.sandbox.account_id
    with Phone((pbx.sip_host, pbx.sip_port), EXTENSION, EXTENSION_SECRET) as phone:
        phone.register()
        waiting = phone.expect_call()
        made = calls_api.create_call(account_id, guides_call(sdk, site, pbx))
        call = waiting.result()
        assert call.wait_for_speech()
        assert call.wait_for_silence(after_s=1.0)
        call.play(VOICE)
        call.send_digits("4")
        assert call.wait_ended() == "bye"
    site.readback.wait_for("disconnect", call_id=made.call_id)
    assert site.admitted(made.call_id) == ["answer", "gather", "disconnect"]
    assert site.readback.wait_for("gather", call_id=made.call_id).body["digits"] == "4"
    sandbox = site.world.sandbox
    assert compare(sandbox.sent_audio(made.call_id), call.recording).correlation >= 0.99
    assert find(VOICE, sandbox.heard_audio(made.call_id)).correlation >= 0.99
    state = calls_api.get_call_state(account_id, made.call_id)
    assert (state.state, state.disconnect_cause) == ("disconnected", "hangup")
