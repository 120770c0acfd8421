"""The scripts behind make: what they do on machines that are not this one. Fake apt-get and sudo stand in for those."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SH = shutil.which("sh") or "/bin/sh"
DEBIAN = "ID=debian\n"


class Machine:
    """A machine of fake programs: `calls` is what was asked of apt-get, sudo and systemctl."""

    def __init__(self, folder: Path, os_release: str) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "calls"
        self.log.touch()
        for tool in ("sed", "env", "printf"):
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
        (folder / "os-release").write_text(os_release)
        script = (PROJECT / "tools" / "system_packages.sh").read_text()
        # The two places of the real machine that the script looks at become places of this one.
        script = script.replace("/etc/os-release", f'"{folder}/os-release"').replace(":/usr/sbin:/sbin", "")
        self.script = folder / "system_packages.sh"
        self.script.write_text(script.replace("/run/systemd/system", f'"{folder}/systemd"'))
        self.folder = folder

    def add(self, name: str, body: str = "") -> None:
        path = self.bin / name
        path.write_text(f'#!{SH}\necho "{name} $*" >>"{self.log}"\n{body}\n')
        path.chmod(0o755)

    def user(self, uid: int) -> None:
        self.add("id", f"echo {uid}")

    def run(self, purpose: str = "test", **environment: str) -> subprocess.CompletedProcess[str]:
        surroundings = {"PATH": str(self.bin), "HOME": str(self.folder), **environment}
        command = [SH, str(self.script), purpose]
        return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=30, check=False)

    def calls(self, name: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(name + " ")]


@pytest.fixture
def debian(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path, DEBIAN)
    machine.add("apt-get")
    return machine


def test_nothing_missing_means_no_apt_call_and_no_word(debian: Machine) -> None:
    debian.user(0)
    for name in ("chromium", "sipp", "baresip", "sshd", "kamailio", "php"):
        debian.add(name)
    done = debian.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert debian.calls("apt-get") == []


def test_root_on_debian_installs_exactly_what_is_missing(debian: Machine) -> None:
    debian.user(0)
    debian.add("sipp")
    assert debian.run().returncode == 0
    update, install = debian.calls("apt-get")
    assert update.endswith(" update")
    wanted = "chromium baresip-core openssh-server kamailio php-cli"
    assert install.endswith(f" install -y --no-install-recommends {wanted}")


def test_the_demo_asks_for_chromium_only(debian: Machine) -> None:
    debian.user(0)
    debian.run("demo")
    assert debian.calls("apt-get")[-1].endswith("--no-install-recommends chromium")


def test_a_sudo_that_asks_nothing_is_used(debian: Machine) -> None:
    debian.user(1000)
    debian.add("sudo", 'shift; exec "$@"')
    debian.add("true")
    debian.run("demo")
    assert len(debian.calls("apt-get")) == 2


def test_a_sudo_that_asks_gets_no_answer_and_the_person_gets_the_line(debian: Machine) -> None:
    debian.user(1000)
    debian.add("sudo", "exit 1")
    done = debian.run("demo")
    assert done.returncode == 0
    assert done.stdout == ""
    assert "  sudo apt-get install -y --no-install-recommends chromium\n" in done.stderr
    assert debian.calls("apt-get") == []


def test_no_system_packages_means_none_even_for_root(debian: Machine) -> None:
    debian.user(0)
    done = debian.run("demo", BW_NO_SYSTEM_PACKAGES="1")
    assert "  apt-get install" in done.stderr
    assert debian.calls("apt-get") == []


def test_a_failing_apt_does_not_stop_the_demo(debian: Machine) -> None:
    debian.user(0)
    debian.add("apt-get", "exit 100")
    done = debian.run("demo")
    assert done.returncode == 0
    assert "Going on without" in done.stderr


def test_with_systemd_what_would_listen_is_installed_masked(debian: Machine) -> None:
    debian.user(0)
    (debian.folder / "systemd").mkdir()
    debian.add("systemctl")
    debian.run()
    assert debian.calls("systemctl") == [
        "systemctl mask --quiet ssh.service ssh.socket",
        "systemctl mask --quiet kamailio.service",
    ]
    order = [line.split()[0] for line in debian.log.read_text().splitlines()]
    assert order.index("systemctl") < order.index("apt-get")


def test_what_cannot_be_masked_is_not_installed(debian: Machine) -> None:
    debian.user(0)
    (debian.folder / "systemd").mkdir()
    debian.add("systemctl", "exit 1")
    debian.run()
    assert debian.calls("apt-get")[-1].endswith("--no-install-recommends chromium sip-tester baresip-core php-cli")


def test_ubuntu_is_told_about_playwright_instead_of_the_snap(tmp_path: Path) -> None:
    ubuntu = Machine(tmp_path, 'ID=ubuntu\nID_LIKE="debian"\n')
    ubuntu.add("apt-get")
    ubuntu.user(0)
    assert "playwright install chromium" in ubuntu.run("demo").stderr
    assert ubuntu.calls("apt-get") == []


def test_another_system_is_told_the_names_and_nothing_is_tried(tmp_path: Path) -> None:
    fedora = Machine(tmp_path, "ID=fedora\n")
    fedora.add("apt-get")
    fedora.user(0)
    done = fedora.run()
    assert done.returncode == 0
    assert "chromium sip-tester baresip-core openssh-server kamailio php-cli" in done.stderr
    assert fedora.calls("apt-get") == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name that holds what make_venv.sh reads."""
    folder = tmp_path / "a check out"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(PROJECT / "tools" / "make_venv.sh", folder / "tools")
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (folder / name).write_text("")
    return folder


def make_venv(checkout: Path, path: Path) -> subprocess.CompletedProcess[str]:
    command = [SH, str(checkout / "tools" / "make_venv.sh"), "requirements.lock"]
    surroundings = {"PATH": str(path), "HOME": str(path)}
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=60, check=False)


def tools_only(folder: Path) -> Path:
    folder.mkdir()
    for tool in ("dirname", "cksum", "cut", "grep", "rm", "mv"):
        (folder / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    return folder


def test_no_suitable_python_is_one_clear_message(checkout: Path, tmp_path: Path) -> None:
    script = checkout / "tools" / "make_venv.sh"
    script.write_text(script.read_text().replace(" /usr/bin/python3 ", " "))
    done = make_venv(checkout, tools_only(tmp_path / "bin"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert [line.split(":")[0] for line in done.stderr.splitlines()[:3]] == ["Attempted", "Came back", "Do next"]


def test_a_fresh_stamp_ends_at_once_and_a_changed_lock_does_not(checkout: Path, tmp_path: Path) -> None:
    path = tools_only(tmp_path / "bin")
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!{SH}\ncase "$*" in *install*) echo "$*" >>"{tmp_path}/pip";; esac\n')
    python.chmod(0o755)
    assert make_venv(checkout, path).returncode == 0
    first = (tmp_path / "pip").read_text()
    assert "--require-hashes --only-binary :all: -r requirements.lock" in first
    assert "--no-deps --no-build-isolation --editable ." in first
    again = make_venv(checkout, path)
    assert (again.returncode, again.stderr) == (0, "")
    assert (tmp_path / "pip").read_text() == first
    (checkout / "requirements.lock").write_text("changed")
    (checkout / "requirements-dev.lock").write_text("changed too")
    make_venv(checkout, path)
    assert (tmp_path / "pip").read_text() == first + first


def test_the_recipes_of_make_are_silent() -> None:
    """Every recipe line starts with @: make itself writes nothing on stdout, which belongs to the program."""
    recipes = [line for line in (PROJECT / "Makefile").read_text().splitlines() if line.startswith("\t")]
    assert recipes
    assert [line for line in recipes if not line.startswith("\t@")] == []


def test_ci_runs_make_test_and_nothing_else() -> None:
    run = PROJECT / ".ci" / "run"
    commands = [line for line in run.read_text().splitlines() if line and not line.startswith("#")]
    assert commands[0] == "set -eu"
    assert commands[-1].endswith("make test")
    assert len(commands) == 3
    assert os.access(run, os.X_OK)
