"""The PBX, whichever it is: what the steps need of it, and nothing of how it is done.

`put_*` and `delete_*` write configuration; nothing is in force before `apply`. `get_*` answer from the running PBX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from bwlib.models import Difference, Extension, OutboundRoute, PbxInfo, Registration, Trunk

Kind = Literal["trunk", "route", "extension"]
Owner = Literal["ours", "other"]
# A run's snapshots of the PBX, before it and after it: file name -> text.
Copies = tuple[Mapping[str, str], Mapping[str, str]]


class Pbx(Protocol):
    """A PBX that can be configured.

    All methods raise PbxUnreachable when the PBX does not answer, PbxRefused when it says no or when an object belongs
    to somebody else, and SettingsError, before anything is written, for values that have no place in a configuration.
    """

    def info(self) -> PbxInfo:
        """What answers, and where it listens for SIP."""

    def identity(self) -> Mapping[str, str]:
        """What tells this PBX from others, for the record: where its configuration is, and where it is reached."""

    def check_put(self, thing: Trunk | OutboundRoute | Extension) -> None:
        """Raise what `put_*` would raise for it; change nothing."""

    def get_trunk(self, name: str) -> Trunk | None:
        """The trunk as it is in force now, None when there is none."""

    def put_trunk(self, trunk: Trunk) -> None:
        """Write the trunk, new or changed. In force after `apply`."""

    def delete_trunk(self, name: str) -> None:
        """Take our trunk out of the configuration; absent is fine."""

    def get_route(self, name: str) -> OutboundRoute | None:
        """The outbound route as it is in force now, None when there is none."""

    def put_route(self, route: OutboundRoute) -> None:
        """Write the route, new or changed. In force after `apply`."""

    def delete_route(self, name: str) -> None:
        """Take our route out of the configuration; absent is fine."""

    def get_extension(self, number: str) -> Extension | None:
        """The extension as it is in force now, None when there is none."""

    def put_extension(self, extension: Extension) -> None:
        """Write the extension, new or changed. In force after `apply`."""

    def delete_extension(self, number: str) -> None:
        """Take our extension out of the configuration; absent is fine."""

    def owner(self, kind: Kind, name: str) -> Owner | None:
        """Whose the object of this name is: "ours" (this site's), "other" (another site's too), or None for none."""

    def apply(self) -> None:
        """Put what was written in force. Raises PbxRefused when the PBX did not take it up as written."""

    def registrations(self) -> list[Registration]:
        """The PBX's own registrations elsewhere. A trunk of ours has none."""

    def snapshot(self) -> dict[str, str]:
        """File name -> text of the configuration, secrets masked: for the record, before and after."""

    def settings_sheet(self, trunk: Trunk, route: OutboundRoute, extension: Extension) -> str:
        """What to type by hand to get the same. Holds no secret: it says where each one is kept."""


@runtime_checkable
class PutsBack(Protocol):
    """A PBX that can put an object back from its own snapshots, more exactly than our settings can say it."""

    def put_back(
        self, kind: Kind, name: str, copies: Sequence[Copies], *, write: bool
    ) -> tuple[tuple[Difference, ...], list[str]] | None:
        """(what it changes, a sentence for each field that stays); None when no copy holds the object.

        In force after `apply`. copies: oldest first. write False: only look.
        """
