"""Digest, both sides, against the published example and against every wrong answer."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from bwlib.sip.digest import (
    Credentials,
    DigestError,
    DigestResult,
    DigestServer,
    Verdict,
    answer_challenge,
    digest_response,
    ha1,
    parse_auth_params,
)
from bwlib.sip.message import Request

REALM = "site.auth.bandwidth.test"
URI = f"sip:+19195550100@{REALM}"
ALICE = Credentials("alice", SecretStr("right"))
INVITE = Request("INVITE", URI)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def find_ha1(username: str, realm: str) -> str | None:
    return ha1("alice", realm, "right") if username == "alice" else None


def check(server: DigestServer, authorization: str, **options: object) -> Verdict:
    return server.check(INVITE, authorization, find_ha1, **options).verdict  # type: ignore[arg-type]


def answer(server: DigestServer, credentials: Credentials = ALICE, **options: int) -> str:
    return answer_challenge(server.challenge(REALM), "INVITE", URI, credentials, **options)


def test_the_response_is_that_of_rfc_2617_section_3_5() -> None:
    secret = ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    got = digest_response(secret, "GET", "/dir/index.html", nonce, "00000001", "0a4f113b")
    assert got == "6629fae49393a05397450978507c4ef1"


def test_the_response_without_qop_is_that_of_rfc_2069() -> None:
    secret = ha1("Mufasa", "testrealm@host.com", "CircleOfLife")  # the example as corrected by its errata
    got = digest_response(secret, "GET", "/dir/index.html", "dcd98b7102dd2f0e8b11d0f600bfb0c093")
    assert got == "1949323746fe6a43ef61f9606e7febea"


def test_the_right_password_is_accepted() -> None:
    server = DigestServer()
    assert server.check(INVITE, answer(server), find_ha1) == DigestResult(Verdict.OK, "alice", REALM)


def test_a_wrong_password_and_an_unknown_user_are_told_apart() -> None:
    server = DigestServer()
    assert check(server, answer(server, Credentials("alice", SecretStr("wrong")))) is Verdict.WRONG_PASSWORD
    assert check(server, answer(server, Credentials("bob", SecretStr("right")))) is Verdict.UNKNOWN_USER


def test_the_same_nc_is_stale_and_the_next_is_accepted() -> None:
    server = DigestServer()
    challenge = server.challenge(REALM)
    first, second = (answer_challenge(challenge, "INVITE", URI, ALICE, nc=nc) for nc in (1, 2))
    assert [check(server, value) for value in (first, first, second, first)] == [
        Verdict.OK,
        Verdict.STALE,
        Verdict.OK,
        Verdict.STALE,
    ]


def test_a_wrong_password_does_not_use_up_the_nonce() -> None:
    server = DigestServer()
    challenge = server.challenge(REALM)
    bad = answer_challenge(challenge, "INVITE", URI, Credentials("alice", SecretStr("no")), nc=99)
    assert check(server, bad) is Verdict.WRONG_PASSWORD
    assert check(server, answer_challenge(challenge, "INVITE", URI, ALICE)) is Verdict.OK


def test_an_old_nonce_is_stale_and_forgotten() -> None:
    clock = Clock()
    server = DigestServer(nonce_ttl_s=60, clock=clock)
    old = answer(server)
    assert check(server, answer(server)) is Verdict.OK
    clock.now_s += 61
    assert check(server, old) is Verdict.STALE
    assert len(server._last_nc) == 1, "only the nonce just used is remembered"
    assert "stale=true" in server.challenge(REALM, stale=True)


def test_a_foreign_nonce_or_realm_is_challenged_again() -> None:
    server = DigestServer()
    assert check(server, answer(DigestServer())) is Verdict.CHALLENGE
    moved = answer(server).replace(f'realm="{REALM}"', 'realm="other"')
    assert check(server, moved) is Verdict.CHALLENGE
    assert check(server, answer(server), realm="tenant2.auth.bandwidth.test") is Verdict.CHALLENGE


def test_a_digest_for_another_uri_is_found_unless_told_otherwise() -> None:
    server = DigestServer()
    other = answer_challenge(server.challenge(REALM), "INVITE", "sip:127.0.0.1:5060", ALICE)
    assert check(server, other) is Verdict.WRONG_URI
    assert check(server, other, check_uri=False) is Verdict.OK


def test_the_same_uri_written_differently_is_the_same() -> None:
    server = DigestServer()
    other = answer_challenge(
        server.challenge(REALM), "INVITE", URI.replace(REALM, REALM.upper()) + ";user=phone", ALICE
    )
    assert check(server, other) is Verdict.OK


def test_a_client_without_qop_is_served_once_per_nonce() -> None:
    server = DigestServer()
    challenge = server.challenge(REALM).replace(', qop="auth"', "")
    old_style = answer_challenge(challenge, "INVITE", URI, ALICE)
    assert "qop" not in old_style
    assert [check(server, old_style), check(server, old_style)] == [Verdict.OK, Verdict.STALE]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic abc",
        "Digest",
        "Digest username",
        'Digest username="u',
        "Digest username=u, username=v",
        'Digest username="u",realm="r",nonce="n",uri="u",response="x",qop=auth-int,nc=00000001,cnonce="c"',
        'Digest username="u",realm="r",nonce="n",uri="u",response="x",qop=auth,nc=zz,cnonce="c"',
        'Digest username="u",realm="r",nonce="n",uri="u",response="x",algorithm=SHA-256',
    ],
)
def test_an_unreadable_authorization_is_malformed_not_an_exception(value: str) -> None:
    assert check(DigestServer(), value) is Verdict.MALFORMED


def test_a_garbled_nonce_is_never_an_exception() -> None:
    server = DigestServer()
    for nonce in ("", ".", "..", "zz.zz.zz", "é.é", "\x00"):
        value = f'Digest username="alice",realm="{REALM}",nonce="{nonce}",uri="{URI}",response="é"'
        assert check(server, value) is Verdict.CHALLENGE


def test_the_client_picks_auth_and_echoes_opaque_and_quotes() -> None:
    challenge = 'Digest realm="a \\"b\\"", nonce="n", opaque="o", qop="auth-int,auth", algorithm=md5'
    params = parse_auth_params(answer_challenge(challenge, "REGISTER", "sip:x", ALICE))
    assert (params["realm"], params["opaque"], params["qop"], params["nc"]) == ('a "b"', "o", "auth", "00000001")


@pytest.mark.parametrize(
    "challenge",
    [
        'Digest realm="r",nonce="n",algorithm=SHA-256',
        'Digest realm="r",nonce="n",qop="auth-int"',
        'Digest nonce="n"',
        "Bearer x",
    ],
)
def test_the_client_refuses_what_it_cannot_do(challenge: str) -> None:
    with pytest.raises(DigestError):
        answer_challenge(challenge, "INVITE", URI, ALICE)


def test_no_secret_shows_in_any_repr() -> None:
    assert "right" not in repr(ALICE)
    assert "_key" not in repr(DigestServer())
