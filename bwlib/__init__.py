"""bw-runbook: a guided, provable runbook that wires a PBX to Bandwidth Programmable Voice.

    from bwlib import open_run
    run = open_run("site.toml", notebook="10_application")
    run.application()

What is not named here is a part; parts live where the README's map of the code says.
"""

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
from bwlib.run import open_run, start_site

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
