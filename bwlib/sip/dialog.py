"""Dialogs: what both ends remember of a call, and the requests inside it (RFC 3261 section 12). No I/O."""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass, field

from bwlib.sip.digest import Credentials, DigestError, answer_challenge, parse_auth_params
from bwlib.sip.message import Headers, Request, Response, SipMessageError
from bwlib.sip.transport import Address
from bwlib.sip.uri import NameAddr, SipUri, SipUriError

log = logging.getLogger(__name__)

_CHALLENGES = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}

DialogKey = tuple[str, str, str]


@dataclass
class Dialog:
    """local and remote are the From/To values with their tags; peer is where packets go when a host is only a name."""

    call_id: str
    local: str
    remote: str
    remote_target: str
    peer: Address
    local_cseq: int
    remote_cseq: int = -1
    route_set: list[str] = field(default_factory=list)

    @property
    def key(self) -> DialogKey:
        return (self.call_id, NameAddr.parse(self.local).tag, NameAddr.parse(self.remote).tag)

    @classmethod
    def as_server(cls, invite: Request, to_tag: str) -> Dialog:
        """From an INVITE that we answer with to_tag: the route set is Record-Route in order."""
        return cls(
            call_id=invite.call_id,
            local=f"{invite.headers.get('To')};tag={to_tag}",
            remote=invite.headers.get("From") or "",
            remote_target=contact_uri(invite) or invite.from_addr.uri,
            peer=invite.source,
            local_cseq=0,
            remote_cseq=invite.cseq[0],
            route_set=invite.headers.get_list("Record-Route"),
        )

    @classmethod
    def as_client(cls, invite: Request, response: Response, peer: Address) -> Dialog:
        """From the 2xx to our INVITE: the route set is Record-Route in reverse order."""
        return cls(
            call_id=invite.call_id,
            local=invite.headers.get("From") or "",
            remote=response.headers.get("To") or "",
            remote_target=contact_uri(response) or invite.uri,
            peer=peer,
            local_cseq=invite.cseq[0],
            route_set=response.headers.get_list("Record-Route")[::-1],
        )

    def refresh_target(self, message: Request | Response) -> None:
        """A re-INVITE or its 2xx may move the remote target (RFC 3261 section 12.2)."""
        self.remote_target = contact_uri(message) or self.remote_target

    def request(self, method: str, cseq: int | None = None) -> Request:
        """A request inside the dialog, without Via and Contact. cseq None takes the next number."""
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        uri, routes = self.remote_target, self.route_set
        if routes and "lr" not in _route_params(routes[0]):  # a strict router (RFC 3261 section 12.2.1.1)
            uri, routes = NameAddr.parse(routes[0]).uri, [*routes[1:], f"<{self.remote_target}>"]
        headers = Headers([("Route", route) for route in routes])
        headers.add("Max-Forwards", "70")
        headers.add("From", self.local)
        headers.add("To", self.remote)
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{cseq} {method}")
        return Request(method, uri, headers=headers)

    def next_hop(self) -> Address:
        """Where to send: the first route, else the remote target; a host name stands for the peer we know."""
        target = NameAddr.parse(self.route_set[0]).uri if self.route_set else self.remote_target
        return literal_address(target) or self.peer


def _route_params(route: str) -> dict[str, str]:
    try:
        return dict(NameAddr.parse(route).sip_uri().params)
    except SipUriError:
        return {"lr": ""}


def literal_address(uri: str) -> Address | None:
    """Host and port of a SIP URI whose host is an IPv4 address, else None."""
    try:
        parsed = SipUri.parse(uri)
        ipaddress.IPv4Address(parsed.host)
    except ValueError:
        return None
    return (parsed.host, parsed.port or 5060)


def contact_uri(message: Request | Response) -> str | None:
    """The SIP URI of the first Contact, None without a usable one."""
    try:
        uri = NameAddr.parse(message.headers.get_list("Contact")[0]).uri
        SipUri.parse(uri)
    except (IndexError, SipUriError):
        return None
    return uri


def authorize(request: Request, response: Response, credentials: Credentials | None) -> Request | None:
    """The request again with an answer to a 401/407, CSeq one higher and without Via; None when there is no point.

    No point: no credentials, no MD5 challenge, or our answer in that realm was refused already (unless stale=true).
    """
    if credentials is None or response.status not in _CHALLENGES:
        return None
    challenge_name, answer_name = _CHALLENGES[response.status]
    answered = [parse_auth_params(value).get("realm") for value in request.headers.get_all(answer_name)]
    for challenge in response.headers.get_all(challenge_name):
        try:
            params = parse_auth_params(challenge)
            if params.get("realm") in answered and params.get("stale", "").lower() != "true":
                continue
            answer = answer_challenge(challenge, request.method, request.uri, credentials)
            retry = renumbered(request)
            retry.headers.remove(answer_name)
            retry.headers.add(answer_name, answer)
            return retry
        except (DigestError, SipMessageError) as error:
            log.info("a %d challenge cannot be answered: %s", response.status, error)
    return None


def renumbered(request: Request) -> Request:
    """A copy of our own request without Via, CSeq one higher, everything else kept."""
    headers = Headers((name, value) for name, value in request.headers if name != "Via")
    headers.set("CSeq", f"{request.cseq[0] + 1} {request.method}")
    return Request(request.method, request.uri, headers=headers, body=request.body)
