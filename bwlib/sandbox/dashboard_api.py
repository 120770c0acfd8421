"""The account API as the dashboard uses it: the same routes, rules and error codes as from outside, in this process.

Each press of a button that changes something is one request in Bandwidth's XML. It appears among the sandbox's
exchanges, so a trainee sees which call stands behind which button.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, tostring

from defusedxml.ElementTree import fromstring
from starlette.types import ASGIApp, Message

from bwlib.sandbox.account_xml import build
from bwlib.sandbox.oauth import mint
from bwlib.sandbox.state import State

_TOKEN_LIFETIME_S = 60
_HASH = re.compile(r"\b[0-9a-fA-F]{32}\b")  # error texts of this API may repeat what was sent
# Errors whose text does not name the element that is wrong.
_ELEMENT_OF = {
    **dict.fromkeys(("12806", "1015"), "AppName"),
    **dict.fromkeys(("23026", "23009"), "UserName"),
    **dict.fromkeys(("23018", "23022"), "RealmId"),
    **dict.fromkeys(("23019", "23020"), "HttpVoiceV2AppId"),
}
_NEXT_PAGE = re.compile(r'[?&]page=(\d+)[^>]*>;rel="next"')


class ApiRefused(Exception):
    """What the account API said no with. code "": an answer without ErrorCode, such as 404 for an unknown realm."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.description = _HASH.sub("********", description)

    def is_about(self, element: str) -> bool:
        """Whether this element of the request is what is wrong."""
        return element in self.description or _ELEMENT_OF.get(self.code) == element

    @property
    def page_status(self) -> int:
        """For the page that shows it: a 201 that carried errors is no success either."""
        return self.status if self.status >= 400 else 400

    @property
    def sentence(self) -> str:
        code = f"error {self.code}, " if self.code else ""
        return f"{self.description} ({code}HTTP {self.status})"


@dataclass(frozen=True)
class AccountApi:
    """`app` serves the account API's routes; requests carry a token of this account."""

    app: ASGIApp
    state: State
    account_id: str

    async def get(self, path: str, query: str = "") -> Element:
        return await self._send("GET", path, None, query)

    async def write(self, method: str, path: str, tag: str = "", content: Any = None) -> Element:
        """POST, PUT or DELETE. Raises ApiRefused, also for a 201 that carries errors."""
        root = await self._send(method, path, build(tag, content) if tag else None)
        if root.find("Errors/Error") is not None:
            raise _refused(201, root)
        return root

    async def applications(self) -> list[Element]:
        return (await self.get("/applications")).findall("ApplicationList/Application")

    async def realms(self) -> list[Element]:
        return (await self.get("/realms")).findall("Realms/Realm")

    async def sip_credentials(self, realm_id: str) -> list[Element]:
        """Of one realm, all pages."""
        listed: list[Element] = []
        page = "1"
        while page:
            try:
                root = await self.get(f"/realms/{segment(realm_id)}/sipcredentials", f"page={page}&size=500")
            except ApiRefused as error:
                if error.code == "23008":  # the switch empty_credential_list
                    return listed
                raise
            listed += root.findall("SipCredentials/SipCredential")
            following = _NEXT_PAGE.search(root.findtext("Links/next") or "")
            page = following[1] if following else ""
        return listed

    async def _send(self, method: str, path: str, body: Element | None, query: str = "") -> Element:
        token = mint(self.state, time.time() + _TOKEN_LIFETIME_S)
        status, answer = await _ask(
            self.app,
            method,
            f"/api/v2/accounts/{self.account_id}{path}",
            query,
            [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode()), (b"content-type", b"text/xml")],
            tostring(body, encoding="utf-8") if body is not None else b"",
        )
        root: Element = fromstring(answer) if answer else Element("Empty")
        if status >= 300:
            raise _refused(status, root)
        return root


def segment(text: str) -> str:
    """One segment of a path, whatever is in the text."""
    return quote(text, safe="")


def _refused(status: int, root: Element) -> ApiRefused:
    for where in ("Errors/Error", "ResponseStatus"):
        found = root.find(where)
        if found is not None:
            return ApiRefused(status, found.findtext("ErrorCode") or "", found.findtext("Description") or "")
    return ApiRefused(status, "", "The account API refused this without saying why")


async def _ask(
    app: ASGIApp, method: str, path: str, query: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes]:
    """One HTTP request to an ASGI application, without a network between."""
    fixed = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": ""}
    asked = {"method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    length = (b"content-length", str(len(body)).encode())
    ends = {"server": ("127.0.0.1", 80), "client": ("127.0.0.1", 0), "headers": [*headers, length]}
    status, answer = 500, bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        answer.extend(message.get("body", b""))

    await app({**fixed, **asked, **ends}, receive, send)
    return status, bytes(answer)
