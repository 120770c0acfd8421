"""Comparing without showing a secret, and creating without doing it twice."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bwlib.errors import NotAsExpected, Refused, Unavailable
from bwlib.models import Difference
from bwlib.steps.compare import create_or_find, differences, everything_new, is_absent, must_match

FIELDS = ("name", "secret", "codecs", "port")


SECRET = SecretStr("correct-horse")


@dataclass(frozen=True)
class Thing:
    name: str = "a"
    secret: SecretStr = SECRET
    codecs: tuple[str, ...] = ("ulaw", "alaw")
    port: int | None = None


def test_equal_things_have_no_differences() -> None:
    assert differences(Thing(), Thing(), FIELDS) == ()


def test_each_differing_field_is_named_with_both_values() -> None:
    other = Thing("b", codecs=(), port=5060)
    assert differences(Thing(), other, FIELDS) == (
        Difference("name", "a", "b"),
        Difference("codecs", "ulaw, alaw", "not set"),
        Difference("port", "not set", "5060"),
    )


@given(one=st.text(min_size=8), two=st.text(min_size=8))
def test_a_differing_secret_is_the_word_differs(one: str, two: str) -> None:
    rows = differences(Thing(secret=SecretStr(one)), Thing(secret=SecretStr(two)), FIELDS)
    assert rows == (() if one == two else (Difference("secret", "differs", "as in the secret reference"),))
    assert everything_new(Thing(secret=SecretStr(one)), ["secret"]) == (
        Difference("secret", "absent", "from the secret reference"),
    )


def test_a_secret_that_is_found_plain_is_not_shown_either() -> None:
    @dataclass(frozen=True)
    class Plain:
        secret: str = "hunter2-hunter2"

    assert "hunter2" not in repr(differences(Plain(), Thing(), ["secret"]))


def test_must_match_names_every_fault_and_passes_without_any() -> None:
    must_match("it", (), "do")
    with pytest.raises(NotAsExpected, match="name is a, wanted b; port is not set, wanted 5060"):
        must_match("it", differences(Thing(), Thing("b", port=5060), FIELDS), "do")


# ---------------------------------------------------------------- create once


def no_answer(may_have_arrived: bool) -> Unavailable:
    return Unavailable("create", "no answer", "look", may_have_arrived=may_have_arrived)


class Maker:
    def __init__(self, error: Exception | None, there: str | None) -> None:
        self.error, self.there, self.created, self.looked = error, there, 0, 0

    def create(self) -> str:
        self.created += 1
        if self.error:
            raise self.error
        return "made"

    def find(self) -> str | None:
        self.looked += 1
        return self.there


def test_what_is_created_is_not_looked_for() -> None:
    maker = Maker(None, "other")
    assert create_or_find(maker.create, maker.find) == ("made", "")
    assert maker.looked == 0


def test_without_an_answer_we_look_and_never_send_again() -> None:
    maker = Maker(no_answer(True), "there")
    found, note = create_or_find(maker.create, maker.find)
    assert (found, maker.created, maker.looked) == ("there", 1, 1)
    assert note


@pytest.mark.parametrize(
    ("error", "looked"),
    [(no_answer(True), 1), (no_answer(False), 0), (Refused("create", "no", "read it", status=409), 0)],
)
def test_what_was_not_found_keeps_the_first_error(error: Exception, looked: int) -> None:
    maker = Maker(error, None)
    with pytest.raises(type(error)) as caught:
        create_or_find(maker.create, maker.find)
    assert caught.value is error
    assert (maker.created, maker.looked) == (1, looked)


def test_only_a_404_means_absent() -> None:
    assert [status for status in (400, 403, 404, 409, 410) if is_absent(Refused("a", "b", "c", status=status))] == [404]
