"""Lines of Asterisk's log as evidence: what it gave up by, and which of them are about this site at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bwlib.diagnose import by_log, ladder
from bwlib.diagnose.facts import Fact, Facts
from bwlib.diagnose.scene import Scene
from bwlib.diagnose.verdict import judge
from bwlib.pbx.state import Dialled

NUMBER = "+19195550100"
HEAD = "[2026-11-27 13:09:38.673] NOTICE[9156][C-00000003] res_pjsip/pjsip_distributor.c: "
ACL = "Request '{method}' from '<sip:{user}@192.0.2.1>' failed for '192.0.2.1:5060' - Not match Endpoint ACL"
TAKEN = (
    "{endpoint}: Call (UDP:192.0.2.1:5060) to extension '{number}' rejected because extension not found in context 'x'."
)


def scene() -> Scene:
    settings = SimpleNamespace(pbx=SimpleNamespace(extension="101", trunk="demo"))
    run: Any = SimpleNamespace(settings=settings, on=SimpleNamespace(number=NUMBER))
    return Scene(run)


def names(line: str) -> list[str]:
    return [fact.name for fact in by_log.of_call(scene(), [HEAD + line])]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Authentication credentials not accepted by server (PJSIP_EFAILEDCREDENTIAL)", "log.credentials"),
        ("No auth objects matching realm/algorithm(s) 'x/MD5' from challenge found", "log.realm"),
        ("There were no auth ids available", "log.no-auth"),
        ("No path to translate from PJSIP/bandwidth-1 to PJSIP/101-2", "log.no-path"),
        ("Could not create dialog to invalid URI 'bandwidth'", "log.unreachable"),
        ("extension '999' rejected because extension not found in context 'from-bandwidth'", "log.rejected"),
        ("Request 'INVITE' failed: No matching endpoint found", "log.no-endpoint"),
        ("Disconnecting channel for lack of audio RTP activity in 3 seconds", "log.no-audio"),
        ("Fatal response '405' received, stopping outbound registration", "log.registration"),
    ],
)
def test_the_deciding_line_of_the_log_is_quoted(line: str, name: str) -> None:
    [fact] = by_log.of_call(scene(), ["[Nov 23] NOTICE[1] x.c: all is well", f"[Nov 23] WARNING[1] y.c: {line}"])
    assert fact.name == name
    assert line in fact.says


def test_time_thread_and_source_file_are_not_quoted() -> None:
    [fact] = by_log.of_call(scene(), [HEAD + "There were no auth ids available"])
    assert fact.says == "the PBX's log: There were no auth ids available"


def test_a_call_that_another_endpoint_took_is_told() -> None:
    assert "log.other-endpoint" in names(TAKEN.format(endpoint="aaa", number="101"))


def test_one_that_looked_in_our_own_context_is_no_other_trunks_fault() -> None:
    line, shared = HEAD + TAKEN.format(endpoint="aaa", number="101"), scene()
    for context, told in (("x", False), ("y", True)):
        shared.inbound = Dialled("101", context)
        assert ("log.other-endpoint" in [fact.name for fact in by_log.of_call(shared, [line])]) is told


@pytest.mark.parametrize(("endpoint", "number"), [("demo", "101"), ("aaa", "999")])
def test_our_own_endpoint_and_a_strangers_number_are_not(endpoint: str, number: str) -> None:
    assert names(TAKEN.format(endpoint=endpoint, number=number)) == ["log.rejected"]


@pytest.mark.parametrize(
    ("method", "user", "told"),
    [
        ("INVITE", NUMBER, ["log.acl-bandwidth"]),
        ("REGISTER", "101", ["log.acl-phone"]),
        ("ACK", NUMBER, []),
        ("INVITE", "1000", []),
        ("REGISTER", "1000", []),
    ],
)
def test_an_access_list_counts_only_when_it_keeps_out_one_of_ours(method: str, user: str, told: list[str]) -> None:
    assert names(ACL.format(method=method, user=user)) == told


OPTION = "Could not find option suitable for category '{}' named 'transport' at line 59 of pjsip.conf"
OBJECT = "Could not create an object of type 'auth' with id '{}' from configuration file 'pjsip.conf'"


@pytest.mark.parametrize("section", ["demo", "demo-auth", "101", "101-auth"])
@pytest.mark.parametrize("line", [OPTION, OBJECT])
def test_a_section_of_ours_that_is_refused_is_told(line: str, section: str) -> None:
    [fact] = by_log.of_files(scene(), [HEAD + line.format(section)])
    assert (fact.name, fact.value) == ("pbx.config", "refused")
    assert line.format(section) in fact.says


@pytest.mark.parametrize("section", ["demo2", "demo-two", "demo-two-auth", "1010", "other"])
def test_somebody_elses_is_not(section: str) -> None:
    assert by_log.of_files(scene(), [HEAD + OPTION.format(section), HEAD + OBJECT.format(section)]) == []


def test_a_file_that_cannot_be_read_explains_all_that_is_missing() -> None:
    parse_error = HEAD + "parse error: no closing ']', line 51 of pjsip.conf"
    facts = Facts(
        [
            *by_log.of_files(scene(), [parse_error, HEAD + OBJECT.format("demo")]),
            Fact("trunk.server", "differs", "trunk server is not set"),
            Fact("outward.trunk", ladder.NO_INVITE, "no INVITE of the PBX reached the realm"),
        ]
    )
    assert [(cause.name, cause.confidence) for cause in judge(facts).causes] == [("config-unreadable", "proven")]


def test_what_the_log_says_stands_beside_what_is_not_proven_and_not_known() -> None:
    logged = Fact("log.no-media", "said", "the PBX's log: Couldn't add sdp streams")
    refused = Fact("inward.pbx", ladder.REFUSED_BEFORE, "realm to PBX: INVITE 488")
    [cause] = judge(Facts([refused, logged])).causes
    assert (cause.confidence, logged.says in cause.because) == ("possible", True)
    unknown = judge(Facts([Fact("outward.caller", "differs", "from nobody"), logged]))
    assert (unknown.causes, unknown.unexplained) == ((), ("from nobody", logged.says))
