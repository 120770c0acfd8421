"""FreePBX's pages in a real Chromium: signed in by the form, each object on its page, every password covered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from freepbx_site import A_TRUNK, ALL, PHONE_SECRET, SIP_SECRET, adapter
from freepbx_stand_in import PASSWORD, USER, FreePbx, freepbx
from memory_pbx import MemoryPbx
from peers import missing
from pydantic import SecretStr

from bwlib import capturing
from bwlib.browser import why_no_browser, with_page
from bwlib.errors import PbxRefused
from bwlib.guide import Run
from bwlib.pbx.freepbx_screens import sign_in
from bwlib.readback_tls import throw_away_certificate
from bwlib.record.image_files import cleaned
from bwlib.record.journal import read_lines
from bwlib.record.redact import redactor_for
from bwlib.record.run_record import start_run
from bwlib.steps.pbx import ensure_on_pbx

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]
VALUES = "selector => [...document.querySelectorAll(selector)].map(field => field.value)"
SECRETS = {"SIP password": SIP_SECRET, "extension secret": PHONE_SECRET, "pbx.password": PASSWORD}


def browse(do: Callable[[Page], list[str]]) -> list[str]:
    if why_no_browser():
        missing("a browser", why_no_browser())
    return with_page(do, hosts=("127.0.0.1",))


@dataclass
class Photographed:
    """A run that has photographed a FreePBX, and what the pages were before."""

    state: FreePbx
    run: Run
    lines: list[dict[str, Any]]

    def picture(self, file: str) -> bytes:
        return (self.run.record.folder / "screenshots" / file).read_bytes()


def a_run(folder: Path, pbx: Any, *, writes: bool = True) -> Run:
    """As notebook 30 has it: the steps are done, and the record knows the site's secrets."""
    on = SimpleNamespace(
        account_id="9900000",
        pbx=lambda: pbx,
        client=None,
        target="sandbox",
        recorder=SimpleNamespace(ids=[]),
        pages=SimpleNamespace(name="the dashboard", home="http://127.0.0.1", profile=None),
    )
    settings: Any = SimpleNamespace(runs_dir=folder, road="realm", pbx=SimpleNamespace(kind="freepbx"))
    redactor = redactor_for([])
    for name, secret in SECRETS.items():
        redactor.learn(name, secret)
    mode = "apply" if writes else "plan"
    record = start_run(folder, redactor)
    return Run(settings, on, record, notebook="30_pbx", mode=mode, secret=SecretStr, seal_here=False)


def photograph(run: Run) -> list[dict[str, Any]]:
    if why_no_browser():
        missing("a browser", why_no_browser())
    run.record.write_config("after", run.on.pbx().snapshot())
    capturing.capture(run, {"trunk": A_TRUNK})
    return [line for line in read_lines(run.record.journal.path) if line["kind"] == "screenshot"]


@pytest.fixture(scope="module", params=[16, 17])
def taken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photographed]:
    with freepbx(request.param) as (state, url):
        for kind, wanted in ALL:
            ensure_on_pbx(adapter(url), kind, wanted)
        posted = len(state.posted)
        run = a_run(tmp_path_factory.mktemp("runs"), adapter(url))
        lines = photograph(run)
        assert len(state.posted) == posted, "looking writes nothing"
        yield Photographed(state, run, lines)


def test_trunk_route_and_extension_are_taken_from_freepbxs_own_pages(taken: Photographed) -> None:
    told = [(line["step"], line["status"], line["reason"], line["file"], line["holds"]) for line in taken.lines]
    assert told == [
        ("trunk", "passed", "", "screenshots/30_pbx_trunk_1.png", ["bandwidth"]),
        ("trunk", "passed", "", "screenshots/30_pbx_trunk_2.png", [A_TRUNK.server]),
        ("route", "passed", "", "screenshots/30_pbx_route_1.png", ["bandwidth"]),
        ("extension", "passed", "", "screenshots/30_pbx_extension_1.png", ["101"]),
        ("trunk", "passed", "", "screenshots/30_pbx.png", ["bandwidth"]),
    ]
    assert [line["title"] for line in taken.lines][:2] == [
        "Trunk: General in FreePBX",
        "Trunk: pjsip Settings in FreePBX",
    ]
    for line in taken.lines:
        assert cleaned((taken.run.record.folder / line["file"]).read_bytes())[0] == ".png"


def test_the_browsers_session_is_ended_too(taken: Photographed) -> None:
    assert taken.state.sessions == set()


def test_no_secret_is_in_the_record_of_it(taken: Photographed) -> None:
    everything = b"".join(path.read_bytes() for path in taken.run.record.folder.rglob("*") if path.is_file())
    assert [name for name, secret in SECRETS.items() if secret.encode() in everything] == []


def test_another_secret_gives_the_same_picture_to_the_byte(taken: Photographed, tmp_path: Path) -> None:
    """Nobody can search pixels: so two trunks that differ by nothing but a secret must look alike."""
    with freepbx(taken.state.version) as (state, url):
        other = replace(A_TRUNK, password=SecretStr("another-and-a-longer-secret-0001"))
        for kind, wanted in [(ALL[0][0], other), *ALL[1:]]:
            ensure_on_pbx(adapter(url), kind, wanted)
        state.extensions["101"]["vmpwd"] = "737373"
        run = a_run(tmp_path, adapter(url))
        run.record.redactor.learn("other password", "another-and-a-longer-secret-0001")
        photograph(run)
        for file in ("30_pbx_trunk_2.png", "30_pbx_extension_1.png"):
            same = (run.record.folder / "screenshots" / file).read_bytes() == taken.picture(file)
            assert same, f"{file} differs"  # pytest's own word for two pictures that differ takes minutes


def test_the_pages_do_show_the_secrets_so_only_the_cover_keeps_them_out() -> None:
    with freepbx() as (_, url):
        for kind, wanted in ALL:
            ensure_on_pbx(adapter(url), kind, wanted)
        pages = adapter(url).pages(A_TRUNK)
        assert pages is not None
        assert [screen.kind for screen in pages.screens] == ["trunk", "trunk", "route", "extension"]

        def look(page: Page) -> list[str]:
            sign_in(page, url, USER, SecretStr(PASSWORD))
            shown: list[str] = []
            for screen in pages.screens:
                page.goto(screen.url)
                shown += page.evaluate(VALUES, ",".join(screen.cover))
            return shown

        assert {SIP_SECRET, PHONE_SECRET} <= set(browse(look))


def test_a_page_of_freepbx_that_the_operator_names_is_signed_in_to_and_covered_as_well(
    taken: Photographed, tmp_path: Path
) -> None:
    run = a_run(tmp_path, taken.run.on.pbx())
    pages = adapter(next(iter(taken.run.on.pbx().identity().values()))).pages(A_TRUNK)
    assert pages is not None
    capturing.capture(run, {"trunk": A_TRUNK}, pages.screens[0].url)
    [line] = [line for line in read_lines(run.record.journal.path) if line["kind"] == "screenshot"]
    assert (line["status"], line["reason"], line["file"]) == ("passed", "", "screenshots/30_pbx.png")
    assert taken.state.sessions == set()


def test_a_secret_that_stands_anywhere_else_on_a_page_stops_its_picture(tmp_path: Path) -> None:
    with freepbx() as (state, url):
        for kind, wanted in ALL:
            ensure_on_pbx(adapter(url), kind, wanted)
        state.trunks["1"]["media_address"] = SIP_SECRET
        run = a_run(tmp_path, adapter(url))
        lines = photograph(run)
    stopped = [line for line in lines if line["step"] == "trunk" and line["status"] == "failed"]
    assert len(stopped) == 2, "whichever tab: the page is one"
    assert all("holds a secret" in line["reason"] and not line["file"] for line in stopped)
    assert {line["status"] for line in lines if line["step"] in ("route", "extension")} == {"passed"}


def test_a_certificate_of_the_pbxs_own_is_trusted_by_its_key_and_by_no_other(tmp_path: Path) -> None:
    files = throw_away_certificate(tmp_path / "tls", "127.0.0.1")
    with freepbx(certificate=(files.certificate, files.key)) as (_, url):
        pbx = adapter(url, ca_file=str(files.ca))
        ensure_on_pbx(pbx, *ALL[0])
        lines = photograph(a_run(tmp_path / "runs", pbx))
        assert [line["status"] for line in lines] == ["passed"] * 3
        pages = pbx.pages(A_TRUNK)
        assert pages is not None

        def look(page: Page) -> list[str]:
            page.goto(pages.screens[0].url)
            return []

        with pytest.raises(Exception, match="ERR_CERT_AUTHORITY_INVALID"):
            browse(look)


def test_a_sign_in_that_is_refused_is_named() -> None:
    with freepbx() as (_, url):

        def look(page: Page) -> list[str]:
            with pytest.raises(PbxRefused, match=r"pbx\.password"):
                sign_in(page, url, USER, SecretStr("wrong-password-1"))
            return []

        browse(look)


def test_a_pbx_that_is_gone_costs_the_picture_and_nothing_else(tmp_path: Path) -> None:
    with freepbx() as (_, url):
        pbx = adapter(url)
        run = a_run(tmp_path, pbx)
    capturing.capture(run, {"trunk": A_TRUNK})
    lines = [line for line in read_lines(run.record.journal.path) if line["kind"] == "screenshot"]
    assert (lines[0]["status"], "no answer from" in lines[0]["reason"]) == ("skipped", True)


@pytest.mark.parametrize("writes", [True, False])
def test_without_pages_or_planning_only_no_browser_is_asked(tmp_path: Path, writes: bool) -> None:
    run = a_run(tmp_path, MemoryPbx() if writes else adapter("http://127.0.0.1:9"), writes=writes)
    capturing.capture(run, {"trunk": A_TRUNK})
    lines = [line for line in read_lines(run.record.journal.path) if line["kind"] == "screenshot"]
    assert [(line["step"], line["status"]) for line in lines] == [("trunk", "skipped")]
