"""HTTP digest as SIP uses it, both sides: MD5 with qop=auth, and the RFC 2069 form without qop.

RFC 3261 section 22, RFC 2617 section 3. The server side needs only HA1 hashes, never a password.
Nothing here puts a password, an HA1 or a response value into an exception or a log line.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import SecretStr

from bwlib.sip.message import Request
from bwlib.sip.uri import SipUri, SipUriError, split_outside_quotes


class DigestError(ValueError):
    """A challenge or an answer that cannot be read, or asks for something other than MD5 with qop=auth."""


@dataclass(frozen=True)
class Credentials:
    """Who we say we are when challenged, in whatever realm the challenge names."""

    username: str
    password: SecretStr


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def ha1(username: str, realm: str, password: str) -> str:
    """HA1 = MD5(username:realm:password) (RFC 2617 section 3.2.2.2). As good as the password: a secret."""
    return _md5(f"{username}:{realm}:{password}")


def digest_response(ha1_value: str, method: str, uri: str, nonce: str, nc: str = "", cnonce: str = "") -> str:
    """The response value: with nc for qop=auth, without nc the RFC 2069 form (RFC 2617 section 3.2.2.1)."""
    ha2 = _md5(f"{method}:{uri}")
    if not nc:
        return _md5(f"{ha1_value}:{nonce}:{ha2}")
    return _md5(f"{ha1_value}:{nonce}:{nc}:{cnonce}:auth:{ha2}")


def parse_auth_params(value: str) -> dict[str, str]:
    """The parameters of a `Digest name=value, ...` header, unquoted; names lower case. Raises DigestError."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise DigestError("the scheme is not Digest")
    params: dict[str, str] = {}
    try:
        parts = split_outside_quotes(rest, ",")
    except SipUriError as error:
        raise DigestError("a quoted value does not end") from error
    for part in parts:
        name, equals, text = part.partition("=")
        name, text = name.strip().lower(), text.strip()
        if not equals or not name or name in params:
            raise DigestError("a parameter is repeated or has no value")
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
        params[name] = text
    return params


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# ---------------------------------------------------------------- client side


def answer_challenge(challenge: str, method: str, uri: str, credentials: Credentials, *, nc: int = 1) -> str:
    """The (Proxy-)Authorization value that answers a (Proxy-)Authenticate value. Raises DigestError.

    Raise `nc` by one for each further request on the same nonce.
    """
    params = parse_auth_params(challenge)
    if params.get("algorithm", "MD5").upper() != "MD5":
        raise DigestError("the challenge asks for an algorithm other than MD5")
    if "realm" not in params or "nonce" not in params:
        raise DigestError("the challenge has no realm or no nonce")
    qops = [qop.strip().lower() for qop in params.get("qop", "").split(",") if qop.strip()]
    if qops and "auth" not in qops:
        raise DigestError("the challenge asks for a qop other than auth")
    realm, nonce = params["realm"], params["nonce"]
    secret = ha1(credentials.username, realm, credentials.password.get_secret_value())
    nc_text, cnonce = (f"{nc:08x}", secrets.token_hex(8)) if qops else ("", "")
    parts = [
        f"username={_quoted(credentials.username)}",
        f"realm={_quoted(realm)}",
        f"nonce={_quoted(nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{digest_response(secret, method, uri, nonce, nc_text, cnonce)}"',
        "algorithm=MD5",
    ]
    if "opaque" in params:
        parts.append(f"opaque={_quoted(params['opaque'])}")
    if qops:
        parts += ["qop=auth", f"nc={nc_text}", f'cnonce="{cnonce}"']
    return "Digest " + ", ".join(parts)


# ---------------------------------------------------------------- server side


class Verdict(enum.Enum):
    OK = "ok"
    STALE = "stale"  # right password, but the nonce is old or nc was seen: challenge with stale=true
    CHALLENGE = "challenge"  # a nonce or a realm that is not ours: challenge again
    UNKNOWN_USER = "unknown_user"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105  a verdict, not a password
    WRONG_URI = "wrong_uri"  # right password, but the digest was made for another Request-URI
    MALFORMED = "malformed"  # answer 400


@dataclass(frozen=True)
class DigestResult:
    """What check() found. username and realm are as the client sent them, "" when unreadable."""

    verdict: Verdict
    username: str = ""
    realm: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.OK


@dataclass
class DigestServer:
    """Makes challenges and checks their answers. One instance serves any number of realms.

    A nonce is time, random and an HMAC that binds it to its realm, so that a challenge costs no memory; only nonces
    that were answered correctly are remembered (last nc), until they are older than nonce_ttl_s.
    """

    nonce_ttl_s: float = 60.0
    clock: Callable[[], float] = time.monotonic
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _last_nc: dict[str, tuple[float, int]] = field(default_factory=dict, repr=False)

    def challenge(self, realm: str, stale: bool = False) -> str:
        """The value of a WWW-Authenticate or Proxy-Authenticate header."""
        stamp = f"{int(self.clock() * 1000):x}.{secrets.token_hex(8)}"
        nonce = f"{stamp}.{self._sign(stamp, realm)}"
        stale_text = ", stale=true" if stale else ""
        return f'Digest realm={_quoted(realm)}, nonce="{nonce}", algorithm=MD5, qop="auth"{stale_text}'

    def _sign(self, stamp: str, realm: str) -> str:
        return hmac.new(self._key, f"{stamp}:{realm}".encode(), hashlib.sha256).hexdigest()[:32]

    def check(
        self,
        request: Request,
        authorization: str,
        find_ha1: Callable[[str, str], str | None],
        *,
        realm: str | None = None,
        check_uri: bool = True,
    ) -> DigestResult:
        """Check an (Proxy-)Authorization value for this request. Never raises on what the client sent.

        find_ha1(username, realm) gives the stored HA1, or None for an unknown user. realm, when given, is the only
        one accepted. check_uri False accepts a digest made for another URI (RFC 3261 section 22.4 lets proxies
        rewrite the Request-URI; SIPp signs its peer's address by default).
        """
        try:
            params = parse_auth_params(authorization)
            username, sent_realm, uri = params["username"], params["realm"], params["uri"]
            nonce, response = params["nonce"], params["response"].lower()
            nc = _read_nc(params)
        except (DigestError, KeyError):
            return DigestResult(Verdict.MALFORMED)
        age_s = self._nonce_age_s(nonce, sent_realm)
        if age_s is None or (realm is not None and realm != sent_realm):
            return DigestResult(Verdict.CHALLENGE, username, sent_realm)
        secret = find_ha1(username, sent_realm)
        if secret is None:
            return DigestResult(Verdict.UNKNOWN_USER, username, sent_realm)
        nc_text = params["nc"] if nc is not None else ""
        wanted = digest_response(secret.lower(), request.method, uri, nonce, nc_text, params.get("cnonce", ""))
        if not hmac.compare_digest(wanted.encode(), response.encode()):
            return DigestResult(Verdict.WRONG_PASSWORD, username, sent_realm)
        if check_uri and not _same_uri(uri, request.uri):
            return DigestResult(Verdict.WRONG_URI, username, sent_realm)
        fresh = age_s <= self.nonce_ttl_s and self._count(nonce, nc)
        return DigestResult(Verdict.OK if fresh else Verdict.STALE, username, sent_realm)

    def _nonce_age_s(self, nonce: str, realm: str) -> float | None:
        """Age of a nonce that we made for this realm; None for any other."""
        stamp, _, signature = nonce.rpartition(".")
        if not hmac.compare_digest(self._sign(stamp, realm).encode(), signature.encode()):
            return None
        return self.clock() - int(stamp.partition(".")[0], 16) / 1000

    def _count(self, nonce: str, nc: int | None) -> bool:
        """Note that nc was used; False when it was used before. Without nc (RFC 2069) a nonce serves once."""
        now = self.clock()
        while self._last_nc:  # oldest first: a dict keeps the order of first use
            oldest = next(iter(self._last_nc))
            if now - self._last_nc[oldest][0] <= self.nonce_ttl_s:
                break
            del self._last_nc[oldest]
        at, last = self._last_nc.get(nonce, (now, 0))
        if (nc is None and last) or (nc is not None and nc <= last):
            return False
        self._last_nc[nonce] = (at, nc or 1 << 32)
        return True


def _read_nc(params: dict[str, str]) -> int | None:
    """nc as a number, None in the RFC 2069 form. Raises DigestError or KeyError."""
    if params.get("algorithm", "MD5").upper() != "MD5":
        raise DigestError("the algorithm is not MD5")
    if "qop" not in params:
        return None
    if params["qop"].lower() != "auth" or not params["cnonce"] or not re.fullmatch(r"[0-9a-fA-F]{8}", params["nc"]):
        raise DigestError("qop, nc or cnonce is not usable")
    return int(params["nc"], 16)


def _same_uri(one: str, other: str) -> bool:
    """Equal as far as a digest cares: user, host (any case), port (RFC 3261 section 19.1.4, without parameters)."""
    if one == other:
        return True
    try:
        a, b = SipUri.parse(one), SipUri.parse(other)
    except SipUriError:
        return False
    return (a.scheme, a.user, a.host.lower(), a.port) == (b.scheme, b.user, b.host.lower(), b.port)
