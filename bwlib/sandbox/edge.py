"""The SIP edge: what stands where a realm's FQDN leads to. One UDP port on loopback.

A PBX's INVITE is challenged with 407 in the realm of its Request-URI and checked against the stored hashes alone:
`user` against Hash1, `user@FQDN` against Hash1b (dev.bandwidth.com/docs/account/sipRegistrar, read 2026-11-23;
RFC 3261 section 22). The credential's HttpVoiceV2AppId says which application gets the call. Answers that no public
source states are switches. Programmatic calls leave from the same port.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Any

from bwlib.sandbox.admission import Admitted, Challenge, Refusal
from bwlib.sandbox.applications import ApplicationRow, find_application
from bwlib.sandbox.edge_legs import InboundLeg, OutboundLeg
from bwlib.sandbox.faults import Faults
from bwlib.sandbox.leg import CallFailed, CallLeg
from bwlib.sandbox.realms import RealmRow, default_realm, find_realm
from bwlib.sandbox.sip_credentials import CredentialRow, find_credential, only_credential
from bwlib.sandbox.sip_faults import break_audio, datagram_fault, hold_back, wrong_status
from bwlib.sandbox.sip_trace import SipTrace
from bwlib.sandbox.sip_uri_edge import SipUriDoor, is_for_sip_uri
from bwlib.sandbox.state import State
from bwlib.sandbox.switchboard import Switchboard
from bwlib.sandbox.webhooks import is_loopback
from bwlib.sip.agent import SILENT, Agent, IncomingCall
from bwlib.sip.digest import DigestServer, Verdict
from bwlib.sip.media import Media, SdpError
from bwlib.sip.message import Request, Response
from bwlib.sip.uri import NameAddr, SipUri, SipUriError, is_e164

log = logging.getLogger(__name__)
HOSTS = ("127.0.0.2", "127.0.0.1")  # an address of its own where the system has it: ladders read better


class Edge:
    """start() binds; after stop(), start() binds the same port again."""

    def __init__(
        self,
        state: State,
        switchboard: Switchboard,
        on_activity: Callable[[], None],
        port: int = 0,
        faults: Faults | None = None,
    ) -> None:
        self._state = state
        self._switchboard = switchboard
        self._faults = faults or Faults()
        self._digest = DigestServer()
        self._sip_uris = SipUriDoor(state)
        self._bind: tuple[str, int] | None = None
        self._port = port
        self._agent: Agent | None = None
        self.trace = SipTrace(on_activity)

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        if self._agent is not None:
            return
        for host in [self._bind[0]] if self._bind else HOSTS:
            agent = Agent(
                host,
                self._bind[1] if self._bind else self._port,
                user_agent="bw-runbook-sandbox",
                on_invite=self._on_invite,
                on_request=self._on_request,
                on_event=self.trace.add,
                fault=datagram_fault(self._faults),
            )
            try:
                await agent.start()
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or host == HOSTS[-1]:
                    raise
                continue
            self._agent, self._bind = agent, agent.address
            return

    async def stop(self) -> None:
        """Gone without a word, as after a crash: calls that are up get no BYE."""
        if self._agent is not None:
            await self._agent.stop()
            self._agent = None

    @property
    def running(self) -> bool:
        return self._agent is not None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, or did before it was stopped."""
        assert self._bind is not None, "the edge was never started"
        return self._bind

    # ---------------------------------------------------------------- calls to a SIP URI

    async def dial(self, to: str, from_: str, call: dict[str, Any]) -> CallLeg:
        """INVITE to `sip:user@host[:port]` on loopback. Raises CallFailed when it cannot be tried."""
        if self._agent is None:
            raise CallFailed("error", "the SIP edge is stopped")
        if is_e164(to):
            raise CallFailed("error", f"the sandbox does not imitate the PSTN: {to} cannot be reached")
        try:
            target = SipUri.parse(to)
        except SipUriError as error:
            raise CallFailed("error", f"{to}: {error}") from error
        if target.scheme != "sip" or not is_loopback(target.host):
            raise CallFailed("error", f"the sandbox calls sip: URIs on loopback only, not {to}")
        media = Media(self.address[0])
        calling = self._agent.invite(target, from_uri=f"sip:{from_}@{self.address[0]}", sdp=media.offer())
        break_audio(self._faults, media, calling.sip_call_id, to, from_)
        return OutboundLeg(calling, media)

    # ---------------------------------------------------------------- what comes in

    def _on_request(self, request: Request) -> Response | None:
        if request.method == "REGISTER":
            return request.response(int(self._state.switch("register")))
        if request.method != "OPTIONS" or self._state.switch("options") == "200":
            return None  # the agent's own answer
        return SILENT if self._state.switch("options") == "silent" else request.response(405)

    async def _on_invite(self, call: IncomingCall) -> None:
        await hold_back(self._faults, call)
        try:
            by_sip_uri = is_for_sip_uri(call.request)
            admitted = self._sip_uris.admit(call) if by_sip_uri else self._by_realm(call.request)
            media = Media(self.address[0])
        except Challenge as challenge:
            call.challenge(challenge.header, challenge.value)
        except Refusal as refusal:
            self._refuse(call, refusal)
        else:
            await self._connect(call, media, admitted)

    def _by_realm(self, request: Request) -> Admitted:
        """Raises Challenge or Refusal."""
        credential, from_ = self._admit(request, self._realm_of(request))
        return Admitted(self._application_of(credential), SipUri.parse(request.uri).user or "", from_)

    async def _connect(self, call: IncomingCall, media: Media, admitted: Admitted) -> None:
        try:
            answer = media.answer(call.remote_sdp) if call.remote_sdp else media.offer()
        except SdpError as error:
            await media.close()
            self._refuse(call, Refusal(488, str(error)))
            return
        wrong = wrong_status(self._faults, call)
        if wrong is not None:
            await media.close()
            call.reject(wrong)
            return
        break_audio(self._faults, media, call.sip_call_id, admitted.to, admitted.from_)
        self._switchboard.take_inbound(InboundLeg(call, media, answer), admitted)

    def _refuse(self, call: IncomingCall, refusal: Refusal) -> None:
        log.info("INVITE %s: %d, %s", call.sip_call_id, refusal.status, refusal.why)
        text = refusal.why.replace("\\", "").replace('"', "'")
        status = wrong_status(self._faults, call) or refusal.status
        call.reject(status, headers=[("Warning", f'399 bw-runbook-sandbox "{text}"')])

    def _realm_of(self, request: Request) -> RealmRow:
        host = SipUri.parse(request.uri).host.rstrip(".").lower()
        realm = find_realm(self._state, host)
        if self._state.switch("challenge") == "off" and host == self.address[0]:
            realm = default_realm(self._state)
        elif realm is not None and realm.fqdn != host:
            realm = None
        if realm is None:
            raise Refusal(int(self._state.switch("unknown_realm_status")), f"there is no realm {host}")
        if realm.status != "ACTIVE":
            raise Refusal(int(self._state.switch("inactive_realm_status")), f"realm {host} is {realm.status}")
        return realm

    def _admit(self, request: Request, realm: RealmRow) -> tuple[CredentialRow, str]:
        """The credential that a call is made with, and the caller's number."""
        if self._state.switch("challenge") == "on":
            return self._authenticate(request, realm), self._caller_of(request)
        credential = find_credential(self._state, realm, _user_of(request.headers.get("From")))
        if credential is not None:  # its name stands where the number should: the account's first number stands in
            return credential, self._state.identity.numbers[0]
        credential = only_credential(self._state, realm)
        if credential is None:
            status = int(self._state.switch("unbound_credential_status"))
            raise Refusal(status, "nobody is challenged, and the From user does not say which credential is meant")
        return credential, self._caller_of(request)

    def _authenticate(self, request: Request, realm: RealmRow) -> CredentialRow:
        matched: dict[str, CredentialRow] = {}

        def find_ha1(username: str, _realm: str) -> str | None:
            found = self._hash_of(realm, username)
            if found is None:
                return None
            matched[username], value = found
            return value

        challenge = self._digest.challenge(realm.fqdn)
        check_uri = self._state.switch("digest_uri") == "must-match"
        for authorization in request.headers.get_all("Proxy-Authorization"):
            result = self._digest.check(request, authorization, find_ha1, realm=realm.fqdn, check_uri=check_uri)
            if result.ok:
                return matched[result.username]
            if result.verdict is Verdict.STALE:
                challenge = self._digest.challenge(realm.fqdn, stale=True)
            elif result.verdict is Verdict.MALFORMED:
                raise Refusal(400, "the Proxy-Authorization header cannot be read")
            elif result.verdict is not Verdict.CHALLENGE:
                self._refuse_credentials(result.verdict)
        raise Challenge(challenge)

    def _refuse_credentials(self, verdict: Verdict) -> None:
        """One answer for unknown users and wrong passwords: a stranger learns nothing. 407 asks once more."""
        log.info("digest check: %s", verdict.value)
        status = int(self._state.switch("wrong_password_status"))
        if status != 407:
            raise Refusal(status, "the credentials do not fit")

    def _hash_of(self, realm: RealmRow, username: str) -> tuple[CredentialRow, str] | None:
        credential = find_credential(self._state, realm, username)
        if credential is not None:
            return credential, credential.hash1
        user, _, domain = username.rpartition("@")
        credential = find_credential(self._state, realm, user) if domain.lower() == realm.fqdn else None
        return (credential, credential.hash1b) if credential is not None and credential.hash1b else None

    def _caller_of(self, request: Request) -> str:
        """The caller's number, which must be one of the account's."""
        numbers = self._state.identity.numbers
        shown = _user_of(request.headers.get("From"))
        if shown not in numbers and self._state.switch("caller_id_source") == "from-or-pai":
            shown = _user_of(request.headers.get("P-Asserted-Identity"))
        if shown not in numbers:
            status = int(self._state.switch("foreign_caller_id_status"))
            raise Refusal(status, f"caller id {shown or '(none)'} is not a number of the account")
        return shown

    def _application_of(self, credential: CredentialRow) -> ApplicationRow:
        if credential.application_id is None:
            status = int(self._state.switch("unbound_credential_status"))
            raise Refusal(status, "the credential has no application, and the PSTN is not imitated")
        application = find_application(self._state, credential.application_id)
        if application is None:
            raise Refusal(404, "the application of the credential is gone")
        return application


def _user_of(header: str | None) -> str:
    try:
        return NameAddr.parse(header or "").sip_uri().user or ""
    except SipUriError:
        return ""
