"""A thousand bodies that mean harm or make no sense: an error in the API's own form each time, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hostile_bodies import COUNT, TEN_MB, Hostile, hostile_bodies, sample
from sandbox_world import Pbx, World, application_xml, callbacks, eventually, found, realm_xml, root

BODIES = hostile_bodies() if os.environ.get("BW_SOAK") == "1" else sample(150)
GROUP = 10
PLATFORM = "/voice-applications"
_MEMORY_KB = 200_000  # how much more the supervisor may ever have needed


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("home"))
    world.sandbox.set_switch("realm_create_s", "0")
    yield world
    world.close()


@pytest.fixture(scope="module")
def names(world: World) -> dict[str, str]:
    """What stands for {realm} and so on in the bodies and their paths."""
    application = world.application("http://127.0.0.1:9/initiate")
    return {"realm": world.realm("target")[0], "application": application, "number": world.sandbox.number}


def filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def send(world: World, hostile: Hostile, names: dict[str, str]) -> httpx.Response:
    """As it is, with the right credentials: what is wrong is the body alone."""
    body = hostile.body
    for name, value in names.items():
        body = body.replace(b"{" + name.encode() + b"}", value.encode())
    headers = {"Content-Type": hostile.content_type}
    if hostile.encoding:
        headers["Content-Encoding"] = hostile.encoding
    content = iter([body[i : i + 65536] for i in range(0, len(body), 65536)]) if hostile.chunked else body
    if hostile.path == "token":
        auth = (world.sandbox.client_id, world.sandbox.client_secret.get_secret_value())
        return world.http.post(world.sandbox.token_url, content=content, headers=headers, auth=auth, timeout=60)
    base = f"{world.sandbox.http_url}/v2" if hostile.path.startswith(PLATFORM) else world.sandbox.api_url
    url = f"{base}/accounts/{world.sandbox.account_id}{filled(hostile.path, names)}"
    headers |= world.bearer()
    return world.http.request(hostile.method, url, content=content, headers=headers, timeout=60)


def check_form(answer: httpx.Response, hostile: Hostile) -> None:
    """An error as the API that was asked writes its errors."""
    if hostile.path == "token":
        assert answer.json()["error"]
    elif hostile.path.startswith("/calls"):
        assert {"type", "description", "id"} <= answer.json().keys()
    elif hostile.path.startswith(PLATFORM):
        assert answer.json()["errors"][0]["description"]
    else:
        says = [each.text for each in root(answer).iter("Description")]
        assert says
        assert all(text and len(text) < 1_000 for text in says), answer.text[:300]


def peak_kb(world: World) -> int:
    status = Path(f"/proc/{world.sandbox.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.fixture(autouse=True)
def _no_defect(world: World) -> Iterator[None]:
    """Whatever comes, no exception reaches the top of the sandbox."""
    log = world.home / "sandbox" / "supervisor.log"
    before = log.stat().st_size
    yield
    assert "Traceback" not in log.read_bytes()[before:].decode(errors="replace")


def test_there_are_a_thousand_and_they_are_the_same_each_time() -> None:
    every = hostile_bodies()
    assert len(every) == COUNT
    assert every == hostile_bodies()
    assert {each.family for each in sample(150)} == {each.family for each in every}
    assert sum(len(each.body) >= TEN_MB for each in every) == 10


@pytest.mark.parametrize("start", range(0, len(BODIES), GROUP))
def test_each_is_answered_with_an_error_of_the_api_and_logged(world: World, names: dict[str, str], start: int) -> None:
    before = max((each["id"] for each in world.sandbox.exchanges(0)), default=0) if start == 0 else _last_id(world)
    statuses = []
    for number, hostile in enumerate(BODIES[start : start + GROUP], start):
        answer = send(world, hostile, names)
        note = f"number {number}, {hostile.family}: {hostile.body[:200]!r} got {answer.status_code} {answer.text[:300]}"
        assert 400 <= answer.status_code < 500 or (hostile.may_pass and answer.status_code < 400), note
        if answer.status_code >= 400:
            check_form(answer, hostile)
        assert "root:" not in answer.text
        statuses.append(answer.status_code)
    assert [each["status"] for each in world.sandbox.exchanges(before)] == statuses


def _last_id(world: World) -> int:
    newest = world.sandbox.exchanges(0)
    return int(newest[-1]["id"]) if newest else 0


def test_afterwards_it_works_as_before(world: World, names: dict[str, str]) -> None:
    assert world.account("POST", "/realms", realm_xml("aftermath")).status_code == 201
    made = world.account("POST", "/applications", application_xml("http://127.0.0.1:9/x"))
    assert made.status_code == 201
    assert found(world.account("GET", f"/realms/{names['realm']}"), "Realm/Id") == names["realm"]
    world.sandbox.reset()  # ends calls that a mutated body placed by chance
    eventually(lambda: world.sandbox.status()["calls_up"] == 0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process's memory is read on Linux")
def test_memory_stays_bounded_under_what_is_largest(world: World, names: dict[str, str]) -> None:
    before = peak_kb(world)
    for hostile in hostile_bodies():
        if len(hostile.body) > 500_000 or hostile.family in ("bomb", "quadratic blow-up"):
            send(world, hostile, names)
    assert peak_kb(world) - before < _MEMORY_KB


# ---------------------------------------------------------------- what comes with a request, not in its body


@pytest.mark.parametrize(
    "value",
    [
        "Basic é",
        "Basic =",
        "Basic " + "A" * 4000,
        "Bearer .",
        "Bearer a.b.c",
        "Bearer " + "." * 2000,
        "Bearer é.é.é",
        "?",
    ],
)
def test_hostile_credentials_are_a_401_everywhere(world: World, value: str) -> None:
    base, headers = f"{world.sandbox.http_url}", {"Authorization": value.encode("latin-1")}
    account = f"{base}/api/v2/accounts/{world.sandbox.account_id}"
    urls = (f"{account}/realms", f"{account}/calls", f"{base}/_sandbox/status")
    assert [world.http.get(url, headers=headers).status_code for url in urls] == [401, 401, 401]
    assert world.http.post(world.sandbox.token_url, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/realms/" + "9" * 40,
            "/realms/%00",
            "/realms/%ff%fe",
            "/realms/..%2f..%2fetc%2fpasswd",
            "/calls/%0d%0aX:%20y",
        ),
        *("/realms/1/sipcredentials/" + "9" * 40, "/realms/1/sipcredentials?page=" + "9" * 40, "/applications/%F0%9F"),
        *("/realms?realmfragment=%00%00%00", "/calls?pageToken=" + "9" * 5000, "/calls?pageSize=%D9%A3"),
    ],
)
def test_a_hostile_path_or_query_is_no_defect(world: World, path: str) -> None:
    answer = world.account("GET", path)
    assert answer.status_code < 500
    assert "X" not in answer.headers


def test_a_body_that_breaks_off_is_not_carried_out(world: World) -> None:
    head = f"POST /api/v2/accounts/{world.sandbox.account_id}/realms HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n"
    body = realm_xml("half")
    host, port = world.sandbox.http_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        auth = "".join(f"{name}: {value}\r\n" for name, value in world.bearer().items())
        half.sendall(f"{head}{auth}Content-Type: application/xml\r\n\r\n{body}".encode())
    assert world.account("GET", "/realms/half").status_code == 404
    assert "half." not in world.account("GET", "/realms").text


# ---------------------------------------------------------------- BXML: what an application may answer

_BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    "<Response><SpeakSentence>&b;</SpeakSentence></Response>"
)


@pytest.mark.parametrize(
    "answer",
    [
        *(_BOMB, "<a>" * 10_000, "<Response/>" * 2, "\x00", "null", "<Response><Nothing/></Response>", "x" * 100_000),
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Response><SpeakSentence>&e;</SpeakSentence></Response>',
        '<?xml version="1.0" encoding="x-unknown"?><Response/>',
        '<Response><Redirect redirectUrl="http://127.0.0.1:99999/"/></Response>',
        '<Response><Redirect redirectUrl="http://[::1"/></Response>',
        "<Response><PlayAudio>http://127.0.0.1:99999/x.wav</PlayAudio></Response>",
    ],
)
def test_hostile_bxml_ends_the_call_and_nothing_else(world: World, answer: str) -> None:
    realm = world.realm("bxml" + os.urandom(4).hex())
    with callbacks() as app:
        app.answers["/initiate"] = answer
        world.credential(realm, "pbx", world.application(f"{app.url}/initiate"))

        async def call() -> int | None:
            async with Pbx(world, realm[1]) as pbx:
                return await pbx.refused()

        asyncio.run(call())
    last = eventually(lambda: next((c for c in world.sandbox.calls()[-1:] if c["state"] == "disconnected"), None))
    assert last["disconnectCause"] in ("invalid-bxml", "callback-error", "hangup", "error"), json.dumps(last)
