"""FreePBX by its own pages: sign in, read a form, send it back changed, apply, sign out. No browser, no token.

No status code is believed: a failed sign-in is 200, a refused Referer is 200, a trunk is saved with 302 and a route
with 200. A form is fetched before it is sent, and sent whole, as a browser would: so a field that this program does
not know keeps its value, on FreePBX 16 as on 17. Secrets travel in request bodies only.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import SecretStr

from bwlib.errors import PbxRefused, PbxUnreachable, SettingsError
from bwlib.models import Registration
from bwlib.pbx.freepbx_driver import Gui, NoAnswer, Thing
from bwlib.pbx.freepbx_fields import Fields
from bwlib.pbx.freepbx_forms import Form, PageFacts, facts_of, form_with, is_sign_in
from bwlib.pbx.freepbx_pages import PAGES, fields_of, filled_in, on_page, row_of

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
RELOAD_TIMEOUT_S = 180.0  # a large FreePBX takes its time over Apply Config
MAX_PAGE_BYTES = 20 * 1024 * 1024


class HttpDriver:
    """A `bwlib.pbx.freepbx_driver.Driver`. url: the GUI's, https (http on this machine only), without /admin.

    ca_file: the authority to trust instead of the usual ones, for a certificate of the PBX's own. transport: tests.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: SecretStr,
        *,
        ca_file: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = checked_url(url)
        self._login = (user, password)
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._transport = transport
        self._client: httpx.Client | None = None
        self._depth = 0
        self._signed_in = False

    def __enter__(self) -> HttpDriver:
        if self._depth == 0:
            self._client = httpx.Client(
                timeout=TIMEOUT,
                verify=self._trusted(),
                transport=self._transport,
                follow_redirects=False,  # what is wanted is read back anyway, and the session stays on this host
                trust_env=False,
                headers={"Referer": f"{self._url}/admin/config.php", "User-Agent": "bw-runbook"},
            )
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._client is not None:
            client, signed_in = self._client, self._signed_in
            self._client, self._signed_in = None, False
            with contextlib.closing(client), contextlib.suppress(httpx.HTTPError):  # the session ends by itself then
                if signed_in:
                    client.get(f"{self._url}/admin/config.php", params={"logout": "true"})

    def _trusted(self) -> ssl.SSLContext | bool:
        """Whose certificates are trusted; made once, because it takes a while."""
        if self._url.startswith("http://"):
            return False  # on this machine: there is none to check
        try:
            self._context = self._context or ssl.create_default_context(cafile=self._ca_file or None)
        except OSError as error:
            raise SettingsError(
                f"trust the certificate authority {self._ca_file}", str(error), "correct pbx.ca_file"
            ) from None
        return self._context

    def __repr__(self) -> str:
        return f"HttpDriver({self._url!r}, {self._login[0]!r})"

    def place(self) -> Mapping[str, str]:
        """The GUI's URL."""
        return {"freepbx": self._url}

    def gui(self) -> Gui:
        """With the user and password that this driver signs in with."""
        return Gui(self._url, *self._login, self._ca_file)

    # ---------------------------------------------------------------- the driver

    def rows(self, thing: Thing) -> list[Fields]:
        """FreePBX's own list, as JSON."""
        page = PAGES[thing]
        told = self._json(f"list the {page.display}", {"module": "core", **dict(page.rows)})
        if not isinstance(told, list):
            raise _not_understood(f"list the {page.display}", "its list is no list")
        return [row_of(thing, row) for row in told if isinstance(row, dict)]

    def fields(self, thing: Thing, key: str | None) -> Fields:
        """The edit page's form, or the empty page's."""
        return fields_of(thing, self._form(thing, key))

    def save(self, thing: Thing, key: str | None, changes: Mapping[str, str]) -> None:
        """Send the page's form with the changes in it."""
        form = self._form(thing, key)
        pairs = filled_in(thing, form, changes, is_new=key is None)
        display = PAGES[thing].display
        attempted = f"save the {thing} on FreePBX's page {display}"
        if self._is_out(self._send("POST", attempted, {"display": display}, pairs)):
            # It was not carried out: a page that asks for the password has done nothing else.
            self._sign_in()
            if self._is_out(self._send("POST", attempted, {"display": display}, pairs)):
                raise _signed_out(attempted)

    def delete(self, thing: Thing, key: str) -> None:
        """What the page's Delete button does."""
        page = PAGES[thing]
        self._page(
            f"delete a {thing} on FreePBX's page {page.display}",
            {"display": page.display},
            [(page.key_name, on_page(thing, key)), ("action", page.delete)],
        )

    def reload(self) -> None:
        """Apply Config, as its button does. Raises PbxRefused unless FreePBX says that it is done."""
        attempted = "apply FreePBX's configuration (Apply Config)"
        told = self._json(attempted, {"command": "reload"}, method="POST", timeout_s=RELOAD_TIMEOUT_S)
        if not isinstance(told, dict) or told.get("status") is not True:
            said = str(told.get("message") or told.get("error") or "no reason")[:300] if isinstance(told, dict) else ""
            raise PbxRefused(attempted, said or "no answer that says so", "press Apply Config in the GUI and read why")

    def facts(self) -> PageFacts:
        """From the trunks page: every page says it."""
        return facts_of(self._page("read FreePBX's state", {"display": "trunks"}))

    def sip_settings(self) -> Fields:
        """From the SIP settings page, which a limited administrator may not see."""
        form = form_with(self._page("read the SIP settings", {"display": "sipsettings"}), ("externip",))
        return {name: form.value(name) for name in ("externip", "allowanon")} if form else {}

    def registrations(self) -> list[Registration] | None:
        """The pages do not show the running Asterisk."""
        return None

    def shell(self, attempted: str, script: str) -> None:
        """The pages have none."""
        return

    # ---------------------------------------------------------------- pages

    def _form(self, thing: Thing, key: str | None) -> Form:
        page = PAGES[thing]
        which = page.new if key is None else (*page.edit, (page.key_name, on_page(thing, key)))
        attempted = f"read FreePBX's page {page.display}"
        form = form_with(self._page(attempted, {"display": page.display, **dict(which)}), page.tells)
        if form is None:
            raise PbxRefused(
                attempted,
                f"it has no form for a {thing}: the user {self._login[0]} may not see it, or the page is not FreePBX's",
                "give pbx.user an administrator with all sections, and pbx.url the address of the GUI (16 or 17)",
            )
        return form

    def _page(self, attempted: str, query: Mapping[str, str], data: list[tuple[str, str]] | None = None) -> str:
        """One page, signed in first; once more when the session was lost. Raises PbxRefused when that does not help."""
        if not self._signed_in:
            self._sign_in()
        for _ in range(2):
            response = self._send("GET" if data is None else "POST", attempted, query, data)
            if not self._is_out(response):
                return response.text
            self._sign_in()
        raise _signed_out(attempted)

    def _json(
        self, attempted: str, query: Mapping[str, str], method: str = "GET", timeout_s: float | None = None
    ) -> Any:
        if not self._signed_in:
            self._sign_in()
        for _ in range(2):
            response = self._send(method, attempted, query, None, file="ajax.php", timeout_s=timeout_s)
            if response.status_code == 401 or is_sign_in(response.text):
                self._sign_in()
                continue
            try:
                return response.json()
            except ValueError:
                raise _not_understood(attempted, f"HTTP {response.status_code}, and no JSON") from None
        raise _signed_out(attempted)

    def _sign_in(self) -> None:
        user, password = self._login
        attempted = f"sign in to FreePBX at {self._url} as {user}"
        data = [("username", user), ("password", password.get_secret_value())]
        for _ in range(2):
            if self._is_out(self._send("POST", attempted, {}, data)):
                break  # a password that was refused is not tried again: the PBX may lock its user out
            # From this machine some answers come without a session: only a page that asks for no password proves one.
            if not self._is_out(self._send("GET", attempted, {"display": "trunks"}, None)):
                self._signed_in = True
                return
        raise PbxRefused(
            attempted, "it asks for user and password again", "correct pbx.user and pbx.password in the site file"
        )

    def _is_out(self, response: httpx.Response) -> bool:
        return response.status_code == 401 or is_sign_in(response.text)

    def _send(
        self,
        method: str,
        attempted: str,
        query: Mapping[str, str],
        data: list[tuple[str, str]] | None,
        *,
        file: str = "config.php",
        timeout_s: float | None = None,
    ) -> httpx.Response:
        if self._client is None:
            raise RuntimeError("use the driver in a with statement")
        headers = {"X-Requested-With": "XMLHttpRequest", "Accept": "application/json"} if file == "ajax.php" else {}
        content = None
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            content = urlencode(data).encode()
        try:
            response = self._client.request(
                method,
                f"{self._url}/admin/{file}",
                params=dict(query),
                content=content,
                headers=headers,
                timeout=TIMEOUT if timeout_s is None else httpx.Timeout(timeout_s, connect=10.0),
            )
        except httpx.HTTPError as error:
            raise _no_answer(attempted, self._url, data is not None and bool(query), error) from None
        _refuse_errors(attempted, response)
        return response


def checked_url(url: str) -> str:
    """The GUI's URL without /admin and slashes at its end.

    Raises: SettingsError unless it is https, or http on this machine: an administrator's password goes there.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    on_this_machine = host == "localhost" or host.startswith("127.") or host == "::1"
    fits = parts.scheme == "https" or (parts.scheme == "http" and on_this_machine)
    if not host or not fits or "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError(
            f"use pbx.url {url.rpartition('@')[2]!r}",
            "an administrator's password goes there: it must be https:// (http:// only on this machine)",
            "give https://<the PBX>, with pbx.ca_file for a certificate of its own, or an ssh tunnel to this machine",
        )
    path = parts.path.rstrip("/").removesuffix("/admin/config.php").removesuffix("/admin").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _refuse_errors(attempted: str, response: httpx.Response) -> None:
    """What FreePBX says of a Referer it does not take (200 or 403), and a server that is broken."""
    if "REFERER does not match" in response.text[:20000] or (
        response.status_code == 403 and "Referrer" in response.text[:2000]
    ):
        raise PbxRefused(
            attempted,
            "FreePBX did not take the request's Referer: it knows itself by another name than pbx.url's",
            "give pbx.url the name that the GUI has in a browser; look whether a proxy changes the Referer",
        )
    if response.status_code >= 500 or response.status_code in (403, 404):
        raise PbxRefused(
            attempted,
            f"HTTP {response.status_code}",
            "look at the GUI in a browser: pbx.url must lead to FreePBX, and its web server's log says the rest",
        )
    if response.is_redirect and response.request.method == "GET":
        raise PbxRefused(
            attempted,
            f"HTTP {response.status_code}: it sends us on to {response.headers.get('location', 'nowhere')[:100]}",
            "give pbx.url the address that the GUI ends up at in a browser",
        )
    if len(response.content) > MAX_PAGE_BYTES:
        raise _not_understood(attempted, "a page of more than 20 MB")


def _no_answer(attempted: str, url: str, writes: bool, error: httpx.HTTPError) -> PbxUnreachable:
    """Only the error's class and what it says of the connection: a request's body holds secrets and is not in it."""
    came_back = f"no answer from {url}: {type(error).__name__} ({str(error)[:200]})"
    if "CERTIFICATE_VERIFY_FAILED" in str(error) or "certificate" in str(error).lower():
        return PbxUnreachable(
            attempted, came_back, "give pbx.ca_file the authority that signed the PBX's certificate, or a certificate "
            "of a known one to the PBX",
        )  # fmt: skip
    never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    if never_sent or not writes:
        return PbxUnreachable(attempted, came_back, "check pbx.url, the network and the PBX's web server; run again")
    return NoAnswer(attempted, came_back, "it may have been carried out: look at the page in the GUI, then run again")


def _signed_out(attempted: str) -> PbxRefused:
    return PbxRefused(
        attempted,
        "FreePBX asked for the password again, twice: the session does not last",
        "sign in with a browser and look; check the PBX's clock and whether somebody ends this user's sessions",
    )


def _not_understood(attempted: str, came_back: str) -> PbxRefused:
    return PbxRefused(attempted, came_back, "give pbx.url the address of FreePBX's GUI (16 or 17)")
