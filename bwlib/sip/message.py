"""SIP messages: parse and encode (RFC 3261 sections 7, 20, 25). Pure.

Strict where laxness hurts (line ends, lengths, header injection, required headers), lenient where the RFC is.
One parsed message is one UDP datagram; stream framing is not needed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bwlib.sip.uri import NameAddr, SipUri, SipUriError, parse_params, split_outside_quotes

MAX_MESSAGE_BYTES = 65_535
MAX_HEADERS = 256
MAX_LINE_CHARS = 16_384

REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted",
    301: "Moved Permanently", 302: "Moved Temporarily",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    407: "Proxy Authentication Required", 408: "Request Timeout", 413: "Request Entity Too Large",
    415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension",
    423: "Interval Too Brief", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
    482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete", 486: "Busy Here",
    487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending",
    500: "Server Internal Error", 501: "Not Implemented", 503: "Service Unavailable", 504: "Server Time-out",
    505: "Version Not Supported", 513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline",
}  # fmt: skip

_COMPACT = {
    "i": "Call-ID", "m": "Contact", "e": "Content-Encoding", "l": "Content-Length", "c": "Content-Type",
    "f": "From", "s": "Subject", "k": "Supported", "t": "To", "v": "Via", "o": "Event", "r": "Refer-To",
    "b": "Referred-By", "u": "Allow-Events", "x": "Session-Expires", "a": "Accept-Contact", "d": "Request-Disposition",
}  # fmt: skip
_SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type")
_REQUIRED = ("via", "from", "to", "call-id", "cseq")
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_INJECTION = re.compile(r"[\r\n]")
_VERSION = re.compile(r"SIP/\d+\.\d+\Z", re.IGNORECASE)
_VIA = re.compile(r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+(.+)\Z", re.IGNORECASE | re.DOTALL)


class SipMessageError(ValueError):
    """A message that cannot be used. The text never repeats header values.

    status: what a server answers. partial: as much of a request as is needed to answer it, None for anything else.
    """

    def __init__(self, text: str, status: int = 400, partial: Request | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.partial = partial


class Headers:
    """Header fields in order, several of one name allowed. Names compare case-insensitively, compact forms expand."""

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: list[tuple[str, str, str]] = []
        for name, value in items:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Append. Raises SipMessageError when name or value could start another header (header injection)."""
        if not _TOKEN.match(name) or _INJECTION.search(value):
            raise SipMessageError("a header name is no token, or a header value holds a line break")
        full = _COMPACT.get(name.lower(), name)
        self._items.append((full.lower(), full, value))

    def set(self, name: str, value: str) -> None:
        """Replace the first one of that name (others go), or append."""
        key = _key(name)
        index = next((i for i, item in enumerate(self._items) if item[0] == key), len(self._items))
        self.add(name, value)
        new = self._items.pop()
        self._items = [item for item in self._items if item[0] != key]
        self._items.insert(index, new)

    def remove(self, name: str) -> None:
        self._items = [item for item in self._items if item[0] != _key(name)]

    def get(self, name: str) -> str | None:
        """The first value, or None."""
        key = _key(name)
        return next((value for item_key, _, value in self._items if item_key == key), None)

    def get_all(self, name: str) -> list[str]:
        """Every value as written, one per header line."""
        key = _key(name)
        return [value for item_key, _, value in self._items if item_key == key]

    def get_list(self, name: str) -> list[str]:
        """Every value with comma lists taken apart (Via, Contact, Route, Supported ...). Raises SipUriError."""
        return [part for value in self.get_all(name) for part in split_outside_quotes(value, ",")]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for _, name, value in self._items)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Headers({[name for _, name, _ in self._items]})"  # names only: values may hold digest responses


def _key(name: str) -> str:
    lower = name.lower()
    return _COMPACT.get(lower, lower).lower()


@dataclass(frozen=True)
class Via:
    """One Via value. port None = the default 5060."""

    transport: str
    host: str
    port: int | None
    params: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Via:
        """Raises SipMessageError; a port outside 1-65535 is an error too."""
        match = _VIA.match(text.strip())
        if not match:
            raise SipMessageError("a Via header cannot be read")
        sent_by, _, tail = match[2].partition(";")
        try:
            address = SipUri.parse("sip:" + re.sub(r"\s*:\s*", ":", sent_by.strip()))
            return cls(match[1].upper(), address.host, address.port, parse_params(tail))
        except SipUriError as error:
            raise SipMessageError("a Via header has no usable host, port or parameters") from error

    @property
    def branch(self) -> str:
        return self.params.get("branch", "")

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{name}={value}" if value else f";{name}" for name, value in self.params.items())
        return f"SIP/2.0/{self.transport} {self.host}{port}{params}"


@dataclass(kw_only=True)
class _Message:
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    source: tuple[str, int] = ("", 0)  # where the datagram came from; ("", 0) for our own

    @property
    def call_id(self) -> str:
        return self.headers.get("Call-ID") or ""

    @property
    def cseq(self) -> tuple[int, str]:
        number, method = (self.headers.get("CSeq") or "0 -").split(maxsplit=1)
        return int(number), method

    @property
    def from_addr(self) -> NameAddr:
        return NameAddr.parse(self.headers.get("From") or "")

    @property
    def to_addr(self) -> NameAddr:
        return NameAddr.parse(self.headers.get("To") or "")

    @property
    def top_via(self) -> Via:
        vias = self.headers.get_list("Via")
        if not vias:
            raise SipMessageError("there is no Via header")
        return Via.parse(vias[0])

    @property
    def sdp(self) -> str:
        """The body when it is SDP, else ""."""
        content_type = (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        return self.body.decode("utf-8", "replace") if content_type == "application/sdp" else ""

    def set_body(self, content_type: str, body: bytes | str) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.headers.set("Content-Type", content_type)

    def _encode(self, start_line: str) -> bytes:
        if _INJECTION.search(start_line):
            raise SipMessageError("the start line holds a line break")
        lines = [start_line]
        lines += [f"{name}: {value}" for name, value in self.headers if name.lower() != "content-length"]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode() + self.body


@dataclass
class Request(_Message):
    method: str
    uri: str

    def encode(self) -> bytes:
        return self._encode(f"{self.method} {self.uri} SIP/2.0")

    def response(
        self, status: int, reason: str | None = None, headers: Sequence[tuple[str, str]] = (), to_tag: str = ""
    ) -> Response:
        """An answer to this request (RFC 3261 section 8.2.6). to_tag is added to a To without tag, but for 100."""
        answer = Response(status, REASONS.get(status, "Unknown") if reason is None else reason)
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            for value in self.headers.get_all(name):
                if name == "To" and to_tag and status > 100 and not _has_tag(value):
                    value += f";tag={to_tag}"
                answer.headers.add(name, value)
        if 101 <= status < 300:
            for value in self.headers.get_all("Record-Route"):
                answer.headers.add("Record-Route", value)
        for name, value in headers:
            answer.headers.add(name, value)
        return answer


def _has_tag(value: str) -> bool:
    try:
        return bool(NameAddr.parse(value).tag)
    except SipUriError:
        return True  # an unreadable To is echoed as it came


@dataclass
class Response(_Message):
    status: int
    reason: str = ""
    locally_generated: bool = False  # True: nobody sent this; it stands for a timeout or a failure to send

    def encode(self) -> bytes:
        return self._encode(f"SIP/2.0 {self.status} {self.reason}")


# ---------------------------------------------------------------- parsing


def parse_message(data: bytes) -> Request | Response:
    """Read one datagram. Raises SipMessageError, with `partial` filled when a request can still be answered."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise SipMessageError("the message is larger than a datagram", 513)
    head, separator, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    text = head.decode("utf-8", "replace")
    lines = re.sub(r"\r\n[ \t]+", " ", text).split("\r\n")
    message = _start_line(lines[0])
    problems: list[SipMessageError] = []
    if not separator:
        problems.append(SipMessageError("the header section does not end"))
    if "\ufffd" in text:
        problems.append(SipMessageError("the header section is not UTF-8"))
    problems += _read_headers(message.headers, lines[1:])
    try:
        _check(message)
        message.body = _sized_body(message, body)
    except (SipMessageError, SipUriError) as error:
        problems.append(SipMessageError(str(error), getattr(error, "status", 400)))
    if problems:
        partial = message if isinstance(message, Request) and _answerable(message) else None
        raise SipMessageError(str(problems[0]), max(problem.status for problem in problems), partial)
    return message


def _start_line(line: str) -> Request | Response:
    if len(line) > MAX_LINE_CHARS or _INJECTION.search(line):
        raise SipMessageError("the start line is too long or holds a control character")
    first, _, rest = line.partition(" ")
    if first.upper().startswith("SIP/"):
        status, _, reason = rest.partition(" ")
        if not re.fullmatch(r"[1-6][0-9]{2}", status, re.ASCII) or first.upper() != "SIP/2.0":
            raise SipMessageError("the status line cannot be read")
        return Response(int(status), reason)
    uri, _, version = rest.rpartition(" ")
    if not _TOKEN.match(first) or not _VERSION.match(version):
        raise SipMessageError("the start line is neither a request nor a response")
    return Request(first, uri if version.upper() == "SIP/2.0" else f"{uri} {version}")


def _read_headers(headers: Headers, lines: Sequence[str]) -> list[SipMessageError]:
    """Fill headers from lines; what cannot be read is left out and returned as problems."""
    problems = []
    for line in lines[:MAX_HEADERS]:
        name, colon, value = line.partition(":")
        try:
            if not colon or len(line) > MAX_LINE_CHARS:
                raise SipMessageError("a header line has no colon or is too long")
            headers.add(name.rstrip(" \t"), value.strip(" \t"))
        except SipMessageError as error:
            problems.append(error)
    if len(lines) > MAX_HEADERS:
        problems.append(SipMessageError("there are too many header lines"))
    return problems


def _check(message: Request | Response) -> None:
    headers = message.headers
    missing = [name for name in _REQUIRED if name not in headers]
    doubled = [name for name in _SINGLE if len(headers.get_all(name)) > 1]
    if missing or doubled:
        raise SipMessageError(f"missing or repeated header: {', '.join(missing + doubled)}")
    if isinstance(message, Request):
        _check_request_uri(message.uri)
    for via in headers.get_list("Via"):
        Via.parse(via)
    for name in ("From", "To"):
        NameAddr.parse(headers.get(name) or "")
    for name in ("Route", "Record-Route", "Contact"):
        for value in headers.get_list(name):
            if value != "*":
                NameAddr.parse(value)
    cseq = re.fullmatch(r"([0-9]{1,10})[ \t]+(\S+)", headers.get("CSeq") or "", re.ASCII)
    if not cseq or int(cseq[1]) >= 2**31 or not _TOKEN.match(cseq[2]):
        raise SipMessageError("CSeq cannot be read")
    if isinstance(message, Request) and cseq[2] != message.method:
        raise SipMessageError("CSeq names another method than the start line")
    if not re.fullmatch(r"[^\s]+", headers.get("Call-ID") or ""):
        raise SipMessageError("Call-ID is empty or holds a space")
    hops = headers.get("Max-Forwards")
    if hops is not None and not (re.fullmatch(r"[0-9]{1,10}", hops, re.ASCII) and int(hops) <= 255):
        raise SipMessageError("Max-Forwards is not a number from 0 to 255")


def _check_request_uri(uri: str) -> None:
    if " " in uri and re.search(r" SIP/\d", uri, re.IGNORECASE):
        raise SipMessageError("the SIP version is not 2.0", 505)
    scheme, colon, rest = uri.partition(":")
    if not colon or not rest or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) or re.search(r"[\s<>\"]", uri):
        raise SipMessageError("the Request-URI cannot be read")
    if scheme.lower() not in ("sip", "sips"):
        raise SipMessageError("the scheme of the Request-URI is not sip", 416)
    if SipUri.parse(uri).headers:
        raise SipMessageError("the Request-URI holds header fields")


def _sized_body(message: Request | Response, body: bytes) -> bytes:
    """Content-Length rules for UDP (RFC 3261 section 18.3): too short a datagram is an error, extra bytes go."""
    length = message.headers.get("Content-Length")
    if length is None:
        return body
    if not re.fullmatch(r"[0-9]{1,9}", length, re.ASCII):
        raise SipMessageError("Content-Length is not a number")
    if int(length) > len(body):
        raise SipMessageError("the body is shorter than Content-Length")
    return body[: int(length)]


def _answerable(request: Request) -> bool:
    return request.method != "ACK" and all(name in request.headers for name in _REQUIRED)


def with_top_via(request: Request, via: Via) -> Request:
    """A copy of the request with another top Via value; the other Via values stay."""
    rest = request.headers.get_list("Via")[1:]
    headers = Headers([("Via", str(via))])
    for value in rest:
        headers.add("Via", value)
    for name, value in request.headers:
        if name.lower() != "via":
            headers.add(name, value)
    return replace(request, headers=headers)
