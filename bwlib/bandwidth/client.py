"""Bandwidth's HTTP APIs, one method per endpoint and no decisions.

Every method raises what bwlib.errors names: NotAuthenticated, NotEntitled, Refused (status 404 when absent),
Unavailable (no usable answer; `may_have_arrived` says whether to look before sending again).
A 2xx is not yet success: errors inside the body are raised too.

Source: dev.bandwidth.com/docs/account/applications, dev.bandwidth.com/docs/account/sipRegistrar,
dev.bandwidth.com/docs/voice/programmable-voice/inbound-sip-uri, dev.bandwidth.com/apis/voice (read 2026-11-23).
"""

from __future__ import annotations

import logging
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from pydantic import SecretStr

from bwlib.bandwidth import wire, wire_platform
from bwlib.bandwidth.http import Http, Reply, check_url
from bwlib.bandwidth.refusals import refusal
from bwlib.errors import Refused, SettingsError, Unavailable
from bwlib.models import Application, Call, CallRequest, Exchange, InboundSipUri, Realm, SipCredential

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

USER_AGENT = "bw-runbook"
PAGE_SIZE = 500  # Bandwidth's own default for SIP credentials
MAX_PAGES = 200
T = TypeVar("T")


class Client:
    """One account at Bandwidth, or at the sandbox.

    api_url and voice_url end before /accounts ("https://api.bandwidth.com/api/v2",
    "https://voice.bandwidth.com/api/v2"). on_exchange hears every HTTP attempt, the token request included.
    verify: True, or the path of a CA file to trust instead of the usual ones. Close it, or use it with `with`.
    """

    def __init__(
        self,
        account_id: str,
        *,
        auth: httpx.Auth,
        api_url: str,
        voice_url: str,
        on_exchange: Callable[[Exchange], None] | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        verify: Literal[True] | str = True,
    ) -> None:
        self.account_id = account_id
        account = f"/accounts/{_segment('account id', account_id)}"
        self._api = check_url("API URL", api_url) + account
        self._voice = check_url("Voice URL", voice_url) + account
        self._platform = wire_platform.platform_url(check_url("API URL", api_url)) + account
        self._advice_on_401 = str(getattr(auth, "advice_on_401", "Check the credentials."))
        self._http = Http(
            auth,
            user_agent=USER_AGENT,
            on_exchange=on_exchange,
            transport=transport,
            sleep=sleep,
            verify=verify,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client(account_id={self.account_id!r}, api_url={self._api!r})"

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------ applications

    def list_applications(self) -> list[Application]:
        return self._xml("list the applications", "GET", "/applications", wire.read_applications)

    def get_application(self, application_id: str) -> Application:
        path = f"/applications/{_segment('application id', application_id)}"
        return self._xml(f"read application {application_id}", "GET", path, _only(wire.read_applications))

    def create_application(self, application: Application) -> Application:
        """The application as answered, id included. Its callback password never comes back.

        Some answers carry the id in the Location header only; then it is read back by a GET.
        """
        attempted = f"create application {application.name!r}"
        reply, root = self._xml_reply(attempted, "POST", "/applications", wire.application_body(application))
        location = reply.headers.get("location", "")
        if location and (root is None or not wire.holds_application(root)):
            return self.get_application(unquote(urlsplit(location).path.rstrip("/").rpartition("/")[2]))
        return _parsed(attempted, reply, root, _only(wire.read_applications))

    def update_application(self, application: Application) -> Application:
        """Replace the application whose id is `application.id`: what the model leaves out, Bandwidth drops."""
        path = f"/applications/{_segment('application id', application.id)}"
        body = wire.application_body(application)
        return self._xml(f"update application {application.name!r}", "PUT", path, _only(wire.read_applications), body)

    def delete_application(self, application_id: str) -> None:
        path = f"/applications/{_segment('application id', application_id)}"
        self._xml_reply(f"delete application {application_id}", "DELETE", path)

    # ------------------------------------------------------------ realms

    def list_realms(self) -> list[Realm]:
        """All realms. An empty list does not prove that the account may have any (33004 comes on create)."""
        return self._xml("list the realms", "GET", "/realms", wire.read_realms)

    def get_realm(self, realm_id: str) -> Realm:
        """By id or FQDN. A short name may give 404 although the realm exists."""
        path = f"/realms/{_segment('realm id', realm_id)}"
        return self._xml(f"read realm {realm_id}", "GET", path, _only(wire.read_realms))

    def create_realm(self, name: str, description: str, is_default: bool = False) -> Realm:
        """The realm as answered: usually CREATE_PENDING, with the FQDN that Bandwidth chose."""
        body = wire.realm_body(name, description, is_default)
        return self._xml(f"create realm {name!r}", "POST", "/realms", _only(wire.read_realms), body)

    def update_realm(self, realm: Realm, name: str, description: str, is_default: bool) -> Realm:
        """A full replacement; `name` is the short name, which cannot change (33005)."""
        path = f"/realms/{_segment('realm id', realm.id)}"
        body = wire.realm_body(name, description, is_default)
        return self._xml(f"update realm {realm.fqdn}", "PUT", path, _only(wire.read_realms), body)

    def delete_realm(self, realm: Realm) -> None:
        """Ask for the deletion (202); the realm is gone when get_realm raises Refused with status 404."""
        self._xml_reply(f"delete realm {realm.fqdn}", "DELETE", f"/realms/{_segment('realm id', realm.id)}")

    # ------------------------------------------------------------ SIP credentials

    def list_sip_credentials(self, realm: Realm) -> list[SipCredential]:
        """All credentials of the realm, every page. The first answer is a 303 to the first page."""
        attempted = f"list the SIP credentials of realm {realm.fqdn}"
        url: str | None = self._api + self._credentials_path(realm)
        found: dict[str, SipCredential] = {}
        for _ in range(MAX_PAGES):
            if url is None:
                return list(found.values())
            page, url = self._credentials_page(attempted, url, found)
            found.update(page)
        raise Unavailable(attempted, f"More than {MAX_PAGES} pages.", "Look at the realm in the Bandwidth App.")

    def get_sip_credential(self, realm: Realm, credential_id: str) -> SipCredential:
        path = f"{self._credentials_path(realm)}/{_segment('credential id', credential_id)}"
        return self._xml(f"read SIP credential {credential_id}", "GET", path, _only(wire.read_sip_credentials))

    def create_sip_credential(
        self, realm: Realm, username: str, password: SecretStr, application_id: str | None
    ) -> SipCredential:
        """Send the two hashes (never the password) and return the credential as answered.

        Compare its `username` with the one sent: a changed case never authenticates.
        """
        ha1, ha1b = wire.hash1(username, realm.fqdn, password), wire.hash1b(username, realm.fqdn, password)
        body = wire.sip_credential_create_body(username, ha1, ha1b, application_id)
        path = self._credentials_path(realm)
        attempted = f"create SIP credential {username!r} on realm {realm.fqdn}"

        def ours(root: ET.Element) -> SipCredential:
            found = _only(wire.read_sip_credentials)(root)
            if found.username.lower() != username.lower():
                raise wire.UnreadableBody("another credential than the one asked for")
            return found

        return self._xml(attempted, "POST", path, ours, body)

    def update_sip_credential(
        self, realm: Realm, credential: SipCredential, password: SecretStr | None, application_id: str | None
    ) -> SipCredential:
        """Replace the password and the application binding; `password` None keeps the present hashes."""
        ha1, ha1b = credential.ha1, credential.ha1b
        if password is not None:
            ha1 = wire.hash1(credential.username, realm.fqdn, password)
            ha1b = wire.hash1b(credential.username, realm.fqdn, password)
        body = wire.sip_credential_update_body(realm.id, ha1, ha1b, application_id)
        path = f"{self._credentials_path(realm)}/{_segment('credential id', credential.id)}"
        attempted = f"update SIP credential {credential.username!r} on realm {realm.fqdn}"
        return self._xml(attempted, "PUT", path, _only(wire.read_sip_credentials), body)

    def delete_sip_credential(self, realm: Realm, credential_id: str) -> None:
        path = f"{self._credentials_path(realm)}/{_segment('credential id', credential_id)}"
        self._xml_reply(f"delete SIP credential {credential_id} of realm {realm.fqdn}", "DELETE", path)

    # ------------------------------------------------------------ Inbound SIP URI

    def get_voice_application(self, application_id: str) -> InboundSipUri:
        """The application's inbound SIP settings. GET is not documented: Refused (404, 405) where it is not offered."""
        return self._inbound_sip(f"read the SIP URI of application {application_id}", "GET", application_id)

    def update_voice_application(
        self,
        application_id: str,
        *,
        enabled: bool,
        password_auth: bool | None = None,
        allowed_source_ips: Sequence[str] | None = None,
        allowed_regions: Sequence[str] | None = None,
    ) -> InboundSipUri:
        """Enable, change or disable calls to the application's SIP URI; None leaves a setting as it is.

        A `password` in the answer is said this once and never again.
        """
        body = wire_platform.inbound_sip_body(enabled, password_auth, allowed_source_ips, allowed_regions)
        verb = "enable" if enabled else "disable"
        return self._inbound_sip(f"{verb} the SIP URI of application {application_id}", "PATCH", application_id, body)

    # ------------------------------------------------------------ calls

    def create_call(self, call: CallRequest) -> Call:
        """Queue a call. A 201 says queued, not connected: read the call, or wait for its webhooks."""
        return self._json(f"call {call.to}", "POST", "/calls", wire.call_body(call))

    def get_call(self, call_id: str) -> Call:
        """The call's state. 404 for a while right after creation, and seven days later."""
        return self._json(f"read call {call_id}", "GET", f"/calls/{_segment('call id', call_id)}")

    def update_call(
        self, call_id: str, state: Literal["active", "completed"] = "completed", redirect_url: str | None = None
    ) -> None:
        """Hang up ("completed"), or have the call fetch new BXML ("active" with redirect_url)."""
        attempted, path = f"set call {call_id} to {state}", f"/calls/{_segment('call id', call_id)}"
        reply = self._json_reply(attempted, "POST", path, wire.call_update_body(state, redirect_url))
        if reply.body.strip():  # usually empty; what is there and is no JSON came from somebody else
            _readable(attempted, reply, wire.read_json)

    # ------------------------------------------------------------ how

    def _credentials_path(self, realm: Realm) -> str:
        return f"/realms/{_segment('realm id', realm.id)}/sipcredentials"

    def _credentials_page(
        self, attempted: str, url: str, known: Mapping[str, SipCredential]
    ) -> tuple[dict[str, SipCredential], str | None]:
        """One page, and the URL of the next one (None when this was the last)."""
        try:
            reply, root = self._xml_reply(attempted, "GET", url, follow=True)
        except Refused as error:
            if error.code == "23008":  # "no credentials": Bandwidth's other way to say an empty list
                return {}, None
            raise
        page = {found.id: found for found in _parsed(attempted, reply, root, wire.read_sip_credentials)}
        link = wire.next_page(root, reply.url) if root is not None else None
        if link is not None:
            return page, _same_origin(attempted, reply, link)
        if len(page) < PAGE_SIZE:
            return page, None
        if page.keys() <= known.keys():
            log.warning("%s: a full page brought nothing new; the list may not be complete", attempted)
            return page, None
        # `page` is documented as the id of a page's first element, so the last one seen begins the next page
        return page, f"{reply.url.partition('?')[0]}?page={list(page)[-1]}&size={PAGE_SIZE}"

    def _xml(
        self, attempted: str, method: str, path: str, read: Callable[[ET.Element], T], body: bytes | None = None
    ) -> T:
        reply, root = self._xml_reply(attempted, method, path, body)
        return _parsed(attempted, reply, root, read)

    def _xml_reply(
        self, attempted: str, method: str, path: str, body: bytes | None = None, *, follow: bool = False
    ) -> tuple[Reply, ET.Element | None]:
        """The reply and its root element (None for an empty body), errors in it raised. `path` may be a whole URL."""
        url = path if path.startswith("http") else self._api + path
        content_type = "application/xml" if body is not None else None
        reply = self._http.send(
            method, url, attempted=attempted, accept="application/xml", content_type=content_type, body=body
        )
        if follow and reply.status in (301, 302, 303, 307, 308) and reply.headers.get("location"):
            target = _same_origin(attempted, reply, urljoin(reply.url, reply.headers["location"]))
            return self._xml_reply(attempted, "GET", target)
        root = self._root(attempted, reply)
        errors = wire.xml_errors(root, reply.status) if root is not None else []
        if errors or not 200 <= reply.status < 300:
            raise refusal(attempted, reply.status, errors, self._advice_on_401)
        return reply, root

    def _root(self, attempted: str, reply: Reply) -> ET.Element | None:
        if not reply.body.strip():
            return None
        try:
            return wire.read_xml(reply.body)
        except wire.UnreadableBody as error:
            if not 200 <= reply.status < 300:
                return None  # a proxy's HTML error page: the status says enough
            raise _unreadable(attempted, reply, error) from error

    def _inbound_sip(
        self, attempted: str, method: str, application_id: str, body: bytes | None = None
    ) -> InboundSipUri:
        _segment("application id", application_id)
        url = self._platform + wire_platform.voice_application_path(application_id)
        reply = self._json_reply(attempted, method, url, body)
        try:
            document = wire.read_json(reply.body)
            errors = wire_platform.platform_errors(document)
            if errors:
                raise refusal(attempted, reply.status, errors, self._advice_on_401)
            return wire_platform.read_inbound_sip(document)
        except wire.UnreadableBody as error:
            raise _unreadable(attempted, reply, error) from error

    def _json(self, attempted: str, method: str, path: str, body: bytes | None = None) -> Call:
        reply = self._json_reply(attempted, method, path, body)
        return _readable(attempted, reply, lambda text: wire.read_call(wire.read_json(text)))

    def _json_reply(self, attempted: str, method: str, path: str, body: bytes | None = None) -> Reply:
        content_type = "application/json" if body is not None else None
        reply = self._http.send(
            method,
            path if path.startswith("http") else self._voice + path,
            attempted=attempted,
            accept="application/json",
            content_type=content_type,
            body=body,
        )
        if 200 <= reply.status < 300:
            return reply
        try:
            document = wire.read_json(reply.body)
            errors = wire.json_errors(document) or wire_platform.platform_errors(document)
        except wire.UnreadableBody:
            errors = []
        raise refusal(attempted, reply.status, errors, self._advice_on_401)


def _segment(name: str, value: str) -> str:
    """One path segment, quoted. Raises SettingsError for what would change the path."""
    if not value or value in (".", ".."):
        raise SettingsError(f"use the {name} {value!r}", "It is empty or no id. Nothing was sent.", f"Give the {name}.")
    return quote(value, safe="")


def _only(read: Callable[[ET.Element], list[T]]) -> Callable[[ET.Element], T]:
    def read_one(root: ET.Element) -> T:
        found = read(root)
        if len(found) != 1:
            raise wire.UnreadableBody(f"<{root.tag}> with {len(found)} objects where one was asked for")
        return found[0]

    return read_one


def _parsed(attempted: str, reply: Reply, root: ET.Element | None, read: Callable[[ET.Element], T]) -> T:
    if root is None:
        raise _unreadable(attempted, reply, wire.UnreadableBody("an empty body"))
    found = root
    return _readable(attempted, reply, lambda _: read(found))


def _readable(attempted: str, reply: Reply, read: Callable[[bytes], T]) -> T:
    try:
        return read(reply.body)
    except wire.UnreadableBody as error:
        raise _unreadable(attempted, reply, error) from error


def _unreadable(attempted: str, reply: Reply, error: wire.UnreadableBody) -> Unavailable:
    return Unavailable(
        attempted,
        f"HTTP {reply.status} with a body we cannot use: {error}.",
        "Look whether it was carried out; check the API URL (a proxy or a login page may have answered).",
        status=reply.status,
        may_have_arrived=True,
    )


def _same_origin(attempted: str, reply: Reply, target: str) -> str:
    here, there = urlsplit(reply.url), urlsplit(target)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        raise Unavailable(
            attempted,
            f"HTTP {reply.status} sends us to another host ({there.netloc}).",
            "We do not follow, because the token would go there: check the API URL.",
            status=reply.status,
        )
    return target
