"""The tab *By hand* of a card: what it says is worked out when it is opened, from what is at Bandwidth by then."""

from __future__ import annotations

import os
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from bwlib.by_hand_walk import (
    ByHand,
    OnPbx,
    application_by_hand,
    pbx_by_hand,
    realm_by_hand,
    sip_credential_by_hand,
)
from bwlib.errors import BwlibError, NotAsExpected
from bwlib.record import kernel
from bwlib.starting import SITE_FILE, site_path
from bwlib.wanted import found_application, kept_secrets, wanted_extension, wanted_route, wanted_trunk
from bwlib.widgets.by_hand import ByHandTab

if TYPE_CHECKING:
    from bwlib.guide import Run

_RELOAD = "In a terminal: bw-runbook sandbox reload. The sandbox's Asterisk then reads its files again."
# The callback password of the sandbox's own readback is nobody's answer, so no reference of the site file names it.
_READBACKS = "the sandbox's readback"


def tab_of(run: Run, step: str, check: Callable[[], None]) -> ByHandTab:
    """The tab of a step; `check` is what its button does."""
    return ByHandTab(
        lambda: _now(run, step),
        check=check,
        reveal=lambda widget, reference, hidden: _reveal(run, widget, reference, hidden),
        give=lambda name, data: _give(run, name, data),
    )


def _now(run: Run, step: str) -> ByHand:
    run.take({})  # the site file as it is by now
    return guide_of(run, step)


def _give(run: Run, name: str, data: bytes) -> None:
    from bwlib import capturing

    run.take({})  # into a new run, when this one was sealed meanwhile
    capturing.picture(run, data, name, ask=False)


def guide_of(run: Run, step: str) -> ByHand:
    """Where to click and what to type. Raises: NotAsExpected naming the notebook when something must exist first."""
    settings, dashboard = run.settings, run.on.pages.home
    if step == "application":
        table = settings.application
        password = table.callback_password if table.callback_url else _READBACKS
        return application_by_hand(run.on.application, dashboard=dashboard, callback_password=password)
    if step == "realm":
        return realm_by_hand(settings.realm.name, settings.realm.description, dashboard=dashboard)
    if step == "sip_credential":
        from bwlib.steps.realm import find_realm

        realm, login = find_realm(run.on.client, settings.realm.name), settings.sip_credential
        return sip_credential_by_hand(
            login.username, login.password, realm, found_application(run), dashboard=dashboard
        )
    return _on_pbx(run, step)  # type: ignore[arg-type]  # what is left are the three of the PBX


def _on_pbx(run: Run, kind: OnPbx) -> ByHand:
    trunk, route = wanted_trunk(run), wanted_route(run)
    if trunk is None or route is None:
        raise NotAsExpected(
            "say what to type on the PBX", f"{run.entrance()} must exist first", "run notebook 20_sip_credentials first"
        )
    table = run.settings.pbx
    place = table.url or (table.config_dir if run.settings.has_own_pbx else _folder_of(run))
    pbx = table.kind if table.kind in ("asterisk", "freepbx") else "any"
    more = {} if run.settings.has_own_pbx or run.on.target == "live" else {"reload": _RELOAD}
    return pbx_by_hand(kind, trunk, route, wanted_extension(run), pbx=pbx, kept=kept_secrets(run), place=place, **more)


def _folder_of(run: Run) -> str:
    """The sandbox's PBX has its files in a folder that nobody could guess."""
    return run.on.pbx().identity().get("config_dir", "")


def _reveal(run: Run, widget: Any, reference: str, hidden: Callable[[], None]) -> None:
    """Show the secret for half a minute; why it cannot be shown, where it cannot. No reference: hide it."""
    if reference and not _is_saved_redacted(run):
        widget.value = escape(f"not shown: this JupyterLab does not redact what it saves; it is kept in {reference}")
        return
    try:
        kernel.reveal(widget, _secret(run, reference) if reference else None, hidden=hidden)
    except BwlibError as error:
        widget.value = escape(f"{error.came_back}. {error.do_next}")


def _is_saved_redacted(run: Run) -> bool:
    """Whether the front end was started by `bw-runbook lab` for this very site: its save hook knows these secrets."""
    return bool(os.environ.get(SITE_FILE)) and site_path(None) == run.settings.path


def _secret(run: Run, reference: str) -> SecretStr:
    """Raises: SecretUnavailable."""
    if reference == _READBACKS:
        return run.on.application.callback_password or SecretStr("")
    return run.secret(reference)
