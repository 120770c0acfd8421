"""The whole guide against the sandbox with a real Asterisk: what `make demo` promises, checked from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers import asterisk

from bwlib.heard import compare, read_wav
from bwlib.record.journal import chain_faults, read_lines
from bwlib.record.manifest import manifest_faults
from bwlib.sandbox import control

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(700)]

STEPS = (
    "rights", "application", "callback", "realm", "sip_credential", "trunk", "route", "extension", "no_registration",
    "ready", "call_from_extension", "call_to_extension",
)  # fmt: skip


@dataclass(frozen=True)
class Walk:
    """What one run of the command line left behind."""

    stdout: str
    stderr: str
    code: int

    @property
    def record(self) -> Path:
        return Path(self.stdout.strip().splitlines()[-1])

    def steps(self) -> dict[str, dict[str, object]]:
        lines = read_lines(self.record / "journal.jsonl")
        return {line["step"]: line for line in lines if line["kind"] == "step"}


def bw_runbook(home: Path, *arguments: str) -> Walk:
    done = subprocess.run(
        [sys.executable, "-m", "bwlib.cli", *arguments],
        env={**os.environ, "BW_RUNBOOK_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Walk(done.stdout, done.stderr, done.returncode)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    asterisk()
    folder = tmp_path_factory.mktemp("home")
    yield folder
    running = control.attach(folder)
    if running is not None:
        running.down()


@pytest.fixture(scope="module")
def first(home: Path) -> Walk:
    return bw_runbook(home, "demo")


@pytest.fixture(scope="module")
def second(home: Path, first: Walk) -> tuple[Walk, list[dict[str, object]]]:
    """A second run on the same site, and what the sandbox's exchange log holds of it."""
    sandbox = control.attach(home)
    assert sandbox is not None
    since = max(exchange["id"] for exchange in sandbox.exchanges())
    walk = bw_runbook(home, "run", str(home / "demo" / "site.toml"))
    return walk, sandbox.exchanges(since)


def test_the_demo_ends_well_and_its_last_line_is_the_record(first: Walk) -> None:
    assert first.code == 0, first.stdout + first.stderr
    assert first.record.is_dir()
    assert {name: line["status"] for name, line in first.steps().items() if name in STEPS} == dict.fromkeys(
        STEPS, "passed"
    )


def test_both_calls_were_heard_in_both_directions(first: Walk) -> None:
    for name in ("call_from_extension", "call_to_extension"):
        audio = first.record / "audio"
        said, heard = read_wav(audio / f"{name}_bandwidth_said.wav"), read_wav(audio / f"{name}_phone_heard.wav")
        assert compare(said, heard).correlation >= 0.99
        spoken, arrived = read_wav(audio / f"{name}_phone_said.wav"), read_wav(audio / f"{name}_bandwidth_heard.wav")
        assert compare(spoken, arrived).correlation >= 0.99
        assert compare(spoken, heard).correlation < 0.5  # the two directions are different sounds


def test_the_demo_prints_what_was_heard_the_digits_and_the_webhooks_in_order(first: Walk) -> None:
    heard = [float(value) for value in re.findall(r"heard by the phone: correlation ([0-9.]+)", first.stdout)]
    assert len(heard) == 2
    assert min(heard) >= 0.99
    assert re.findall(r"webhooks: (.+)", first.stdout) == ["initiate gather disconnect", "answer gather disconnect"]
    assert re.findall(r"digits: (.+)", first.stdout) == ["4", "4"]


def trunk_messages(record: Path, call: str) -> list[str]:
    """First words of the SIP messages on the trunk leg of a call, credentials marked, as the realm's edge saw them."""
    lines = [json.loads(line) for line in (record / "sip.jsonl").read_text().splitlines()]
    edge = [line for line in lines if line["call"] == call and "edge" in line["seen_by"]]
    words = []
    for line in sorted(edge, key=lambda line: line["at"]):
        text = line["message"]
        status = re.match(r"SIP/2\.0 (\d{3})", text)
        word = status[1] if status else text.split(" ", 1)[0]
        words.append(word + ("+credentials" if "\nProxy-Authorization:" in text else ""))
    return words


def test_the_ladder_shows_the_challenge_and_no_registration(first: Walk) -> None:
    words = trunk_messages(first.record, "call_from_extension")
    expected = ["INVITE", "407", "ACK", "INVITE+credentials", "200", "ACK", "BYE"]
    remaining = iter(words)
    assert all(word in remaining for word in expected), words
    assert "REGISTER" not in words
    ladder = (first.record / "ladder_call_from_extension.svg").read_text()
    assert ladder.startswith("<svg")
    assert "407" in ladder


def test_notebook_and_report_show_each_call_in_one_picture_with_the_digit_that_was_pressed(first: Walk) -> None:
    notebook = json.loads((first.record / "notebooks" / "40_test_calls.ipynb").read_text())
    outputs = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    drawn = ["".join(data["text/plain"]) for data in outputs if "<svg" in "".join(data.get("text/html", ""))]
    texts, whole = drawn[:2], drawn[2:]
    report = (first.record / "report.html").read_text()
    assert [text.splitlines()[0] for text in whole] == ["How the parts are connected"]
    for text, begins in zip(texts, ("initiate", "answer"), strict=True):
        lines = text.splitlines()
        for end in ("BYE", "disconnect, cause hangup"):  # which of them comes first is not said
            in_order = ("-> PBX", begins, "presses 4 (DTMF)", "gather, digits 4", end)
            rows = [next((n for n, line in enumerate(lines) if word in line), -1) for word in in_order]
            assert -1 not in rows, text
            assert rows == sorted(rows), text
    assert "407 Proxy Authentication Required" in texts[0]
    assert report.count("presses 4 (DTMF)") >= 2


def test_the_record_is_whole_and_its_chain_holds(first: Walk) -> None:
    names = {path.relative_to(first.record).as_posix() for path in first.record.rglob("*") if path.is_file()}
    for name in (
        "journal.jsonl",
        "http.jsonl",
        "sip.jsonl",
        "webhooks.jsonl",
        "manifest.json",
        "notebooks/40_test_calls.ipynb",
    ):
        assert name in names
    assert any(name.startswith("config/before/") for name in names)
    after = "".join(path.read_text() for path in (first.record / "config" / "after").rglob("*") if path.is_file())
    assert "outbound_auth" in after
    assert chain_faults(first.record / "journal.jsonl") == []
    assert manifest_faults(first.record) == []


def test_each_step_names_the_exchanges_that_prove_it(first: Walk) -> None:
    known = {json.loads(line)["id"] for line in (first.record / "http.jsonl").read_text().splitlines()}
    for name in ("application", "realm", "sip_credential", "call_to_extension"):
        cited = first.steps()[name]["exchanges"]
        assert cited
        assert set(cited) <= known  # type: ignore[call-overload]


def secrets_of(home: Path) -> list[str]:
    """Every secret that this home knows, read where it is kept."""
    sandbox = control.attach(home)
    assert sandbox is not None
    found = [
        sandbox.client_secret.get_secret_value(),
        sandbox.control_token.get_secret_value(),
        sandbox.readback.password.get_secret_value(),
        sandbox.readback.token.get_secret_value(),
        sandbox.get_note("pbx")["ami_secret"],
    ]
    found += [path.read_text().strip() for path in (home / "demo" / "secrets").iterdir()]
    return found


def test_no_secret_is_in_the_record_and_the_search_would_find_one(home: Path, first: Walk) -> None:
    from hashlib import md5

    secrets = secrets_of(home)
    fqdn = str(first.steps()["realm"]["object"]["fqdn"])  # type: ignore[index]
    password = (home / "demo" / "secrets" / "sip_password").read_text().strip()
    secrets.append(md5(f"demo:{fqdn}:{password}".encode()).hexdigest())
    everything = b"".join(path.read_bytes() for path in first.record.rglob("*") if path.is_file())
    assert [secret for secret in secrets if secret.encode() in everything] == []
    assert not re.search(rb'response="[0-9a-f]{32}"', everything)
    assert fqdn.encode() in everything


def test_a_second_run_finds_everything_unchanged_and_writes_nothing(
    second: tuple[Walk, list[dict[str, object]]],
) -> None:
    walk, exchanges = second
    assert walk.code == 0, walk.stdout + walk.stderr
    made = ("application", "realm", "sip_credential", "trunk", "route", "extension")
    assert {name: walk.steps()[name]["action"] for name in made} == dict.fromkeys(made, "unchanged")
    writes = [
        (exchange["method"], exchange["path"])
        for exchange in exchanges
        if exchange["method"] != "GET" and not str(exchange["path"]).endswith(("/token", "/calls"))
    ]
    assert writes == []


def test_a_later_run_names_the_one_before(first: Walk, second: tuple[Walk, list[dict[str, object]]]) -> None:
    manifest = json.loads((second[0].record / "manifest.json").read_text())
    assert manifest["previous_run"]["run"] == first.record.name
