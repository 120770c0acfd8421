"""docs/sandbox-coverage.md says what the code does, and every route and switch in it names its source."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_world import World

from bwlib.sandbox.coverage import APIS, Api
from bwlib.sandbox.endpoint import Endpoint
from bwlib.sandbox.switches import BY_NAME, SWITCHES, check_value

PROJECT = Path(__file__).resolve().parent.parent
TEXT = (PROJECT / "docs" / "sandbox-coverage.md").read_text(encoding="utf-8")
ROUTES = [(api, endpoint) for api in APIS for endpoint in api.endpoints]
PUBLIC = ("dev.bandwidth.com/", "support.bandwidth.com", "github.com/Bandwidth/")
OURS = ("no public statement", "a tool of the sandbox")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


def test_the_document_is_what_the_code_says():
    done = subprocess.run(
        [sys.executable, PROJECT / "tools" / "sandbox_coverage.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_is_not_imitated_comes_first():
    assert re.findall(r"^## (.*)$", TEXT, re.MULTILINE)[0] == "What it does not imitate"


def test_every_route_and_every_switch_is_in_it():
    assert [e.path for _, e in ROUTES if f"`{e.method} {e.path}`" not in TEXT] == []
    assert [switch.name for switch in SWITCHES if f"| `{switch.name}` |" not in TEXT] == []


def test_every_source_is_a_public_page_or_says_that_there_is_none():
    assert [e.path for _, e in ROUTES if not e.source.startswith((*PUBLIC, *OURS))] == []
    assert [switch.name for switch in SWITCHES if not switch.source.startswith((*PUBLIC, *OURS))] == []


def test_every_default_is_a_value_that_its_switch_takes():
    assert [switch.name for switch in SWITCHES if check_value(switch.name, switch.default)] == []


def test_a_route_names_switches_that_are_there():
    named = {
        name
        for api in APIS
        for each in (*api.endpoints, *((api.common,) if api.common else ()))
        for name in each.switches
    }
    assert named - set(BY_NAME) == set()


@pytest.mark.parametrize(("api", "endpoint"), ROUTES, ids=[f"{e.method} {e.path}" for _, e in ROUTES])
def test_every_route_is_served_and_asks_who_is_calling(world: World, api: Api, endpoint: Endpoint):
    path = api.prefix.split(" ")[0] + endpoint.path
    path = re.sub(r"\{\w+\}", "1", path.replace("{account_id}", world.sandbox.account_id))
    answer = world.http.request(endpoint.method, world.sandbox.http_url + path)
    assert answer.status_code == 401, f"{path}: {answer.status_code} {answer.text}"
