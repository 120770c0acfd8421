"""What a running PBX says of itself, for whoever looks for the cause of a failing call: plain facts, no judgement.

Which of them a PBX can tell depends on the PBX and on the way to it. One that it could not is empty here, and named in
`PbxState.unknown`: an empty tuple of contacts means "nobody is registered" only when "contacts" is not in there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from bwlib.models import Registration
from bwlib.pbx.asterisk_read import Settings

NO_SECRET = SecretStr("")


@dataclass(frozen=True)
class Contact:
    """Where an address of record is reached, registered or written down.

    status: Asterisk's word: Avail, Unavail, NonQual (not asked by OPTIONS), Unknown (asked, no answer yet), Created.
    A trunk whose only contact is Unavail gets no INVITE at all.
    """

    aor: str
    uri: str
    status: str


@dataclass(frozen=True)
class Transport:
    """A socket of the PBX for SIP, as it is running. bind: "host:port". The external addresses go into SDP and Via."""

    name: str
    protocol: str
    bind: str
    external_media_address: str = ""
    external_signaling_address: str = ""
    local_net: str = ""


@dataclass(frozen=True)
class Dialled:
    """What the running dialplan does with a dialled number in a context.

    pattern: the extension that matches, "" for none. steps: "Dial(PJSIP/...)" and so on, of that extension.
    """

    number: str
    context: str
    context_exists: bool = False
    pattern: str = ""
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class PbxState:
    """What is running and bears on one trunk's and one extension's calls. Secrets are `MASK`, or "" when not set.

    trunk, extension: section type (endpoint, auth, aor, identify) -> option -> value in force; {} when there is no
    such endpoint. not_in_force: what the PBX's files say and its running configuration does not. changed_since_reload:
    files of pjsip that were written after Asterisk last read its configuration. refused: lines of its log on what it
    could not read of them then. unknown: field -> why it is empty. trunk_ha1: what the trunk answers a challenge with
    where the PBX keeps a hash in the password's place; "" where not. reloaded_at: when it last read its files, seconds
    since 1970. other_options: lines in its sections of both that this program does not write.
    """

    contacts: tuple[Contact, ...] = ()
    registrations: tuple[Registration, ...] = ()
    trunk: Settings = field(default_factory=dict)
    extension: Settings = field(default_factory=dict)
    transports: tuple[Transport, ...] = ()
    dialled: Dialled | None = None
    rtp_ports: tuple[int, int] | None = None
    not_in_force: tuple[str, ...] = ()
    changed_since_reload: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    trunk_ha1: SecretStr = NO_SECRET
    reloaded_at: float | None = None
    other_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class MediaCount:
    """RTP of one channel of a call that is up: packets since its beginning, as the PBX counts them.

    codec as Asterisk says it, cut to six characters. local, remote: "host:port" from and to which it sends, number: of
    whoever is at that leg's far end, call_id: its Call-ID in SIP, linked: what all legs of one call have in common;
    each "" when the PBX does not say it.
    """

    channel: str
    codec: str
    received: int
    received_lost: int
    sent: int
    sent_lost: int
    local: str = ""
    remote: str = ""
    number: str = ""
    call_id: str = ""
    linked: str = ""
