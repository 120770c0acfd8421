"""The scripted phone at a real Asterisk, as the office's own extension 800, whose number answers with an echo."""

import re

import numpy as np
import pytest
from peers import asterisk
from pydantic import SecretStr
from sandbox_world import eventually

from bwlib.errors import NotAsExpected, PbxRefused
from bwlib.heard import compare, find
from bwlib.phone import Phone
from bwlib.sandbox import pbx as stage_of

pytestmark = pytest.mark.peer

NOISE = (np.random.default_rng(6).normal(size=12000) * 3000).astype(np.int16)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = stage_of.write_base_config(tmp_path_factory.mktemp("pbx"), asterisk())
    process = stage_of.start(stage)
    yield stage
    stage_of.stop(process)


@pytest.fixture
def phone(stage):
    password = re.search(r"username = 800\npassword = (\S+)", (stage.config_dir / "pjsip.conf").read_text())
    with Phone(stage.sip, "800", SecretStr(password.group(1))) as phone:
        phone.register()
        yield phone


def test_the_phone_hears_its_own_echo(phone):
    call = phone.dial("800")
    call.play(NOISE)
    assert call.wait_for_speech()
    assert call.wait_for_silence(0.5)
    call.hang_up()
    assert find(NOISE, call.recording).correlation >= 0.99
    assert compare(call.sent, call.recording).correlation >= 0.99
    assert call.wait_ended() == "local"


def test_a_number_that_is_not_there_names_the_status(phone):
    with pytest.raises(NotAsExpected, match="404 Not Found"):
        phone.dial("4711")


def test_a_wrong_secret_is_refused(stage):
    with Phone(stage.sip, "800", SecretStr("wrong")) as phone, pytest.raises(PbxRefused, match="401 Unauthorized"):
        phone.register()


def test_the_pbx_says_by_rtcp_that_it_hears_the_phone(phone):
    call = phone.dial("800")
    call.play(np.tile(NOISE, 4), wait=False)
    eventually(lambda: call.stats.audio_path == "both ways")
    call.hang_up()
    assert call.stats.packets_lost == 0
    assert call.stats.audio_path == "both ways"
