"""A call's picture while it goes on: drawn when something is new, never in the call's way, never with a secret."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reported_run import PBX, PHONE, empty_run

from bwlib import call_live
from bwlib.call_live import CallView, watched
from bwlib.errors import Unavailable
from bwlib.models import Digits, SipEvent, Webhook
from bwlib.record.redact import redactor_for

LIMIT_S = 20
SECRET = "correct-horse"
GONE = Unavailable("ask readback", "it does not answer", "start it")


class Drawn:
    """Stands for the notebook's output: the words of each drawing, in their order."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.html: list[str] = []
        self.ended = False
        self.more = threading.Event()

    def update(self, html: str, text: str) -> None:
        self.words.append(text)
        self.html.append(html)
        self.more.set()

    def end(self, html: str, text: str) -> None:
        self.update(html, text)
        self.ended = True

    def wait_for(self, word: str) -> None:
        while word not in self.words[-1]:
            assert self.more.wait(LIMIT_S), f"{word} was not drawn"
            self.more.clear()


class World:
    """A phone, a realm and an application of which the test says what they have seen."""

    def __init__(self, folder: Path) -> None:
        self.phone = SimpleNamespace(events=[], pressed=[])
        self.hooks: list[Webhook] = []
        self.asked: list[int] = []
        self.broken: Exception | None = None
        self.record = empty_run(folder, redactor_for([("file:sip", SECRET)]))
        on = SimpleNamespace(sip_events=lambda since: [], readback=self, realm_lane="Realm")
        pbx = SimpleNamespace(extension="191")
        self.run: Any = SimpleNamespace(on=on, record=self.record, settings=SimpleNamespace(pbx=pbx))

    def webhooks(self, after_id: int) -> list[Webhook]:
        self.asked.append(after_id)
        if self.broken:
            raise self.broken
        return [hook for hook in self.hooks if hook.id > after_id]

    def says(self, text: str) -> None:
        self.phone.events.append(SipEvent(datetime.now(UTC), PHONE, PBX, text, PHONE))

    def hook(self, number: int, kind: str) -> None:
        self.hooks.append(Webhook(number, datetime.now(UTC), kind, "c", "/" + kind, {}, 200, "<Response/>", True))

    def view(self) -> CallView:
        host, _, port = PBX.partition(":")
        return CallView(self.run, "call", "A call", self.phone, (host, int(port)), 7)

    def notes(self) -> list[str]:
        return [line["note"] for line in self.record.journal.lines() if line["kind"] == "note"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    found = Drawn()
    monkeypatch.setattr("bwlib.widgets.show.Live", lambda: found)
    monkeypatch.setattr("bwlib.record.kernel.is_by_hand", lambda: True)
    monkeypatch.setattr(call_live, "EVERY_S", 0.01)
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_happens_is_drawn_while_the_call_goes_on_and_for_good_at_its_end(world: World, drawn: Drawn) -> None:
    view = world.view()
    with watched(view):
        world.says("INVITE sip:+1@a SIP/2.0\r\n\r\n")
        drawn.wait_for("INVITE")
        world.hook(8, "initiate")
        drawn.wait_for("initiate")
        world.phone.pressed.append(Digits(datetime.now(UTC), "4"))
        drawn.wait_for("presses 4 (DTMF)")
        assert not drawn.ended
    world.says("BYE sip:+1@a SIP/2.0\r\n\r\n")
    seen = view.end()
    assert drawn.ended
    assert all(word in drawn.words[-1] for word in ("INVITE", "initiate", "presses 4", "BYE"))
    assert "<svg" in drawn.html[-1]
    assert [len(seen.events), len(seen.webhooks), len(seen.digits)] == [2, 1, 1]
    assert world.notes() == []


def test_nothing_new_is_not_drawn_and_only_new_webhooks_are_asked_for(world: World, drawn: Drawn) -> None:
    with watched(world.view()):
        world.hook(8, "initiate")
        drawn.wait_for("initiate")
        before, asked = len(drawn.words), len(world.asked)
        _until(lambda: len(world.asked) > asked + 2)
        assert len(drawn.words) == before
    assert world.asked[0] == 7
    assert set(world.asked[asked + 1 :]) == {8}


def test_what_goes_wrong_in_the_watcher_is_one_note_and_the_call_goes_on(world: World, drawn: Drawn) -> None:
    view, world.broken = world.view(), ValueError(f"no good: {SECRET}")
    with watched(view):
        _until(lambda: len(world.asked) > 3)
        world.broken = None
        world.hook(8, "initiate")
        drawn.wait_for("initiate")
    view.end()
    (note,) = world.notes()
    assert "could not be drawn while it went on: ValueError: no good" in note
    assert SECRET not in note


def test_what_cannot_be_read_at_the_end_is_noted_and_the_rest_is_drawn(world: World, drawn: Drawn) -> None:
    view = world.view()
    world.says("INVITE sip:+1@a SIP/2.0\r\n\r\n")
    world.broken = GONE
    view.end()
    assert "INVITE" in drawn.words[-1]
    assert world.notes() == ["webhooks could not be read: it does not answer"]


def test_the_watcher_has_ended_with_the_block_also_when_the_call_failed(world: World, drawn: Drawn) -> None:
    with pytest.raises(Unavailable), watched(world.view()):
        raise GONE
    assert "call view" not in {thread.name for thread in threading.enumerate()}


def test_a_look_that_hangs_shows_nothing_after_the_end(
    world: World, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_live, "END_S", 0.01)
    hangs, goes_on = threading.Event(), threading.Event()

    def look(since: float) -> list[SipEvent]:
        if threading.current_thread().name == "call view":
            hangs.set()
            assert goes_on.wait(LIMIT_S)
        return []

    world.run.on.sip_events = look
    view = world.view()
    with watched(view):
        world.hook(8, "initiate")
        assert hangs.wait(LIMIT_S)
    view.end()
    before = len(drawn.words)
    goes_on.set()
    _until(lambda: "call view" not in {thread.name for thread in threading.enumerate()})
    assert len(drawn.words) == before


def test_no_secret_is_drawn(world: World, drawn: Drawn) -> None:
    world.says(f"INVITE sip:{SECRET}@a SIP/2.0\r\n\r\n")
    view = world.view()
    world.says(f"INVITE sip:{SECRET}@a SIP/2.0\r\n\r\n")
    view.end()
    assert "«redacted:file:sip»" in drawn.words[-1]
    assert SECRET not in drawn.words[-1] + drawn.html[-1]
    assert len(drawn.words[-1].splitlines()) == 2  # what was before the call is not of it


def test_unattended_only_the_end_is_drawn(world: World, drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bwlib.record.kernel.is_by_hand", lambda: False)
    view = world.view()
    with watched(view):
        world.says("INVITE sip:+1@a SIP/2.0\r\n\r\n")
        assert "call view" not in {thread.name for thread in threading.enumerate()}
    view.end()
    assert len(drawn.words) == 1


def _until(holds: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(LIMIT_S * 100):
        if holds():
            return
        waited.wait(0.01)
    raise AssertionError("it did not come to that")
