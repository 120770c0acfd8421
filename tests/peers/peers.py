"""Programs that are not ours, as judges: what a test does when one is not there.

On a person's machine such a test is skipped and says how to get the program. Where CI is set it fails: a judge who is
absent by accident must not count as agreement.
"""

from __future__ import annotations

import importlib
import os
import shutil
import socket
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from bwlib.errors import PbxUnreachable
from bwlib.pbx.asterisk_bundle import AsteriskBinary, obtain

# names in Debian and Ubuntu
PACKAGES = {
    "sipp": "sip-tester", "baresip": "baresip-core", "kamailio": "kamailio", "curl": "curl", "php": "php-cli",
}  # fmt: skip


def missing(what: str, install_line: str) -> NoReturn:
    """Skip this test (or file, when called at its top), or fail it under CI."""
    reason = f"{what} is not here. To get it: {install_line}"
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def program(name: str) -> str:
    """The path of a program on PATH, or among those for root, which a plain user's PATH leaves out."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return shutil.which(name, path=path) or missing(
        name, f"apt-get install -y --no-install-recommends {PACKAGES[name]}"
    )


def asterisk() -> AsteriskBinary:
    """A real Asterisk, from PATH or unpacked."""
    try:
        return obtain()
    except PbxUnreachable as error:
        missing(f"Asterisk ({error.came_back})", error.do_next)


def module(name: str, distribution: str) -> ModuleType:
    """A Python package that only tests use."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        missing(f"the Python package {name}", f".venv/bin/python -m pip install {distribution}")


def loopback(last: int) -> str:
    """127.0.0.<last> where the system lets it be used (Linux), else 127.0.0.1."""
    host = f"127.0.0.{last}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return "127.0.0.1"
    return host


def free_port(host: str, kind: int = socket.SOCK_DGRAM) -> int:
    """For programs that must be told a port. Even for UDP, as RTP wants it."""
    while True:
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
        if kind == socket.SOCK_STREAM or port % 2 == 0:
            return port


def listens(host: str, port: int, protocol: str = "udp") -> bool:
    """Whether a program has this address by now, as Linux tells it: asking needs no packet and takes no port."""
    address = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
    return any(line.split()[1] == address for line in Path(f"/proc/net/{protocol}").read_text().splitlines())
