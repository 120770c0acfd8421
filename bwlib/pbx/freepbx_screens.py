"""FreePBX's pages to take pictures of: where each object is shown, how to sign in, and what must be covered.

Pictures are for people; nothing is read from them. FreePBX shows a trunk's secret as plain text in its field.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from bwlib.errors import PbxRefused, PbxUnreachable
from bwlib.models import Trunk
from bwlib.pbx import Kind
from bwlib.pbx.freepbx_driver import Driver, Gui, Thing
from bwlib.pbx.freepbx_fields import SECRET_FIELDS
from bwlib.pbx.freepbx_pages import PAGES, on_page
from bwlib.pbx.pages import PbxPages, Screen

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Whatever a page shows of passwords, ours or anybody's.
COVERED = tuple(f"[name='{name}']" for name in sorted(SECRET_FIELDS - {"password"}))
# A fresh sign-in page has tiles, and behind the administrator's a dialog whose button's id is there twice.
_TILE, _BUTTON = "#login_admin", ".ui-dialog-buttonset button"
_PJSIP_TAB = ('a[href="#ttech"]', 'a[href="#pjsgeneral"]')


def pages(driver: Driver, gui: Gui, trunk: Trunk, names: Mapping[Thing, str]) -> PbxPages:
    """The pages of trunk, outbound route and extension that are there, by these names. The driver must be entered."""
    host = urlsplit(gui.url).hostname or ""
    return PbxPages(
        "FreePBX",
        (host,),
        lambda page: sign_in(page, gui.url, gui.user, gui.password),
        lambda page: sign_out(page, gui.url),
        tuple(screens(driver, gui.url, trunk, names)),
        (trusted_key(gui),) if gui.ca_file and gui.url.startswith("https:") else (),
    )


def screens(driver: Driver, url: str, trunk: Trunk, names: Mapping[Thing, str]) -> list[Screen]:
    """The pages of those that are there. url: the GUI's, as HttpDriver has it. The driver must be entered."""
    shown: tuple[tuple[Kind, str, str, str, tuple[str, ...]], ...] = (
        ("trunk", trunk.name, "Trunk: General", trunk.name, ()),
        ("trunk", trunk.name, "Trunk: pjsip Settings", trunk.server, _PJSIP_TAB),
        ("route", names["route"], "Outbound route", names["route"], ()),
        ("extension", names["extension"], "Extension", names["extension"], ()),
    )
    return [
        Screen(kind, title, address, holds, tabs, COVERED)
        for kind, name, title, holds, tabs in shown
        for address in _addresses(driver, url, kind, name)
    ]


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


def sign_out(page: Page, url: str) -> None:
    """End the browser's session: FreePBX keeps one for 30 days."""
    page.goto(f"{url}/admin/config.php?logout=true")


def trusted_key(gui: Gui) -> str:
    """The public key (SHA-256 of its SPKI, base64) of a GUI whose certificate is proven by pbx.ca_file.

    A browser knows no authority of the PBX's own; it is told this one key, and trusts no other for that.
    Raises: PbxUnreachable when nobody answers, or with another certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    parts = urlsplit(gui.url)
    try:
        context = ssl.create_default_context(cafile=gui.ca_file)
        with (
            socket.create_connection((parts.hostname, parts.port or 443), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
        ):
            shown = secured.getpeercert(binary_form=True) or b""
    except OSError as error:
        raise PbxUnreachable(
            f"take pictures of FreePBX at {gui.url}", str(error)[:200], "check pbx.url and pbx.ca_file"
        ) from None
    key = x509.load_der_x509_certificate(shown).public_key()
    return base64.b64encode(
        hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()
