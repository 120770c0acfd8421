"""Show results in a notebook: a card in HTML and, always beside it, the same in plain text.

Only shows; it never calls Bandwidth or a PBX. Colour is never alone: every status has a sign and a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from bwlib.models import Difference, Outcome, Webhook

_SIGNS = {
    "passed": "✔",
    "pending": "…",
    "failed": "✘",
    "skipped": "–",
}
_COLOURS = {"passed": "#1a6b33", "pending": "#6b4e00", "failed": "#9b1c1c", "skipped": "#444444"}


def show_banner(target: str, account: str, site: str, mode: str, record: str) -> None:
    """Say, above everything else, on what this notebook works: SANDBOX or LIVE, which account, which record."""
    live = target == "live"
    word = "LIVE ACCOUNT" if live else "SANDBOX"
    colour = "#9b1c1c" if live else "#1a4f8b"
    what = (
        "writes to a real Bandwidth account"
        if live and mode == "apply"
        else "plans only"
        if live
        else "nothing leaves this machine"
    )
    text = f"{word} · {what} · site {site} · account {account} · mode {mode} · record {record}"
    text = _one_line(text)
    _display(
        f'<div role="note" style="border-left:6px solid {colour};padding:.5em .8em;font-family:sans-serif">'
        f'<strong style="color:{colour}">{word}</strong> · {escape(what)} · site <code>{escape(site)}</code> · '
        f"account <code>{escape(account)}</code> · mode <code>{escape(mode)}</code><br>"
        f"<small>record <code>{escape(record)}</code></small></div>",
        text,
    )


def show_outcome(outcome: Outcome[Any], status: str, elapsed_s: float) -> None:
    """A step's result: status, what was done, the object's facts, the differences."""
    facts = object_facts(outcome.found)
    title = f"{_SIGNS[status]} {outcome.title}: {outcome.action} ({status}, {elapsed_s:.1f} s)"
    lines = [title]
    if outcome.note:
        lines.append(f"  {outcome.note}")
    if facts:
        lines += ["  as read back:", *(f"    {name}: {value}" for name, value in facts.items())]
    if outcome.differences:
        lines.append("  differences (field: found -> wanted):")
        lines += [f"    {row.field}: {row.found} -> {row.wanted}" for row in outcome.differences]
    colour = _COLOURS[status]
    html = [
        f'<div style="border-left:6px solid {colour};padding:.4em .8em;font-family:sans-serif">'
        f'<strong style="color:{colour}">{escape(title)}</strong>'
    ]
    if outcome.note:
        html.append(f"<div>{escape(outcome.note)}</div>")
    if facts:
        html.append(_table(("field", "value"), [(name, value) for name, value in facts.items()], "as read back"))
    if outcome.differences:
        html.append(_differences_table(outcome.differences))
    html.append("</div>")
    _display("".join(html), "\n".join(map(_one_line, lines)))


def show_text(title: str, lines: Sequence[str]) -> None:
    """A titled list of lines."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    _display(
        f'<div style="font-family:sans-serif"><strong>{escape(title)}</strong><ul>{items}</ul></div>',
        "\n".join(_one_line(line) for line in [title, *(f"  {line}" for line in lines)]),
    )


def show_webhooks(webhooks: Iterable[Webhook]) -> None:
    """The webhooks of a call in order: event, its telling fields, what the application answered."""
    rows = [
        (hook.at.strftime("%H:%M:%S.%f")[:-3], hook.event_type, webhook_facts(hook), str(hook.answer_status))
        for hook in webhooks
    ]
    _display(
        '<div style="font-family:sans-serif">'
        + _table(("time (UTC)", "webhook", "says", "answered"), rows, "webhooks in order")
        + "</div>",
        "\n".join(
            [
                "webhooks in order (time (UTC), webhook, says -> answered):",
                *(_one_line(f"  {time}  {event:<12} {says}  -> {answered}") for time, event, says, answered in rows),
            ]
        ),
    )


def webhook_facts(hook: Webhook) -> str:
    """The fields of a webhook that a person looks for first."""
    names = ("from", "to", "digits", "cause", "errorMessage", "direction")
    return ", ".join(f"{name} {hook.body[name]}" for name in names if hook.body.get(name))


def show_ladder(svg: str, text: str) -> None:
    """A SIP ladder as a picture, with its plain-text twin."""
    _display(f'<figure style="margin:0;overflow-x:auto">{svg}</figure>', text)


def show_audio(name: str, wav: bytes) -> None:
    """An audio player for what was heard; the sound travels inside the notebook."""
    from IPython import get_ipython
    from IPython.display import Audio, display

    if get_ipython() is None:
        print(f"{name}: {len(wav)} bytes of WAV")
        return
    _display(f"<div>{escape(name)}</div>", name)
    display(Audio(data=wav))  # type: ignore[no-untyped-call]


def show_progress(text: str) -> None:
    """One line that says what is being waited for."""
    print(text, flush=True)


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


def _differences_table(rows: Iterable[Difference]) -> str:
    return _table(("field", "found", "wanted"), [(row.field, row.found, row.wanted) for row in rows], "differences")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    header = "".join(f'<th scope="col" style="text-align:left">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(str(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def _one_line(text: str) -> str:
    """The text with control characters as escapes: nobody's name may begin a line or colour a terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _display(html: str, text: str) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:  # a plain Python process: a person reads text there
        print(text)
        return
    display({"text/html": html, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]
