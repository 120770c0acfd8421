"""Edits of Asterisk's configuration text, as a person makes them: one option, one section, one number. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

Edit = Callable[[str], str]


def set_option(section: str, kind: str, option: str, value: str) -> Edit:
    """Give an option of the section another value; it is added below `type` when it is not there."""
    line = f"{option} = {value.replace(';', chr(92) + ';')}\n"

    def edit(body: str) -> str:
        changed, there = re.subn(rf"(?m)^{option} = .*\n", lambda _: line, body)
        return changed if there else re.sub(r"(?m)^type = .*\n", lambda match: match.group() + line, body, count=1)

    return _in_section(section, kind, edit)


def drop_option(section: str, kind: str, option: str) -> Edit:
    """Take an option out of the section."""
    return _in_section(section, kind, lambda body: re.sub(rf"(?m)^{option} = .*\n", "", body))


def drop_section(section: str, kind: str) -> Edit:
    """Take the whole section out."""
    return _in_section(section, kind, lambda body: "")


def add_section(after: str, section: str, kind: str, options: dict[str, str]) -> Edit:
    """Write a new section behind the endpoint `after`."""
    lines = [f"[{section}]", f"type = {kind}", *(f"{key} = {value}" for key, value in options.items()), "", ""]
    return _in_section(after, "endpoint", lambda body: body + "\n".join(lines))


def replace_all(pattern: str, put: str) -> Edit:
    """Replace a pattern wherever it stands; `put` may use groups."""
    return lambda text: re.sub(pattern, put, text)


def option_of(text: str, section: str, kind: str, option: str) -> str:
    """The value of an option, "" when it is not there."""
    found = re.search(_section(section, kind), text)
    value = re.search(rf"(?m)^{option} = (.*)$", found.group()) if found else None
    return value[1].replace(chr(92) + ";", ";") if value else ""


def both(first: Edit, second: Edit) -> Edit:
    return lambda text: second(first(text))


def _in_section(section: str, kind: str, edit: Edit) -> Edit:
    return lambda text: re.sub(_section(section, kind), lambda match: edit(match.group()), text, count=1)


def _section(section: str, kind: str) -> str:
    """The pattern of a section with its options, up to the next one or a marker of a block."""
    return rf"(?m)^\[{re.escape(section)}\]\ntype = {kind}\n(?:(?!\[|; <<<|; >>>).*\n)*"
