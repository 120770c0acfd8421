"""A look leaves all as it was: the PBX's files and what runs, the account's objects; it places no call unasked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from diagnosed import Put, all_of, broken, faulty, looked_at, stage_of
from signatures import nothing
from training_site import walked_site

from bwlib.models import SipEvent
from bwlib.training.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]

STATES: dict[str, Put] = {
    "healthy": nothing,
    "broken on the PBX": all_of(broken("wrong-password"), broken("registration-on"), broken("no-identify")),
    "broken at Bandwidth": all_of(broken("unbound-credential"), broken("callback-get"), broken("rotated-password")),
    "broken on the way": all_of(faulty("sip-silence"), broken("callback-dead")),
}
CHOSEN = list(STATES) if os.environ.get("BW_SOAK") else list(STATES)[:-1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with walked_site(tmp_path_factory.mktemp("home"), "unchanged") as path:
        yield path


def everything(stage: Stage) -> dict[str, Any]:
    """Files and running state of the PBX; all objects of the account, hashes in the clear; the sandbox's switches."""
    client, pbx, table = stage.client, stage.pbx, stage.settings.pbx
    realms = client.list_realms()
    state = pbx.state(table.trunk, table.extension, stage.settings.test.dial, "")
    credentials = [client.get_sip_credential(realm, each.id) for realm in realms
                   for each in client.list_sip_credentials(realm)]  # fmt: skip
    files = [path for path in sorted(stage.config_dir.rglob("*")) if path.is_file()]
    return {
        "files": {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files},
        "snapshot": pbx.snapshot(),
        "running": (pbx.get_trunk(table.trunk), pbx.get_route(table.route), pbx.get_extension(table.extension)),
        "contacts": state.contacts,
        "registrations": [each.name for each in pbx.registrations()],
        "applications": [client.get_application(each.id) for each in client.list_applications()],
        "realms": realms,
        "credentials": credentials,
        "hashes": [(each.ha1.get_secret_value(), each.ha1b.get_secret_value()) for each in credentials],
        "switches": stage.sandbox.switches(),
        "site": stage.settings.path.read_bytes(),
        "secrets": {each.name: each.read_bytes() for each in (stage.settings.folder / "secrets").iterdir()},
    }


def written(stage: Stage, since: int) -> list[str]:
    """Requests to the APIs that are not reads. A token is asked for by POST."""
    return [
        f"{each['method']} {each['path']}"
        for each in stage.sandbox.exchanges(since)
        if each["method"] not in ("GET", "HEAD") and not each["path"].endswith("/token")
    ]


# First: a call that met silence is sent again for a while.
@pytest.mark.parametrize("state", CHOSEN)
def test_a_look_without_calls_places_none(site: Path, state: str) -> None:
    """As on a live account without --place-call: one INVITE, which ends at the challenge and rings nobody."""
    stage = stage_of(site)
    with STATES[state](site):
        before, mark, calls, seen = everything(stage), last_exchange(stage), stage.sandbox.calls(), messages(stage)
        looked_at(site, calls=False)
        assert everything(stage) == before
        assert stage.sandbox.calls() == calls
        assert written(stage, mark) == []
        invites = [event for event in messages(stage)[len(seen) :] if event.text.startswith("INVITE ")]
    assert len({event.text.partition("Call-ID: ")[2].partition("\r\n")[0] for event in invites}) == 1
    assert not [event for event in invites if "Authorization:" in event.text]
    assert "sip:bw-runbook-probe@" in invites[0].text.partition("\r\n")[0]


@pytest.mark.parametrize("state", CHOSEN)
def test_a_look_with_calls_changes_nothing_but_the_list_of_calls(site: Path, state: str) -> None:
    stage = stage_of(site)
    with STATES[state](site):
        before, mark = everything(stage), last_exchange(stage)
        looked = looked_at(site)
        assert everything(stage) == before
        assert looked.facts.value("calls") == "placed"
        assert [line for line in written(stage, mark) if not line.endswith("/calls")] == []


def last_exchange(stage: Stage) -> int:
    return max((int(each["id"]) for each in stage.sandbox.exchanges()), default=0)


def messages(stage: Stage) -> list[SipEvent]:
    return stage.sandbox.sip_events()
