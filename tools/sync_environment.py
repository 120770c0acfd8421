"""Derives environment.yml (the conda way in) from pyproject.toml: python tools/sync_environment.py [--check]

conda gets ranges for the packages that people expect to have from conda; everything else comes through pip from
pyproject itself. So conda = ranges, `make` = exact versions and hashes. Standard library only.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENT = PROJECT / "environment.yml"

#: taken from conda-forge, where they have the same names; in this order
FROM_CONDA = ("jupyterlab", "ipywidgets", "httpx", "papermill", "pandas", "nbval")

HEADER = """\
# Derived from pyproject.toml by tools/sync_environment.py (`make lock`); do not edit.
#   conda env create -f environment.yml
#   conda run --no-capture-output -n bw-runbook bw-runbook demo
"""


def environment_text(pyproject: dict[str, Any]) -> str:
    """The whole file, for the parsed pyproject.toml given."""
    project = pyproject["project"]
    ranges = named_ranges(project["dependencies"] + pyproject["dependency-groups"]["dev"])
    conda = [f"python {project['requires-python']}", "pip"]
    conda += [f"{name} {ranges[name]}" for name in FROM_CONDA]
    extras = ",".join(project["optional-dependencies"])
    lines = [f"name: {project['name']}", "channels:", "  - conda-forge", "  - nodefaults", "dependencies:"]
    lines += [f"  - {spec}" for spec in conda]
    lines += ["  - pip:", f"      - -e .[{extras}]"]
    return HEADER + "\n".join(lines) + "\n"


def named_ranges(requirements: list[str]) -> dict[str, str]:
    """{"httpx": ">=0.28,<0.29"} of ["httpx>=0.28,<0.29"]."""
    pairs = (re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[.*\])?\s*([^;]*?)\s*(?:;.*)?", line) for line in requirements)
    return {match[1]: match[2].replace(" ", "") for match in pairs if match}


def main(arguments: list[str]) -> int:
    wanted = environment_text(tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8")))
    if "--check" in arguments:
        if ENVIRONMENT.read_text(encoding="utf-8") == wanted:
            return 0
        print("environment.yml does not follow from pyproject.toml. Do next: make lock", file=sys.stderr)
        return 1
    ENVIRONMENT.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
