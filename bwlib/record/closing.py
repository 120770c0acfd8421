"""Close a run: write down what a killed process left open, and seal it. The one way in which a run ends."""

from __future__ import annotations

from pathlib import Path

from bwlib.errors import RecordError
from bwlib.record.journal import read_lines, release_reserve, reserve_of
from bwlib.record.manifest import seal
from bwlib.record.report import write_report
from bwlib.record.ro_crate import NAME as RO_CRATE
from bwlib.record.ro_crate import write_ro_crate
from bwlib.record.run_record import RunRecord, hold, wait_for_writers

_LEFT_OPEN = "found unfinished when it was closed"
_NO_ROOM = "the disk was full; what room there is now is kept for the seal"


def close(record: RunRecord, **facts: object) -> Path:
    """Write a run's report, describe the record for archives, seal it. Returns the manifest's path.

    facts: for the manifest. Raises: RecordError as `seal`; the run stays open then.
    """
    if not reserve_of(record.folder).exists():
        record.journal.append("report", file="report.html", status="skipped", reason=_NO_ROOM)
        return close_without_report(record, **facts)
    try:
        write_report(record)
        write_ro_crate(record)
    except KeyboardInterrupt:
        record.journal.append("report", file="report.html", status="failed", reason="interrupted")
    except RecordError as error:  # the disk is full now: what matters is that the run is sealed
        record.journal.append("report", file=RO_CRATE, status="failed", reason=error.came_back)
    return close_without_report(record, **facts)


def close_without_report(record: RunRecord, **facts: object) -> Path:
    """Seal a run that has nothing to draw; else as `close`."""
    manifest = seal(record, **facts)
    release_reserve(record.folder)
    return manifest


def close_abandoned(record: RunRecord, **facts: object) -> Path:
    """Close a run that nobody works on any more: what a killed process left `running` is written down as died.

    Raises: RecordError when the run is still going on, and as `close`.
    """
    with hold(record):
        wait_for_writers(record)
        _write_what_died(record)
        return close(record, **facts)


def _write_what_died(record: RunRecord) -> None:
    write = record.journal.append
    for kind, key in (("notebook", "notebook"), ("step", "step")):
        for name in _left_running(record.folder, kind, key):
            write(kind, **{key: name}, status="died", reason=_LEFT_OPEN)
    for notebook, cell in _cells_left_running(record.folder):
        write("cell", notebook=notebook, cell=cell, status="died", reason=_LEFT_OPEN)
    lines = record.journal.lines()
    planned = lines[0].get("notebooks") or [] if lines else []
    begun = {line["notebook"] for line in lines if line["kind"] == "notebook"}
    for name in planned:
        if name not in begun:
            write("notebook", notebook=name, status="skipped", reason="the run was cut off before it")
    if planned:
        write("run", status="died", reason="its runner ended without closing it")


def _left_running(folder: Path, kind: str, key: str) -> list[str]:
    last = {line[key]: line["status"] for line in read_lines(folder / "journal.jsonl") if line["kind"] == kind}
    return [name for name, status in last.items() if status == "running"]


def _cells_left_running(folder: Path) -> list[tuple[str, object]]:
    """(notebook, cell) of the cells whose end nobody wrote down."""
    last: dict[tuple[str, object], str] = {}
    for line in read_lines(folder / "journal.jsonl"):
        if line["kind"] == "cell":
            last[line["notebook"], line["cell"]] = line["status"]
    return [where for where, status in last.items() if status == "running"]
