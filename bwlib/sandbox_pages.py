"""The sandbox's dashboard as pages to take pictures of: how to sign in, and which page shows what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from bwlib.errors import NotAsExpected
from bwlib.surroundings import Pages

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Dashboard(Protocol):
    """What the running sandbox says of its dashboard. account_id: the account that the site works on."""

    @property
    def dashboard_url(self) -> str: ...
    @property
    def dashboard_user(self) -> str: ...
    @property
    def dashboard_password(self) -> SecretStr: ...
    @property
    def account_id(self) -> str: ...


def sandbox_pages(dashboard: Dashboard, application: str) -> Pages:
    """application: the name that a SIP credential's page shows for what the credential is bound to.

    Unlike Bandwidth's, these addresses are known: they are our own.
    """
    home = dashboard.dashboard_url

    def find(kind: str, found: Any) -> tuple[str, tuple[str, ...]]:
        if kind == "application":
            return f"{home}/applications/{quote(found.id)}", (found.id,)
        if kind == "realm":
            return f"{home}/account/sip-credentials", ("ACTIVE",)
        return f"{home}/account/sip-credentials/{quote(found.realm_id)}/{quote(found.id)}", (application,)

    return Pages("the sandbox's dashboard", home, (urlsplit(home).hostname or "",), find, _sign_in_to(dashboard))


def _sign_in_to(dashboard: Dashboard) -> Callable[[Page], None]:
    def sign_in(page: Page) -> None:
        """By the form, as a person does; then to the site's own account, where the sandbox has several."""
        page.goto(f"{dashboard.dashboard_url}/sign-in")
        page.get_by_label("User name").fill(dashboard.dashboard_user)
        page.get_by_label("Password").fill(dashboard.dashboard_password.get_secret_value())
        page.get_by_role("button", name="Sign in", exact=True).click()
        menu = page.locator("details.name-menu")
        if not menu.count():
            raise NotAsExpected("sign in to the sandbox's dashboard", "it did not let us in", "restart the sandbox")
        if menu.get_by_text(f"Account {dashboard.account_id}", exact=True).count():
            return
        menu.locator("summary").click()
        page.get_by_label("Switch to account").select_option(dashboard.account_id)
        page.get_by_role("button", name="Switch", exact=True).click()

    return sign_in
