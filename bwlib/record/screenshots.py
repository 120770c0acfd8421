"""Pictures of the pages that a run talks about, taken by a browser; and pictures that a person gives.

Nobody can look for a secret in pixels afterwards, so all that can be done is done before: the page must hold this run's
names, what can hold a secret is covered, and the page's text, its fields' live values and its title are searched for
what the record's redactor knows. A finding means: no picture. What somebody drew, photographed or put into an image or
a canvas is seen by none of this; a picture that a person gives is that person's responsibility.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bwlib.browser import with_page
from bwlib.errors import BrowserMissing, BwlibError, SettingsError
from bwlib.record.image_files import cleaned
from bwlib.record.journal import refuse_sealed
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord

if TYPE_CHECKING:
    from playwright.sync_api import Frame, Locator, Page

FOLDER = "screenshots"
WIDTH, HEIGHT = 1280, 600  # CSS pixels; a picture is as high as its page, and at least so high
HIGHEST = 16_000  # Chromium draws nothing more below 16,384 pixels
_COVER = "#5f6368"
_LOOK_AGAIN_MS = 250

_WORDS = ("password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "api-key", "api_key", "hash")
_ATTRIBUTES = ("name", "id", "placeholder", "aria-label")
#: fields that may hold a secret: by their type, by what a browser may fill in, by what they are called
COVERED = ", ".join(
    (
        'input[type="password" i]',
        'input[autocomplete*="password" i]',
        'input[autocomplete="one-time-code" i]',
        *(f':is(input, textarea)[{name}*="{word}" i]' for name in _ATTRIBUTES for word in _WORDS),
    )
)
_COVERED_LABEL = re.compile("|".join(_WORDS), re.I)

# What a frame holds, shadow trees too. `shown` is what a person reads in its fields, of a list only what is chosen.
_SEEN = """() => {
    const seen = {text: [], hidden: [], values: [], shown: []};
    const visible = (element) => !element.checkVisibility || element.checkVisibility();
    const walk = (root) => {
        for (const part of root === document ? [document.documentElement] : root.children) {
            let text = part.innerText || '';
            for (const list of part.querySelectorAll('select')) text = text.replace(list.innerText, ' ');
            seen.text.push(text);
            seen.hidden.push(part.textContent, part.innerText || '', root === document ? '' : part.outerHTML);
        }
        for (const element of root.querySelectorAll('*')) {
            if (element.matches('input, textarea, select')) {
                seen.values.push(String(element.value));
                const chosen = element.selectedOptions && [...element.selectedOptions].map(one => one.text).join(' ');
                if (visible(element) && element.type !== 'password') seen.shown.push(chosen ?? element.value);
            }
            if (element.shadowRoot) walk(element.shadowRoot);
        }
    };
    walk(document);
    return seen;
}"""
# A field's value is in its property and in its attribute, a textarea's in its text.
_EMPTY = """(selector) => {
    for (const field of document.querySelectorAll(selector)) {
        field.textContent = '';
        field.removeAttribute('value');
        field.value = '';
    }
}"""
_FULL_HEIGHT = "() => Math.max(document.documentElement.scrollHeight, document.body ? document.body.scrollHeight : 0)"


@dataclass(frozen=True)
class Shot:
    """One picture to take, of the page at `url` or of a page made of `html`.

    step: whose it is, as the journal calls it. file: its name in screenshots/. title: its caption. must_hold: the names
    that the page must show, each as a whole word. page: what it is of, "" for the path of `url`. tabs: what to click
    first, in this order. cover: selectors of fields whose values nobody may see: they are emptied, and covered.
    """

    step: str
    file: str
    title: str
    must_hold: tuple[str, ...]
    url: str = ""
    html: str = field(default="", repr=False)
    page: str = ""
    tabs: tuple[str, ...] = ()
    cover: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if "" in self.must_hold:
            raise ValueError(f"{self.file}: every page holds the empty name")


@dataclass(frozen=True)
class Picture:
    """What became of a shot: passed (with the PNG), skipped or failed (with the reason). elapsed_s in seconds."""

    shot: Shot
    status: str
    reason: str = ""
    png: bytes = field(default=b"", repr=False)
    elapsed_s: float = 0.0

    @property
    def file(self) -> str:
        """Its place in the record, "" when there is no picture."""
        return f"{FOLDER}/{self.shot.file}" if self.png else ""


def capture(
    record: RunRecord,
    shots: Sequence[Shot],
    *,
    notebook: str,
    hosts: tuple[str, ...] = (),
    sign_in: Callable[[Page], None] | None = None,
    sign_out: Callable[[Page], None] | None = None,
    profile: Path | None = None,
    settle_s: float = 0.0,
    trusted_keys: tuple[str, ...] = (),
) -> list[Picture]:
    """Take pictures, all with one start of the browser, and write down what became of each.

    hosts, profile, trusted_keys: as for `with_page`. sign_in(page), sign_out(page): once, before the first and after
    the last. settle_s: how long a page may go on building itself before what it does not hold counts as missing.
    A page, a browser or the lack of one is no failure: it is in the answer and in the journal.
    Raises: RecordError when the record cannot be written.
    """
    taken: list[Picture] = []
    status, reason, started = "", "", time.monotonic()

    def visit(page: Page) -> None:
        nonlocal started
        if sign_in:
            sign_in(page)
        for shot in shots:
            taken.append(_take(page, shot, record.redactor, settle_s, started))
            started = time.monotonic()
        if sign_out:
            sign_out(page)

    try:
        with_page(visit, hosts=hosts, profile=profile, size=(WIDTH, HEIGHT), trusted_keys=trusted_keys)
    except BrowserMissing as error:
        status, reason = "skipped", error.came_back
    except Exception as error:
        status, reason = "failed", f"the page could not be opened: {_in_words(error)}"
    taken += [Picture(shot, status, reason, elapsed_s=time.monotonic() - started) for shot in shots[len(taken) :]]
    return [_keep(record, picture, notebook) for picture in taken]


def skip(record: RunRecord, shots: Sequence[Shot], reason: str, *, notebook: str) -> list[Picture]:
    """Write down that these pictures are not taken, and why."""
    return [_keep(record, Picture(shot, "skipped", reason), notebook) for shot in shots]


def _keep(record: RunRecord, picture: Picture, notebook: str) -> Picture:
    """Into the record: the picture, and its line in the journal. What is shown of it is redacted too."""
    redact, shot = record.redactor.text, picture.shot
    if picture.png:
        record.write_bytes(picture.file, picture.png)
    record.journal.append(
        "screenshot",
        step=shot.step,
        notebook=notebook,
        status=picture.status,
        file=picture.file,
        title=shot.title,
        page=shot.page or _path_of(shot.url),
        holds=list(shot.must_hold) if picture.png else [],
        reason=picture.reason,
        sha256=hashlib.sha256(picture.png).hexdigest() if picture.png else "",
        elapsed_s=round(picture.elapsed_s, 3),
    )
    return Picture(shot, picture.status, redact(picture.reason), picture.png, picture.elapsed_s)


# ---------------------------------------------------------------- one picture


def _take(page: Page, shot: Shot, redactor: Redactor, settle_s: float, started: float) -> Picture:
    try:
        png, note = _draw(page, shot, redactor, settle_s)
    except _NoPicture as error:
        return Picture(shot, "failed", str(error), elapsed_s=time.monotonic() - started)
    except Exception as error:  # the browser's word for a page that cannot be had
        return Picture(shot, "failed", _in_words(error), elapsed_s=time.monotonic() - started)
    return Picture(shot, "passed", note, png, time.monotonic() - started)


class _NoPicture(Exception):
    """The page must not be taken; str() says why."""


def _draw(page: Page, shot: Shot, redactor: Redactor, settle_s: float) -> tuple[bytes, str]:
    """The picture, and a remark about it."""
    if shot.url:
        answer = page.goto(shot.url)
        if answer is not None and answer.status >= 400:
            raise _NoPicture(f"the page {_path(page)} answered with HTTP status {answer.status}")
    else:
        page.set_content(shot.html)
    for tab in shot.tabs:
        page.locator(tab).first.click()
    patience = time.monotonic() + settle_s
    while lacking(_read(page).shown, shot.must_hold) and time.monotonic() < patience:
        page.wait_for_timeout(_LOOK_AGAIN_MS)
    for frame in page.frames if shot.cover else ():
        frame.evaluate(_EMPTY, ", ".join(shot.cover))
    _check(page, shot, redactor)
    png, note = _photograph(page, shot.cover)
    _check(page, shot, redactor)  # a page may change under the camera
    return cleaned(png)[1], note


def _photograph(page: Page, cover: tuple[str, ...]) -> tuple[bytes, str]:
    height = int(page.evaluate(_FULL_HEIGHT))
    covers = [one for frame in page.frames for one in _covers(frame)]
    covers += [frame.locator(", ".join(cover)).filter(visible=True) for frame in page.frames if cover]
    clip: Any = {"x": 0, "y": 0, "width": WIDTH, "height": HIGHEST} if height > HIGHEST else None
    png = page.screenshot(full_page=True, clip=clip, mask=covers, mask_color=_COVER, animations="disabled")
    return png, f"the upper {HIGHEST} of {height} pixels: the page goes on below" if clip else ""


def _covers(frame: Frame) -> list[Locator]:
    by_label = frame.get_by_label(_COVERED_LABEL).and_(frame.locator("input, textarea"))
    return [frame.locator(COVERED).filter(visible=True), by_label.filter(visible=True)]


@dataclass(frozen=True)
class _Seen:
    """A page's words: those that a person reads in the picture, and all that there are."""

    shown: str
    everything: str


def _read(page: Page) -> _Seen:
    shown, everything = [], [page.url, unquote(page.url), page.title()]
    for frame in page.frames:
        seen = frame.evaluate(_SEEN)
        shown += seen["text"] + seen["shown"]
        everything += [frame.content(), *seen["hidden"], *seen["values"]]
    return _Seen("\n".join(shown), "\n".join(everything))


def _check(page: Page, shot: Shot, redactor: Redactor) -> None:
    seen = _read(page)
    found = redactor.findings(seen.everything.encode("utf-8", "replace"))
    if found:
        raise _NoPicture(f"the page {_path(page)} holds a secret: {', '.join(found)}")
    missing = lacking(seen.shown, shot.must_hold)
    if missing:
        raise _NoPicture(f"the page {_path(page)} does not hold: {', '.join(missing)}")


def lacking(text: str, names: Sequence[str]) -> list[str]:
    """Those names that do not stand in the text as whole words; how a page breaks its lines does not count."""
    words = " ".join(text.split())
    return [name for name in names if not _whole(" ".join(name.split())).search(words)]


def _whole(name: str) -> re.Pattern[str]:
    """A longer name does not show a shorter one: neither demo-2 nor demo.example.com is demo."""
    return re.compile(rf"(?<![\w-])(?<!\w\.){re.escape(name)}(?![\w-]|\.\w)")


def _path(page: Page) -> str:
    return _path_of(page.url) if page.url.startswith("http") else "that was made"


def _path_of(url: str) -> str:
    """Without what stands behind a ?: it may be a token."""
    try:
        return urlsplit(url).path
    except ValueError:  # no URL at all; the browser has said so
        return ""


def _in_words(error: Exception) -> str:
    """The first line only: the browser's call log below it repeats what was typed."""
    if isinstance(error, BwlibError):
        return error.came_back
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


# ---------------------------------------------------------------- pictures by hand


def add_picture(record: RunRecord, data: bytes, *, title: str, operator: str, notebook: str = "") -> str:
    """Put a PNG or JPEG that a person gives into the record, without its metadata; returns its place there.

    A picture that is there already is not added again. What it shows is not checked: pixels cannot be searched.
    Raises: SettingsError for anything else than a whole PNG or JPEG of at most 10 MB, or for one whose bytes hold a
    known secret; RecordError when the record is sealed or cannot be written.
    """
    suffix, image = cleaned(data)
    found = record.redactor.findings(image)
    if found:
        raise SettingsError("add a picture", f"its bytes hold a secret: {', '.join(found)}", "give another picture")
    refuse_sealed(record.folder)
    digest = hashlib.sha256(image).hexdigest()
    with _one_at_a_time(record.folder):
        for line in record.journal.lines():
            if line["kind"] == "picture" and line.get("sha256") == digest and (record.folder / line["file"]).exists():
                return str(line["file"])
        given = len(list((record.folder / FOLDER).glob("by_hand_*")))
        file = f"{FOLDER}/by_hand_{given + 1}{suffix}"
        record.write_bytes(file, image)
        facts = {"file": file, "title": title, "operator": operator, "notebook": notebook, "sha256": digest}
        record.journal.append("picture", **facts)
    return file


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two kernels must not give the same number to two pictures."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
