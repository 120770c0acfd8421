"""A thing found beside the thing wanted, field by field, as facts."""

from __future__ import annotations

from collections.abc import Iterable

from bwlib.diagnose.facts import Fact
from bwlib.steps.compare import differences


def rows(what: str, found: object, wanted: object, names: Iterable[str]) -> list[Fact]:
    """One fact per field of what is on the PBX: "differs" or "as-wanted"."""
    other = {row.field: row for row in differences(found, wanted, names)}
    facts = []
    for name in names:
        row = other.get(name)
        says = f"{what} {name} is {row.found}, wanted {row.wanted}" if row else f"{what} {name} is as wanted"
        facts.append(Fact(f"{what}.{name}", "differs" if row else "as-wanted", says, "PBX"))
    return facts
