"""How far a call came, by its messages: each signature that was recorded on a real Asterisk 22, written by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bwlib.diagnose import by_ladder, ladder
from bwlib.diagnose.facts import UNKNOWN, Facts
from bwlib.diagnose.ladder import CallLadder, call_of, calls_in
from bwlib.diagnose.scene import Scene
from bwlib.models import Realm, SipEvent
from bwlib.sip.ladder import FAILED_HERE, ladder_svg, ladder_text

PBX, REALM = "127.0.0.1:5060", "127.0.0.2:5070"
START = datetime(2026, 11, 23, tzinfo=UTC)
REASONS = {100: "Trying", 180: "Ringing", 200: "OK", 401: "Unauthorized", 407: "Proxy Authentication Required"}


def messages(script: str, call_id: str = "one", pbx: str = PBX, realm: str = REALM) -> list[SipEvent]:
    """SIP messages for words: "INVITE" without credentials, "INVITE+" with, a number is the answer to the request
    before it, "487/INVITE" to the INVITE before it. The PBX calls; each new INVITE has the next CSeq, "=" repeats one.
    """
    events, cseq, method = [], 0, ""
    for place, word in enumerate(script.split()):
        at = START + timedelta(milliseconds=10 * place)
        code, _, answered = word.partition("/")
        if code.isdigit():
            text = answer(int(code), cseq, answered or method, call_id)
            events.append(SipEvent(at, realm, pbx, text, "edge"))
            continue
        name = word.rstrip("+=")
        cseq += name == "INVITE" and "=" not in word
        method = name if name != "ACK" else method
        events.append(SipEvent(at, pbx, realm, request(name, cseq, call_id, "+" in word), "edge"))
    return events


def request(name: str, cseq: int, call_id: str, credentials: bool) -> str:
    login = 'Proxy-Authorization: Digest username="u", response="«redacted»"\r\n' if credentials else ""
    head = f"{name} sip:+19195550100@realm.test SIP/2.0\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {name}\r\n{login}"
    return f"{head}Content-Length: 0\r\n\r\n"


def answer(code: int, cseq: int, method: str, call_id: str) -> str:
    reason = REASONS.get(code, "Some Reason")
    return f"SIP/2.0 {code} {reason}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"


def call(script: str) -> CallLadder:
    return call_of("one", messages(script))


def failing_line(found: CallLadder) -> str:
    """The first line of the message at which it failed."""
    return "" if found.failing is None else found.events[found.failing].text.partition("\r\n")[0]


# ---------------------------------------------------------------- the signatures, with a 401 and with a 407 edge

# name: messages at the trunk, how far it came, the last final status, how the message at which it failed begins
SIGNATURES = {
    "heard": ("INVITE {c} ACK INVITE+ 100 200 ACK BYE 200", ladder.ANSWERED, 200, ""),
    "wrong password or user name": ("INVITE {c} ACK INVITE+ {c} ACK", ladder.REFUSED_AFTER, 0, "SIP/2.0 {c}"),
    "wrong credentials, refused outright": ("INVITE {c} ACK INVITE+ 403 ACK", ladder.REFUSED_AFTER, 403, "SIP/2.0 403"),
    "realm= pinned, or no outbound_auth": ("INVITE {c} ACK", ladder.NOT_RETRIED, 0, "SIP/2.0 {c}"),
    "another realm's host": ("INVITE 404 ACK", ladder.REFUSED_BEFORE, 404, "SIP/2.0 404"),
    "caller id is not E.164": ("INVITE {c} ACK INVITE+ 100 403 ACK", ladder.REFUSED_AFTER, 403, "SIP/2.0 403"),
    "no codec in common": (
        "INVITE {c} ACK INVITE+ 100 CANCEL 488/INVITE ACK 481/CANCEL", ladder.REFUSED_AFTER_TRYING, 488, "CANCEL ",
    ),
    "no codec in common, said there": ("INVITE {c} ACK INVITE+ 100 488 ACK", ladder.REFUSED_AFTER, 488, "SIP/2.0 488"),
    "silent drop, dead port, firewall": ("INVITE INVITE= INVITE= INVITE= INVITE=", ladder.SILENT, 0, "INVITE "),
    "silence, and the caller gives up": ("INVITE INVITE= INVITE= CANCEL CANCEL", ladder.SILENT, 0, "CANCEL "),
    "silent after the challenge": ("INVITE {c} ACK INVITE+ INVITE+= INVITE+=", ladder.SILENT, 0, "INVITE "),
    "taken and never answered": ("INVITE {c} ACK INVITE+ 100 180", ladder.TRYING, 0, "SIP/2.0 180"),
    "never answered, taken back": (
        "INVITE {c} ACK INVITE+ 100 180 CANCEL 200/CANCEL 487/INVITE ACK", ladder.REFUSED_AFTER_TRYING, 487, "CANCEL ",
    ),
    "inward: the PBX does not know the address": ("INVITE 401 ACK", ladder.NOT_RETRIED, 401, "SIP/2.0 401"),
    "inward: the PBX does not know the number": ("INVITE 404 ACK", ladder.REFUSED_BEFORE, 404, "SIP/2.0 404"),
    "inward: nobody is registered": ("INVITE 100 404 ACK", ladder.REFUSED_BEFORE, 404, "SIP/2.0 404"),
    "inward: the phone is gone": ("INVITE 100 603 ACK", ladder.REFUSED_BEFORE, 603, "SIP/2.0 603"),
    "digits by INFO": ("INVITE {c} ACK INVITE+ 200 ACK INFO 200 INFO 200 BYE 200", ladder.ANSWERED, 200, ""),
}  # fmt: skip


@pytest.mark.parametrize("challenge", ["401", "407"])
@pytest.mark.parametrize("name", SIGNATURES)
def test_how_far_a_call_came(name: str, challenge: str) -> None:
    script, word, code, failing = SIGNATURES[name]
    found = call(script.format(c=challenge))
    assert found.word == word
    assert failing_line(found).startswith(failing.format(c=challenge))
    assert (found.failing is None) == (word == ladder.ANSWERED)
    assert found.code == (code or (int(challenge) if "{c}" in script else 0))


def test_the_messages_stand_in_a_row_and_repeats_are_counted() -> None:
    assert call("INVITE 407 ACK INVITE+ 100 403 ACK").line == "INVITE 407 ACK INVITE 100 403 ACK"
    assert call("INVITE INVITE= INVITE= INVITE= INVITE=").line == "INVITE x5"


def test_a_call_is_known_by_its_first_invite() -> None:
    found = call("INVITE 407 ACK INVITE+ 200")
    assert (found.source, found.target, found.request_uri) == (PBX, REALM, "sip:+19195550100@realm.test")
    assert found.with_credentials
    assert not call("INVITE 407 ACK").with_credentials


# ---------------------------------------------------------------- the same message more than once


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("INVITE 407 407 ACK", ladder.NOT_RETRIED),
        ("INVITE 407 407 ACK INVITE+", ladder.SILENT),
        ("INVITE 407 407 ACK INVITE+ INVITE+=", ladder.SILENT),
        ("INVITE 407 407 ACK INVITE+ 100", ladder.TRYING),
        ("INVITE 407 ACK INVITE+ 407 407 ACK", ladder.REFUSED_AFTER),
        ("INVITE 407 ACK INVITE+ 403 403 403 ACK", ladder.REFUSED_AFTER),
        ("INVITE 407 ACK INVITE+ 200 200 200 ACK", ladder.ANSWERED),
        ("INVITE 100 INVITE= 100", ladder.TRYING),
    ],
)
def test_an_answer_that_comes_again_says_nothing_new(script: str, word: str) -> None:
    assert call(script).word == word


def test_a_late_repeat_of_the_challenge_is_no_refusal_of_the_credentials() -> None:
    events = messages("INVITE 407 ACK INVITE+ 100")
    late = SipEvent(START + timedelta(seconds=1), REALM, PBX, events[1].text, "edge")  # of the first INVITE, once more
    assert call_of("one", [*events, late]).word == ladder.TRYING
    assert call_of("one", [*events[:4], late]).word == ladder.SILENT


def test_a_refused_bye_or_cancel_is_no_refused_call() -> None:
    assert call("INVITE 407 ACK INVITE+ 200 ACK BYE 481").word == ladder.ANSWERED
    assert call("INVITE 100 CANCEL 481/CANCEL").word == ladder.REFUSED_AFTER_TRYING


# ---------------------------------------------------------------- several calls, and what is no call


def interleaved(*calls: Sequence[SipEvent]) -> list[SipEvent]:
    return sorted((event for one in calls for event in one), key=lambda event: event.at)


def test_two_calls_at_once_are_told_apart_by_call_id() -> None:
    refused, answered = messages("INVITE 407 ACK INVITE+ 403 ACK", "a"), messages("INVITE 100 200 ACK BYE 200", "b")
    found = calls_in(interleaved(refused, answered))
    assert [(each.call_id, each.word) for each in found] == [("a", ladder.REFUSED_AFTER), ("b", ladder.ANSWERED)]
    assert [len(each.events) for each in found] == [6, 6]


def test_our_own_calls_and_what_is_no_call_are_left_out() -> None:
    events = interleaved(
        messages("INVITE 407 ACK", "ours"), messages("OPTIONS 200", "asked"), messages("REGISTER 405", "r")
    )
    assert calls_in(events, ours={"ours"}) == []
    assert [each.call_id for each in calls_in(events)] == ["ours"]


GARBAGE = ["", "\r\n\r\n", "\x00\xff", "INVITE", "INVITE \r\n", "SIP/2.0", "SIP/2.0 abc", "Call-ID:", "é" * 5000]


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_among_the_messages_changes_nothing(text: str) -> None:
    bad = SipEvent(START + timedelta(milliseconds=5), REALM, PBX, text, "edge")
    found = calls_in(interleaved(messages("INVITE 407 ACK INVITE+ 403 ACK"), [bad]))
    assert [each.word for each in found] == [ladder.REFUSED_AFTER]


@pytest.mark.parametrize("text", [*GARBAGE, "INVITE sip:x SIP/2.0\r\nCSeq: x\r\n\r\n", "SIP/2.0 999999 x\r\n\r\n"])
def test_garbage_in_a_call_is_shown_as_such(text: str) -> None:
    events = messages("INVITE 407 ACK INVITE+ 403 ACK")
    events.insert(2, SipEvent(events[1].at, REALM, PBX, text, "edge"))
    found = call_of("one", events)
    assert found.word == ladder.REFUSED_AFTER
    assert "403" in found.line


REQUESTS = ["INVITE", "INVITE+", "INVITE=", "INVITE+=", "ACK", "BYE", "CANCEL"]
WORDS = st.sampled_from([*REQUESTS, "100", "180", "200", "401", "407", "403", "503", "603", "487/INVITE", "200/CANCEL"])


@given(st.lists(WORDS, max_size=12).map(" ".join))
def test_whatever_was_on_the_wire_one_word_says_how_far_it_came(script: str) -> None:
    found = call(script)
    known = {value for name, value in vars(ladder).items() if name.isupper() and isinstance(value, str)}
    assert found.word in known
    assert (found.failing is None) == (found.word in (ladder.ANSWERED, ladder.NO_INVITE))
    if found.failing is not None:
        assert 0 <= found.failing < len(found.events)
    assert (found.word == ladder.NO_INVITE) == (not script)


# ---------------------------------------------------------------- as facts


def scene(edge: str = REALM) -> Scene:
    settings = SimpleNamespace(
        road="realm",
        pbx=SimpleNamespace(extension="101", trunk="bandwidth"),
        test=SimpleNamespace(dial="+19195550100"),
    )
    run: Any = SimpleNamespace(settings=settings, on=SimpleNamespace(trunk_proxy=edge))
    return Scene(run)


def inward(script: str, call_id: str = "in") -> list[SipEvent]:
    """The realm calls the PBX."""
    return messages(script, call_id, pbx=REALM, realm=PBX)


def test_the_newest_call_of_each_way_is_told_with_its_ladder() -> None:
    here = scene()
    old, new = (messages("INVITE 407 ACK INVITE+ 403 ACK", name) for name in ("old", "new"))
    later = [SipEvent(each.at + timedelta(seconds=5), each.source, each.target, each.text) for each in new]
    facts = Facts(by_ladder.read(here, interleaved(old, inward("INVITE 100 404 ACK"), later)))
    assert facts.value("outward.trunk") == ladder.REFUSED_AFTER
    assert facts["outward.trunk"].says == (
        "PBX to realm: INVITE 407 ACK INVITE 403 ACK (refused after credentials were sent), the newest of 2 calls alike"
    )
    assert here.ladders["outward"][0] == later
    assert (facts.value("outward.code"), facts.value("inward.code")) == ("403", "404")
    assert facts.value("inward.pbx") == ladder.REFUSED_BEFORE
    assert facts.value("inward.identified") == "yes"
    failed = {way: events[failing or 0].text[:11] for way, (events, failing) in here.ladders.items()}
    assert failed == {"outward": "SIP/2.0 403", "inward": "SIP/2.0 404"}


def test_a_pbx_that_asks_bandwidth_for_credentials_has_not_identified_it() -> None:
    assert Facts(by_ladder.read(scene(), inward("INVITE 401 ACK"))).value("inward.identified") == "no"


def test_of_a_pbx_that_said_nothing_it_is_not_known_whom_it_took_the_call_for() -> None:
    facts = Facts(by_ladder.read(scene(), inward("INVITE INVITE= INVITE=")))
    assert facts.value("inward.pbx") == ladder.SILENT
    assert "inward.identified" not in facts


@pytest.mark.parametrize(
    ("events", "way", "word"),
    [
        (messages("INVITE 407 ACK INVITE+ 200 ACK BYE 200"), "outward", "pbx"),
        (messages("INVITE 407 ACK INVITE+ 403 ACK"), "outward", UNKNOWN),
    ],
)
def test_who_ended_a_call_is_who_sent_the_bye(events: list[SipEvent], way: str, word: str) -> None:
    assert Facts(by_ladder.read(scene(), events)).value(f"{way}.bye") == word
    turned = [replace(event, source=event.target, target=event.source) if event.text.startswith("BYE ") else event
              for event in events]  # fmt: skip
    other = {"pbx": "realm"}.get(word, word)
    assert Facts(by_ladder.read(scene(), turned)).value(f"{way}.bye") == other


def test_a_call_into_the_pbx_that_the_pbx_ends_is_ended_by_the_pbx() -> None:
    events = inward("INVITE 100 200 ACK BYE 200")
    assert Facts(by_ladder.read(scene(), events)).value("inward.bye") == "realm"
    turned = [replace(event, source=event.target, target=event.source) if event.text.startswith("BYE ") else event
              for event in events]  # fmt: skip
    assert Facts(by_ladder.read(scene(), turned)).value("inward.bye") == "pbx"


def test_a_way_that_was_tried_and_left_no_message_is_said_and_one_not_tried_is_not() -> None:
    facts = Facts(by_ladder.read(scene(), [], inward=False))
    assert [(name, fact.value) for name, fact in facts.items()] == [("outward.trunk", ladder.NO_INVITE)]


def test_which_ways_calls_went_is_told_by_who_sent_the_invite() -> None:
    assert by_ladder.ways_of(scene(), messages("INVITE 407 ACK")) == {"outward"}
    assert by_ladder.ways_of(scene(), inward("INVITE 404 ACK")) == {"inward"}
    assert by_ladder.ways_of(scene(), messages("OPTIONS 200")) == set()
    at_the_extension = [
        SipEvent(each.at, each.source, each.target, each.text.replace("+19195550100@", "101@"))
        for each in inward("INVITE")
    ]
    assert by_ladder.ways_of(scene(edge=""), at_the_extension) == {"inward"}


def test_the_call_that_the_phone_answered_is_told_though_another_was_refused_after_it() -> None:
    events = interleaved(inward("INVITE 100 200 ACK BYE 200", "a"), inward("INVITE 404 ACK", "b"))
    assert Facts(by_ladder.read(scene(), events, answered=["inward"])).value("inward.pbx") == ladder.ANSWERED


def test_a_call_that_was_not_answered_is_not_the_one_that_was() -> None:
    refused, answered = messages("INVITE 407 ACK INVITE+ 403 ACK", "a"), messages("INVITE 407 ACK INVITE+ 200 ACK", "b")
    events = interleaved(refused, answered)
    unanswered = Facts(by_ladder.read(scene(), events, unanswered=["outward"]))
    assert unanswered.value("outward.trunk") == ladder.REFUSED_AFTER
    assert Facts(by_ladder.read(scene(), events, answered=["outward"])).value("outward.trunk") == ladder.ANSWERED


def test_calls_that_cannot_be_told_apart_and_ended_otherwise_say_nothing_for_sure() -> None:
    two = interleaved(messages("INVITE 407 ACK INVITE+ 403 ACK", "a"), messages("INVITE 404 ACK", "b"))
    facts = Facts(by_ladder.read(scene(), two, unanswered=["outward"]))
    assert facts.value("outward.trunk") == UNKNOWN
    assert "of 2 calls alike" in facts["outward.trunk"].says
    same = interleaved(messages("INVITE 404 ACK", "a"), messages("INVITE 404 ACK", "b"))
    assert Facts(by_ladder.read(scene(), same)).value("outward.trunk") == ladder.REFUSED_BEFORE


def test_a_call_that_the_pbx_did_not_send_is_not_looked_for_among_others() -> None:
    facts = Facts(by_ladder.read(scene(), messages("INVITE 407 ACK INVITE+ 200 ACK"), left=False))
    assert facts.value("outward.trunk") == ladder.NO_INVITE


@pytest.mark.parametrize(
    ("named", "word"), [("127.0.0.1", "own"), ("203.0.113.9", "elsewhere"), ("(null)", "elsewhere"), ("", "")]
)
def test_where_the_pbx_wants_its_audio_is_compared_with_where_its_packets_come_from(named: str, word: str) -> None:
    events = messages("INVITE 407 ACK")
    sdp = f"v=0\r\nc=IN IP4 {named}\r\nt=0 0\r\n" if named else ""
    events[0] = SipEvent(events[0].at, PBX, REALM, events[0].text + sdp)
    assert Facts(by_ladder.read(scene(), events, inward=False)).value("outward.sdp") == (word or UNKNOWN)


def test_calls_of_other_phones_sites_and_trunks_are_not_the_test_call() -> None:
    """A PBX has other calls going on: the newest one is not the one that was tried."""

    def to(number: str, host: str, events: list[SipEvent]) -> list[SipEvent]:
        return [
            replace(each, text=re.sub(r"sip:[^@]+@[\w.-]+ ", f"sip:{number}@{host} ", each.text)) for each in events
        ]

    here = scene()
    here.account.realm = Realm("1", "acme-1a.auth.bandwidth.test", "", False, "ACTIVE")
    refused = to("+19195550100", "acme-1a.auth.bandwidth.test", messages("INVITE 404 ACK", "ours"))
    other = to("+13035550177", "acme-1a.auth.bandwidth.test", messages("INVITE 407 ACK INVITE+ 200 ACK", "other"))
    foreign = to("+13035550177", "zeta-9f.auth.bandwidth.test", messages("INVITE 407 ACK INVITE+ 200 ACK", "foreign"))
    found = Facts(by_ladder.read(here, interleaved(refused, other, foreign), inward=False))
    assert found.value("outward.trunk") == ladder.REFUSED_BEFORE
    assert Facts(by_ladder.read(here, foreign, inward=False)).value("outward.trunk") == ladder.NO_INVITE
    desk, lobby = (to(number, "pbx.test", inward("INVITE 404 ACK", number)) for number in ("101", "102"))
    by_ladder.read(here, interleaved(desk, lobby), outward=False)
    assert "sip:101@" in here.ladders["inward"][0][0].text


# ---------------------------------------------------------------- as a picture, and in words

NAMES = {PBX: "PBX", REALM: "Realm"}


@pytest.mark.parametrize("name", [name for name, (_, word, *_) in SIGNATURES.items() if word != ladder.ANSWERED])
def test_the_failing_message_is_marked_in_the_picture_and_in_its_text(name: str) -> None:
    found = call(SIGNATURES[name][0].format(c="407"))
    assert found.failing is not None
    at = found.events[found.failing]
    lines = ladder_text(found.events, NAMES, failing=at).splitlines()
    assert [index for index, line in enumerate(lines) if FAILED_HERE in line] == [found.failing]
    drawn = ElementTree.fromstring(ladder_svg(found.events, NAMES, "The call", failing=at))
    labels = ["".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    [label] = [label for label in labels if FAILED_HERE in label]
    said = at.text.split()[1] if at.text.startswith("SIP/2.0") else at.text.split()[0]
    assert re.search(rf"\b{said}\b", label)


def test_a_call_that_went_well_has_no_mark() -> None:
    found = call("INVITE 407 ACK INVITE+ 100 200 ACK BYE 200")
    assert FAILED_HERE not in ladder_text(found.events, NAMES)
    assert FAILED_HERE not in ladder_svg(found.events, NAMES, "The call")


def test_a_message_that_was_sent_five_times_is_marked_once() -> None:
    found = call("INVITE INVITE= INVITE= INVITE= INVITE=")
    assert found.failing == 4
    text = ladder_text(found.events, NAMES, failing=found.events[4])
    assert text.count(FAILED_HERE) == 1
    assert FAILED_HERE in text.splitlines()[4]
