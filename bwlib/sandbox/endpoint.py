"""What a route is: what it answers, and where Bandwidth says so. docs/sandbox-coverage.md is made from these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

# (request, the state as the caller's account sees it, ...): the API that serves it knows the rest
Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Common:
    """What any route of an API may answer besides its own."""

    statuses: tuple[int, ...]
    source: str
    codes: tuple[int, ...] = ()
    switches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    path: below /accounts/{account_id}, or whole where it does not start there. statuses: those it answers by itself;
    what every route of its API may answer is said once, in COMMON there. codes: error codes of the account API.
    switches: names in `bwlib.sandbox.switches` that change what it does. source: the public page or repository.
    """

    method: str
    path: str
    handler: Handler
    statuses: tuple[int, ...]
    source: str
    codes: tuple[int, ...] = ()
    switches: tuple[str, ...] = ()
