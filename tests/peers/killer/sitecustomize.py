"""Loaded at its start by every Python with this folder on PYTHONPATH: ends a run, runner and kernel, at one point.

KILL_AT names the point: the journal line after which it ends ("created realm -"), the answer to a request that is not
written down any more ("answer POST realms"), or the PBX's file that is written and not loaded ("put trunk").
"""

from __future__ import annotations

import os
import signal
from typing import Any
from urllib.parse import urlsplit

POINT = os.environ.get("KILL_AT", "")


def end_at(point: str) -> None:
    if point != POINT:
        return
    if os.environ.get("BW_RUNBOOK_RUN"):  # a kernel: its runner first, or it would write down how it ended
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def name_of(line: dict[str, Any]) -> str:
    return f"{line['kind']} {line.get('step') or line.get('notebook') or '-'} {line.get('status') or '-'}"


def install() -> None:
    from bwlib.pbx.asterisk import AsteriskPbx
    from bwlib.record.journal import Journal
    from bwlib.record.run_record import RunRecord

    append, append_exchange = Journal.append, RunRecord.append_exchange

    def append_and_end(self: Journal, kind: str, **facts: object) -> dict[str, Any]:
        line = append(self, kind, **facts)
        end_at(name_of(line))
        return line

    def end_and_append_exchange(self: RunRecord, exchange: Any, **context: object) -> None:
        end_at(f"answer {exchange.method} {urlsplit(exchange.url).path.rpartition('/')[2].lower()}")
        append_exchange(self, exchange, **context)

    Journal.append = append_and_end  # type: ignore[method-assign]
    RunRecord.append_exchange = end_and_append_exchange  # type: ignore[method-assign]
    for thing in ("trunk", "route", "extension"):
        put = getattr(AsteriskPbx, f"put_{thing}")

        def put_and_end(self: AsteriskPbx, wanted: Any, put: Any = put, thing: str = thing) -> None:
            put(self, wanted)
            end_at(f"put {thing}")

        setattr(AsteriskPbx, f"put_{thing}", put_and_end)


if POINT:
    install()
