"""What this machine lacks for `make demo`, and the line that fixes it.

Standard library only, and readable by old interpreters: it must run where nothing is installed yet, as a plain file
(`python3 bwlib/doctor.py`) as well as by `bw-runbook doctor`. It looks and never changes anything, and asks no network.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV_PYTHON = PROJECT / ".venv" / "bin" / "python"
MAKE_VENV = "make venv"

#: distribution name -> module to import; the keys are pyproject's dependencies (a test compares them)
PACKAGES = {
    "cryptography": "cryptography",
    "defusedxml": "defusedxml",
    "httpx": "httpx",
    "ipykernel": "ipykernel",
    "ipywidgets": "ipywidgets",
    "jinja2": "jinja2",
    "jupyterlab": "jupyterlab",
    "keyring": "keyring",
    "nbclient": "nbclient",
    "nbconvert": "nbconvert",
    "nbformat": "nbformat",
    "numpy": "numpy",
    "pandas": "pandas",
    "papermill": "papermill",
    "phonenumberslite": "phonenumbers",
    "pydantic": "pydantic",
    "python-multipart": "python_multipart",
    "rich": "rich",
    "starlette": "starlette",
    "tomlkit": "tomlkit",
    "typer": "typer",
    "uvicorn": "uvicorn",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ASTERISK_MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
#: room in MB for what the first run puts down: .venv, and the unpacked Asterisk
VENV_MB = 900
ASTERISK_MB = 400


@dataclass(frozen=True)
class Check:
    """One thing looked at. status: "ok", "optional" (works without, less well), "missing" (the demo cannot run).

    found says what is there, fix is the line to type (empty when ok).
    """

    name: str
    status: str
    found: str
    fix: str = ""


def report() -> list[Check]:
    """Look at everything. Takes well under a second, changes nothing, raises nothing on a strange machine."""
    checks = [check_python(), check_packages()]
    ready = checks[1].status == "ok"  # the packages are there, so setting up is behind us
    checks += [
        check_tools(ready),
        check_asterisk(),
        check_loopback(),
        check_home(),
        check_space(ready),
        check_browser(),
        check_speech(),
        check_test_peers(),
    ]
    return checks


def exit_code(checks: list[Check]) -> int:
    """0 when the demo can run, else 1."""
    return int(any(check.status == "missing" for check in checks))


def as_text(checks: list[Check]) -> str:
    lines = []
    for check in checks:
        lines.append(f"{check.status:<9} {check.name:<12} {check.found}")
        if check.fix:
            lines.append(f"{'':<9} {'':<12} Do next: {check.fix}")
    missing = ", ".join(check.name for check in checks if check.status == "missing")
    lines.append(f"Missing for `make demo`: {missing}." if missing else "Ready for `make demo`.")
    return "\n".join(lines)


def as_json(checks: list[Check]) -> str:
    return json.dumps({"ok": exit_code(checks) == 0, "checks": [asdict(check) for check in checks]}, indent=2)


# ---------------------------------------------------------------- what is looked at


def check_python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return Check("Python", "ok", found)
    if VENV_PYTHON.exists() and not is_venv_python():
        return Check("Python", "ok", f"{found}, but the project uses {VENV_PYTHON}")
    return Check("Python", "missing", f"{found}; 3.11, 3.12 or 3.13 is needed", python_fix())


def check_packages() -> Check:
    missing = missing_here()
    if not missing:
        return Check("packages", "ok", f"all {len(PACKAGES)} in {sys.prefix}")
    if VENV_PYTHON.exists() and not is_venv_python():
        missing = missing_in_venv()
        if not missing:
            return Check("packages", "ok", f"all {len(PACKAGES)} in {PROJECT / '.venv'} (not in this interpreter)")
    names = ", ".join(missing) if len(missing) < len(PACKAGES) else f"all {len(PACKAGES)} of them"
    return Check("packages", "missing", f"not installed: {names}", MAKE_VENV)


def check_tools(ready: bool) -> Check:
    """make, git and venv: needed to set up, not needed any more once the packages are there."""
    lacking = [tool for tool in ("make", "git") if not shutil.which(tool)]
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None  # what Debian splits off into python3-venv
    if not has_ensurepip and not shutil.which("uv"):
        lacking.append("python3-venv")
    if not lacking:
        return Check("set-up tools", "ok", "make, git, " + ("uv" if shutil.which("uv") else "venv"))
    only_git = lacking == ["git"]
    status = "optional" if ready or only_git else "missing"
    return Check("set-up tools", status, "not found: " + ", ".join(lacking), install_line(*lacking))


def check_asterisk() -> Check:
    on_path = shutil.which("asterisk") or shutil.which("asterisk", path="/usr/sbin:/usr/local/sbin")
    if on_path:
        return Check("Asterisk", "ok", on_path)
    unpacked = sorted(cache().glob("asterisk-*/manifest.json"))  # written last, when all of it is there
    if unpacked:
        return Check("Asterisk", "ok", f"unpacked earlier in {unpacked[-1].parent}")
    can_unpack = is_system("debian") and not is_system("ubuntu") and shutil.which("apt-get") and shutil.which("dpkg")
    if can_unpack and platform.machine().lower() in ASTERISK_MACHINES:
        return Check("Asterisk", "ok", f"will be unpacked into {cache()} at the first run (65 MB, no root needed)")
    by_hand = "install Asterisk 16 or newer, so that `asterisk` is on PATH"
    fix = install_line("asterisk") if is_system("ubuntu") else by_hand
    return Check("Asterisk", "missing", f"not on PATH, and not to be had on {system_name()}", fix)


def check_loopback() -> Check:
    bad = [host for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3") if not can_bind(host)]
    if not bad:
        return Check("loopback", "ok", "127.0.0.1, 127.0.0.2 and 127.0.0.3 take UDP and TCP sockets")
    if "127.0.0.1" in bad:
        return Check("loopback", "missing", "127.0.0.1 takes no sockets", "ip link set lo up   (as root)")
    fix = "; ".join(f"sudo ifconfig lo0 alias {host} up" for host in bad) if sys.platform == "darwin" else ""
    found = f"no sockets on {', '.join(bad)}: the roles share 127.0.0.1, and pictures of calls are harder to read"
    return Check("loopback", "optional", found, fix or "nothing to do; it works on 127.0.0.1")


def check_home() -> Check:
    bad = [path for path in (home(), cache()) if not can_write(path)]
    if not bad:
        return Check("folders", "ok", f"{home()} and {cache()} can be written")
    fix = 'export BW_RUNBOOK_HOME="$HOME/bw-runbook" BW_RUNBOOK_CACHE="$HOME/bw-cache"   (or other folders of yours)'
    return Check("folders", "missing", "no write access to " + ", ".join(map(str, bad)), fix)


def check_space(ready: bool) -> Check:
    """Free space on the file systems of the cache and, until the packages are installed, of the project."""
    wanted = [(existing(cache()), ASTERISK_MB)] + ([] if ready else [(PROJECT, VENV_MB)])
    short = []
    for path, needed_mb in wanted:
        free_mb = shutil.disk_usage(path).free // 1_000_000
        if free_mb < needed_mb:
            short.append(f"{path} has {free_mb} MB free, {needed_mb} MB are needed")
    if not short:
        return Check("disk space", "ok", f"enough for the first run ({sum(mb for _, mb in wanted)} MB)")
    return Check("disk space", "missing", "; ".join(short), "make room there, or set BW_RUNBOOK_CACHE to a bigger disk")


def check_browser() -> Check:
    chosen = os.environ.get("BW_BROWSER")
    for name in ([chosen] if chosen else []) + list(BROWSERS):
        path = shutil.which(name)
        if path:
            return Check("browser", "ok", path)
    downloads = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or os.path.expanduser("~/.cache/ms-playwright"))
    if any(downloads.glob("chromium-*")):
        return Check("browser", "ok", f"playwright's own in {downloads}")
    by_playwright = ".venv/bin/python -m playwright install chromium"
    fix = install_line("chromium") if is_system("debian") and not is_system("ubuntu") else by_playwright
    return Check("browser", "optional", "no chromium: pictures and PDF are left out", fix)


def check_speech() -> Check:
    if importlib.util.find_spec("espeakng_loader"):
        return Check("speech", "ok", "espeak-ng as a library (GPL-3, optional)")
    binary = shutil.which("espeak-ng")
    if binary:
        return Check("speech", "ok", binary)
    if VENV_PYTHON.exists() and not is_venv_python() and not missing_in_venv({"espeakng-loader": "espeakng_loader"}):
        return Check("speech", "ok", "espeak-ng as a library in .venv (GPL-3, optional)")
    return Check("speech", "optional", "no espeak-ng: the sandbox speaks in tones", MAKE_VENV)


def check_test_peers() -> Check:
    """Independent programs that `make test` calls and is called by; nobody else needs them."""
    packages = {
        "sipp": "sip-tester",
        "baresip": "baresip-core",
        "sshd": "openssh-server",
        "kamailio": "kamailio",
        "php": "php-cli",
    }
    search = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    lacking = [name for name in packages if not shutil.which(name, path=search)]
    if not lacking:
        return Check("test peers", "ok", ", ".join(packages))
    fix = install_line(*(packages[name] for name in lacking))
    return Check("test peers", "optional", f"not found: {', '.join(lacking)}; some tests cannot run", fix)


# ---------------------------------------------------------------- how it is looked at


def home() -> Path:
    return Path(os.environ.get("BW_RUNBOOK_HOME") or os.path.expanduser("~/.local/state/bw-runbook"))


def cache() -> Path:
    return Path(os.environ.get("BW_RUNBOOK_CACHE") or os.path.expanduser("~/.cache/bw-runbook"))


def is_venv_python() -> bool:
    return Path(sys.prefix).resolve() == (PROJECT / ".venv").resolve()


def missing_here() -> list[str]:
    return [name for name, module in PACKAGES.items() if importlib.util.find_spec(module) is None]


def missing_in_venv(packages: dict[str, str] = PACKAGES) -> list[str]:
    """The packages that the project's own .venv lacks; all of them when it cannot be asked."""
    question = (
        "import importlib.util, json, sys;"
        "print(json.dumps([n for n, m in json.loads(sys.argv[1]).items() if importlib.util.find_spec(m) is None]))"
    )
    command = [str(VENV_PYTHON), "-c", question, json.dumps(packages)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        return list(json.loads(answer))
    except (OSError, subprocess.SubprocessError, ValueError):
        return list(packages)


def can_bind(host: str) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, 0))
            except OSError:
                return False
    return True


def existing(path: Path) -> Path:
    """The path itself or the nearest folder above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def can_write(path: Path) -> bool:
    nearest = existing(path)
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value.strip("\"'") for key, value in pairs}


def is_system(name: str) -> bool:
    """True on that distribution or one that says it is like it; Ubuntu says it is like Debian."""
    fields = os_release()
    return name in [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]


def system_name() -> str:
    return os_release().get("PRETTY_NAME") or f"{platform.system()} {platform.release()}"


def install_line(*packages: str) -> str:
    names = " ".join(packages)
    if not is_system("debian"):
        return f"install with your system's package manager (Debian's names): {names}"
    sudo = "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y --no-install-recommends {names}"


def python_fix() -> str:
    if shutil.which("uv"):
        return "uv python install 3.12, then make venv"
    return install_line("python3", "python3-venv") + ", or set PYTHON=/path/to/python3.12 for make"


def main(arguments: list[str] | None = None) -> int:
    about = "What is missing on this machine, and the line that fixes it."
    parser = argparse.ArgumentParser(prog="bw-runbook doctor", description=about)
    parser.add_argument("--json", action="store_true", help="for programs")
    wanted = parser.parse_args(arguments)
    checks = report()
    print(as_json(checks) if wanted.json else as_text(checks))
    return exit_code(checks)


if __name__ == "__main__":
    # As a plain file, Python puts this folder on its path: our own modules must not pass for installed ones.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != PROJECT / "bwlib"]
    sys.exit(main())
