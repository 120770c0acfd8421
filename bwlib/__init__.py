"""bw-runbook: a guided, provable runbook that wires a PBX to Bandwidth Programmable Voice.

    from bwlib import open_run
    run = open_run("site.toml", notebook="10_application")
    run.application()

What is not named here is a part; parts live where the README's map of the code says.
"""

from __future__ import annotations

import typing as _typing

from bwlib.errors import (
    BandwidthError,
    BwlibError,
    NotAsExpected,
    NotAuthenticated,
    NotEntitled,
    PbxError,
    PbxRefused,
    PbxUnreachable,
    RecordError,
    Refused,
    SecretUnavailable,
    SettingsError,
    StepError,
    StillPending,
    Unavailable,
)

if _typing.TYPE_CHECKING:
    from bwlib.run import open_run
    from bwlib.starting import start_site

__all__ = [
    "BandwidthError",
    "BwlibError",
    "NotAsExpected",
    "NotAuthenticated",
    "NotEntitled",
    "PbxError",
    "PbxRefused",
    "PbxUnreachable",
    "RecordError",
    "Refused",
    "SecretUnavailable",
    "SettingsError",
    "StepError",
    "StillPending",
    "Unavailable",
    "open_run",
    "start_site",
]


def __getattr__(name: str) -> object:
    """open_run and start_site at their first use: what they stand on takes a third of a second, `--help` none of it."""
    if name in ("open_run", "start_site"):
        import importlib

        home = importlib.import_module("bwlib.run" if name == "open_run" else "bwlib.starting")
        found: object = getattr(home, name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
