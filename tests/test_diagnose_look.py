"""A look ends within its time and raises nothing, whatever the probes, Bandwidth and the PBX do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bwlib.diagnose import at_bandwidth, at_callback, at_pbx, at_realm, by_call, ladder, long_ago, look, pbx_state
from bwlib.diagnose.facts import Fact, Facts
from bwlib.diagnose.scene import Scene
from bwlib.diagnose.verdict import Verdict
from bwlib.errors import BwlibError, PbxRefused, PbxUnreachable, Refused, Unavailable
from bwlib.models import Call, Finding, SipEvent
from bwlib.record.redact import Redactor

LIMIT_S = 60.0  # for probes that end
SHORT_S = 0.5  # where one does not
# The probes of a look, by the module and name that a look takes them from, and what each is called.
PROBES = {
    "bandwidth": (at_bandwidth, "probe"), "callback": (at_callback, "probe"), "pbx": (at_pbx, "probe"),
    "dns": (at_realm, "probe_dns"), "realm": (at_realm, "probe_reach"), "direct": (at_realm, "probe_call"),
    "calls": (by_call, "probe"),
}  # fmt: skip


def of_pbx(**methods: Any) -> Any:
    return SimpleNamespace(**methods)


class World:
    """A run whose probes find nothing, for each test to put something in place of one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        for module, name in PROBES.values():
            monkeypatch.setattr(module, name, lambda scene: [])
        monkeypatch.setattr(pbx_state, "probe", lambda scene: [])
        monkeypatch.setattr(look, "CONFIGURED_S", LIMIT_S)
        monkeypatch.setattr(look, "PAST_S", LIMIT_S)
        monkeypatch.setattr(look, "CALLED_S", LIMIT_S)
        monkeypatch.setattr(look, "END_S", 0.1)
        self.redactor, self.pbx, self.told, self.runs = Redactor(), of_pbx(), list[str](), folder / "runs"
        self.events: Callable[[float], list[SipEvent]] | None = None
        self.client = SimpleNamespace(get_call=self._no_call)
        self.on = SimpleNamespace(
            pbx=lambda: self.pbx, call_lock=folder / "call.lock", readback=None, trunk_proxy="127.0.0.2:5070",
            number="+19195550100", bandwidth_ips=("127.0.0.2",),
            application=SimpleNamespace(call_initiated_url="https://app.example.com/initiate"), client=self.client,
            sip_events=lambda since: self.events(since) if self.events else [],
        )  # fmt: skip

    @staticmethod
    def _no_call(call_id: str) -> Call:
        raise Refused(f"get the call {call_id}", "404: no such call", "check the id", status=404)

    def put(self, name: str, probe: Callable[[Scene], list[Fact]]) -> None:
        self._patch.setattr(*PROBES[name], probe)

    def look(self, **how: Any) -> tuple[Facts, Verdict]:
        settings = SimpleNamespace(
            pbx=SimpleNamespace(trunk="bandwidth", route="out", extension="101"), road="realm",
            test=SimpleNamespace(dial="+19195550199"), runs_dir=self.runs,
        )  # fmt: skip
        run: Any = SimpleNamespace(settings=settings, on=self.on, record=SimpleNamespace(redactor=self.redactor))
        self.scene = Scene(run, **{"calls": False, **how})
        return look.look(self.scene, self.told.append)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


@pytest.fixture
def never(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Scene], list[Fact]]]:
    """A probe that does not end before the test does."""
    end = threading.Event()
    for limit in ("CONFIGURED_S", "PAST_S", "CALLED_S"):
        monkeypatch.setattr(look, limit, SHORT_S)

    def probe(scene: Scene) -> list[Fact]:
        end.wait(60)
        return [Fact("too", "late", "it came when nobody waited any more")]

    yield probe
    end.set()


def raising(error: Exception) -> Callable[..., Any]:
    def probe(*_: object) -> Any:
        raise error

    return probe


SAID = ("ask", "it broke", "look")


# ---------------------------------------------------------------- probes that never end, and probes that break


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_that_never_ends_is_left_behind_and_the_others_are_heard(world: World, never: Any, name: str) -> None:
    other = "bandwidth" if name != "bandwidth" else "pbx"
    world.put(other, lambda scene: [Fact("other", "found", "the other one")])
    world.put(name, never)
    facts, verdict = world.look()
    assert (facts.value(f"probe.{name}"), facts.value("other"), facts.value("too")) == ("no-answer", "found", "unknown")
    assert f"{name}: no answer within {SHORT_S:g} s" in (*verdict.not_looked, *world.told)
    assert not verdict.healthy


def test_where_nothing_at_all_answers_a_look_ends(world: World, never: Any) -> None:
    for name in PROBES:
        world.put(name, never)
    facts, verdict = world.look()
    assert {f"probe.{name}" for name in PROBES} <= set(facts)
    assert {cause.name for cause in verdict.causes} == {"pbx-unreachable", "account-unreachable"}


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize(
    ("error", "word", "says"),
    [
        (BwlibError(*SAID), "failed", "it broke"),
        (Unavailable(*SAID), "failed", "it broke"),
        (ValueError("a secret may stand here"), "failed", "ValueError in the probe itself"),
        (AssertionError(), "failed", "AssertionError in the probe itself"),
    ],
)
def test_a_probe_that_breaks_says_so_and_hides_nothing(
    world: World, name: str, error: Exception, word: str, says: str
) -> None:
    other = "bandwidth" if name != "bandwidth" else "pbx"
    world.put(other, lambda scene: [Fact("other", "found", "the other one")])
    world.put(name, raising(error))
    facts, verdict = world.look()
    assert (facts.value(f"probe.{name}"), facts.value("other")) == (word, "found")
    assert verdict.not_looked == (f"{name}: {says}",)
    assert verdict.causes == ()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (PbxUnreachable(*SAID), ["pbx-unreachable"]),
        (PbxRefused(*SAID), ["pbx-refuses"]),
        (BwlibError(*SAID), []),
        (ValueError(), []),
    ],
)
def test_a_pbx_that_does_not_answer_is_told_from_one_that_refuses_and_from_a_fault_of_ours(
    world: World, error: Exception, cause: list[str]
) -> None:
    world.put("pbx", raising(error))
    assert [each.name for each in world.look()[1].causes] == cause


@pytest.mark.parametrize("part", [(pbx_state, "probe"), (at_pbx, "traps")])
def test_what_was_read_on_the_pbx_is_kept_when_it_cannot_say_more(
    world: World, monkeypatch: pytest.MonkeyPatch, part: tuple[Any, str]
) -> None:
    world.put("pbx", lambda scene: [Fact("trunk", "absent", "there is no trunk bandwidth on the PBX")])
    monkeypatch.setattr(*part, raising(PbxUnreachable(*SAID)))
    facts, verdict = world.look()
    assert facts.value("trunk") == "absent"
    assert [cause.name for cause in verdict.causes] == ["no-trunk"]
    assert len(verdict.not_looked) == 1


# ---------------------------------------------------------------- what follows from what was found


def test_a_comparison_that_breaks_ends_no_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_pbx, "compare", raising(ValueError("an odd pattern")))
    assert world.look()[1].not_looked == ("compare: ValueError in the probe itself",)


@pytest.mark.parametrize("how", [{}, {"since": 1.0, "way": "outward"}, {"after_call": "c-1"}])
def test_a_pbx_that_is_not_to_be_had_ends_no_look(world: World, how: dict[str, Any]) -> None:
    world.on.pbx = raising(PbxUnreachable("start the PBX", "it does not start", "read its log"))
    world.put("pbx", lambda scene: scene.run.on.pbx())
    facts, verdict = world.look(**how)
    assert "pbx-unreachable" in [cause.name for cause in verdict.causes]
    assert facts["probe.pbx"].says == "pbx: it does not start"


def test_a_log_that_cannot_be_read_and_messages_that_cannot_be_had_are_left_out(world: World) -> None:
    world.pbx = of_pbx(log_since=raising(PbxRefused(*SAID)))
    world.events = raising(BwlibError(*SAID))
    facts, verdict = world.look(since=1.0, way="outward")
    assert "outward.trunk" not in facts  # not "no INVITE was sent": nobody knows
    assert verdict.healthy


def test_the_log_is_quoted_as_evidence(world: World) -> None:
    world.pbx = of_pbx(log_since=lambda when: ("[x] WARNING[1]: There were no auth ids available",))
    assert world.look(since=1.0, way="outward")[0].value("log.no-auth") == "said"


def test_a_callback_url_that_never_answers_is_slow(world: World, never: Any) -> None:
    world.put("callback", never)
    facts, verdict = world.look()
    assert "https://app.example.com/initiate" in facts["callback"].says
    assert [cause.name for cause in verdict.causes] == ["callback-slow"]


def test_what_others_wrote_is_quoted_without_secrets(world: World) -> None:
    world.redactor.learn("SIP password", "hunter2-hunter2")
    world.put("bandwidth", lambda scene: [Fact("trunk", "absent", "it said hunter2-hunter2 aloud")])

    def probe(scene: Scene) -> list[Fact]:
        scene.traps = [Finding("a trap", ("hunter2-hunter2",), "take hunter2-hunter2 out")]
        return []

    world.put("pbx", probe)
    facts, verdict = world.look()
    assert "hunter2" not in f"{list(facts.values())} {verdict} {world.scene.traps}"
    assert {cause.name for cause in verdict.causes} == {"no-trunk", "pbx-trap"}


# ---------------------------------------------------------------- calls


def test_calls_are_waited_for_and_what_was_seen_meanwhile_is_read(world: World) -> None:
    watched: list[str] = []

    @contextmanager
    def watch() -> Iterator[Any]:
        watched.append("began")
        yield SimpleNamespace(events=[{"Event": "DialBegin", "DestChannel": "PJSIP/elsewhere-1"}])
        watched.append("ended")

    world.pbx = of_pbx(watch=watch)
    world.put("pbx", lambda scene: [Fact("trunk", "found", "")])
    world.put("calls", lambda scene: [
        Fact("calls", "placed", ""), Fact("outward.phone", "not-answered", "404 Not Found"),
    ])  # fmt: skip
    facts, verdict = world.look(calls=True)
    assert watched == ["began", "ended"]
    assert (facts.value("outward.left"), facts.value("outward.trunk")) == ("no", ladder.NO_INVITE)
    assert [cause.name for cause in verdict.causes] == ["never-left"]


def test_messages_that_cannot_be_read_end_no_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("calls", lambda scene: [Fact("calls", "placed", "")])
    monkeypatch.setattr(look, "_of_calls", raising(ValueError()))
    assert world.look(calls=True)[1].not_looked == ("messages: ValueError in the probe itself",)


def test_without_calls_nothing_is_watched_and_no_message_is_asked_for(world: World) -> None:
    world.pbx = of_pbx(watch=raising(AssertionError()))
    world.put("pbx", lambda scene: [Fact("trunk", "found", "")])
    world.events = raising(AssertionError())
    assert world.look()[1].healthy


# ---------------------------------------------------------------- a call that is over

EDGE, PBX = "127.0.0.2:5070", "127.0.0.1:5060"


def sip(source: str, target: str, first: str, cseq: str = "1 INVITE", call_id: str = "their-call") -> SipEvent:
    text = f"{first}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n\r\n"
    return SipEvent(datetime.now(UTC), source, target, text)


OUTWARD = [
    sip(PBX, EDGE, "INVITE sip:+1@realm SIP/2.0"), sip(EDGE, PBX, "SIP/2.0 407 Proxy Authentication Required"),
    sip(PBX, EDGE, "ACK sip:+1@realm SIP/2.0", "1 ACK"),
]  # fmt: skip
INWARD = [sip(EDGE, PBX, "INVITE sip:101@pbx SIP/2.0"), sip(PBX, EDGE, "SIP/2.0 404 Not Found")]


@pytest.mark.parametrize(
    ("events", "way", "name", "word", "cause"),
    [
        (OUTWARD, "outward", "outward.trunk", ladder.NOT_RETRIED, "no-credentials-sent"),
        (INWARD, "inward", "inward.pbx", ladder.REFUSED_BEFORE, "pbx-refuses-inward"),
    ],
)
@pytest.mark.parametrize("how", ["after_call", "since"])
def test_a_past_call_is_judged_by_the_way_that_it_went_and_by_no_other(
    world: World, events: list[SipEvent], way: str, name: str, word: str, cause: str, how: str
) -> None:
    world.events = lambda since: [*events, *([sip(PBX, EDGE, "INVITE x SIP/2.0", call_id="x")] * (how == "after_call"))]
    facts, verdict = world.look(**({"after_call": "their-call"} if how == "after_call" else {"since": 1.0, "way": way}))
    assert facts.value(name) == word
    assert {one.partition(".")[0] for one in facts if one.startswith(("outward.", "inward."))} == {way}
    assert [each.name for each in verdict.causes] == [cause]
    assert set(world.scene.ladders) == {way}


def test_a_test_call_that_left_no_message_never_came_to_the_realm(world: World) -> None:
    facts, _ = world.look(since=1.0, way="outward")
    assert facts.value("outward.trunk") == ladder.NO_INVITE
    assert "inward.pbx" not in facts


def test_a_call_that_nobody_knows_is_no_good_call(world: World) -> None:
    facts, verdict = world.look(after_call="c-unknown")
    assert verdict.not_looked == ("call: Bandwidth on the call c-unknown: 404: no such call",)
    assert not verdict.healthy
    assert [name for name in facts if name.startswith(("outward.", "inward."))] == []


def test_bandwidths_own_word_on_a_past_call_is_evidence(world: World) -> None:
    said = Call("c-1", "sip:101@pbx", "+1", "outbound", "disconnected", "a-1", disconnect_cause="callback-error",
                error_message="no answer from the callback URL")  # fmt: skip
    world.client.get_call = lambda call_id: said
    _, verdict = world.look(after_call="c-1")
    [cause] = verdict.causes
    assert cause.name == "call-callback-error"
    assert "no answer from the callback URL" in cause.because[0]


# ---------------------------------------------------------------- what two probes say together


@pytest.mark.parametrize(
    ("pinned", "word"), [("acme.auth.test", "as-wanted"), ("ACME.auth.test", "as-wanted"), ("x", "differs")]
)
def test_a_pinned_realm_is_compared_once_both_names_are_known(world: World, pinned: str, word: str) -> None:
    def probe(scene: Scene) -> list[Fact]:
        scene.account.realm = SimpleNamespace(fqdn="acme.auth.test")  # type: ignore[assignment]
        return [Fact("trunk.realm", pinned, f"the trunk's authentication says realm={pinned}")]

    world.put("pbx", probe)
    assert world.look()[0].value("trunk.auth_realm") == word


@pytest.mark.parametrize(
    ("typed", "needs", "word"),
    [
        ("5060", "yes", "differs"),
        ("5070", "yes", "as-wanted"),
        ("5060", "no", "unknown"),
        ("by-srv", "yes", "unknown"),
    ],
)
def test_a_typed_port_is_compared_with_srv_where_the_trunk_needs_it(
    world: World, typed: str, needs: str, word: str
) -> None:
    world.put("pbx", lambda scene: [Fact("trunk.port", typed, "the port"), Fact("trunk.needs_dns", needs, "")])
    world.put("dns", lambda scene: [Fact("dns.port", "5070", "its SRV record says port 5070")])
    assert world.look()[0].value("trunk.port.srv") == word


# ---------------------------------------------------------------- a call of long ago


def past(world: World, ago: timedelta) -> Verdict:
    """A call that was refused so long ago, by a PBX whose trunk has the wrong user name now."""
    at = datetime.now(UTC) - ago
    said = Call("c-1", "+19195550199", "+1", "inbound", "disconnected", "a-1", start_time=at.isoformat(),
                disconnect_cause="rejected")  # fmt: skip
    world.client.get_call = lambda call_id: said
    world.put("pbx", lambda scene: [Fact("trunk.username", "differs", "trunk username is x, the credential's is y")])
    world.events = lambda since: [
        sip(PBX, EDGE, "INVITE sip:+1@realm SIP/2.0"), sip(EDGE, PBX, "SIP/2.0 407 Proxy Authentication Required"),
        sip(PBX, EDGE, "INVITE sip:+1@realm SIP/2.0\r\nProxy-Authorization: Digest x", "2 INVITE"),
        sip(EDGE, PBX, "SIP/2.0 403 Forbidden", "2 INVITE"),
    ]  # fmt: skip
    world.on.readback = SimpleNamespace(webhooks=lambda call_id: [
        SimpleNamespace(at=at, body={"sipCallId": "their-call"}),
    ])  # fmt: skip
    return world.look(after_call="c-1")[1]


def journal(world: World, at: datetime, **line: str) -> None:
    written = json.dumps({"kind": "step", "at": at.isoformat(), **line})
    folder = world.runs / "site" / "20261127T000000Z-1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "journal.jsonl").write_text(f"{written}\n", encoding="utf-8")


def test_what_is_read_now_proves_nothing_about_a_call_of_long_ago(world: World) -> None:
    verdict = past(world, timedelta(minutes=42))
    by_name = {cause.name: cause for cause in verdict.causes}
    assert "proven" not in {cause.confidence for cause in verdict.causes}
    cause = by_name["wrong-username"]
    assert cause.confidence == "possible"
    assert any("42 minutes ago, and what is configured was read now" in line for line in cause.because)
    assert cause.next_probe == "place a call anew, and look at that one"
    assert {"credentials-refused", "policy-refused"} <= set(by_name)  # it may have been right then
    assert verdict.unexplained == ()


def test_a_call_of_a_moment_ago_is_explained_by_what_is_read(world: World) -> None:
    verdict = past(world, timedelta(seconds=20))
    assert [(cause.name, cause.confidence) for cause in verdict.causes] == [("wrong-username", "proven")]


@pytest.mark.parametrize(
    ("line", "sure"),
    [
        ({"step": "trunk", "action": "updated"}, False),
        ({"step": "trunk", "action": "unchanged"}, True),
        ({"step": "diagnose", "action": "looked"}, True),
    ],
)
def test_what_this_sites_own_runs_changed_after_the_call_is_no_proof_either(
    world: World, monkeypatch: pytest.MonkeyPatch, line: dict[str, str], sure: bool
) -> None:
    monkeypatch.setattr(long_ago, "run_folders", lambda runs: [world.runs / "site" / "20261127T000000Z-1"])
    journal(world, datetime.now(UTC) - timedelta(seconds=5), **line)
    [cause] = [cause for cause in past(world, timedelta(seconds=20)).causes if cause.name == "wrong-username"]
    assert (cause.confidence == "proven") == sure
    assert sure or any(said.startswith("trunk was changed after the call") for said in cause.because)


def test_a_pbx_that_has_read_its_files_again_since_is_no_proof_either(world: World) -> None:
    def probe(scene: Scene) -> list[Fact]:
        scene.reloaded_at = datetime.now(UTC).timestamp() - 5
        return []

    world.put("callback", probe)
    [cause] = [cause for cause in past(world, timedelta(seconds=20)).causes if cause.name == "wrong-username"]
    assert cause.confidence == "possible"
