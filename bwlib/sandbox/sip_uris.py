"""Inbound SIP URIs as the sandbox keeps them: one per Voice application, with how a caller proves himself.

dev.bandwidth.com/docs/voice/programmable-voice/inbound-sip-uri and .../quick-start (read 2026-11-23): a generated
`sip:<uuid>@<host>`, a one-time password, an allow list of CIDR networks, regions. The password is answered once and not
kept: only its HA1 for each user name that a caller may be expected to use (switch sip_uri_digest_user).
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from hashlib import md5
from ipaddress import ip_address, ip_network

from bwlib.sandbox.state import State, new_id

HOST = "sip-uri.voice-api.bandwidth.test"


@dataclass(frozen=True)
class SipUriRow:
    """One application's settings. ha1s: digest user name -> HA1; empty when no password is set."""

    application_id: str
    account_id: str
    uuid: str
    enabled: bool = False
    password_auth: bool = False
    source_ips: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    ha1s: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def uri(self) -> str:
        return f"sip:{self.uuid}@{HOST}"

    def admits_source(self, address: str) -> bool:
        return any(ip_address(address) in ip_network(network, strict=False) for network in self.source_ips)


def find_by_application(state: State, application_id: str) -> SipUriRow | None:
    return _row(state, "application_id", application_id)


def find_by_uuid(state: State, uuid: str) -> SipUriRow | None:
    return _row(state, "uuid", uuid.lower())


def new_sip_uri(state: State, application_id: str) -> SipUriRow:
    return SipUriRow(application_id, state.identity.account_id, new_id())


def with_new_password(row: SipUriRow) -> tuple[SipUriRow, str]:
    """The row with a password of its own, and the password: the only time that it is seen."""
    password = secrets.token_urlsafe(24)
    users = {"uuid": row.uuid, "application-id": row.application_id, "uri": row.uri.removeprefix("sip:")}
    ha1s = {
        name: md5(f"{user}:{HOST}:{password}".encode(), usedforsecurity=False).hexdigest()
        for name, user in users.items()
    }
    return replace(row, ha1s=ha1s), password


def digest_user(row: SipUriRow, kind: str) -> str:
    """The user name that a caller must give, by the switch sip_uri_digest_user."""
    return {"uuid": row.uuid, "application-id": row.application_id, "uri": row.uri.removeprefix("sip:")}[kind]


def save(state: State, row: SipUriRow) -> None:
    values = (row.application_id, row.account_id, row.uuid, json.dumps(asdict(row)))
    state.run("insert or replace into sip_uris values (?, ?, ?, ?)", *values)


def _row(state: State, column: str, value: str) -> SipUriRow | None:
    found = state.one(f"select fields from sip_uris where {column} = ?", value)  # noqa: S608 -- a column of ours
    if found is None:
        return None
    fields = json.loads(found["fields"])
    return SipUriRow(**{**fields, "source_ips": tuple(fields["source_ips"]), "regions": tuple(fields["regions"])})
