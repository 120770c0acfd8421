"""open_run(): the one place that puts the parts together, and (with cli.py) the only one that knows the sandbox.

A notebook opens with it; `bw-runbook run` does so too, through the notebooks.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from bwlib import secret_references
from bwlib.errors import SecretUnavailable, SettingsError
from bwlib.guide import Opened, Run
from bwlib.live import live_surroundings
from bwlib.models import Application, SipEvent
from bwlib.own_pbx import named_sip_address, own_pbx
from bwlib.record import kernel
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, join_or_start_run, latest_steps, write_into
from bwlib.sandbox_pages import sandbox_pages
from bwlib.settings import Mode, Settings, load_settings
from bwlib.starting import site_path
from bwlib.surroundings import Recorder, Surroundings, named_application, once
from bwlib.widgets import show
from bwlib.widgets.attended import is_attended

if TYPE_CHECKING:
    from bwlib.pbx import Pbx
    from bwlib.sandbox.control import ReadbackAddress, Sandbox
    from bwlib.steps.calls import Ears

# Set by the runner for its kernels: the run to write into, sealed by the runner and not by a notebook.
RUN_FOLDER = "BW_RUNBOOK_RUN"
_MODES = ("auto", "plan", "apply")


def open_run(site_file: str | Path | None = None, *, notebook: str, mode: str = "auto", **overrides: object) -> Run:
    """Open the site's run for one notebook: check the answers, find Bandwidth and the PBX, join the record.

    site_file: None means $BW_RUNBOOK_SITE, else site.toml in the working directory. mode: auto, plan or apply.
    overrides: `realm_name="x"` style answers that win over the site file; None means "as in the site file".
    Raises: SettingsError and SecretUnavailable before anything is sent.
    """
    if mode not in _MODES:
        raise SettingsError("open a run", f"mode is {mode!r}", f"use one of {', '.join(_MODES)}")
    secret_references.refuse_values(overrides, "open a run")
    path, given, redactor = site_path(site_file), _dotted(overrides), kernel.redactor_of_kernel()
    settings = load_settings(path, given)
    record = _open_record(settings, redactor, notebook)
    _follow(settings, record, notebook)
    by_hand = RUN_FOLDER not in os.environ
    run: Run = run_on(
        settings,
        record,
        notebook=notebook,
        mode=cast(Mode, mode),
        attended=by_hand and is_attended(),
        reopen=lambda answers, saved: _reopened(run, path, given, answers, saved),
    )
    with contextlib.suppress(SecretUnavailable):  # whoever needs it says so; what can be read is known from here on
        learn_secrets(settings, record)
    _announce(run)
    return run


def _follow(settings: Settings, record: RunRecord, notebook: str) -> None:
    """From here on this kernel's cells, when run by hand, are written into the record, and its secrets stay in it."""
    by_hand, learn = RUN_FOLDER not in os.environ, partial(learn_secrets, settings, record)
    kernel.install(record, notebook, by_hand=by_hand, learn=learn)


def _announce(run: Run) -> None:
    run.record.journal.append(
        "notebook_opened",
        notebook=run.notebook,
        target=run.settings.target,
        account=run.on.account_id,
        mode=run.mode,
        operator=run.operator,
    )
    settings = run.settings
    show.show_banner(settings.target, run.on.account_id, settings.name, run.mode, str(run.record.folder))


def _reopened(
    run: Run, path: Path, given: Mapping[str, object], answers: Mapping[str, object], saved: frozenset[str]
) -> Opened:
    """What the run works on from now on: the site file as it is by now, and a new record if its own was sealed."""
    wins = {entry: value for entry, value in given.items() if entry not in saved}
    settings = load_settings(path, {**wins, **answers})
    now, was = settings.bandwidth, run.settings.bandwidth
    account = (settings.name, settings.target, now.account_id, now.sandbox_account)
    if account != (run.settings.name, run.settings.target, was.account_id, was.sandbox_account):
        raise SettingsError(
            "go on with this notebook",
            "the site's name, target or account was changed meanwhile",
            "run its cells from the top",
        )
    record = run.record
    if record.is_sealed:
        record = _open_record(settings, record.redactor, run.notebook)
    _follow(settings, record, run.notebook)
    secret = _secret_reader(settings, record.redactor)
    opened = Opened(settings, _surroundings(settings, record, secret), record, secret)
    if record is not run.record:
        run.record = record
        _announce(run)
    return opened


def _surroundings(settings: Settings, record: RunRecord, secret: Callable[[str], SecretStr]) -> Surroundings:
    build = live_surroundings if settings.target == "live" else _on_sandbox
    return build(settings, record, secret)


def run_on(settings: Settings, record: RunRecord, *, notebook: str, mode: Mode, **by_hand: Any) -> Run:
    """A run that writes into `record`, with Bandwidth and the PBX as the settings name them; no notebook is needed.

    by_hand: what only a run with somebody at the front end has, as `Run` takes it.
    """
    secret = _secret_reader(settings, record.redactor)
    return Run(
        settings,
        _surroundings(settings, record, secret),
        record,
        notebook=notebook,
        mode=mode,
        secret=secret,
        operator=operator(),
        seal_here=RUN_FOLDER not in os.environ,
        **by_hand,
    )


@contextmanager
def open_to_look(site_file: str | Path | None = None) -> Iterator[Run]:
    """A run that only reads, for a command that prints what it finds: mode plan, and no record of the site's.

    What it reads goes into a record in a temporary folder, which is gone with the block: nothing was done that
    evidence could be of. On the sandbox it starts one when none is running, as every command does.
    Raises: SettingsError and SecretUnavailable before anything is sent.
    """
    settings = load_settings(site_path(site_file))
    with tempfile.TemporaryDirectory(prefix="bw-runbook-") as folder:
        yield run_on(settings, RunRecord(Path(folder), Redactor()), notebook="", mode="plan")


def operator() -> str:
    """Who runs this, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _dotted(overrides: Mapping[str, object]) -> dict[str, object]:
    """realm_name -> realm.name, sip_credential_username -> sip_credential.username; an unknown table is refused."""
    if "road" in overrides:
        return {"road": overrides["road"], **_dotted({k: v for k, v in overrides.items() if k != "road"})}
    tables = ("sip_credential", "sip_uri", "bandwidth", "application", "realm", "pbx", "test")
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
        record = RunRecord(Path(folder), redactor)
        write_into(record)
        return record
    return join_or_start_run(
        settings.runs_dir, redactor, site=settings.name, target=settings.target, operator=operator(), notebook=notebook
    )


def learn_secrets(settings: Settings, record: RunRecord) -> None:
    """Teach a record's redactor every secret that this site has by now.

    Raises: SecretUnavailable for one that is there and cannot be read, once all others are known.
    """
    read = _secret_reader(settings, record.redactor)
    references = [
        settings.sip_credential.password,
        settings.sip_uri.password,
        settings.pbx.extension_secret,
        settings.pbx.password,
        settings.application.callback_password,
    ]
    theirs = [settings.bandwidth.client_secret, settings.pbx.ami_secret, settings.readback.token]
    # The environment is there on the sandbox too, for a careless cell to show.
    references += [one for one in theirs if settings.target == "live" or one.startswith("env:")]
    if settings.has_own_pbx:
        references.append(settings.pbx.ami_secret)
    unreadable = [fault for reference in references if (fault := _fault_in(reference, settings.folder, read))]
    if settings.target == "sandbox":
        from bwlib.sandbox import control

        sandbox = control.attach()
        sandbox = sandbox and _own_account(sandbox, settings)
        for name, secret in sandbox_secrets(sandbox) if sandbox else []:
            record.redactor.learn(name, secret)
    if unreadable:
        raise unreadable[0]
    _learn_hashes(settings, record, read)


def _fault_in(reference: str, folder: Path, read: Callable[[str], SecretStr]) -> SecretUnavailable | None:
    """Read what a reference points to, if anything; what is wrong with it."""
    try:
        if reference and not reference.startswith("prompt:") and secret_references.exists(reference, folder):
            read(reference)
    except SecretUnavailable as error:
        return error
    return None


def _learn_hashes(settings: Settings, record: RunRecord, read: Callable[[str], SecretStr]) -> None:
    """The HA1 of each password that this run's trunk may use, once the name that it is hashed with is known."""
    from bwlib.bandwidth.wire import hash1, hash1b

    steps = latest_steps(record.folder)
    fqdn = (steps.get("realm", {}).get("object") or {}).get("fqdn", "")
    uri = (steps.get("inbound_sip_uri", {}).get("object") or {}).get("uri", "")
    user, _, host = uri.removeprefix("sip:").partition("@")
    for username, realm, reference in (
        (settings.sip_credential.username, fqdn, settings.sip_credential.password),
        (settings.sip_uri.username or user, host, settings.sip_uri.password),
    ):
        if realm and not reference.startswith("prompt:") and secret_references.exists(reference, settings.folder):
            for name, hashed in (("HA1", hash1), ("HA1b", hash1b)):
                record.redactor.learn(name, hashed(username, realm, read(reference)).get_secret_value())


# ---------------------------------------------------------------- the sandbox


def _on_sandbox(settings: Settings, record: RunRecord, secret: Callable[[str], SecretStr]) -> Surroundings:
    from bwlib.bandwidth.auth import OAuth2
    from bwlib.bandwidth.client import Client
    from bwlib.readback_client import Readback
    from bwlib.sandbox import control

    sandbox = _own_account(control.start(), settings)
    address, edge = sandbox.readback, sandbox.edge
    recorder = Recorder(record)
    for name, value in sandbox_secrets(sandbox):
        record.redactor.learn(name, value)
    return Surroundings(
        target="sandbox",
        account_id=sandbox.account_id,
        number=settings.bandwidth.number or sandbox.number,
        client=Client(
            sandbox.account_id,
            auth=OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url),
            api_url=sandbox.api_url,
            voice_url=sandbox.voice_url,
            on_exchange=recorder,
        ),
        recorder=recorder,
        application=_sandbox_application(settings, address, secret),
        answer_url=f"{address.url}/answer",
        disconnect_url=f"{address.url}/disconnect",
        callback_ca=str(address.ca_file) if address.ca_file else None,
        trunk_proxy=f"{edge[0]}:{edge[1]}",
        bandwidth_ips=settings.pbx.bandwidth_ips or (edge[0],),
        pbx=once(lambda: _pbx_of(settings, sandbox, record, secret)),
        readback=Readback(address.url, address.token, address.ca_file),
        ears=_sandbox_ears(sandbox),
        sip_events=lambda since: _sip_since(sandbox, since),
        nameservers=(sandbox.dns,) if sandbox.dns else (),
        realm_lane=f"{'Realm' if settings.road == 'realm' else 'SIP URI'} (sandbox edge)",
        call_lock=sandbox.directory / "call.lock",
        why_gone=lambda: _why_gone(sandbox),
        pages=sandbox_pages(sandbox, settings.application.name),
        registrar=named_sip_address(settings) if settings.has_own_pbx else None,
    )


def _pbx_of(settings: Settings, sandbox: Sandbox, record: RunRecord, secret: Callable[[str], SecretStr]) -> Pbx:
    """The site's own PBX when its file names one: then the sandbox is Bandwidth only. Else the sandbox's."""
    return own_pbx(settings, secret) if settings.has_own_pbx else sandbox_pbx(sandbox, record, settings.name)


def _own_account(sandbox: Sandbox, settings: Settings) -> Sandbox:
    """The sandbox as the site's account sees it."""
    name = settings.bandwidth.sandbox_account
    return sandbox.account(name) if name else sandbox


def _sandbox_application(
    settings: Settings, address: ReadbackAddress, secret: Callable[[str], SecretStr]
) -> Application:
    """This project's readback, unless the site file names another callback URL."""
    table = settings.application
    if not table.callback_url:
        return Application(
            name=table.name,
            call_initiated_url=f"{address.url}/initiate",
            call_status_url=f"{address.url}/disconnect",
            callback_user=address.user,
            callback_password=address.password,
        )
    return named_application(settings, secret)


def _sandbox_ears(sandbox: Sandbox) -> Ears:
    """On the sandbox both sides can be listened to: what was sent is what must have been heard."""
    from bwlib.heard import compare, find
    from bwlib.steps.calls import Ears

    return Ears(
        by_phone=lambda call_id, recording: compare(sandbox.sent_audio(call_id), recording),
        by_bandwidth=lambda call_id, voice: find(voice, sandbox.heard_audio(call_id)),
        audio=lambda call_id: {
            "bandwidth_said": sandbox.sent_audio(call_id),
            "bandwidth_heard": sandbox.heard_audio(call_id),
        },
    )


def _why_gone(sandbox: Sandbox) -> str:
    from bwlib.sandbox import control

    now = control.attach()
    if now is None:
        return "the sandbox was stopped meanwhile"
    return "" if now.pid == sandbox.pid else "the sandbox was restarted meanwhile"


def _sip_since(sandbox: Sandbox, since: float) -> list[SipEvent]:
    return sandbox.sip_events(since=datetime.fromtimestamp(since, UTC))


def sandbox_secrets(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Every secret of the sandbox that a record could meet."""
    secrets = [
        ("sandbox client secret", sandbox.client_secret.get_secret_value()),
        ("sandbox control token", sandbox.control_token.get_secret_value()),
        ("dashboard password", sandbox.dashboard_password.get_secret_value()),
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


def sandbox_pbx(sandbox: Sandbox, record: RunRecord | None = None, site: str = "") -> Pbx:
    """The sandbox's PBX: a real Asterisk, started when it is not running. What was unpacked goes to the record."""
    from bwlib.pbx.asterisk import AsteriskPbx

    note = sandbox.get_note("pbx")
    if not note or not sandbox.pbx_alive():
        note = _start_sandbox_pbx(sandbox, note)
    if record is not None:
        record.redactor.learn("AMI secret", note["ami_secret"])
        record.journal.append("pbx_attached", product="Asterisk", version=note["version"], packages=note["packages"])
    return AsteriskPbx(
        Path(note["config_dir"]),
        note["ami_host"],
        note["ami_port"],
        note["ami_user"],
        SecretStr(note["ami_secret"]),
        site=site,
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
