"""What the sandbox's processes inherit from whoever starts it.

They outlive the run, often by half an hour, and secrets are given by environment (`env:` references): so only what a
program needs to run is handed on, by name, and everything else is left behind.
"""

from __future__ import annotations

from collections.abc import Mapping

# Names in full and no patterns: LC_* would also take somebody's LC_PASSWORD along.
KEPT = {
    # who and where
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP",
    "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
    # language and time
    "LANG", "LANGUAGE", "TZ", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME",
    # finding Python, libraries and certificates
    "PYTHONPATH", "PYTHONHOME", "PYTHONUTF8", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE",
    "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    # this project's own places
    "BW_RUNBOOK_HOME", "BW_RUNBOOK_CACHE",
}  # fmt: skip


def kept_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environment` that a process of the sandbox may have."""
    return {name: value for name, value in environment.items() if name in KEPT}
