"""The report in a real Chromium with the network blocked: what it asks for, whether its pictures and sounds are there,
whether it can be read on a telephone and by those who do not see colours or anything, and what the PDF says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab_person import FLAGS, SCREENSHOTS, chromium
from peers import module
from reported_run import FQDN, empty_run, good_run, notebook, step, write_notebook

from bwlib.record.report import write_report
from bwlib.record.run_record import RunRecord
from bwlib.sip.ladder import FOUR_LANES, WIDE, Layout, Row, draw_svg

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(240)]

# Every text's colour against the ground that it really stands on; WCAG 2.2 asks for 4.5, for large text 3.
TOO_FAINT = """() => {
    const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
    const light = c => {
        const v = c.slice(0, 3).map(x => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
    const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length && (c.length < 4 || c[3] > 0)) return c; } return [255, 255, 255]; };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), faint = [];
    for (let node; node = walk.nextNode();) {
        const e = node.parentElement;
        if (!node.data.trim() || e.closest('svg, style') || !e.getClientRects().length) continue;
        const style = getComputedStyle(e), size = parseFloat(style.fontSize);
        const a = light(rgb(style.color)), b = light(ground(e));
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5)) faint.push(node.data.trim().slice(0, 60));
    }
    return faint;
}"""
# What a screen reader would find nameless or out of order.
UNNAMED = """() => {
    const found = [], say = (what, e) => found.push(what + ': ' + e.outerHTML.slice(0, 80));
    const named = e => e.getAttribute('aria-label') || (e.getAttribute('aria-labelledby') || '').split(' ')
        .map(id => id && document.getElementById(id)?.textContent.trim()).filter(Boolean).join(' ');
    for (const e of document.querySelectorAll('img')) if (!e.alt) say('img without alt', e);
    for (const e of document.querySelectorAll('svg:not([aria-hidden=true])')) if (!named(e)) say('svg', e);
    for (const e of document.querySelectorAll('audio, section, [role=region], nav')) if (!named(e)) say('nameless', e);
    for (const e of document.querySelectorAll('table'))
        if (!e.caption?.textContent.trim() || !e.querySelector('th[scope]')) say('table', e);
    for (const e of document.querySelectorAll('pre, .scroll, .wide'))
        if (e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0) say('scrolls, but not by keyboard', e);
    let last = 0;
    for (const e of document.querySelectorAll('h1, h2, h3, h4, h5')) {
        const level = Number(e.tagName[1]);
        if (level > last + 1) say('heading out of order', e);
        last = level;
    }
    if (document.documentElement.lang !== 'en' || !document.title) found.push('page without language or title');
    if (document.querySelectorAll('main').length !== 1 || !document.querySelector('header')) found.push('landmarks');
    return found;
}"""
# In a drawing: texts that lie beyond its edge, and those that lie over one another.
IN_EACH_OTHERS_WAY = """() => {
    const found = [], svg = document.querySelector('svg'), edge = svg.viewBox.baseVal;
    const texts = [...svg.querySelectorAll('text')].map(e => ({said: e.textContent, b: e.getBBox()}));
    for (const {said, b} of texts)
        if (b.x < 0 || b.y < 0 || b.x + b.width > edge.width || b.y + b.height > edge.height)
            found.push("cut: " + said);
    texts.forEach((one, i) => texts.slice(i + 1).forEach(other => {
        const [a, b] = [one.b, other.b], over = (p, q, m, n) => Math.min(p + m, q + n) - Math.max(p, q);
        if (over(a.x, b.x, a.width, b.width) > 1 && over(a.y, b.y, a.height, b.height) > 1)
            found.push(one.said + ' over ' + other.said); }));
    return {found, texts: texts.length};
}"""
LOADED = """async () => {
    const sounds = [...document.querySelectorAll('audio')];
    for (const sound of sounds) if (sound.readyState < 1)
        await new Promise(done => { sound.onloadedmetadata = done; sound.onerror = done; sound.load(); });
    return {pictures: [...document.querySelectorAll('img')].map(i => i.naturalWidth),
            seconds: sounds.map(s => s.duration || 0)};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=list(FLAGS)) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    chromium()
    record = good_run(tmp_path_factory.mktemp("good"))
    write_report(record)
    return record


def look(browser: Browser, path: Path, do: Callable[[Page], Any], *, width: int = 1200, script: bool = True) -> Any:
    """Open a file of the record with the network cut off, and count every request; returns what `do` returned."""
    asked: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, java_script_enabled=script)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(path.as_uri())
        answer = do(page)
    finally:
        context.close()
    assert asked[0] == path.as_uri()
    assert [url for url in asked[1:] if not url.startswith(("data:", "blob:"))] == []
    return answer


def pdf_pages(record: RunRecord) -> list[str]:
    pypdf = module("pypdf", "pypdf")
    pages = pypdf.PdfReader(BytesIO((record.folder / "report.pdf").read_bytes())).pages
    return [" ".join(page.extract_text().split()) for page in pages]


# ---------------------------------------------------------------- its drawings


@pytest.mark.parametrize(("lanes", "layout"), [(2, WIDE), (3, WIDE), (4, FOUR_LANES), (5, FOUR_LANES)])
def test_however_long_its_words_no_text_of_a_ladder_is_cut_or_lies_over_another(
    browser: Browser, lanes: int, layout: Layout
) -> None:
    names = ["Phone 101", "PBX", "SIP URI (sandbox edge)", "The practice's own application", "2001:db8::25:5060"]
    labels = (
        "INVITE +19195550100", "INVITE +19195550100, credentials, SDP (repeat 11)",
        "✘ failed here: 488 WWWW NOT ACCEPTABLE HERE WWWW (INVITE)", "407 Proxy Authentication Required (INVITE)",
        "disconnect, cause callback-error, credentials", "OPTIONS " + "a-host-without-end." * 6,
    )  # fmt: skip
    ends = [(one, other) for one in range(lanes) for other in range(lanes)]
    rows = [Row(700 * at, *pair, labels[at % 6], "", "request") for at, pair in enumerate(ends * 2)]
    page = browser.new_page(color_scheme="dark", viewport={"width": 1400, "height": 900})
    drawn = draw_svg(names[:lanes], rows, "Call from +19105550131 to sip:191@127.0.0.1:50613 " * 2, layout=layout)
    page.set_content(f'<body style="background:#111111">{drawn}</body>')
    page.screenshot(path=SCREENSHOTS / f"ladder_{lanes}.png", full_page=True)
    told = page.evaluate(IN_EACH_OTHERS_WAY)
    page.close()
    assert told["texts"] > 2 * len(rows)
    assert told["found"] == []


# ---------------------------------------------------------------- it asks nobody


def test_the_report_asks_nobody_and_its_pictures_and_sounds_are_there(browser: Browser, good: RunRecord) -> None:
    def do(page: Page) -> Any:
        page.screenshot(path=SCREENSHOTS / "report.png", full_page=True)
        return page.evaluate(LOADED)

    loaded = look(browser, good.folder / "report.html", do)
    assert loaded == {"pictures": [40], "seconds": [0.5] * 4}


def test_it_is_whole_without_javascript_and_what_is_folded_opens(browser: Browser, good: RunRecord) -> None:
    def do(page: Page) -> None:
        page.get_by_text("1 HTTP exchange: 1 POST").click()
        page.get_by_text("/api/v2/accounts/9/realms").click()
        page.get_by_text("<Realm>demo</Realm>").wait_for()
        page.get_by_role("navigation").get_by_role("link", name="Calls").click()
        assert page.get_by_role("heading", name="The calls").is_visible()

    look(browser, good.folder / "report.html", do, script=False)


def test_a_notebooks_page_keeps_picture_and_sound_and_asks_nobody_whatever_its_outputs_want(
    browser: Browser, tmp_path: Path
) -> None:
    record = empty_run(tmp_path)
    with spy() as (address, asked):
        write_notebook(record, "10_application", address)
        write_report(record)
        page = browser.new_page()  # online: only the page itself holds back
        page.goto((record.folder / "notebooks" / "10_application.html").as_uri())
        loaded, title = page.evaluate(LOADED), page.title()
        page.screenshot(path=SCREENSHOTS / "report_notebook.png", full_page=True)
        page.evaluate("address => fetch(address, {mode: 'no-cors'}).catch(() => 0)", address)
        assert asked == []
        page.goto(address)  # the spy does hear
        page.close()
        assert asked == ["/"]
    assert sorted(loaded["pictures"]) == [0, 40]
    assert loaded["seconds"] == [0.5]
    assert title == "10_application"


@contextmanager
def spy() -> Iterator[tuple[str, list[str]]]:
    """A web server that only remembers what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/favicon.ico":
                asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


# ---------------------------------------------------------------- everybody can read it


@pytest.mark.parametrize("width", [1200, 360])
def test_the_report_can_be_read_by_everybody(browser: Browser, good: RunRecord, width: int) -> None:
    def do(page: Page) -> None:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(TOO_FAINT) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=SCREENSHOTS / f"report_{width}.png", full_page=True)

    look(browser, good.folder / "report.html", do, width=width)


def test_the_checks_of_this_file_find_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<html><body><h1>x</h1><h3>y</h3><img src=''><svg></svg><table><tr><td>z</td></tr></table>"
        "<p style='color:#999;background:#fff'>faint</p><p style='color:#777'>nearly</p></body></html>"
    )
    page = browser.new_page()
    page.goto(bad.as_uri())
    assert page.evaluate(TOO_FAINT) == ["faint", "nearly"]
    found = [line.partition(":")[0] for line in page.evaluate(UNNAMED)]
    page.close()
    assert found == [
        "img without alt", "svg", "table", "heading out of order", "page without language or title", "landmarks",
    ]  # fmt: skip


def test_a_failed_run_makes_an_equally_good_report(browser: Browser, tmp_path: Path) -> None:
    record = empty_run(tmp_path)
    notebook(record, "20_sip_credentials", "running")
    step(
        record,
        "realm",
        "failed",
        "20_sip_credentials",
        attempted="create the realm",
        came_back="HTTP 403",
        do_next="ask",
    )
    notebook(record, "20_sip_credentials", "failed", "NotEntitled in cell 9")
    notebook(record, "30_pbx", "skipped", "an earlier notebook failed")
    write_report(record)

    def do(page: Page) -> None:
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(TOO_FAINT) == []
        assert page.locator("h1").bounding_box()["y"] < 300  # type: ignore[index]
        page.screenshot(path=SCREENSHOTS / "report_failed.png", full_page=True)

    look(browser, record.folder / "report.html", do)
    assert "Realm: failed in 20_sip_credentials" in pdf_pages(record)[0]


# ---------------------------------------------------------------- the PDF


def test_the_pdf_says_what_the_page_says_tagged_and_with_an_outline(good: RunRecord) -> None:
    pages = pdf_pages(good)
    assert 4 <= len(pages) <= 14
    assert "both test calls were placed and heard" in pages[0]
    whole = " ".join(pages)
    for fact in (
        FQDN,
        "Trunk",
        "anna",
        "POST /api/v2/accounts/9/realms",
        "Realm -> Application",
        "What it does not prove",
    ):
        assert fact in whole
    assert "To be heard: audio/call_to_extension_phone_heard.wav" in whole
    pypdf = module("pypdf", "pypdf")
    pdf = pypdf.PdfReader(BytesIO((good.folder / "report.pdf").read_bytes()))
    assert pdf.trailer["/Root"]["/MarkInfo"]["/Marked"] == True  # noqa: E712 (its own type of Boolean)
    assert len(pdf.outline) >= 1
    assert [float(side) for side in pdf.pages[0].mediabox[2:]] == pytest.approx([595, 842], abs=1.5)  # A4, in points
    assert [
        page for page in pdf.pages if any("/URI" in note.get_object().get("/A", {}) for note in page.get("/Annots", []))
    ] == []


def test_making_the_pdf_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chromium()
    from bwlib import browser

    asked: list[str] = []
    only = browser._only

    def remember(route: Any, hosts: tuple[str, ...]) -> None:
        asked.append(route.request.url)
        only(route, hosts)

    monkeypatch.setattr(browser, "_only", remember)
    record = good_run(tmp_path)
    write_report(record)
    (line,) = [line for line in record.journal.lines() if line["kind"] == "report" and line["file"] == "report.pdf"]
    assert (line["status"], line["reason"]) == ("passed", "")
    assert [url.partition(":")[0] for url in asked if not url.startswith("data:")] == ["file"]
