"""When a test call counts as a success, and what is said when it does not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bwlib import calling
from bwlib.errors import NotAsExpected
from bwlib.models import Heard
from bwlib.readback_clip import clip_pcm, voice_pcm
from bwlib.settings import TestTable
from bwlib.steps.calls import CallProof, _expect, _judge

GOOD = CallProof(
    direction="inbound",
    call_id="c-1",
    sip_call_ids=("a@b",),
    webhooks=(),
    heard_by_phone=Heard(0.99, 0.0, 3.0),
    heard_by_bandwidth=Heard(0.99, 0.0, 1.3),
    digits="4",
    cause="hangup",
    audio={},
)


def refusal(proof: CallProof) -> NotAsExpected:
    with pytest.raises(NotAsExpected) as caught:
        _judge(proof, 0.99)
    return caught.value


def test_a_call_that_was_heard_on_both_sides_and_hung_up_is_a_success() -> None:
    _judge(GOOD, 0.99)


def test_a_side_that_cannot_be_listened_to_is_not_judged() -> None:
    _judge(replace(GOOD, heard_by_bandwidth=None), 0.99)


def test_what_the_phone_did_not_hear_well_enough_is_no_success() -> None:
    error = refusal(replace(GOOD, heard_by_phone=Heard(0.9899, 0.0, 3.0)))
    assert "what the phone heard" in error.attempted
    assert "0.9899" in error.came_back
    assert "at least 0.99" in error.came_back


def test_what_bandwidths_side_did_not_hear_well_enough_is_no_success() -> None:
    error = refusal(replace(GOOD, heard_by_bandwidth=Heard(0.72, 0.0, 1.3)))
    assert "what Bandwidth's side heard" in error.attempted
    assert "0.7200" in error.came_back


@pytest.mark.parametrize("cause", ["timeout", "error", "invalid-bxml", ""])
def test_a_call_that_did_not_end_by_a_hangup_is_no_success(cause: str) -> None:
    error = refusal(replace(GOOD, cause=cause))
    assert repr(cause) in error.came_back


def test_a_field_as_wanted_is_fine_and_another_is_named_with_both_values() -> None:
    _expect("digits", "4", "4", "DTMF")
    with pytest.raises(NotAsExpected) as caught:
        _expect("digits", "44", "4", "DTMF on the trunk")
    assert (caught.value.attempted, caught.value.came_back) == (
        "check `digits` in the webhook",
        "it is '44', wanted '4'",
    )
    assert "DTMF on the trunk" in caught.value.do_next


@pytest.mark.parametrize("found", [None, "", 4])
def test_a_field_that_is_missing_or_of_another_kind_is_not_as_wanted(found: object) -> None:
    with pytest.raises(NotAsExpected):
        _expect("digits", found, "4", "DTMF")


def test_the_phone_says_something_else_than_what_it_listens_for() -> None:
    run = SimpleNamespace(settings=SimpleNamespace(test=TestTable()))
    script = calling._script(run)  # type: ignore[arg-type]
    assert np.array_equal(script.voice, voice_pcm())
    assert not np.array_equal(script.voice, clip_pcm()[: len(script.voice)])
    assert script.threshold == 0.99
