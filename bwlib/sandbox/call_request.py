"""Checking the body of POST /calls: github.com/Bandwidth/python-sdk bandwidth.yml, createCall (read 2026-11-23)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from bwlib.sandbox.bxml_player import NextEvent
from bwlib.sandbox.call_flow import Plan
from bwlib.sandbox.webhooks import Target

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SIP = re.compile(r"sips?:[^\s@]+(@[^\s]+)?")
_NO_URL_CHARACTER = re.compile(r"[\x00-\x20\x7f]")
_DEFAULTS: dict[str, Any] = {
    "answerMethod": "POST",
    "answerFallbackMethod": "POST",
    "disconnectMethod": "POST",
    "callTimeout": 30,
    "callbackTimeout": 15,
    "priority": 5,
}
_TEXT_LIMITS = {
    **dict.fromkeys(("answerUrl", "answerFallbackUrl", "disconnectUrl"), 2048),
    **dict.fromkeys(("username", "password", "fallbackUsername", "fallbackPassword"), 1024),
    "displayName": 256,
    "tag": 4096,
}
_NUMBER_LIMITS = {"callTimeout": (1, 300), "callbackTimeout": (1, 25), "priority": (1, 5)}
# What the answer to POST /calls repeats.
ECHOED = (
    *("to", "from", "applicationId", "answerUrl", "answerMethod", "answerFallbackUrl", "answerFallbackMethod"),
    *("disconnectUrl", "disconnectMethod", "username", "password", "fallbackUsername", "fallbackPassword"),
    *("callTimeout", "callbackTimeout", "priority", "tag"),
)


class BadRequest(Exception):
    """What is wrong with a request; str() goes into the answer's description."""


def checked(body: Any) -> dict[str, Any]:
    """The body with its defaults filled in. Raises BadRequest. Unknown fields are ignored."""
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    wanted = {**_DEFAULTS, **{name: value for name, value in body.items() if value is not None}}
    for name in ("to", "from", "applicationId", "answerUrl"):
        if not isinstance(wanted.get(name), str) or not wanted[name]:
            raise BadRequest(f"{name} is required")
    _check_limits(wanted)
    if not _E164.fullmatch(wanted["to"]) and not _SIP.fullmatch(wanted["to"]):
        raise BadRequest("to must be an E.164 number or a SIP URI")
    if not _E164.fullmatch(wanted["from"]):
        raise BadRequest("from must be an E.164 number")
    _check_urls(wanted)
    return wanted


def plan_of(wanted: dict[str, Any]) -> Plan:
    """How a checked request becomes a call."""
    user, password = wanted.get("username"), wanted.get("password")
    answer = Target(wanted["answerUrl"], wanted["answerMethod"], user, password)
    fallback = disconnect = None
    if "answerFallbackUrl" in wanted:
        creds = wanted.get("fallbackUsername"), wanted.get("fallbackPassword")
        fallback = Target(wanted["answerFallbackUrl"], wanted["answerFallbackMethod"], *creds)
    if "disconnectUrl" in wanted:
        disconnect = Target(wanted["disconnectUrl"], wanted["disconnectMethod"], user, password)
    first = NextEvent("answer", answer, fallback)
    return Plan(first, disconnect, float(wanted["callbackTimeout"]), float(wanted["callTimeout"]))


def redirect_of(body: dict[str, Any]) -> NextEvent:
    """The event of POST /calls/{callId} with a redirectUrl. Raises BadRequest."""
    url = body.get("redirectUrl")
    if not isinstance(url, str) or not url:
        raise BadRequest("redirectUrl is required when state is active")
    wanted = {"redirectMethod": "POST", "redirectFallbackMethod": "POST", **body}
    for name in ("redirectFallbackUrl", "username", "password", "fallbackUsername", "fallbackPassword", "tag"):
        if wanted.get(name) is not None and not isinstance(wanted[name], str):
            raise BadRequest(f"{name} must be text")
    for name in ("redirectMethod", "redirectFallbackMethod"):
        if wanted[name] not in ("GET", "POST"):
            raise BadRequest(f"{name} must be GET or POST")
    for name in ("redirectUrl", "redirectFallbackUrl"):
        _check_url(wanted, name, bool(wanted.get("username")))
    fallback = None
    if wanted.get("redirectFallbackUrl"):
        creds = wanted.get("fallbackUsername"), wanted.get("fallbackPassword")
        fallback = Target(wanted["redirectFallbackUrl"], wanted["redirectFallbackMethod"], *creds)
    target = Target(url, wanted["redirectMethod"], wanted.get("username"), wanted.get("password"))
    return NextEvent("redirect", target, fallback, tag=wanted.get("tag"))


def _check_limits(wanted: dict[str, Any]) -> None:
    for name, longest in _TEXT_LIMITS.items():
        value = wanted.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > longest):
            raise BadRequest(f"{name} must be text of at most {longest} characters")
    for name, (low, high) in _NUMBER_LIMITS.items():
        value = wanted[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise BadRequest(f"{name} must be {low} to {high}")


def _check_urls(wanted: dict[str, Any]) -> None:
    _check_url(wanted, "answerUrl", bool(wanted.get("username")))
    _check_url(wanted, "answerFallbackUrl", bool(wanted.get("fallbackUsername")))
    _check_url(wanted, "disconnectUrl", bool(wanted.get("username")))
    for name in ("answerMethod", "answerFallbackMethod", "disconnectMethod"):
        if wanted[name] not in ("GET", "POST"):
            raise BadRequest(f"{name} must be GET or POST")


def _check_url(wanted: dict[str, Any], name: str, with_credentials: bool) -> None:
    if not wanted.get(name):
        return
    try:
        parts = urlsplit(wanted[name])
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        fits = fits and not _NO_URL_CHARACTER.search(wanted[name])
    except ValueError:
        fits = False
    if not fits:
        raise BadRequest(f"{name} must be an http or https URL")
    if with_credentials and parts.scheme != "https":
        raise BadRequest(f"{name} must be https when credentials are given")
