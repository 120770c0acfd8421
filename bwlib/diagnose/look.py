"""All probes in their order and within a time, then the verdict. Nothing is changed; who does not answer is left.

First what is configured (Bandwidth, callback URL, PBX) side by side; then, once it is known what to call and where,
the realm and the calls. 30 s are the end of it, also where nothing answers.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from bwlib.calling import one_call_at_a_time
from bwlib.diagnose import at_bandwidth, at_callback, at_pbx, at_realm, by_call, by_ladder, ladder, pbx_state
from bwlib.diagnose.facts import UNKNOWN, Fact, Facts
from bwlib.diagnose.scene import Probe, Scene
from bwlib.diagnose.verdict import Verdict, judge
from bwlib.errors import BwlibError
from bwlib.models import SipEvent

CONFIGURED_S, CALLED_S = 9.0, 16.0
RESENT_S = 40.0  # RFC 3261 timer B, and some
Tell = Callable[[str], None]


def look(scene: Scene, tell: Tell) -> tuple[Facts, Verdict]:
    """Look at everything, and judge. tell: hears what is looked at meanwhile.

    Raises nothing for what does not answer: that is a fact like any other.
    """
    facts = Facts()
    tell("looking at Bandwidth, at the callback URL and at the PBX")
    first: dict[str, Probe] = {"bandwidth": at_bandwidth.probe, "callback": at_callback.probe, "pbx": _pbx}
    _side_by_side(scene, first, CONFIGURED_S, facts, tell)
    facts.add(_no_answers(scene, facts))
    facts.add(at_pbx.compare(scene))
    facts.add(_pinned(scene, facts))
    if scene.after_call or scene.since:
        past: dict[str, Probe] = {"call": _past_call, "dns": at_realm.probe_dns, "realm": at_realm.probe_reach}
        _side_by_side(scene, past, CALLED_S, facts, tell)
    else:
        _with_calls(scene, facts, tell)
    facts.add(_srv_port(facts))
    return facts, judge(facts)


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
    return [*at_pbx.probe(scene), *pbx_state.probe(scene), *at_pbx.traps(scene)]


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
    began, watch = time.time(), getattr(scene.run.on.pbx(), "watch", None) if "trunk" in facts else None
    with ExitStack() as stack:
        if scene.calls:
            stack.enter_context(one_call_at_a_time(scene.run.on.call_lock))
        watching = stack.enter_context(watch()) if watch and scene.calls else None
        _side_by_side(scene, probes, CALLED_S, facts, tell)
    if facts.value("calls") == "placed":
        facts.add(_of_calls(scene, facts, began, watching.events if watching else ()))


def _of_calls(scene: Scene, facts: Facts, began: float, told: Sequence[Mapping[str, str]]) -> list[Fact]:
    events = _since(scene, began)
    found = by_ladder.of_pbx(scene, told) + by_ladder.of_log(_log(scene, began))
    if events is None:
        return [*found, *by_ladder.of_phone(Facts([*facts.values(), *found]))]
    inward = facts.value("inward.create") == "ok"
    tried = "outward.phone" in facts
    names = {"outward": "outward.phone", "inward": "inward.phone"}
    answered = [way for way, name in names.items() if facts.value(name) in ("answered", "rang")]
    return [*by_ladder.read(scene, events, outward=tried, inward=inward, answered=answered), *found]


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
    facts = _asked_for(scene) if scene.after_call else []
    events = _events(scene, scene.since)
    if events is not None and scene.after_call:
        wanted = scene.sip_call_ids or {scene.after_call}
        events = [event for event in events if any(call_id in event.text for call_id in wanted)]
    if events is not None:
        outward, inward = by_ladder.ways(scene, events)
        facts += by_ladder.read(scene, events, outward=outward, inward=inward)
    if scene.after_call and not events:  # then how it ended is all that is known of it
        cause = facts[0]
        failed = Fact("probe.call", "failed", f"nothing is known of it. {cause.says}", "Bandwidth")
        facts.append(failed if cause.value == UNKNOWN else Fact("call.ended", cause.value, cause.says, "Bandwidth"))
    began = min((event.at.timestamp() for event in events or ()), default=time.time() - 600)
    return facts + by_ladder.of_log(_log(scene, scene.since or began - 1))


# Bandwidth's word for a call's direction is Bandwidth's, not the PBX's.
_PBX_WAYS = {"outbound": "inward", "inbound": "outward"}


def _asked_for(scene: Scene) -> list[Fact]:
    """What Bandwidth and the application know about a call by Bandwidth's id."""
    on, call_id = scene.run.on, scene.after_call
    facts = []
    try:
        call = on.client.get_call(call_id)
        cause = f"{call.disconnect_cause or 'none'} {call.error_message or ''}".strip()
        scene.way = _PBX_WAYS.get(call.direction, "")
        says = f"Bandwidth says of the call: {call.state}, cause {cause}"
        facts.append(Fact("call.cause", call.disconnect_cause or "none", says, "Bandwidth"))
    except BwlibError as error:
        facts.append(Fact("call.cause", UNKNOWN, f"Bandwidth on the call {call_id}: {error.came_back}", "Bandwidth"))
    try:
        hooks = on.readback.webhooks(call_id=call_id) if on.readback else []
    except BwlibError:
        hooks = []
    scene.sip_call_ids = {str(hook.body["sipCallId"]) for hook in hooks if hook.body.get("sipCallId")}
    return facts


def _events(scene: Scene, since: float) -> list[SipEvent] | None:
    look = scene.run.on.sip_events
    try:
        return look(since) if look else None
    except BwlibError:
        return None


def _log(scene: Scene, since: float) -> Sequence[str]:
    try:
        look = getattr(scene.run.on.pbx(), "log_since", None)
        return look(datetime.fromtimestamp(since, UTC)) if look else ()
    except BwlibError:
        return ()


# ---------------------------------------------------------------- within a time


def _side_by_side(scene: Scene, probes: Mapping[str, Probe], limit_s: float, facts: Facts, tell: Tell) -> None:
    """Each probe in a thread of its own. One that has not ended in time is left behind, and says so."""
    ended: queue.Queue[tuple[str, list[Fact], float]] = queue.Queue()
    began = time.monotonic()
    for name, probe in probes.items():
        threading.Thread(target=_run, args=(name, probe, scene, ended), name=f"probe {name}", daemon=True).start()
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
    try:
        found = probe(scene)
    except BwlibError as error:
        found = [Fact(f"probe.{name}", "failed", f"{name}: {error.came_back}", "")]
    except Exception as error:  # a probe that breaks must not hide what the others found
        found = [Fact(f"probe.{name}", "failed", f"{name}: {type(error).__name__} in the probe itself", "")]
    ended.put((name, found, time.monotonic() - began))
