"""What the commands of bw-runbook share: how they talk, and the arguments that several of them take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

SiteFile = Annotated[Path, typer.Argument(help="the site file, site.toml", show_default=False)]
SiteFiles = Annotated[list[Path], typer.Argument(help="the site file, site.toml; or several", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="print JSON lines on stdout; the last one is the result")]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", help="name=value, a parameter of the notebooks; repeatable")
]


def talk(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """On one line, control characters as escapes: what others wrote at Bandwidth or the PBX colours no terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
