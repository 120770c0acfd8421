"""What a run changed in the PBX's configuration, as a unified diff and as a page to look at.

Reads the record's own copies, config/before and config/after, whose secrets were masked before they were written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bwlib.record.run_record import RunRecord
from bwlib.record.screenshots import Shot, lacking

DIFF = "config/changes.diff"
NO_CHANGE = "No change: before and after this run the configuration is the same."
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_NO_NEWLINE = "\\ No newline at end of file"
_STYLE = """
body { margin: 0; padding: 28px 36px; background: #fff; color: #1f2328; font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 24px; margin: 0 0 4px } h2 { font-size: 17px; margin: 26px 0 6px } p { margin: 4px 0 }
code, td { font-family: "DejaVu Sans Mono", "Liberation Mono", monospace }
table { border-collapse: collapse; width: 100%; border: 1px solid #c4c9cf; table-layout: fixed }
th { text-align: left; font-weight: 600; font-size: 13px; padding: 3px 8px; background: #eef0f2 }
td { font-size: 13px; line-height: 1.45; padding: 0 8px; vertical-align: top }
td.number { text-align: right; color: #57606a } td.text { white-space: pre-wrap; overflow-wrap: anywhere }
tr.added td { background: #e3f5e6 } tr.removed td { background: #fde8e6 } tr.gap td { background: #eef0f2 }
tr.added .word { color: #1a6b33; font-weight: 600 } tr.removed .word { color: #9b1c1c; font-weight: 600 }
"""
_COLUMNS = '<col style="width:64px"><col style="width:64px"><col style="width:104px"><col>'
_SIGNS = {"added": "+ added", "removed": "− removed", "same": "", "gap": ""}


@dataclass(frozen=True)
class Line:
    """A line of a file's difference: kind is added, removed, same or gap; its numbers before and after, "" for none."""

    kind: str
    before: str
    after: str
    text: str


@dataclass(frozen=True)
class FileChange:
    """One file that differs: `what` is "new file", "file removed" or "changed"."""

    name: str
    what: str
    diff: str

    def lines(self) -> list[Line]:
        lines: list[Line] = []
        before = after = 0
        for text in self.diff.split("\n")[2:-1]:
            hunk = _HUNK.match(text)
            if hunk:
                before, after = int(hunk[1]), int(hunk[2])
                if lines:
                    lines.append(Line("gap", "", "", "⋯"))
            elif text.startswith("+"):
                lines.append(Line("added", "", str(after), text[1:]))
                after += 1
            elif text.startswith("-"):
                lines.append(Line("removed", str(before), "", text[1:]))
                before += 1
            elif text.startswith(" "):
                lines.append(Line("same", str(before), str(after), text[1:]))
                before, after = before + 1, after + 1
        return lines

    def count(self, kind: str) -> int:
        return sum(line.kind == kind for line in self.lines())


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[FileChange]:
    """The files that differ, by name."""
    changed = []
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        what = "new file" if name not in before else "file removed" if name not in after else "changed"
        old = f"before/{name}" if name in before else "/dev/null"
        new = f"after/{name}" if name in after else "/dev/null"
        compared = difflib.unified_diff(_lines(before.get(name, "")), _lines(after.get(name, "")), old, new)
        changed.append(FileChange(name, what, "".join(compared)))
    return changed


def _lines(text: str) -> list[str]:
    """Lines as `diff` and `patch` take them: only a newline ends one, and where the last one is missing they say so."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += f"\n{_NO_NEWLINE}\n"
    return lines


def picture_of(record: RunRecord, trunk: str, *, step: str, file: str, title: str) -> Shot | None:
    """Write config/changes.diff, and give the picture to be taken of it; None when the record has no copies.

    trunk: its name must be seen in the configuration itself, so the page says it nowhere else. Where the difference
    does not show it, the files that name it stand below as they are now.
    """
    before, after = (_copies(record, when) for when in ("before", "after"))
    if not after:
        return None
    changed = changes(before, after)
    record.write_text(DIFF, "".join(change.diff for change in changed))
    present = _naming(after, trunk) if lacking("".join(change.diff for change in changed), [trunk]) else {}
    page = _page(changed, present)
    return Shot(step=step, file=file, title=title, must_hold=(trunk,), html=page, page=DIFF)


def _copies(record: RunRecord, when: str) -> dict[str, str]:
    folder = record.folder / "config" / when
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    texts = {path.relative_to(folder).as_posix(): path.read_bytes().decode("utf-8", errors="replace") for path in paths}
    return {name: record.redactor.text(text) for name, text in texts.items()}


def _naming(files: Mapping[str, str], name: str) -> dict[str, str]:
    return {file: text for file, text in files.items() if not lacking(text, [name])}


# ---------------------------------------------------------------- the page


def _page(changed: Sequence[FileChange], present: Mapping[str, str]) -> str:
    added, removed = (sum(change.count(kind) for change in changed) for kind in ("added", "removed"))
    said = (
        f"{_many(len(changed), 'file')} changed: {_many(added, 'line')} added, {_many(removed, 'line')} removed."
        if changed
        else f"<strong>{NO_CHANGE}</strong>"
    )
    parts = [_changed_file(change) for change in changed]
    parts += [_present_file(name, text) for name, text in present.items()]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>PBX configuration</title>'
        f"<style>{_STYLE}</style></head><body><h1>PBX configuration, before and after this run</h1><p>{said}</p>"
        f"<p>Secrets are not shown.</p>{''.join(parts)}</body></html>"
    )


def _changed_file(change: FileChange) -> str:
    counts = f"{_many(change.count('added'), 'line')} added, {_many(change.count('removed'), 'line')} removed"
    return _file(change.name, f"{change.what}: {counts}", change.lines())


def _present_file(name: str, text: str) -> str:
    lines = text.removesuffix("\n").split("\n")
    numbered = [Line("same", str(number), str(number), line) for number, line in enumerate(lines, start=1)]
    return _file(name, "as it is now", numbered)


def _file(name: str, what: str, lines: Sequence[Line]) -> str:
    head = "".join(f'<th scope="col">{word}</th>' for word in ("before", "after", "", "line"))
    rows = "".join(
        f'<tr class="{line.kind}"><td class="number">{line.before}</td><td class="number">{line.after}</td>'
        f'<td class="word">{_SIGNS[line.kind]}</td><td class="text">{escape(line.text)}</td></tr>'
        for line in lines
    )
    title = f"<h2><code>{escape(name)}</code> – {escape(what)}</h2>"
    return f"{title}<table><colgroup>{_COLUMNS}</colgroup><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
