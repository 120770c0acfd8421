"""SIP URIs, name-addr values, header parameters and E.164 numbers (RFC 3261 sections 19.1, 20.10, 25.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]+\])\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_USER_SAFE = "-_.!~*'()&=+$,;?/"  # RFC 3261 section 25.1: unreserved and user-unreserved
_BAD = re.compile(r"[\x00-\x1f\x7f\s<>\"]")


class SipUriError(ValueError):
    """A URI, an address or a header parameter that does not follow RFC 3261."""


@dataclass(frozen=True)
class SipUri:
    """`sip:user:password@host:port;params?headers`. user is unescaped (it may hold anything);
    parameter names are lower case.

    A parameter without a value is kept as "". Raises SipUriError from parse().
    """

    user: str | None
    host: str
    port: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "sip"
    password: str | None = field(default=None, repr=False)
    headers: str = ""

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Read a `sip:` or `sips:` URI without angle brackets."""
        scheme, colon, rest = text.partition(":")
        if not colon or scheme.lower() not in ("sip", "sips"):
            raise SipUriError("not a sip: URI")
        if _BAD.search(rest):
            raise SipUriError("a SIP URI holds a space, a quote, a bracket or a control character")
        user_part, at, rest = _split_user(rest)
        rest, _, headers = rest.partition("?")
        address, _, param_text = rest.partition(";")
        host, port = _host_port(address)
        user, password = None, None
        if at:
            user_text, pw_colon, pw_text = user_part.partition(":")
            user, password = unquote(user_text), (unquote(pw_text) if pw_colon else None)
            if not user:
                raise SipUriError("the user part of a SIP URI is empty")
        return cls(user, host, port, _uri_params(param_text), scheme.lower(), password, headers)

    def __str__(self) -> str:
        user = "" if self.user is None else quote(self.user, safe=_USER_SAFE)
        if self.password is not None:
            user += ":" + quote(self.password, safe="-_.!~*'()&=+$,")
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{name}={value}" if value else f";{name}" for name, value in self.params.items())
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{'@' if user else ''}{self.host}{port}{params}{headers}"


def _split_user(rest: str) -> tuple[str, bool, str]:
    """The last @ ends the user part: a user may hold ; and ? (RFC 4475 section 3.1.1.9), a host never holds @."""
    user, at, tail = rest.rpartition("@")
    return user, bool(at), tail


def _uri_params(text: str) -> dict[str, str]:
    params: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        if name:
            params.setdefault(name.lower(), value)
    return params


def _host_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, bracket, tail = text.partition("]")
        host, (_, colon, port) = host + bracket, tail.partition(":")
    elif ":" in text:
        host, colon, port = text.partition(":")
    if not _HOST.match(host):
        raise SipUriError("the host of a SIP address is empty or not a host name")
    return host, (parse_port(port) if colon else None)


def parse_port(text: str) -> int:
    """A UDP port, 1-65535. Raises SipUriError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise SipUriError("a port is not a number from 1 to 65535")
    return int(text)


def parse_host_port(text: str, default_port: int = 5060) -> tuple[str, int]:
    """Read "host" or "host:port". Raises SipUriError (a ValueError)."""
    host, port = _host_port(text.strip())
    return host, default_port if port is None else port


def is_e164(text: str) -> bool:
    """Is this a number in +E.164: a plus and 7 to 15 digits, the first not 0 (ITU-T E.164 section 6)?"""
    return bool(_E164.match(text))


@dataclass(frozen=True)
class NameAddr:
    """A From, To, Contact, Route or Record-Route value. `uri` is text, so that foreign schemes survive."""

    uri: str
    display_name: str = ""
    params: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Read `"Name" <uri>;params` or `uri;params` (then the parameters are the header's). Raises SipUriError."""
        text = text.strip()
        start = _find_outside_quotes(text, "<")
        if start < 0:
            uri, _, tail = text.partition(";")
            if "?" in uri or "," in uri:
                raise SipUriError("a URI with ? or , must stand between < and > (RFC 3261 section 20)")
            return cls(_checked_uri(uri.strip()), "", parse_params(tail))
        end = text.find(">", start)
        if end < 0:
            raise SipUriError("an address opens < and does not close it")
        tail = text[end + 1 :].strip()
        if tail and not tail.startswith(";"):
            raise SipUriError("an address is followed by something that is not a parameter")
        return cls(_checked_uri(text[start + 1 : end].strip()), _display_name(text[:start].strip()), parse_params(tail))

    @property
    def tag(self) -> str:
        return self.params.get("tag", "")

    def sip_uri(self) -> SipUri:
        return SipUri.parse(self.uri)

    def __str__(self) -> str:
        escaped = self.display_name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}" ' if self.display_name else ""
        params = "".join(f";{key}={value}" if value else f";{key}" for key, value in self.params.items())
        return f"{name}<{self.uri}>{params}"


def _checked_uri(uri: str) -> str:
    scheme, colon, rest = uri.partition(":")
    if not colon or not rest or not _SCHEME.match(scheme):
        raise SipUriError("an address holds no URI")
    if scheme.lower() in ("sip", "sips"):
        SipUri.parse(uri)
    elif _BAD.search(uri):
        raise SipUriError("a URI holds a space, a quote or a control character")
    return uri


def _display_name(text: str) -> str:
    if not text.startswith('"'):
        if any(not _TOKEN.match(word) for word in text.split()) and text.isascii():
            raise SipUriError("a display name with special characters must be quoted")
        return text
    if len(text) < 2 or not text.endswith('"') or _find_outside_quotes(text + "\0", "\0") < 0:
        raise SipUriError("a quoted display name does not end")
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _find_outside_quotes(text: str, wanted: str) -> int:
    """Index of the first of the wanted characters that is not inside a quoted string, or -1."""
    quoted = escaped = False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            quoted, escaped = char != '"', char == "\\"
        elif char in wanted:
            return index
        elif char == '"':
            quoted = True
    return -1


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Split at a separator that is neither in a quoted string nor between < and >; empty parts are left out.

    Raises SipUriError when a quoted string does not end.
    """
    if '"' not in text and "<" not in text:
        return [part.strip() for part in text.split(separator) if part.strip()]
    parts, start, depth, quoted, escaped = [], 0, 0, False, False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            quoted, escaped = char != '"', char == "\\"
        elif char == '"':
            quoted = True
        elif char in "<>":
            depth = 1 if char == "<" else 0
        elif char == separator and not depth:
            parts.append(text[start:index].strip())
            start = index + 1
    if quoted:
        raise SipUriError("a quoted string does not end")
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def parse_params(text: str) -> dict[str, str]:
    """Read `;name=value;flag` with quoted values kept as written; names lower case. Raises SipUriError."""
    params: dict[str, str] = {}
    for part in split_outside_quotes(text, ";"):
        name, _, value = part.partition("=")
        name = name.strip().lower()
        if not _TOKEN.match(name):
            raise SipUriError("a parameter has no valid name")
        if name in params and name == "tag":
            raise SipUriError("an address has two tags")
        params.setdefault(name, value.strip())
    return params
