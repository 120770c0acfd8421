"""Faults on demand: one table of what can go wrong, and which of it is switched on.

A switch answers a question that Bandwidth's public sources leave open; a fault is a thing that breaks. Faults live in
the supervisor's memory: they end with it, with a reset, and when they are switched off.

faults.switch_on("http-status", value="429", times=2, match={"method": "GET", "path": "/realms*"})
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from bwlib.sandbox.state import timestamp

log = logging.getLogger(__name__)

SECONDS, STATUS, SIP_STATUS, PERCENT, CODE = "<seconds>", "<status>", "<SIP status>", "<percent>", "<code>"
_RANGES = {SECONDS: (0, 120), STATUS: (400, 599), SIP_STATUS: (400, 699), PERCENT: (1, 100), CODE: (1000, 99999)}
MAX_ON = 100  # faults switched on at a time
MAX_TIMES = 1_000_000
_MAX_CALLS = 1_000  # calls that one fault remembers to act on
_MAX_PATTERN = 200

# What a fault's match may name, by where it acts.
MATCH_KEYS: Mapping[str, tuple[str, ...]] = {
    "http": ("method", "path", "account"),
    "sip": ("method", "call", "to", "from", "source"),  # source: "host:port" of the far end, either way
    "media": ("call", "to", "from"),
    "webhook": ("event", "call", "url", "account"),
}
COUNTED: Mapping[str, str] = {"http": "request", "sip": "call", "media": "call", "webhook": "event"}

Facts = Mapping[str, str | tuple[str, ...]]


class FaultError(ValueError):
    """A fault that cannot be switched on; str() says why."""


@dataclass(frozen=True)
class FaultKind:
    """One row. values: what may be given as value, the default first; (SECONDS, "5") = seconds, 5 unless said."""

    name: str
    where: str
    meaning: str
    values: tuple[str, ...] = ()

    @property
    def default(self) -> str:
        if not self.values:
            return ""
        return self.values[1] if self.values[0] in _RANGES else self.values[0]

    @property
    def takes(self) -> str:
        """The values in words, for a table: "<seconds>, 0 to 120"."""
        if self.values and self.values[0] in _RANGES:
            low, high = _RANGES[self.values[0]]
            return f"{self.values[0]}, {low} to {high}"
        return " or ".join(self.values)


FAULTS: tuple[FaultKind, ...] = (
    # ---------------------------------------------------------------- HTTP: any request to the APIs, the token's too
    FaultKind("http-status", "http", "answered with this status; nothing is carried out", (STATUS, "503")),
    FaultKind("http-delay", "http", "carried out, and the answer begins so much later", (SECONDS, "5")),
    FaultKind("http-drop", "http", "the connection ends without an answer; nothing is carried out"),
    FaultKind("http-answer-lost", "http", "carried out, but the connection ends without an answer"),
    FaultKind(
        "http-garbage",
        "http",
        "carried out; instead of the answer's body come random bytes, a sign-in page, or nothing",
        ("bytes", "html", "empty"),
    ),
    FaultKind("http-truncated", "http", "carried out; the connection ends in the middle of the answer's body"),
    FaultKind("http-drip", "http", "carried out; so long passes after each byte of the body", (SECONDS, "0.5")),
    FaultKind(
        "http-201-errors",
        "http",
        "a POST to the account API is answered 201 with this error in its body; nothing is carried out",
        (CODE, "23026"),
    ),
    # ---------------------------------------------------------------- SIP at the edge
    FaultKind("sip-silence", "sip", "no message of the call arrives, either way"),
    FaultKind("sip-late", "sip", "an INVITE to the edge gets 100 only, and its answer so much later", (SECONDS, "5")),
    FaultKind(
        "sip-reject",
        "sip",
        "after its challenge, an INVITE to the edge is answered with this status, whatever the right one is",
        (SIP_STATUS, "500"),
    ),
    FaultKind("sip-bye-lost", "sip", "BYE does not arrive: either way, from the edge, or to it", ("both", "out", "in")),
    # ---------------------------------------------------------------- audio between edge and PBX
    FaultKind("audio-out-lost", "media", "nothing that the edge says arrives (one-way audio)"),
    FaultKind("audio-in-lost", "media", "the edge hears nothing (one-way audio)"),
    FaultKind("audio-packets-lost", "media", "this part of the RTP packets is lost, each way", (PERCENT, "20")),
    FaultKind("dtmf-lost", "media", "RFC 4733 digits are lost, each way; voice is not"),
    # ---------------------------------------------------------------- webhooks
    FaultKind("webhook-duplicate", "webhook", "the event is sent twice; the first answer counts"),
    FaultKind(
        "webhook-reorder",
        "webhook",
        "an event that wants no BXML (disconnect, recordingAvailable) waits for the one after it, at most so long",
        (SECONDS, "10"),
    ),
    FaultKind("webhook-drop", "webhook", "the event is never sent"),
)
BY_NAME = {kind.name: kind for kind in FAULTS}


@dataclass(eq=False)
class Fault:
    """A fault that is switched on. times None: until it is switched off. `off` is set then, for what waits."""

    id: int
    kind: FaultKind
    value: str
    times: int | None
    match: Mapping[str, str]
    acted: int = 0
    last: str = ""
    since: str = field(default_factory=timestamp)
    off: asyncio.Event = field(default_factory=asyncio.Event)
    calls: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.id)  # noqa: S311 -- repeatable on purpose

    @property
    def left(self) -> int | None:
        return None if self.times is None else self.times - self.acted

    @property
    def number(self) -> float:
        return float(self.value)

    def fits(self, facts: Facts) -> bool:
        return self.left != 0 and all(_fits(pattern, facts.get(key, ())) for key, pattern in self.match.items())

    def act(self, facts: Facts) -> None:
        self.acted += 1
        self.last = ", ".join(f"{key} {value if isinstance(value, str) else value[0]}" for key, value in facts.items())
        log.warning("fault %s acts (%s)", self.kind.name, self.last)

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the fault is switched off."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.off.wait(), seconds)

    def described(self) -> dict[str, Any]:
        """As the control API, the command line and the dashboard show it."""
        kept = ("id", "value", "times", "left", "acted", "last", "since")
        named = {"name": self.kind.name, "where": self.kind.where, "meaning": self.kind.meaning}
        return {**named, "match": dict(self.match), **{name: getattr(self, name) for name in kept}}


class Faults:
    """What is switched on now. Used from one thread: the event loop of the supervisor."""

    def __init__(self) -> None:
        self._on: dict[int, Fault] = {}
        self._ids = itertools.count(1)

    def switch_on(
        self, name: str, value: str | None = None, times: int | None = None, match: Mapping[str, str] | None = None
    ) -> Fault:
        """Raises FaultError for what is not in the table."""
        kind = BY_NAME.get(name)
        if kind is None:
            raise FaultError(f"there is no fault {name!r}; there are: {', '.join(BY_NAME)}")
        _check_value(kind, value)
        _check_times(times)
        _check_match(kind, match or {})
        if len(self._on) >= MAX_ON:
            raise FaultError(f"{MAX_ON} faults are switched on already: switch some off")
        fault = Fault(next(self._ids), kind, kind.default if value is None else value, times, dict(match or {}))
        self._on[fault.id] = fault
        log.warning("fault %s is switched on: %s", name, fault.described())
        return fault

    def switch_off(self, fault_id: int | None = None) -> int:
        """One, or all. What a fault holds back goes on at once. How many were on."""
        wanted = list(self._on) if fault_id is None else [fault_id]
        ended = [self._on.pop(each) for each in wanted if each in self._on]
        for fault in ended:
            fault.off.set()
            log.warning("fault %s is switched off; it acted %d times", fault.kind.name, fault.acted)
        return len(ended)

    def on(self) -> list[Fault]:
        """Oldest first; used-up ones (left 0) too, until they are switched off."""
        return list(self._on.values())

    def take(self, name: str, facts: Facts) -> Fault | None:
        """The fault `name` that acts on this request or event, and counts it; None when there is none."""
        for fault in self._on.values():
            if fault.kind.name == name and fault.fits(facts):
                fault.act(facts)
                return fault
        return None

    def claim(self, name: str, call: str, facts: Facts) -> Fault | None:
        """The fault `name` that acts on this call: found once, it stays with the call. `call` is its Call-ID."""
        for fault in self._on.values():
            if fault.kind.name != name:
                continue
            if call in fault.calls:
                return fault
            if fault.fits(facts):
                fault.calls[call] = None
                if len(fault.calls) > _MAX_CALLS:
                    del fault.calls[next(iter(fault.calls))]
                fault.act(facts)
                return fault
        return None


def table() -> list[dict[str, Any]]:
    """Every fault there is, as the control API, the command line and the dashboard show it."""
    return [
        {
            "name": kind.name,
            "where": kind.where,
            "meaning": kind.meaning,
            "value": kind.takes,
            "default": kind.default,
            "match": list(MATCH_KEYS[kind.where]),
            "counts": COUNTED[kind.where],
        }
        for kind in FAULTS
    ]


def in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of `table()` or of what is switched on, as lines for people."""
    lines = []
    for row in rows:
        lines.append(f"{row['name']}: {row['meaning']}")
        for name in ("value", "default", "match", "counts", "times", "left", "acted", "last"):
            said = row.get(name)
            if isinstance(said, Mapping):
                said = ", ".join(f"{key}={pattern}" for key, pattern in said.items())
            elif isinstance(said, list):
                said = ", ".join(said)
            if said not in (None, ""):
                lines.append(f"    {name}: {said}")
    return "\n".join(lines)


def _fits(pattern: str, fact: str | tuple[str, ...]) -> bool:
    return any(fnmatchcase(each, pattern) for each in ((fact,) if isinstance(fact, str) else fact))


def _check_value(kind: FaultKind, value: object) -> None:
    if value is None or (isinstance(value, str) and value in kind.values and value not in _RANGES):
        return
    if not kind.values:
        raise FaultError(f"{kind.name} takes no value")
    bounds = _RANGES.get(kind.values[0])
    if bounds is None or not isinstance(value, str) or len(value) > 20:
        raise FaultError(f"{kind.name} takes {kind.takes}, not {str(value)[:40]!r}")
    try:
        number = float(value) if kind.values[0] == SECONDS else int(value)
    except ValueError:
        number = -1
    if not bounds[0] <= number <= bounds[1]:
        raise FaultError(f"{kind.name} takes {kind.takes}, not {value!r}")


def _check_times(times: object) -> None:
    if times is None:
        return
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MAX_TIMES:
        raise FaultError(f"times is a whole number from 1 to {MAX_TIMES}, or left out: until it is switched off")


def _check_match(kind: FaultKind, match: object) -> None:
    keys = MATCH_KEYS[kind.where]
    if not isinstance(match, Mapping):
        raise FaultError("match is a mapping of names and patterns")
    for key, pattern in match.items():
        if key not in keys:
            raise FaultError(f"{kind.name} matches {', '.join(keys)}, not {str(key)[:40]!r}")
        if not isinstance(pattern, str) or not 0 < len(pattern) <= _MAX_PATTERN or pattern.count("*") > 5:
            raise FaultError(f"{key} is matched with a text of at most {_MAX_PATTERN} characters and five *")
