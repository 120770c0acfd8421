"""What the record costs: the share of a run's wall time that journal, redaction and exchanges take.

    .venv/bin/python benchmarks/record.py [runs]

Runs the guide on a sandbox of its own (the first run sets it up and does not count) with a stop-watch around everything
that the record does, in the runner and in every kernel. Rendering (pages, PDF, pictures) is a line of its own. Goals:
journal, redaction and exchanges at most 10 % of the run; rendering once, at most 30 s. It judges nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

# Loaded at its start by every Python below: a line with name and seconds for each outermost call.
STOPWATCH = """
import os, time
OUT = os.environ.get("BW_STOPWATCH")
if OUT:
    from bwlib.record import journal, redact, run_record
    depth = [0]
    stream = open(f"{OUT}/{os.getpid()}", "a", buffering=1)
    def timed(owner, name, label):
        inner = getattr(owner, name)
        def call(*arguments, **named):
            depth[0] += 1
            began = time.perf_counter()
            try:
                return inner(*arguments, **named)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    stream.write(f"{label} {time.perf_counter() - began:.6f}\\n")
        setattr(owner, name, call)
    timed(journal.Journal, "append", "journal")
    timed(run_record.RunRecord, "_append_line", "exchanges")
    timed(run_record.RunRecord, "_write", "files")
    timed(redact.Redactor, "value", "redaction")
    timed(redact.Redactor, "text", "redaction")
    timed(redact.Redactor, "learn", "redaction")
"""


def measured_run(home: Path, stopwatch: Path) -> tuple[float, Counter[str], dict[str, float]]:
    """(wall seconds of the run without its rendering, seconds by what the record did, seconds of rendering by kind)."""
    out = stopwatch / "out"
    for left in out.glob("*"):
        left.unlink()
    path = os.pathsep.join(filter(None, [str(stopwatch), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "bwlib.cli", "demo"],
        env={**os.environ, "BW_RUNBOOK_HOME": str(home), "PYTHONPATH": path, "BW_STOPWATCH": str(out)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    record = Path(done.stdout.strip().splitlines()[-1])
    lines = [json.loads(line) for line in (record / "journal.jsonl").read_bytes().splitlines()]
    whole = (datetime.fromisoformat(lines[-1]["at"]) - datetime.fromisoformat(lines[0]["at"])).total_seconds()
    rendering = {"pictures": sum(float(line.get("elapsed_s") or 0) for line in lines if line["kind"] == "screenshot")}
    rendering["report"] = _span([line for line in lines if line["kind"] == "report"])
    costs: Counter[str] = Counter()
    for line in "".join(each.read_text() for each in out.glob("*")).splitlines():
        label, seconds = line.split()
        costs[label] += float(seconds)  # type: ignore[assignment]  # Counter is typed for whole numbers
    return whole - sum(rendering.values()), costs, rendering


def _span(lines: list[dict[str, Any]]) -> float:
    """Seconds from the begin of the first to the end of the last: they are written side by side."""
    ends = [datetime.fromisoformat(line["at"]).timestamp() for line in lines]
    begins = [end - float(line.get("elapsed_s") or 0) for end, line in zip(ends, lines, strict=True)]
    return max(ends) - min(begins) if lines else 0.0


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        home, stopwatch = Path(folder) / "home", Path(folder) / "stopwatch"
        (stopwatch / "out").mkdir(parents=True)
        (stopwatch / "sitecustomize.py").write_text(STOPWATCH)
        try:
            measured = [measured_run(home, stopwatch) for _ in range(runs + 1)][1:]
        finally:
            down = [sys.executable, "-m", "bwlib.cli", "sandbox", "down"]
            subprocess.run(
                down, env={**os.environ, "BW_RUNBOOK_HOME": str(home)}, stderr=subprocess.DEVNULL, check=False
            )
    walls = [wall for wall, _, _ in measured]
    shares = [100 * sum(costs.values()) / wall for wall, costs, _ in measured]
    print(f"median of {runs}: run without rendering {statistics.median(walls):.1f} s")
    print(f"  record {statistics.median(shares):.1f} % of it: " + _listed([costs for _, costs, _ in measured]))
    drawn = [sum(rendering.values()) for _, _, rendering in measured]
    print(f"  rendering {statistics.median(drawn):.1f} s: " + _listed([rendering for _, _, rendering in measured]))


def _listed(rows: list[Counter[str]] | list[dict[str, float]]) -> str:
    names = dict.fromkeys(name for row in rows for name in row)
    return ", ".join(f"{name} {statistics.median(float(row.get(name, 0)) for row in rows):.2f} s" for name in names)


if __name__ == "__main__":
    main()
