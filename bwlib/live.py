"""A live Bandwidth account as surroundings of a run. Never run against one from here: the README says so.

Environment names are those of Bandwidth's own `band` command line.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from bwlib.browser import ANY_HOST
from bwlib.errors import SettingsError
from bwlib.own_pbx import named_sip_address, own_pbx
from bwlib.record.run_record import RunRecord
from bwlib.secret_references import is_reference
from bwlib.settings import LIVE_API_URL, LIVE_TOKEN_URL, LIVE_VOICE_URL, Settings
from bwlib.surroundings import Pages, Recorder, Surroundings, named_application, once

if TYPE_CHECKING:
    from bwlib.bandwidth.client import Client

# "dashboard.bandwidth.com": the guide PBX Interconnect, step 1.1 (read 2026-11-23). The addresses of the pages below it
# are not public, nor which hosts they load from.
LIVE_DASHBOARD_URL = "https://dashboard.bandwidth.com/"
BROWSER_PROFILE = "BW_BROWSER_PROFILE"
_SETTLE_S = 15.0


def live_surroundings(settings: Settings, record: RunRecord, secret: Callable[[str], SecretStr]) -> Surroundings:
    """Everything a run on a live account works on. Sends nothing.

    Raises: SettingsError when the account or its number is missing, SecretUnavailable.
    """
    account_id = settings.bandwidth.account_id or os.environ.get("BW_ACCOUNT_ID", "")
    if not account_id or not settings.bandwidth.number:
        raise SettingsError(
            f"open {settings.path} on a live account",
            "bandwidth.account_id is missing" if not account_id else "bandwidth.number is missing",
            "give both in the site file (BW_ACCOUNT_ID serves for the account)",
        )
    table = settings.application
    base = table.callback_url.rpartition("/")[0]
    readback, ears = _live_ears(settings, secret)
    recorder = Recorder(record)
    return Surroundings(
        target="live",
        account_id=account_id,
        number=settings.bandwidth.number,
        client=_live_client(settings, account_id, recorder, secret),
        recorder=recorder,
        application=named_application(settings, secret),
        answer_url=f"{base}/answer" if readback else table.callback_url,
        disconnect_url=table.status_url or f"{base}/disconnect",
        callback_ca=None,
        trunk_proxy=None,
        bandwidth_ips=settings.pbx.bandwidth_ips,
        pbx=once(lambda: own_pbx(settings, secret)),
        readback=readback,
        ears=ears,
        sip_events=None,
        realm_lane="Realm" if settings.road == "realm" else "SIP URI",
        call_lock=Path(tempfile.gettempdir()) / f"bw-runbook-{os.getuid()}-{account_id}.lock",
        why_gone=lambda: "",
        pages=live_pages(),
        registrar=named_sip_address(settings) if settings.pbx.ssh else None,
        called_at=(settings.pbx.sip_host, settings.pbx.sip_port),
    )


def _live_client(settings: Settings, account_id: str, recorder: Recorder, secret: Callable[[str], SecretStr]) -> Client:
    from bwlib.bandwidth.auth import BasicAuth, OAuth2
    from bwlib.bandwidth.client import Client

    account = settings.bandwidth
    api_url = os.environ.get("BW_API_URL", LIVE_API_URL)
    token_url = LIVE_TOKEN_URL if api_url == LIVE_API_URL else api_url.removesuffix("/api/v2") + "/api/v1/oauth2/token"
    named, password = account.client_id, secret(account.client_secret)
    user = secret(named).get_secret_value() if is_reference(named) else named
    return Client(
        account_id,
        auth=BasicAuth(user, password) if account.auth == "basic" else OAuth2(user, password, token_url),
        api_url=api_url,
        voice_url=os.environ.get("BW_VOICE_URL", LIVE_VOICE_URL),
        on_exchange=recorder,
    )


def _live_ears(settings: Settings, secret: Callable[[str], SecretStr]) -> tuple[Any, Any]:
    """On a live account Bandwidth's voice is not ours, so readback plays its own known clip, and that is looked for."""
    from bwlib.heard import find
    from bwlib.readback_client import Readback
    from bwlib.readback_clip import clip_pcm
    from bwlib.steps.calls import Ears

    table = settings.readback
    if not table.url:
        return None, None
    readback = Readback(table.url, secret(table.token), None)
    return readback, Ears(lambda call_id, recording: find(clip_pcm(), recording), None, lambda call_id: {})


def live_pages() -> Pages:
    """Bandwidth's own dashboard, as the browser profile in $BW_BROWSER_PROFILE is signed in to it; we store nothing.

    Signing in is a person's: chromium --user-data-dir=<folder> --password-store=basic https://dashboard.bandwidth.com,
    with *On startup: Continue where you left off* in its settings, or the session ends with the window.
    """
    named = os.environ.get(BROWSER_PROFILE, "")
    profile = Path(named).expanduser().absolute() if named else None
    if profile is None:
        why_not = f"no browser profile that is signed in to Bandwidth's dashboard (environment {BROWSER_PROFILE})"
    else:
        why_not = "" if profile.is_dir() else f"{BROWSER_PROFILE} names no folder: {profile}"
    return Pages("Bandwidth's dashboard", LIVE_DASHBOARD_URL, ANY_HOST, None, None, profile, _SETTLE_S, why_not)
