"""Asterisk's configuration directory, here and through the script that ssh starts elsewhere: the same promises.

No ssh here: what ssh would start on the other machine is started directly. With ssh: peers/test_remote_asterisk.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_machine import through

from bwlib.errors import PbxRefused, PbxUnreachable, SettingsError
from bwlib.models import SshLogin
from bwlib.pbx import asterisk_files_ssh
from bwlib.pbx.asterisk_files import Change, Files, LocalFiles, OwnFiles
from bwlib.pbx.asterisk_files_ssh import SCRIPT, SshFiles
from bwlib.pbx.asterisk_ssh import ssh_argv, what_to_do
from bwlib.pbx.asterisk_text import Block

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)] or ["/bin/sh"]
PERSONS = b"; a person's own \x00\xff bytes\n#include more/*.conf\n[800]\ntype = aor\n"
BLOCKS = {("extension", "101"): Block("[101]\ntype = aor\n", "north")}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    (folder / "more").mkdir(parents=True)
    (folder / "pjsip.conf").write_bytes(PERSONS)
    (folder / "pjsip.conf").chmod(0o640)
    (folder / "extensions.conf").write_text("[office]\n")
    for name in ("a", "b"):
        (folder / "more" / f"{name}.conf").write_text(f"[{name}]\n")
    return folder


@pytest.fixture(params=["local", *SHELLS])
def files(directory: Path, request: pytest.FixtureRequest) -> Iterator[Files]:
    if request.param == "local":
        yield LocalFiles(directory)
        return
    remote = through(request.param, directory)
    yield remote
    remote._connection.close()


def tree(directory: Path) -> dict[str, tuple[bytes, int]]:
    found = {}
    for path in sorted(directory.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(directory))] = (content, stat.S_IMODE(path.stat().st_mode))
    return found


# ---------------------------------------------------------------- here and there alike


def test_what_is_there_is_read_and_what_is_not_is_left_out(files: Files) -> None:
    assert files.read("pjsip.conf", "absent.conf", "absent/also.conf", "more") == {"pjsip.conf": PERSONS}
    assert files.read("more/*.conf") == {"more/a.conf": b"[a]\n", "more/b.conf": b"[b]\n"}


def test_only_the_end_of_a_log_is_read(files: Files, directory: Path) -> None:
    (directory / "messages").write_bytes(bytes(range(256)) * 40)
    assert files.tail(str(directory / "messages"), 300) == (bytes(range(256)) * 2)[-300:]
    assert files.tail("messages", 1_000_000) == bytes(range(256)) * 40
    for name in ("absent", "more"):
        with pytest.raises(PbxRefused):
            files.tail(name, 10)
    assert files.read("extensions.conf") == {"extensions.conf": b"[office]\n"}  # the session goes on


def test_sections_of_included_files_count_and_ours_do_not(files: Files) -> None:
    own = OwnFiles(files)
    own.write("pjsip.conf", BLOCKS)
    assert own.persons_sections("pjsip.conf") == {"800", "a", "b"}
    assert set(own.snapshot()) == {"pjsip.conf", "extensions.conf", "bw-runbook/pjsip.conf"}


def test_what_was_written_is_private_and_taken_out_again_leaves_every_byte(files: Files, directory: Path) -> None:
    own, before = OwnFiles(files), tree(directory)
    with files.locked():
        own.write("pjsip.conf", BLOCKS)
    there = tree(directory)
    assert own.blocks("pjsip.conf") == BLOCKS
    assert there["pjsip.conf"] == (b"#tryinclude bw-runbook/pjsip.conf\n" + PERSONS, 0o640)
    assert (there["bw-runbook"][1], there["bw-runbook/pjsip.conf"][1]) == (0o700, 0o600)
    with files.locked():
        own.write("pjsip.conf", {})
    assert tree(directory) == before


def test_writing_the_same_again_touches_nothing(files: Files, directory: Path) -> None:
    own = OwnFiles(files)
    own.write("pjsip.conf", BLOCKS)
    inodes = [path.stat().st_ino for path in sorted(directory.rglob("*"))]
    own.write("pjsip.conf", BLOCKS)
    assert [path.stat().st_ino for path in sorted(directory.rglob("*"))] == inodes


def test_a_link_stays_a_link_and_its_file_is_written(files: Files, directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where.conf"
    (directory / "pjsip.conf").rename(elsewhere)
    (directory / "pjsip.conf").symlink_to(elsewhere)
    OwnFiles(files).write("pjsip.conf", BLOCKS)
    assert (directory / "pjsip.conf").is_symlink()
    assert elsewhere.read_bytes().startswith(b"#tryinclude")


def test_when_one_file_cannot_be_written_the_others_are_as_before(files: Files, directory: Path) -> None:
    (directory / "folder.conf").mkdir()
    before = tree(directory)
    changes = [Change("bw-runbook/x.conf", b"x"), Change("pjsip.conf", b"y"), Change("folder.conf", b"z")]
    with pytest.raises(PbxRefused, match=r"folder\.conf") as caught:
        files.change(*changes)
    assert tree(directory) == before
    assert "right directory" in caught.value.do_next
    files.change(Change("pjsip.conf", b"z"))
    assert (directory / "pjsip.conf").read_bytes() == b"z"


def test_a_directory_that_is_not_there_is_refused(files: Files, directory: Path) -> None:
    shutil.rmtree(directory)
    with pytest.raises(PbxRefused, match="right directory"), files.locked():
        pass


# ---------------------------------------------------------------- only there


@pytest.fixture(params=SHELLS)
def remote(directory: Path, request: pytest.FixtureRequest) -> Iterator[SshFiles]:
    files = through(request.param, directory)
    yield files
    files._connection.close()


def test_one_writer_at_a_time_whether_here_or_there(
    remote: SshFiles, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asterisk_files_ssh, "LOCK_TRIES", 1)
    with LocalFiles(directory).locked(), pytest.raises(PbxRefused, match="another program has it locked"):
        remote.locked().__enter__()
    with remote.locked():
        other = through(SHELLS[0], directory)
        with pytest.raises(PbxRefused, match="another program has it locked"):
            other.locked().__enter__()
        other._connection.close()
    with LocalFiles(directory).locked():
        pass


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_login_shell_prints_first_is_passed_over(directory: Path, shell: str) -> None:
    remote = through(shell, directory, before="echo Welcome; printf 'no newline';")
    assert remote.read("extensions.conf") == {"extensions.conf": b"[office]\n"}
    remote._connection.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_request_that_does_not_arrive_whole_changes_nothing(directory: Path, shell: str) -> None:
    before = tree(directory)
    stage = f"stage\n{directory}/pjsip.conf\n{directory}/pjsip.conf\n\nbmV3\n"
    for request in (stage, stage + stage[:-3], stage + "settl"):
        argv = [shell, "-c", SCRIPT, "bw-runbook-files", str(directory)]
        subprocess.run(argv, input=request, text=True, capture_output=True, timeout=30, check=False)
        assert tree(directory) == before


def test_a_session_that_was_cut_off_is_made_anew_but_not_under_a_lock(remote: SshFiles, directory: Path) -> None:
    def cut_off() -> None:
        remote._connection.session().close()

    remote.read("pjsip.conf")
    cut_off()
    assert remote.read("pjsip.conf") == {"pjsip.conf": PERSONS}
    before = tree(directory)
    with remote.locked():
        cut_off()
        with pytest.raises(PbxUnreachable):
            remote.change(Change("pjsip.conf", b"written without the lock"))
    assert tree(directory) == before
    assert remote._connection.connections == 2


def test_a_killed_process_leaves_neither_ssh_nor_a_folder_behind(directory: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom remote_machine import through\n"
        f"files = through({SHELLS[0]!r}, Path({str(directory)!r}))\nfiles.read('x')\n"
        "session = files._connection.session()\nprint(session._process.pid, session._folder, flush=True)\n"
        "time.sleep(60)\n"
    )
    tests = Path(__file__).parent
    path = os.pathsep.join(map(str, (tests / "peers", tests, tests.parent)))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdout is not None
    pid, folder = process.stdout.readline().split()
    assert Path(folder).is_dir()
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while Path(folder).exists() or _runs(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---------------------------------------------------------------- ssh's command line


def argv_of(login: SshLogin, **files: Path) -> list[str]:
    known = {"key": None, "known_hosts": None, **files}
    return ssh_argv(login, "true", connect_timeout_s=1, **known)  # type: ignore[arg-type]


def test_ssh_asks_nothing_learns_no_host_key_and_takes_the_host_for_no_option() -> None:
    argv = argv_of(SshLogin.parse("asterisk@pbx.example.com:2222"), key=Path("/k"), known_hosts=Path("/h"))
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", 'IdentityFile="/k"', 'UserKnownHostsFile="/h"'):
        assert f"-o{option}" in argv
    assert argv[-7:] == ["-l", "asterisk", "-p", "2222", "--", "pbx.example.com", "true"]
    assert "-p" not in argv_of(SshLogin.parse("asterisk@pbx.example.com"))


@pytest.mark.parametrize("path", ['/a"b', "/a%h", "/${HOME}", "/a\nb"])
def test_a_path_that_ssh_would_read_differently_is_refused(path: str) -> None:
    with pytest.raises(SettingsError):
        argv_of(SshLogin.parse("a@b"), key=Path(path))


@pytest.mark.parametrize(
    ("text", "place"), [("a@b", "b:22"), ("a.b-c@10.0.0.1:2222", "10.0.0.1:2222"), ("root@[::1]:23", "[::1]:23")]
)
def test_a_login_is_read(text: str, place: str) -> None:
    assert SshLogin.parse(text).place == place


@pytest.mark.parametrize(
    "text",
    ["host", "@host", "a@", "-oProxyCommand=x@host", "a@-oProxyCommand=x", "a b@host", "a@host x", "a@host:0",
     "a@host:70000", "a@host:x", "a@b@c", "a@host\n", "a@$(x)", "a;x@host", "a@::1"],
)  # fmt: skip
def test_what_could_become_an_option_or_two_words_is_no_login(text: str) -> None:
    with pytest.raises(ValueError, match="user@host"):
        SshLogin.parse(text)


def test_a_name_that_cannot_be_resolved_is_told_apart() -> None:
    said = "ssh: Could not resolve hostname pbx.example.com: Name or service not known"
    assert "check the host" in what_to_do(SshLogin.parse("a@pbx.example.com"), None, said)
