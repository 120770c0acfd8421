"""open_run(): the one place that puts the parts together, and (with cli.py) the only one that knows the sandbox.

A notebook opens with it; `bw-runbook run` does so too, through the notebooks.
"""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from bwlib import secret_references
from bwlib.errors import SettingsError
from bwlib.guide import Run, Surroundings
from bwlib.models import Application, Exchange, SipEvent
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, join_or_start_run, latest_steps
from bwlib.settings import (
    LIVE_API_URL,
    LIVE_TOKEN_URL,
    LIVE_VOICE_URL,
    Mode,
    Settings,
    load_settings,
    starter_site_file,
)
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.pbx import Pbx
    from bwlib.sandbox.control import Sandbox

# Set by the runner for its kernels: the run to write into, sealed by the runner and not by a notebook.
RUN_FOLDER = "BW_RUNBOOK_RUN"
SITE_FILE = "BW_RUNBOOK_SITE"
_MODES = ("auto", "plan", "apply")


def open_run(site_file: str | Path | None = None, *, notebook: str, mode: str = "auto", **overrides: object) -> Run:
    """Open the site's run for one notebook: check the answers, find Bandwidth and the PBX, join the record.

    site_file: None means $BW_RUNBOOK_SITE, else site.toml in the working directory. mode: auto, plan or apply.
    overrides: `realm_name="x"` style answers that win over the site file; None means "as in the site file".
    Raises: SettingsError and SecretUnavailable before anything is sent.
    """
    if mode not in _MODES:
        raise SettingsError("open a run", f"mode is {mode!r}", f"use one of {', '.join(_MODES)}")
    settings = load_settings(site_path(site_file), _dotted(overrides))
    redactor = Redactor()
    secret = _secret_reader(settings, redactor)
    record = _open_record(settings, redactor, notebook)
    build = _on_live if settings.target == "live" else _on_sandbox
    surroundings = build(settings, record, secret)
    chosen: Mode = "plan" if mode == "plan" else "apply" if mode == "apply" else "auto"
    run = Run(
        settings,
        surroundings,
        record,
        notebook=notebook,
        mode=chosen,
        secret=secret,
        seal_here=RUN_FOLDER not in os.environ,
    )
    record.journal.append(
        "notebook_opened",
        notebook=notebook,
        target=settings.target,
        account=surroundings.account_id,
        mode=mode,
        operator=operator(),
        site_file=str(settings.path),
    )
    show.show_banner(settings.target, surroundings.account_id, settings.name, mode, str(record.folder))
    return run


def site_path(site_file: str | Path | None) -> Path:
    """The site file meant by a notebook's `site_file` parameter."""
    return Path(site_file or os.environ.get(SITE_FILE) or "site.toml").expanduser().absolute()


def start_site(site_file: str | Path | None = None, *, name: str = "my-site", target: str = "sandbox") -> list[str]:
    """Write the site file and the missing secrets it refers to; leave what exists. Returns what was done.

    Raises: SettingsError when an existing file is wrong, or a secret is missing that cannot be made (env:).
    """
    path = site_path(site_file)
    done = []
    if not path.exists():
        if target not in ("sandbox", "live"):
            raise SettingsError("write a site file", f"target is {target!r}", 'type "sandbox" or "live"')
        text = starter_site_file(name, target="live" if target == "live" else "sandbox")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        done.append(f"wrote {path}")
    settings = load_settings(path)
    for reference in (settings.sip_credential.password, settings.pbx.extension_secret):
        if secret_references.exists(reference, settings.folder):
            secret_references.resolve(reference, settings.folder)
            done.append(f"{reference} is there")
        else:
            secret_references.store_new(reference, settings.folder)
            done.append(f"made a new secret in {reference}")
    return done or ["everything was there already"]


def operator() -> str:
    """Who runs this, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _dotted(overrides: Mapping[str, object]) -> dict[str, object]:
    """realm_name -> realm.name, sip_credential_username -> sip_credential.username; an unknown table is refused."""
    tables = ("sip_credential", "bandwidth", "application", "realm", "pbx", "test")
    dotted = {}
    for name, value in overrides.items():
        table = next((table for table in tables if name.startswith(table + "_")), None)
        if table is None:
            raise SettingsError(
                "open a run", f"unknown parameter {name}", f"use <table>_<entry>, with a table of: {', '.join(tables)}"
            )
        dotted[f"{table}.{name.removeprefix(table + '_')}"] = value
    return dotted


def _secret_reader(settings: Settings, redactor: Redactor) -> Callable[[str], SecretStr]:
    """Resolve a reference, and teach the redactor what came out before anybody else sees it."""

    def read(reference: str) -> SecretStr:
        value = secret_references.resolve(reference, settings.folder)
        redactor.learn(reference, value.get_secret_value())
        return value

    return read


def _open_record(settings: Settings, redactor: Redactor, notebook: str) -> RunRecord:
    folder = os.environ.get(RUN_FOLDER)
    if folder:
        return RunRecord(Path(folder), redactor)
    return join_or_start_run(
        settings.runs_dir, redactor, site=settings.name, target=settings.target, operator=operator(), notebook=notebook
    )


def _recorder(record: RunRecord) -> Callable[[Exchange], None]:
    lock = threading.Lock()

    def write(exchange: Exchange) -> None:
        with lock:
            record.append_exchange(exchange)

    return write


def learn_secrets(settings: Settings, record: RunRecord) -> None:
    """Teach a record's redactor every secret that this site has by now: the runner's half of what kernels learn."""
    from bwlib.bandwidth.wire import hash1, hash1b

    read = _secret_reader(settings, record.redactor)
    references = [
        settings.sip_credential.password,
        settings.pbx.extension_secret,
        settings.application.callback_password,
    ]
    if settings.target == "live":
        references += [settings.bandwidth.client_secret, settings.pbx.ami_secret, settings.readback.token]
    for reference in references:
        if reference and not reference.startswith("prompt:") and secret_references.exists(reference, settings.folder):
            read(reference)
    made = latest_steps(record.folder).get("realm", {}).get("object") or {}
    if made.get("fqdn") and secret_references.exists(settings.sip_credential.password, settings.folder):
        password = read(settings.sip_credential.password)
        for name, hashed in (("HA1", hash1), ("HA1b", hash1b)):
            value = hashed(settings.sip_credential.username, made["fqdn"], password)
            record.redactor.learn(name, value.get_secret_value())
    if settings.target == "sandbox":
        from bwlib.sandbox import control

        sandbox = control.attach()
        for name, secret in sandbox_secrets(sandbox) if sandbox else []:
            record.redactor.learn(name, secret)


# ---------------------------------------------------------------- the sandbox


def _on_sandbox(settings: Settings, record: RunRecord, secret: Callable[[str], SecretStr]) -> Surroundings:
    from bwlib.bandwidth.auth import OAuth2
    from bwlib.bandwidth.client import Client
    from bwlib.heard import compare, find
    from bwlib.readback_client import Readback
    from bwlib.sandbox import control
    from bwlib.steps.calls import Ears

    sandbox = control.start()
    address = sandbox.readback
    for name, value in sandbox_secrets(sandbox):
        record.redactor.learn(name, value)
    ca_file = str(address.ca_file) if address.ca_file else None
    client = Client(
        sandbox.account_id,
        auth=OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url),
        api_url=sandbox.api_url,
        voice_url=sandbox.voice_url,
        on_exchange=_recorder(record),
    )
    table = settings.application
    own = not table.callback_url
    application = Application(
        name=table.name,
        call_initiated_url=table.callback_url or f"{address.url}/initiate",
        call_status_url=table.status_url or (f"{address.url}/disconnect" if own else None),
        callback_user=address.user if own else table.callback_user or None,
        callback_password=address.password if own else secret(table.callback_password) if table.callback_user else None,
    )
    edge = sandbox.edge
    return Surroundings(
        target="sandbox",
        account_id=sandbox.account_id,
        number=settings.bandwidth.number or sandbox.number,
        client=client,
        application=application,
        answer_url=f"{address.url}/answer",
        disconnect_url=f"{address.url}/disconnect",
        callback_ca=ca_file,
        trunk_proxy=f"{edge[0]}:{edge[1]}",
        bandwidth_ips=settings.pbx.bandwidth_ips or (edge[0],),
        pbx=_once(lambda: sandbox_pbx(sandbox, record)),
        readback=Readback(address.url, address.token, address.ca_file),
        ears=Ears(
            by_phone=lambda call_id, recording: compare(sandbox.sent_audio(call_id), recording),
            by_bandwidth=lambda call_id, voice: find(voice, sandbox.heard_audio(call_id)),
            audio=lambda call_id: {
                "bandwidth_said": sandbox.sent_audio(call_id),
                "bandwidth_heard": sandbox.heard_audio(call_id),
            },
        ),
        sip_events=lambda since: _sip_since(sandbox, since),
        realm_lane="Realm (sandbox edge)",
    )


def _sip_since(sandbox: Sandbox, since: float) -> list[SipEvent]:
    return sandbox.sip_events(since=datetime.fromtimestamp(since, UTC))


def sandbox_secrets(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Every secret of the sandbox that a record could meet."""
    secrets = [
        ("sandbox client secret", sandbox.client_secret.get_secret_value()),
        ("sandbox control token", sandbox.control_token.get_secret_value()),
    ]
    if sandbox.readback_address is not None:
        secrets += [
            ("callback password", sandbox.readback_address.password.get_secret_value()),
            ("readback token", sandbox.readback_address.token.get_secret_value()),
        ]
    note = sandbox.get_note("pbx")
    if note:
        secrets.append(("AMI secret", note["ami_secret"]))
    return secrets


def sandbox_pbx(sandbox: Sandbox, record: RunRecord | None = None) -> Pbx:
    """The sandbox's PBX: a real Asterisk, started when it is not running. What was unpacked goes to the record."""
    from bwlib.pbx.asterisk import AsteriskPbx

    note = sandbox.get_note("pbx")
    if not note or not sandbox.pbx_alive():
        note = _start_sandbox_pbx(sandbox, note)
    if record is not None:
        record.redactor.learn("AMI secret", note["ami_secret"])
        record.journal.append("pbx_attached", product="Asterisk", version=note["version"], packages=note["packages"])
    return AsteriskPbx(
        Path(note["config_dir"]), note["ami_host"], note["ami_port"], note["ami_user"], SecretStr(note["ami_secret"])
    )


def _start_sandbox_pbx(sandbox: Sandbox, last: Mapping[str, Any] | None) -> dict[str, Any]:
    from bwlib.pbx.asterisk_bundle import obtain
    from bwlib.sandbox import pbx as stage_of

    binary = obtain(show.show_progress)
    stage = stage_of.write_base_config(
        sandbox.directory / "pbx",
        binary,
        **stage_of.ports_of_last_time(last),
    )
    sandbox.start_pbx(stage.argv, stage.env, stage.cwd, stage.root / "log" / "console")
    stage_of.wait_until_ready(stage, alive=sandbox.pbx_alive)
    note = {
        "config_dir": str(stage.config_dir),
        "sip": list(stage.sip),
        "ami_host": stage.ami_host,
        "ami_port": stage.ami_port,
        "ami_user": stage.ami_user,
        "ami_secret": stage.ami_secret.get_secret_value(),
        "version": f"{stage.version} ({stage.origin})",
        "packages": [vars(package) for package in binary.packages],
    }
    sandbox.put_note("pbx", note)
    return note


# ---------------------------------------------------------------- a live account


def _on_live(settings: Settings, record: RunRecord, secret: Callable[[str], SecretStr]) -> Surroundings:
    from bwlib.bandwidth.auth import BasicAuth, OAuth2
    from bwlib.bandwidth.client import Client

    account = settings.bandwidth
    account_id = account.account_id or os.environ.get("BW_ACCOUNT_ID", "")
    if not account_id or not account.number:
        raise SettingsError(
            f"open {settings.path} on a live account",
            "bandwidth.account_id is missing" if not account_id else "bandwidth.number is missing",
            "give both in the site file (BW_ACCOUNT_ID serves for the account)",
        )
    api_url = os.environ.get("BW_API_URL", LIVE_API_URL)
    token_url = LIVE_TOKEN_URL if api_url == LIVE_API_URL else api_url.removesuffix("/api/v2") + "/api/v1/oauth2/token"
    user, password = secret(account.client_id), secret(account.client_secret)
    client = Client(
        account_id,
        auth=BasicAuth(user.get_secret_value(), password)
        if account.auth == "basic"
        else OAuth2(user.get_secret_value(), password, token_url),
        api_url=api_url,
        voice_url=os.environ.get("BW_VOICE_URL", LIVE_VOICE_URL),
        on_exchange=_recorder(record),
    )
    table = settings.application
    base = table.callback_url.rpartition("/")[0]
    readback, ears = _live_ears(settings, secret)
    return Surroundings(
        target="live",
        account_id=account_id,
        number=account.number,
        client=client,
        application=Application(
            name=table.name,
            call_initiated_url=table.callback_url,
            call_status_url=table.status_url or None,
            callback_user=table.callback_user or None,
            callback_password=secret(table.callback_password) if table.callback_user else None,
        ),
        answer_url=f"{base}/answer" if readback else table.callback_url,
        disconnect_url=table.status_url or f"{base}/disconnect",
        callback_ca=None,
        trunk_proxy=None,
        bandwidth_ips=settings.pbx.bandwidth_ips,
        pbx=_once(lambda: _live_pbx(settings, secret)),
        readback=readback,
        ears=ears,
        sip_events=lambda since: [],
        realm_lane="Realm",
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


def _live_pbx(settings: Settings, secret: Callable[[str], SecretStr]) -> Pbx:
    from bwlib.pbx.asterisk import AsteriskPbx

    table = settings.pbx
    return AsteriskPbx(Path(table.config_dir), table.ami_host, table.ami_port, table.ami_user, secret(table.ami_secret))


def _once(make: Callable[[], Pbx]) -> Callable[[], Pbx]:
    """Call `make` at the first need and keep what it gave."""
    made: list[Pbx] = []

    def get() -> Pbx:
        if not made:
            made.append(make())
        return made[0]

    return get
