"""Show results in a notebook: a card in HTML and, always beside it, the same in plain text.

Only shows; it never calls Bandwidth or a PBX. Colour is never alone: every status has a sign and a word.
"""

from __future__ import annotations

import base64
import io
import uuid
import wave
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bwlib.errors import BwlibError
from bwlib.models import NUMBER_HEADER, Outcome, Webhook
from bwlib.widgets import card
from bwlib.widgets.place import Place

if TYPE_CHECKING:
    from bwlib.doctor import Check
    from bwlib.record.report_facts import HttpExchange

_CHECKS = {"ok": "passed", "optional": "skipped", "missing": "failed"}
# What the facts of a card are, where they are not an object that was read back after writing it.
_FACTS = {"passed": "what was found", "planned": "what is there now", "removed": "what it was", "kept": "what it is"}


def show_banner(target: str, account: str, site: str, mode: str, record: str) -> None:
    """Say, above everything else, on what this notebook works: SANDBOX or LIVE, which account, which record."""
    live = target == "live"
    word = "LIVE ACCOUNT" if live else "SANDBOX"
    colour = card.RED if live else card.BLUE
    what = (
        "writes to a real Bandwidth account"
        if live and mode == "apply"
        else "plans only"
        if live
        else "plans only; nothing leaves this machine"
        if mode == "plan"
        else "nothing leaves this machine"
    )
    html = card.chip("", word, colour) + card.heading(what)
    for name, value in (("site", site), ("account", account), ("mode", mode)):
        html += f" · {card.quiet(name)} {card.code(value)}"
    html += f'<div style="margin-top:.25em">{card.quiet("record")} {card.code(record)}</div>'
    _display(
        card.frame(html, colour, "note"),
        one_line(f"{word} · {what} · site {site} · account {account} · mode {mode} · record {record}"),
    )


def show_outcome(outcome: Outcome[Any], status: str, elapsed_s: float) -> None:
    """A step's result: status, what was done, the object's facts, the differences."""
    _close_progress()
    sign, colour = card.STATUS[status]
    done = "" if outcome.action == status else outcome.action
    facts, of = object_facts(outcome.found), _FACTS.get(outcome.action, "as read back")
    rows = [(row.field, row.found, row.wanted) for row in outcome.differences]
    seconds = f"{elapsed_s:.1f} s"
    lines = [f"{sign} {outcome.title}: " + (f"{done} ({status}, {seconds})" if done else f"{status} ({seconds})")]
    html = card.chip(sign, status, colour) + card.heading(outcome.title)
    html += (f" · {card.heading(done)}" if done else "") + f" · {card.quiet(seconds)}"
    if outcome.note:
        lines.append(f"  {outcome.note}")
        html += card.line(outcome.note)
    if facts:
        lines += [f"  {of}:", *(f"    {name}: {value}" for name, value in facts.items())]
        html += card.facts(facts.items(), of)
    if rows:
        lines.append("  differences (field: found -> wanted):")
        lines += [f"    {name}: {found} -> {wanted}" for name, found, wanted in rows]
        html += _differences(rows, new=outcome.action == "created")
    _display(card.frame(html, colour, status=status), "\n".join(map(one_line, lines)))


def _differences(rows: Sequence[tuple[str, str, str]], new: bool) -> str:
    """A table; folded away for a new object, of which every field was absent, and is told above."""
    head = ("field", "found", "wanted")
    return card.folded("differences", card.table(head, rows, "")) if new else card.table(head, rows, "differences")


def show_text(title: str, lines: Sequence[str]) -> None:
    """A titled list of lines."""
    _display(*_text_card(title, lines))


def show_facts(title: str, facts: Mapping[str, str], note: str = "", links: Collection[str] = ()) -> None:
    """Names and values under a title. links: names of the values that are addresses to open."""
    lines = [title, *([f"  {note}"] if note else []), *(f"  {name}: {value}" for name, value in facts.items())]
    html = card.heading(title) + (card.line(note) if note else "") + card.facts(facts.items(), "", links=links)
    _display(card.frame(html), "\n".join(map(one_line, lines)))


def show_html(html: str, text: str) -> None:
    """What another module of this package has put together: HTML of its own making, and the same in words."""
    _display(html, text)


def show_sheet(title: str, sheet: str) -> None:
    """A text whose columns count, as it is."""
    lines = sheet.splitlines()
    _display(
        card.frame(card.heading(title) + card.preformatted("\n".join(map(one_line, lines)))),
        "\n".join(one_line(line) for line in [title, *(f"  {line}" for line in lines)]),
    )


def show_checks(title: str, checks: Sequence[Check]) -> None:
    """What `bw-runbook doctor` found: what is there, what is missing, and the line that mends it."""
    lines, rows = [title], []
    for check in checks:
        sign = card.STATUS[_CHECKS[check.status]][0]
        found = check.found + (f" Do next: {check.fix}" if check.fix else "")
        rows.append((f"{sign} {check.status}", check.name, found))
        lines.append(f"  {sign} {check.status}  {check.name}: {found}")
    _display(card.frame(card.heading(title) + card.table(("status", "what", "found"), rows, "")), "\n".join(lines))


def show_exchanges(exchanges: Sequence[HttpExchange]) -> None:
    """The HTTP exchanges behind a step, one click away: a line for each, and on its own click what was sent and came.

    They are redacted already. The text twin has the lines; the bodies are in the record's http.jsonl.
    """
    if not exchanges:
        return
    lines = [_exchange_line(one) for one in exchanges]
    summary = f"the exchange behind it ({len(lines)} requests)" if len(lines) > 1 else "the exchange behind it"
    parts = [_exchange_html(one, line) for one, line in zip(exchanges, lines, strict=True)]
    html = card.folded(summary, "".join(parts))
    _display(html, "\n".join([f"{summary}:", *(one_line(f"  {line}") for line in lines)]))


def _exchange_line(one: HttpExchange) -> str:
    came = str(one.status) if one.status else one.error or "no answer"
    return f"{one.method} {one.path} → {came}, {one.elapsed_ms:.0f} ms"


def _exchange_html(one: HttpExchange, line: str) -> str:
    bodies = [(name, body) for name, body in (("sent", one.request_body), ("came back", one.response_body)) if body]
    if not bodies:
        return card.line(line)
    return card.folded(line, "".join(card.line(name) + card.preformatted(body) for name, body in bodies))


def show_webhooks(webhooks: Iterable[Webhook]) -> None:
    """The webhooks of a call in order: event, its telling fields, what the application answered."""
    rows = [
        (hook.at.strftime("%H:%M:%S.%f")[:-3], hook.event_type, webhook_facts(hook), str(hook.answer_status))
        for hook in webhooks
    ]
    _display(
        card.frame(card.table(("time (UTC)", "webhook", "says", "answered"), rows, "webhooks in order")),
        "\n".join(
            [
                "webhooks in order (time (UTC), webhook, says -> answered):",
                *(one_line(f"  {time}  {event:<12} {says}  -> {answered}") for time, event, says, answered in rows),
            ]
        ),
    )


def webhook_facts(hook: Webhook) -> str:
    """The fields of a webhook that a person looks for first."""
    names = ("from", "to", "digits", "cause", "errorMessage", "direction")
    facts = [f"{name} {hook.body[name]}" for name in names if hook.body.get(name)]
    if hook.dialled not in ("", hook.body.get("to")):
        facts.append(f"{NUMBER_HEADER} {hook.dialled}")
    return ", ".join(facts)


def show_ladder(svg: str, text: str) -> None:
    """A SIP ladder as a picture, with its plain-text twin."""
    _display(figure(svg), text)


def show_drawing(svg: str, text: str) -> None:
    """A picture that we have drawn, with its plain-text twin."""
    _display(figure(svg), text)


def figure(svg: str) -> str:
    """A drawing as HTML: as wide as there is room."""
    return f'<figure style="margin:.3em 0;overflow-x:auto">{svg}</figure>'


class Live:
    """One output of a cell that is written anew as something goes on. May be called from a thread.

    Outside a notebook only its end is printed.
    """

    def __init__(self) -> None:
        self._display_id = uuid.uuid4().hex
        self._shown = False
        self._place = _places[-1] if _places else None  # below a card it is a part of what the card shows
        self._part = -1

    def update(self, html: str, text: str) -> None:
        """Show it as it is by now."""
        from IPython import get_ipython
        from IPython.display import display

        if self._place is not None:
            self._update_part(self._place, html, text)
            return
        if get_ipython() is None:
            return
        bundle = {"text/html": html, "text/plain": text}
        display(bundle, raw=True, display_id=self._display_id, update=self._shown)  # type: ignore[no-untyped-call]
        self._shown = True

    def end(self, html: str, text: str) -> None:
        """Show it for good."""
        from IPython import get_ipython

        if get_ipython() is None and self._place is None:
            print(text)
            return
        self.update(html, text)

    def _update_part(self, place: Place, html: str, text: str) -> None:
        if self._part < 0:
            self._part = place.add(html, text)
        else:
            place.change(self._part, html, text)


def show_audio(name: str, wav: bytes) -> None:
    """An audio player for what was heard; the sound travels inside the notebook."""
    with wave.open(io.BytesIO(wav)) as sound:
        label = f"{name} ({sound.getnframes() / sound.getframerate():.1f} s)"
    url = "data:audio/wav;base64," + base64.b64encode(wav).decode("ascii")
    _display(card.player(label, url), one_line(f"{label}, an audio file of {len(wav)} bytes"))


def show_picture(title: str, status: str, reason: str, holds: Sequence[str], image: bytes, place: str) -> None:
    """A picture of a page, or why there is none. holds: what the page said; place: where the picture is kept."""
    sign, colour = card.STATUS[status]
    lines = [f"{sign} {title}: {status}"]
    html = card.chip(sign, status, colour) + card.heading(title)
    if reason:
        lines.append(f"  {reason}")
        html += card.line(reason)
    if image:
        facts = [("page held", ", ".join(holds)), ("in the record", place)]
        lines += [f"  {name}: {value}" for name, value in facts if value]
        html += card.facts([(name, value) for name, value in facts if value], "")
        html += card.picture(f"Picture: {title}", _data_url(image))
    _display(card.frame(html, colour, status=status), "\n".join(map(one_line, lines)))


def _data_url(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(image).decode("ascii")


@dataclass
class _Progress:
    """The progress lines of one cell, shown in one place that is written anew with each line."""

    cell: int
    display_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    lines: list[str] = field(default_factory=list)


_progress: list[_Progress] = []  # at most one: the cell that runs


def show_progress(text: str) -> None:
    """Say what is being waited for: the newest line in a cell's one place for it; the text twin keeps them all."""
    from IPython import get_ipython

    if _places:
        _places[-1].tell(one_line(text))
        return
    shell = get_ipython()
    if shell is None:
        print(text, flush=True)
        return
    cell = int(getattr(shell, "execution_count", 0))
    if not _progress or _progress[0].cell != cell:
        _progress[:] = [_Progress(cell)]
    _progress[0].lines.append(one_line(text))
    _write_progress(f"… {_progress[0].lines[-1]}")


def _close_progress() -> None:
    """Fold the lines away: the step has ended, its card says how."""
    if _places:
        _places[-1].fold()
    elif _progress:
        _write_progress("what happened meanwhile")
        _progress.clear()


def _write_progress(summary: str) -> None:
    from IPython.display import display

    now = _progress[0]
    bundle = {
        "text/html": card.folded(summary, "".join(card.line(line) for line in now.lines)),
        "text/plain": "\n".join(f"… {line}" for line in now.lines),
    }
    display(bundle, raw=True, display_id=now.display_id, update=len(now.lines) > 1 or not summary.startswith("…"))  # type: ignore[no-untyped-call]


class Lines(list[str]):
    """Lines of text that a notebook shows as a card with a title, when they are a cell's last expression."""

    def __init__(self, title: str, lines: Iterable[str]) -> None:
        super().__init__(lines)
        self.title = title

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        html, text = _text_card(self.title, self)
        return {"text/html": html, "text/plain": text}


def object_facts(found: object) -> dict[str, str]:
    """An object's public facts for people: no secret, nothing empty."""
    if found is None:
        return {}
    if isinstance(found, Mapping):
        pairs = dict(found)
    else:
        pairs = {name: getattr(found, name) for name in getattr(found, "__dataclass_fields__", {})}
    shown = {}
    for name, value in pairs.items():
        if "SecretStr" in type(value).__name__ or value in (None, "", ()):
            continue
        shown[name] = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return shown


def _text_card(title: str, lines: Sequence[str]) -> tuple[str, str]:
    text = "\n".join(one_line(line) for line in [title, *(f"  {line}" for line in lines)])
    return card.frame(card.heading(title) + "".join(map(card.line, lines))), text


def one_line(text: str) -> str:
    """The text with control characters as escapes: nobody's name may begin a line or colour a terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def show_fault(error: BaseException) -> None:
    """An error where no cell fails by it: its three sentences, or its name when it is none of ours."""
    _close_progress()
    if isinstance(error, BwlibError):
        facts = [("attempted", error.attempted), ("came back", error.came_back), ("do next", error.do_next)]
    elif isinstance(error, KeyboardInterrupt):
        facts = [("came back", "interrupted"), ("do next", "press the button again: it looks first, and goes on")]
    else:
        facts = [("came back", f"{type(error).__name__}: {error}"), ("do next", "read the kernel's log, and report it")]
    name = "Interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
    sign, colour = card.STATUS["failed"]
    html = card.chip(sign, "failed", colour) + card.heading(name) + card.facts(facts, "", plain=True)
    lines = [f"{sign} {name}: failed", *(f"  {what}: {said}" for what, said in facts)]
    _display(card.frame(html, colour, role="alert", status="failed"), "\n".join(map(one_line, lines)))


_places: list[Place] = []  # the last one takes what is shown


@contextmanager
def into(place: Place) -> Iterator[None]:
    """Within the block everything is shown in this place, cleared first."""
    place.clear()
    _places.append(place)
    try:
        yield
    finally:
        place.fold()
        _places.remove(place)


def _display(html: str, text: str) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if _places:
        _places[-1].add(html, text)
        return
    if get_ipython() is None:  # a plain Python process: a person reads text there
        print(text)
        return
    display({"text/html": html, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]
