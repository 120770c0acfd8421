"""FreePBX's pages to take pictures of: where each object is shown, how to sign in, and what must be covered.

Pictures are for people; nothing is read from them. FreePBX shows a trunk's secret as plain text in its field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bwlib.errors import PbxRefused
from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx.freepbx_driver import Driver, Thing
from bwlib.pbx.freepbx_fields import SECRET_FIELDS
from bwlib.pbx.freepbx_pages import PAGES, on_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Whatever a page shows of passwords, ours or anybody's.
COVERED = tuple(f"[name='{name}']" for name in sorted(SECRET_FIELDS - {"password"}))
# A fresh sign-in page has tiles, and behind the administrator's a dialog whose button's id is there twice.
_TILE, _BUTTON = "#login_admin", ".ui-dialog-buttonset button"


@dataclass(frozen=True)
class Screen:
    """One page: its title for people, its address, and the field of the form whose value must be `value` on it.

    tabs: what to click, in this order, for what is behind tabs. cover: selectors of what must not be in a picture.
    """

    title: str
    url: str
    field: str
    value: str
    tabs: tuple[str, ...] = ()
    cover: tuple[str, ...] = COVERED


def screens(driver: Driver, url: str, trunk: Trunk, route: OutboundRoute, extension: Extension) -> list[Screen]:
    """The pages of those that are there. url: the GUI's, as HttpDriver has it. The driver must be entered."""
    found: list[Screen] = []
    shown: tuple[tuple[Thing, str, str, str, tuple[str, ...]], ...] = (
        ("trunk", trunk.name, "Trunk: General", "trunk_name", ()),
        ("trunk", trunk.name, "Trunk: pjsip Settings", "sip_server", ('a[href="#ttech"]', 'a[href="#pjsgeneral"]')),
        ("route", route.name, "Outbound route", "routename", ()),
        ("extension", extension.number, "Extension", "extension", ()),
    )
    for thing, name, title, field, tabs in shown:
        value = trunk.server if field == "sip_server" else name
        found += [Screen(title, address, field, value, tabs) for address in _addresses(driver, url, thing, name)]
    return found


def _addresses(driver: Driver, url: str, thing: Thing, name: str) -> list[str]:
    page = PAGES[thing]
    rows = [row for row in driver.rows(thing) if row["name"] == name]
    query = "&".join(f"{key}={value}" for key, value in (("display", page.display), *page.edit))
    return [f"{url}/admin/config.php?{query}&{page.key_name}={on_page(thing, row['key'])}" for row in rows]


def sign_in(page: Page, url: str, user: str, password: SecretStr) -> None:
    """By the form, as a person does. Raises PbxRefused when it does not let us in."""
    page.goto(f"{url}/admin/config.php")
    if page.locator(_TILE).count():
        page.locator(_TILE).click()
    page.locator("input[name='username']:visible").fill(user)
    page.locator("input[name='password']:visible").fill(password.get_secret_value())
    with page.expect_navigation():
        if page.locator(_BUTTON).count():
            page.locator(_BUTTON).first.click()
        else:
            page.locator("input[name='password']:visible").press("Enter")
    if page.locator("input[name='password']:visible").count():
        raise PbxRefused(
            f"sign in to FreePBX at {url} as {user}",
            "it asks for user and password again",
            "correct pbx.user and pbx.password in the site file",
        )
