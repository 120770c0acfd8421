"""bw-runbook sheet: the site's own values, read at Bandwidth; nothing is written, and no secret is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli import bw_runbook

from bwlib import open_run, start_site
from bwlib.errors import SettingsError
from bwlib.guide import Run
from bwlib.pbx.products import PRODUCTS
from bwlib.sandbox import control


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BW_RUNBOOK_HOME", str(folder))
        yield folder
    running = control.attach(folder)
    if running is not None:
        running.down()


def new_site(home: Path, name: str) -> Path:
    path = home / name / "site.toml"
    start_site(path, name=name)
    return path


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    """Notebooks 10 and 20 of a site, done."""
    opened = open_run(new_site(home, "printed"), notebook="20_sip_credentials")
    opened.application()
    opened.sip_credential(opened.realm())
    return opened


def secrets_of(run: Run) -> list[str]:
    references = (run.settings.sip_credential.password, run.settings.pbx.extension_secret)
    return [run.secret(reference).get_secret_value() for reference in references]


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_list_names_every_pbx_and_needs_no_site() -> None:
    done = bw_runbook("sheet", "--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(PRODUCTS)
    rows = json.loads(bw_runbook("sheet", "--list", "--json").stdout)
    assert {row["pbx"]: row["authenticates_without_registering"] for row in rows} == {
        name: row.authenticates for name, row in PRODUCTS.items()
    }


@pytest.mark.parametrize("arguments", [("site.toml", "--pbx", "kamalio"), (), ("none.toml",)])
def test_a_wrong_name_or_site_is_refused_before_anything(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = bw_runbook("sheet", *arguments, BW_RUNBOOK_HOME=str(tmp_path))
    assert done.returncode == 6
    assert "Do next:" in done.stderr
    assert not list(tmp_path.iterdir())  # no sandbox was started for it


def test_before_there_is_a_realm_it_names_the_notebook_to_run_first(home: Path) -> None:
    site = new_site(home, "early")
    done = bw_runbook("sheet", str(site), "--pbx", "kamailio")
    assert (done.returncode, done.stdout) == (9, "")
    assert "20_sip_credentials" in done.stderr
    assert not (site.parent / "runs").exists()


def test_it_prints_what_is_at_bandwidth_and_writes_nothing(run: Run) -> None:
    fqdn = run.on.client.list_realms()[0].fqdn
    before = files_below(run.settings.folder)
    done = bw_runbook("sheet", str(run.settings.path), "--pbx", "kamailio")
    assert done.returncode == 0, done.stderr
    for value in (fqdn, run.on.number, run.settings.sip_credential.password, run.settings.pbx.extension_secret):
        assert value in done.stdout
    assert [secret for secret in secrets_of(run) if secret in done.stdout + done.stderr] == []
    assert files_below(run.settings.folder) == before


def test_it_speaks_json(run: Run) -> None:
    said = json.loads(bw_runbook("sheet", str(run.settings.path), "--pbx", "freeswitch", "--json").stdout)
    assert (said["pbx"], said["label"]) == ("freeswitch", "FreeSWITCH")
    assert '<param name="register" value="false"/>' in said["sheet"]


def test_a_password_that_differs_from_bandwidths_gives_no_sheet(home: Path) -> None:
    """A person would type it in, and every call would fail."""
    opened = open_run(new_site(home, "differs"), notebook="20_sip_credentials")
    opened.application()
    opened.sip_credential(opened.realm())
    (opened.settings.folder / "secrets" / "sip_password").write_text("another-password-than-before")
    done = bw_runbook("sheet", str(opened.settings.path))
    assert (done.returncode, done.stdout) == (9, "")


@pytest.mark.parametrize("pbx", PRODUCTS)
def test_the_sheet_in_the_record_holds_no_secret(run: Run, pbx: str, capsys: pytest.CaptureFixture[str]) -> None:
    run.settings_sheet(pbx)
    kept = (run.record.folder / "settings_sheet.txt").read_text()
    shown = capsys.readouterr().out
    assert PRODUCTS[pbx].label in kept
    assert [secret for secret in secrets_of(run) if secret in kept + shown] == []
    assert "«" not in kept  # nor was one there to be masked


def test_an_unknown_pbx_is_refused_before_the_record_hears_of_it(run: Run) -> None:
    before = files_below(run.record.folder)
    with pytest.raises(SettingsError, match="3cx"):
        run.settings_sheet("4cx")
    assert files_below(run.record.folder) == before


def test_an_unattended_run_refuses_it_before_the_first_notebook(home: Path) -> None:
    site = new_site(home, "unattended")
    done = bw_runbook("run", str(site), "-p", "pbx_sheet=4cx")
    assert done.returncode == 6
    assert "4cx" in done.stderr
    assert not (site.parent / "runs").exists()
