"""Bandwidth's wire names, and the only place that spells them: XML of the account API, JSON of the Voice API.

Pure: text in, models out, and back. Element order is kept in one table (REQUEST_ELEMENTS).

Source: dev.bandwidth.com/docs/account/applications, dev.bandwidth.com/docs/account/sipRegistrar,
dev.bandwidth.com/apis/voice (read 2026-11-23).
"""

from __future__ import annotations

import hashlib
import json
import re
import xml.etree.ElementTree as ET  # only to build; everything read goes through defusedxml
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urljoin

import defusedxml.ElementTree
from pydantic import SecretStr

from bwlib.errors import SettingsError
from bwlib.models import Application, Call, CallRequest, Realm, SipCredential

# The order in which Bandwidth's samples show the elements; some bodies are order sensitive.
REQUEST_ELEMENTS: Mapping[str, tuple[str, ...]] = {
    "Application": (
        "ServiceType",
        "AppName",
        "CallInitiatedCallbackUrl",
        "CallInitiatedMethod",
        "CallStatusCallbackUrl",
        "CallStatusMethod",
        "CallbackTimeout",
        "CallbackCreds",
    ),
    "CallbackCreds": ("UserId", "Password"),
    "Realm": ("Realm", "Description", "Default"),
    "SipCredentials": ("SipCredential",),
    "SipCredential": ("RealmId", "UserName", "Hash1", "Hash1b", "HttpVoiceV2AppId"),
}

# Element and member names whose values are secrets wherever they appear.
SECRET_NAMES = (
    *("Hash1", "Hash1b", "Password", "password", "fallbackPassword", "sipAuthPassword"),
    *("access_token", "client_secret"),
)

# What XML 1.0 cannot carry at all, not even escaped (section 2.2, production Char).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# To the end tag, or to the end of a truncated body; CDATA may hold a "<".
_SECRET_ELEMENT = re.compile(rf"(<((?:\w+:)?(?:{'|'.join(SECRET_NAMES)}))(?:\s[^>]*)?>).*?(?=</\2\s*>|\Z)", re.DOTALL)
_SECRET_MEMBER = re.compile(rf'("({"|".join(SECRET_NAMES)})"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,}}\]]+)')
_HA1_SHAPED = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])")


class UnreadableBody(ValueError):
    """The body is not the XML or JSON that it should be. The text says why and holds no part of the body."""


class ApiError(NamedTuple):
    """One error as Bandwidth words it. `code` is None when the body gave none (realm 404, 503)."""

    code: str | None
    text: str


# ---------------------------------------------------------------- digests


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def hash1(username: str, realm_fqdn: str, password: SecretStr) -> SecretStr:
    """HA1 of RFC 2617 over the realm's *full* name: MD5(user:fqdn:password). A secret."""
    return SecretStr(_md5(f"{username}:{realm_fqdn}:{password.get_secret_value()}"))


def hash1b(username: str, realm_fqdn: str, password: SecretStr) -> SecretStr:
    """The HA1 of devices that send user@fqdn as user name: MD5(user@fqdn:fqdn:password). A secret."""
    return SecretStr(_md5(f"{username}@{realm_fqdn}:{realm_fqdn}:{password.get_secret_value()}"))


def mask_secrets(text: str) -> str:
    """The text with passwords, tokens and hashes masked, also when an error text echoes a bare hash."""
    text = _SECRET_ELEMENT.sub(r"\1«redacted»", text)
    text = _SECRET_MEMBER.sub(r'\1"«redacted»"', text)
    return _HA1_SHAPED.sub("«redacted»", text)


# ---------------------------------------------------------------- XML out


def _element(tag: str, values: Mapping[str, str | ET.Element | None]) -> ET.Element:
    order = REQUEST_ELEMENTS[tag]
    unknown = set(values) - set(order)
    if unknown:
        raise KeyError(f"{tag} has no {sorted(unknown)}")
    element = ET.Element(tag)
    for name in order:
        value = values.get(name)
        if isinstance(value, ET.Element):
            element.append(value)
        elif value is not None:
            ET.SubElement(element, name).text = _xml_text(name, value)
    return element


def _xml_text(name: str, value: str) -> str:
    if _NOT_XML.search(value):
        raise SettingsError(
            f"send {name} to Bandwidth",
            "It holds a control character, which XML cannot carry. Nothing was sent.",
            f"Type {name} again without the invisible character.",
        )
    return value


def _document(element: ET.Element) -> bytes:
    body: bytes = ET.tostring(element, encoding="utf-8", xml_declaration=True)
    return body


def application_body(application: Application) -> bytes:
    """`<Application>` for POST and (full) PUT. The callback password is only there when the model holds one."""
    creds: ET.Element | None = None
    if application.callback_user is not None:
        password = application.callback_password
        creds = _element(
            "CallbackCreds",
            {"UserId": application.callback_user, "Password": password.get_secret_value() if password else None},
        )
    timeout_s = application.callback_timeout_s
    status_url = application.call_status_url
    return _document(
        _element(
            "Application",
            {
                "ServiceType": application.service_type,
                "AppName": application.name,
                "CallInitiatedCallbackUrl": application.call_initiated_url,
                "CallInitiatedMethod": application.call_initiated_method,
                "CallStatusCallbackUrl": status_url,
                # a method without its URL is refused (12963)
                "CallStatusMethod": application.call_status_method if status_url else None,
                "CallbackTimeout": None if timeout_s is None else str(timeout_s),
                "CallbackCreds": creds,
            },
        )
    )


def realm_body(name: str, description: str, is_default: bool) -> bytes:
    """`<Realm>` for POST and (full) PUT. `name` is the short name; `Default` must be there (else 1003)."""
    return _document(
        _element("Realm", {"Realm": name, "Description": description, "Default": "true" if is_default else "false"})
    )


def sip_credential_create_body(username: str, ha1: SecretStr, ha1b: SecretStr, application_id: str | None) -> bytes:
    """`<SipCredentials>` with one entry, for POST. Only hashes: a password never goes to Bandwidth."""
    entry = {
        "UserName": username,
        "Hash1": ha1.get_secret_value(),
        "Hash1b": ha1b.get_secret_value(),
        "HttpVoiceV2AppId": application_id,
    }
    return _document(_element("SipCredentials", {"SipCredential": _element("SipCredential", entry)}))


def sip_credential_update_body(realm_id: str, ha1: SecretStr, ha1b: SecretStr, application_id: str | None) -> bytes:
    """`<SipCredential>` for PUT: RealmId must be in the body (23031) and UserName must not (23030)."""
    entry = {
        "RealmId": realm_id,
        "Hash1": ha1.get_secret_value(),
        "Hash1b": ha1b.get_secret_value(),
        "HttpVoiceV2AppId": application_id,
    }
    return _document(_element("SipCredential", entry))


# ---------------------------------------------------------------- XML in


def read_xml(body: bytes) -> ET.Element:
    """The root element, namespaces removed. Raises UnreadableBody for anything but plain XML (no DTD, no entities)."""
    try:
        root: ET.Element = defusedxml.ElementTree.fromstring(body, forbid_dtd=True)
    except (ET.ParseError, ValueError, LookupError) as error:
        # the parser's words name a line and column, never content
        raise UnreadableBody(f"not readable as XML ({type(error).__name__})") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _text(element: ET.Element, name: str) -> str | None:
    found = element.find(name)
    if found is None or found.text is None:
        return None
    return found.text.strip()


def _required(element: ET.Element, name: str) -> str:
    value = _text(element, name)
    if not value:
        raise UnreadableBody(f"<{element.tag}> without <{name}>")
    return value


def xml_errors(root: ET.Element, status: int) -> list[ApiError]:
    """Every error in the body, those with a code first. A text without one counts only when the status is an error."""
    errors: list[ApiError] = []
    for element in root.iter():
        code, text = _text(element, "ErrorCode") or _text(element, "Code"), _text(element, "Description")
        if code or (element.tag == "Error" and text):
            errors.append(ApiError(code or None, mask_secrets(text or "(no text)")))
        elif status >= 400 and element.tag == "ResponseStatus" and text:
            errors.append(ApiError(None, mask_secrets(text)))
    # "Please check your input parameters" may stand before the error that says which
    return sorted(errors, key=lambda error: error.code is None)


class _Shape(NamedTuple):
    """Where answers hold their objects: in the root, or below one of `lists`. The first root is a list's own."""

    tag: str
    roots: tuple[str, ...]
    lists: tuple[str, ...]


_APPLICATIONS = _Shape("Application", ("ApplicationProvisioningResponse",), ("ApplicationList",))
_REALMS = _Shape("Realm", ("RealmsResponse", "RealmResponse"), ("Realms",))
_SIP_CREDENTIALS = _Shape(
    "SipCredential", ("SipCredentialsResponse", "SipCredentialResponse"), ("SipCredentials", "ValidSipCredentials")
)


def _objects(root: ET.Element, shape: _Shape) -> list[ET.Element]:
    """The objects in an answer. Echoes inside <Errors> are not objects.

    Raises UnreadableBody for what is no such answer: a login page must never be taken for an empty list.
    """
    if root.tag not in shape.roots:
        raise UnreadableBody(f"another root element than <{'> or <'.join(shape.roots)}>")
    lists = [child for child in root if child.tag in shape.lists]
    found = [element for holder in (root, *lists) for element in holder.findall(shape.tag)]
    bare = root.tag == shape.roots[0] and all(child.tag == "Links" for child in root)
    empty = bare or any(len(holder) == 0 for holder in lists)
    if not found and not empty:
        raise UnreadableBody(f"<{root.tag}> without <{shape.tag}> and without an empty <{shape.lists[0]}>")
    return found


def read_applications(root: ET.Element) -> list[Application]:
    """The applications in the body. Raises UnreadableBody when it is no such answer, or one has no id or no name."""
    return [_application(element) for element in _objects(root, _APPLICATIONS)]


def holds_application(root: ET.Element) -> bool:
    """Whether there is an <Application> in the body: some answers to POST have the id in the Location header only."""
    return root.find("Application") is not None


def _application(element: ET.Element) -> Application:
    timeout_s = _text(element, "CallbackTimeout") or ""
    user = element.find("CallbackCreds/UserId")
    return Application(
        name=_required(element, "AppName"),
        call_initiated_url=_text(element, "CallInitiatedCallbackUrl") or "",
        call_initiated_method=_text(element, "CallInitiatedMethod") or "POST",
        call_status_url=_text(element, "CallStatusCallbackUrl") or None,
        call_status_method=_text(element, "CallStatusMethod") or "POST",
        callback_user=(user.text or None) if user is not None else None,
        callback_timeout_s=int(timeout_s) if timeout_s.isascii() and timeout_s.isdigit() else None,
        service_type=_text(element, "ServiceType") or "",
        id=_required(element, "ApplicationId"),
    )


def read_realms(root: ET.Element) -> list[Realm]:
    """The realms in the body. The element <Realm> inside a realm is its FQDN (short name on the way out).

    Raises UnreadableBody when it is no such answer, or a realm has no id or no FQDN.
    """
    return [_realm(element) for element in _objects(root, _REALMS)]


def _realm(element: ET.Element) -> Realm:
    count = _text(element, "SipCredentialCount") or "0"
    return Realm(
        id=_required(element, "Id"),
        fqdn=_required(element, "Realm"),
        description=_text(element, "Description") or "",
        is_default=(_text(element, "Default") or "").lower() == "true",
        status=_text(element, "Status") or "",
        credential_count=int(count) if count.isascii() and count.isdigit() else 0,
    )


def read_sip_credentials(root: ET.Element) -> list[SipCredential]:
    """The credentials in the body; refused ones (under <Errors>) are not among them.

    Raises UnreadableBody when it is no such answer, or a credential has no id or no user name.
    """
    return [_sip_credential(element) for element in _objects(root, _SIP_CREDENTIALS)]


def _sip_credential(element: ET.Element) -> SipCredential:
    return SipCredential(
        id=_required(element, "Id"),
        username=_required(element, "UserName"),
        realm_id=_text(element, "RealmId") or "",
        realm_fqdn=_text(element, "Realm") or "",
        application_id=_text(element, "HttpVoiceV2AppId") or None,
        ha1=SecretStr(_text(element, "Hash1") or ""),
        ha1b=SecretStr(_text(element, "Hash1b") or ""),
    )


def next_page(root: ET.Element, url: str) -> str | None:
    """The absolute URL in <Links><next>, which Bandwidth writes as a bare URL or as a Link header value."""
    for links in root.iter("Links"):
        text = _text(links, "next")
        if text:
            bracketed = re.search(r"<([^>]+)>", text)
            target: str = bracketed.group(1) if bracketed else text
            return urljoin(url, target)
    return None


# ---------------------------------------------------------------- JSON


def read_json(body: bytes) -> object:
    """Raises UnreadableBody for anything but JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(f"not readable as JSON ({type(error).__name__})") from None


def json_errors(document: object) -> list[ApiError]:
    """The Voice API's {type, description, id}, or OAuth2's {error, error_description} (RFC 6749 section 5.2)."""
    if not isinstance(document, dict):
        return []
    code = document.get("type") or document.get("error")
    text = document.get("description") or document.get("error_description")
    if not code and not text:
        return []
    return [ApiError(str(code) if code else None, mask_secrets(str(text or "(no text)")))]


def call_body(call: CallRequest) -> bytes:
    """The JSON of POST /calls. There is no field for SIP digest credentials: user and password are the webhooks'."""
    password = call.callback_password
    members: dict[str, object | None] = {
        "from": call.from_number,
        "to": call.to,
        "applicationId": call.application_id,
        "answerUrl": call.answer_url,
        "answerMethod": call.answer_method,
        "disconnectUrl": call.disconnect_url,
        "disconnectMethod": call.disconnect_method if call.disconnect_url else None,
        "callTimeout": call.call_timeout_s,
        "username": call.callback_user,
        "password": password.get_secret_value() if password else None,
        "tag": call.tag,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def call_update_body(state: str, redirect_url: str | None) -> bytes:
    """The JSON of POST /calls/{callId}: state "completed" hangs up, "active" needs the URL of new BXML."""
    members = {"state": state, "redirectUrl": redirect_url}
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def read_call(document: object) -> Call:
    """A call from POST /calls (which has no state: "queued") or GET /calls/{callId} (an object, or a list of one)."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict) or not isinstance(document.get("callId"), str) or not document["callId"]:
        raise UnreadableBody("a call without callId")

    def member(name: str) -> str | None:
        value = document.get(name)
        return None if value is None else str(value)

    return Call(
        id=document["callId"],
        to=member("to") or "",
        from_number=member("from") or "",
        direction=member("direction") or "outbound",
        state=member("state") or "queued",
        application_id=member("applicationId") or "",
        start_time=member("startTime"),
        answer_time=member("answerTime"),
        end_time=member("endTime"),
        disconnect_cause=member("disconnectCause"),
        error_message=member("errorMessage"),
    )
