"""Calls to a realm, as the edge takes them: which account's it is, who may call, which application gets the call.

A PBX's INVITE is challenged with 407 in the realm of its Request-URI and checked against the stored hashes alone:
`user` against Hash1, `user@FQDN` against Hash1b (dev.bandwidth.com/docs/account/sipRegistrar, read 2026-11-23;
RFC 3261 section 22). The credential's HttpVoiceV2AppId says which application gets the call. Answers that no public
source states are switches.
"""

from __future__ import annotations

import logging

from bwlib.sandbox.admission import Admitted, Challenge, Refusal
from bwlib.sandbox.applications import ApplicationRow, find_application
from bwlib.sandbox.realms import RealmRow, default_realm, find_host
from bwlib.sandbox.sip_credentials import CredentialRow, find_credential, only_credential
from bwlib.sandbox.state import State
from bwlib.sip.digest import DigestServer, Verdict
from bwlib.sip.message import Request
from bwlib.sip.uri import NameAddr, SipUri, SipUriError

log = logging.getLogger(__name__)


class RealmDoor:
    """Admits callers of realms, of any account."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._digest = DigestServer()

    def admit(self, request: Request, edge_host: str) -> Admitted:
        """Raises Challenge or Refusal."""
        state, realm = self._realm_of(request, edge_host)
        credential, from_ = self._caller(state, realm, request)
        return Admitted(_application_of(state, credential), SipUri.parse(request.uri).user or "", from_)

    def _realm_of(self, request: Request, edge_host: str) -> tuple[State, RealmRow]:
        """The realm that the Request-URI names, and its account's view."""
        host = SipUri.parse(request.uri).host.rstrip(".").lower()
        found = find_host(self._state, host)
        if self._state.switch("challenge") == "off" and host == edge_host:
            default = default_realm(self._state)
            found = None if default is None else (self._state, default)
        if found is None:
            raise Refusal(int(self._state.switch("unknown_realm_status")), f"there is no realm {host}")
        state, realm = found
        if realm.status != "ACTIVE":
            raise Refusal(int(state.switch("inactive_realm_status")), f"realm {host} is {realm.status}")
        return state, realm

    def _caller(self, state: State, realm: RealmRow, request: Request) -> tuple[CredentialRow, str]:
        """The credential that a call is made with, and the caller's number."""
        if state.switch("challenge") == "on":
            return self._authenticate(state, realm, request), _number_of(state, request)
        credential = find_credential(state, realm, _user_of(request.headers.get("From")))
        if credential is not None:  # its name stands where the number should: the account's first number stands in
            return credential, state.identity.numbers[0]
        credential = only_credential(state, realm)
        if credential is None:
            status = int(state.switch("unbound_credential_status"))
            raise Refusal(status, "nobody is challenged, and the From user does not say which credential is meant")
        return credential, _number_of(state, request)

    def _authenticate(self, state: State, realm: RealmRow, request: Request) -> CredentialRow:
        matched: dict[str, CredentialRow] = {}

        def find_ha1(username: str, _realm: str) -> str | None:
            found = _hash_of(state, realm, username)
            if found is None:
                return None
            matched[username], value = found
            return value

        challenge = self._digest.challenge(realm.fqdn)
        check_uri = state.switch("digest_uri") == "must-match"
        for authorization in request.headers.get_all("Proxy-Authorization"):
            result = self._digest.check(request, authorization, find_ha1, realm=realm.fqdn, check_uri=check_uri)
            if result.ok:
                return matched[result.username]
            if result.verdict is Verdict.STALE:
                challenge = self._digest.challenge(realm.fqdn, stale=True)
            elif result.verdict is Verdict.MALFORMED:
                raise Refusal(400, "the Proxy-Authorization header cannot be read")
            elif result.verdict is not Verdict.CHALLENGE:
                _refuse_credentials(state, result.verdict)
        raise Challenge(challenge)


def _refuse_credentials(state: State, verdict: Verdict) -> None:
    """One answer for unknown users and wrong passwords: a stranger learns nothing. 407 asks once more."""
    log.info("digest check: %s", verdict.value)
    status = int(state.switch("wrong_password_status"))
    if status != 407:
        raise Refusal(status, "the credentials do not fit")


def _hash_of(state: State, realm: RealmRow, username: str) -> tuple[CredentialRow, str] | None:
    credential = find_credential(state, realm, username)
    if credential is not None:
        return credential, credential.hash1
    user, _, domain = username.rpartition("@")
    credential = find_credential(state, realm, user) if domain.lower() == realm.fqdn else None
    return (credential, credential.hash1b) if credential is not None and credential.hash1b else None


def _number_of(state: State, request: Request) -> str:
    """The caller's number, which must be one of the account's."""
    numbers = state.identity.numbers
    shown = _user_of(request.headers.get("From"))
    if shown not in numbers and state.switch("caller_id_source") == "from-or-pai":
        shown = _user_of(request.headers.get("P-Asserted-Identity"))
    if shown not in numbers:
        status = int(state.switch("foreign_caller_id_status"))
        raise Refusal(status, f"caller id {shown or '(none)'} is not a number of the account")
    return shown


def _application_of(state: State, credential: CredentialRow) -> ApplicationRow:
    if credential.application_id is None:
        status = int(state.switch("unbound_credential_status"))
        raise Refusal(status, "the credential has no application, and the PSTN is not imitated")
    application = find_application(state, credential.application_id)
    if application is None:
        raise Refusal(404, "the application of the credential is gone")
    return application


def _user_of(header: str | None) -> str:
    try:
        return NameAddr.parse(header or "").sip_uri().user or ""
    except SipUriError:
        return ""
