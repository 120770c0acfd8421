"""What the sandbox imitates, drawn from the tables that it runs by. tools/sandbox_coverage.py writes it down."""

from __future__ import annotations

from dataclasses import dataclass

from bwlib.sandbox import account_api, voice_api, voice_applications
from bwlib.sandbox.endpoint import Common, Endpoint
from bwlib.sandbox.oauth import TOKEN_ENDPOINT
from bwlib.sandbox.switches import SWITCHES, Switch

NOT_IMITATED = (
    "The public telephone network. A call to a number, or without an application, ends with an error.",
    "The Registrar: devices that register at a realm. REGISTER is answered 405 (a switch).",
    "SIP over TCP or TLS, SRTP, IPv6, NAT, more than one edge.",
    "Sites, SIP peers (Locations) and Voice Configuration Packages: `associatedsippeers` is always empty.",
    "Applications other than Voice-V2. Creating or changing API Credentials (`/api/v1/credentials`).",
    "The search parameters userNamefragment, domainfragment, applicationNameFragment, realmFragment of credentials.",
    "Of the Voice API: `PUT /calls/{id}/bxml`, conferences, statistics, transcriptions, changes of recordings, "
    "machine detection, the queue behind the rate limit, minStartTime and maxStartTime.",
    "BXML beyond SpeakSentence, PlayAudio, Pause, Ring, Gather, Record, Redirect, Hangup. mp3.",
    "How long anything takes: pending states last as long as their switches say, half a second at first.",
    "Bandwidth's exact wording: codes, statuses and elements are theirs, the texts are ours.",
)


@dataclass(frozen=True)
class Api:
    """One of the imitated APIs. prefix: what comes before each path."""

    title: str
    prefix: str
    endpoints: tuple[Endpoint, ...]
    common: Common | None = None


APIS = (
    Api("Access tokens", "", (TOKEN_ENDPOINT,)),
    Api(
        "Account API, XML",
        "/api/v2/accounts/{account_id} (and /api/accounts/{account_id})",
        account_api.ENDPOINTS,
        account_api.COMMON,
    ),
    Api("Voice API, JSON", voice_api.PREFIX, voice_api.ENDPOINTS, voice_api.COMMON),
    Api("Voice applications, JSON", "", voice_applications.ENDPOINTS, None),
)


def other_switches() -> tuple[Switch, ...]:
    """Those that no route names: the SIP edge's, the webhooks' and BXML's."""
    named: set[str] = set()
    for api in APIS:
        for each in (*api.endpoints, *((api.common,) if api.common else ())):
            named |= set(each.switches)
    return tuple(switch for switch in SWITCHES if switch.name not in named)
