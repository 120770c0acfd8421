"""Each break of the table on a real Asterisk: the named call is not heard; mended, it is, and all is as it was."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_site import opened, walked_site, well

from bwlib.errors import BwlibError
from bwlib.guide import Run
from bwlib.models import CallRequest
from bwlib.sandbox import control
from bwlib.settings import load_settings
from bwlib.steps.application import find_application
from bwlib.training.breaking import BREAKS, BY_NAME, Break
from bwlib.training.stage import Stage, open_stage

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(600)]

SEED = 7
NAMES = [each.name for each in BREAKS]
# All in `make soak`; else some of them, the same ones each time.
CHOSEN = NAMES if os.environ.get("BW_SOAK") else sorted(random.Random(SEED).sample(NAMES, 6))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with walked_site(tmp_path_factory.mktemp("home"), "breaks") as path:
        run = well(path)
        assert run.call_from_extension() is not None
        assert run.call_to_extension() is not None
        yield path


@pytest.fixture
def stage(site: Path) -> Stage:
    sandbox = control.attach()
    assert sandbox is not None
    return open_stage(load_settings(site), sandbox, SEED)


def everything(stage: Stage) -> dict[str, Any]:
    """The PBX's files and what it registers; the account's objects, without ids of what is made anew."""
    client = stage.client
    applications = {each.id: each.name for each in client.list_applications()}
    credentials = [
        replace(client.get_sip_credential(realm, each.id), id="", realm_id="", application_id="")
        for realm in client.list_realms()
        for each in client.list_sip_credentials(realm)
    ]
    bound = [
        applications[each.application_id or ""]
        for realm in client.list_realms()
        for each in client.list_sip_credentials(realm)
    ]
    return {
        "files": {path.name: path.read_bytes() for path in sorted(stage.config_dir.rglob("*.conf"))},
        "registrations": stage.pbx.registrations(),
        "trunk": stage.pbx.get_trunk(stage.settings.pbx.trunk),
        "applications": client.list_applications(),
        "realms": [replace(each, id="") for each in client.list_realms()],
        "credentials": credentials,
        "bound": bound,
        "switches": stage.sandbox.switches(),
        "faults": stage.sandbox.faults(),
        "kept": stage.all_kept(),
    }


def calls_of(run: Run, broken: Break) -> list[Callable[[], object]]:
    both = {"outward": run.call_from_extension, "inward": run.call_to_extension}
    return [call for way, call in both.items() if way in broken.fails]


def shows(stage: Stage, broken: Break) -> None:
    """What a break that leaves the calls alone does instead."""
    if "registration" in broken.fails:
        assert stage.pbx.registrations()
    if "api" in broken.fails:
        with pytest.raises(BwlibError):
            stage.client.create_realm("another", "")
    if "field" in broken.fails:
        assert [each.call_initiated_method for each in stage.client.list_applications()] == ["GET"]
    if "no-phone" in broken.fails:
        assert rung_without_a_phone(stage) == "timeout"  # without the break: "rejected", at once


def rung_without_a_phone(stage: Stage) -> str | None:
    """How a call to the extension ends while its phone is away."""
    info, readback = stage.pbx.info(), stage.sandbox.readback
    to = f"sip:{stage.settings.pbx.extension}@{info.sip_host}:{info.sip_port}"
    application = find_application(stage.client, stage.settings.application.name)
    assert application is not None
    url = f"{readback.url}/answer"
    wanted = CallRequest(to, stage.sandbox.number, application.id, url, call_timeout_s=3)
    call = stage.client.create_call(wanted)
    deadline = time.monotonic() + 30
    while call.state != "disconnected" and time.monotonic() < deadline:
        time.sleep(0.2)
        call = stage.client.get_call(call.id)
    return call.disconnect_cause


@pytest.mark.parametrize("name", CHOSEN)
def test_a_break_fails_the_call_until_it_is_mended(site: Path, stage: Stage, name: str) -> None:
    broken, before = BY_NAME[name], everything(stage)
    broken.put_in(stage)
    try:
        for call in calls_of(opened(site), broken):
            with pytest.raises(BwlibError) as said:
                call()
            print(f"{name}: {said.value.came_back}")
        shows(stage, broken)
    finally:
        broken.mend(stage)
    assert everything(stage) == before
    for call in calls_of(well(site), broken):
        assert call() is not None
