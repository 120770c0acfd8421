"""Pictures by a real Chromium: of the real sandbox's dashboard, of a real Asterisk's configuration, and of pages that
were made to deceive. What was drawn is compared pixel by pixel where it must not depend on a secret."""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import typer
from lab_person import chromium
from peers import asterisk
from pydantic import SecretStr
from test_record_screenshots import NOWHERE, FakeRun

from bwlib import capturing, open_run, start_site
from bwlib.browser import with_page
from bwlib.cli_run import run_notebooks
from bwlib.guide import Run
from bwlib.record.journal import read_lines
from bwlib.record.redact import redactor_for
from bwlib.record.run_record import RunRecord, run_folders, start_run
from bwlib.record.screenshots import HIGHEST, Picture, Shot, capture
from bwlib.sandbox import control
from bwlib.sandbox_pages import sandbox_pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(240)]

SECRET = "correct-horse-battery"
HERE = ("127.0.0.1",)
NAME = "Trunk seven"


def pictures_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The last journal line on each step's picture."""
    lines = read_lines(folder / "journal.jsonl")
    return {line["step"]: line for line in lines if line["kind"] == "screenshot"}


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", png, 16)
    return width, height


# ---------------------------------------------------------------- the guide's three steps


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    chromium()
    asterisk()
    folder = tmp_path_factory.mktemp("home")
    before = os.environ["BW_RUNBOOK_HOME"]
    os.environ["BW_RUNBOOK_HOME"] = str(folder)
    yield folder
    os.environ["BW_RUNBOOK_HOME"] = before
    running = control.attach(folder)
    if running is not None:
        running.down()


@pytest.fixture(scope="module")
def walked(home: Path) -> Run:
    """A site on the sandbox's second account, its steps 1 to 3 done and photographed as the notebooks do it."""
    path = home / "site" / "site.toml"
    start_site(path, name="seen")
    path.write_text(path.read_text() + '\n[bandwidth]\nsandbox_account = "second"\n')
    run = open_run(path, notebook="test")
    run.capture(application=run.application())
    realm = run.realm()
    run.capture(realm=realm, sip_credential=run.sip_credential(realm))
    trunk = run.trunk()
    run.capture(trunk=trunk)
    return run


@pytest.mark.parametrize(("step", "file"), [
    ("application", "10_application"), ("realm", "20_realm"), ("sip_credential", "20_sip_credential"),
    ("trunk", "30_pbx"),
])  # fmt: skip
def test_each_of_the_guides_steps_has_its_picture(walked: Run, step: str, file: str) -> None:
    line = pictures_of(walked.record.folder)[step]
    assert (line["status"], line["reason"], line["file"]) == ("passed", "", f"screenshots/{file}.png")
    path = walked.record.folder / line["file"]
    assert size_of(path.read_bytes())[0] == 1280
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_pages_held_this_runs_names_when_they_were_taken(walked: Run) -> None:
    lines = pictures_of(walked.record.folder)
    steps = {line["step"]: line for line in walked.record.journal.lines() if line["kind"] == "step"}
    fqdn = steps["realm"]["object"]["fqdn"]
    assert lines["application"]["holds"] == [walked.settings.application.name, steps["application"]["object"]["id"]]
    assert lines["realm"]["holds"] == [fqdn, "ACTIVE"]
    assert lines["sip_credential"]["holds"] == [
        walked.settings.sip_credential.username, fqdn, walked.settings.application.name]  # fmt: skip
    assert lines["trunk"]["holds"] == [walked.settings.pbx.trunk]
    assert lines["realm"]["page"] == "/dashboard/account/sip-credentials"


def test_a_second_run_shows_the_present_configuration_and_says_no_change(walked: Run) -> None:
    walked.seal()
    run = open_run(walked.settings.path, notebook="test")
    run.capture(trunk=run.trunk())
    line = pictures_of(run.record.folder)["trunk"]
    assert (line["status"], line["holds"]) == ("passed", [walked.settings.pbx.trunk])
    assert (run.record.folder / "config" / "changes.diff").read_text() == ""
    run.seal()


def test_the_same_pictures_taken_again_take_the_place_of_the_first(walked: Run) -> None:
    run = open_run(walked.settings.path, notebook="test")
    application = run.application()
    for _ in range(2):
        run.capture(application=application)
    assert [path.name for path in (run.record.folder / "screenshots").iterdir()] == ["10_application.png"]
    run.seal()


def test_the_dashboards_password_is_nowhere_but_in_its_form(walked: Run, home: Path) -> None:
    sandbox = control.attach(home)
    assert sandbox is not None
    password = sandbox.dashboard_password.get_secret_value()
    arguments: list[str] = []

    def sign_in(page: Page) -> None:
        pages = sandbox_pages(sandbox, "")
        assert pages.sign_in is not None
        pages.sign_in(page)
        for one in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # ended meanwhile
                arguments.append(" ".join(one.cmdline()))

    record = start_run(home / "runs" / "mine", redactor_for([("dashboard password", password)]))
    shot = Shot("x", "x.png", "x", ("Applications",), url=f"{sandbox.dashboard_url}/applications")
    (taken,) = capture(record, [shot], notebook="n", hosts=HERE, sign_in=sign_in)
    assert taken.status == "passed"
    assert any("chrom" in one for one in arguments)
    assert password not in "".join(arguments)
    kept = [path for folder in (record.folder, walked.record.folder) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in kept if password.encode() in path.read_bytes()] == []


def test_a_sign_in_that_fails_is_written_down_without_what_was_typed(walked: Run, home: Path) -> None:
    sandbox = control.attach(home)
    assert sandbox is not None
    wrong = replace(sandbox, dashboard_password=SecretStr(SECRET))
    record = start_run(home / "runs" / "wrong", redactor_for([]))
    shot = Shot("x", "x.png", "x", ("Applications",), url=f"{sandbox.dashboard_url}/applications")
    (taken,) = capture(record, [shot], notebook="n", hosts=HERE, sign_in=sandbox_pages(wrong, "").sign_in)
    assert (taken.status, taken.png) == ("failed", b"")
    assert "did not let us in" in taken.reason
    assert SECRET not in record.journal.path.read_text()


def test_a_profile_that_a_person_signed_in_with_is_all_that_is_needed(walked: Run, home: Path, tmp_path: Path) -> None:
    sandbox = control.attach(home)
    assert sandbox is not None
    profile = tmp_path / "profile"
    (profile / "Default").mkdir(parents=True)
    # *On startup: Continue where you left off*: without it the browser forgets a session's cookie when it closes
    (profile / "Default" / "Preferences").write_text(json.dumps({"session": {"restore_on_startup": 1}}))
    record = start_run(home / "runs" / "profile", redactor_for([]))
    shot = Shot("x", "x.png", "x", ("Applications", "Create New"), url=f"{sandbox.dashboard_url}/applications")

    def take() -> Picture:
        return capture(record, [shot], notebook="n", hosts=HERE, profile=profile)[0]

    stranger = take()
    assert stranger.status == "failed"
    assert "/dashboard/sign-in does not hold: Applications, Create New" in stranger.reason
    sign_in = sandbox_pages(sandbox, "").sign_in
    assert sign_in is not None
    with_page(sign_in, hosts=HERE, profile=profile)
    assert take().status == "passed"


def test_without_a_browser_the_run_passes_and_the_record_says_why_there_is_no_picture(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "blind" / "site.toml"
    start_site(path, name="blind")
    for name in ("BW_BROWSER", "PATH", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.setenv(name, "/nowhere")
    with pytest.raises(typer.Exit) as ended:
        run_notebooks(path, {"mode": "apply"}, ["10_application"], as_json=False)
    assert ended.value.exit_code == 0
    (folder,) = run_folders(path.parent / "runs" / "blind")
    line = pictures_of(folder)["application"]
    assert (line["status"], line["file"]) == ("skipped", "")
    assert "no chromium" in line["reason"]
    assert "no chromium" in (folder / "notebooks" / "10_application.ipynb").read_text()


# ---------------------------------------------------------------- pages made to deceive


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    chromium()
    return start_run(tmp_path / "runs" / "x", redactor_for([("file:sip", SECRET)]))


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, str]]]:
    """A web server's address, and the pages that it shows, by path."""
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((page if page is not None else f"<h1>{NAME}</h1> is not here").encode())

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", pages
        server.shutdown()


def of(html: str, name: str = "page", *holds: str) -> Shot:
    return Shot("trunk", f"{name}.png", "x", holds or (NAME,), html=f"<h1>{NAME}</h1>{html}")


# A script puts it together, so that it stands in the script nowhere.
MADE = f"'{SECRET[:7]}' + '{SECRET[7:]}'"
LEAKS = {
    "in its text": f"<p>{SECRET}</p>",
    "across elements": "<p><b>correct</b>-horse-<i>battery</i></p>",
    "in a comment": f"<!-- {SECRET} -->",
    "in an attribute": f"<p title='{SECRET}'>x</p>",
    "in its title": f"<title>x</title><script>document.title = {MADE}</script>",
    "in a field's live value": f"<input><script>document.querySelector('input').value = {MADE}</script>",
    "in a text area": f"<textarea></textarea><script>document.querySelector('textarea').value = {MADE}</script>",
    "in a password field": f"<input type=password><script>document.querySelector('input').value = {MADE}</script>",
    "as base64": "<p>dXNlcjpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=</p>",
    "in a frame": f"<iframe id=f></iframe><script>f.contentDocument.body.textContent = {MADE}</script>",
    "in a shadow tree": f"<p id=d></p><script>d.attachShadow({{mode: 'open'}}).innerHTML = '<p>' + {MADE}</script>",
    "in a shadow tree's field": "<p id=d></p><script>d.attachShadow({mode: 'open'}).innerHTML = '<input>'; "
    f"d.shadowRoot.querySelector('input').value = {MADE}</script>",
}  # fmt: skip
# whoever's they are
ALWAYS_SECRET = {
    "token": '{"access_token": "abc123"}',
    "authorization": "Authorization: Bearer abcdefghij",
    "hash": "&lt;Hash1&gt;0123456789abcdef0123456789abcdef&lt;/Hash1&gt;",
}


def test_a_page_that_holds_a_secret_is_not_taken(record: RunRecord) -> None:
    leaks = {**LEAKS, **{kind: f"<pre>{text}</pre>" for kind, text in ALWAYS_SECRET.items()}}
    shots = [of(html, f"{number}") for number, html in enumerate(leaks.values())]
    taken = dict(zip(leaks, capture(record, [*shots, of("harmless", "good")], notebook="n"), strict=False))
    assert {what: one.reason for what, one in taken.items()} == {
        what: f"the page that was made holds a secret: {what if what in ALWAYS_SECRET else 'file:sip'}"
        for what in leaks
    }
    assert [path.name for path in (record.folder / "screenshots").iterdir()] == ["good.png"]
    assert SECRET not in record.journal.path.read_text()


def test_a_secret_in_an_address_is_not_taken_and_not_written_down(
    record: RunRecord, site: tuple[str, dict[str, str]]
) -> None:
    address, pages = site
    pages["/x"] = f"<h1>{NAME}</h1>"
    shot = Shot("x", "x.png", "x", (NAME,), url=f"{address}/x?key={SECRET}")
    (taken,) = capture(record, [shot], notebook="n", hosts=HERE)
    assert taken.reason == "the page /x holds a secret: file:sip"
    assert SECRET not in record.journal.path.read_text()


FIELDS = {
    "a password field": "<input type=password value='{}'>",
    "a password that is shown": "<label>SIP password <input type=text value='{}'></label>",
    "a field that is called a token": "<input name=apiToken value='{}'>",
    "a one-time code": "<input autocomplete=one-time-code value='{}'>",
    "a text area for a key": "<textarea aria-label='Client secret'>{}</textarea>",
    "a field in a frame": '<iframe srcdoc="<input type=password value={}>"></iframe>',
}


def test_the_pixels_of_a_covered_field_do_not_depend_on_what_it_holds(record: RunRecord) -> None:
    values = ("one", "another-and-longer-2")
    shots = [of(html.format(value), f"{n}_{value}") for n, html in enumerate(FIELDS.values()) for value in values]
    shots += [of(f"<input value='{value}'>", f"plain_{value}") for value in values]
    taken = capture(record, shots, notebook="n")
    assert {one.status for one in taken} == {"passed"}
    pairs = list(zip(taken[::2], taken[1::2], strict=True))
    assert [one.png == other.png for one, other in pairs] == [True] * len(FIELDS) + [False]


WRONG = {
    "not at all": "",
    "in what nobody sees": f"<p hidden>{NAME} 7</p><script>'{NAME} 7'</script><input type=hidden value='{NAME} 7'>",
    "in a list, not chosen": f"<select><option>none</option><option>{NAME} 7</option></select>",
    "as a part of another": f"<p>{NAME} 70, {NAME} 7-b</p>",
    "in a password field": f"<input type=password value='{NAME} 7'>",
}


def test_a_page_that_does_not_show_the_name_fails(record: RunRecord) -> None:
    taken = capture(record, [of(html, "x", f"{NAME} 7") for html in WRONG.values()], notebook="n")
    assert {what: one.reason for what, one in zip(WRONG, taken, strict=True)} == dict.fromkeys(
        WRONG, f"the page that was made does not hold: {NAME} 7"
    )
    assert not (record.folder / "screenshots").exists()


def test_a_name_may_stand_in_a_field_or_be_the_one_that_is_chosen(record: RunRecord) -> None:
    shown = [f"<input value='{NAME} 7'>", f"<select><option>no<option selected>{NAME} 7</select>", f"<b>{NAME}</b> 7"]
    taken = capture(record, [of(html, f"{n}", f"{NAME} 7") for n, html in enumerate(shown)], notebook="n")
    assert [one.reason for one in taken] == ["", "", ""]


def test_a_page_that_cannot_be_had_fails_and_says_why(record: RunRecord, site: tuple[str, dict[str, str]]) -> None:
    address, pages = site
    pages["/other"] = f"<script>location = '{address}/gone'</script>"
    urls = [f"{address}/gone", "http://127.0.0.1:9/", "http://localhost:1/", "http://[broken"]
    taken = capture(record, [Shot("x", "x.png", "x", (NAME,), url=url) for url in urls], notebook="n", hosts=HERE)
    assert [one.status for one in taken] == ["failed"] * 4
    assert taken[0].reason == "the page /gone answered with HTTP status 404"
    assert all(one.reason for one in taken)


def test_of_a_pbx_with_pages_the_named_one_is_taken_and_asks_nobody_else(
    record: RunRecord, site: tuple[str, dict[str, str]]
) -> None:
    address, pages = site
    elsewhere = address.replace("127.0.0.1", "localhost")
    pages["/trunks"] = f"<h1>Trunks</h1><p id=p>{NAME}</p><script src='{elsewhere}/x.js'></script>"
    pages["/x.js"] = "p.textContent = 'it was asked'"
    run: Any = FakeRun(record, NOWHERE)
    capturing.capture(run, {"trunk": SimpleNamespace(name=NAME)}, f"{address}/trunks")
    line = pictures_of(record.folder)["trunk"]
    assert (line["status"], line["file"], line["page"], line["holds"]) == (
        "passed", "screenshots/30_pbx.png", "/trunks", [NAME])  # fmt: skip


def test_a_page_that_builds_itself_is_waited_for(record: RunRecord) -> None:
    """The one that is not waited for would need a minute: a busy machine looks at it before, too."""
    late = "<script>setTimeout(() => document.body.append('built at last'), {})</script>"
    shots = [(of(late.format(ms), "late", "built at last"), settle_s) for ms, settle_s in ((60_000, 0), (400, 15))]
    taken = [capture(record, [shot], notebook="n", settle_s=settle_s)[0].status for shot, settle_s in shots]
    assert taken == ["failed", "passed"]


def test_a_secret_that_appears_while_the_picture_is_taken_is_noticed(record: RunRecord) -> None:
    """The covers are put over the fields just before the shutter: the page sees that and changes."""
    watching = (
        "<input type=password><script>const watch = new MutationObserver(() => { watch.disconnect(); "
        f"document.body.append('{SECRET[:7]}' + '{SECRET[7:]}'); }}); "
        "setTimeout(() => watch.observe(document, {childList: true, subtree: true}), 0)</script>"
    )
    (taken,) = capture(record, [of(watching)], notebook="n")
    assert taken.reason == "the page that was made holds a secret: file:sip"


def test_a_page_that_is_too_high_is_cut_and_says_so(record: RunRecord) -> None:
    (taken,) = capture(record, [of(f"<div style='height:{HIGHEST + 500}px'></div>")], notebook="n")
    assert size_of(taken.png) == (1280, HIGHEST)
    assert "the page goes on below" in taken.reason
