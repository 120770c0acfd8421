"""Asterisk's dial patterns (without the underscore) in other dialects. Pure; only patterns that `checks` admits.

X is 0 to 9, Z 1 to 9, N 2 to 9 (docs.asterisk.org, Dialplan, Pattern Matching). A + is written [+] in a regular
expression: a backslash would need another one in some of the files, and none in others.
"""

from __future__ import annotations

import re

_SETS = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]"}


def regex(pattern: str) -> str:
    """As a regular expression that POSIX and Perl read alike, without ^ and $: runs as {n}."""
    parts: list[tuple[str, int]] = []
    for element in _elements(pattern):
        part = "[+]" if element == "+" else _SETS.get(element, element)
        if parts and parts[-1][0] == part:
            parts[-1] = (part, parts[-1][1] + 1)
        else:
            parts.append((part, 1))
    return "".join(part if count == 1 else f"{part}{{{count}}}" for part, count in parts)


def ios(pattern: str) -> str:
    """As Cisco IOS writes a destination pattern: . is any digit, a + may stand in front."""
    return "".join("." if element == "X" else _SETS.get(element, element) for element in _elements(pattern))


def length(pattern: str) -> int:
    """How many characters are dialled."""
    return len(_elements(pattern))


def _elements(pattern: str) -> list[str]:
    return re.findall(r"\[[^]]*\]|.", pattern)
