"""The guide, step by step, as a notebook walks it: each method decides by `mode`, records, shows, returns an object.

A `Run` is what `open_run` gives a notebook. It knows neither the sandbox nor the live account, only its
`Surroundings`; the decisions are in `bwlib.steps`, the evidence goes to `bwlib.record`, the screen is `bwlib.widgets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr

from bwlib import stepping
from bwlib.errors import NotAsExpected
from bwlib.models import Application, Extension, InboundSipUri, OutboundRoute, Outcome, Realm, SipCredential, Trunk
from bwlib.record.run_record import RunRecord
from bwlib.settings import Mode, Road, Settings
from bwlib.surroundings import Surroundings
from bwlib.wanted import found_application, kept_secrets, learn_ha1, wanted_extension, wanted_route, wanted_trunk
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.steps.calls import CallProof
    from bwlib.steps.compare import Witness
    from bwlib.steps.pbx import Kind

T = TypeVar("T")
P = TypeVar("P", Trunk, OutboundRoute, Extension)

SHEET = "Settings for the PBX"


class Run:
    """One notebook's hand on one run. Methods are named for the guide's steps and may be called again at any time."""

    def __init__(
        self,
        settings: Settings,
        surroundings: Surroundings,
        record: RunRecord,
        *,
        notebook: str,
        mode: Mode,
        secret: Callable[[str], SecretStr],
        seal_here: bool,
        operator: str = "",
    ) -> None:
        self.settings = settings
        self.record = record
        self.notebook = notebook
        self.mode = mode
        self.writes = mode == "apply" or (mode == "auto" and surroundings.target == "sandbox")
        self.on = surroundings
        self.secret = secret
        self.operator = operator
        self._seal_here = seal_here
        self.undo_planned = False  # this run has listed what an undo would remove

    def __repr__(self) -> str:
        return f"Run({self.settings.name!r}, {self.on.target}, mode {self.mode}, record {self.record.folder.name})"

    # ------------------------------------------------------------ prerequisites

    def environment(self) -> None:
        """What this machine has and lacks, with the line that mends it."""
        from bwlib.doctor import report

        show.show_checks("This machine", report())

    def rights(self) -> None:
        """Read what the account lets us read. A read that succeeds does not prove that a create will."""
        client = self.on.client

        def read() -> Outcome[dict[str, str]]:
            facts = {
                "account": self.on.account_id,
                "number": self.on.number,
                "applications": str(len(client.list_applications())),
                "realms": str(len(client.list_realms())),
            }
            note = "these reads succeeded; only a create can prove that SIP credentials are enabled"
            return Outcome("passed", "The account answers", facts, note=note)

        self.step("rights", read, read)

    # ------------------------------------------------------------ guide step 1

    def application(self) -> Application | None:
        """Guide step 1: the Voice application with POST callbacks."""
        from bwlib.steps import application as steps

        wanted, client = self.on.application, self.on.client
        witness = self._witness("application", steps.TITLE, {"name": wanted.name})
        return self.step(
            "application",
            lambda: steps.plan_application(client, wanted),
            lambda: steps.ensure_application(client, wanted, witness=witness),
        ).found

    def callback(self) -> None:
        """Ask the application's callback URL as Bandwidth will: it challenges where it should and answers BXML."""
        from bwlib.bandwidth.callback import check_callback

        wanted = self.on.application

        def ask() -> Outcome[dict[str, str]]:
            answer = check_callback(
                wanted.call_initiated_url,
                number=self.on.number,
                dial=self.settings.test.dial,
                user=wanted.callback_user,
                password=wanted.callback_password,
                on_exchange=self.on.recorder,
                verify=self.on.callback_ca or True,
            )
            facts = {
                "url": answer.url,
                "status": str(answer.status),
                "asked for credentials first": "yes" if answer.challenged else "no",
                "BXML verbs": ", ".join(answer.verbs) or "none",
            }
            return Outcome("passed", "Callback URL answers", facts)

        self.step("callback", lambda: self._planned("Callback URL answers", wanted.call_initiated_url), ask)

    # ------------------------------------------------------------ guide step 2

    def realm(self) -> Realm | None:
        """Guide step 2: an ACTIVE realm."""
        from bwlib.steps import realm as steps

        if not self._on_road("realm", steps.TITLE):
            return None
        wanted, client = self.settings.realm, self.on.client
        return self.step(
            "realm",
            lambda: steps.plan_realm(client, wanted.name, wanted.description),
            lambda: steps.ensure_realm(
                client,
                wanted.name,
                wanted.description,
                timeout_s=wanted.wait_s,
                tell=show.show_progress,
                witness=self._witness("realm", steps.TITLE, {"name": wanted.name}),
            ),
        ).found

    def sip_credential(self, realm: Realm | None) -> SipCredential | None:
        """Guide step 2: a SIP credential in the realm, bound to the application of step 1."""
        from bwlib.steps import sip_credential as steps

        if not self._on_road("realm", steps.TITLE):
            return None
        table, client = self.settings.sip_credential, self.on.client

        def go(*, write: bool) -> Outcome[SipCredential]:
            application = found_application(self)
            if realm is None or application is None:
                return self.missing(steps.TITLE, "the application and the realm", "10_application")
            password = self.secret(table.password)
            learn_ha1(self, realm.fqdn, table.username, password)
            if not write:
                return steps.plan_sip_credential(client, realm, table.username, password, application)
            return steps.ensure_sip_credential(
                client,
                realm,
                table.username,
                password,
                application,
                rotate=table.rotate,
                witness=self._witness(
                    "sip_credential", steps.TITLE, {"username": table.username, "realm_id": realm.id}
                ),
            )

        return self.step("sip_credential", lambda: go(write=False), lambda: go(write=True)).found

    def inbound_sip_uri(self) -> InboundSipUri | None:
        """Guide step 2 by the second road: calls to the application's own SIP URI, in place of realm and credential."""
        from bwlib import second_road
        from bwlib.steps.inbound_sip_uri import TITLE

        return second_road.ensure(self) if self._on_road("sip-uri", TITLE) else None

    def dns(self, *places: Realm | InboundSipUri | None) -> None:
        """Where DNS says that the place is: the one that is there, a realm or a SIP URI. A PBX finds its port so."""
        from bwlib.steps.dns import TITLE, check_dns

        hosts = [place.fqdn if isinstance(place, Realm) else place.host for place in places if place is not None]

        def ask() -> Outcome[dict[str, str]]:
            if not hosts:
                return self.missing(TITLE, self._entrance(), "20_sip_credentials")
            return check_dns(hosts[0], self.on.nameservers, self.on.trunk_proxy)

        self.step("dns", ask, ask)

    def _on_road(self, road: Road, title: str) -> bool:
        """Say so, and write nothing down, when a step belongs to the other road."""
        if self.settings.road != road:
            show.show_text(title, [f'not on this road: the site file says road = "{self.settings.road}"'])
        return self.settings.road == road

    # ------------------------------------------------------------ guide step 3

    def settings_sheet(self, pbx: str = "any") -> None:
        """Trunk, route and extension as a sheet to type in by hand, in a PBX's words. Secrets are named, not shown."""
        from bwlib.pbx.by_hand import product, settings_sheet

        if pbx == "any" and self.settings.pbx.kind == "freepbx":
            pbx = "freepbx"
        product(pbx)
        sheets: list[str] = []

        def write() -> Outcome[dict[str, str]]:
            trunk, route = wanted_trunk(self), wanted_route(self)
            if trunk is None or route is None:
                return self.missing(SHEET, self._entrance(), "20_sip_credentials")
            sheets.append(settings_sheet(pbx, trunk, route, wanted_extension(self), kept_secrets(self)))
            self.record.write_text("settings_sheet.txt", sheets[0])
            return Outcome("passed", SHEET, {"PBX": pbx, "in the record": "settings_sheet.txt"})

        self.step("settings_sheet", write, write)
        for sheet in sheets:
            show.show_sheet(SHEET, sheet)

    def trunk(self) -> Trunk | None:
        """Guide step 3.1: the trunk to the realm, registration off, authenticating outbound only."""
        from bwlib.steps.pbx import TRUNK

        return self._pbx_step(TRUNK, lambda: wanted_trunk(self))

    def route(self) -> OutboundRoute | None:
        """Guide step 3.2: the outbound route that uses the trunk."""
        from bwlib.steps.pbx import ROUTE

        return self._pbx_step(ROUTE, lambda: wanted_route(self))

    def extension(self) -> Extension | None:
        """Guide step 3.3: the extension that uses the outbound route."""
        from bwlib.steps.pbx import EXTENSION

        return self._pbx_step(EXTENSION, lambda: wanted_extension(self))

    def _pbx_step(self, kind: Kind[P], wanted: Callable[[], P | None]) -> P | None:
        """One object on the PBX, its configuration before and after in the record."""
        from bwlib.steps import pbx as steps

        which: dict[str, str] = {}  # known once the PBX is at hand, which may fail as part of the step

        def go(*, write: bool) -> Outcome[P]:
            thing = wanted()
            if thing is None:
                return self.missing(kind.title, self._entrance(), "20_sip_credentials")
            pbx = self.on.pbx()
            which.update(pbx.identity())
            self.record.write_config("before", pbx.snapshot())
            if not write:
                return steps.plan_on_pbx(pbx, kind, thing)
            witness = self._witness(kind.word, kind.title, show.object_facts(thing), pbx=which)
            outcome = steps.ensure_on_pbx(pbx, kind, thing, witness)
            self.record.write_config("after", pbx.snapshot())
            return outcome

        return self.step(kind.word, lambda: go(write=False), lambda: go(write=True), pbx=which).found

    def check_pbx(self) -> None:
        """*Check what I did*: trunk, route and extension as they are now, field by field, however they came there."""
        from bwlib import check_pbx

        check_pbx.check(self, self._entrance())

    def no_registration(self, trunk: Trunk | None) -> None:
        """Read from the running PBX that the trunk does not register."""
        from bwlib.steps import pbx as steps

        title = "No registration at the realm"

        def check() -> Outcome[dict[str, str]]:
            if trunk is None:
                return self.missing(title, "the trunk", "30_pbx")
            steps.check_no_registration(self.on.pbx(), trunk)
            return Outcome("passed", title, {"outbound registrations to the realm": "none"})

        self.step("no_registration", lambda: self._planned(title, "the trunk"), check)

    # ------------------------------------------------------------ the test

    def ready(self) -> None:
        """Check everything that a call needs by reading it back; name the notebook to run when something is missing."""
        from bwlib.steps import pbx as steps

        title = "Everything a call needs is in place"

        def check() -> Outcome[dict[str, str]]:
            trunk, route = wanted_trunk(self), wanted_route(self)
            if trunk is None or route is None:
                raise NotAsExpected(
                    "prepare the test calls",
                    f"the application, or {self._entrance()}, is missing",
                    "run the notebooks 10_application and 20_sip_credentials first",
                )
            pbx = self.on.pbx()
            steps.check_on_pbx(pbx, steps.TRUNK, trunk)
            steps.check_on_pbx(pbx, steps.ROUTE, route)
            steps.check_on_pbx(pbx, steps.EXTENSION, wanted_extension(self))
            steps.check_no_registration(pbx, trunk)
            facts = {"realm" if self.settings.road == "realm" else "SIP URI": route.request_uri or trunk.server}
            facts |= {"trunk": trunk.name, "extension": self.settings.pbx.extension}
            return Outcome("passed", title, facts)

        self.step("ready", lambda: self._planned(title, "read back before calling"), check)

    def call_from_extension(self) -> CallProof | None:
        """The guide's test: a call from the extension reaches the application's webhooks and is heard."""
        from bwlib import calling

        return calling.from_extension(self)

    def call_to_extension(self) -> CallProof | None:
        """The guide's test: a programmatic call to sip:extension@pbx rings the extension and is heard."""
        from bwlib import calling

        return calling.to_extension(self)

    # ------------------------------------------------------------ pictures

    def capture(self, *, url: str | None = None, **shown: object) -> None:
        """Pictures of the pages that show these objects, by the names of their steps: capture(realm=realm).

        url: the page to take, where we cannot know it. A picture that cannot be had is said and written down; it fails
        no step.
        """
        from bwlib import capturing

        capturing.capture(self, shown, url)

    def picture(self, source: str | Path | bytes | None = None, title: str = "") -> None:
        """Put a PNG or JPEG of your own into the record; without one, show a button to choose it with."""
        from bwlib import capturing

        capturing.picture(self, source, title, ask=self._seal_here)  # an unattended run is sealed by its runner

    # ------------------------------------------------------------ afterwards

    def undo(self, record: str | None = None) -> list[Outcome[Any]]:
        """Remove what this site's records (or the one named) say we created; report what is kept, and why."""
        from bwlib.undo import undo_site

        return undo_site(self, record)

    def seal(self) -> Path:
        """Close this run's record and return its folder. In an unattended run the runner does it at the end."""
        from bwlib.record import kernel
        from bwlib.record.closing import close

        if self._seal_here:
            show.show_progress("writing the report and sealing the record")
            kernel.write_transcripts(self.record)
            close(self.record, target=self.on.target)
            show.show_text("Record sealed", [str(self.record.folder)])
        else:
            show.show_text("Record goes on", [f"{self.record.folder} is sealed when the unattended run ends"])
        return self.record.folder

    # ------------------------------------------------------------ how every step goes

    def step(
        self, name: str, plan: Callable[[], Outcome[T]], apply: Callable[[], Outcome[T]], **facts: object
    ) -> Outcome[T]:
        """Do or plan one step; write it down before and after, with `facts`; show it."""
        return stepping.do(self, name, plan, apply, **facts)

    def note(self, name: str, outcome: Outcome[Any], elapsed_s: float = 0.0, **facts: object) -> None:
        """Write an outcome into the journal and show it."""
        stepping.note(self, name, outcome, elapsed_s, **facts)

    def _witness(self, name: str, title: str, wanted: Mapping[str, str], **facts: object) -> Witness:
        return stepping.witness(self, name, title, wanted, **facts)

    def _planned(self, title: str, what: str) -> Outcome[Any]:
        return Outcome("planned", title, None, note=f"planned, not done: {what}")

    def _entrance(self) -> str:
        return "the realm and its SIP credential" if self.settings.road == "realm" else "the SIP URI and its password"

    def missing(self, title: str, what: str, notebook: str) -> Outcome[Any]:
        """A step whose ground is missing: pending when only planning, an error that names the notebook otherwise."""
        if self.writes:
            raise NotAsExpected(f"set up: {title}", f"{what} must exist first", f"run notebook {notebook} first")
        return self._planned(title, f"it needs {what}, which is not there yet")
