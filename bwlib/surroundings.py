"""What a run works on: the account, the application under test, the PBX, and how it can be listened to.

`bwlib.run` builds one for the sandbox, `bwlib.live` one for a live account; the guide does not know which it has.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from bwlib.models import Application, Exchange, SipEvent
from bwlib.record.run_record import RunRecord
from bwlib.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from bwlib.bandwidth.client import Client
    from bwlib.pbx import Pbx
    from bwlib.readback_client import Readback
    from bwlib.steps.calls import Ears


@dataclass(frozen=True)
class Pages:
    """The dashboard where a person sees what a run made at Bandwidth: for pictures of it.

    name: whose dashboard, for people. home: its address. hosts: the hosts that its pages may ask. find(kind, object):
    (the address of the page that shows the object, what that page says besides the object's names); None where
    addresses are not public: then the operator names the page. sign_in(page): by its form, before the first picture.
    profile: a browser profile that a person has signed in with. settle_s: how long a page may go on building itself.
    why_not: why there can be no picture, "" when there can.
    """

    name: str
    home: str
    hosts: tuple[str, ...]
    find: Callable[[str, Any], tuple[str, tuple[str, ...]]] | None = None
    sign_in: Callable[[Page], None] | None = None
    profile: Path | None = None
    settle_s: float = 0.0
    why_not: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What a run works on: the account, the application under test, the PBX, and how it can be listened to.

    application: as wanted, without an id. trunk_proxy: "host:port" where realm names have no DNS. callback_ca: a CA
    file for the callback URL, None for the usual ones. readback None: its webhooks are not observed.
    sip_events(since, in seconds since 1970): SIP messages at the realm's side, None where nobody of ours sees them.
    call_lock: one test call at a time on this account from this machine, or two could pass on one call's evidence.
    why_gone(): a sentence when what we work on was stopped meanwhile, else "".
    nameservers: whom to ask for names, None for the system's, () for nobody. pages: where pictures are taken.
    registrar, called_at: where the phone registers, and where Bandwidth calls the PBX; None: at the address that the
    PBX says it listens on.
    """

    target: str
    account_id: str
    number: str
    client: Client
    recorder: Recorder
    application: Application
    answer_url: str
    disconnect_url: str
    callback_ca: str | None
    trunk_proxy: str | None
    bandwidth_ips: tuple[str, ...]
    pbx: Callable[[], Pbx]
    readback: Readback | None
    ears: Ears | None
    sip_events: Callable[[float], list[SipEvent]] | None
    realm_lane: str
    call_lock: Path
    why_gone: Callable[[], str]
    pages: Pages
    nameservers: tuple[tuple[str, int], ...] | None = None
    registrar: tuple[str, int] | None = None
    called_at: tuple[str, int] | None = None


def named_application(settings: Settings, secret: Callable[[str], SecretStr]) -> Application:
    """The application with the callback URL that the site file names."""
    table = settings.application
    return Application(
        name=table.name,
        call_initiated_url=table.callback_url,
        call_status_url=table.status_url or None,
        callback_user=table.callback_user or None,
        callback_password=secret(table.callback_password) if table.callback_user else None,
    )


class Recorder:
    """Writes each HTTP exchange into the record, and remembers its id for the step that caused it. Thread-safe.

    latest: the last exchanges themselves, credentials masked.
    """

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._lock = threading.Lock()
        self.ids: list[str] = []
        self.latest: deque[Exchange] = deque(maxlen=50)

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self._record.append_exchange(exchange)
            self.ids.append(exchange.id)
            self.latest.append(exchange)


def once(make: Callable[[], Pbx]) -> Callable[[], Pbx]:
    """Call `make` at the first need and keep what it gave."""
    made: list[Pbx] = []

    def get() -> Pbx:
        if not made:
            made.append(make())
        return made[0]

    return get
