"""The table of faults and their signatures, of a real Asterisk and the sandbox's edge with its defaults.

One row: what is wrong, how it is made here, and which cause a look must name first.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnosed import Put, broken, faulty, rung, stage_of

from bwlib.calling import registrar
from bwlib.phone import Phone
from bwlib.run import open_to_look


@dataclass(frozen=True)
class Row:
    """fault: as in the table of faults. made: how, for people. cause: whose name must come first. blind: the one
    that may where nobody sees the realm's messages, when that is another, a possible one."""

    fault: str
    made: str
    put: Put
    cause: str
    blind: str = ""


# ------------------------------------------------------------------ what no break of the trainer's covers


@contextmanager
def never_registered(site: Path) -> Iterator[dict[str, Any]]:
    """A programmatic call while no phone is registered, explained afterwards."""
    with open_to_look(site) as run:
        yield {"calls": False, "after_call": rung(run)}


_PHONE = """
import sys, time
from pydantic import SecretStr
from bwlib.phone import Phone
host, port, number, secret = sys.stdin.read().split()
phone = Phone((host, int(port)), number, SecretStr(secret)).__enter__()
phone.register(expires_s=120)
print("registered", flush=True)
time.sleep(60)
"""


@contextmanager
def phone_gone(site: Path) -> Iterator[dict[str, Any]]:
    """A phone whose power was cut: its registration is stored, and a call rings nobody."""
    with open_to_look(site) as run:
        address, table = registrar(run), run.settings.pbx
        secret = run.secret(table.extension_secret)
        phone = subprocess.Popen([sys.executable, "-c", _PHONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert phone.stdin is not None
            assert phone.stdout is not None
            phone.stdin.write(f"{address[0]} {address[1]} {table.extension} {secret.get_secret_value()}".encode())
            phone.stdin.close()
            assert phone.stdout.readline() == b"registered\n"
        finally:
            phone.kill()
            phone.wait()
        try:
            yield {"calls": False, "after_call": rung(run)}
        finally:
            with Phone(address, table.extension, secret) as another:  # its registration takes the stored one's place
                another.register()


@contextmanager
def dropped_at_pbx(site: Path) -> Iterator[dict[str, Any]]:
    """A firewall before the PBX: its packets to the realm, and the realm's to it, are dropped; ours are not."""
    info = stage_of(site).pbx.info()
    with faulty("sip-silence", match={"source": f"{info.sip_host}:{info.sip_port}"})(site) as given:
        yield given


@contextmanager
def nothing(site: Path) -> Iterator[dict[str, Any]]:
    yield {}


# ------------------------------------------------------------------ the table

OK = Row("OK", "nothing is broken", nothing, "-")


def _row(fault: str, name: str, cause: str = "") -> Row:
    return Row(fault, f"break `{name}`", broken(name), cause or name)


SILENT = "silent drop, dead port, firewall"

ROWS = (
    _row("wrong password", "wrong-password"),
    _row("wrong user name", "wrong-username"),
    _row("`realm=` pinned wrong on the auth", "pinned-realm"),
    _row("outbound_auth missing", "no-outbound-auth"),
    _row("wrong realm host in the Request-URI", "wrong-realm-host"),
    _row("caller id not E.164, or foreign", "foreign-caller-id"),
    _row("codec mismatch", "codec-mismatch"),
    _row(SILENT, "dead-port", "wrong-proxy"),
    _row(SILENT, "edge-silent", "realm-silent"),
    Row(SILENT, "fault `sip-silence` towards the PBX's address only", dropped_at_pbx, "firewall-at-pbx"),
    _row("the same, once qualify has failed", "qualify-dead"),
    _row("realm does not resolve, qualify off", "realm-unresolved"),
    _row("realm does not resolve, qualify on", "realm-unresolved-qualified", "realm-unresolved"),
    _row("registration on, refused", "registration-on"),
    _row("registration on, no answer", "registration-silent", "registration-on"),
    _row("inward: identify missing", "no-identify"),
    _row("inward: unknown number", "unknown-inbound"),
    _row("outward: no route", "no-route"),
    Row("inward: extension never registered", "a call while no phone is registered, `--after-call`",
        never_registered, "extension-unregistered", blind="call-rejected"),
    Row("inward: phone gone, its binding still stored", "a registered phone is killed, a call, `--after-call`",
        phone_gone, "stale-contact"),
    _row("phone with a wrong password", "phone-password"),
    _row("RTP into the PBX dropped", "rtp-to-pbx-lost"),
    _row("RTP from the PBX dropped", "rtp-from-pbx-lost"),
    _row("dtmf_mode=info on the trunk", "dtmf-info", "dtmf-mode"),
)  # fmt: skip
FAULTS = 22  # of the table of faults; one of them is made in three ways
