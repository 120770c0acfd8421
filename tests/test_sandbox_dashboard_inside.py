"""What the dashboard shows and Bandwidth's does not: calls, webhooks, BXML, switches, faults; and reset."""

from __future__ import annotations

import asyncio
import re

import pytest
from dashboard_person import Page, Person, assert_harmless, call_page, only
from sandbox_world import Pbx, World, callbacks, eventually, root

from bwlib.errors import BwlibError
from bwlib.sandbox.switches import SWITCHES


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
def stranger(world):
    person = Person(world.sandbox)
    yield person
    person.close()


@pytest.fixture
def person(stranger):
    stranger.sign_in()
    return stranger


BXML = (
    '<Response><SpeakSentence>Press a key</SpeakSentence><Gather gatherUrl="/g" maxDigits="1" username="u" '
    'password="callback-secret"/><Hangup/></Response>'
)


def test_a_live_call_is_shown_with_ladder_webhooks_bxml_and_audio(world, person):
    with callbacks() as server:
        server.answers |= {"/i": BXML, "/g": "<Response><Hangup/></Response>"}
        realm = world.realm("acme")
        world.credential(realm, "pbx", world.application(server.url + "/i"))

        async def call() -> tuple[Page, Page]:
            async with Pbx(world, realm[1]) as pbx:
                talking, media = await pbx.talk()
                await asyncio.to_thread(
                    eventually, lambda: "<Gather" in call_page(person).words.partition("carried")[2]
                )
                live = person.open("/calls")
                await media.send_digits("4")
                await asyncio.wait_for(talking.ended.wait(), 20)
                await media.close()
            eventually(lambda: world.sandbox.calls()[-1]["state"] == "disconnected")
            return live, call_page(person)

        live, ended = asyncio.run(call())
    assert "live, answered" in live.words
    assert ("svg", "img") in [(tag, attributes.get("role")) for tag, attributes in ended.elements]
    assert re.search(r"407 Proxy Authentication Required \(INVITE\).*200 OK \(INVITE\)", ended.words)
    assert '"digits": "4"' in ended.words
    assert re.findall(r"<(SpeakSentence|Gather|Hangup)", ended.words.partition("carried out")[2]) == [
        "SpeakSentence", "Gather", "Hangup"]  # fmt: skip
    assert "callback-secret" not in ended.html
    place = next(attributes["src"] for tag, attributes in ended.elements if tag == "audio")
    wav = person.http.get(world.sandbox.http_url + place)
    assert (wav.headers["content-type"], wav.content[:4]) == ("audio/wav", b"RIFF")


def test_deliveries_carry_what_was_sent_and_answered_with_passwords_masked(world):
    with callbacks() as server:
        server.answers["/i"] = BXML.replace("<Gather", "<Hangup/><Gather")
        realm = world.realm("acme")
        world.credential(realm, "pbx", world.application(server.url + "/i"))

        async def call() -> None:
            async with Pbx(world, realm[1]) as pbx:
                talking, media = await pbx.talk()
                await asyncio.wait_for(talking.ended.wait(), 20)
                await media.close()

        asyncio.run(call())
        (delivery,) = eventually(world.sandbox.deliveries)
    assert '"eventType": "initiate"' in delivery["body"]
    assert delivery["answer"] == BXML.replace("<Gather", "<Hangup/><Gather").replace("callback-secret", "********")


def test_a_refused_invite_is_shown_although_no_call_came_of_it(world, person):
    realm = world.realm("acme")
    world.credential(realm, "pbx")

    async def call() -> None:
        async with Pbx(world, realm[1]) as pbx:
            assert await pbx.refused(password="wrong") == 403

    asyncio.run(call())
    assert "403 Forbidden" in person.open("/calls").words
    page = person.open(person.link("/calls", r"/sip\?call_id=[^\"]+"))
    assert "403 Forbidden (INVITE)" in page.words
    assert not re.search(r'response="[0-9a-f]{32}"', page.html)


def test_pages_reload_by_themselves_only_when_asked(person):
    assert "http-equiv" not in person.open("/calls").html
    assert '<meta http-equiv="refresh" content="2">' in person.open("/calls?reload=2").html
    assert "http-equiv" not in person.open('/calls?reload=0;url="x').html


def test_a_switch_turned_on_the_page_is_turned(world, person):
    page = person.send("/sandbox", "/switches", options="silent")
    assert "Turned: options = silent." in page.words
    assert world.sandbox.switches()["options"] == "silent"


def test_a_stale_page_turns_nothing_back(world, person):
    stale = next(form for form in person.open("/sandbox").forms if form.action.endswith("/switches")).values
    world.sandbox.set_switch("register", "501")
    person.http.post(person.url("/sandbox/switches"), data={**stale, "options": "silent"})
    assert world.sandbox.switches()["register"] == "501"


def test_a_wrong_value_of_a_switch_is_refused(world, person):
    page = person.send("/sandbox", "/switches", realm_create_s="soon")
    assert page.status == 400
    assert "realm_create_s takes seconds" in page.words
    assert world.sandbox.switches()["realm_create_s"] == "0"


def test_every_switch_is_on_the_page_with_its_source(person):
    words = person.open("/sandbox").words
    assert [switch.name for switch in SWITCHES if switch.name not in words or switch.source not in words] == []


def test_a_fault_is_switched_on_and_off_on_the_page(world, person):
    person.send("/sandbox", "/faults", name="http-status", value="503", times="2", match="path=*/realms*\nmethod=GET")
    (fault,) = world.sandbox.faults()
    assert (fault["name"], fault["times"], fault["match"]) == (
        "http-status", 2, {"path": "*/realms*", "method": "GET"})  # fmt: skip
    assert world.account("GET", "/realms").status_code == 503
    assert person.open("/account/sip-credentials").status == 200  # the dashboard itself stays whole
    person.send("/sandbox", "/faults/off")
    assert world.sandbox.faults() == []


@pytest.mark.parametrize("fields", [{"name": "x"}, {"name": "http-status", "value": "9"}, {"times": "-1"},
                                    {"match": "nonsense"}, {"match": "<script>"}])  # fmt: skip
def test_a_fault_that_cannot_be_is_refused(world, person, fields):
    page = person.send("/sandbox", "/faults", **fields)
    assert page.status == 400
    assert world.sandbox.faults() == []
    assert_harmless(page)


def test_a_reset_is_refused_where_somebody_has_noted_why(world, person):
    person.application()
    asked = person.open("/sandbox/reset")
    form = next(one for one in asked.forms if not one.action)
    world.sandbox.put_note("no_reset", "Not during a <lab>.")
    try:
        with pytest.raises(BwlibError, match="409: Not during a <lab>"):
            world.sandbox.reset()
        pressed = Page(person.http.post(person.url("/sandbox/reset"), data=form.values))
        for page in (person.open("/sandbox/reset"), pressed):
            assert page.status == 409
            assert "Not during a <lab>." in page.words
        assert "Forget every object" not in person.open("/sandbox").words
        only(world, "/applications", "Application")
    finally:
        world.sandbox.put_note("no_reset", "")


def test_reset_asks_first(world, person):
    person.application()
    assert "Reset the sandbox?" in person.open("/sandbox/reset").words
    only(world, "/applications", "Application")
    assert "The sandbox is reset." in person.send("/sandbox/reset").words
    assert root(world.account("GET", "/applications")).findall("ApplicationList/Application") == []
