"""What a break works on: one site that has walked the guide on a sandbox, its Asterisk's files, its account.

`change_file` edits a file of the sandbox's PBX as a person would with an editor, and keeps what it changed, so that
`mend_file` can put exactly those lines right again and leave all others as somebody may have written them meanwhile.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bwlib import secret_references
from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.errors import NotAsExpected
from bwlib.pbx.ami import Ami
from bwlib.pbx.asterisk import AsteriskPbx
from bwlib.run import sandbox_pbx
from bwlib.sandbox.control import Sandbox
from bwlib.settings import Settings
from bwlib.training.packed import pack, unpack

KEPT = (
    "training"  # the sandbox's note with what was changed; it may hold a password, so it lives in the sandbox's state
)
_POLL_S = 0.1


@dataclass(frozen=True)
class Stage:
    """settings: the site's. sandbox: as the site's account sees it. random: where made-up values come from."""

    settings: Settings
    sandbox: Sandbox
    pbx: AsteriskPbx
    client: Client
    config_dir: Path
    random: random.Random

    def secret(self, reference: str) -> SecretStr:
        return secret_references.resolve(reference, self.settings.folder)

    def ami(self) -> Ami:
        return ami_of(self.sandbox)

    # ------------------------------------------------------------ what was changed

    def keep(self, name: str, what: Any) -> None:
        """Remember, with the sandbox, what the break `name` changed."""
        self.sandbox.put_note(KEPT, pack({**self.all_kept(), name: what}))

    def all_kept(self) -> dict[str, Any]:
        """What was changed and not mended, by break."""
        packed = self.sandbox.get_note(KEPT)
        return dict(unpack(packed)) if packed else {}

    def kept(self, name: str) -> Any:
        """Raises NotAsExpected when the break `name` was not put in."""
        notes = self.all_kept()
        if name not in notes:
            raise NotAsExpected(f"mend {name}", "it was not put in on this sandbox", "put it in first")
        return notes[name]

    def forget(self, name: str) -> None:
        left = {key: what for key, what in self.all_kept().items() if key != name}
        self.sandbox.put_note(KEPT, pack(left))

    # ------------------------------------------------------------ the PBX's files

    def read(self, file: str) -> str:
        return (self.config_dir / file).read_text(encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        """In place: owner and mode (0600) stay."""
        (self.config_dir / file).write_text(text, encoding="utf-8")

    def reload(self) -> None:
        """Have Asterisk read its files again, as a person at its command line would."""
        self.pbx.reload()


def ami_of(sandbox: Sandbox) -> Ami:
    """The manager interface of the sandbox's Asterisk."""
    note = sandbox.get_note("pbx")
    return Ami(note["ami_host"], note["ami_port"], note["ami_user"], SecretStr(note["ami_secret"]))


def open_stage(settings: Settings, sandbox: Sandbox, seed: object) -> Stage:
    """The stage of a site on its running sandbox; the same seed makes the same values up."""
    account = settings.bandwidth.sandbox_account
    own = sandbox.account(account) if account else sandbox
    pbx = sandbox_pbx(sandbox, site=settings.name)
    assert isinstance(pbx, AsteriskPbx)
    client = Client(
        own.account_id,
        auth=OAuth2(own.client_id, own.client_secret, own.token_url),
        api_url=own.api_url,
        voice_url=own.voice_url,
    )
    config_dir = Path(sandbox.get_note("pbx")["config_dir"])
    return Stage(settings, own, pbx, client, config_dir, random.Random(str(seed)))  # noqa: S311 - repeatable on purpose


# ------------------------------------------------------------------ a person at an editor


def change_file(stage: Stage, name: str, edit: Callable[[str], str], file: str, *, reload: bool = True) -> None:
    """Edit a file for the break `name`, keep the changed lines, reload."""
    before = stage.read(file)
    after = edit(before)
    assert after != before, f"{name} changes nothing in {file}"
    stage.keep(name, [*_kept_changes(stage, name), *([file, *hunk] for hunk in hunks(before, after))])
    stage.write(file, after)
    if reload:
        stage.reload()


def mend_file(stage: Stage, name: str) -> None:
    """Put the lines that the break `name` changed right again, and reload.

    Raises: NotAsExpected when they were changed further meanwhile.
    """
    for file, right, wrong in reversed(stage.kept(name)):
        text = stage.read(file)
        if text.count(wrong) != 1:
            raise NotAsExpected(f"mend {name}", f"{file} was changed there since", "mend it by hand")
        stage.write(file, text.replace(wrong, right))
    stage.forget(name)
    stage.reload()


def _kept_changes(stage: Stage, name: str) -> list[Any]:
    return list(stage.all_kept().get(name, []))


def hunks(before: str, after: str) -> list[tuple[str, str]]:
    """(lines before, lines after) of each change, with so many lines above it that the second is found only once."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        more = 0
        while (more < min(i1, j1)) and (j1 - more == j2 or after.count("".join(new[j1 - more : j2])) != 1):
            more += 1
        found.append(("".join(old[i1 - more : i2]), "".join(new[j1 - more : j2])))
    return found


def wait_for_contact(stage: Stage, state: str, *, timeout_s: float = 30) -> None:
    """Until the trunk's contact is in this state ("Unreachable", "Reachable", ...), as Asterisk says it.

    Raises: NotAsExpected after timeout_s.
    """
    deadline, seen = time.monotonic() + timeout_s, ""
    while time.monotonic() < deadline:
        with stage.ami() as ami:
            answer = ami.action("PJSIPShowEndpoint", Endpoint=stage.settings.pbx.trunk)
        seen = next((event["Status"] for event in answer.events if event["Event"] == "ContactStatusDetail"), "")
        if seen == state:
            return
        time.sleep(_POLL_S)
    raise NotAsExpected(f"wait until the trunk's contact is {state}", f"it is {seen or 'not there'}", "look at the PBX")
