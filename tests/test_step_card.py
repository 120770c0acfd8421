"""A step's card: what its form takes, what its buttons do, what stays below it. No kernel: widgets live without one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bwlib.errors import NotAsExpected
from bwlib.widgets import main_thread, show
from bwlib.widgets.place import Place
from bwlib.widgets.step_card import Answers, Button, Entry, StepCard

NAME = Entry("realm.name", "Realm name", "lower-case letters")
WAIT = Entry("realm.wait_s", "Wait at most (s)", "seconds")
ROTATE = Entry("sip_credential.rotate", "Replace", "only when sure")
ROAD = Entry("road", "Road", "which", (("realm and credential", "realm"), ("SIP URI", "sip-uri")))
VALUES = {"realm.name": "pbx", "realm.wait_s": 60.0, "sip_credential.rotate": False, "road": "realm"}


@pytest.fixture(autouse=True)
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """What was displayed: (MIME bundle, how)."""
    seen: list[tuple[dict[str, str], dict[str, Any]]] = []
    monkeypatch.setattr("IPython.get_ipython", lambda: "a kernel")
    monkeypatch.setattr("IPython.display.display", lambda bundle, **how: seen.append((bundle, how)))
    return seen


def check(entry: str, value: object) -> str:
    if entry == "realm.name":
        return "" if str(value).isalnum() else "use letters and digits"
    return "" if isinstance(value, float) or entry != "realm.wait_s" else "use a number"


def a_card(do: Callable[[Answers], str] = lambda answers: "passed", **more: Any) -> StepCard:
    now = dict(VALUES)

    def remember(answers: Answers) -> str:
        now.update(answers)
        return do(answers)

    buttons = (
        Button("Plan", "look", remember),
        Button("Apply", "write", remember, **more),
        Button("Undo", "", remember, needs_form=False),
    )
    return StepCard("realm", "Realm", buttons, entries=(NAME, WAIT, ROTATE, ROAD), values=lambda: now, check=check)


def field(card: StepCard, entry: str) -> Any:
    return card._fields[entry]


def badge(card: StepCard) -> str:
    return str(card._head.value)


def latest(displayed: list[tuple[dict[str, str], dict[str, Any]]]) -> str:
    return displayed[-1][0]["text/plain"]


def test_every_field_has_the_guides_label_and_its_present_value() -> None:
    card = a_card()
    shown = {name: (one.description, one.value, one.tooltip) for name, one in card._fields.items()}
    assert shown["realm.name"] == ("Realm name", "pbx", "lower-case letters")
    assert shown["realm.wait_s"][:2] == ("Wait at most (s)", "60.0")
    assert shown["sip_credential.rotate"][:2] == ("Replace", False)
    assert shown["road"][:2] == ("Road", "realm")


def test_a_button_gets_only_what_was_changed_in_its_own_type() -> None:
    given: list[Answers] = []
    card = a_card(lambda answers: given.append(dict(answers)) or "passed")
    card.press("Plan")
    field(card, "realm.name").value = " sip "
    field(card, "realm.wait_s").value = "90"
    field(card, "sip_credential.rotate").value = True
    field(card, "road").value = "sip-uri"
    card.press("Plan")
    card.press("Plan")  # what has been taken is no change any more
    changed = {"realm.name": "sip", "realm.wait_s": 90.0, "sip_credential.rotate": True, "road": "sip-uri"}
    assert given == [{}, changed, {}]


def test_a_fault_is_said_as_it_is_typed_and_holds_the_buttons_back_but_not_undo() -> None:
    card = a_card()
    field(card, "realm.name").value = "no good"
    assert "use letters and digits" in card._faults["realm.name"].value
    assert [one.disabled for one in card._pressed.values()] == [True, True, False]
    field(card, "realm.wait_s").value = "soon"
    field(card, "realm.name").value = "good"
    assert [one.disabled for one in card._pressed.values()] == [True, True, False]
    field(card, "realm.wait_s").value = "5"
    assert [one.disabled for one in card._pressed.values()] == [False, False, False]
    assert "lower-case letters" in card._faults["realm.name"].value


def test_what_is_typed_is_escaped() -> None:
    card = StepCard("x", "<b>Title</b>", (), entries=(Entry("a", "A", "<i>help</i>"),), values=lambda: {"a": ""})
    assert "<b>" not in badge(card)
    assert "<i>" not in card._faults["a"].value


def test_the_badge_says_in_words_how_it_ended(displayed: Any) -> None:
    card = a_card(lambda answers: "planned")
    assert "not done yet" in badge(card)
    card.press("Plan")
    assert "planned" in badge(card)
    assert "by Plan" in badge(card)
    assert [one.disabled for one in card._pressed.values()] == [False, False, False]


def test_an_error_is_shown_in_three_sentences_and_the_card_goes_on(displayed: Any) -> None:
    def do(answers: Answers) -> str:
        raise NotAsExpected("verify it", "GET instead of POST", "choose POST")

    card = a_card(do)
    card.press("Apply")
    assert "failed" in badge(card)
    for said in ("NotAsExpected", "verify it", "GET instead of POST", "choose POST"):
        assert said in latest(displayed)
    assert not card._pressed["Apply"].disabled


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError("oh")])
def test_an_interrupt_or_a_slip_of_ours_leaves_the_card_usable(displayed: Any, error: BaseException) -> None:
    def do(answers: Answers) -> str:
        raise error

    card = a_card(do)
    card.press("Apply")
    assert "failed" in badge(card)
    assert "do next" in latest(displayed)
    assert not card._pressed["Apply"].disabled


def test_on_a_live_account_a_button_that_writes_is_pressed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("bwlib.widgets.step_card.time.monotonic", lambda: clock[0])
    pressed: list[str] = []
    card = a_card(lambda answers: pressed.append("yes") or "passed", confirm="This writes to the LIVE account 9.")

    def press(after_s: float) -> int:
        clock[0] += after_s
        card.press("Apply")
        return len(pressed)

    assert press(0) == 0
    assert "LIVE account 9" in card._progress.value
    assert press(0.2) == 0  # a double click is one press
    assert press(2) == 1
    assert press(2) == 1  # and asked again for the next
    assert press(60) == 1  # too late: it is asked anew
    field(card, "realm.name").value = "other"
    assert press(2) == 1  # what was confirmed is not what would be written
    assert press(2) == 2


def test_a_disabled_button_stays_disabled() -> None:
    card = a_card(disabled=True)
    card.press("Plan")
    field(card, "realm.name").value = "other"
    assert card._pressed["Apply"].disabled


def test_run_as_a_cell_an_error_goes_on_and_ends_the_cell() -> None:
    card = a_card()
    with pytest.raises(NotAsExpected), card.as_cell(lambda: "passed"):
        raise NotAsExpected("a", "b", "c")
    assert "failed" in badge(card)
    with card.as_cell(lambda: "planned"):
        assert "working" in badge(card)
    assert "planned" in badge(card)


def test_what_a_button_brings_stands_in_the_place_and_replaces_what_was_there(displayed: Any) -> None:
    words = iter(["first", "second"])

    def do(answers: Answers) -> str:
        show.show_progress("ringing")
        show.show_text(next(words), ["a line"])
        return "passed"

    card = a_card(do)
    card.press("Plan")
    first = {how["display_id"] for _, how in displayed}
    assert "first" in latest(displayed)
    card.press("Plan")
    assert "second" in latest(displayed)
    assert "first" not in latest(displayed)
    assert len(first) == 1
    assert displayed[-1][1]["update"]


def test_a_place_folds_what_was_waited_for_and_changes_a_part(displayed: Any) -> None:
    place = Place()
    number = place.add("<p>one</p>", "one")
    place.tell("waiting")
    assert latest(displayed).splitlines() == ["one", "… waiting"]
    place.fold()
    place.change(number, "<p>two</p>", "two")
    assert latest(displayed).splitlines() == ["two", "… waiting"]
    place.clear()
    place.change(number, "x", "x")  # gone: somebody else's place by now
    assert latest(displayed) == ""


def test_a_click_from_a_subshell_is_done_in_the_main_thread_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """JupyterLab gives widget messages to a thread of their own; there no interrupt arrives."""
    queued: list[Any] = []
    where: list[str] = []
    kernel = SimpleNamespace(io_loop=SimpleNamespace(add_callback=lambda call, *args: queued.append((call, args))))
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: SimpleNamespace(kernel=kernel))
    card = a_card(lambda answers: where.append(threading.current_thread().name) or "passed")
    for _ in range(2):
        thread = threading.Thread(target=card._pressed["Apply"].click, name="subshell")
        thread.start()
        thread.join()
    assert where == []
    [(call, args)] = queued
    call(*args)
    assert where == [threading.main_thread().name]
    card._pressed["Apply"].click()  # in the main thread: at once
    assert len(where) == 2


def test_an_interrupt_reaches_what_a_subshells_click_began() -> None:
    before = signal.getsignal(signal.SIGINT)
    ended: list[str] = []

    def do() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(5)
        except KeyboardInterrupt:
            ended.append("interrupted")

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as ipykernel has it between messages
    try:
        main_thread._interruptible(do)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended == ["interrupted"]


def test_an_answer_that_is_taken_back_after_a_failure_counts() -> None:
    """The first press saved the other number before its call failed: typing the old one again is a change."""
    now = dict(VALUES)
    given: list[Answers] = []

    def do(answers: Answers) -> str:
        given.append(dict(answers))
        now.update(answers)
        raise NotAsExpected("call", "404", "choose another number")

    buttons = (Button("Place the call", "", do),)
    card = StepCard("x", "X", buttons, entries=(NAME,), values=lambda: now)
    field(card, "realm.name").value = "wrong"
    card.press("Place the call")
    field(card, "realm.name").value = VALUES["realm.name"]
    card.press("Place the call")
    assert given == [{"realm.name": "wrong"}, {"realm.name": VALUES["realm.name"]}]
