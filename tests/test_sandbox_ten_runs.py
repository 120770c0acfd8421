"""Ten runs at once on one sandbox, each in an account of its own, with the same names for everything."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_world import ASIDE_S, Pbx, World, application_xml, callbacks, eventually, found, hashes, root

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
RUNS = 10

# What a notebook does, without a kernel: the steps of 10 and 20, begun together.
WALK = """
import json, sys
from bwlib import open_run, start_site
site = sys.argv[1]
start_site(site)
print("ready", file=sys.stderr, flush=True)
sys.stdin.readline()
run = open_run(site, notebook="20_sip_credentials")
application = run.application()
run.callback()
realm = run.realm()
credential = run.sip_credential(realm)
made = {"application": application.id, "realm": realm.fqdn, "credential": credential.id, "account": run.on.account_id}
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def whole(home):
    """The sandbox, and what a user of the account that nobody here uses sees."""
    world = World(home)
    yield world
    world.close()


def account_name(number: int) -> str:
    return f"site-{number}"


def site_file(folder: Path, number: int) -> Path:
    path = folder / account_name(number) / "site.toml"
    path.parent.mkdir()
    lines = ['name = "same"', "[bandwidth]", f'sandbox_account = "{account_name(number)}"']
    path.write_text("\n".join([*lines, "[realm]", 'name = "samename"', "[sip_credential]", 'username = "pbx"', ""]))
    return path


@pytest.fixture(scope="module")
def walked(home, whole, tmp_path_factory) -> list[dict[str, str]]:
    """What ten processes made, that waited for each other before they began."""
    folder = tmp_path_factory.mktemp("sites")
    env = {**os.environ, "BW_RUNBOOK_HOME": str(home), "MPLBACKEND": "agg"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    argv = [[sys.executable, "-c", WALK, str(site_file(folder, number))] for number in range(RUNS)]
    started = [subprocess.Popen(each, env=env, cwd=folder, **pipes) for each in argv]
    for process in started:
        assert process.stderr.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=200) for process in started]
    assert [process.returncode for process in started] == [0] * RUNS, outputs
    return [json.loads(stdout.strip().splitlines()[-1]) for stdout, _ in outputs]


def each_world(whole: World) -> list[World]:
    return [whole.other_account(account_name(number)) for number in range(RUNS)]


def test_each_run_made_objects_of_its_own_and_sees_no_others(whole, walked):
    for key in ("application", "realm", "credential", "account"):
        assert len({made[key] for made in walked}) == RUNS
    for world, made in zip(each_world(whole), walked, strict=True):
        assert world.sandbox.account_id == made["account"]
        applications = root(world.account("GET", "/applications")).iter("ApplicationId")
        assert [each.text for each in applications] == [made["application"]]
        assert found(world.account("GET", "/realms"), "Realms/Realm/Realm") == made["realm"]
        credentials = world.account("GET", "/sipcredentials?page=1&size=500")
        assert [each.text for each in root(credentials).findall("SipCredentials/SipCredential/Id")] == [
            made["credential"]
        ]


def test_the_account_that_nobody_used_is_empty(whole, walked):
    assert list(root(whole.account("GET", "/applications")).iter("Application")) == []
    assert list(root(whole.account("GET", "/realms")).iter("Id")) == []


def test_no_run_sent_anything_to_anothers_account(whole, walked):
    for world, made in zip(each_world(whole), walked, strict=True):
        statuses = {each["status"] for each in world.sandbox.exchanges() if f"/{made['account']}/" in each["path"]}
        assert statuses <= {200, 201, 303}, statuses


def test_ten_calls_at_once_reach_their_own_application_and_are_seen_by_their_own_account(whole, walked):
    worlds = each_world(whole)
    with callbacks() as app:
        for number in range(RUNS):
            app.answers[f"/{number}"] = "<Response><SpeakSentence>Hello.</SpeakSentence></Response>"
            _rebind(worlds[number], walked[number], f"{app.url}/{number}")
        asyncio.run(_call_all(worlds, walked))
        for number, world in enumerate(worlds):
            eventually(lambda world=world: [call["state"] for call in world.sandbox.calls()] == ["disconnected"])
            (call,) = world.sandbox.calls()
            seen = [event for path, event, _ in app.seen if path == f"/{number}"]
            assert [event["callId"] for event in seen] == [call["callId"]]
            assert (seen[0]["accountId"], seen[0]["from"]) == (world.sandbox.account_id, world.sandbox.number)
            assert {delivery["call_id"] for delivery in world.sandbox.deliveries()} == {call["callId"]}
            invites = {e.text.splitlines()[0] for e in world.sandbox.sip_events() if e.text.startswith("INVITE")}
            assert invites == {f"INVITE sip:+15005550006@{walked[number]['realm']} SIP/2.0"}


def _rebind(world: World, made: dict[str, str], url: str) -> None:
    """A callback that tells the accounts apart, and a password that this test knows."""
    plain = application_xml(url, AppName="same")  # without the callback's user
    assert world.account("PUT", f"/applications/{made['application']}", plain).status_code == 200
    hash1, hash1b = hashes(made["realm"], "pbx")
    xml = f"<SipCredential><Hash1>{hash1}</Hash1><Hash1b>{hash1b}</Hash1b></SipCredential>"
    assert world.account("PUT", "/sipcredentials/pbx", xml).status_code == 200


async def _call_all(worlds: list[World], walked: list[dict[str, str]]) -> None:
    async def one(world: World, fqdn: str) -> None:
        async with Pbx(world, fqdn) as pbx:
            call, media = await pbx.talk()
            await asyncio.wait_for(call.ended.wait(), ASIDE_S)
            await media.close()

    await asyncio.gather(*(one(world, made["realm"]) for world, made in zip(worlds, walked, strict=True)))
