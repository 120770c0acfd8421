"""bw-runbook diagnose: on a real sandbox, with a PBX in memory on which no phone can register."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from canaries import ha1, new_canary, search, spellings
from memory_pbx import MemoryPbx
from pydantic import SecretStr

from bwlib import cli, diagnosing, open_run, start_site
from bwlib.diagnose import by_call
from bwlib.errors import PbxUnreachable, RecordError
from bwlib.guide import Run
from bwlib.models import Extension, Finding, OutboundRoute, Trunk
from bwlib.record.cited import citation
from bwlib.record.journal import read_lines
from bwlib.record.manifest import manifest_faults
from bwlib.record.run_record import RunRecord, run_folders
from bwlib.sandbox import control
from bwlib.settings import Settings, load_settings

pytestmark = pytest.mark.slow

AMI_SECRET = new_canary()
KEYS = {"healthy", "sentence", "causes", "unexplained", "ruled_out", "not_looked", "facts", "seconds", "record"}


class TalkingPbx(MemoryPbx):
    """One that also has a log and checks of its own; both may say more than they should."""

    def __init__(self) -> None:
        super().__init__()
        self.log: tuple[str, ...] = ()
        self.traps: list[Finding] = []

    def log_since(self, when: datetime) -> tuple[str, ...]:
        return self.log

    def findings(self, trunk: Trunk, route: OutboundRoute, extension: Extension) -> list[Finding]:
        return self.traps


@dataclass
class Site:
    """A site that walked the guide up to notebook 30, its sealed record, and the call that was placed since."""

    path: Path
    pbx: TalkingPbx
    record: Path
    call: str = ""

    @property
    def settings(self) -> Settings:
        return load_settings(self.path)

    @property
    def records(self) -> list[Path]:
        return run_folders(self.settings.runs_dir)

    def secret(self, name: str) -> str:
        return (self.path.parent / "secrets" / name).read_text().strip()

    def on_pbx(self, kind: str, **fields: Any) -> None:
        [key] = [key for key in self.pbx.running if key[0] == kind]
        self.pbx.running[key] = replace(self.pbx.running[key], **fields)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home, before, patch = tmp_path_factory.mktemp("home"), os.environ["BW_RUNBOOK_HOME"], pytest.MonkeyPatch()
    pbx = TalkingPbx()

    def sandbox_pbx(sandbox: Any, record: Any = None, site: str = "") -> TalkingPbx:
        record.redactor.learn("AMI secret", AMI_SECRET)  # as the real one does
        return pbx

    patch.setenv("BW_RUNBOOK_HOME", str(home))
    patch.setattr("bwlib.run.sandbox_pbx", sandbox_pbx)
    patch.setattr(by_call, "ANSWER_S", 0.5)
    control.start(home).set_switch("realm_create_s", "0")
    path = home / "site" / "site.toml"
    start_site(path, name="acme")
    yield Site(path, pbx, walk(open_run(path, notebook="by_hand")))
    running = control.attach(home)
    if running is not None:
        running.down()
    patch.undo()
    assert os.environ["BW_RUNBOOK_HOME"] == before


def walk(run: Run) -> Path:
    run.application()
    run.sip_credential(run.realm())
    trunk = run.trunk()
    run.route()
    run.extension()
    run.no_registration(trunk)
    return run.seal()


@pytest.fixture
def site(walked: Site) -> Iterator[Site]:
    """As it was walked; what a test changes on the PBX is put back."""
    running = dict(walked.pbx.running)
    yield walked
    walked.pbx.running, walked.pbx.log, walked.pbx.traps, walked.pbx.down = running, (), [], False


Diagnose = Callable[..., tuple[int, str, str]]


@pytest.fixture
def diagnose(site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Diagnose:
    """(exit code, stdout, stderr) of the command on the site."""

    def command(*options: str) -> tuple[int, str, str]:
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["bw-runbook", "diagnose", str(site.path), *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (int(str(ended.value.code)), *capfd.readouterr())

    return command


@pytest.fixture
def past_call(site: Site, diagnose: Diagnose) -> str:
    """Bandwidth's id of a call that was answered: the one that a diagnosis places past the PBX."""
    if not site.call:
        diagnose()
        sandbox = control.attach()
        assert sandbox is not None
        site.call = next(call["callId"] for call in sandbox.calls() if call["answerTime"])
    return site.call


# ---------------------------------------------------------------- what it comes to


def test_the_cause_stands_first_with_its_evidence_and_the_record_last(site: Site, diagnose: Diagnose) -> None:
    site.on_pbx("route", pattern="9XXX", prepend="")
    code, out, err = diagnose()
    lines = out.splitlines()
    assert code == 9
    assert lines[0].startswith("✘ ")
    causes = [line for line in lines if re.match(r"\d+\. ", line)]
    assert "2. The dialled number matches no pattern of the outbound route (found)" in causes
    for word in ("   because ", "   fix: ", "   or by Apply: card route, notebook 30_pbx"):
        assert any(line.startswith(word) for line in lines), word
    assert f"all that Apply mends, without a click: bw-runbook run {site.path}" in lines
    assert max(len(line) for line in lines[:-1] if str(site.path) not in line) <= 110
    assert site.records[-1] == Path(lines[-1])
    assert "placing short test calls" in err


def test_a_past_call_that_went_well_is_nothing_wrong(diagnose: Diagnose, past_call: str) -> None:
    code, out, _ = diagnose("--after-call", past_call)
    assert (code, out.splitlines()[0]) == (0, "✔ nothing wrong was found; no call was placed")
    assert len(out.splitlines()) == 2


def test_what_could_not_be_looked_at_is_no_finding_and_no_success(
    site: Site, diagnose: Diagnose, past_call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.pbx, "registrations", lambda: 1 / 0)
    code, out, _ = diagnose("--after-call", past_call)
    assert code == 1
    assert "could not look at: pbx: ZeroDivisionError in the probe itself" in out
    code, out, _ = diagnose("--after-call", "c-unknown")
    assert code == 1
    assert "could not look at: call: Bandwidth on the call c-unknown" in out


def test_a_pbx_that_is_down_is_named(site: Site, diagnose: Diagnose, past_call: str) -> None:
    site.pbx.down = True
    code, out, _ = diagnose("--after-call", past_call)
    assert code == 9
    assert re.search(r"^1\. .*\(found\)$", out, re.MULTILINE)
    assert "its pages) does not answer" in out
    assert "because pbx: connection refused" in out


def test_a_password_that_cannot_be_read_is_told_and_no_success(site: Site, diagnose: Diagnose, past_call: str) -> None:
    secret = site.path.parent / "secrets" / "sip_password"
    away = secret.rename(secret.with_name("away"))
    try:
        code, out, _ = diagnose("--after-call", past_call)
    finally:
        away.rename(secret)
    assert code == 1
    assert re.search(r"could not look at: file:\S+, where the site file says that the\s+trunk's password is", out)


def test_a_full_disk_does_not_cost_what_was_found(
    site: Site, diagnose: Diagnose, past_call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(record: RunRecord, name: str, what: object) -> None:
        raise RecordError(f"write {name}", "No space left on device", "make room")

    site.on_pbx("trunk", username="somebody")
    monkeypatch.setattr(RunRecord, "write_json", full)
    code, _, err = diagnose("--after-call", past_call)
    assert code == 9
    assert "found, and not written down: The trunk's user name is not the credential's" in err
    assert "Do next: set it to the credential's user name" in err
    assert "No space left on device" in err


def test_ctrl_c_says_what_became_of_it(site: Site, diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnosing, "look", interrupted)
    code, out, err = diagnose()
    assert (code, out) == (130, "")
    assert "stopped: calls that were up are hung up, nothing was changed; record: " in err
    assert err.rstrip().endswith("interrupted")


# ---------------------------------------------------------------- for programs


def test_json_is_one_document_and_all_of_it(site: Site, diagnose: Diagnose, past_call: str) -> None:
    site.on_pbx("trunk", from_user="19195550100")
    code, out, _ = diagnose("--after-call", past_call, "--json")
    document = json.loads(out)
    assert set(document) == KEYS
    assert (code, document["healthy"]) == (9, False)
    assert [(cause["name"], cause["confidence"]) for cause in document["causes"]] == [("foreign-caller-id", "found")]
    assert set(document["causes"][0]) == {
        "name", "cause", "confidence", "because", "fix", "bullet", "step", "next_probe",
    }  # fmt: skip
    assert document["facts"]["trunk.from_user"]["value"] == "not-e164"
    assert all(set(fact) == {"value", "says", "source"} for fact in document["facts"].values())
    assert len(document["ruled_out"]) > 20
    kept = json.loads((Path(document["record"]) / "diagnosis.json").read_text())
    assert kept == {key: value for key, value in document.items() if key != "record"}


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_others_wrote_colours_no_terminal(
    site: Site, diagnose: Diagnose, past_call: str, options: tuple[str, ...]
) -> None:
    site.on_pbx("trunk", from_user="\x1b[31mred\x9b1m\u202e\r\n1. all is well")
    site.pbx.log = ("[x] NOTICE[1]: There were no auth ids available \x1b]0;title\x07",)
    code, out, err = diagnose("--after-call", past_call, *options)
    assert code == 9
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out + err)
    assert "1. all is well" not in out.splitlines()
    assert "red" in out


# ---------------------------------------------------------------- its record


def test_its_record_is_sealed_and_cites_the_one_before(site: Site, diagnose: Diagnose, past_call: str) -> None:
    before = site.records[-1]
    _, out, _ = diagnose("--after-call", past_call)
    record = Path(out.splitlines()[-1])
    assert record != before
    assert manifest_faults(record) == []
    first, *steps = read_lines(record / "journal.jsonl")
    assert (first["command"], first["cites"]) == ("diagnose", citation(before))
    [step] = [line for line in steps if line["kind"] == "step" and line["status"] != "running"]
    assert (step["step"], step["status"], step["causes"]) == ("diagnose", "passed", [])


@pytest.mark.parametrize(
    ("username", "code", "came_to"),
    [("", 0, "the run: passed"), ("somebody", 9, "the run: failed, what failed is named")],
    ids=["nothing wrong", "a cause"],
)
def test_its_record_verifies_and_what_it_found_is_no_lack_of_it(
    site: Site, diagnose: Diagnose, past_call: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    username: str, code: int, came_to: str,
) -> None:  # fmt: skip
    if username:
        site.on_pbx("trunk", username=username)
    _, out, _ = diagnose("--after-call", past_call)
    record = out.splitlines()[-1]
    monkeypatch.setattr("sys.argv", ["bw-runbook", "verify", record, "--trust-on-first-use"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capfd.readouterr().out
    assert (ended.value.code, said.splitlines()[0].partition("since; ")[2]) == (code, came_to), said


def test_a_diagnosis_that_finds_a_cause_is_written_down_as_failed_with_what_to_do(
    site: Site, diagnose: Diagnose, past_call: str
) -> None:
    site.on_pbx("trunk", username="somebody")
    _, out, _ = diagnose("--after-call", past_call)
    record = Path(out.splitlines()[-1])
    step = [line for line in read_lines(record / "journal.jsonl") if line["kind"] == "step"][-1]
    assert (step["status"], step["causes"]) == ("failed", ["wrong-username"])
    assert step["came_back"].startswith("The trunk's user name is not the credential's")
    assert step["do_next"]
    assert manifest_faults(record) == []


def test_the_failed_calls_messages_are_in_the_record(site: Site, diagnose: Diagnose) -> None:
    _, out, _ = diagnose()
    record = Path(out.splitlines()[-1])
    text = "".join(path.read_text() for path in record.glob("http*.jsonl"))
    assert "/applications" in text
    assert json.loads((record / "diagnosis.json").read_text())["facts"]["direct.call"]["value"] == "answered"


def test_one_that_cannot_go_on_says_why_and_is_sealed_too(
    site: Site, diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> Any:
        raise PbxUnreachable("look", "it is gone", "start it")

    monkeypatch.setattr("bwlib.diagnosing.look", look)
    before = site.records[-1]
    code, out, err = diagnose("--json")
    assert (code, json.loads(out)["came_back"]) == (1, "it is gone")
    assert "Do next:   start it" in err
    record = site.records[-1]
    assert record != before
    assert manifest_faults(record) == []
    step = [line for line in read_lines(record / "journal.jsonl") if line["kind"] == "step"][-1]
    assert (step["status"], step["came_back"]) == ("failed", "it is gone")


# ---------------------------------------------------------------- it changes nothing


def test_it_only_reads_but_for_its_own_test_calls(site: Site, diagnose: Diagnose, past_call: str) -> None:
    sandbox = control.attach()
    assert sandbox is not None
    since = max(exchange["id"] for exchange in sandbox.exchanges())
    calls = len(sandbox.calls())
    site.pbx.calls.clear()
    diagnose("--after-call", past_call)
    asked = [(each["method"], str(each["path"])) for each in sandbox.exchanges(since)]
    assert {method for method, path in asked if not path.endswith("/token")} == {"GET"}
    assert site.pbx.wrote == []
    assert len(sandbox.calls()) == calls


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_secret_comes_out_whatever_the_pbx_says_of_itself(
    site: Site, diagnose: Diagnose, past_call: str, options: tuple[str, ...]
) -> None:
    sandbox = control.attach()
    assert sandbox is not None
    objects = [line.get("object") or {} for line in read_lines(site.record / "journal.jsonl")]
    fqdn = next(each["fqdn"] for each in objects if "fqdn" in each)
    of_the_trunk, of_the_extension = new_canary(), new_canary()  # not those of the site file
    canaries = {
        "SIP password": site.secret("sip_password"),
        "HA1": ha1(site.settings.sip_credential.username, fqdn, site.secret("sip_password")),
        "extension secret": site.secret("extension_secret"),
        "callback password": sandbox.readback.password.get_secret_value(),
        "client secret": sandbox.client_secret.get_secret_value(),
        "AMI secret": AMI_SECRET,
        "password on the trunk": of_the_trunk,
        "secret on the PBX": of_the_extension,
    }
    site.on_pbx("trunk", password=SecretStr(of_the_trunk))
    site.on_pbx("extension", secret=SecretStr(of_the_extension))
    site.on_pbx("route", request_uri=f"sip:{of_the_trunk}@{canaries['HA1']}")
    aloud = " ".join(canaries.values())
    site.pbx.log = tuple(f"[x] NOTICE[1]: There were no auth ids available {one}" for one in canaries.values())
    site.pbx.traps = [Finding(f"A trap: {aloud}", (aloud,), f"take {aloud} out")]
    code, out, err = diagnose("--after-call", past_call, *options)
    assert code == 9
    assert "A trap: " in out
    said = (out + err).encode()
    shown = {
        name: [how for how, spelt in spellings(secret).items() if spelt in said] for name, secret in canaries.items()
    }
    assert shown == {name: [] for name in canaries}
    assert search([site.records[-1]], canaries) == []
    assert manifest_faults(site.records[-1]) == []
