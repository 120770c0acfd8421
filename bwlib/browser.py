"""The system's Chromium, driven by Playwright: pictures of pages, PDF.

Absent is normal: the caller then writes down `skipped` and the reason. Chromium's own look-ups at every start are
switched off, and a page asks nobody but the hosts that its caller names.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from bwlib.doctor import BROWSERS, check_browser
from bwlib.errors import BrowserMissing

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Playwright, Route

T = TypeVar("T")

# Partial raster draws a changed part over what was there, so that a soft edge may come out a shade off: without it the
# same page gives the same picture to the byte, on a busy machine too.
FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-partial-raster",
)  # fmt: skip
TIMEOUT_MS = 20_000
_INSIDE = ("data", "blob", "about", "file")
ANY_HOST = ("*",)


def find_chromium() -> str | None:
    """The path of a Chromium: $BW_BROWSER, else by its usual names on PATH; None when Playwright must know of one."""
    names = [os.environ.get("BW_BROWSER", ""), *BROWSERS]
    return next(filter(None, (shutil.which(name) for name in names if name)), None)


def why_no_browser() -> str:
    """Why there can be no pictures on this machine, with the line that mends it; "" when there can."""
    try:
        import playwright.sync_api  # noqa: F401  an extra: it may be missing
    except ModuleNotFoundError:
        return "the package playwright is missing: pip install 'bw-runbook[browser]'"
    check = check_browser()
    return "" if check.status == "ok" else f"{check.found}. Do next: {check.fix}"


def with_page(
    do: Callable[[Page], T],
    *,
    hosts: tuple[str, ...] = (),
    profile: Path | None = None,
    size: tuple[int, int] = (1280, 900),
    trusted_keys: tuple[str, ...] = (),
) -> T:
    """Open a browser, give `do` an empty page, close the browser, return what `do` returned.

    hosts: the only host names ("127.0.0.1") that the page may ask; () for none, which suits file: and data: pages;
    ANY_HOST for a page that a person named and whose hosts nobody knows beforehand.
    profile: a folder with a browser profile that a person has signed in with; it is used and not changed by us beyond
    what the browser itself keeps. Tabs that the profile brings back are a person's own: they ask whom they like.
    size: the window, in CSS pixels. trusted_keys: public keys (SHA-256 of their SPKI, base64) that a certificate may
    have without an authority that the browser knows; whoever names one has proven it.
    Runs in a thread of its own, because Playwright's plain interface refuses to work beside a notebook's event loop.
    Raises: BrowserMissing when there is no browser or it does not start; whatever `do` raises.
    """
    reason = why_no_browser()
    if reason:
        raise BrowserMissing("open a browser", reason, "pictures and PDF are skipped until then")
    answer: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            answer.append(_in_this_thread(do, hosts, profile, size, trusted_keys))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="browser", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]


def _in_this_thread(
    do: Callable[[Page], T],
    hosts: tuple[str, ...],
    profile: Path | None,
    size: tuple[int, int],
    trusted_keys: tuple[str, ...],
) -> T:
    from playwright.sync_api import Error, sync_playwright

    with ExitStack() as stack:
        try:
            page = _open_page(stack, stack.enter_context(sync_playwright()), profile, size, trusted_keys)
        except Error as error:
            first = str(error).strip().splitlines()[0]
            raise BrowserMissing("start the browser", first, "run bw-runbook doctor") from None
        page.set_default_timeout(TIMEOUT_MS)
        page.route("**/*", lambda route: _only(route, hosts))
        return do(page)


def _open_page(
    stack: ExitStack, playwright: Playwright, profile: Path | None, size: tuple[int, int], trusted_keys: tuple[str, ...]
) -> Page:
    pinned = [f"--ignore-certificate-errors-spki-list={','.join(trusted_keys)}"] if trusted_keys else []
    options: dict[str, Any] = {
        "executable_path": find_chromium(),
        "args": [*FLAGS, *pinned],
        "chromium_sandbox": os.geteuid() != 0,  # Chromium's own sandbox does not work for root
    }
    window: Any = {"width": size[0], "height": size[1]}
    if profile is not None:
        context = playwright.chromium.launch_persistent_context(str(profile), viewport=window, **options)
        page = context.new_page()
        stack.callback(_leave_profile, context, page)
        return page
    browser = playwright.chromium.launch(**options)
    stack.callback(browser.close)
    return browser.new_page(viewport=window)


def _leave_profile(context: BrowserContext, ours: Page) -> None:
    """Close the browser without leaving a tab of ours: a profile may bring back the tabs that it was left with."""
    for page in context.pages:
        if page == ours or page.url == "about:blank":
            page.close()
    context.close()


def _only(route: Route, hosts: tuple[str, ...]) -> None:
    parts = urlsplit(route.request.url)
    if hosts == ANY_HOST or parts.scheme in _INSIDE or parts.hostname in hosts:
        route.continue_()
    else:
        route.abort()
