"""The site file and its secrets, made where they are missing: what notebook 00_start does first."""

from __future__ import annotations

import os
from pathlib import Path

from bwlib import secret_references
from bwlib.errors import SettingsError
from bwlib.settings import load_settings, starter_site_file
from bwlib.widgets import show

SITE_FILE = "BW_RUNBOOK_SITE"


def site_path(site_file: str | Path | None) -> Path:
    """The site file meant by a notebook's `site_file` parameter."""
    return Path(site_file or os.environ.get(SITE_FILE) or "site.toml").expanduser().absolute()


def start_site(
    site_file: str | Path | None = None,
    *,
    name: str = "my-site",
    target: str = "sandbox",
    road: str = "realm",
    mode: str = "auto",
    make_secrets: bool = True,
) -> list[str]:
    """Write the site file and the missing secrets it refers to; leave what exists. Returns what was done.

    mode "plan" writes nothing. make_secrets False: a missing secret is an error, as it should be in an unattended run,
    where a slip in a path must not become a new password.
    Raises: SettingsError when an existing file is wrong, SecretUnavailable when a secret is missing and not made.
    """
    path = site_path(site_file)
    done = []
    if not path.exists():
        if target not in ("sandbox", "live"):
            raise SettingsError("write a site file", f"target is {target!r}", 'type "sandbox" or "live"')
        if road not in ("realm", "sip-uri"):
            raise SettingsError("write a site file", f"road is {road!r}", 'type "realm" or "sip-uri"')
        if mode == "plan":
            return show.Lines("Site file and secrets", [f"would write {path}"])
        text = starter_site_file(
            name,
            target="live" if target == "live" else "sandbox",
            road="sip-uri" if road == "sip-uri" else "realm",
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        done.append(f"wrote {path}")
    settings = load_settings(path)
    ours = [settings.pbx.extension_secret]
    if settings.road == "realm":  # by the other road Bandwidth makes the password
        ours.insert(0, settings.sip_credential.password)
    for reference in ours:
        done.append(_have_secret(reference, settings.folder, make=make_secrets, plan=mode == "plan"))
    return show.Lines("Site file and secrets", done)


def _have_secret(reference: str, folder: Path, *, make: bool, plan: bool) -> str:
    can_be_made = reference.startswith(("file:", "keyring:"))
    if secret_references.exists(reference, folder) or not can_be_made or not make:
        secret_references.resolve(reference, folder)
        return f"{reference} is there"
    if plan:
        return f"would make a new secret in {reference}"
    secret_references.store_new(reference, folder)
    return f"made a new secret in {reference}"
