"""What a person is told when the guide goes wrong, and what undo leaves alone; on the sandbox with a real Asterisk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import asterisk
from pydantic import SecretStr

from bwlib import open_run, start_site
from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.errors import NotAsExpected, PbxRefused, PbxUnreachable
from bwlib.guide import Run
from bwlib.models import Application
from bwlib.record.journal import read_lines
from bwlib.sandbox import control

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(600)]

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    asterisk()
    folder = tmp_path_factory.mktemp("home")
    before = os.environ["BW_RUNBOOK_HOME"]
    os.environ["BW_RUNBOOK_HOME"] = str(folder)
    yield folder
    os.environ["BW_RUNBOOK_HOME"] = before
    running = control.attach(folder)
    if running is not None:
        running.down()


@pytest.fixture(scope="module")
def site(home: Path) -> Path:
    """A site that has walked the guide up to notebook 30."""
    path = home / "site" / "site.toml"
    start_site(path, name="fails")
    run = open_run(path, notebook="test")
    run.application()
    run.sip_credential(run.realm())
    run.trunk()
    run.route()
    run.extension()
    return path


def opened(site: Path, **overrides: object) -> Run:
    return open_run(site, notebook="test", **overrides)  # type: ignore[arg-type]


def sandbox_client(home: Path) -> Client:
    sandbox = control.attach(home)
    assert sandbox is not None
    auth = OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url)
    return Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url)


def last_status(run: Run, step: str) -> str:
    lines = [line for line in read_lines(run.record.journal.path) if line["kind"] == "step" and line["step"] == step]
    return str(lines[-1]["status"])


# ---------------------------------------------------------------- the four ways to fail that everybody meets


def test_a_wrong_password_on_the_pbx_is_named_before_anything_rings(site: Path, home: Path) -> None:
    run = opened(site)
    sandbox = control.attach(home)
    assert sandbox is not None
    ours = Path(sandbox.get_note("pbx")["config_dir"]) / "bw-runbook" / "pjsip.conf"
    right = ours.read_text()
    password = run.secret(run.settings.sip_credential.password).get_secret_value()
    ours.write_text(right.replace(password, "not-the-password-at-all"))
    run.on.pbx().apply()
    try:
        with pytest.raises(NotAsExpected) as said:
            run.ready()
        assert "password" in said.value.came_back
        with pytest.raises(NotAsExpected) as refused:
            run.call_from_extension()
        assert "407" in refused.value.came_back
        assert "403" in refused.value.came_back
        assert last_status(run, "call_from_extension") == "failed"
    finally:
        ours.write_text(right)
        run.on.pbx().apply()


def test_a_password_reference_that_differs_from_bandwidth_is_refused_not_rotated(site: Path) -> None:
    secret = site.parent / "secrets" / "sip_password"
    right = secret.read_text()
    secret.write_text("another-password-entirely\n")
    try:
        run = opened(site)
        with pytest.raises(NotAsExpected) as said:
            run.sip_credential(run.realm())
        assert "differs" in said.value.came_back
        assert "another-password" not in str(said.value)
    finally:
        secret.write_text(right)


def test_a_stopped_edge_is_named_as_a_silent_realm(site: Path, home: Path) -> None:
    sandbox = control.attach(home)
    assert sandbox is not None
    run = opened(site, test_answer_timeout_s=4)
    with sandbox.edge_stopped(), pytest.raises(NotAsExpected) as said:
        run.call_from_extension()
    assert "The realm does not answer from here" in said.value.came_back
    assert "firewall" in said.value.do_next


def test_a_dead_callback_url_is_named_by_the_check_and_by_the_call(site: Path) -> None:
    run = opened(site, application_callback_url="http://127.0.0.1:9/initiate")
    run.application()
    try:
        with pytest.raises(NotAsExpected) as said:
            run.callback()
        assert "127.0.0.1:9" in said.value.attempted
        with pytest.raises(NotAsExpected):
            run.call_from_extension()
        assert last_status(run, "call_from_extension") == "failed"
    finally:
        opened(site).application()


def test_an_extension_that_belongs_to_somebody_is_refused(site: Path) -> None:
    run = opened(site, pbx_extension="800")
    before = run.on.pbx().snapshot()
    with pytest.raises(PbxRefused) as said:
        run.extension()
    assert "800" in said.value.came_back
    assert run.on.pbx().snapshot() == before


def test_a_dead_pbx_is_named(site: Path, home: Path) -> None:
    sandbox = control.attach(home)
    assert sandbox is not None
    run = opened(site)
    pbx = run.on.pbx()
    sandbox.stop_pbx()
    try:
        with pytest.raises(PbxUnreachable) as said:
            pbx.info()
        assert said.value.do_next
    finally:
        assert opened(site).on.pbx().info().product == "Asterisk"  # opening a run brings it back


# ---------------------------------------------------------------- unattended


def bw_runbook(home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bwlib.cli", *arguments],
        env={**os.environ, "BW_RUNBOOK_HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_an_unattended_run_that_fails_says_so_in_exit_code_and_record(site: Path, home: Path) -> None:
    done = bw_runbook(home, "run", str(site), "-p", "application_callback_url=http://127.0.0.1:9/initiate")
    try:
        assert done.returncode == 9, done.stdout + done.stderr
        record = Path(done.stdout.strip().splitlines()[-1])
        assert json.loads((record / "manifest.json").read_text())["status"] == "failed"
        statuses = {line["notebook"]: line["status"] for line in read_lines(record / "journal.jsonl")
                    if line["kind"] == "notebook"}  # fmt: skip
        assert statuses["10_application"] == "failed"
        assert statuses["40_test_calls"] == "skipped"
    finally:
        opened(site).application()


def test_an_unknown_parameter_is_refused_before_anything_is_sent(site: Path, home: Path) -> None:
    done = bw_runbook(home, "run", str(site), "-p", "realm_nmae=x")
    assert done.returncode == 6
    assert "realm_nmae" in done.stderr


# ---------------------------------------------------------------- undo


def test_undo_removes_what_was_made_and_leaves_what_was_there(home: Path) -> None:
    path = home / "undo" / "site.toml"
    start_site(path, name="undoes")
    run = opened(path)
    client = sandbox_client(home)
    there = client.create_application(Application("Somebody's", "https://example.com/theirs"))
    before = run.on.pbx().snapshot()
    run.application()
    run.sip_credential(run.realm())
    run.trunk(), run.route(), run.extension()
    outcomes = opened(path).undo()
    assert [outcome.action for outcome in outcomes] == ["removed"] * 6
    assert [application.id for application in client.list_applications() if application.name.endswith(" undoes")] == []
    assert client.get_application(there.id) == there
    assert "undoes" not in {realm.fqdn.partition("-")[0] for realm in client.list_realms()}
    assert run.on.pbx().snapshot() == before
    assert run.on.pbx().owner("extension", "800") == "other"
    assert opened(path).undo() == []


def test_undo_reports_a_default_realm_that_cannot_be_deleted(home: Path) -> None:
    path = home / "default" / "site.toml"
    start_site(path, name="defaults")
    run = opened(path)
    realm = run.realm()
    assert realm is not None
    client = sandbox_client(home)
    client.update_realm(realm, "defaults", realm.description, True)
    outcomes = opened(path).undo()
    assert [outcome.action for outcome in outcomes] == ["kept"]
    assert "33006" in outcomes[0].note


# ---------------------------------------------------------------- live, and each notebook alone


def test_on_a_live_account_auto_only_plans_and_sends_no_write(
    site: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox stands where the live account would be; its own log is the witness."""
    sandbox = control.attach(home)
    assert sandbox is not None
    note = sandbox.get_note("pbx")
    for name, value in {
        "BW_API_URL": sandbox.api_url,
        "BW_VOICE_URL": sandbox.voice_url,
        "BW_ACCOUNT_ID": sandbox.account_id,
        "BW_CLIENT_ID": sandbox.client_id,
        "BW_CLIENT_SECRET": sandbox.client_secret.get_secret_value(),
        "BW_RUNBOOK_AMI_SECRET": note["ami_secret"],
    }.items():
        monkeypatch.setenv(name, value)
    path = home / "live" / "site.toml"
    path.parent.mkdir()
    path.write_text(
        f'name = "lives"\ntarget = "live"\n[bandwidth]\nnumber = "{sandbox.number}"\n'
        '[application]\nname = "Live one"\ncallback_url = "https://example.com/initiate"\n[realm]\nname = "liveone"\n'
        '[pbx]\ntrunk = "live"\nroute = "live"\nextension = "155"\n'
        f'config_dir = "{note["config_dir"]}"\nami_port = {note["ami_port"]}\nami_user = "{note["ami_user"]}"\n'
    )
    start_site(path)
    since = max(exchange["id"] for exchange in sandbox.exchanges())
    done = bw_runbook(home, "run", str(path), "--mode", "auto")
    assert done.returncode == 0, done.stdout + done.stderr
    record = Path(done.stdout.strip().splitlines()[-1])
    assert json.loads((record / "manifest.json").read_text())["status"] == "pending"
    steps = {line["step"]: line["status"] for line in read_lines(record / "journal.jsonl") if line["kind"] == "step"}
    assert steps["rights"] == "passed"
    for step in ("application", "realm", "sip_credential", "trunk", "route", "extension", "callback", "ready"):
        assert steps[step] == "pending", step
    assert steps["call_from_extension"] in ("pending", "skipped")
    writes = [exchange for exchange in sandbox.exchanges(since) if exchange["method"] != "GET"]
    assert [exchange["path"] for exchange in writes if not str(exchange["path"]).endswith("/oauth2/token")] == []


@pytest.mark.parametrize("name", ["10_application", "20_sip_credentials", "30_pbx", "40_test_calls", "90_undo"])
def test_each_notebook_alone_does_its_work_or_names_the_one_to_run_first(name: str, tmp_path: Path) -> None:
    """Stock papermill, nothing running before."""
    path = tmp_path / "site.toml"
    start_site(path, name="alone")
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-m", "papermill", str(NOTEBOOKS / f"{name}.ipynb"), str(tmp_path / "out.ipynb"),
         "-p", "site_file", str(path)],
        env={**os.environ, "BW_RUNBOOK_HOME": str(home)},
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    try:
        if name in ("10_application", "90_undo"):
            assert done.returncode == 0, done.stderr
        else:
            assert done.returncode != 0
            assert "run notebook" in done.stderr or "run the notebooks 10_application" in done.stderr
    finally:
        running = control.attach(home)
        if running is not None:
            running.down()


def test_a_secret_is_not_in_what_a_person_sees(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = opened(site)
    run.sip_credential(run.realm())
    run.settings_sheet()
    run.trunk()
    seen = capsys.readouterr().out
    password: SecretStr = run.secret(run.settings.sip_credential.password)
    assert "fails-" in seen
    assert password.get_secret_value() not in seen
