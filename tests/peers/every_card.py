"""Every kind of card that a notebook of ours can show, in one cell; a real kernel imports this beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reported_run import call_events, call_webhooks, png, tone

from bwlib.doctor import Check
from bwlib.errors import NotAsExpected
from bwlib.models import Difference, Outcome
from bwlib.record.call_timeline import call_timeline_svg, call_timeline_text
from bwlib.record.overview import Part, overview_svg, overview_text
from bwlib.record.report_calls import lanes_of
from bwlib.sip import ladder
from bwlib.widgets import show
from bwlib.widgets.step_card import BADGES, Button, Entry, StepCard


def show_every_card() -> None:
    """Banners, results in each status, tables, an error, pictures, players, and a step card with each badge."""
    for target, mode in (("sandbox", "auto"), ("live", "apply"), ("live", "plan")):
        show.show_banner(target, "5500001", "a-site", mode, "runs/a-site/20261127T000000Z-1")
    _results()
    show.show_text("A list", ["a line", "another"])
    show.show_facts("Facts", {"name": "value", "long": "x" * 200}, "a note")
    show.show_sheet("A sheet", "Field      Value\nServer     realm.example")
    checks = [Check("Python", status, "3.11", "mend it") for status in ("ok", "optional", "missing")]
    show.show_checks("This machine", checks)
    show.show_fault(NotAsExpected("verify it", "GET instead of POST", "choose POST"))
    show.show_fault(ZeroDivisionError("oh"))
    show.show_webhooks(call_webhooks())
    show.show_audio("what the phone heard", tone())
    for status in ("passed", "skipped", "failed"):
        show.show_picture("The page", status, "a reason", ["a name"], png() if status == "passed" else b"", "x.png")
    show.show_progress("waiting for something")
    _drawings()
    for badge in BADGES:
        _step_card(badge)


def _results() -> None:
    rows = (Difference("method", "GET", "POST"), Difference("name", "a", "b"))
    for action, status in (("created", "passed"), ("planned", "pending"), ("kept", "failed"), ("skipped", "skipped")):
        outcome = Outcome(action, "Voice application", {"name": "PBX", "id": "1"}, rows, "a note")  # type: ignore[arg-type]
        show.show_outcome(outcome, status, 0.4)


def _drawings() -> None:
    names = ("phone", "pbx", "trunk", "realm", "application", "webhooks")
    states = ("", "proven", "not proven", "failed", "proven", "proven")
    parts = {name: Part(name.capitalize(), ("a value",), state) for name, state in zip(names, states, strict=True)}
    show.show_drawing(overview_svg(**parts), overview_text([*parts.values()]))
    events, hooks, lanes = call_events(), call_webhooks(), ("Phone", "PBX", "Realm", "Application")
    where = lanes_of(events, lanes)
    show.show_ladder(ladder.ladder_svg(events, where, "A call"), ladder.ladder_text(events, where))
    svg = call_timeline_svg(events, hooks, where, "A call on one axis", lanes=lanes)
    show.show_drawing(svg, call_timeline_text(events, hooks, where, lanes=lanes))


def _step_card(badge: str) -> None:
    """With every kind of field; one of them holds a wrong answer."""
    values = {"a.name": "pbx", "a.wait": 2.0, "a.replace": False, "a.way": "one"}
    entries = (
        Entry("a.name", "Name", "The realm's name"),
        Entry("a.wait", "Wait at most (s)", "Seconds"),
        Entry("a.replace", "Replace a password", "Only when sure"),
        Entry("a.way", "The way", "One of two", (("the first", "one"), ("the second", "two"))),
    )
    buttons = tuple(Button(word, f"What {word} does", lambda answers: "passed") for word in ("Plan", "Apply", "Undo"))
    step_card = StepCard(
        badge.replace(" ", "-"), f"A card that says {badge}", buttons, entries=entries, values=lambda: values,
        check=lambda entry, value: "" if value != "no good" else "use letters", state=(badge, "at 05:06 UTC by anna"),
    )  # fmt: skip
    step_card.show()
    step_card._fields["a.name"].value = "no good" if badge == "failed" else "good"
