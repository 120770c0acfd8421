"""Between the FreePBX adapter and FreePBX: who may write what, and nothing is believed that is not read back."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bwlib.errors import PbxRefused
from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx import Kind, Owner, checks
from bwlib.pbx.freepbx_driver import Driver, NoAnswer, Thing
from bwlib.pbx.freepbx_fields import (
    LEADS_OUT,
    MARK_FIELDS,
    Fields,
    destination_of,
    did_fields,
    mark_in,
    trunk_from,
)

Wanted = Trunk | OutboundRoute | Extension


class Writer:
    """Looks, refuses, writes and reads back, for one site. To be used while the driver is entered.

    mark: the site's. road, apply_pending: as FreepbxPbx has them.
    """

    def __init__(self, driver: Driver, mark: str, road: str, apply_pending: bool) -> None:
        self._driver = driver
        self.mark = mark
        self._road = road
        self._apply_pending = apply_pending
        self._written = False  # by us, and not applied yet
        self._taken_over: set[tuple[Kind, str]] = set()  # made by hand, and the same thing as wanted

    # ---------------------------------------------------------------- who may write what

    def applied(self) -> None:
        """Say that what was written is in force."""
        self._written = False

    def admit(self, thing: Wanted) -> Fields | None:
        """The row of what is there under that name, None for nothing. Raises what a put may raise."""
        kind, name = _kind_of(thing)
        _check(thing)
        attempted = f"write the {kind} {name!r} into FreePBX"
        if self._road == "sip-uri" or (isinstance(thing, OutboundRoute) and thing.request_uri):
            raise PbxRefused(
                attempted,
                "the second road sends every call to a SIP URI, and no page of FreePBX's sets a Request-URI",
                "type the settings sheet in by hand (it names the custom dialplan), or take the road of the realm",
            )
        self.refuse_others_pending(attempted)
        row = self.row(kind, name)
        if row is not None:
            self._take_over_or_refuse(attempted, kind, name, thing, row)
        if isinstance(thing, Trunk) and thing.bandwidth_ips:
            self._refuse_unless_inbound_is_safe(attempted, thing.inbound_extension or "")
        return row

    def _take_over_or_refuse(self, attempted: str, kind: Kind, name: str, thing: Wanted, row: Fields) -> None:
        said = self._driver.fields(kind, row["key"])
        mark = mark_in(said.get(MARK_FIELDS[kind], ""))
        if mark == self.mark:
            return
        why = f"is another site's ({mark})" if mark else self._why_foreign(thing, said)
        if why:
            raise PbxRefused(
                attempted,
                f"there is the {kind} {name} already, which {why}; it was left as it is",
                f"choose another name or number as pbx.{kind} in the site file, or give the existing one the settings "
                "of the sheet by hand",
            )
        self._taken_over.add((kind, name))

    def _why_foreign(self, thing: Wanted, said: Mapping[str, str]) -> str:
        """Why an unmarked one is not the same thing as wanted; "" when it is."""
        if isinstance(thing, Trunk):
            server = trunk_from(said, None).server
            return "" if server.lower() == thing.server.lower() else f"leads to {server or 'no server'}"
        if isinstance(thing, OutboundRoute):
            trunk = self.row("trunk", thing.trunk)
            same = trunk is not None and said.get("trunkpriority", "") == trunk["key"]
            return "" if same else f"uses other trunks than {thing.trunk}"
        same = said.get("devinfo_secret", "") == thing.secret.get_secret_value()
        return "" if same else "has another secret than the site's: it may be somebody's phone"

    def refuse_others_pending(self, attempted: str) -> None:
        """Raise PbxRefused when a change waits that is not ours, unless the site file wants it applied as well."""
        if self._written or not self._driver.facts().reload_due:
            return
        if not self._apply_pending:
            raise PbxRefused(
                attempted,
                "a change that this run did not make waits for Apply Config",
                "look who made it and press Apply Config in the GUI, then run again; or set pbx.apply_pending = true "
                "in the site file to apply it together with this site's",
            )

    def _refuse_unless_inbound_is_safe(self, attempted: str, number: str) -> None:
        """Bandwidth's addresses get in without a password: no inbound route may lead out again, ours to ours only."""
        for row in self._driver.rows("did"):
            leads_to = row.get("destination", "")
            if leads_to.startswith(LEADS_OUT):
                raise PbxRefused(
                    attempted,
                    f"the inbound route {row['name']} leads out of the PBX ({leads_to}): callers from "
                    "pbx.bandwidth_ips need no password and would dial out at the site's cost",
                    "take that inbound route away, or leave pbx.bandwidth_ips empty",
                )
            ours = mark_in(row.get("description", "")) == self.mark
            if row["key"] == f"{number}/" and not ours and leads_to != destination_of(number):
                raise PbxRefused(
                    attempted,
                    f"the inbound route {row['name']} leads to {leads_to or 'nothing'}, and is not this site's",
                    f"choose another pbx.extension than {number}, or let that route lead to the extension",
                )

    def whose(self, kind: Kind, row: Fields) -> Owner:
        """By its mark; one without is ours once it was taken over."""
        field = MARK_FIELDS[kind]
        mark = mark_in(row[field] if field in row else self._driver.fields(kind, row["key"]).get(field, ""))
        if mark:
            return "ours" if mark == self.mark else "other"
        return "ours" if (kind, row["name"]) in self._taken_over else "other"

    # ---------------------------------------------------------------- how

    def row(self, thing: Thing, name: str) -> Fields | None:
        """The one row of this name, None for none. FreePBX takes a second of a name without a word."""
        found = [row for row in self._driver.rows(thing) if row["name"] == name]
        if len(found) > 1:
            raise PbxRefused(
                f"find the {thing} {name} in FreePBX",
                f"there are {len(found)} of that name (ids {', '.join(row['key'] for row in found)}), of which one "
                "silently wins",
                "delete all but one in the GUI, press Apply Config, and run again",
            )
        if found and thing in ("trunk", "extension") and found[0].get("tech", "pjsip").lower() != "pjsip":
            raise PbxRefused(
                f"find the {thing} {name} in FreePBX",
                f"it is there, and is not pjsip but {found[0].get('tech')}",
                f"choose another name or number as pbx.{thing} in the site file",
            )
        return found[0] if found else None

    def save(self, thing: Thing, name: str, row: Fields | None, changes: Fields) -> None:
        """Write, then believe only what is read back. A new one gets our mark, one made by hand gets none."""
        if row is None:
            changes = changes | {MARK_FIELDS[thing]: self._marked(thing)}
        self.refuse_others_pending(f"save the {thing} {name} in FreePBX")
        before, unanswered = self._written, None
        self._written = True
        try:
            self._driver.save(thing, row["key"] if row else None, changes)
        except NoAnswer as error:
            unanswered = error
        kept = self.row(thing, name)
        if kept is None:
            self._written = before
            raise unanswered or PbxRefused(
                f"save the {thing} {name} in FreePBX",
                "FreePBX answered, and its list does not have it",
                "open its page in the GUI, press Submit there, and read what it says",
            )
        said = self._driver.fields(thing, kept["key"]) if thing != "did" else kept
        wrong = [field for field, value in changes.items() if field in said and not _is_same(said[field], value)]
        if wrong:
            raise unanswered or PbxRefused(
                f"save the {thing} {name} in FreePBX",
                f"it kept something else in: {', '.join(wrong)}",
                "open its page in the GUI and look at these fields",
            )

    def _marked(self, thing: Thing) -> str:
        if thing != "route":
            return self.mark
        subject = self._driver.fields("route", None).get(MARK_FIELDS["route"], "")
        return f"{subject} [{self.mark}]".strip()

    def delete(self, kind: Kind, name: str) -> None:
        checks.check_name(kind, name)
        row = self.row(kind, name)
        if row is None:
            return
        attempted = f"delete the {kind} {name!r} in FreePBX"
        if self.whose(kind, row) != "ours":
            raise PbxRefused(attempted, "it does not carry this site's mark", "delete it in the GUI, if it is to go")
        self._remove(kind, row)

    def _remove(self, thing: Thing, row: Fields) -> None:
        self.refuse_others_pending(f"delete the {thing} {row['name']} in FreePBX")
        self._written = True
        self._driver.delete(thing, row["key"])
        if any(other["key"] == row["key"] for other in self._driver.rows(thing)):
            raise PbxRefused(
                f"delete the {thing} {row['name']} in FreePBX",
                "FreePBX answered, and its list still has it",
                "delete it in the GUI and read what it says",
            )

    def refuse_anothers(self, kind: Kind, row: Fields) -> None:
        """Raise PbxRefused when it carries another site's mark, or when somebody else's change waits."""
        attempted = f"put the {kind} {row['name']} back in FreePBX"
        mark = mark_in(self._driver.fields(kind, row["key"]).get(MARK_FIELDS[kind], ""))
        if mark not in ("", self.mark):
            raise PbxRefused(attempted, f"it is another site's by now ({mark})", "leave it, or put it back by hand")
        self.refuse_others_pending(attempted)

    def inbound_of_ours(self) -> list[str]:
        """The inbound routes that carry this site's mark, by their keys."""
        rows = self._driver.rows("did")
        return [row["key"] for row in rows if mark_in(row.get("description", "")) == self.mark]

    def put_inbound(self, number: str | None) -> None:
        """The inbound route to this extension, ours for others away; another's that leads there already serves."""
        there = None
        for row in self._driver.rows("did"):
            if number is not None and row["key"] == f"{number}/":
                there = row
            elif mark_in(row.get("description", "")) == self.mark:
                self._remove("did", row)
        if number is not None and (there is None or there.get("destination") != destination_of(number)):
            self.save("did", f"{number}/", there, did_fields(number, self.mark))


def _kind_of(thing: Wanted) -> tuple[Kind, str]:
    if isinstance(thing, Trunk):
        return "trunk", thing.name
    return ("route", thing.name) if isinstance(thing, OutboundRoute) else ("extension", thing.number)


def _check(thing: Wanted) -> None:
    if isinstance(thing, Trunk):
        checks.check_trunk(thing)
    elif isinstance(thing, OutboundRoute):
        checks.check_route(thing)
    else:
        checks.check_extension(thing)


def _is_same(kept: str, sent: str) -> bool:
    """As a page shows it again: a list in JSON may be spelled otherwise."""
    if kept == sent:
        return True
    try:
        one, other = json.loads(kept), json.loads(sent)
    except ValueError:
        return False
    return isinstance(one, list) and [row for row in one if any(row.values())] == other
