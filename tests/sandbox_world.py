"""A started sandbox, seen from outside, for the tests of bwlib.sandbox: HTTP by httpx, SIP by an agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree.ElementTree import Element, fromstring

import httpx
from pydantic import SecretStr

from bwlib.sandbox import control
from bwlib.sip.agent import Agent, Credentials, IncomingCall, OutboundCall
from bwlib.sip.media import Media

PASSWORD = "a-password-that-Bandwidth-never-learns"
ASIDE_S = 60.0  # how long anything may take; never asserted


class World:
    """One sandbox and what a user of its account would do with it."""

    def __init__(self, home: Path, account: str = "") -> None:
        self.home = home
        self.sandbox = control.start(home)
        if account:
            self.sandbox = self.sandbox.account(account)
        self._token = ""
        self.http = httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)

    def close(self) -> None:
        self.http.close()
        self.sandbox.down()

    def bearer(self) -> dict[str, str]:
        if not self._token:
            secret = self.sandbox.client_secret.get_secret_value()
            form = {"grant_type": "client_credentials"}
            answer = self.http.post(self.sandbox.token_url, auth=(self.sandbox.client_id, secret), data=form)
            self._token = answer.json()["access_token"]
        return {"Authorization": f"Bearer {self._token}"}

    def account(self, method: str, path: str, xml: str | None = None) -> httpx.Response:
        url = f"{self.sandbox.api_url}/accounts/{self.sandbox.account_id}{path}"
        headers = {**self.bearer(), "Content-Type": "application/xml"}
        return self.http.request(method, url, content=xml, headers=headers, follow_redirects=True)

    def voice(self, method: str, path: str, body: Any = None) -> httpx.Response:
        url = f"{self.sandbox.voice_url}/accounts/{self.sandbox.account_id}{path}"
        return self.http.request(method, url, json=body, headers=self.bearer())

    def other_account(self, name: str) -> World:
        """The same sandbox, as a user of another of its accounts sees it."""
        return World(self.home, name)

    # ---------------------------------------------------------------- objects

    def realm(self, name: str, default: bool = False) -> tuple[str, str]:
        """(id, FQDN) of a new realm, once it is ACTIVE."""
        made = self.account("POST", "/realms", realm_xml(name, default))
        assert made.status_code == 201, made.text
        realm_id = found(made, "Realm/Id")
        eventually(lambda: found(self.account("GET", f"/realms/{realm_id}"), "Realm/Status") == "ACTIVE")
        return realm_id, found(made, "Realm/Realm")

    def application(self, url: str, **fields: str) -> str:
        made = self.account("POST", "/applications", application_xml(url, **fields))
        assert made.status_code == 201, made.text
        return found(made, "Application/ApplicationId")

    def credential(self, realm: tuple[str, str], username: str, application_id: str | None = None) -> str:
        xml = f"<SipCredentials>{credential_xml(realm[1], username, application_id)}</SipCredentials>"
        made = self.account("POST", f"/realms/{realm[0]}/sipcredentials", xml)
        assert made.status_code == 201, made.text
        return found(made, "ValidSipCredentials/SipCredential/Id")


def realm_xml(name: str, default: bool = False, description: str = "") -> str:
    flag = str(default).lower()
    return f"<Realm><Realm>{name}</Realm><Description>{description}</Description><Default>{flag}</Default></Realm>"


def application_xml(url: str, **fields: str) -> str:
    values = {"ServiceType": "Voice-V2", "AppName": "test", "CallInitiatedCallbackUrl": url, **fields}
    return "<Application>" + "".join(f"<{k}>{v}</{k}>" for k, v in values.items()) + "</Application>"


def hashes(fqdn: str, username: str, password: str = PASSWORD) -> tuple[str, str]:
    """Hash1 and Hash1b."""
    texts = (f"{username}:{fqdn}:{password}", f"{username}@{fqdn}:{fqdn}:{password}")
    hash1, hash1b = (md5(text.encode()).hexdigest() for text in texts)
    return hash1, hash1b


def credential_xml(fqdn: str, username: str, application_id: str | None = None) -> str:
    hash1, hash1b = hashes(fqdn, username)
    bound = f"<HttpVoiceV2AppId>{application_id}</HttpVoiceV2AppId>" if application_id else ""
    fields = f"<UserName>{username}</UserName><Hash1>{hash1}</Hash1><Hash1b>{hash1b}</Hash1b>{bound}"
    return f"<SipCredential>{fields}</SipCredential>"


def root(answer: httpx.Response) -> Element:
    return fromstring(answer.content)


def found(answer: httpx.Response, path: str) -> str:
    text = root(answer).findtext(path)
    assert text is not None, f"no {path} in {answer.text}"
    return text


def error_code(answer: httpx.Response) -> str | None:
    code = root(answer).findtext("ResponseStatus/ErrorCode")
    return code if code is not None else root(answer).findtext("Errors/Error/ErrorCode")


def eventually(condition: Callable[[], Any]) -> Any:
    """The first true value of `condition()`; fails when there is none for a long time."""
    deadline = time.monotonic() + ASIDE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it never became true")


# -------------------------------------------------------------------- a callback server


class Callbacks:
    """A voice application: answers each path from a script and keeps what came in.

    answers[path] is BXML, or a function of (event, headers) that gives (status, headers, body).
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.seen: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, event: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        with self._changed:
            self.seen.append((path, event, headers))
            self._changed.notify_all()
        answer = self.answers.get(path, "<Response/>")
        if callable(answer):
            status, more, body = answer(event, headers)
            return status, more, body if isinstance(body, bytes) else body.encode()
        return 200, {"Content-Type": "application/xml"}, answer.encode()

    def wait_for(self, event_type: str) -> dict[str, Any]:
        """The first event of this type; fails when none comes."""

        def first() -> dict[str, Any] | None:
            return next((event for _, event, _ in self.seen if event.get("eventType") == event_type), None)

        with self._changed:
            assert self._changed.wait_for(lambda: first() is not None, ASIDE_S), f"no {event_type} in {self.seen}"
        event = first()
        assert event is not None
        return event

    def types(self) -> list[str]:
        return [event.get("eventType", "") for _, event, _ in self.seen]


def _handler(callbacks: Callbacks) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._answer(json.loads(body))

        def do_GET(self) -> None:
            self._answer(dict(parse_qsl(urlsplit(self.path).query)))

        def _answer(self, event: dict[str, Any]) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, body = callbacks.take(urlsplit(self.path).path, event, headers)
            if status == 0:  # the script hangs up without a word
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextlib.contextmanager
def callbacks() -> Iterator[Callbacks]:
    server = Callbacks()
    try:
        yield server
    finally:
        server.close()


# -------------------------------------------------------------------- a PBX made of one agent


class Pbx:
    """Calls the edge as a PBX would, and takes its calls. Inside asyncio.run() only."""

    def __init__(self, world: World, fqdn: str = "") -> None:
        self.world = world
        self.fqdn = fqdn
        self.taken: asyncio.Queue[IncomingCall] = asyncio.Queue()
        self.agent = Agent(on_invite=self.taken.put)

    async def __aenter__(self) -> Pbx:
        await self.agent.start()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.agent.stop()

    def invite(
        self,
        dialled: str = "+15005550006",
        *,
        user: str = "pbx",
        password: str = PASSWORD,
        from_user: str | None = None,
        sdp: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> OutboundCall:
        """An INVITE to `sip:<dialled>@<realm>`, sent to the edge; without `sdp` with an offer nobody listens to."""
        number = self.world.sandbox.number if from_user is None else from_user
        return self.agent.invite(
            f"sip:{dialled}@{self.fqdn}",
            from_uri=f"sip:{number}@{self.fqdn}",
            sdp=_SDP if sdp is None else sdp,
            credentials=Credentials(user, SecretStr(password)),
            headers=headers,
            send_to=self.world.sandbox.edge,
        )

    async def refused(self, **options: Any) -> int | None:
        """The status of an INVITE that is not answered."""
        call = self.invite(**options)
        await asyncio.wait_for(call.ended.wait(), ASIDE_S)
        return call.status

    async def talk(self, **options: Any) -> tuple[OutboundCall, Media]:
        """An answered call with audio."""
        media = Media()
        call = self.invite(sdp=media.offer(), **options)
        await asyncio.wait_for(call.answered.wait(), ASIDE_S)
        media.accept(call.remote_sdp)
        await media.open()
        return call, media


_SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 9 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
)
