"""Commands that only look (drift, diagnose): what comes of them is a sealed record of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bwlib.errors import BwlibError
from bwlib.record.closing import close_without_report
from bwlib.record.run_record import RunRecord
from bwlib.run import learn_secrets
from bwlib.settings import Settings


@contextmanager
def failure_sealed(record: RunRecord, settings: Settings, about: Mapping[str, Any], step: str) -> Iterator[None]:
    """A look that cannot go on is written down and sealed like any other. step: its name in the journal."""
    try:
        yield
    except BaseException as error:
        known = isinstance(error, BwlibError)
        said = (
            {name: getattr(error, name) for name in ("attempted", "came_back", "do_next", "exit_code")} if known else {}
        )
        record.journal.append(
            "step", step=step, notebook=step, status="failed", error=type(error).__name__,
            **{"came_back": "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__, **said},
        )  # fmt: skip
        seal_look(record, settings, about)
        raise


def seal_look(record: RunRecord, settings: Settings, about: Mapping[str, Any]) -> str:
    """Seal the record; "" or why it stays open: one that may hold a secret is not sealed."""
    try:
        learn_secrets(settings, record)
        close_without_report(record, **about)
    except BwlibError as error:
        return error.came_back
    return ""
