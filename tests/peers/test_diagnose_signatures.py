"""Every fault of the table on a real Asterisk: the right cause comes first, and its signature is written down."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from diagnosed import Looked, looked_at
from signatures import FAULTS, OK, ROWS, Row
from training_site import walked_site

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]

DOCUMENT = Path(__file__).parents[2] / "docs" / "diagnosis-signatures.md"
# All in `make soak` (and for tools/diagnosis_signatures.py); else some of them, the same ones each time.
CHOSEN = [OK, *ROWS] if os.environ.get("BW_SOAK") else random.Random(7).sample(ROWS, 8)
BLIND = CHOSEN if os.environ.get("BW_SOAK") else CHOSEN[:3]
# Where each column of the document is read: the names of facts, the first that was found counts.
COLUMNS = {
    "phone": ("outward.phone", "phone.register", "inward.phone", "call.cause"),
    "outward": ("outward.trunk",),
    "outward_leg": ("outward.hangup",),
    "inward": ("inward.pbx",),
    "inward_leg": ("inward.hangup",),
    "registration": ("trunk.registration",),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with walked_site(tmp_path_factory.mktemp("home"), "signatures") as path:
        yield path


def signature(looked: Looked) -> dict[str, str]:
    """What was seen, in the words of whoever saw it."""
    seen = {
        column: next((looked.facts[name].says for name in names if name in looked.facts), "")
        for column, names in COLUMNS.items()
    }
    seen = {column: said.rpartition(": ")[2] if column.endswith("_leg") else said for column, said in seen.items()}
    logged = [fact.says.partition(": ")[2] for name, fact in looked.facts.items() if name.startswith("log.")]
    return {**seen, "log": " / ".join(logged)}


@pytest.mark.parametrize("row", CHOSEN, ids=lambda row: f"{row.fault} ({row.cause})")
def test_the_right_cause_comes_first(site: Path, row: Row, record_property: Callable[[str, object], None]) -> None:
    with row.put(site) as how:
        looked = looked_at(site, **how)
    info = looked.scene.run.on.pbx().info()
    print(f"{row.fault}: {looked.told}")
    named = {"fault": row.fault, "made": row.made, "cause": looked.first, "pbx": f"{info.product} {info.version}"}
    for name, said in {**named, **signature(looked)}.items():
        record_property(name, said)
    assert looked.first == row.cause, looked.told
    assert not looked.verdict.unexplained, looked.told
    assert looked.verdict.healthy == (row is OK), looked.told


@pytest.mark.parametrize("row", BLIND, ids=lambda row: f"{row.fault} ({row.cause})")
def test_the_right_cause_comes_first_where_nobody_sees_the_realms_messages(site: Path, row: Row) -> None:
    """As on a live account: the PBX, the phone and Bandwidth's word for the call are all there is."""
    with row.put(site) as how:
        looked = looked_at(site, blind=True, **how)
    print(f"{row.fault}, blind: {looked.told}")
    assert looked.first == (row.blind or row.cause), looked.told
    assert not row.blind or looked.verdict.causes[0].next_probe, looked.told
    assert looked.verdict.healthy == (row is OK), looked.told


def test_the_table_has_all_faults_and_the_document_all_rows() -> None:
    assert len({row.fault for row in ROWS}) == FAULTS
    listed = DOCUMENT.read_text(encoding="utf-8").splitlines()
    for row in (OK, *ROWS):
        assert any(line.startswith(f"| {row.fault} | {row.made} | {row.cause} |") for line in listed), row.fault
