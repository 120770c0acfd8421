"""Write docs/diagnosis-signatures.md from a run of its tests on a real Asterisk: python tools/diagnosis_signatures.py

Every fault of tests/peers/signatures.py is put in, looked at and mended, which takes some minutes; what was seen of
each is a row of the table. Exits 1, and writes nothing, when a test fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from defusedxml.ElementTree import parse

PROJECT = Path(__file__).resolve().parent.parent
FILE = PROJECT / "docs" / "diagnosis-signatures.md"
TESTS = "tests/peers/test_diagnose_signatures.py::test_the_right_cause_comes_first"

HEAD = """# Signatures of faults

Made by `tools/diagnosis_signatures.py` from a run of `tests/peers/test_diagnose_signatures.py` on {pbx} and the
sandbox's edge with its defaults; do not edit it. Each fault was put in, looked at by `bw-runbook diagnose`, and mended.

*How it is made*: a break of `bwlib/training/breaking.py`, a fault of the sandbox, or what the test does itself. *First
cause*: what the diagnosis named first, a row of `bwlib/diagnose/rules_*.py`. *Phone*: what the scripted phone, or where
no call was placed Bandwidth, says of the call. *Out* and *in*: the call out of the PBX and the one into it, as their
SIP messages passed the realm. *Trunk leg*: how Asterisk says that it ended. A code is evidence, and no rule looks at
it: which code Bandwidth's own edge gives for what is not public.
"""
TITLES = {
    "fault": "fault", "made": "how it is made", "cause": "first cause", "phone": "phone", "outward": "out",
    "outward_leg": "trunk leg, out", "inward": "in", "inward_leg": "trunk leg, in", "registration": "registrations",
    "log": "deciding lines of the PBX's log",
}  # fmt: skip


def document(rows: list[Mapping[str, str]]) -> str:
    """The whole file."""
    return "\n".join([HEAD.format(pbx=rows[0]["pbx"]), *_table(rows), ""])


def _table(rows: list[Mapping[str, str]]) -> Iterator[str]:
    yield "| " + " | ".join(TITLES.values()) + " |"
    yield "|" + "---|" * len(TITLES)
    for row in rows:
        yield "| " + " | ".join(_cell(row.get(column, "")) for column in TITLES) + " |"


def _cell(text: str) -> str:
    """Without what differs from run to run: addresses, numbers of the site, ports, made-up names."""
    for pattern, put in _STEADY:
        text = re.sub(pattern, put, text)
    return text.replace("|", "\\|") or "-"


_STEADY = (
    (r"^(PBX to realm|realm to PBX): ", ""),
    (r"signatures-[0-9a-f]+(?=\.auth)", "signatures-<hex>"),
    (r"(127\.0\.0\.\d+):\d+", r"\1:<port>"),
    (r"\(callid: [^)]*\)", "(callid: ...)"),
    (r"\+1743555\d{4}", "<number>"),
    (r"'\d{3}'", "'<extension>'"),
    (r"(^| )\d{3}: Call \(", r"\1<extension>: Call ("),
)


def _rows(report: Path) -> list[Mapping[str, str]]:
    found: list[Mapping[str, str]] = []
    for case in parse(report).iter("testcase"):
        row = {each.get("name", ""): each.get("value", "") for each in case.iter("property")}
        if row:
            found.append(row)
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        arguments = ["-q", "-o", "junit_family=legacy", f"--junitxml={report}", TESTS]
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=PROJECT,
            env={**os.environ, "BW_SOAK": "1", "CI": "1"},
            stdout=sys.stderr,
            check=False,
        )
        if ran.returncode:
            return 1
        FILE.write_text(document(_rows(report)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
