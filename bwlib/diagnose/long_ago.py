"""A call that is explained afterwards: what is configured is read now, and may have been otherwise then."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from bwlib.diagnose.scene import Scene
from bwlib.errors import BwlibError
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders

OLD_S = 300  # in less time nobody mends much, and what is done here is seen
_CHANGES = ("created", "updated", "removed")
_RELOAD_S = 2  # Asterisk tells whole seconds


def doubt(scene: Scene, at: float) -> str:
    """Why what was read may not have been so at the time of the call; "" when nothing speaks for that.

    at: when the call began, seconds since 1970, 0 when nobody says it.
    """
    if not at:
        return "it is not known when the call was placed, and what is configured was read now"
    ago_s, when = time.time() - at, f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
    if ago_s > OLD_S:
        return f"the call was placed at {when}, {_words(ago_s)} ago, and what is configured was read now"
    step = _changed_since(scene, at)
    if step:
        return f"{step} was changed after the call of {when}, and what is configured was read now"
    if scene.reloaded_at > at + _RELOAD_S:
        return f"the PBX has read its files again after the call of {when}, and they were read now"
    return ""


def seconds(iso: str | None) -> float:
    """An ISO time as seconds since 1970, 0 for none or one that cannot be read."""
    try:
        found = datetime.fromisoformat(iso or "")
    except ValueError:
        return 0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _words(ago_s: float) -> str:
    for name, length_s in (("day", 86_400), ("hour", 3_600)):
        if ago_s >= 2 * length_s:
            return f"{ago_s / length_s:.0f} {name}s"
    return f"{ago_s / 60:.0f} minutes"


def _changed_since(scene: Scene, at: float) -> str:
    """The step that this site's own runs changed since, "" for none."""
    for folder in run_folders(scene.run.settings.runs_dir)[-10:]:
        try:
            for line in read_lines(folder / "journal.jsonl"):
                changed = line.get("kind") == "step" and line.get("action") in _CHANGES
                if changed and seconds(str(line.get("at") or "")) > at:
                    return str(line["step"]).replace("_", " ")
        except (BwlibError, OSError):
            continue
    return ""
