"""What the FreePBX adapter needs of a way into FreePBX: by its pages (freepbx_http) or by its shell (freepbx_shell)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol

from pydantic import SecretStr

from bwlib.errors import PbxUnreachable
from bwlib.models import Registration
from bwlib.pbx.freepbx_fields import Fields
from bwlib.pbx.freepbx_forms import PageFacts

# did: an inbound route (its number and its caller's number are its key, "101/").
Thing = Literal["trunk", "route", "extension", "did"]


@dataclass(frozen=True)
class Gui:
    """How a browser gets in: the GUI's URL without /admin, an administrator, and the authority to trust ("": usual)."""

    url: str
    user: str
    password: SecretStr
    ca_file: str = ""


class NoAnswer(PbxUnreachable):
    """No answer came to something that writes. It may have been carried out: look."""


class Driver(Protocol):
    """A way into FreePBX, used as a context manager: signed in at the first need, signed out at the end.

    All methods raise PbxUnreachable when FreePBX does not answer and PbxRefused when it says no. None of them ever
    puts a secret into an error, a log or a command line.
    """

    def __enter__(self) -> Driver: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def place(self) -> Mapping[str, str]:
        """What tells this FreePBX from others."""

    def gui(self) -> Gui | None:
        """How a browser gets in; None where only a shell is known."""

    def rows(self, thing: Thing) -> list[Fields]:
        """All of a kind, each with its `key` and `name`, and what FreePBX's own list says."""

    def fields(self, thing: Thing, key: str | None) -> Fields:
        """The fields of one, by their names on its page; None: the presets of a new one."""

    def save(self, thing: Thing, key: str | None, changes: Mapping[str, str]) -> None:
        """Write one (None: a new one); fields not named stay as they are. Raises NoAnswer. Not in force before reload.

        What it returns from says nothing: read it back.
        """

    def delete(self, thing: Thing, key: str) -> None:
        """Take one away. Not in force before reload."""

    def reload(self) -> None:
        """Apply Config: put what is written in force."""

    def facts(self) -> PageFacts:
        """The versions, and whether a change waits for Apply Config (None: could not be read)."""

    def sip_settings(self) -> Fields:
        """externip and allowanon, as the SIP settings have them; empty where they cannot be read."""

    def registrations(self) -> list[Registration] | None:
        """The running Asterisk's outbound registrations, None where the driver cannot see it."""

    def shell(self, attempted: str, script: str) -> str | None:
        """What a shell script that only reads prints there, as the user asterisk; None where there is no shell."""
