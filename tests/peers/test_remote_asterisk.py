"""A PBX on another machine: the whole guide, the sandbox as Bandwidth, and an Asterisk that only ssh leads to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from remote_machine import RemoteMachine, new_key, remote_machine, through, until
from watched import Walk, bw_runbook, command_lines

from bwlib import open_run, start_site
from bwlib.errors import PbxRefused, PbxUnreachable
from bwlib.pbx.asterisk import AsteriskPbx
from bwlib.pbx.asterisk_files import OwnFiles
from bwlib.pbx.asterisk_text import Block
from bwlib.record.journal import read_lines
from bwlib.sandbox import control

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(600)]

MADE = ("application", "realm", "sip_credential", "trunk", "route", "extension")
CANARY = "a line of the person's own, 7c1f0b"


@pytest.fixture(scope="module")
def machine() -> Iterator[RemoteMachine]:
    with remote_machine() as machine:
        persons = machine.stage.config_dir / "pjsip.conf"
        persons.write_text(persons.read_text() + f"; {CANARY}\n")
        yield machine


@pytest.fixture(scope="module")
def before(machine: RemoteMachine) -> dict[str, tuple[bytes, int, int, int]]:
    return machine.files()


@pytest.fixture(scope="module")
def site(
    machine: RemoteMachine, before: dict[str, tuple[bytes, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A site file that names the other machine, and a home of its own for the sandbox."""
    folder = tmp_path_factory.mktemp("site")
    stage = machine.stage
    (folder / "secrets").mkdir(mode=0o700)
    with open(os.open(folder / "secrets" / "ami", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(stage.ami_secret.get_secret_value())
    (folder / "site.toml").write_text(
        f'name = "far"\n[pbx]\nssh = "{machine.login}"\nssh_key = "{machine.key}"\n'
        f'ssh_known_hosts = "{machine.known_hosts}"\nconfig_dir = "{stage.config_dir}"\n'
        f'ami_port = {stage.ami_port}\nami_user = "{stage.ami_user}"\nami_secret = "file:secrets/ami"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BW_RUNBOOK_HOME", str(folder / "home"))
        start_site(folder / "site.toml")
        yield folder / "site.toml"
        running = control.attach(folder / "home")
        if running is not None:
            running.down()


@pytest.fixture(scope="module")
def first(site: Path) -> Walk:
    return bw_runbook("run", str(site))


def secrets_of(machine: RemoteMachine, site: Path) -> list[str]:
    persons = (machine.stage.config_dir / "pjsip.conf").read_text()
    own = re.search(r"^password = (.+)$", persons, re.MULTILINE)
    assert own is not None
    return [own[1], *(path.read_text().strip() for path in (site.parent / "secrets").iterdir())]


# ---------------------------------------------------------------- the guide, to its end


def test_both_calls_are_heard_with_a_pbx_that_is_reached_by_ssh_only(first: Walk, machine: RemoteMachine) -> None:
    assert first.code == 0, first.stdout + first.stderr
    heard = [float(value) for value in re.findall(r"heard by the phone: correlation ([0-9.]+)", first.stdout)]
    assert len(heard) == 2
    assert min(heard) >= 0.99
    assert {first.steps()[name]["action"] for name in MADE} == {"created"}
    ladder = (first.record / "ladder_call_to_extension.txt").read_text()
    assert f"{machine.stage.sip[0]}:{machine.stage.sip[1]}" in ladder


def test_the_sandbox_is_bandwidth_only_and_starts_no_pbx(first: Walk, site: Path) -> None:
    sandbox = control.attach(site.parent / "home")
    assert sandbox is not None
    assert not sandbox.pbx_alive()
    assert sandbox.get_note("pbx") is None


def test_the_record_says_on_which_machine_it_was(first: Walk, machine: RemoteMachine) -> None:
    place = machine.login.partition("@")[2]
    wanted = {"config_dir": str(machine.stage.config_dir), "ami_host": "127.0.0.1", "host": place}
    assert first.steps()["trunk"]["pbx"] == wanted
    assert "outbound_auth" in (first.record / "config" / "after" / "bw-runbook" / "pjsip.conf").read_text()


def test_what_was_written_belongs_to_asterisks_user_and_to_nobody_else(first: Walk, machine: RemoteMachine) -> None:
    found = machine.files()
    for name in ("bw-runbook/pjsip.conf", "bw-runbook/extensions.conf", "pjsip.conf", "extensions.conf"):
        _, owner, group, mode = found[name]
        assert (owner, group, mode & 0o777) == (machine.user.pw_uid, machine.user.pw_gid, 0o600)
    assert found["bw-runbook"][3] & 0o777 == 0o700
    assert not [name for name in found if "/." in f"/{name}"]


def test_no_secret_and_no_content_is_on_any_command_line_or_in_the_record(
    first: Walk, machine: RemoteMachine, site: Path
) -> None:
    secrets = secrets_of(machine, site)
    assert len(secrets) == 4
    assert any(f"bw-runbook-files {machine.stage.config_dir}" in line for line in first.command_lines)
    shown = "\n".join(first.command_lines)
    assert [secret for secret in [*secrets, CANARY] if secret in shown] == []
    everything = b"".join(path.read_bytes() for path in first.record.rglob("*") if path.is_file())
    assert [secret for secret in secrets if secret.encode() in everything] == []
    assert (
        CANARY.encode() in everything
    )  # its configuration is in the record: secrets would be, if they were not masked


def test_a_run_logs_in_once_a_notebook_and_leaves_no_ssh_behind(
    first: Walk, machine: RemoteMachine, site: Path
) -> None:
    assert machine.logins() == 2
    until(lambda: not ssh_processes(machine), "ssh has ended")


def ssh_processes(machine: RemoteMachine) -> list[str]:
    """ssh, what tidies up after it, and the script there."""
    return [line for line in command_lines() if f"bw-runbook-files {machine.stage.config_dir}" in line]


def test_a_second_run_finds_everything_unchanged_and_writes_nothing(
    first: Walk, machine: RemoteMachine, site: Path
) -> None:
    files = machine.files()
    second = bw_runbook("run", str(site))
    assert second.code == 0, second.stdout + second.stderr
    assert {second.steps()[name]["action"] for name in MADE} == {"unchanged"}
    assert machine.files() == files


def test_evidence_comes_by_ssh_too(first: Walk, machine: RemoteMachine, site: Path) -> None:
    run = open_run(site, notebook="test")
    pbx = run.on.pbx()
    assert isinstance(pbx, AsteriskPbx)
    with pbx.watch() as seen:
        state = pbx.state(run.settings.pbx.trunk, run.settings.pbx.extension, run.settings.test.dial)
    assert (set(state.unknown), state.not_in_force) == ({"changed_since_reload"}, ())
    assert state.trunk["endpoint"]["from_user"] == run.on.number
    assert seen.remark == ""
    assert any("modules will be loaded" in line for line in pbx.log_since(datetime(2000, 1, 1, tzinfo=UTC)))
    assert pbx.log_since(datetime.now(UTC)) == ()


# ---------------------------------------------------------------- what can be in the way


def refusal(site: Path, kind: type[Exception], **overrides: object) -> PbxUnreachable | PbxRefused:
    """What the guide says when it is to add an extension."""
    run = open_run(site, notebook="test", pbx_extension="555", **overrides)
    with pytest.raises(kind) as caught:
        run.extension()
    line = [line for line in read_lines(run.record.journal.path) if line["kind"] == "step"][-1]
    assert (line["status"], line["came_back"]) == ("failed", caught.value.came_back)  # type: ignore[attr-defined]
    assert caught.value.exit_code != 0  # type: ignore[attr-defined]
    return caught.value  # type: ignore[return-value]


@pytest.fixture
def untouched(first: Walk, machine: RemoteMachine) -> Iterator[None]:
    files = machine.files()
    yield
    assert machine.files() == files


@pytest.mark.usefixtures("untouched")
def test_a_wrong_key_is_named_with_the_file_it_belongs_into(site: Path, machine: RemoteMachine, tmp_path: Path) -> None:
    new_key(tmp_path / "stranger")
    said = refusal(site, PbxUnreachable, pbx_ssh_key=str(tmp_path / "stranger"))
    assert "Permission denied (publickey)" in said.came_back
    assert "authorized_keys" in said.do_next


@pytest.mark.usefixtures("untouched")
def test_an_unknown_host_key_is_refused_and_not_learned(site: Path, machine: RemoteMachine, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    said = refusal(site, PbxUnreachable, pbx_ssh_known_hosts=str(tmp_path / "known_hosts"))
    assert "Host key verification failed" in said.came_back
    assert f"ssh-keyscan -p {machine.port}" in said.do_next
    assert (tmp_path / "known_hosts").read_text() == ""


@pytest.mark.usefixtures("untouched")
def test_a_host_key_that_changed_is_told_apart_from_an_unknown_one(
    site: Path, machine: RemoteMachine, tmp_path: Path
) -> None:
    other = new_key(tmp_path / "other_host_key")
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{machine.port} {other}")
    said = refusal(site, PbxUnreachable, pbx_ssh_known_hosts=str(tmp_path / "known_hosts"))
    assert "why its host key changed" in said.do_next


@pytest.mark.usefixtures("untouched")
def test_a_stopped_sshd_ends_the_run_with_the_fix_and_not_with_0(site: Path, machine: RemoteMachine) -> None:
    with machine.without_sshd():
        walk = bw_runbook("run", str(site))
    assert walk.code not in (0, None)
    assert "Connection refused" in walk.stdout
    assert "that sshd runs there" in walk.stdout
    assert walk.steps()["trunk"]["status"] == "failed"


@pytest.mark.usefixtures("untouched")
def test_a_directory_that_cannot_be_written_is_refused_and_left_as_it_is(site: Path, machine: RemoteMachine) -> None:
    folders = [machine.stage.config_dir / "bw-runbook", machine.stage.config_dir]
    modes = [path.stat().st_mode for path in folders]
    for path in folders:
        path.chmod(0o500)
    try:
        said = refusal(site, PbxRefused)
    finally:
        for path, mode in zip(folders, modes, strict=True):
            path.chmod(mode)
    assert "Permission denied" in said.came_back
    assert "owns Asterisk's files" in said.do_next


@pytest.mark.usefixtures("untouched")
def test_an_sshd_that_forwards_nothing_is_named(site: Path, machine: RemoteMachine) -> None:
    with machine.configured("AllowTcpForwarding no"):
        said = refusal(site, PbxUnreachable)
    assert "administratively prohibited" in said.came_back
    assert "AllowTcpForwarding" in said.do_next


def test_what_root_writes_belongs_to_the_owner_of_the_persons_file(machine: RemoteMachine, tmp_path: Path) -> None:
    (tmp_path / "pjsip.conf").write_text("[800]\n")
    for path in (tmp_path, tmp_path / "pjsip.conf"):
        os.chown(path, machine.user.pw_uid, machine.user.pw_gid)
    files = through("/bin/sh", tmp_path)
    OwnFiles(files).write("pjsip.conf", {("extension", "101"): Block("[101]\ntype = aor\n")})
    for name in ("pjsip.conf", "bw-runbook", "bw-runbook/pjsip.conf"):
        there = (tmp_path / name).stat()
        assert (there.st_uid, there.st_gid) == (machine.user.pw_uid, machine.user.pw_gid), name
    files._connection.close()


# ---------------------------------------------------------------- and back


def test_undo_leaves_its_files_as_they_were_byte_for_byte(
    first: Walk, machine: RemoteMachine, site: Path, before: dict[str, tuple[bytes, int, int, int]]
) -> None:
    assert machine.files() != before
    done = bw_runbook("undo", str(first.record))
    assert done.code == 0, done.stdout + done.stderr
    assert machine.files() == before
    assert json.loads((done.record / "manifest.json").read_text())["status"] == "passed"
