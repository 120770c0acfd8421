"""The nouns that travel between the steps: frozen, plain, without behaviour that talks to anyone.

Secrets are `SecretStr`: they print as asterisks, and `.get_secret_value()` is the only way to read them.
Field names are ours; Bandwidth's wire names live in `bwlib.bandwidth.wire`, Asterisk's in `bwlib.pbx.asterisk`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import SecretStr

T = TypeVar("T")

# Where a PBX puts the dialled number of a call to an Inbound SIP URI. X- headers arrive in `sipHeaders` of `initiate`,
# their names in lower case (github.com/Bandwidth/python-sdk bandwidth.yml, read 2026-11-23).
NUMBER_HEADER = "X-Dialed-Number"

# ---------------------------------------------------------------- Bandwidth side


@dataclass(frozen=True)
class Application:
    """A Voice application: where Bandwidth sends its webhooks.

    `id` is empty until Bandwidth has given one. `callback_password` is only ever sent, never read back.
    """

    name: str
    call_initiated_url: str
    call_initiated_method: str = "POST"
    call_status_url: str | None = None
    call_status_method: str = "POST"
    callback_user: str | None = None
    callback_password: SecretStr | None = None
    callback_timeout_s: int | None = None
    service_type: str = "Voice-V2"
    id: str = ""


@dataclass(frozen=True)
class Realm:
    """A realm as Bandwidth answered it. `fqdn` is decided by Bandwidth and cannot be computed from `name`."""

    id: str
    fqdn: str
    description: str
    is_default: bool
    status: str
    credential_count: int = 0

    @property
    def is_active(self) -> bool:
        return self.status == "ACTIVE"


@dataclass(frozen=True)
class SipCredential:
    """A SIP credential as Bandwidth answered it. `ha1` and `ha1b` are as good as the password: secrets."""

    id: str
    username: str
    realm_id: str
    realm_fqdn: str
    application_id: str | None
    ha1: SecretStr
    ha1b: SecretStr


@dataclass(frozen=True)
class InboundSipUri:
    """An application's Inbound SIP URI as Bandwidth answered it: the second road from a PBX to the application.

    uri is `sip:<uuid>@<host>`, "" as long as Bandwidth has given none; the uuid is not the application's id.
    password is there in the one answer that enabled or rotated it, and in no other.
    """

    application_id: str
    uri: str
    enabled: bool
    password_auth: bool
    allowed_source_ips: tuple[str, ...] = ()
    allowed_regions: tuple[str, ...] = ()
    password: SecretStr | None = None

    @property
    def user(self) -> str:
        """The uuid of the URI."""
        return self.uri.removeprefix("sip:").partition("@")[0]

    @property
    def host(self) -> str:
        """The host of the URI, without a port."""
        return self.uri.rpartition("@")[2].partition(";")[0].partition(":")[0]


@dataclass(frozen=True)
class CallRequest:
    """The body of a programmatic call. Times in seconds."""

    to: str
    from_number: str
    application_id: str
    answer_url: str
    answer_method: str = "POST"
    disconnect_url: str | None = None
    disconnect_method: str = "POST"
    call_timeout_s: float = 6
    callback_user: str | None = None
    callback_password: SecretStr | None = None
    tag: str | None = None


@dataclass(frozen=True)
class Call:
    """A call as the Voice API describes it."""

    id: str
    to: str
    from_number: str
    direction: str
    state: str
    application_id: str
    start_time: str | None = None
    answer_time: str | None = None
    end_time: str | None = None
    disconnect_cause: str | None = None
    error_message: str | None = None


@dataclass(frozen=True)
class Exchange:
    """One HTTP request and what came back; credentials, tokens and hashes are masked already. `elapsed_s` in seconds.

    `status` is None and `error` says why when no answer came.
    """

    id: str
    at: datetime
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: str
    status: int | None
    response_headers: Mapping[str, str]
    response_body: str
    elapsed_s: float
    error: str | None = None


@dataclass(frozen=True)
class Webhook:
    """One webhook as the application received it, and what it answered."""

    id: int
    at: datetime
    event_type: str
    call_id: str
    path: str
    body: Mapping[str, object]
    answer_status: int
    answer_body: str
    authenticated: bool

    @property
    def dialled(self) -> str:
        """The number that was dialled: `to`, or on a call to a SIP URI (whose user is a uuid) the X- header with it."""
        headers = self.body.get("sipHeaders")
        number = headers.get(NUMBER_HEADER.lower()) if isinstance(headers, Mapping) else None
        return str(number or self.body.get("to") or "")


@dataclass(frozen=True)
class Digits:
    """What a phone pressed on a call: DTMF as telephone events in RTP (RFC 4733). at: when it began to."""

    at: datetime
    digits: str


# ---------------------------------------------------------------- PBX side


@dataclass(frozen=True)
class Trunk:
    """A PBX trunk to a realm or a SIP URI's host: no registration, outbound authentication only.

    server is the realm's FQDN, or the host of the SIP URI. port None leaves it to SRV. outbound_proxy
    ("127.0.0.2:5060") is for places without DNS for it. qualify_s 0 = no OPTIONS: an unanswered one makes Asterisk
    refuse to send INVITEs. bandwidth_ips are the only sources whose unauthenticated INVITEs are admitted (Bandwidth
    cannot answer a challenge), and those reach `inbound_extension` and nothing else. transfers: whether the far end
    may transfer a call (REFER) to a number of its choice.
    """

    name: str
    server: str
    username: str
    password: SecretStr
    from_user: str
    from_domain: str
    port: int | None = None
    outbound_proxy: str | None = None
    registration: bool = False
    qualify_s: int = 0
    codecs: tuple[str, ...] = ("ulaw", "alaw")
    dtmf: str = "rfc4733"
    send_pai: bool = False
    bandwidth_ips: tuple[str, ...] = ()
    inbound_extension: str | None = None
    transfers: bool = False


@dataclass(frozen=True)
class OutboundRoute:
    """Which dialled numbers leave by the trunk. `pattern` is an Asterisk dial pattern without the underscore.

    `prepend` is put before the dialled digits; `caller_id` is the site's number in +E.164. forwarding: whether a
    redirection (302) by the far end is followed, to whatever it names. With `request_uri` ("sip:<uuid>@<host>") every
    call goes to that URI, and the number travels in the header `number_header`.
    """

    name: str
    pattern: str
    prepend: str
    trunk: str
    caller_id: str
    forwarding: bool = False
    request_uri: str = ""
    number_header: str = ""


@dataclass(frozen=True)
class Extension:
    """A phone at the PBX: it registers with `number` and `secret` and may use `route`.

    transfers: whether the phone may have the PBX transfer a call (REFER).
    """

    number: str
    secret: SecretStr
    route: str
    display_name: str = ""
    transfers: bool = False


@dataclass(frozen=True)
class PbxInfo:
    """What answered: product and version, the SIP address (host, port) it listens on, where it came from."""

    product: str
    version: str
    sip_host: str
    sip_port: int
    origin: str = ""


@dataclass(frozen=True)
class Registration:
    """A PBX's own registration elsewhere. name: its object's on the PBX. says: one line for people.

    server: the host of its registrar, in lower case, "" where the PBX does not name one.
    """

    name: str
    server: str
    says: str

    @classmethod
    def read(cls, name: str, server: str, says: str) -> Registration:
        """server: a SIP URI or a host, with or without a port and parameters."""
        host = re.match(r"(?:sips?:)?(?:[^@/]*@)?(\[[^\]]*\]|[^:;?>\s]*)", server.strip())
        return cls(name, host[1].lower() if host else "", says)

    def is_of(self, trunk: Trunk) -> bool:
        """Whether it is the trunk's own, by its object's name, or leads to the trunk's very server."""
        return self.name in (trunk.name, f"{trunk.name}-registration") or self.server == trunk.server.lower()


@dataclass(frozen=True)
class SshLogin:
    """As whom to log in by ssh, and where. port None: what ssh's own configuration says, else 22.

    Its fields become words of a command line: what could be taken for an option, or for two words, raises ValueError.
    """

    user: str
    host: str
    port: int | None = None

    def __post_init__(self) -> None:
        is_host = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", self.host)
        is_user = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", self.user)
        if not is_host or not is_user or not (self.port is None or 1 <= self.port <= 65535):
            raise ValueError("must be user@host or user@host:port, such as asterisk@pbx.example.com")

    @classmethod
    def parse(cls, text: str) -> SshLogin:
        """user@host or user@host:port; an IPv6 address stands in brackets. Raises ValueError."""
        user, _, place = text.partition("@")
        parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:]*))(?::([0-9]{1,5}))?", place)
        if parts is None:
            raise ValueError("must be user@host or user@host:port, such as asterisk@pbx.example.com")
        return cls(user, parts[1] or parts[2], int(parts[3]) if parts[3] else None)

    @property
    def place(self) -> str:
        """host:port, for people and for the record."""
        return f"[{self.host}]:{self.port or 22}" if ":" in self.host else f"{self.host}:{self.port or 22}"


# ---------------------------------------------------------------- what steps say

Action = Literal["created", "updated", "unchanged", "removed", "planned", "kept", "passed", "skipped"]


@dataclass(frozen=True)
class Difference:
    """One field that is not as wanted. Secrets appear as words ("differs"), never as values."""

    field: str
    found: str
    wanted: str


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a step did. `found` is the object read back afterwards, None when it is (to be) absent.

    action "kept": undo left it alone, `note` says why. action "planned": nothing was sent.
    """

    action: Action
    title: str
    found: T | None
    differences: tuple[Difference, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Heard:
    """What an ear recorded, compared with what was sent.

    correlation: normalised, 1.0 = the same. offset_s: where in the recording the sent audio begins.
    seconds: how much audio was compared.
    """

    correlation: float
    offset_s: float
    seconds: float


@dataclass(frozen=True)
class SipEvent:
    """One SIP message seen on a wire. source and target are "host:port"; text is the whole message."""

    at: datetime
    source: str
    target: str
    text: str
    seen_by: str = ""


@dataclass(frozen=True)
class Finding:
    """Something a person should know: a cause, the evidence for it, and the fix.

    name: that of the same cause in the table of `bwlib.diagnose.rules`, "" when it is not there.
    """

    cause: str
    evidence: tuple[str, ...] = field(default=())
    fix: str = ""
    name: str = ""
