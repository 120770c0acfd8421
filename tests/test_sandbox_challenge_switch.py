"""The switch `challenge`: calls of tools that have no credentials still reach an application."""

from __future__ import annotations

import asyncio

import pytest
from sandbox_world import ASIDE_S, World, callbacks

from bwlib.sip.agent import Agent
from bwlib.sip.media import Media

HELLO = "<Response><SpeakSentence>Hello.</SpeakSentence></Response>"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running):
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    return running


@pytest.fixture
def app():
    with callbacks() as server:
        server.answers["/initiate"] = HELLO
        yield server


def status_of(world: World, host: str, from_user: str) -> int | None:
    """What a caller without any credentials gets for sip:+15005550006@host."""

    async def run() -> int | None:
        agent, media = Agent(), Media()
        await agent.start()
        call = agent.invite(
            f"sip:+15005550006@{host}",
            from_uri=f"sip:{from_user}@127.0.0.1",
            sdp=media.offer(),
            send_to=world.sandbox.edge,
        )
        try:
            async with asyncio.timeout(ASIDE_S):
                await call.ended.wait()  # HELLO is short: the application's side hangs up
        finally:
            await media.close()
            await agent.stop()
        return call.status

    return asyncio.run(run())


def test_with_the_default_everybody_is_challenged(world, app):
    realm = world.realm("acme", default=True)
    world.credential(realm, "sipp", world.application(f"{app.url}/initiate"))
    assert status_of(world, realm[1], "sipp") == 407
    assert status_of(world, world.sandbox.edge[0], "sipp") == 404
    assert app.types() == []


def test_switched_off_the_from_user_names_the_credential_and_the_edges_address_the_default_realm(world, app):
    world.sandbox.set_switch("challenge", "off")
    world.credential(world.realm("other"), "sipp", world.application(f"{app.url}/elsewhere"))
    world.credential(world.realm("acme", default=True), "sipp", world.application(f"{app.url}/initiate"))
    assert status_of(world, world.sandbox.edge[0], "sipp") == 200
    event = app.wait_for("initiate")
    assert (event["from"], event["to"]) == (world.sandbox.number, "+15005550006")
    assert [path for path, _, _ in app.seen] == ["/initiate"]


def test_switched_off_a_caller_with_a_number_is_the_realms_only_credential(world, app):
    world.sandbox.set_switch("challenge", "off")
    realm = world.realm("acme")
    world.credential(realm, "pbx", world.application(f"{app.url}/initiate"))
    assert status_of(world, realm[1], world.sandbox.number) == 200
    assert status_of(world, realm[1], "+12025550100") == 403
    world.credential(realm, "pbx2", world.application(f"{app.url}/initiate"))
    assert status_of(world, realm[1], world.sandbox.number) == 404


def test_switched_off_the_edges_address_leads_nowhere_without_a_default_realm(world, app):
    world.sandbox.set_switch("challenge", "off")
    world.credential(world.realm("acme"), "sipp", world.application(f"{app.url}/initiate"))
    assert status_of(world, world.sandbox.edge[0], "sipp") == 404
