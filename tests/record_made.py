"""A small finished run, with something of everything that a record holds; for tests of what is done with records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bwlib.models import Exchange, SipEvent, Webhook
from bwlib.record.manifest import seal
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, start_run

NOTEBOOKS = ("10_application", "20_sip_credentials")
STEPS = {"10_application": "application", "20_sip_credentials": "realm"}
AT = datetime(2026, 11, 24, 19, 0, tzinfo=UTC)


def open_record(runs: Path, **facts: object) -> RunRecord:
    """A run that was begun, and has its exchanges, audio and configuration."""
    told = {"site": runs.name, "target": "sandbox", "operator": "ada", "engine": "bw", "notebooks": list(NOTEBOOKS)}
    record = start_run(runs, Redactor(), **{**told, **facts})
    record.append_exchange(Exchange("1", AT, "POST", "https://127.0.0.1/realms", {}, "<Realm/>", 201, {}, "", 0.1))
    record.append_sip([SipEvent(AT, "127.0.0.2:5060", "127.0.0.3:5060", "INVITE sip:a@b SIP/2.0\r\n\r\n")], "call")
    hook = Webhook(1, AT, "initiate", "c-1", "/initiate", {"eventType": "initiate"}, 200, "<Response/>", True)
    record.append_webhooks([hook], "call")
    record.write_config("before", {"pjsip.conf": "[global]\n"})
    record.write_config("after", {"pjsip.conf": "[global]\n", "bw-runbook/pjsip.conf": "[trunk]\n"})
    record.write_bytes("audio/phone_heard.wav", b"RIFF" + bytes(range(256)))
    record.write_text("settings_sheet.txt", "trunk demo\n")
    return record


def run_notebooks(record: RunRecord, last_words: Mapping[str, str] | None = None) -> None:
    """Each notebook with a cell and a step in it. last_words: by notebook, when it did not pass."""
    for name in NOTEBOOKS:
        status = (last_words or {}).get(name, "passed")
        record.journal.append("notebook", notebook=name, status="running")
        record.journal.append("cell", notebook=name, cell=3, status="running")
        record.journal.append("step", notebook=name, step=STEPS[name], status="running")
        record.journal.append(
            "step", notebook=name, step=STEPS[name], status=status, title="A step", object={"id": "1"}
        )
        record.journal.append("cell", notebook=name, cell=3, status=status)
        record.journal.append("notebook", notebook=name, status=status)
        record.write_text(f"notebooks/{name}.ipynb", json.dumps({"cells": [], "nbformat": 4}))


def made_record(runs: Path, last_words: Mapping[str, str] | None = None) -> RunRecord:
    """A whole run, sealed with this user's key."""
    record = open_record(runs)
    run_notebooks(record, last_words)
    seal(record, site=runs.name, target="sandbox", operator="ada")
    return record


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
