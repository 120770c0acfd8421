"""What README.md names exists: paths, make targets, commands of bw-runbook and their options."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```\n.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
SPANS = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", PROSE)]

#: made by using the project, or the reader's own
NOT_IN_THE_REPOSITORY = ("runs/", "~/", "/path/", ".venv/", "site.toml", "state.json", "out.ipynb")


def commands(program: str) -> list[str]:
    """Every `program ...` of the README, in prose and in blocks, once, without the comment after two spaces."""
    lines = [re.split(r"\s{2,}", line.strip())[0] for block in FENCED for line in block.splitlines()]
    found = (re.fullmatch(rf"(?:[A-Z_]+=\S+ )*({program} .*)", text) for text in SPANS + lines)
    return sorted({match[1] for match in found if match})


def paths() -> list[str]:
    words = {word for span in SPANS for word in span.split()}
    looks = [w for w in words if re.fullmatch(r"\.?[\w-][\w./-]*(/|\.(py|toml|yml|lock|md|ipynb|sh))|LICENSE", w)]
    return sorted(w for w in looks if not w.startswith(NOT_IN_THE_REPOSITORY))


@pytest.mark.parametrize("path", paths())
def test_every_path_exists(path: str) -> None:
    assert (PROJECT / path).exists()


@pytest.mark.parametrize("command", commands("make"))
def test_every_make_target_exists(command: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = [word for word in command.split()[1:] if "=" not in word]
    assert set(wanted) <= set(targets)


def help_of(words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    program = f"import sys; sys.argv = ['bw-runbook', *{words!r}, '--help']; from bwlib.cli import main; main()"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", commands("bw-runbook"))
def test_every_command_and_option_exists(command: str) -> None:
    words = shlex.split(command)[1:]
    names = tuple(word for word in words if re.fullmatch(r"[a-z]+", word))[:2]
    done = help_of(names)
    assert done.returncode == 0, done.stderr
    options = {word for word in words if word.startswith("--")}
    assert {option for option in options if option not in done.stdout} == set()


def test_the_first_line_names_what_a_bare_debian_lacks() -> None:
    first = README.splitlines()[0]
    assert all(package in first for package in ("make", "git", "python3-venv"))


def test_the_readme_names_enough_to_be_checked() -> None:
    """The regular expressions above still find things."""
    assert len(paths()) > 25
    assert {"make demo", "make test", "make lab"} <= set(commands("make"))
    assert len(commands("bw-runbook")) >= 8
