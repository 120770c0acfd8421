"""The cards of the notebooks: when one is shown, what its buttons do.

Unattended nothing of this is seen: a cell does what its mode says. With somebody at the front end each step has a card;
with `walk = "click"` in the site file a cell then does nothing until a button is pressed. What a card asks for is in
`bwlib.asking_words`, how it looks in `bwlib.widgets.step_card`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from bwlib import secret_references
from bwlib.asking_by_hand import tab_of
from bwlib.asking_words import CARDS, TIPS, VERBS, Asked, Verb
from bwlib.entries import answer_of, fault_in
from bwlib.look import NAMED_BY
from bwlib.overview_now import known_now
from bwlib.record import kernel
from bwlib.record.overview_parts import Known
from bwlib.record.run_record import running_cell
from bwlib.widgets import show
from bwlib.widgets.step_card import CHECK, Answers, Button, StepCard

if TYPE_CHECKING:
    from bwlib.guide import Run

T = TypeVar("T")

# What only shows something proves nothing: its card has no badge.
_SHOWN = ("answers", "overview", "diagnose")
# What is about the run as it is: a sealed one is not gone on from.
_OF_THIS_RUN = ("seal", "overview", "export")
# A step's status -> the word in its card's badge.
_BADGES = {"pending": "planned", "passed": "passed", "skipped": "skipped", "failed": "failed"}


def ask(run: Run, step: str, do: Callable[[], T], *, waits: bool = True) -> T | None:
    """Do the step as the cell's mode says, with a card where somebody can press its buttons; what it is about.

    do: the step's own method, which looks at the run anew each time it is called. waits False: it only shows
    something, also where cells wait for a click.
    """
    if not run.attended or CARDS[step].road not in ("", run.settings.road):
        return do()
    card = card_of(run, step, do)
    card.show()
    if run.waits and waits:
        made: T | None = run.made.get(step)
        return made
    with card.as_cell(lambda: badge(run, step)):
        return do()


def offer(run: Run, step: str, do: Callable[[], object]) -> None:
    """The step's card, which does nothing until a button is pressed."""
    card_of(run, step, do).show()


def card_of(run: Run, step: str, do: Callable[[], object]) -> StepCard:
    """The card of a step; where it is pressed from is this cell, also later."""
    cell = running_cell(run.record, run.notebook)
    asked = CARDS[step] if run.cards.setdefault(step, cell) == cell else _once_more(CARDS[step])
    words = (*asked.buttons, CHECK) if asked.by_hand else asked.buttons
    buttons = [_button(run, step, word, partial(_press, run, step, VERBS[word], cell, do)) for word in words]
    return StepCard(
        step,
        asked.title,
        buttons,
        entries=asked.entries,
        values=lambda: {entry.name: answer_of(run.settings, entry.name) for entry in asked.entries},
        check=fault_in,
        state=state_of(run, step),
        by_hand=partial(tab_of, run, step) if asked.by_hand else None,
    )


def _once_more(asked: Asked) -> Asked:
    """A notebook's second cell for the same step only looks again: its form is above."""
    return replace(asked, buttons=("Plan",) if asked is CARDS["undo"] else ("Verify",), entries=(), by_hand=False)


def _button(run: Run, step: str, word: str, do: Callable[[Answers], str]) -> Button:
    writes = VERBS[word] in ("apply", "undo") and step not in ("answers", "export", "capture", "seal")
    live = run.on.target == "live" and writes
    confirm = f"This writes to the LIVE account {run.on.account_id}." if live else ""
    planned_only = run.mode == "plan" and (writes or step in ("answers", "export"))
    tip = 'The notebook\'s parameter says mode = "plan": nothing is written' if planned_only else TIPS[word]
    return Button(word, tip, do, confirm, needs_form=VERBS[word] != "undo", disabled=planned_only)


def _press(run: Run, step: str, verb: Verb, cell: object, do: Callable[[], object], answers: Answers) -> str:
    """What a button does; the word for the badge. Errors go to the card, which shows them."""
    with run.clicked(verb, cell):
        kernel.learn_now()
        if step not in _OF_THIS_RUN:
            own = {entry.name for entry in CARDS[step].entries} if verb == "apply" else set()
            run.take(answers, save=own)
        run.status.pop(step, None)
        try:
            with secret_references.without_prompts():
                return _undo(run, step) if verb == "undo" else _do(run, step, do)
        finally:
            kernel.learn_now()


def _do(run: Run, step: str, do: Callable[[], object]) -> str:
    do()
    return badge(run, step)


def badge(run: Run, step: str) -> str:
    """The word for how the step ended; what writes no status down has ended well when it raised nothing."""
    if step in _SHOWN:
        return ""
    if CARDS[step].road not in ("", run.settings.road):
        return "skipped"
    return _BADGES.get(run.status.get(step, "passed"), "passed")


def _undo(run: Run, step: str) -> str:
    from bwlib.undo import undo_site

    outcomes = undo_site(run, None, only=(step,))
    run.made.pop(step, None)
    return "skipped" if any(outcome.action == "kept" for outcome in outcomes) else "not done yet"


def show_answers(run: Run) -> None:
    """What counts for this site, as the site file and its defaults say it. Secrets are named, not shown."""
    entries = ["name", "target", "road", "walk", "application.name", "realm.name", "sip_credential.username"]
    entries += ["pbx.kind", "pbx.trunk", "pbx.route", "pbx.extension", "test.dial"]
    facts = {entry: str(answer_of(run.settings, entry)) for entry in entries}
    facts["bandwidth.number"] = run.on.number
    show.show_facts("This site's answers", facts, str(run.settings.path))


def state_of(run: Run, step: str) -> tuple[str, str]:
    """What is already true, by the site's records: (word for the badge, when and by whom)."""
    if step not in NAMED_BY and not step.startswith("call_"):
        return ("" if step in _SHOWN else "not done yet"), ""
    known = known_now(run.settings, run.on.account_id).get(step, Known())
    if known.state == "failed":
        return "failed", f"{known.when}: {known.reason}"
    return ("passed", f"{known.when}; verify again?") if known.state == "proven" else ("not done yet", known.when)
