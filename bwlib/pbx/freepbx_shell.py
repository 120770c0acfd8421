"""FreePBX by its own functions on its shell: over ssh, or on this machine, as the user asterisk.

The functions are called by `freepbx_shell.php`, which goes to PHP by standard input together with what it is to do: no
secret is ever on a command line, where `ps` would show it. Apply Config is `fwconsole reload`. `ssh` is the system's
own, with its configuration, agent and known hosts.
"""

from __future__ import annotations

import base64
import getpass
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.resources import files
from types import TracebackType
from typing import Any

from bwlib.errors import PbxRefused, PbxUnreachable, SettingsError
from bwlib.models import Registration
from bwlib.pbx.freepbx_driver import NoAnswer, Thing
from bwlib.pbx.freepbx_fields import SECRET_FIELDS, Fields
from bwlib.pbx.freepbx_forms import PageFacts

TIMEOUT_S = 60.0
RELOAD_TIMEOUT_S = 300.0
CONF = "/etc/freepbx.conf"
_TARGET = re.compile(r"(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)@)?([A-Za-z0-9][A-Za-z0-9.-]*)(?::(\d{1,5}))?")
_SSH_FAILED = 255


class ShellDriver:
    """A `bwlib.pbx.freepbx_driver.Driver`.

    ssh: "user@host" or "user@host:port", "" for this machine. key, known_hosts: paths, "" for ssh's own. run_as: the
    words before a command that make it the user asterisk's; None: by who signs in (root, asterisk itself, or sudo).
    """

    def __init__(
        self,
        ssh: str = "",
        *,
        key: str = "",
        known_hosts: str = "",
        run_as: Sequence[str] | None = None,
        conf: str = CONF,
    ) -> None:
        target = _TARGET.fullmatch(ssh) if ssh else None
        if ssh and target is None:
            raise SettingsError(f"use pbx.ssh {ssh!r}", "it is no user@host", 'write "user@host" or "user@host:port"')
        self._ssh = ssh
        user = (target[1] or "") if target else getpass.getuser()
        self._before = tuple(run_as) if run_as is not None else _as_asterisk(user)
        self._conf = conf
        self._way: list[str] = []
        if target:
            options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *(["-p", target[3]] if target[3] else [])]
            options += ["-i", key, "-o", "IdentitiesOnly=yes"] if key else []
            options += ["-o", f"UserKnownHostsFile={known_hosts}"] if known_hosts else []
            self._way = ["ssh", *options, (f"{user}@" if user else "") + target[2]]

    def __enter__(self) -> ShellDriver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def place(self) -> Mapping[str, str]:
        """The host whose shell is used."""
        return {"freepbx": f"ssh://{self._ssh}" if self._ssh else "this machine"}

    # ---------------------------------------------------------------- the driver

    def rows(self, thing: Thing) -> list[Fields]:
        """As FreePBX's own functions list them."""
        return [{name: str(value) for name, value in row.items()} for row in self._call("rows", thing)]

    def fields(self, thing: Thing, key: str | None) -> Fields:
        """By the names of the page's form."""
        return {name: str(value) for name, value in self._call("fields", thing, key).items()}

    def save(self, thing: Thing, key: str | None, changes: Mapping[str, str]) -> None:
        """What the page's Submit does, without the page."""
        secrets = [value for name, value in changes.items() if name in SECRET_FIELDS]
        self._call("save", thing, key, dict(changes), writes=True, secrets=secrets)

    def delete(self, thing: Thing, key: str) -> None:
        """What the page's Delete does."""
        self._call("delete", thing, key, writes=True)

    def reload(self) -> None:
        """`fwconsole reload`."""
        attempted = "apply FreePBX's configuration (fwconsole reload)"
        done = self._run(attempted, ["fwconsole", "reload"], timeout_s=RELOAD_TIMEOUT_S)
        if done.returncode != 0:
            raise PbxRefused(attempted, _end_of(done.stderr or done.stdout), "run it there by hand and read why")

    def facts(self) -> PageFacts:
        """The versions, and whether a change waits."""
        said = self._call("facts")
        return PageFacts(bool(said["reload_due"]), str(said["version"]), str(said["asterisk"]))

    def sip_settings(self) -> Fields:
        """As the SIP settings have them."""
        return {name: str(value) for name, value in self._call("sip_settings").items()}

    def gui(self) -> None:
        """The shell knows no administrator of the GUI."""
        return

    def registrations(self) -> list[Registration] | None:
        """From the running Asterisk. Raises PbxRefused when it cannot be asked."""
        attempted = "ask Asterisk for its outbound registrations"
        done = self._run(attempted, ["asterisk", "-rx", "pjsip show registrations"])
        if done.returncode != 0:
            raise PbxRefused(attempted, _end_of(done.stderr or done.stdout), "look whether Asterisk runs there")
        found = [re.match(r"\s+([^<\s/][^\s/]*)/(sips?:\S+)", line) for line in done.stdout.splitlines()]
        return [Registration.read(one[1], one[2], " ".join(one.string.split())) for one in found if one]

    def shell(self, attempted: str, script: str) -> str | None:
        """By standard input to sh. Raises PbxRefused when its last command fails."""
        done = self._run(attempted, ["sh"], script)
        if done.returncode != 0:
            raise PbxRefused(attempted, _end_of(done.stderr or done.stdout), "look whether Asterisk runs there")
        return done.stdout

    # ---------------------------------------------------------------- how

    def _call(self, what: str, *arguments: object, writes: bool = False, secrets: Sequence[str] = ()) -> Any:
        """What `freepbx_shell.php` answers. Raises PbxRefused with FreePBX's own words, secrets taken out."""
        attempted = f"have FreePBX do {what} ({', '.join(str(one) for one in arguments if isinstance(one, str))})"
        call = {"conf": self._conf, "do": what, "with": list(arguments)}
        told = base64.b64encode(json.dumps(call).encode()).decode()
        script = f"<?php $bw_call = json_decode(base64_decode('{told}'), true); ?>" + _php()
        done = self._run(attempted, ["php"], script, writes=writes)
        found = re.search(r"^<<<bw-runbook (.*) bw-runbook>>>$", done.stdout, re.MULTILINE)
        try:
            answer = json.loads(found[1]) if found else {}
        except ValueError:
            answer = {}
        if "said" in answer:
            return answer["said"]
        said = str(answer.get("error") or _end_of(done.stderr) or "no answer of ours in what PHP printed")
        for secret in (*secrets, told):
            said = said.replace(secret, "(not shown)") if secret else said
        raise PbxRefused(attempted, said[:300], "look whether FreePBX (16 or 17) is there and the user may use it")

    def _run(
        self,
        attempted: str,
        command: Sequence[str],
        script: str = "",
        *,
        writes: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        words = [*self._before, *command]
        # what ssh is given is read by a shell over there; the words are ours and hold no secret
        line = [*self._way, " ".join(_quoted(word) for word in words)] if self._way else words
        try:
            done = subprocess.run(  # noqa: S603 - the words are ours
                line, input=script, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
            )
        except FileNotFoundError as error:
            raise PbxUnreachable(
                attempted, f"there is no {error.filename} here", "install it, or name the PBX's host as pbx.ssh"
            ) from None
        except subprocess.TimeoutExpired:
            kind = NoAnswer if writes else PbxUnreachable
            raise kind(
                attempted, f"no answer in {timeout_s:g} s", "look on the PBX whether it was carried out, then run again"
            ) from None  # the exception holds what was sent
        if self._way and done.returncode == _SSH_FAILED:
            raise PbxUnreachable(
                attempted,
                f"ssh to {self._ssh} failed: {_end_of(done.stderr)}",
                f"make `ssh {self._ssh}` work without a question first (key, known hosts)",
            )
        return done


def _as_asterisk(user: str) -> tuple[str, ...]:
    if user == "asterisk":
        return ()
    return ("runuser", "-u", "asterisk", "--") if user == "root" else ("sudo", "-n", "-u", "asterisk", "--")


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w./=-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _php() -> str:
    return (files("bwlib.pbx") / "freepbx_shell.php").read_text(encoding="utf-8")


def _end_of(text: str) -> str:
    return " ".join(text.split())[-300:]
