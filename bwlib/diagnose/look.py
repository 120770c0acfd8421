"""All probes in their order and within a time, then the verdict. Nothing is changed; who does not answer is left.

First what is configured (Bandwidth, callback URL, PBX) side by side; then, once it is known what to call and where,
the realm and the calls. 30 s are the end of it, also where nothing answers.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bwlib.calling import one_call_at_a_time
from bwlib.diagnose import (
    at_bandwidth,
    at_callback,
    at_pbx,
    at_realm,
    by_call,
    by_events,
    by_ladder,
    by_log,
    ladder,
    long_ago,
    pbx_state,
)
from bwlib.diagnose.facts import UNKNOWN, Fact, Facts
from bwlib.diagnose.scene import Probe, Scene
from bwlib.diagnose.verdict import Verdict, judge, with_traps
from bwlib.errors import BwlibError, PbxRefused, PbxUnreachable
from bwlib.models import Call, SipEvent
from bwlib.phone import Phone

# Together, with what ends a look and seals its record, 30 s.
CONFIGURED_S, PAST_S, CALLED_S, END_S = 7.0, 5.0, 15.0, 2.0
CALLING = ("realm", "direct", "calls")  # the probes that have a call while they last
RESENT_S = 40.0  # RFC 3261 timer B, and some
Tell = Callable[[str], None]


def look(scene: Scene, tell: Tell) -> tuple[Facts, Verdict]:
    """Look at everything, and judge. tell: hears what is looked at meanwhile.

    Raises nothing for what does not answer: that is a fact like any other.
    """
    # From the first probe on: the phone of another look that is going on would be taken for somebody's.
    with one_call_at_a_time(scene.run.on.call_lock) if scene.calls else nullcontext():
        return _look(scene, tell)


def _look(scene: Scene, tell: Tell) -> tuple[Facts, Verdict]:
    facts = Facts()
    tell("looking at Bandwidth, at the callback URL and at the PBX")
    first: dict[str, Probe] = {"bandwidth": at_bandwidth.probe, "callback": at_callback.probe, "pbx": _pbx}
    _side_by_side(scene, first, CONFIGURED_S, facts, tell)
    facts.add(_no_answers(scene, facts))
    _add(facts, "compare", at_pbx.compare, scene)
    facts.add(_pinned(scene, facts))
    if scene.after_call or scene.since:
        # Before an INVITE of ours is among the messages.
        _side_by_side(scene, {"call": _past_call}, PAST_S, facts, tell)
        _side_by_side(scene, {"dns": at_realm.probe_dns, "realm": at_realm.probe_reach}, CALLED_S, facts, tell)
    else:
        _with_calls(scene, facts, tell)
    facts.add(_srv_port(facts))
    facts = _masked(scene, facts)
    return facts, with_traps(judge(facts), scene.traps)


def _masked(scene: Scene, facts: Facts) -> Facts:
    """The same without secrets: what others wrote is quoted, and may hold one."""
    redact = scene.run.record.redactor.text
    scene.traps = [
        replace(trap, cause=redact(trap.cause), evidence=tuple(map(redact, trap.evidence)), fix=redact(trap.fix))
        for trap in scene.traps
    ]
    return Facts(replace(fact, says=redact(fact.says)) for fact in facts.values())


def _no_answers(scene: Scene, facts: Facts) -> list[Fact]:
    """What it means that a probe did not end in time. Which URL to call back is Bandwidth's to say: without that, the
    callback was not asked."""
    if facts.value("probe.bandwidth") == "no-answer":
        return [Fact("account.applications", "no-answer", facts["probe.bandwidth"].says, "Bandwidth")]
    if facts.value("probe.callback") != "no-answer":
        return []
    application = scene.account.application or scene.run.on.application
    return [at_callback.slow(application.call_initiated_url, f"no answer within {CONFIGURED_S:g} s")]


def _pbx(scene: Scene) -> list[Fact]:
    """What is configured, then what is running, then the traps: what was read before one of them fails is kept."""
    facts = at_pbx.probe(scene)
    for name, probe in (("PBX state", pbx_state.probe), ("PBX traps", at_pbx.traps)):
        facts += _found(name, probe, scene)
    return facts


def _pinned(scene: Scene, facts: Facts) -> list[Fact]:
    """Whether the trunk answers this realm's challenge: known once both names are."""
    pinned = facts.get("trunk.realm")
    if pinned is None or not scene.host:
        return []
    word = "as-wanted" if pinned.value.lower() == scene.host.lower() else "differs"
    return [Fact("trunk.auth_realm", word, f"{pinned.says}; the challenge names {scene.host}", "PBX")]


def _srv_port(facts: Facts) -> list[Fact]:
    typed, srv = facts.value("trunk.port"), facts.get("dns.port")
    if srv is None or not typed.isdigit() or facts.value("trunk.needs_dns") != "yes":
        return []
    says = f"{facts['trunk.port'].says}; {srv.says}"
    return [Fact("trunk.port.srv", "as-wanted" if typed == srv.value else "differs", says, "DNS")]


# ---------------------------------------------------------------- calls


def _with_calls(scene: Scene, facts: Facts, tell: Tell) -> None:
    """The realm from here, and both calls, side by side; what passed at the realm and at the PBX meanwhile."""
    probes: dict[str, Probe] = {
        "dns": at_realm.probe_dns, "realm": at_realm.probe_reach, "direct": at_realm.probe_call, "calls": by_call.probe,
    }  # fmt: skip
    tell("placing short test calls" if scene.calls else "asking the realm, without a call")
    began, watch = time.time(), _of_pbx(scene, "watch") if "trunk" in facts else None
    with ExitStack() as stack:
        watching = stack.enter_context(watch()) if watch and scene.calls else None
        stack.callback(_end_calls, scene)
        _side_by_side(scene, probes, CALLED_S, facts, tell)
    if facts.value("calls") == "placed":
        told = watching.events if watching else ()
        _add(facts, "messages", lambda scene: _of_calls(scene, facts, began, told), scene)


def _of_calls(scene: Scene, facts: Facts, began: float, told: Sequence[Mapping[str, str]]) -> list[Fact]:
    events = _since(scene, began)
    found = by_events.read(scene, told) + by_log.of_call(scene, _log(scene, began))
    if events is None:
        return [*found, *by_ladder.of_phone(Facts([*facts.values(), *found]))]
    inward = facts.value("inward.create") == "ok"
    tried = "outward.phone" in facts
    names = {"outward": "outward.phone", "inward": "inward.phone"}
    answered = [way for way, name in names.items() if facts.value(name) in ("answered", "rang")]
    unanswered = [way for way, name in names.items() if facts.value(name) in ("not-answered", "did-not-ring")]
    left = Facts(found).value("outward.left") != "no"
    read = by_ladder.read(
        scene, events, outward=tried, inward=inward, answered=answered, unanswered=unanswered, left=left
    )
    return [*read, *found]


def _since(scene: Scene, began: float) -> list[SipEvent] | None:
    """SIP messages from then on, of calls that began then: one of before that met silence is sent again for 32 s."""
    events = _events(scene, began - RESENT_S)
    if events is None:
        return None
    of_before = [event for event in events if event.at.timestamp() < began]
    scene.our_calls |= {call.call_id for call in ladder.calls_in(of_before)}
    return [event for event in events if event.at.timestamp() >= began]


def _past_call(scene: Scene) -> list[Fact]:
    """A call that was placed before: its messages where they were seen, the webhooks, Bandwidth's word on it."""
    (facts, at), ways = _asked_for(scene) if scene.after_call else ([], 0.0), {scene.way}
    if facts and facts[0].name == "probe.call":
        return facts
    events = _events(scene, scene.since)
    if scene.after_call:
        wanted = scene.sip_call_ids or {scene.after_call}
        events = [event for event in events or () if ladder.call_id_of(event) in wanted]
        ways = by_ladder.ways_of(scene, events)
        if not ways and facts[0].value == UNKNOWN:
            facts.append(Fact("probe.call", "not-found", f"call: {facts[0].says}"))
    if events is not None:
        facts += by_ladder.read(scene, events, outward="outward" in ways, inward="inward" in ways)
    began = min((event.at.timestamp() for event in events or ()), default=at or time.time() - 600)
    facts += by_log.of_call(scene, _log(scene, scene.since or began - 1))
    doubt = long_ago.doubt(scene, at or (began if events else 0.0)) if scene.after_call else ""
    return [replace(fact, doubt=doubt) for fact in facts]


# Bandwidth's word for a call's direction is Bandwidth's, not the PBX's.
_PBX_WAYS = {"outbound": "inward", "inbound": "outward"}


def _asked_for(scene: Scene) -> tuple[list[Fact], float]:
    """What Bandwidth and the application know about a call by Bandwidth's id, and when it began; 0 when neither says.
    """
    on, call_id = scene.run.on, scene.after_call
    facts, at = list[Fact](), 0.0
    try:
        call = on.client.get_call(call_id)
        cause = f"{call.disconnect_cause or 'none'} {call.error_message or ''}".strip()
        scene.way = _PBX_WAYS.get(call.direction, "")
        if _is_of_another(scene, call):
            says = f"call: {call_id} (to {call.to}) is of another site"
            return [Fact("probe.call", "of-another", says, "Bandwidth")], at
        at = long_ago.seconds(call.start_time or call.end_time)
        says = f"Bandwidth says of the call: {call.state}, cause {cause}"
        facts.append(Fact("call.cause", call.disconnect_cause or "none", says, "Bandwidth"))
    except BwlibError as error:
        facts.append(Fact("call.cause", UNKNOWN, f"Bandwidth on the call {call_id}: {error.came_back}", "Bandwidth"))
    try:
        hooks = on.readback.webhooks(call_id=call_id) if on.readback else []
    except BwlibError:
        hooks = []
    scene.sip_call_ids = {str(hook.body["sipCallId"]) for hook in hooks if hook.body.get("sipCallId")}
    return facts, at or min((hook.at.timestamp() for hook in hooks), default=0.0)


def _is_of_another(scene: Scene, call: Call) -> bool:
    """Whether the account made this call for something else than this site: what is read of the site explains nothing.

    A call that came out of the PBX may have gone to another application because the credential is bound to that one.
    """
    if scene.way == "inward":
        return f"sip:{scene.run.settings.pbx.extension}@" not in call.to
    application, credential = scene.account.application, scene.account.credential
    bound_here = application is not None and credential is not None and credential.application_id == application.id
    return bound_here and application is not None and call.application_id != application.id


def _events(scene: Scene, since: float) -> list[SipEvent] | None:
    look = scene.run.on.sip_events
    try:
        return look(since) if look else None
    except BwlibError:
        return None


def _log(scene: Scene, since: float) -> Sequence[str]:
    look = _of_pbx(scene, "log_since")
    try:
        return look(datetime.fromtimestamp(since, UTC)) if look else ()
    except BwlibError:
        return ()


def _end_calls(scene: Scene) -> None:
    """No call goes on after the look, also when it was interrupted or its time was over: nobody would hang up."""
    scene.over.set()
    ending = [threading.Thread(target=_end_calls_of, args=(phone,), daemon=True) for phone in scene.phones]
    for thread in ending:
        thread.start()
    deadline = time.monotonic() + END_S
    for thread in (*ending, *(scene.threads[name] for name in CALLING if name in scene.threads)):
        thread.join(max(0.0, deadline - time.monotonic()))


def _end_calls_of(phone: Phone) -> None:
    with suppress(Exception):  # it was being switched off anyway
        phone.end_calls()


def _of_pbx(scene: Scene, what: str) -> Callable[..., Any] | None:
    """A method that not every PBX has; None too where there is no PBX to be had."""
    try:
        found: Callable[..., Any] | None = getattr(scene.run.on.pbx(), what, None)
    except BwlibError:
        return None
    return found


# ---------------------------------------------------------------- within a time


def _side_by_side(scene: Scene, probes: Mapping[str, Probe], limit_s: float, facts: Facts, tell: Tell) -> None:
    """Each probe in a thread of its own. One that has not ended in time is left behind, and says so."""
    ended: queue.Queue[tuple[str, list[Fact], float]] = queue.Queue()
    began = time.monotonic()
    for name, probe in probes.items():
        args = (name, probe, scene, ended)
        scene.threads[name] = threading.Thread(target=_run, args=args, name=f"probe {name}", daemon=True)
        scene.threads[name].start()
    waiting = set(probes)
    while waiting:
        left_s = limit_s - (time.monotonic() - began)
        try:
            name, found, took_s = ended.get(timeout=max(0.0, left_s))
        except queue.Empty:
            break
        waiting.discard(name)
        facts.add(found)
        tell(f"{name}: looked at ({took_s:.1f} s)")
    for name in sorted(waiting):
        facts.add([Fact(f"probe.{name}", "no-answer", f"{name}: no answer within {limit_s:g} s", "")])
        tell(f"{name}: no answer within {limit_s:g} s")


def _run(name: str, probe: Probe, scene: Scene, ended: queue.Queue[tuple[str, list[Fact], float]]) -> None:
    began = time.monotonic()
    ended.put((name, _found(name, probe, scene), time.monotonic() - began))


def _add(facts: Facts, name: str, probe: Probe, scene: Scene) -> None:
    """What follows from what is here already: it asks nobody for long."""
    facts.add(_found(name, probe, scene))


def _found(name: str, probe: Probe, scene: Scene) -> list[Fact]:
    """What it found, or why it could not: one that breaks must not hide what the others found."""
    try:
        return probe(scene)
    except BwlibError as error:
        return [Fact(f"probe.{name}", _word(error), f"{name}: {error.came_back}")]
    except Exception as error:
        return [Fact(f"probe.{name}", "failed", f"{name}: {type(error).__name__} in the probe itself")]


def _word(error: BwlibError) -> str:
    if isinstance(error, PbxUnreachable):
        return "unreachable"
    return "refused" if isinstance(error, PbxRefused) else "failed"
