"""A talk of a diagnosis that its time cut short, as on a busy machine, says nothing of digits."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bwlib.diagnose import by_call
from bwlib.diagnose.facts import UNKNOWN, Facts
from bwlib.diagnose.verdict import judge


class Call:
    """A call in which nothing is heard, and whose application speaks on or has spoken."""

    recording = np.zeros(8000, np.int16)
    sip_call_id = "phone-1"

    def __init__(self, *, silent: bool, cut: bool = False) -> None:
        self.silent, self.cut, self.pressed = silent, cut, 0

    def play(self, voice: Any, wait: bool) -> None:
        pass

    def send_digits(self, digit: str) -> None:
        self.pressed += 1

    def wait_for_silence(self, after_s: float, timeout_s: float) -> bool:
        return self.silent

    def wait_ended(self, timeout_s: float) -> str:
        return "bye" if self.cut else ""

    def hang_up(self) -> None:
        pass


def talked(call: Call, monkeypatch: pytest.MonkeyPatch, left_s: float) -> Facts:
    """What `_talk` finds of this call when so much of the look's time is left, and no webhook comes."""
    monkeypatch.setattr(by_call, "PRESS_EVERY_S", 0.01)
    monkeypatch.setattr(by_call, "TALK_S", 0.1)
    on = SimpleNamespace(
        readback=SimpleNamespace(webhooks=lambda after_id: []),
        pbx=lambda: None,
        ears=SimpleNamespace(by_bandwidth=None),
    )
    settings = SimpleNamespace(test=SimpleNamespace(digit="4"), pbx=SimpleNamespace(trunk="bandwidth"))
    scene: Any = SimpleNamespace(run=SimpleNamespace(on=on, settings=settings))
    talk = by_call.Talk("outward", 0, time.monotonic() + left_s)
    return Facts(by_call._talk(scene, call, talk, "c-1"))  # type: ignore[arg-type]


@pytest.mark.parametrize("left_s", [-1.0, 0.2])
def test_digits_that_could_not_be_tried_in_time_are_no_finding_and_no_success(
    monkeypatch: pytest.MonkeyPatch, left_s: float
) -> None:
    facts = talked(Call(silent=False), monkeypatch, left_s)
    assert facts.value("outward.digits") == UNKNOWN
    assert "digits were not tried" in "".join(judge(facts).not_looked)
    assert not [cause for cause in judge(facts).causes if "digit" in cause.name or "dtmf" in cause.name]


def test_digits_that_were_pressed_after_all_was_said_and_did_not_come_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Call(silent=True)
    assert talked(call, monkeypatch, 60).value("outward.digits") == "no"
    assert call.pressed > 0


def test_a_call_that_the_other_side_ends_before_its_time_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_call, "_goes_on", lambda *_: False)
    assert talked(Call(silent=True, cut=True), monkeypatch, 60).value("outward.cut") == "yes"
    assert talked(Call(silent=True), monkeypatch, 60).value("outward.cut") == "no"
