"""The report: what it says first, what it says of each step and call, and that no record, however broken, stops it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reported_run import FQDN, empty_run, exchange, good_run, notebook, step, write_notebook

from bwlib.errors import RecordError
from bwlib.record import report_page
from bwlib.record.manifest import run_status, seal
from bwlib.record.redact import redactor_for
from bwlib.record.report import write_report
from bwlib.record.report_facts import read_run
from bwlib.record.report_page import render
from bwlib.record.report_parts import guide_parts, overview_in
from bwlib.record.report_words import failures, open_points, outcome
from bwlib.record.run_record import RunRecord, run_folders

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x00\x1b[31m\u202egnp"


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bwlib.browser.why_no_browser", lambda: "chromium is not here")


def page(record: RunRecord, *, paper: bool = False) -> str:
    return render(read_run(record.folder), run_status(record.folder), paper=paper)


def headline(record: RunRecord) -> str:
    return outcome(read_run(record.folder), run_status(record.folder)).headline


class Reader(HTMLParser):
    """Words, tags and attributes of a page, as a browser would find them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._words: list[str] = []
        self._quiet = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._quiet = tag == "style"
        self._words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._quiet = False
        self._words.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self._words.append(data)

    @property
    def words(self) -> str:
        return re.sub(r" ([.,:;)])", r"\1", " ".join("".join(self._words).split()))


def report_lines(record: RunRecord) -> dict[str, tuple[str, str]]:
    lines = [line for line in record.journal.lines() if line["kind"] == "report"]
    return {line["file"]: (line["status"], line["reason"]) for line in lines}


# ---------------------------------------------------------------- the outcome comes first


def test_a_good_run_says_so_first_with_site_target_operator_and_guide(tmp_path: Path) -> None:
    words = Reader(page(good_run(tmp_path))).words
    assert "passed The guide is carried out; both test calls were placed and heard." in words
    assert words.index("both test calls") < words.index("Site demo") < words.index("What is connected")
    for fact in ("SANDBOX", "Operator anna", "Bandwidth, PBX Interconnect, as read on 2026-11-23", "unattended"):
        assert fact in words


def test_a_live_run_is_called_live(tmp_path: Path) -> None:
    assert "LIVE ACCOUNT" in Reader(page(empty_run(tmp_path, target="live"))).words


def test_a_failed_step_is_the_headline_with_its_cause_and_what_to_do(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    notebook(record, "20_sip_credentials", "running")
    step(
        record, "realm", "failed", "20_sip_credentials",
        attempted="create the realm", came_back="HTTP 403", do_next="ask Bandwidth", exit_code=4,
    )  # fmt: skip
    notebook(record, "20_sip_credentials", "failed", "NotEntitled in cell 9")
    notebook(record, "30_pbx", "skipped", "an earlier notebook failed")
    words = Reader(page(record)).words
    assert "failed Realm: failed in 20_sip_credentials. HTTP 403. Do next: Ask Bandwidth." in words
    assert "attempted create the realm came back HTTP 403 do next ask Bandwidth" in words
    assert "Notebook 30_pbx skipped an earlier notebook failed" in words
    assert "Not begun: Settings for the PBX, Trunk" in words


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        ("died", "the kernel died", "20_sip_credentials: the kernel died."),
        ("timed_out", "a cell took longer than 300 s", "20_sip_credentials: a cell took longer than 300 s."),
        ("failed", "interrupted", "Interrupted in 20_sip_credentials: what follows did not run."),
    ],
)
def test_a_notebook_that_broke_is_told_and_its_open_step_is_not_called_done(
    tmp_path: Path, status: str, reason: str, said: str
) -> None:
    record = empty_run(tmp_path)
    notebook(record, "20_sip_credentials", "running")
    step(record, "realm", "running", "20_sip_credentials")
    notebook(record, "20_sip_credentials", status, reason)
    assert headline(record) == said
    words = Reader(page(record)).words
    assert "Realm never ended; how far it came is not known." in words
    assert overview_in(read_run(record.folder)).parts["realm"].state == "failed"


def test_a_run_whose_runner_was_killed_never_ended(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    notebook(record, "00_start", "running")
    assert headline(record) == "00_start: never ended."


def test_an_abandoned_step_that_was_sealed_as_died_is_one_attempt(tmp_path: Path) -> None:
    record = empty_run(tmp_path, interactive=True)
    step(record, "realm", "running", "20_sip_credentials")
    record.journal.append("step", step="realm", status="died", reason="found unfinished when it was sealed")
    run = read_run(record.folder)
    assert [(one.step, one.status, one.notebook) for one in run.attempts] == [("realm", "died", "20_sip_credentials")]


def test_a_planned_run_says_that_nothing_was_written_and_what_would_change(tmp_path: Path) -> None:
    record = empty_run(tmp_path, mode="plan")
    rows = [{"field": "name", "found": "absent", "wanted": "demo"}]
    step(record, "realm", "pending", action="planned", title="Realm", differences=rows, note="would be created")
    words = Reader(page(record)).words
    assert "planned Planned only: nothing was written and no call was placed. Would change: realm." in words
    assert "field now would be name absent demo" in words
    assert "Realm planned would be created" in words


def test_a_second_run_says_that_nothing_had_to_be_changed(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    step(record, "realm", action="unchanged", title="Realm", object={"fqdn": FQDN})
    assert headline(record) == "Nothing had to be changed; no test call was placed in this run."
    assert "it was as wanted already, so nothing was written" in page(record)


def test_a_skipped_call_is_told_with_its_reason(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    step(record, "trunk", action="created", title="Trunk")
    record.journal.append(
        "step", step="call_to_extension", status="skipped", action="skipped", note="pbx.bandwidth_ips is empty"
    )
    assert [(one.what, one.status, one.why) for one in open_points(read_run(record.folder))] == [
        ("Programmatic call to the extension", "skipped", "pbx.bandwidth_ips is empty")
    ]
    assert "Something was skipped" in page(record)


def test_an_undo_says_how_many_objects_went_and_what_they_were(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    step(record, "undo trunk", action="removed", title="Undo Trunk demo", object=None, undone={"name": "demo"},
         created_by_run="20261124T190000")  # fmt: skip
    step(record, "undo realm", action="kept", title="Undo Realm x", note="it was changed since")
    words = Reader(page(record)).words
    assert "Undone: 1 object removed, 1 object kept." in words
    assert "It was created by run 20261124T190000. What it was name demo" in words
    assert "What is connected" not in words


def test_an_undo_says_what_it_put_back_and_a_plan_what_it_would(tmp_path: Path) -> None:
    row = {"field": "keepcid", "found": "off", "wanted": "all"}
    for action, said in (
        ("updated", "Undone: 1 object removed, 1 object put back as before, nothing kept back."),
        ("planned", "Planned only: 1 object would be removed, 1 object would be put back as before; nothing was."),
    ):
        record = empty_run(tmp_path / action)
        removed = "removed" if action == "updated" else "planned"
        step(record, "undo route", action=removed, title="Undo Outbound route demo", object=None)
        step(record, "undo trunk", action=action, title="Undo Trunk demo", differences=[row])
        assert said in Reader(page(record)).words


def test_a_drift_check_says_what_no_longer_holds_with_both_values(tmp_path: Path) -> None:
    record = empty_run(tmp_path, cites={"run": "20261123T1", "manifest_sha256": "ab" * 32})
    row = {"field": "call_status_url", "found": "https://other/", "wanted": "https://mine/"}
    step(
        record, "drift application", "failed", "drift", action="changed", title="Voice application x",
        came_back="call_status_url is https://other/", attempted="check", do_next="ask", differences=[row],
    )  # fmt: skip
    step(record, "drift realm", "passed", "drift", action="still so", title="Realm y", object={"fqdn": FQDN})
    step(record, "drift trunk", "skipped", "drift", action="unknown", title="Trunk z", note="the PBX does not answer")
    words = Reader(page(record)).words
    assert "failed Drift: of 3 recorded facts, 1 no longer holds." in words
    assert "Trunk z: not known. The PBX does not answer." in words
    assert "field recorded now call status URL https://mine/ https://other/" in words
    assert "It is still as recorded." in words
    assert f"This run is about run 20261123T1 (manifest sha256 {'ab' * 32})" in words
    assert "What is connected" not in words
    assert "Step 1" not in words


def test_what_somebody_found_open_later_does_not_lengthen_the_run(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    step(record, "realm", "running", "20_sip_credentials")
    went_on = read_run(record.folder).elapsed_s
    path = record.folder / "journal.jsonl"
    line = {
        "kind": "run",
        "status": "died",
        "pid": 1,
        "mono_s": 1e9,
        "at": "2027-01-01T00:00:00+00:00",
        "reason": "cut off",
    }
    path.write_text(path.read_text() + json.dumps(line) + "\n")
    run = read_run(record.folder)
    assert (run.elapsed_s, run.reason) == (went_on, "cut off")


def test_a_failure_that_was_made_good_later_is_no_failure_of_the_run(tmp_path: Path) -> None:
    record = empty_run(tmp_path, interactive=True)
    step(record, "realm", "failed", came_back="HTTP 503")
    step(record, "realm", action="created", title="Realm")
    assert failures(read_run(record.folder)) == []
    assert "came back HTTP 503" in Reader(page(record)).words  # but it is still told, where it happened


# ---------------------------------------------------------------- steps


def test_a_created_object_is_told_before_and_after_with_its_exchanges_folded_away(tmp_path: Path) -> None:
    html = page(good_run(tmp_path))
    words = Reader(html).words
    assert f"Before: it was not there. After: it is there, as below. After, as read back FQDN {FQDN}" in words
    assert "1 HTTP exchange: 1 POST 1. POST /api/v2/accounts/9/realms · 201 · 2.6 ms" in words
    assert "&lt;Realm&gt;\n  &lt;Realm&gt;demo&lt;/Realm&gt;" in html
    assert "Realm, checked again: still as wanted, nothing was written." in words


def test_a_changed_field_is_told_with_both_values(tmp_path: Path) -> None:
    assert "field before after prepend 1 +1" in Reader(page(good_run(tmp_path))).words


def test_every_step_stands_under_its_heading_of_the_guide(tmp_path: Path) -> None:
    parts = guide_parts(read_run(good_run(tmp_path).folder))
    assert [(part.heading, part.status, {one.step for one in part.attempts}) for part in parts] == [
        ("Before the guide", "passed", {"rights"}),
        ("Step 1 - Application Configuration", "passed", {"application", "callback"}),
        ("Step 2 - SIP Credentials", "passed", {"realm", "sip_credential"}),
        ("Step 3 - PBX Configuration", "passed", {"trunk", "route", "extension", "no_registration"}),
        ("Test the Configuration", "passed", {"ready", "call_from_extension", "call_to_extension"}),
    ]


def test_by_the_second_road_the_sip_uri_takes_the_realms_place(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    uri = "sip:ceed057d-970c-4ae0-bc09-73e894234f9a@sip-uri.voice-api.bandwidth.test"
    step(record, "inbound_sip_uri", action="created", object={"uri": uri}, notebook="20_sip_credentials")
    part = overview_in(read_run(record.folder)).parts["realm"]
    assert (part.name, part.values, part.state) == ("SIP URI", (uri,), "proven")
    words = Reader(page(record)).words
    assert "Road Inbound SIP URI" in words
    assert "Not begun: Realm" not in words


def test_who_did_a_step_and_in_which_cell_is_told(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    record.journal.append("cell", notebook="20_sip_credentials", cell=9, status="running", reason="")
    step(record, "realm", notebook="20_sip_credentials", action="created", title="Realm")
    step(record, "trunk", notebook="30_pbx", action="created", operator="bert", cell="ab12")
    words = Reader(page(record)).words
    assert "by anna · cell 9 of 20_sip_credentials" in words
    assert "by bert · cell ab12 of 30_pbx" in words


def test_an_unknown_step_is_not_lost(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    step(record, "weigh the cat", action="passed", object={"kg": "4"})
    assert "Other steps" in page(record)
    assert "weigh the cat" in page(record)


def test_a_call_that_failed_leaves_the_phone_unproven_and_itself_failed(tmp_path: Path) -> None:
    record = good_run(tmp_path)
    for call in ("call_from_extension", "call_to_extension"):
        step(record, call, "failed", "40_test_calls", came_back="503 Service Unavailable")
    run = read_run(record.folder)
    shown = overview_in(run)
    assert [(part.state, part.values) for part in shown.calls] == [("failed", ("503 Service Unavailable",))] * 2
    assert shown.parts["phone"].state == "not proven"
    assert shown.parts["trunk"].state == "proven"


def test_what_a_person_did_on_the_pbx_is_proven_by_the_check_that_read_it_back(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    step(record, "trunk", "pending", "30_pbx", action="planned")
    step(record, "check_pbx", action="passed", object={"trunk": "t1", "route": "r1", "extension": "191"})
    parts = overview_in(read_run(record.folder)).parts
    assert (parts["pbx"].state, parts["pbx"].values) == ("proven", ("route r1",))
    assert (parts["trunk"].state, parts["trunk"].values) == ("not proven", ("t1",))  # whether it registers is not known


# ---------------------------------------------------------------- calls, pictures, configuration


def test_a_call_is_told_by_picture_words_sound_and_webhooks(tmp_path: Path) -> None:
    html = page(good_run(tmp_path))
    words = Reader(html).words
    assert html.count('role="img"') >= 1 + 2 * 3  # the whole, and for each call its picture and two waves
    assert html.count('src="data:audio/wav;base64,') == 4
    assert "60 ms Realm -> Application initiate" in words
    assert "64 ms Application -> Realm 200 SpeakSentence, Gather" in words
    assert "SpeakSentence “You dialled 1 9 9.”, Gather (SpeakSentence “Press one digit.”)" in words
    assert "heard by the phone correlation 0.9999 over 6.1 s" in words
    assert "on the sandbox is the same machine's" in words
    assert "6629fae49393a05397450978507c4ef1" not in html


def test_screenshots_are_in_the_page_and_a_missing_one_says_why(tmp_path: Path) -> None:
    html = page(good_run(tmp_path))
    assert f'alt="The realm in the dashboard; it shows {FQDN}"' in html
    assert "The trunk: skipped, because no browser here." in Reader(html).words


def test_a_journal_cannot_make_the_report_read_files_outside_the_record(tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    (tmp_path / "outside.png").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    for file in ("../../../outside.png", str(tmp_path / "outside.png")):
        record.journal.append("screenshot", file=file, status="passed", title="x")
    assert [picture.data for picture in read_run(record.folder).pictures] == [b"", b""]


def test_configuration_changes_are_marked_by_sign(tmp_path: Path) -> None:
    html = page(good_run(tmp_path))
    assert "<ins><b>+</b>[demo]</ins>" in html
    assert "<del><b>−</b>[old]</del>" in html
    assert "pjsip.conf: 2 lines added, 2 removed" in html


def test_a_written_diff_is_shown_instead_of_a_computed_one(tmp_path: Path) -> None:
    record = good_run(tmp_path)
    hunk = "@@ -1,2 +1,2 @@\n--- a\n+++ b\n x\n"  # a line "-- a" became "++ b"
    second = "--- a/route\n+++ b/route\n@@ -0,0 +1 @@\n+y\n"
    record.write_text("config/changes.diff", f"--- before/trunk\n+++ after/trunk\n{hunk}{second}")
    changes = read_run(record.folder).changes
    assert [(one.name, one.added, one.removed) for one in changes] == [("trunk", 1, 1), ("route", 1, 0)]


def test_it_tells_how_to_check_the_record_and_what_a_signature_does_not_prove(tmp_path: Path) -> None:
    words = Reader(page(empty_run(tmp_path))).words
    assert "bw-runbook verify" in words
    assert "ssh-keygen -Y verify -f ~/.config/bw-runbook/allowed_signers -I PRINCIPAL -n bw-runbook" in words
    assert "What it does not prove" in words


def test_on_paper_everything_is_open_and_a_sentence_stands_for_each_player(tmp_path: Path) -> None:
    reader = Reader(page(good_run(tmp_path), paper=True))
    assert [attributes for tag, attributes in reader.tags if tag == "details" and "open" not in attributes] == []
    assert not any(tag in ("audio", "a", "nav") for tag, _ in reader.tags)
    assert "To be heard: audio/call_to_extension_phone_heard.wav, in the record." in reader.words
    assert "Appendix: HTTP exchanges" in reader.words


# ---------------------------------------------------------------- the page itself


@pytest.mark.parametrize("paper", [False, True])
def test_the_page_asks_nobody_and_has_no_script(tmp_path: Path, paper: bool) -> None:
    html = page(good_run(tmp_path), paper=paper)
    reader = Reader(html)
    assert not any(tag in ("script", "link", "iframe", "object", "base", "form") for tag, _ in reader.tags)
    sources = [value for _, attributes in reader.tags for name, value in attributes.items() if name in ("src", "href")]
    assert [source for source in sources if not source.startswith(("data:", "#"))] == []
    assert "url(" not in re.sub(r"url\(#", "", html)
    assert "default-src 'none'" in html


def test_headings_are_in_order_ids_are_unique_and_links_lead_somewhere(tmp_path: Path) -> None:
    reader = Reader(page(good_run(tmp_path)))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [name for _, attributes in reader.tags for name in attributes.get("aria-labelledby", "").split()]
    links = [a["href"][1:] for tag, a in reader.tags if tag in ("a", "use") and a.get("href", "").startswith("#")]
    assert set(named + links) <= set(ids)


def test_hostile_names_stay_words(tmp_path: Path) -> None:
    record = empty_run(tmp_path, site=EVIL, operator=EVIL)
    record.append_exchange(exchange(EVIL, EVIL, EVIL))
    step(
        record, "realm", "failed", EVIL, title=EVIL, note=EVIL, attempted=EVIL, came_back=EVIL, do_next=EVIL,
        object={EVIL: EVIL}, differences=[{"field": EVIL, "found": EVIL, "wanted": EVIL}], exchanges=[EVIL],
    )  # fmt: skip
    step(record, "application", title=EVIL, object={"name": EVIL, "call_initiated_url": EVIL}, action="created")
    notebook(record, EVIL, "failed", EVIL)
    record.journal.append("note", note=EVIL)
    record.journal.append("screenshot", title=EVIL, status="skipped", reason=EVIL, holds=[EVIL], page=EVIL)
    record.write_text("config/after/" + "x.conf", EVIL)
    html = page(record) + page(record, paper=True)
    assert not any(tag == "script" or "onerror" in attributes for tag, attributes in Reader(html).tags)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", html)
    assert "\\u202egnp" in html


def test_secrets_are_masked_in_everything_that_is_written(tmp_path: Path, no_browser: None) -> None:
    record = good_run(tmp_path)
    path = record.folder / "notebooks" / "10_application.ipynb"
    path.write_text(path.read_text().replace("printed", "correct-horse-battery"))
    (record.folder / "settings_sheet.txt").write_text("correct-horse-battery")
    again = RunRecord(record.folder, redactor_for([("password", "correct-horse-battery")]))
    write_report(again)
    for name in ("report.html", "notebooks/10_application.html"):
        text = (record.folder / name).read_text()
        assert "correct-horse-battery" not in text
        assert "«redacted:password»" in text


# ---------------------------------------------------------------- writing it


def test_each_file_gets_its_line_and_the_run_can_be_sealed(tmp_path: Path, no_browser: None) -> None:
    record = good_run(tmp_path)
    write_report(record)
    lines = report_lines(record)
    assert lines["report.html"] == lines["notebooks/10_application.html"] == ("passed", "")
    assert lines["report.pdf"][0] == "skipped"
    assert "chromium is not here" in lines["report.pdf"][1]
    assert not (record.folder / "report.pdf").exists()
    assert (record.folder / "report.html").stat().st_mode & 0o777 == 0o600
    seal(record)


def test_a_sealed_run_gets_no_report(tmp_path: Path) -> None:
    record = good_run(tmp_path)
    seal(record)
    with pytest.raises(RecordError, match="sealed"):
        write_report(record)


def test_a_spoilt_notebook_is_told_and_the_others_are_written(tmp_path: Path, no_browser: None) -> None:
    record = good_run(tmp_path)
    (record.folder / "notebooks" / "00_start.ipynb").write_text('{"cells": [')
    write_report(record)
    lines = report_lines(record)
    assert lines["notebooks/00_start.html"][0] == "failed"
    assert lines["notebooks/00_start.html"][1]
    assert lines["notebooks/10_application.html"][0] == "passed"


def test_a_notebooks_page_keeps_pictures_and_sound_and_no_script(tmp_path: Path, no_browser: None) -> None:
    record = empty_run(tmp_path)
    write_notebook(record, "10_application")
    write_report(record)
    html = (record.folder / "notebooks" / "10_application.html").read_text()
    assert "data:image/png;base64," in html
    assert "data:audio/wav;base64," in html
    assert "<script" not in html
    assert "cdnjs" not in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"journal.jsonl": ""},
        {"journal.jsonl": '{"kind": "run_started", "site": "demo"'},
        {"journal.jsonl": 'garbage\n[1]\n{"kind": "step"}\n{"kind": "notebook"}\n\xff\n'},
        {"journal.jsonl": '{"kind": "step", "step": 7, "status": [], "object": [1], "differences": {"a": 1}}\n'},
        {"http.jsonl": "[" * 100_000 + "\n", "sip.jsonl": '{"at": "never"}\n', "webhooks.jsonl": "{}\n"},
        {"sip.jsonl": '{"call": "x", "at": "2026-01-01T00:00:00", "message": ""}\n', "audio/x_phone_heard.wav": "RIFF"},
        {"config/changes.diff": "+++ x\n--- y\n--- z\n+++ z\n", "notebooks/x.ipynb": ""},
    ],
)
def test_a_broken_record_gets_a_report_all_the_same(tmp_path: Path, no_browser: None, files: dict[str, str]) -> None:
    folder = tmp_path / "runs" / "demo" / "20261124T190000"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text.encode("latin-1"))
    write_report(RunRecord(folder, redactor_for([])))
    words = Reader((folder / "report.html").read_text()).words
    assert "How to check this record" in words
    assert "passed" not in words.partition("Site")[0]
    if "journal.jsonl" not in files:
        assert "There is no journal.jsonl" in words


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_spoilt_byte_of_a_record_stops_its_report(tmp_path: Path, data: st.DataObject) -> None:
    if not (tmp_path / "runs").exists():
        good_run(tmp_path)
    [whole] = run_folders(tmp_path / "runs" / "demo")
    spoilt = tmp_path / "spoilt" / "demo"
    shutil.rmtree(spoilt, ignore_errors=True)
    shutil.copytree(whole, spoilt)
    names = ["journal.jsonl", "http.jsonl", "sip.jsonl", "webhooks.jsonl", "audio/call_from_extension_phone_said.wav"]
    path = spoilt / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    html = render(read_run(spoilt), "failed")
    assert "How to check this record" in html


@pytest.mark.slow
def test_the_templates_are_in_the_wheel(tmp_path: Path) -> None:
    project = Path(report_page.__file__).resolve().parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    wanted = {f"bwlib/record/templates/{name}" for name in ("report.html", "report_parts.html", "report.css")}
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())
