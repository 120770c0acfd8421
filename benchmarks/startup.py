"""How long a person waits before anything happens: medians of `import bwlib` and `bw-runbook --help`, in seconds.

    .venv/bin/python benchmarks/startup.py [runs]

Goals on an idle machine: import 0.35 s, --help 0.50 s. It measures and prints one line; it judges nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "python -c pass": "pass",
    "import bwlib": "import bwlib",
    "bw-runbook --help": "import sys; sys.argv = ['bw-runbook', '--help']; from bwlib.cli import main; main()",
}


def median_s(code: str, runs: int) -> float:
    """Median wall-clock seconds of a fresh interpreter running code, after one run that warms the disk cache."""
    times = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    print(f"median of {runs}: " + ", ".join(f"{name} {median_s(code, runs):.2f} s" for name, code in PROGRAMS.items()))


if __name__ == "__main__":
    main()
