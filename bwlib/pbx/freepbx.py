"""FreePBX 16 and 17 as a PBX: its own pages, or its own functions on its shell, write; what it shows is read back.

FreePBX keeps its configuration in a database and writes Asterisk's files from it at Apply Config. So "in force" means
here: FreePBX holds it, and no change waits for Apply Config. A change that somebody else left waiting is never swept
in silently.

Why not GraphQL (module api, 15 to 17), not even for what it has: it has no trunk and no route, so the administrator's
session is needed anyway, and its client would be one more secret. Of an extension no query returns the secret, and
`addExtension` takes none: so nobody could say whether it is the site's. `updateExtension` deletes the extension, makes
it anew and blanks its Outbound CID unless every field is sent again, and does nothing, with HTTP 200, unless `tech` is
sent. `doreload` only promises a reload, an inbound route made by it does not even ask for one, and the shell's way to
a client (`genclientcred`) kills the one before.

Whose an object is: ours carry the site's mark (freepbx_fields.MARK_FIELDS), another site's carries that site's. One
without a mark was made by hand: it is taken over, unmarked, where it evidently is the same thing (same server, same
trunk, same secret), and left alone otherwise. So it is never taken away again by undo.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from bwlib.errors import PbxRefused
from bwlib.models import Difference, Extension, Finding, OutboundRoute, PbxInfo, Registration, Trunk
from bwlib.pbx import Copies, Kind, Owner, by_hand, checks
from bwlib.pbx.freepbx_driver import Driver, Thing
from bwlib.pbx.freepbx_fields import (
    destination_of,
    extension_fields,
    extension_from,
    mark_in,
    mark_of,
    masked,
    number_in,
    route_fields,
    route_from,
    trunk_fields,
    trunk_from,
)
from bwlib.pbx.freepbx_restore import file_of, had_inbound_route, to_put_back
from bwlib.pbx.freepbx_state import read_log_since, read_media, read_state
from bwlib.pbx.freepbx_writer import Wanted, Writer
from bwlib.pbx.pages import PbxPages
from bwlib.pbx.state import MediaCount, PbxState

_LISTED: tuple[Thing, ...] = ("trunk", "route", "did")
# What the lists show to the record: no phone's owner, no secret.
_SHOWN = ("key", "name", "tech", "outcid", "keepcid", "disabled", "provider", "seq", "destination", "description")


class FreepbxPbx:
    """A `bwlib.pbx.Pbx`.

    site: whose objects are ours. trunk, route, extension: the site's names; every phone of a FreePBX may use every
    route, and an inbound route belongs to no trunk, so they say which are meant. road "sip-uri": nothing is written,
    because no page of FreePBX's sets a Request-URI. sip_host, sip_port: where it is reached for SIP. apply_pending:
    apply somebody else's waiting changes together with ours.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        site: str,
        trunk: str,
        route: str,
        extension: str,
        road: str = "realm",
        sip_host: str = "",
        sip_port: int = 5060,
        apply_pending: bool = False,
    ) -> None:
        self._driver = driver
        self._writer = Writer(driver, mark_of(site), road, apply_pending)
        self._names: dict[Thing, str] = {"trunk": trunk, "route": route, "extension": extension}
        self._sip = (sip_host, sip_port)

    def info(self) -> PbxInfo:
        """FreePBX's version and Asterisk's; the SIP address is the site file's."""
        with self._driver as driver:
            facts = driver.facts()
        version = f"{facts.version or 'unknown'} (Asterisk {facts.asterisk or 'unknown'})"
        return PbxInfo("FreePBX", version, *self._sip, ", ".join(driver.place().values()))

    def identity(self) -> Mapping[str, str]:
        """The GUI's URL, or the host whose shell is used."""
        return self._driver.place()

    def check_put(self, thing: Wanted) -> None:
        """Raise what `put_*` would raise; write nothing. One made by hand that is the same thing is ours from here."""
        with self._driver:
            self._writer.admit(thing)

    # ---------------------------------------------------------------- trunk

    def get_trunk(self, name: str) -> Trunk | None:
        """The trunk as its page has it, its password included. Raises PbxRefused when there are two of the name."""
        checks.check_name("trunk", name)
        with self._driver as driver:
            row = self._writer.row("trunk", name)
            return trunk_from(driver.fields("trunk", row["key"]), self._inbound_extension()) if row else None

    def put_trunk(self, trunk: Trunk) -> None:
        """Write the trunk, and the inbound route that its callers may reach: one for the extension, none without it."""
        with self._driver:
            row = self._writer.admit(trunk)
            self._writer.save("trunk", trunk.name, row, trunk_fields(trunk))
            self._writer.put_inbound(trunk.inbound_extension if trunk.bandwidth_ips else None)

    def delete_trunk(self, name: str) -> None:
        """Take ours out, and our inbound routes with the last trunk of ours."""
        with self._driver as driver:
            self._writer.delete("trunk", name)
            if not any(self._writer.whose("trunk", row) == "ours" for row in driver.rows("trunk")):
                self._writer.put_inbound(None)

    # ---------------------------------------------------------------- route

    def get_route(self, name: str) -> OutboundRoute | None:
        """The route as its page has it."""
        checks.check_name("route", name)
        with self._driver as driver:
            row = self._writer.row("route", name)
            if row is None:
                return None
            trunks = {one["key"]: (one["name"], number_in(one.get("outcid", ""))) for one in driver.rows("trunk")}
            return route_from(driver.fields("route", row["key"]), trunks)

    def put_route(self, route: OutboundRoute) -> None:
        """Write it. Raises PbxRefused when its trunk is not there."""
        with self._driver:
            row = self._writer.admit(route)
            trunk = self._writer.row("trunk", route.trunk)
            if trunk is None:
                raise PbxRefused(
                    f"write the route {route.name!r}", f"there is no trunk {route.trunk}", "write the trunk first"
                )
            number = number_in(trunk.get("outcid", ""))
            self._writer.save("route", route.name, row, route_fields(route, trunk["key"], number))

    def delete_route(self, name: str) -> None:
        """Take ours out."""
        with self._driver:
            self._writer.delete("route", name)

    # ---------------------------------------------------------------- extension

    def get_extension(self, number: str) -> Extension | None:
        """The extension as its page has it, its secret included."""
        checks.check_name("extension", number)
        with self._driver as driver:
            row = self._writer.row("extension", number)
            return extension_from(driver.fields("extension", number), self._names["route"]) if row else None

    def put_extension(self, extension: Extension) -> None:
        """Write it. Raises PbxRefused when the number is taken."""
        with self._driver:
            row = self._writer.admit(extension)
            self._writer.save("extension", extension.number, row, extension_fields(extension))

    def delete_extension(self, number: str) -> None:
        """Take ours out."""
        with self._driver:
            self._writer.delete("extension", number)

    # ---------------------------------------------------------------- the whole

    def owner(self, kind: Kind, name: str) -> Owner | None:
        """ "ours": marked as this site's, or taken over by check_put. "other": another site's, or made by hand."""
        checks.check_name(kind, name)
        with self._driver:
            row = self._writer.row(kind, name)
            return None if row is None else self._writer.whose(kind, row)

    def apply(self) -> None:
        """Apply Config. Raises PbxRefused when FreePBX does not say that it is done, or a change still waits."""
        attempted = "apply FreePBX's configuration (Apply Config)"
        with self._driver as driver:
            self._writer.refuse_others_pending(attempted)
            driver.reload()
            if driver.facts().reload_due:
                raise PbxRefused(
                    attempted,
                    "FreePBX answered that it is done, and still asks for Apply Config",
                    "press Apply Config in the GUI and read what it says; perhaps somebody changes something just now",
                )
            self._writer.applied()

    def registrations(self) -> list[Registration]:
        """The running Asterisk's, or, where only the pages can be seen, the trunks that are told to register.

        Raises: PbxRefused while a change waits for Apply Config: the pages then do not say what is in force.
        """
        with self._driver as driver:
            self._writer.refuse_others_pending("read which trunks register")
            running = driver.registrations()
            if running is not None:
                return running
            found = []
            for row in driver.rows("trunk"):
                if row.get("tech", "").lower() == "pjsip" and row.get("disabled") != "on":
                    said = driver.fields("trunk", row["key"])
                    if said.get("registration", "send") == "send":
                        name, server = row["name"], said.get("sip_server", "")
                        found.append(Registration.read(name, server, f"{name} {server} (Registration: Send)"))
            return found

    def snapshot(self) -> dict[str, str]:
        """The lists of trunks, routes and inbound routes, and the site's own pages; secrets masked."""
        files: dict[str, object] = {}
        with self._driver as driver:
            for listed in _LISTED:
                rows = driver.rows(listed)
                files[f"freepbx/{listed}s.json"] = [{n: row[n] for n in _SHOWN if n in row} for row in rows]
            for thing, name in self._names.items():
                for row in driver.rows(thing):
                    if row["name"] == name:
                        page = file_of(thing, name, row["key"])
                        files[page] = masked(driver.fields(thing, row["key"]))
            files["freepbx/sip_settings.json"] = driver.sip_settings()
        return {name: json.dumps(what, indent=1) + "\n" for name, what in files.items()}

    def settings_sheet(self, trunk: Trunk, route: OutboundRoute, extension: Extension) -> str:
        """FreePBX's own pages and field names, with these values."""
        return by_hand.settings_sheet("freepbx", trunk, route, extension)

    def pages(self, trunk: Trunk) -> PbxPages | None:
        """FreePBX's own pages of trunk, outbound route and extension; None over the shell."""
        from bwlib.pbx import freepbx_screens

        gui = self._driver.gui()
        if gui is None:
            return None
        with self._driver as driver:
            return freepbx_screens.pages(driver, gui, trunk, self._names)

    def put_back(
        self, kind: Kind, name: str, copies: Sequence[Copies], *, write: bool
    ) -> tuple[tuple[Difference, ...], list[str]] | None:
        """The page's own fields as they were before the runs whose copies these are; never a secret.

        An inbound route that one of these runs made goes with the trunk. Raises: PbxRefused when it is another site's.
        """
        checks.check_name(kind, name)
        with self._driver as driver:
            row = self._writer.row(kind, name)
            if row is None:
                return None
            told = to_put_back(copies, file_of(kind, name, row["key"]), driver.fields(kind, row["key"]))
            if told is None:
                return None
            fields, changes, stays = told
            ours = self._writer.inbound_of_ours() if kind == "trunk" else []
            if ours and had_inbound_route(copies, self._writer.mark):
                ours = []
            changes += tuple(Difference(f"inbound route {key}", "there", "none") for key in ours)
            self._writer.refuse_anothers(kind, row)
            if write and fields:
                self._writer.save(kind, name, row, fields)
            if write and ours:
                self._writer.put_inbound(None)
            return changes, stays

    def findings(self, trunk: Trunk, route: OutboundRoute, extension: Extension) -> list[Finding]:
        """The traps of FreePBX that this one is in, each with its evidence and its fix. Reads only."""
        from bwlib.pbx.freepbx_checks import findings

        with self._driver as driver:
            return findings(driver, trunk, route, extension)

    # ---------------------------------------------------------------- evidence, read only

    def state(self, trunk: str, extension: str, dialled: str, context: str = "") -> PbxState:
        """As `AsteriskPbx.state`; with the pages alone little of it is known."""
        checks.check_name("trunk", trunk)
        checks.check_name("extension", extension)
        return read_state(self._driver, self.registrations, trunk, extension, dialled, context)

    def media(self) -> tuple[MediaCount, ...]:
        """RTP of each channel, to be asked in the middle of a call; () with the pages alone."""
        return read_media(self._driver)

    def log_since(self, when: datetime) -> tuple[str, ...]:
        """What Asterisk's log says since then (with a time zone), secrets masked; () when it cannot be read."""
        return read_log_since(self._driver, when)

    # ---------------------------------------------------------------- how

    def _inbound_extension(self) -> str | None:
        """Where an inbound call for the site's extension leads: the extension, somewhere else (said so), None."""
        number = self._names["extension"]
        for row in self._driver.rows("did"):
            ours = mark_in(row.get("description", "")) == self._writer.mark
            if row["key"] == f"{number}/" or (ours and row.get("cidnum") == ""):
                found = row["extension"]
                leads_to = row.get("destination", "")
                return found if leads_to == destination_of(found) else f"(DID {found} leads to {leads_to or 'nothing'})"
        return None


def connect(
    *,
    url: str,
    user: str,
    password: SecretStr,
    site: str,
    driver: str = "http",
    ssh: str = "",
    ssh_key: str = "",
    ssh_known_hosts: str = "",
    ca_file: str = "",
    **names: Any,
) -> FreepbxPbx:
    """The adapter by one of its two drivers. Sends nothing yet.

    driver "http": url, user, password (an administrator of the GUI). driver "shell": ssh "user@host[:port]", "" for
    this machine. names: the rest of what FreepbxPbx takes. Raises: SettingsError when what the driver needs is missing.
    """
    way: Driver
    if driver == "shell":
        from bwlib.pbx.freepbx_shell import ShellDriver

        way = ShellDriver(ssh, key=ssh_key, known_hosts=ssh_known_hosts)
    else:
        from bwlib.pbx.freepbx_http import HttpDriver

        way = HttpDriver(url, user, password, ca_file=ca_file)
    return FreepbxPbx(way, site=site, **names)
