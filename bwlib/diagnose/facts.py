"""What the probes found: one fact has a name, a value of a word or two for the rules, and a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

# What a probe says of something that it could not find out. Rules never follow from it.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Fact:
    """One thing that was found.

    name: where, then what: "trunk.password". value: what rules compare: "differs". says: the evidence, quoted in a
    verdict; never a secret. source: who said it: "PBX", "Bandwidth", "SIP", "DNS", "application", "record", "phone".
    doubt: of something that was seen at another time than the rest was read, why that may not go together.
    """

    name: str
    value: str
    says: str
    source: str = ""
    doubt: str = ""


class Facts(Mapping[str, Fact]):
    """All that was found, by name, in the order in which it was found. The last word on a name counts."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self._facts: dict[str, Fact] = {}
        self.add(facts)

    def __getitem__(self, name: str) -> Fact:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, facts: Iterable[Fact]) -> None:
        self._facts.update({fact.name: fact for fact in facts})

    def value(self, name: str) -> str:
        """The value of a fact, UNKNOWN when nobody found it."""
        fact = self._facts.get(name)
        return fact.value if fact else UNKNOWN
