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
    from bwlib.training.desk import open_lab

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
    "open_lab",
    "open_run",
    "start_site",
]

_HOMES = {"open_lab": "bwlib.training.desk", "open_run": "bwlib.run", "start_site": "bwlib.starting"}


def __getattr__(name: str) -> object:
    """These three at their first use: what they stand on takes a third of a second, `--help` none of it."""
    if name in _HOMES:
        import importlib

        found: object = getattr(importlib.import_module(_HOMES[name]), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
