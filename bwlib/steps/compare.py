"""Compare what was found with what is wanted, field by field, without ever showing a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import SecretStr

from bwlib.errors import NotAsExpected, Refused, Unavailable
from bwlib.models import Difference

T = TypeVar("T")


def differences(found: object, wanted: object, fields: Iterable[str]) -> tuple[Difference, ...]:
    """One `Difference` per field whose value differs. A secret's difference is the word "differs"."""
    faults = []
    for field in fields:
        have, want = getattr(found, field), getattr(wanted, field)
        if _plain(have) != _plain(want):
            secret = isinstance(have, SecretStr) or isinstance(want, SecretStr)
            faults.append(
                Difference(field, "differs", "as in the secret reference")
                if secret
                else Difference(field, shown(have), shown(want))
            )
    return tuple(faults)


def everything_new(wanted: object, fields: Iterable[str]) -> tuple[Difference, ...]:
    """The differences of something that does not exist yet: what would be written."""
    rows = []
    for field in fields:
        value = getattr(wanted, field)
        rows.append(
            Difference(field, "absent", "from the secret reference" if isinstance(value, SecretStr) else shown(value))
        )
    return tuple(rows)


def must_match(what: str, faults: tuple[Difference, ...], do_next: str) -> None:
    """Raise NotAsExpected, naming each field that differs, unless there is none."""
    if faults:
        text = "; ".join(f"{fault.field} is {fault.found}, wanted {fault.wanted}" for fault in faults)
        raise NotAsExpected(f"check {what}", text, do_next)


@dataclass(frozen=True)
class Witness:
    """Told of a creation right before it and right after it: what comes later may fail, and undo must know of it.

    A run that is killed in between leaves the first word without the second, so that the next one can tell.
    """

    creating: Callable[[], None] = lambda: None
    created: Callable[[Any], None] = lambda made: None


NOBODY = Witness()


def create_or_find(create: Callable[[], T], find: Callable[[], T | None], witness: Witness = NOBODY) -> tuple[T, str]:
    """Create something once. When no answer came, look instead of sending it again.

    Returns the object and a note, empty unless the object was found by looking.
    """
    witness.creating()
    try:
        made = create()
    except Unavailable as error:
        if not error.may_have_arrived:
            raise
        found = find()
        if found is None:
            raise
        witness.created(found)
        return found, "no answer came to the create; it was found by looking"
    witness.created(made)
    return made, ""


def is_absent(error: Refused) -> bool:
    """Say whether a refusal means "there is no such thing"."""
    return error.status == 404


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def shown(value: Any) -> str:
    """A value as a difference tells it."""
    if value is None or value == "":
        return "not set"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "not set"
    return str(value)
