"""A settings sheet's snippets, as a person would cut them out: what stands between the scissors, by its title."""

from __future__ import annotations

import re


def snippets(sheet: str) -> dict[str, str]:
    """Title -> text of every snippet; fails for scissors that do not pair."""
    found = re.findall(r"^----8<---- (.+)\n((?:.*\n)*?)---->8----$", sheet, re.MULTILINE)
    assert len(found) == sheet.count("----8<----") == sheet.count("---->8----")
    return dict(found)
