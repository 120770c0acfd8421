"""The dashboard: server-rendered pages with the path of Bandwidth's guide "PBX Interconnect", and what a trainee
would like to see besides.

Tabs and buttons carry the names of the guide and of support.bandwidth.com, SIP Credentials (both read 2026-11-23), so
that a person learns the real path; the look is our own. What a form does goes through the account API. No JavaScript.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bwlib.sandbox import dashboard_applications, dashboard_calls, dashboard_sip, dashboard_switches
from bwlib.sandbox.control_api import Control
from bwlib.sandbox.dashboard_api import AccountApi, ApiRefused
from bwlib.sandbox.dashboard_sessions import TOKEN_FIELD, Session, Sessions, Stopped, login_of, secured
from bwlib.sandbox.state import State

if TYPE_CHECKING:
    from jinja2 import Environment

HOME = "/dashboard/applications"
SIGN_IN = "/dashboard/sign-in"
Handler = Callable[["Visit"], Awaitable[Response]]
_HERE = Path(__file__).parent


@dataclass
class Visit:
    """One request of a signed-in browser."""

    request: Request
    dashboard: Dashboard
    session: Session
    state: State
    form: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def posted(self) -> bool:
        return self.request.method == "POST"

    @property
    def control(self) -> Control:
        return self.dashboard.control

    @property
    def api(self) -> AccountApi:
        return AccountApi(self.dashboard.account_app, self.state, self.state.identity.account_id)

    def part(self, name: str) -> str:
        """A segment of the path."""
        return str(self.request.path_params[name])

    def show(self, template: str, status: int = 200, **content: Any) -> Response:
        notice, self.session.notice = self.session.notice, ""
        return self.dashboard.page(
            self.request, template, status, session=self.session, state=self.state, notice=notice, **content
        )

    def go(self, path: str, notice: str = "") -> Response:
        """See another page; `notice` is shown there."""
        self.session.notice = notice
        return secured(RedirectResponse(f"/dashboard{path}", 303))


class Dashboard:
    """account_app: the account API's routes, for requests from inside."""

    def __init__(self, control: Control, account_app: ASGIApp) -> None:
        self.control = control
        self.account_app = account_app
        self._login = login_of(control.state.directory)
        self._sessions = Sessions()

    def routes(self) -> list[Route]:
        pages: dict[str, Handler] = {
            "": _start,
            "/switch-account": _switch_account,
            **dashboard_applications.PAGES,
            **dashboard_sip.PAGES,
            **dashboard_calls.PAGES,
            **dashboard_switches.PAGES,
        }
        return [
            Route("/dashboard/style.css", _style, methods=["GET"]),
            Route("/dashboard/icon.svg", _icon, methods=["GET"]),
            Route(SIGN_IN, self._sign_in, methods=["GET", "POST"]),
            Route("/dashboard/sign-out", self._sign_out, methods=["POST"]),
            *[Route(f"/dashboard{path}", self._guarded(page), methods=["GET", "POST"]) for path, page in pages.items()],
        ]

    def page(self, request: Request, template: str, status: int = 200, **content: Any) -> Response:
        """A rendered page. Everything that comes in is escaped by the templates."""
        browser = self._sessions.browser(request) or self._sessions.new_browser()
        here = {"session": None, "state": None, "notice": "", "path": request.url.path, "user": self._login.user}
        form = {"token_field": TOKEN_FIELD, "token": self._sessions.form_token(browser)}
        accounts = self.control.state.account_names()
        body = _templates().get_template(template).render({**here, **form, "accounts": accounts, **content})
        response = secured(Response(body, status, media_type="text/html"))
        if browser != self._sessions.browser(request):
            self._sessions.remember(response, browser)
        return response

    def _guarded(self, page: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            session = self._sessions.find(request)
            state = self.control.state.account(session.account_id) if session else None
            if session is None or state is None:
                return secured(RedirectResponse(SIGN_IN, 303))
            try:
                form = await self._sessions.read_form(request) if request.method == "POST" else {}
                return await page(Visit(request, self, session, state, form))
            except Stopped as error:
                return self._stopped(request, error.status, str(error))
            except ApiRefused as error:
                return self._stopped(request, error.page_status, f"The account API refused this: {error.sentence}")

        return endpoint

    def _stopped(self, request: Request, status: int, why: str) -> Response:
        session = self._sessions.find(request)
        state = self.control.state.account(session.account_id) if session else None
        return self.page(request, "stopped.html", status, session=session, state=state, why=why)

    async def _sign_in(self, request: Request) -> Response:
        if request.method == "GET":
            return self.page(request, "sign_in.html", refused=False, given="")
        try:
            form = await self._sessions.read_form(request)
        except Stopped as error:
            return self._stopped(request, error.status, str(error))
        if not self._login.fits(form.get("user", ""), form.get("password", "")):
            return self.page(request, "sign_in.html", 401, refused=True, given=form.get("user", ""))
        response = secured(RedirectResponse(HOME, 303))
        self._sessions.remember(response, self._sessions.sign_in(self.control.state.identity.account_id))
        return response

    async def _sign_out(self, request: Request) -> Response:
        try:
            await self._sessions.read_form(request)
        except Stopped as error:
            return self._stopped(request, error.status, str(error))
        self._sessions.sign_out(request)
        return secured(RedirectResponse(SIGN_IN, 303))


async def _start(visit: Visit) -> Response:
    return visit.go("/applications")


async def _switch_account(visit: Visit) -> Response:
    """To another of this sandbox's accounts."""
    if not visit.posted or visit.control.state.account(visit.form.get("account_id", "")) is None:
        raise Stopped(404, "There is no such account in this sandbox.")
    visit.session.account_id = visit.form["account_id"]
    return visit.go("/applications", f"You now see account {visit.session.account_id}.")


async def _style(request: Request) -> Response:
    return secured(Response((_HERE / "static" / "style.css").read_text(encoding="utf-8"), media_type="text/css"))


async def _icon(request: Request) -> Response:
    return secured(Response((_HERE / "static" / "icon.svg").read_text(encoding="utf-8"), media_type="image/svg+xml"))


@functools.cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here: most sandboxes never show a page

    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
