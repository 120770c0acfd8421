"""What JupyterLab, started by `bw-runbook lab`, calls before it saves: the site's secrets meet `bwlib.record.jupyter`.

The site is the one in BW_RUNBOOK_SITE. Its secrets are read anew at each save (a few milliseconds), and what was known
once stays known.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from bwlib.record.journal import read_lines
from bwlib.record.jupyter import PastedPictures
from bwlib.record.jupyter import pre_save as redact_model
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, run_folders


def pre_save(*, model: dict[str, Any], path: str, **_: Any) -> None:
    """Jupyter's `FileContentsManager.pre_save_hook`."""
    redact_model(model, path, lambda: _redactor_now(_site_file()))
    _give_pictures(model)


def _site_file() -> Path:
    from bwlib.starting import site_path

    return site_path(None)


@cache
def _redactor() -> Redactor:
    return Redactor()


@cache
def _pasted() -> PastedPictures:
    return PastedPictures()


def _redactor_now(site_file: Path) -> Redactor:
    """Before there is a site file there are no secrets of a site.

    Raises: SettingsError, SecretUnavailable.
    """
    if site_file.exists():
        from bwlib.run import learn_secrets
        from bwlib.settings import load_settings

        settings = load_settings(site_file)
        newest = run_folders(settings.runs_dir)[-1:] or [settings.runs_dir]
        learn_secrets(settings, RunRecord(newest[0], _redactor()))
    return _redactor()


def _give_pictures(model: dict[str, Any]) -> None:
    """To the site's open run by hand, if there is one."""
    content = model.get("content")
    cells = content.get("cells", []) if isinstance(content, dict) else []
    record = _open_run(_site_file()) if any(cell.get("attachments") for cell in cells) else None
    if record is not None:
        from bwlib.run import operator

        _pasted().give({"cells": cells}, record, operator())


def _open_run(site_file: Path) -> RunRecord | None:
    from bwlib.settings import load_settings

    if not site_file.exists():
        return None
    for folder in reversed(run_folders(load_settings(site_file).runs_dir)):
        record = RunRecord(folder, _redactor())
        first = next(read_lines(folder / "journal.jsonl"), {})
        if first.get("interactive") and not record.is_sealed:
            return record
    return None
