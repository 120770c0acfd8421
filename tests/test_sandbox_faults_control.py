"""The table of faults, the control API and `bw-runbook sandbox fault`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sandbox_world import World, eventually

from bwlib.errors import SettingsError
from bwlib.sandbox.faults import FAULTS, MATCH_KEYS, MAX_ON, table


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running: World) -> World:
    running.sandbox.reset()
    return running


def bw_runbook(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bwlib.cli", "sandbox", *arguments],
        env={**os.environ, "BW_RUNBOOK_HOME": str(world.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_table_says_of_each_fault_what_it_means_where_it_acts_and_what_it_takes() -> None:
    assert len({row["name"] for row in table()}) == len(FAULTS)
    for row in table():
        assert row["meaning"]
        assert row["where"] in MATCH_KEYS
        assert bool(row["default"]) == bool(row["value"])


@pytest.mark.parametrize("name", [kind.name for kind in FAULTS])
def test_each_fault_can_be_switched_on_by_its_name_with_its_default_and_off(world: World, name: str) -> None:
    with world.sandbox.fault(name, times=1) as fault:
        [listed] = world.sandbox.faults()
    assert listed == fault
    assert (fault["left"], fault["acted"]) == (1, 0)
    assert world.sandbox.faults() == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("no-such-fault", {}),
        ("http-status", {"value": "200"}),
        ("http-status", {"value": "many"}),
        ("http-status", {"value": "<status>"}),
        ("http-delay", {"value": "nan"}),
        ("http-delay", {"value": "-1"}),
        ("http-drop", {"value": "1"}),
        ("sip-bye-lost", {"value": "sideways"}),
        ("audio-packets-lost", {"value": "101"}),
        ("http-status", {"times": 0}),
        ("http-status", {"times": True}),
        ("http-status", {"match": {"event": "initiate"}}),
        ("http-status", {"match": {"path": ""}}),
        ("http-status", {"match": {"path": "*" * 50}}),
        ("http-status", {"match": {"path": 5}}),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_on(world: World, name: str, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        world.sandbox.switch_fault_on(name, **options)
    assert world.sandbox.faults() == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"5", b'{"name": 5}', b'{"name": "http-drop", "match": 7}', b"[" * 100000]
)
def test_a_body_that_is_no_fault_is_a_400(world: World, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {world.sandbox.control_token.get_secret_value()}"}
    answer = world.http.post(f"{world.sandbox.http_url}/_sandbox/faults", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_there_is_an_end_to_how_many_are_on(world: World) -> None:
    for _ in range(MAX_ON):
        world.sandbox.switch_fault_on("http-status", match={"path": "/nowhere"})
    with pytest.raises(SettingsError, match="switch some off"):
        world.sandbox.switch_fault_on("http-status")
    assert world.sandbox.switch_faults_off() == MAX_ON


def test_a_reset_switches_faults_off(world: World) -> None:
    world.sandbox.switch_fault_on("http-drop")
    world.sandbox.reset()
    assert world.sandbox.faults() == []


def test_switching_off_twice_is_no_error(world: World) -> None:
    fault = world.sandbox.switch_fault_on("http-drop")
    assert [world.sandbox.switch_faults_off(fault["id"]) for _ in range(2)] == [1, 0]


def test_the_control_api_itself_is_never_hit(world: World) -> None:
    for kind in FAULTS:
        world.sandbox.switch_fault_on(kind.name)
    assert world.sandbox.switch_faults_off() == len(FAULTS)


def test_faults_end_with_the_sandbox_even_while_it_holds_an_answer_back(tmp_path) -> None:
    world = World(tmp_path / "home")
    world.bearer()
    world.sandbox.switch_fault_on("http-delay", value="120")
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(world.account("GET", "/realms").status_code))
    waiting.start()
    eventually(lambda: world.sandbox.faults()[0]["acted"])
    world.sandbox.down()
    waiting.join(20)
    assert answers == [200]
    world.close()
    again = World(tmp_path / "home")
    assert again.sandbox.faults() == []
    again.close()


# ---------------------------------------------------------------- the command line


def test_the_command_line_switches_one_on_shows_it_and_switches_it_off(world: World) -> None:
    done = bw_runbook(world, "fault", "http-status", "--value", "429", "--times", "2", "--match", "path=/realms*")
    assert done.returncode == 0
    assert "path=/realms*" in done.stdout
    assert world.account("GET", "/realms").status_code == 429
    [shown] = json.loads(bw_runbook(world, "faults", "--json").stdout)
    assert (shown["value"], shown["left"], shown["acted"]) == ("429", 1, 1)
    assert bw_runbook(world, "fault", "http-status", "--clear").returncode == 0
    assert world.account("GET", "/realms").status_code == 200
    assert bw_runbook(world, "fault", "http-status", "--clear").returncode == 3


def test_the_command_line_switches_all_off(world: World) -> None:
    for name in ("sip-silence", "webhook-drop"):
        assert bw_runbook(world, "fault", name).returncode == 0
    assert bw_runbook(world, "faults", "--clear").returncode == 0
    assert world.sandbox.faults() == []
    assert bw_runbook(world, "faults").stdout == ""


@pytest.mark.parametrize("arguments", [("no-such",), ("http-drop", "--match", "x"), ("http-drop", "--times", "0")])
def test_a_wrong_argument_is_exit_6(world: World, arguments: tuple[str, ...]) -> None:
    done = bw_runbook(world, "fault", *arguments)
    assert done.returncode == 6
    assert "Do next:" in done.stderr


def test_without_a_sandbox_there_is_a_table_and_nothing_to_switch(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(tmp_path))
    commands = (("faults", "--all"), ("faults",), ("fault", "http-drop"))
    base = [sys.executable, "-m", "bwlib.cli", "sandbox"]
    done = [subprocess.run([*base, *each], capture_output=True, text=True, check=False) for each in commands]
    assert [each.returncode for each in done] == [0, 3, 3]
    assert all(kind.name in done[0].stdout for kind in FAULTS)
