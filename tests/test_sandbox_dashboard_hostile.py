"""The dashboard against hostile names, callers, paths and forms."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from dashboard_person import Person, assert_harmless, every_page
from sandbox_world import Pbx, World, callbacks, eventually

SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "../../../../etc/passwd",
    "x\r\nSet-Cookie: planted=1",
    "{{ 7 * 7 }}{% for x in y %}",
    "</title></select><a href=javascript:alert(1)>x</a>",
)


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


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_text_on_every_page(world, person, name):
    person.application(name)
    person.realm("acme", Description=name)
    person.credential()
    person.realm(name)  # refused, with the name in the text
    person.credential(name)
    pages = every_page(person)
    assert any(" ".join(name.split()) in page.words for page in pages)
    for page in pages:
        assert page.status == 200
        assert_harmless(page)


OPTIONS = (
    f"OPTIONS sip:{SCRIPT}@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nCall-ID: CALLID\r\n"
    f"From: {SCRIPT} <sip:a@b>;tag=1\r\nTo: <sip:b@c>\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n"
)


def send_raw(address: tuple[str, int], message: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(message.encode(), address)


def test_a_hostile_caller_and_application_are_shown_as_text(world, person):
    with callbacks() as server:
        server.answers["/i"] = f"<Response><SpeakSentence>{SCRIPT.replace('<', '&lt;')}</SpeakSentence></Response>"
        answered = f'<Response><Nonsense x="{SCRIPT.replace("<", "&lt;")}"/></Response>'
        server.answers["/bad"] = answered
        realm = world.realm("acme")
        for name, path in (("good", "/i"), ("bad", "/bad")):
            world.credential(realm, name, world.application(server.url + path, AppName=name))

        async def call() -> None:
            async with Pbx(world, realm[1]) as pbx:
                await pbx.refused(user="bad", dialled="%3Cscript%3E")
                await pbx.refused(user=SCRIPT)
                for call_id in (SCRIPT, '"><img/src=x'):
                    send_raw(world.sandbox.edge, OPTIONS.replace("CALLID", call_id))
                talking, media = await pbx.talk(user="good")
                await asyncio.wait_for(talking.ended.wait(), 20)
                await media.close()

        asyncio.run(call())
        eventually(lambda: all(call["state"] == "disconnected" for call in world.sandbox.calls()))
    pages = every_page(person)
    for page in pages:
        assert page.status == 200
        assert_harmless(page)
    for shown in ("Nonsense", f"OPTIONS sip:{SCRIPT}@x", SCRIPT):
        assert any(shown in page.words for page in pages)


@pytest.mark.parametrize("path", [
    "/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/style.css/../../../pyproject.toml",
    "/templates/base.html", "/static/style.css", "/applications/..%2f..%2fdashboard.json",
    "/account/realms/..%2f..", "/calls/..%2f..%2fsandbox.db/sent.wav", "/calls/x/..%2fheard.wav",
])  # fmt: skip
def test_a_path_leads_to_no_file(person, path):
    request = httpx.Request(
        "GET", person.url("/x"), headers={"cookie": person.http.get(person.url("/account")).request.headers["cookie"]}
    )
    request.url = request.url.copy_with(raw_path=f"/dashboard{path}".encode())
    answer = person.http.send(request)
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "{%" not in answer.text


@pytest.mark.parametrize(("status", "options"), [
    (415, {"content": b"{}", "headers": {"content-type": "application/json"}}),
    (415, {"files": {"AppName": b"x"}}),
    (413, {"data": {"AppName": "x" * 100_000}}),
    (400, {"data": {f"field{n}": "x" for n in range(1000)}}),
    (400, {"content": b"\xff\xfe=%ff%00", "headers": {"content-type": "application/x-www-form-urlencoded"}}),
])  # fmt: skip
def test_a_malformed_form_gets_a_plain_answer(person, status, options):
    answer = person.http.post(person.url("/applications/new"), **options)
    assert answer.status_code == status
    assert "This did not work" in answer.text
