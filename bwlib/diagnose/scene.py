"""What a diagnosis looks at: the run with its account and PBX, and what the probes of one look share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bwlib.diagnose.facts import Fact
from bwlib.errors import BwlibError
from bwlib.models import Application, Extension, Finding, InboundSipUri, OutboundRoute, Realm, SipCredential, Trunk

if TYPE_CHECKING:
    from bwlib.guide import Run
    from bwlib.models import SipEvent
    from bwlib.pbx.state import Dialled
    from bwlib.phone import Phone


NO_SECRET = SecretStr("")


PROMPT = "prompt:"  # a reference that a person answers: nobody is asked in the middle of a look


@dataclass
class Account:
    """What there is at Bandwidth by the site's names, as far as it could be read; None: not there, or not read."""

    application: Application | None = None
    realm: Realm | None = None
    credential: SipCredential | None = None
    sip_uri: InboundSipUri | None = None


@dataclass
class Configured:
    """What is on the PBX by the site's names, None: not there, or not read."""

    trunk: Trunk | None = None
    route: OutboundRoute | None = None
    extension: Extension | None = None


@dataclass
class Scene:
    """One look. calls: whether calls may be placed (on a live account they may be billed). after_call: the call to
    explain instead. since, way: from when on SIP messages belong to a test call that has just failed (seconds since
    1970, 0 for "not looked for"), and which one it was: "outward" or "inward".

    our_calls: Call-IDs that are none of the calls to look at: of our own agent, and of before. Probes run in threads;
    each writes only what is its own here. over: set when the look ends, in whatever way: no probe goes on with a call
    then. phones: the scripted phones that were switched on; whoever ends the look ends their calls.
    threads: of each probe by its name.
    """

    run: Run
    calls: bool = True
    after_call: str = ""
    since: float = 0.0
    way: str = ""
    account: Account = field(default_factory=Account)
    on_pbx: Configured = field(default_factory=Configured)
    contact: str = ""  # of the extension: "none", "alive", "silent"
    trunk_ha1: SecretStr = NO_SECRET  # of a PBX that keeps it in the place of the trunk's password
    dialled: Dialled | None = None  # what the PBX does with the dialled number in the extension's context
    inbound: Dialled | None = None  # and with the extension's number in the trunk's, where that is not as written
    reloaded_at: float = 0.0  # when the PBX last read its files, seconds since 1970; 0 when it does not say
    traps: list[Finding] = field(default_factory=list)
    sip_call_ids: set[str] = field(default_factory=set)
    our_calls: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)
    phones: list[Phone] = field(default_factory=list)
    threads: dict[str, threading.Thread] = field(default_factory=dict)
    ladders: dict[str, tuple[list[SipEvent], int | None]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """What the trunk leads to: the realm's FQDN or the SIP URI's host; "" while it is not known."""
        if self.run.settings.road == "sip-uri":
            return self.account.sip_uri.host if self.account.sip_uri else ""
        return self.account.realm.fqdn if self.account.realm else ""

    @property
    def password_reference(self) -> str:
        """Where the site file says that the trunk's password is: "file:..."."""
        settings = self.run.settings
        return settings.sip_credential.password if settings.road == "realm" else settings.sip_uri.password

    def password(self) -> SecretStr | None:
        """The trunk's password, as the site refers to it; None when the reference gives nothing now."""
        return self._secret(self.password_reference)

    def extension_secret(self) -> SecretStr | None:
        return self._secret(self.run.settings.pbx.extension_secret)

    def _secret(self, reference: str) -> SecretStr | None:
        if reference.startswith(PROMPT):
            return None
        try:
            return self.run.secret(reference)
        except BwlibError:
            return None


Probe = Callable[[Scene], list[Fact]]
