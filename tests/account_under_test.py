"""A real client on a real sandbox, with a wire between them that can be cut: for the tests of bwlib.steps."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from pydantic import SecretStr
from sandbox_world import World

from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.models import Application, Realm
from bwlib.steps.realm import ensure_realm

PASSWORD = SecretStr("correct-horse-battery")
OTHER_PASSWORD = SecretStr("another-horse-battery")
Answer = Callable[[httpx.Request], httpx.Response | None]


class Wire(httpx.BaseTransport):
    """To the sandbox and back. `sent` are method and path of what got there; faults are for a method.

    lose: the request arrives, its answer does not. cut: it never arrives. answer: who answers instead (None: nobody).
    """

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self.sent: list[tuple[str, str]] = []
        self.lose: set[str] = set()
        self.cut: set[str] = set()
        self.answer: Answer = lambda request: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        token = request.url.path.endswith("/token")
        if not token and request.method in self.cut:
            raise httpx.ConnectError("cut", request=request)
        instead = None if token else self.answer(request)
        if instead is not None:
            return instead
        response = self._inner.handle_request(request)
        if token:
            return response
        self.sent.append((request.method, request.url.path.rpartition("/accounts/")[2].partition("/")[2]))
        if request.method in self.lose:
            response.read()
            raise httpx.ReadTimeout("lost", request=request)
        return response

    @property
    def written(self) -> list[str]:
        """The methods of the requests that change something."""
        return [method for method, _ in self.sent if method != "GET"]

    def close(self) -> None:
        self._inner.close()


class Account:
    """The sandbox's account as the steps see it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wire = Wire()
        sandbox = world.sandbox
        self.client = Client(
            sandbox.account_id,
            auth=OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url),
            api_url=sandbox.api_url,
            voice_url=sandbox.voice_url,
            transport=self.wire,
            sleep=lambda seconds: None,
        )

    def switch(self, name: str, value: str) -> None:
        self.world.sandbox.set_switch(name, value)

    def realm(self, name: str = "acme") -> Realm:
        found = ensure_realm(self.client, name, "a realm").found
        assert found is not None
        self.wire.sent.clear()
        return found

    def application(self, name: str = "PBX") -> Application:
        made = self.client.create_application(wanted_application(name))
        self.wire.sent.clear()
        return made


def wanted_application(name: str = "PBX Interconnect", **more: object) -> Application:
    fields: dict[str, object] = {
        "name": name,
        "call_initiated_url": "https://pbx.example.com/initiate",
        "call_status_url": "https://pbx.example.com/status",
        **more,
    }
    return Application(**fields)  # type: ignore[arg-type]


def unavailable(request: httpx.Request) -> httpx.Response:
    return httpx.Response(503, text="down for a moment")
