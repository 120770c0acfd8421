"""Calls to an application's Inbound SIP URI, as the edge takes them: who may call, and what `initiate` is told.

dev.bandwidth.com/docs/voice/programmable-voice/inbound-sip-uri (read 2026-11-23): digest password, source addresses, or
both; regions; the ordinary `initiate`. X- headers: `sipHeaders` of github.com/Bandwidth/python-sdk bandwidth.yml. The
digest's user name and every SIP answer are not public: switches.
"""

from __future__ import annotations

import logging

from bwlib.sandbox.admission import Admitted, Challenge, Refusal
from bwlib.sandbox.applications import ApplicationRow, find_application
from bwlib.sandbox.sip_uris import HOST, SipUriRow, digest_user, find_by_uuid
from bwlib.sandbox.state import State
from bwlib.sip.agent import IncomingCall
from bwlib.sip.digest import DigestServer, Verdict
from bwlib.sip.message import Request
from bwlib.sip.uri import NameAddr, SipUri, SipUriError

log = logging.getLogger(__name__)
# What carries the answer, and what asks for it, by the status that asks (RFC 3261 section 22).
_HEADERS = {"401": ("Authorization", "WWW-Authenticate"), "407": ("Proxy-Authorization", "Proxy-Authenticate")}


def is_for_sip_uri(request: Request) -> bool:
    """Is the Request-URI's host that of the SIP URIs?"""
    return SipUri.parse(request.uri).host.rstrip(".").lower() == HOST


class SipUriDoor:
    """Admits callers of SIP URIs, of any account."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._digest = DigestServer()

    def admit(self, call: IncomingCall) -> Admitted:
        """Raises Challenge or Refusal."""
        uri = SipUri.parse(call.request.uri)
        row = find_by_uuid(self._state, uri.user or "")
        state = self._state if row is None else self._state.account(row.account_id) or self._state
        application = find_application(state, row.application_id) if row is not None else None
        if row is None or application is None or not row.enabled:
            raise Refusal(int(state.switch("unknown_sip_uri_status")), "there is no such SIP URI, or it is disabled")
        self._check_region(state, row)
        self._check_caller(state, row, call)
        return _admitted(state, row, application, call.request)

    def _check_region(self, state: State, row: SipUriRow) -> None:
        here = state.switch("sip_uri_region")
        if row.regions and here not in row.regions:
            raise self._refused(state, f"calls from {here} are not in allowedRegions")

    def _check_caller(self, state: State, row: SipUriRow, call: IncomingCall) -> None:
        """Password, address, or both: with both, the switch sip_uri_both says whether one is enough."""
        known = row.admits_source(call.source[0])
        either = state.switch("sip_uri_both") == "either" and row.password_auth
        if row.source_ips and not known and not either:
            raise self._refused(state, f"{call.source[0]} is not in allowedSourceIps")
        if row.password_auth and not (known and either):
            self._check_password(state, row, call.request)

    def _check_password(self, state: State, row: SipUriRow, request: Request) -> None:
        kind = state.switch("sip_uri_digest_user")
        wanted = digest_user(row, kind)

        def find_ha1(username: str, _realm: str) -> str | None:
            return row.ha1s.get(kind) if username == wanted else None

        sent, asks = _HEADERS[state.switch("sip_uri_challenge_status")]
        challenge = self._digest.challenge(HOST)
        for authorization in request.headers.get_all(sent):
            result = self._digest.check(request, authorization, find_ha1, realm=HOST, check_uri=False)
            if result.ok:
                return
            if result.verdict is Verdict.MALFORMED:
                raise Refusal(400, f"the {sent} header cannot be read")
            if result.verdict is Verdict.STALE:
                challenge = self._digest.challenge(HOST, stale=True)
            elif result.verdict is not Verdict.CHALLENGE:
                log.info("digest check for a SIP URI: %s", result.verdict.value)
                raise self._refused(state, "the credentials do not fit")
        raise Challenge(challenge, asks)

    @staticmethod
    def _refused(state: State, why: str) -> Refusal:
        return Refusal(int(state.switch("sip_uri_refused_status")), why)


def _admitted(state: State, row: SipUriRow, application: ApplicationRow, request: Request) -> Admitted:
    caller = _user_of(request.headers.get("From"))
    if state.switch("sip_uri_caller_id") == "own-numbers" and caller not in state.identity.numbers:
        status = int(state.switch("foreign_caller_id_status"))
        raise Refusal(status, f"caller id {caller or '(none)'} is not a number of the account")
    to = row.uri if state.switch("sip_uri_to") == "uri" else row.uuid
    return Admitted(application, to, caller, x_headers(request))


def x_headers(request: Request) -> dict[str, str]:
    """The X- headers of an INVITE: names in lower case, of several of one name the last."""
    return {name.lower(): value for name, value in request.headers if name.lower().startswith("x-")}


def _user_of(header: str | None) -> str:
    try:
        return NameAddr.parse(header or "").sip_uri().user or ""
    except SipUriError:
        return ""
