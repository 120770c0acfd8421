"""FreePBX's pages in a real Chromium: signed in by the form, each object on its page, every password covered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from freepbx_site import A_ROUTE, A_TRUNK, ALL, AN_EXTENSION, PHONE_SECRET, SIP_SECRET, adapter
from freepbx_stand_in import PASSWORD, USER, freepbx
from peers import missing
from pydantic import SecretStr

from bwlib.browser import why_no_browser, with_page
from bwlib.errors import PbxRefused
from bwlib.pbx.freepbx_http import HttpDriver
from bwlib.pbx.freepbx_screens import screens, sign_in
from bwlib.steps.pbx import ensure_on_pbx

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.peer]
# What a mask leaves to see: nothing of what lies under it.
UNDER = "selector => [...document.querySelectorAll(selector)].map(field => field.value)"


def browse(do: Callable[[Page], list[str]]) -> list[str]:
    if why_no_browser():
        missing("a browser", why_no_browser())
    return with_page(do, hosts=("127.0.0.1",))


def test_every_object_is_on_its_page_and_every_secret_under_a_cover() -> None:
    with freepbx() as (_, url):
        for kind, wanted in ALL:
            ensure_on_pbx(adapter(url), kind, wanted)
        with HttpDriver(url, USER, SecretStr(PASSWORD)) as driver:
            wanted_screens = screens(driver, url, A_TRUNK, A_ROUTE, AN_EXTENSION)
        assert len(wanted_screens) == 4

        def look(page: Page) -> list[str]:
            sign_in(page, url, USER, SecretStr(PASSWORD))
            covered: list[str] = []
            for screen in wanted_screens:
                page.goto(screen.url)
                assert page.locator(f"[name='{screen.field}']").input_value() == screen.value
                covered += page.evaluate(UNDER, ",".join(screen.cover))
                page.evaluate("s => document.querySelectorAll(s).forEach(one => one.remove())", ",".join(screen.cover))
                shown = " ".join(page.evaluate(UNDER, "input, textarea, select"))
                assert SIP_SECRET not in shown + page.content()
                assert PHONE_SECRET not in shown + page.content()
            return covered

        covered = browse(look)
    assert {SIP_SECRET, PHONE_SECRET} <= set(covered), "the pages do show them: only the cover keeps them out"


def test_a_sign_in_that_is_refused_is_named() -> None:
    with freepbx() as (_, url):

        def look(page: Page) -> list[str]:
            with pytest.raises(PbxRefused, match=r"pbx\.password"):
                sign_in(page, url, USER, SecretStr("wrong-password-1"))
            return []

        browse(look)
