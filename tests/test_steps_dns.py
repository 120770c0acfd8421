"""The DNS probe: what it says of a name that is there, is not there yet, or that nobody can be asked about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbox_world import World

from bwlib.errors import StillPending
from bwlib.steps.dns import NO_SANDBOX_DNS, check_dns

HOST = "sip-uri.voice-api.bandwidth.test"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


def test_a_name_that_resolves_is_told_with_its_port(world: World) -> None:
    assert world.sandbox.dns is not None
    outcome = check_dns(HOST, (world.sandbox.dns,))
    assert (outcome.action, outcome.note) == ("passed", "")
    assert outcome.found is not None
    assert f"port {world.sandbox.edge[1]} ({world.sandbox.edge[0]})" in outcome.found["SRV"]
    assert outcome.found["A"] == world.sandbox.edge[0]


def test_a_name_that_is_not_there_yet_can_be_tried_again(world: World) -> None:
    assert world.sandbox.dns is not None
    with pytest.raises(StillPending, match="neither"):
        check_dns("new-3efeaa.auth.bandwidth.test", (world.sandbox.dns,))


def test_with_an_outbound_proxy_dns_does_not_decide(world: World) -> None:
    assert world.sandbox.dns is not None
    outcome = check_dns("new-3efeaa.auth.bandwidth.test", (world.sandbox.dns,), proxy="127.0.0.2:5060")
    assert outcome.action == "passed"
    assert outcome.found is not None
    assert outcome.found["SRV"] == outcome.found["A"] == "none"
    assert "outbound proxy 127.0.0.2:5060" in outcome.note


def test_without_anybody_to_ask_it_is_not_tested() -> None:
    outcome = check_dns(HOST, ())
    assert (outcome.action, outcome.note) == ("skipped", NO_SANDBOX_DNS)


def test_when_nobody_answers_it_is_not_tested() -> None:
    outcome = check_dns(HOST, (("127.0.0.1", 9),))
    assert outcome.action == "skipped"
    assert outcome.note.startswith("not tested: no name server answers")
