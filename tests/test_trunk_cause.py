"""What the trunk's SIP messages prove about a failed call."""

from __future__ import annotations

from datetime import UTC, datetime

from bwlib.models import SipEvent
from bwlib.trunk_cause import likely_cause

CREDENTIALS = 'Proxy-Authorization: Digest username="pbx"\r\n'


def events(*texts: str) -> list[SipEvent]:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return [SipEvent(at, "127.0.0.1:5060", "127.0.0.2:5060", text + "\r\n\r\n") for text in texts]


def status(code: int, reason: str = "Some Reason") -> str:
    return f"SIP/2.0 {code} {reason}\r\nCSeq: 1 INVITE"


INVITE = "INVITE sip:+19195550199@realm SIP/2.0\r\n"
ACK = "ACK sip:+19195550199@realm SIP/2.0\r\n"


def cause(*texts: str) -> str:
    found = likely_cause(events(*texts), "bandwidth")
    assert found is not None
    assert found.fix
    return found.cause


def test_no_message_at_all_points_at_route_and_firewall() -> None:
    found = likely_cause([], "my-trunk")
    assert found is not None
    assert found.cause.startswith("No SIP message")
    assert "my-trunk" in found.fix


def test_messages_without_an_invite_say_that_the_call_never_left() -> None:
    assert cause("OPTIONS sip:realm SIP/2.0\r\n", status(200)).startswith("No INVITE")


def test_a_refused_options_does_not_hide_that_no_invite_came() -> None:
    assert cause("OPTIONS sip:realm SIP/2.0\r\n", status(405)).startswith("No INVITE")


def test_invites_without_answer_mean_a_silent_realm() -> None:
    found = likely_cause(events(INVITE, INVITE, INVITE), "bandwidth")
    assert found is not None
    assert "silent" in found.cause
    assert found.evidence == ("3 INVITE, no reply",)


def test_407_then_403_means_refused_credentials() -> None:
    assert "refused the credentials (403)" in cause(
        INVITE, status(100), status(407), ACK, INVITE + CREDENTIALS, status(403), ACK
    )


def test_407_again_after_credentials_means_refused_credentials() -> None:
    said = cause(INVITE, status(407), ACK, INVITE + CREDENTIALS, status(407), ACK)
    assert "refused the credentials (407)" in said


def test_credentials_without_any_further_answer_prove_nothing() -> None:
    assert likely_cause(events(INVITE, status(407), ACK, INVITE + CREDENTIALS), "bandwidth") is None


def test_407_and_no_second_invite_means_no_credentials_on_the_trunk() -> None:
    assert "sent no credentials" in cause(INVITE, status(407), ACK)


def test_another_refusal_is_named_by_its_number() -> None:
    found = likely_cause(events(INVITE, status(407), ACK, INVITE + CREDENTIALS, status(100), status(503)), "bandwidth")
    assert found is not None
    assert found.cause == "The last answer on the trunk was 503"
    assert found.evidence == ("407", "100", "503")


def test_a_call_that_was_answered_has_no_cause() -> None:
    assert likely_cause(events(INVITE, status(407), ACK, INVITE + CREDENTIALS, status(200), ACK), "bandwidth") is None


def test_the_header_name_is_read_without_case() -> None:
    texts = (INVITE, status(407), ACK, INVITE + "proxy-authorization: Digest x\r\n", status(403))
    assert "refused the credentials" in cause(*texts)
