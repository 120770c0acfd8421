"""Write a record's report: `report.html`, `report.pdf` and a page for each executed notebook.

Done once, when a run ends and before it is sealed. Reads only what is in the record's folder. What cannot be written
is told in the journal (kind "report"), and the rest goes on: a missing browser or a spoilt notebook is no reason to
leave a run unsealed.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwlib.errors import BrowserMissing, BwlibError, RecordError
from bwlib.record.journal import refuse_sealed
from bwlib.record.manifest import run_status
from bwlib.record.notebook_pages import notebook_page
from bwlib.record.report_facts import RunFacts, read_run
from bwlib.record.report_page import render
from bwlib.record.run_record import RunRecord

if TYPE_CHECKING:
    from playwright.sync_api import Page

log = logging.getLogger(__name__)

PDF_TIMEOUT_MS = 60_000
_FOOT = (
    "<div style=\"width:100%;margin:0 15mm;font:7pt system-ui,'DejaVu Sans',sans-serif;color:#57606a;display:flex;"
    'justify-content:space-between"><span>{name}</span><span><span class="pageNumber"></span> of '
    '<span class="totalPages"></span></span></div>'
)


def write_report(record: RunRecord) -> None:
    """Write the report of a run that has ended.

    For each file one journal line: file, status ("passed", "skipped" without a browser, "failed"), reason, elapsed_s.
    Raises: RecordError when the run is sealed already; nothing else.
    """
    refuse_sealed(record.folder)
    _one(record, "report.html", lambda: record.write_text("report.html", _page(record.folder)))
    with ThreadPoolExecutor(1) as aside:  # the browser is a program of its own; meanwhile the notebooks are written
        aside.submit(_one, record, "report.pdf", lambda: record.write_bytes("report.pdf", _pdf(record)))
        for path in sorted((record.folder / "notebooks").glob("*.ipynb")):
            _notebook(record, path)


def _notebook(record: RunRecord, path: Path) -> None:
    name = f"notebooks/{path.stem}.html"
    _one(record, name, lambda: record.write_text(name, notebook_page(path)))


def _one(record: RunRecord, file: str, write: Callable[[], Any]) -> None:
    started, status, reason = time.monotonic(), "passed", ""
    try:
        write()
    except BrowserMissing as error:
        status, reason = "skipped", f"{error.came_back}. {error.do_next}"
    except BwlibError as error:
        status, reason = "failed", error.came_back
    except Exception as error:  # whatever a spoilt file makes a library raise: the run is sealed all the same
        log.debug("%s could not be written", file, exc_info=True)
        status, reason = "failed", f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
    elapsed_s = round(time.monotonic() - started, 3)
    try:
        record.journal.append("report", file=file, status=status, reason=reason, elapsed_s=elapsed_s)
    except RecordError as error:  # a journal that cannot be written: sealing refuses it, and says so
        log.warning("%s: %s", file, error.came_back)


def _page(folder: Path, *, paper: bool = False) -> str:
    run = read_run(folder)
    return render(run, _status(folder, run), paper=paper)


def _status(folder: Path, run: RunFacts) -> str:
    """The run's own status; what a damaged journal leaves can only be called failed."""
    try:
        return str(run_status(folder))
    except (RecordError, KeyError, TypeError):  # no journal lines, or lines without the entries of their kind
        return "failed"


def _pdf(record: RunRecord) -> bytes:
    """The page for paper, redacted and printed by Chromium; tagged, with an outline, and numbered pages."""
    from bwlib.browser import with_page

    text = record.redactor.text(_page(record.folder, paper=True))
    name = record.redactor.text(f"{record.folder.parent.name} · run {record.folder.name}")

    def print_page(page: Page) -> bytes:
        page.set_default_timeout(PDF_TIMEOUT_MS)
        page.goto(source.as_uri(), wait_until="load")
        return page.pdf(
            prefer_css_page_size=True,
            print_background=True,
            tagged=True,
            outline=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=_FOOT.format(name=escape(name)),
        )

    with tempfile.TemporaryDirectory(prefix="bw-report-") as folder:
        source = Path(folder) / "report.html"
        source.write_bytes(text.encode("utf-8", "backslashreplace"))
        return with_page(print_page)
