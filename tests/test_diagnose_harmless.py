"""A look leaves no call behind, rings no stranger, and sends no secret to a host that the site does not name."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from sip_peer import SDP

from bwlib.diagnose import at_callback, at_realm
from bwlib.diagnose.by_call import would_go_elsewhere
from bwlib.models import Application
from bwlib.sip.agent import Agent, IncomingCall

HOST = "acme-1a2b3c.auth.bandwidth.test"


def scene(**on: Any) -> Any:
    """As much of a Scene as the tests here need."""
    surroundings = SimpleNamespace(number="+19195550100", **on)
    return SimpleNamespace(host=HOST, run=SimpleNamespace(on=surroundings), our_calls=set(), over=threading.Event())


def test_an_invite_that_the_realm_takes_without_a_challenge_is_hung_up() -> None:
    taken: list[IncomingCall] = []

    async def take(call: IncomingCall) -> None:
        taken.append(call)
        call.answer(SDP)

    async def main() -> None:
        realm = Agent(on_invite=take)
        await realm.start()
        facts = await at_realm._reach(scene(), realm.address)
        assert {fact.name: fact.value for fact in facts}["direct.challenge"] == "not-challenged"
        await asyncio.wait_for(taken[0].ended.wait(), 10)
        assert taken[0].end_reason == "bye"
        await realm.stop()

    asyncio.run(main())


@contextmanager
def server_that_asks_for_credentials() -> Iterator[tuple[str, list[str]]]:
    """(its URL, the Authorization headers that came)."""
    came: list[str] = []

    class Asks(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            came.append(self.headers.get("Authorization", ""))
            self.send_response(200 if came[-1] else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
            self.wfile.write(b"<Response><Hangup/></Response>")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Asks)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/initiate", came
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("named", "sent"), [("{}", True), ("http://127.0.0.1:9/initiate", False)])
def test_the_callback_password_goes_only_to_the_server_that_the_site_names(
    monkeypatch: pytest.MonkeyPatch, named: str, sent: bool
) -> None:
    """The application at Bandwidth leads to a server; the site file names that one, or another."""
    with server_that_asks_for_credentials() as (url, came):
        there = Application("PBX", url, callback_user="user")
        wanted = Application("PBX", named.format(url), callback_user="user", callback_password=SecretStr("k3y"))
        monkeypatch.setattr(at_callback, "find_application", lambda *_: there)
        looked_at = scene(client=None, application=wanted, recorder=None, callback_ca=None)
        looked_at.run.settings = SimpleNamespace(
            application=SimpleNamespace(name="PBX"), test=SimpleNamespace(dial="+19195550199")
        )
        (fact,) = at_callback.probe(looked_at)
    secret = "Basic " + b64encode(b"user:k3y").decode()
    assert came == (["", secret] if sent else [""])
    assert fact.value == ("alive" if sent else "unknown")


def test_on_a_live_account_no_call_leaves_the_pbx_that_might_ring_a_stranger() -> None:
    bound = {"credential": ("acme", "app-1"), "trunk": "acme", "route": "to-bandwidth", "extension": "out"}
    assert elsewhere(**bound) == ""
    assert elsewhere(**{**bound, "trunk": "other"}) == "the trunk does not authenticate as the site's SIP credential"
    for credential in (None, ("acme", None), ("acme", "app-2")):
        assert "was not read back as bound" in elsewhere(**{**bound, "credential": credential})
    for place in ("route", "extension"):
        for other in (None, "to-the-pstn"):
            assert "by the site's route and trunk" in elsewhere(**{**bound, place: other})


def elsewhere(credential: Any, trunk: Any, route: Any, extension: Any) -> str:
    """credential: (user name, application). trunk: its user name. route: its trunk. extension: its route."""
    table = SimpleNamespace(trunk="to-bandwidth", route="out")
    looked_at = SimpleNamespace(
        run=SimpleNamespace(settings=SimpleNamespace(road="realm", pbx=table)),
        account=SimpleNamespace(
            application=SimpleNamespace(id="app-1"),
            credential=credential and SimpleNamespace(username=credential[0], application_id=credential[1]),
        ),
        on_pbx=SimpleNamespace(
            trunk=SimpleNamespace(username=trunk),
            route=route and SimpleNamespace(trunk=route),
            extension=extension and SimpleNamespace(route=extension),
        ),
    )
    return would_go_elsewhere(looked_at)  # type: ignore[arg-type]
