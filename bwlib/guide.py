"""The guide, step by step, as a notebook walks it: each method decides by `mode`, records, shows, returns an object.

A `Run` is what `open_run` gives a notebook. It knows neither the sandbox nor the live account, only its
`Surroundings`; the decisions are in `bwlib.steps`, the evidence goes to `bwlib.record`, the screen is `bwlib.widgets`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import SecretStr

from bwlib import asking, at_bandwidth, at_pbx, stepping
from bwlib.asking import ask
from bwlib.errors import NotAsExpected
from bwlib.models import Application, Extension, InboundSipUri, OutboundRoute, Outcome, Realm, SipCredential, Trunk
from bwlib.record.run_record import RunRecord
from bwlib.settings import Mode, Settings
from bwlib.site_lock import one_at_a_time
from bwlib.surroundings import Surroundings
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.diagnosing import Diagnosis
    from bwlib.steps.calls import CallProof
    from bwlib.steps.compare import Witness

T = TypeVar("T")
# plan: look and list; apply: write and read back; verify: read back and insist.
Doing = Literal["plan", "apply", "verify"]


@dataclass(frozen=True)
class Opened:
    """What a run works on, once its answers are known."""

    settings: Settings
    on: Surroundings
    record: RunRecord
    secret: Callable[[str], SecretStr]


Reopen = Callable[[Mapping[str, Any], frozenset[str]], Opened]
"""(answers that win over everything, entries whose notebook parameter counts no more) -> what to work on now."""


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
        attended: bool = False,
        reopen: Reopen | None = None,
    ) -> None:
        """attended: somebody is there to press buttons. reopen: gives what to work on when answers have changed."""
        self.settings = settings
        self.record = record
        self.notebook = notebook
        self.mode = mode
        applies = mode == "apply" or (mode == "auto" and surroundings.target == "sandbox")
        self.doing: Doing = "apply" if applies else "plan"
        self.on = surroundings
        self.secret = secret
        self.operator = operator
        self.attended = attended
        self.waits = attended and mode == "auto" and settings.walk == "click"
        self._seal_here = seal_here
        self._reopen = reopen
        self._answers: dict[str, Any] = {}  # given in a form, not in the site file
        self._saved: frozenset[str] = frozenset()  # entries that a form has written into the site file
        self.names_causes = True  # a test call that fails says why; a lab's call does not
        self.undo_planned = False  # this run has listed what an undo would remove
        self.made: dict[str, Any] = {}  # by step, what it found or made in this kernel
        self.status: dict[str, str] = {}  # by step, how it ended last in this kernel
        self.cards: dict[str, object] = {}  # by step, the cell that shows its form
        self.click: Mapping[str, object] = {}  # while a button is at work: which, and the cell of its card

    def __repr__(self) -> str:
        return f"Run({self.settings.name!r}, {self.on.target}, mode {self.mode}, record {self.record.folder.name})"

    @property
    def writes(self) -> bool:
        """Whether a step may write now."""
        return self.doing == "apply"

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

    def answers(self) -> None:
        """What counts for this site; with somebody at the front end, a form to change it."""
        ask(self, "answers", lambda: asking.show_answers(self), waits=False)

    def overview(self) -> None:
        """The parts as a picture, with this site's own values; a part is green once the records prove it."""
        from bwlib.overview_now import show_overview

        ask(self, "overview", lambda: show_overview(self), waits=False)

    def glossary(self) -> None:
        """The words of the guide, each in a sentence or two."""
        from bwlib.widgets.glossary import show_glossary

        show_glossary()

    # ------------------------------------------------------------ guide step 1

    def application(self) -> Application | None:
        """Guide step 1: the Voice application with POST callbacks."""
        return ask(self, "application", lambda: at_bandwidth.application(self))

    def callback(self) -> None:
        """Ask the application's callback URL as Bandwidth will: it challenges where it should and answers BXML."""
        ask(self, "callback", lambda: at_bandwidth.callback(self))

    # ------------------------------------------------------------ guide step 2

    def realm(self) -> Realm | None:
        """Guide step 2: an ACTIVE realm."""
        return ask(self, "realm", lambda: at_bandwidth.realm(self))

    def sip_credential(self, realm: Realm | None) -> SipCredential | None:
        """Guide step 2: a SIP credential in the realm, bound to the application of step 1."""
        return ask(self, "sip_credential", lambda: at_bandwidth.sip_credential(self, realm))

    def inbound_sip_uri(self) -> InboundSipUri | None:
        """Guide step 2 by the second road: calls to the application's own SIP URI, in place of realm and credential."""
        return ask(self, "inbound_sip_uri", lambda: at_bandwidth.inbound_sip_uri(self))

    def dns(self, *places: Realm | InboundSipUri | None) -> None:
        """Where DNS says that the place is: the one that is there, a realm or a SIP URI. A PBX finds its port so."""
        ask(self, "dns", lambda: at_bandwidth.dns(self, *places))

    # ------------------------------------------------------------ guide step 3

    def settings_sheet(self, pbx: str = "any") -> None:
        """Trunk, route and extension as a sheet to type in by hand, in a PBX's words. Secrets are named, not shown."""
        at_pbx.settings_sheet(self, pbx)

    def trunk(self) -> Trunk | None:
        """Guide step 3.1: the trunk to the realm, registration off, authenticating outbound only."""
        return ask(self, "trunk", lambda: at_pbx.trunk(self))

    def route(self) -> OutboundRoute | None:
        """Guide step 3.2: the outbound route that uses the trunk."""
        return ask(self, "route", lambda: at_pbx.route(self))

    def extension(self) -> Extension | None:
        """Guide step 3.3: the extension that uses the outbound route."""
        return ask(self, "extension", lambda: at_pbx.extension(self))

    def check_pbx(self) -> None:
        """*Check what I did*: trunk, route and extension as they are now, field by field, however they came there."""
        from bwlib import check_pbx

        ask(self, "check_pbx", lambda: check_pbx.check(self, self.entrance()))

    def no_registration(self, trunk: Trunk | None) -> None:
        """Read from the running PBX that the trunk does not register."""
        ask(self, "no_registration", lambda: at_pbx.no_registration(self, trunk))

    # ------------------------------------------------------------ the test

    def ready(self) -> None:
        """Check everything that a call needs by reading it back; name the notebook to run when something is missing."""
        ask(self, "ready", lambda: at_pbx.ready(self))

    def call_from_extension(self) -> CallProof | None:
        """The guide's test: a call from the extension reaches the application's webhooks and is heard."""
        from bwlib import calling

        return ask(self, "call_from_extension", lambda: calling.from_extension(self))

    def call_to_extension(self) -> CallProof | None:
        """The guide's test: a programmatic call to sip:extension@pbx rings the extension and is heard."""
        from bwlib import calling

        return ask(self, "call_to_extension", lambda: calling.to_extension(self))

    # ------------------------------------------------------------ troubleshooting

    def diagnose(self, *, place_call: bool = False, after_call: str | None = None) -> Diagnosis | None:
        """Find out what keeps calls from working: look at everything, change nothing, name the cause.

        On the sandbox short test calls are placed; on a live account only with place_call, as they may be billed.
        after_call: Bandwidth's id, or the Call-ID, of a call to explain; then none is placed.
        """
        from bwlib import diagnosing

        def look() -> Diagnosis:
            found = diagnosing.diagnose(self, place_call=place_call, after_call=after_call or "")
            self.made["diagnose"] = found
            found.show()
            return found

        return ask(self, "diagnose", look)

    def causes(self, about: str) -> None:
        """What the diagnosis found about one bullet of the guide: no callbacks, caller id, urls, firewall."""
        from bwlib.diagnosing import show_causes

        show_causes(self, about)

    def mend(self) -> None:
        """For each cause that Apply can mend, the card of its step; unattended, what there is to do."""
        from bwlib.diagnosing import show_mending

        show_mending(self)

    # ------------------------------------------------------------ pictures

    def capture(self, *, url: str | None = None, **shown: object) -> None:
        """Pictures of the pages that show these objects, by the names of their steps: capture(realm=realm).

        url: the page to take, where we cannot know it. A picture that cannot be had is said and written down; it fails
        no step.
        """
        from bwlib import capturing

        def take() -> None:
            there = {kind: thing or self.made.get(kind) for kind, thing in shown.items()}
            self.status["capture"] = capturing.capture(self, there, url)

        ask(self, "capture", take)

    def picture(self, source: str | Path | bytes | None = None, title: str = "") -> None:
        """Put a PNG or JPEG of your own into the record; without one, show a button to choose it with."""
        from bwlib import capturing

        capturing.picture(self, source, title, ask=self._seal_here)  # an unattended run is sealed by its runner

    # ------------------------------------------------------------ afterwards

    def undo(self, record: str | None = None) -> list[Outcome[Any]]:
        """Remove what this site's records (or the one named) say we created; report what is kept, and why."""
        return ask(self, "undo", lambda: self._undo(record)) or []

    def _undo(self, record: str | None) -> list[Outcome[Any]]:
        from bwlib.undo import undo_site

        outcomes = undo_site(self, record)
        self.status["undo"] = "pending" if any(outcome.action == "planned" for outcome in outcomes) else "passed"
        if self.writes:
            self.made.clear()
        return outcomes

    def export(self) -> None:
        """Write what to do the same with at other sites: this site's answers as a template, a table to fill in."""
        from bwlib.export import show_export

        if self._seal_here:
            ask(self, "export", lambda: show_export(self))
        else:
            show.show_text("For other sites", ["left out in an unattended run"])

    def seal(self) -> Path:
        """Close this run's record and return its folder. In an unattended run the runner does it at the end."""
        return ask(self, "seal", self._seal) or self.record.folder

    def _seal(self) -> Path:
        from bwlib.record import kernel
        from bwlib.record.closing import close

        if self._seal_here and self.record.is_sealed:
            show.show_text("Record sealed", [f"{self.record.folder} was sealed before; it does not change any more"])
        elif self._seal_here:
            with one_at_a_time(self.settings.runs_dir, self.notebook, show.show_progress):  # no step is cut in two
                show.show_progress("writing the report and sealing the record")
                kernel.write_transcripts(self.record)
                close(self.record, target=self.on.target)
            report = self.record.folder / "report.html"
            look = [f"to read and to listen to: {report}"] if report.exists() else []
            proof = f"who signed it, and whether it was changed: bw-runbook verify {self.record.folder}"
            show.show_text("Record sealed", [str(self.record.folder), *look, proof])
        else:
            show.show_text("Record goes on", [f"{self.record.folder} is sealed when the unattended run ends"])
        return self.record.folder

    # ------------------------------------------------------------ what a card's buttons need

    @contextmanager
    def clicked(self, verb: Doing | Literal["undo"], cell: object) -> Iterator[None]:
        """While a button is at work: its verb counts, not the notebook's mode. cell: its card's, for the journal."""
        before, self.undo_planned = self.doing, False
        self.doing, self.click = "apply" if verb == "undo" else verb, {"clicked": verb, "cell": cell}
        try:
            yield
        finally:
            self.doing, self.click = before, {}

    def take(self, answers: Mapping[str, Any], *, save: Collection[str] = ()) -> None:
        """Work on with these answers of a form, by dotted entry; those of the entries in `save` go into the site file.

        Also takes in what another notebook has written into the site file meanwhile. A run that was sealed meanwhile
        is left alone: what comes is written into a new one. Raises: SettingsError, and then nothing is changed.
        """
        if self._reopen is None:
            return
        given = {**self._answers, **answers}
        saved = {entry: value for entry, value in given.items() if entry in save}
        if saved:
            from bwlib.site_file import write_answers

            changed = write_answers(self.settings.path, saved)
            if changed:
                show.show_text("Saved in the site file", changed)
            self._saved |= frozenset(saved)
            given = {entry: value for entry, value in given.items() if entry not in saved}
        opened = self._reopen(given, self._saved)
        self._answers = given
        self.settings, self.on, self.record, self.secret = opened.settings, opened.on, opened.record, opened.secret
        self.waits = self.attended and self.mode == "auto" and self.settings.walk == "click"

    # ------------------------------------------------------------ how every step goes

    def step(
        self,
        name: str,
        plan: Callable[[], Outcome[T]],
        apply: Callable[[], Outcome[T]],
        verify: Callable[[], Outcome[T]] | None = None,
        **facts: object,
    ) -> Outcome[T]:
        """Plan, do or verify one step; write it down before and after, with `facts`; show it.

        verify: None when the plan says it all: nothing would change.
        """
        return stepping.do(self, name, plan, apply, verify, **facts)

    def note(self, name: str, outcome: Outcome[Any], elapsed_s: float = 0.0, **facts: object) -> None:
        """Write an outcome into the journal and show it."""
        stepping.note(self, name, outcome, elapsed_s, **facts)

    def witness(self, name: str, title: str, wanted: Mapping[str, str], **facts: object) -> Witness:
        return stepping.witness(self, name, title, wanted, **facts)

    def planned(self, title: str, what: str) -> Outcome[Any]:
        return Outcome("planned", title, None, note=f"planned, not done: {what}")

    def entrance(self) -> str:
        return "the realm and its SIP credential" if self.settings.road == "realm" else "the SIP URI and its password"

    def missing(self, title: str, what: str, notebook: str) -> Outcome[Any]:
        """A step whose ground is missing: pending when only planning, an error that names the notebook otherwise."""
        if self.doing != "plan":
            raise NotAsExpected(f"set up: {title}", f"{what} must exist first", f"run notebook {notebook} first")
        return self.planned(title, f"it needs {what}, which is not there yet")
