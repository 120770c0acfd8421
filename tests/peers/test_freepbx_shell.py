"""FreePBX by its shell: the real PHP runs what would run there, against functions of FreePBX's names in a fake."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import peers
import pytest
from freepbx_site import A_TRUNK, ALL, AN_EXTENSION, BACKWARDS, PHONE_SECRET, REALM, SIP_SECRET

from bwlib.errors import NotAsExpected, PbxRefused, PbxUnreachable, SettingsError
from bwlib.pbx.freepbx import FreepbxPbx
from bwlib.pbx.freepbx_shell import ShellDriver
from bwlib.steps.compare import differences
from bwlib.steps.pbx import EXTENSION, TRUNK, check_no_registration, ensure_on_pbx, remove_from_pbx
from bwlib.steps.pbx_restore import restore_on_pbx

pytestmark = pytest.mark.peer
FAKE = Path(__file__).resolve().parents[1] / "freepbx" / "fake_freepbx.php"
# Both note their arguments, which is all that `ps` could show.
FWCONSOLE = """#!/bin/sh
sed -i 's/"due":true/"due":false/' "$FAKE_FREEPBX_STATE"
"""
ASTERISK = """#!/bin/sh
echo ' <Registration/ServerURI..............................>  <Auth....................>  <Status.......>'
echo "$FAKE_REGISTRATION"
"""


class Shell:
    """A folder of programs in front of PATH, and the fake's state."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        php = peers.program("php")
        self.folder, self.state_file, self.seen = folder, folder / "state.json", folder / "arguments"
        for name, text in (("fwconsole", FWCONSOLE), ("asterisk", ASTERISK)):
            self.program(name, text)
        self.program("php", f'#!/bin/sh\ncat /proc/$$/cmdline /proc/$PPID/cmdline >> "{self.seen}"\nexec {php} "$@"\n')
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("FAKE_FREEPBX_STATE", str(self.state_file))
        monkeypatch.setenv("FAKE_REGISTRATION", "")

    def program(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def pbx(self, **other: Any) -> FreepbxPbx:
        driver = ShellDriver(run_as=(), conf=str(FAKE))
        return FreepbxPbx(
            driver, **{"site": "my-site", "trunk": "bandwidth", "route": "bandwidth", "extension": "101", **other}
        )

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.state_file.read_text())
        return found

    def change(self, **values: Any) -> None:
        self.state_file.write_text(json.dumps({**self.state(), **values}))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(tmp_path, monkeypatch)


def test_the_same_adapter_makes_finds_changes_and_removes_by_the_shell(shell: Shell) -> None:
    pbx = shell.pbx()
    assert [ensure_on_pbx(pbx, kind, wanted).action for kind, wanted in ALL] == ["created"] * 3
    assert [ensure_on_pbx(pbx, kind, wanted).action for kind, wanted in ALL] == ["unchanged"] * 3
    for (kind, wanted), found in zip(
        ALL, (pbx.get_trunk("bandwidth"), pbx.get_route("bandwidth"), pbx.get_extension("101")), strict=True
    ):
        assert differences(found, wanted, [one.name for one in fields(wanted)]) == (), kind.word
    changed = replace(A_TRUNK, qualify_s=30, codecs=("alaw", "ulaw"))
    assert ensure_on_pbx(pbx, TRUNK, changed).action == "updated"
    assert ensure_on_pbx(pbx, EXTENSION, replace(AN_EXTENSION, display_name="Front desk")).action == "updated"
    assert [remove_from_pbx(pbx, kind, kind.name(wanted)).action for kind, wanted in BACKWARDS] == ["removed"] * 3
    left = shell.state()
    assert [left[name] for name in ("trunk", "route", "user", "did")] == [[]] * 4


def test_what_is_written_has_the_guides_defaults(shell: Shell) -> None:
    pbx = shell.pbx()
    for kind, wanted in ALL:
        ensure_on_pbx(pbx, kind, wanted)
    kept = shell.state()["pjsip"]["1"]
    named = [kept[name] for name in ("registration", "authentication", "sip_server_port", "qualify_frequency")]
    assert named == ["none", "outbound", "", "0"]
    assert (kept["codecs"], kept["dtmfmode"], kept["transport"]) == ("ulaw,alaw", "rfc4733", "0.0.0.0-udp")
    assert shell.state()["device"]["101"]["secret"] == PHONE_SECRET
    assert shell.state()["due"] is False


def test_a_trunk_typed_in_by_hand_gets_every_field_back_by_the_shell_too(shell: Shell) -> None:
    ensure_on_pbx(shell.pbx(), *ALL[0])
    made = shell.state()
    slips = {"registration": "receive", "qualify_frequency": "60", "codecs": "ulaw,h264", "keepcid": "all"}
    theirs = {**made["pjsip"]["1"], **slips, "provider": ""}
    row = {**made["trunk"]["1"], "provider": "", "keepcid": "all"}
    shell.change(pjsip={"1": theirs}, trunk={"1": row}, did=[])
    before = shell.pbx().snapshot()
    outcome = ensure_on_pbx(shell.pbx(), *ALL[0])
    assert outcome.action == "updated"
    told: list[dict[str, Any]] = [vars(row) for row in outcome.differences]
    copies = [(before, shell.pbx().snapshot())]
    back = restore_on_pbx(shell.pbx(), TRUNK, "bandwidth", told, copies, write=True)
    assert back.action == "updated"
    kept = shell.state()["pjsip"]["1"]
    assert {name: kept[name] for name in slips} == slips
    assert shell.state()["did"] == []
    assert SIP_SECRET not in f"{copies}{back.differences}{back.note}"


def test_no_secret_is_on_a_command_line(shell: Shell) -> None:
    pbx = shell.pbx()
    for kind, wanted in ALL:
        ensure_on_pbx(pbx, kind, wanted)
    seen = shell.seen.read_text()
    assert "php" in seen
    assert SIP_SECRET not in seen
    assert PHONE_SECRET not in seen


def test_no_secret_is_in_what_freepbx_throws_back(shell: Shell) -> None:
    pbx = shell.pbx()
    ensure_on_pbx(pbx, *ALL[0])
    shell.change(broken=True)
    driver = ShellDriver(run_as=(), conf=str(FAKE))
    with pytest.raises(PbxRefused, match="could not store") as caught:
        driver.save("trunk", None, {"trunk_name": "b", "secret": SIP_SECRET})
    assert SIP_SECRET not in f"{caught.value} {caught.value!r} {caught.value.__context__!r}"


def test_a_change_that_waits_is_not_swept_in(shell: Shell) -> None:
    ensure_on_pbx(shell.pbx(), *ALL[0])
    shell.change(due=True)
    with pytest.raises(PbxRefused, match="waits for Apply Config"):
        ensure_on_pbx(shell.pbx(), *ALL[2])


def test_registrations_are_the_running_asterisks(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_on_pbx(shell.pbx(), *ALL[0])
    check_no_registration(shell.pbx(), A_TRUNK)
    line = f" bandwidth/sip:{A_TRUNK.server}   bandwidth   Registered (exp. 20s)"
    monkeypatch.setenv("FAKE_REGISTRATION", line)
    [found] = shell.pbx().registrations()
    assert (found.name, found.server, found.says) == ("bandwidth", A_TRUNK.server, " ".join(line.split()))
    with pytest.raises(NotAsExpected, match="outbound registration"):
        check_no_registration(shell.pbx(), A_TRUNK)
    monkeypatch.setenv("FAKE_REGISTRATION", line.replace(" bandwidth/", " bandwidth-old/").replace(REALM, "x.example"))
    check_no_registration(shell.pbx(), A_TRUNK)


def test_a_reload_that_fails_is_told_with_its_own_words(shell: Shell) -> None:
    shell.program("fwconsole", "#!/bin/sh\necho 'Unable to continue' >&2; exit 1\n")
    with pytest.raises(PbxRefused, match="Unable to continue"):
        ensure_on_pbx(shell.pbx(), *ALL[0])


def test_a_php_that_says_nothing_of_ours_is_refused(shell: Shell) -> None:
    shell.program("php", "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n")
    with pytest.raises(PbxRefused, match="a password is required"):
        shell.pbx().get_trunk("bandwidth")


def test_a_shell_without_php_is_unreachable(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(shell.folder / "empty"))
    with pytest.raises(PbxUnreachable, match="there is no php here"):
        shell.pbx().get_trunk("bandwidth")


def test_ssh_is_given_the_host_the_key_and_a_fixed_line(shell: Shell, tmp_path: Path) -> None:
    log = tmp_path / "ssh-arguments"
    shell.program(
        "ssh", f'#!/bin/sh\nprintf "%s\\n" "$@" > {log}\neval "exec ${{@: -1}}"\n'.replace("/bin/sh", "/bin/bash")
    )
    driver = ShellDriver(
        "admin@pbx.example.com:2222", key="/keys/one", known_hosts="/keys/hosts", run_as=("env",), conf=str(FAKE)
    )
    pbx = FreepbxPbx(driver, site="my-site", trunk="bandwidth", route="bandwidth", extension="101")
    assert ensure_on_pbx(pbx, *ALL[0]).action == "created"
    words = log.read_text().splitlines()
    assert words[-2:] == ["admin@pbx.example.com", "env php"]
    assert [word for word in words if word in ("-p", "2222", "-i", "/keys/one")] == ["-p", "2222", "-i", "/keys/one"]
    assert "BatchMode=yes" in words
    assert "UserKnownHostsFile=/keys/hosts" in words


def test_an_ssh_that_fails_is_unreachable(shell: Shell) -> None:
    shell.program("ssh", "#!/bin/sh\necho 'Permission denied (publickey).' >&2; exit 255\n")
    with pytest.raises(PbxUnreachable, match=r"Permission denied(?s:.)*without a question"):
        ShellDriver("pbx.example.com").facts()


@pytest.mark.parametrize("target", ["-oProxyCommand=true", "a b", "user@", "@host", "host:port", "host;true"])
def test_a_target_that_is_no_host_is_refused(target: str) -> None:
    with pytest.raises(SettingsError, match="user@host"):
        ShellDriver(target)
