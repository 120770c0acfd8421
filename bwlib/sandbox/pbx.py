"""The stage for the sandbox's PBX: a configuration tree of its own, in which a real Asterisk runs unprivileged.

It holds what every PBX has before anybody connects it to Bandwidth: a transport, the manager interface, and one
extension (800, an echo) that belongs to somebody else and must never be touched. Trunk, route and extension come later,
through `bwlib.pbx.asterisk`, as they would on any other PBX.

`python -m bwlib.sandbox.pbx DIR` starts one for trying and says where it listens.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bwlib.errors import PbxError, PbxUnreachable
from bwlib.pbx.ami import Ami
from bwlib.pbx.asterisk_bundle import AsteriskBinary, obtain
from bwlib.sandbox.pbx_files import MODULES, PERSONS_FILES, config_files

AMI_USER = "bw-runbook"
OPEN_FILES = 20_000  # 1024 runs out at some hundred calls: "Failed to create alert pipe: Too many open files"


@dataclass(frozen=True)
class PbxStage:
    """A written configuration tree and how to start Asterisk on it. Addresses are (host, port)."""

    root: Path
    config_dir: Path
    argv: tuple[str, ...]
    sip: tuple[str, int]
    ami_host: str
    ami_port: int
    ami_user: str
    ami_secret: SecretStr
    log: Path
    version: str
    origin: str

    @property
    def cwd(self) -> Path:
        return self.root

    @property
    def env(self) -> dict[str, str]:
        """The environment to start Asterisk with: nothing of the caller's that could hold a secret."""
        return {"PATH": os.defpath, "HOME": str(self.root), "LC_ALL": "C", "TZ": "UTC"}


def write_base_config(
    root: Path,
    binary: AsteriskBinary,
    *,
    sip_host: str = "127.0.0.1",
    sip_port: int = 0,
    rtp_ports: tuple[int, int] = (20_000, 21_999),
    ami_port: int = 0,
    ami_secret: SecretStr | None = None,
) -> PbxStage:
    """Write the tree under `root` (0700, files 0600). A port that is 0 or taken is replaced by a free one.

    The project's own files are written anew each time. Files of the "person" (pjsip.conf, extensions.conf) are written
    only when absent, so what was configured survives a restart. Registrations of phones do not: Asterisk keeps them
    in its database, and a phone of an earlier run would still be rung.
    """
    config_dir = root / "etc"
    for folder in ("etc", "var", "db", "keys", "spool", "run", "log", "agi"):
        (root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o700)
    for database in (root / "db").glob("astdb*"):
        database.unlink()
    sip = (sip_host, _free_port(sip_host, sip_port, socket.SOCK_DGRAM))
    port = _free_port("127.0.0.1", ami_port, socket.SOCK_STREAM)
    secret = ami_secret or SecretStr(secrets.token_urlsafe(24))
    files = config_files(
        root=root,
        module_dir=binary.module_dir,
        data_dir=binary.data_dir,
        modules=[name for name in MODULES if (binary.module_dir / f"{name}.so").is_file()],
        max_files=_open_files(),
        sip=sip,
        rtp_ports=rtp_ports,
        ami=(port, AMI_USER, secret.get_secret_value()),
    )
    _write_tree(config_dir, files)
    argv = (*binary.argv_prefix, "-f", "-C", str(config_dir / "asterisk.conf"))
    log = root / "log" / "messages"
    origin, version = binary.origin, binary.version
    return PbxStage(root, config_dir, argv, sip, "127.0.0.1", port, AMI_USER, secret, log, version, origin)


def ports_of_last_time(note: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keyword arguments for `write_base_config`: the addresses of an earlier stage, so that what points there stays
    right. note: {"sip": [host, port], "ami_port": port} or None. Ports that are taken by now are chosen anew."""
    if not note:
        return {}
    return {"sip_host": note["sip"][0], "sip_port": note["sip"][1], "ami_port": note["ami_port"]}


def wait_until_ready(stage: PbxStage, timeout_s: float = 60, alive: Callable[[], bool] = lambda: True) -> None:
    """Return once Asterisk has fully booted. Raises PbxUnreachable with the end of its log when it has not by then."""
    deadline = time.monotonic() + timeout_s
    came_back = "nothing"
    while time.monotonic() < deadline and alive():
        try:
            with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret, timeout_s) as ami:
                ami.command("core waitfullybooted")
                return
        except PbxError as error:
            came_back = error.came_back
            time.sleep(0.05)
    tail = stage.log.read_text("utf-8", errors="replace")[-1500:] if stage.log.is_file() else "(no log)"
    raise PbxUnreachable(
        f"wait {timeout_s:g} s for Asterisk to boot",
        f"{came_back}; its log ends:\n{tail}",
        f"read {stage.log}, then start the sandbox again",
    )


def start(stage: PbxStage, timeout_s: float = 60) -> subprocess.Popen[bytes]:
    """Start Asterisk as a child of this process and wait until it is ready; end it with `stop`."""
    with (stage.root / "log" / "console").open("wb") as console:
        process = subprocess.Popen(  # noqa: S603 - our own argv
            stage.argv, cwd=stage.cwd, env=stage.env, stdin=subprocess.DEVNULL, stdout=console, stderr=console
        )
    try:
        wait_until_ready(stage, timeout_s, alive=lambda: process.poll() is None)
    except BaseException:
        stop(process)
        raise
    return process


def stop(process: subprocess.Popen[bytes], timeout_s: float = 5) -> None:
    """End an Asterisk that `start` started; forcibly when it does not end by itself."""
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _write_private(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _write_tree(config_dir: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        _write_private(config_dir / name, text)
    for name, text in PERSONS_FILES.items():
        if not (config_dir / name).exists():
            _write_private(config_dir / name, text.format(secret=secrets.token_urlsafe(24)))


def _free_port(host: str, wanted: int, kind: int) -> int:
    """`wanted` if it is free, else one that is."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Asterisk does: TIME_WAIT is free
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise PbxUnreachable(
        f"find a free port on {host} for the sandbox's PBX", "none could be bound", "use an address of this machine"
    )


def _open_files() -> int:
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(OPEN_FILES, hard_limit)


def main(argv: list[str]) -> int:
    """Start one in the foreground, say where it listens, end it on Ctrl-C."""
    if len(argv) != 1:
        print("usage: python -m bwlib.sandbox.pbx DIR", file=sys.stderr)
        return 6
    root = Path(argv[0]).resolve()
    stage = write_base_config(root, obtain(lambda text: print(text, file=sys.stderr)))
    started = time.monotonic()
    process = start(stage)
    secret_file = stage.config_dir / "manager.conf"
    where = {"sip": stage.sip, "ami": [stage.ami_host, stage.ami_port], "ami_user": stage.ami_user}
    print(json.dumps({**where, "ami_secret_in": str(secret_file), "ready_s": round(time.monotonic() - started, 2)}))
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        process.wait()
    stop(process)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
