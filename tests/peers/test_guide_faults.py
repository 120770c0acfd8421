"""Faults met by the guide itself: what its steps say of each, with a real Asterisk between phone and edge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_world import eventually
from training_site import opened, walked_site, well

from bwlib.errors import NotAsExpected
from bwlib.sandbox import control
from bwlib.settings import names_for

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A site that has walked the guide up to notebook 30, in a home of its own."""
    with walked_site(tmp_path_factory.mktemp("home"), "faults") as path:
        yield path


@pytest.fixture
def sandbox(site: Path) -> Iterator[control.Sandbox]:
    running = control.attach()
    assert running is not None
    yield running
    assert running.faults() == []


EXTENSION = names_for("faults")["pbx.extension"]
# What is broken, the words by which the step says so, and whether the call goes to the extension.
FAULTS = [
    ("sip-silence", None, {}, "does not answer from here", False),
    ("sip-late", "60", {}, "100 Trying, and nobody answered", False),
    ("sip-reject", "503", {}, "503 Service Unavailable", False),
    ("audio-out-lost", None, {}, "no sound arrived", False),
    ("audio-in-lost", None, {}, "wanted '4'", False),
    ("audio-packets-lost", "30", {}, "correlation", False),
    ("dtmf-lost", None, {}, "wanted '4'", False),
    ("sip-bye-lost", "out", {"method": "BYE"}, "still up", False),
    ("webhook-drop", None, {"event": "initiate"}, "603", False),
    ("webhook-drop", None, {"event": "disconnect"}, "What did arrive: initiate", False),
    ("sip-silence", None, {"to": EXTENSION}, "the phone did not ring", True),
    ("audio-out-lost", None, {}, "no sound arrived", True),
    ("dtmf-lost", None, {"to": f"sip:{EXTENSION}*"}, "wanted '4'", True),
]


@pytest.mark.parametrize(("name", "value", "match", "words", "inward"), FAULTS)
def test_a_fault_fails_the_call_in_words_that_lead_to_it(
    site: Path, sandbox: control.Sandbox, name: str, value: str | None, match: dict[str, str], words: str, inward: bool
) -> None:
    run = opened(site)
    call = run.call_to_extension if inward else run.call_from_extension
    with sandbox.fault(name, value=value, match=match), pytest.raises(NotAsExpected) as said:
        call()
    assert words in said.value.came_back
    assert said.value.do_next


def test_duplicates_and_a_server_that_is_busy_for_a_moment_do_no_harm(site: Path, sandbox: control.Sandbox) -> None:
    run = well(site)
    with sandbox.fault("http-status", times=2, match={"path": "/realms*"}), sandbox.fault("webhook-duplicate"):
        assert run.realm() is not None
        assert run.call_from_extension() is not None
        assert run.call_to_extension() is not None
        assert all(fault["acted"] for fault in sandbox.faults())


def test_after_all_that_nothing_is_left(site: Path, sandbox: control.Sandbox) -> None:
    run = well(site)
    assert run.call_from_extension() is not None
    assert run.call_to_extension() is not None
    eventually(lambda: sandbox.status()["calls_up"] == 0)
