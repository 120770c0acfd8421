"""A diagnosis as a run takes it: look, judge, show, and put what was found into the record.

Nothing is changed at Bandwidth or on the PBX. On the sandbox short test calls are placed; on a live account only when
asked for, because they may be billed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bwlib import at_bandwidth, at_pbx
from bwlib.asking import offer
from bwlib.diagnose.facts import Facts
from bwlib.diagnose.look import look
from bwlib.diagnose.scene import Scene
from bwlib.diagnose.verdict import Verdict
from bwlib.errors import BwlibError, RecordError, SettingsError
from bwlib.models import Finding, SipEvent
from bwlib.sip.ladder import ladder_svg, ladder_text
from bwlib.widgets import show
from bwlib.widgets.diagnosis import BULLETS, show_verdict

if TYPE_CHECKING:
    from bwlib.guide import Run

STEP = "diagnose"
ATTEMPTED = "find out what keeps calls from working"
Tell = Callable[[str], None]


def diagnose(run: Run, *, place_call: bool = False, after_call: str = "", tell: Tell | None = None) -> Diagnosis:
    """Look at everything, write it into the record, and give it back.

    place_call: on a live account, whether test calls may be placed. after_call: Bandwidth's id (or the Call-ID) of a
    call to explain; then none is placed. The step is `passed` when nothing is wrong, else `failed`; it raises nothing
    for what it finds.
    """
    began, say = time.monotonic(), tell or show.show_progress
    run.record.journal.append("step", step=STEP, status="running", mode=run.mode, **_where(run))
    calls = (run.on.target == "sandbox" or place_call) and not after_call
    scene = Scene(run, calls=calls, after_call=after_call)
    facts, verdict = look(scene, say)
    found = Diagnosis(facts, verdict, _ladders(run, scene), round(time.monotonic() - began, 1))
    try:
        _write_down(run, scene, found)
    except RecordError:  # a full disk must not cost what was found
        say(f"found, and not written down: {found.sentence}")
        for cause in verdict.causes:
            say(f"{cause.cause} ({cause.confidence}). Do next: {cause.fix}")
        raise
    return found


def _write_down(run: Run, scene: Scene, found: Diagnosis) -> None:
    healthy = found.verdict.healthy
    run.record.write_json("diagnosis.json", found.as_json())
    for way, (events, failing) in scene.ladders.items():
        _keep_ladder(run, f"{STEP}_{way}", events, failing)
    run.status[STEP] = "passed" if healthy else "failed"
    run.record.journal.append(
        "step", step=STEP, status=run.status[STEP], title="Diagnosis", action="looked", note=found.sentence,
        account=run.on.account_id, elapsed_s=found.seconds, causes=[cause.name for cause in found.verdict.causes],
        **_where(run), **({} if healthy else _as_failure(found)),
    )  # fmt: skip


class Diagnosis:
    """What a look found: facts, verdict, and the ladders of the calls with the message at which each failed."""

    def __init__(self, facts: Facts, verdict: Verdict, ladders: Mapping[str, tuple[str, str]], seconds: float) -> None:
        self.facts, self.verdict, self.ladders, self.seconds = facts, verdict, ladders, seconds

    def __repr__(self) -> str:
        return f"Diagnosis({self.sentence})"

    @property
    def sentence(self) -> str:
        """What it comes to, in one sentence."""
        causes, unexplained = self.verdict.causes, self.verdict.unexplained
        if causes:
            more = f", and {len(causes) - 1} more" if len(causes) > 1 else ""
            return f"{causes[0].cause} ({causes[0].confidence}){more}"
        if unexplained:
            return f"I do not know the cause of this: {unexplained[0]}"
        if self.verdict.not_looked:
            return f"nothing was found, but not everything could be looked at: {self.verdict.not_looked[0]}"
        heard = [way for way in ("outward", "inward") if self.facts.value(f"{way}.heard") == "yes"]
        if heard:
            return f"nothing is wrong: {'both calls were' if len(heard) == 2 else 'a call was'} heard"
        calls = self.facts.get("calls")
        return f"nothing wrong was found; {calls.says if calls else 'no call was placed'}"

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong, 9 when something is; 1 when nothing was found and not everything was looked at."""
        if self.verdict.causes or self.verdict.unexplained:
            return RecordError.exit_code
        return 1 if self.verdict.not_looked else 0

    def show(self, bullet: str = "") -> None:
        """On the screen; with a bullet of the guide only what is about it."""
        show_verdict(self.facts, self.verdict, self.ladders, self.sentence, bullet)

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the record."""
        verdict = self.verdict
        return {
            "healthy": verdict.healthy,
            "sentence": self.sentence,
            "causes": [{**vars(cause), "because": list(cause.because)} for cause in verdict.causes],
            "unexplained": list(verdict.unexplained),
            "ruled_out": list(verdict.ruled_out),
            "not_looked": list(verdict.not_looked),
            "facts": {name: {key: getattr(fact, key) for key in ("value", "says", "source")}
                      for name, fact in self.facts.items()},
            "seconds": self.seconds,
        }  # fmt: skip


def show_causes(run: Run, about: str) -> None:
    """What this notebook's diagnosis found about one bullet of the guide. Raises: SettingsError for another word."""
    if about not in BULLETS:
        raise SettingsError("show what was found", f"there is no bullet {about!r}", f"use one of: {', '.join(BULLETS)}")
    found = run.made.get(STEP)
    if isinstance(found, Diagnosis):
        found.show(about)
    else:
        show.show_text(BULLETS[about][0], ["nothing was looked at yet: run the cell above"])


def show_mending(run: Run) -> None:
    """The cards of the steps whose Apply mends what was found; unattended, the fixes in words."""
    found = run.made.get(STEP)
    causes = found.verdict.causes if isinstance(found, Diagnosis) else ()
    if not causes:
        show.show_text("Mend it", ["nothing to mend was found" if found else "nothing was looked at yet"])
        return
    show.show_text("Mend it", [f"{number}. {cause.cause}: {cause.fix}" for number, cause in enumerate(causes, 1)])
    steps = list(dict.fromkeys(cause.step for cause in causes if cause.step)) if run.attended else []
    for step in steps:
        offer(run, step, partial(_MENDS[step], run))


_MENDS: Mapping[str, Callable[[Run], object]] = {
    "application": at_bandwidth.application,
    "realm": at_bandwidth.realm,
    "sip_credential": lambda run: at_bandwidth.sip_credential(run, None),
    "inbound_sip_uri": at_bandwidth.inbound_sip_uri,
    "trunk": at_pbx.trunk,
    "route": at_pbx.route,
    "extension": at_pbx.extension,
}


def cause_of_failed_call(run: Run, started: float, way: str) -> Finding | None:
    """The likely cause of a test call that has just failed, None when none was found.

    started: seconds since 1970. way: "outward" (from the extension) or "inward" (to it). First from what passed then;
    where that says nothing, and calls cost nothing, from calls of its own.
    """
    for scene in (Scene(run, calls=False, since=started, way=way), Scene(run)):
        if scene.calls and run.on.target != "sandbox":
            break
        try:
            _, verdict = look(scene, show.show_progress)
        except BwlibError:
            return None
        sure = [cause for cause in verdict.causes if cause.confidence != "found" or scene.calls]
        if sure:
            cause = sure[0]
            words = {"proven": "", "found": "", "likely": "likely: ", "possible": "possibly: "}[cause.confidence]
            return Finding(f"{words}{cause.cause}", cause.because, cause.fix)
    return None


def _as_failure(found: Diagnosis) -> dict[str, Any]:
    causes = found.verdict.causes
    fix = causes[0].fix if causes else "look at what was seen, and at what was ruled out, in diagnosis.json"
    return {"attempted": ATTEMPTED, "came_back": found.sentence, "do_next": fix}


def _where(run: Run) -> dict[str, object]:
    return {"notebook": run.notebook, "operator": run.operator, **run.click}


def _ladders(run: Run, scene: Scene) -> dict[str, tuple[str, str]]:
    """way -> (SVG, text), redacted."""
    redact = run.record.redactor.text
    drawn = {way: _drawn(run, way, events, failing) for way, (events, failing) in scene.ladders.items()}
    return {way: (redact(svg), redact(text)) for way, (svg, text) in drawn.items()}


def _drawn(run: Run, way: str, events: list[SipEvent], failing: int | None) -> tuple[str, str]:
    names = {run.on.trunk_proxy: run.on.realm_lane} if run.on.trunk_proxy else {}
    others = {end for event in events for end in (event.source, event.target)} - set(names)
    lanes = (
        {**dict.fromkeys(sorted(others), "PBX"), **names}
        if way == "outward"
        else {**names, **dict.fromkeys(sorted(others), "PBX")}
    )
    at = events[failing] if failing is not None else None
    title = {"outward": "The call out of the PBX", "inward": "The call into the PBX"}[way]
    return ladder_svg(events, lanes, title, failing=at), ladder_text(events, lanes, failing=at)


def _keep_ladder(run: Run, name: str, events: list[SipEvent], failing: int | None) -> None:
    svg, text = _drawn(run, name.rpartition("_")[2], events, failing)
    run.record.append_sip(events, name)
    run.record.write_text(f"ladder_{name}.svg", svg)
    run.record.write_text(f"ladder_{name}.txt", text)
