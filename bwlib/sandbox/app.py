"""The HTTP side of the sandbox put together: token endpoint, account API, voice API, control API, each on its path."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bwlib.sandbox.account_api import account_routes
from bwlib.sandbox.api_errors import error_for
from bwlib.sandbox.control_api import Control, control_routes
from bwlib.sandbox.dashboard import Dashboard
from bwlib.sandbox.exchanges import ExchangeLog
from bwlib.sandbox.fault_middleware import FaultInjection
from bwlib.sandbox.oauth import token_endpoint
from bwlib.sandbox.service_clock import ServiceClock
from bwlib.sandbox.state import State
from bwlib.sandbox.voice_api import voice_routes
from bwlib.sandbox.voice_applications import voice_application_routes

log = logging.getLogger(__name__)


def build_app(state: State, control: Control, on_activity: Callable[[], None]) -> ASGIApp:
    """One ASGI application; `on_activity` is called at each request."""
    routes = [
        Route("/api/v1/oauth2/token", token_endpoint(state), methods=["POST"]),
        *account_routes(state),
        *voice_routes(state, control.switchboard),
        *voice_application_routes(state),
        *control_routes(control),
        *Dashboard(control, _inside(state, on_activity)).routes(),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused, Exception: _broke})
    return ServiceClock(ExchangeLog(FaultInjection(app, control.faults), state, on_activity), state)


def _inside(state: State, on_activity: Callable[[], None]) -> ASGIApp:
    """The account API for the dashboard's own requests: logged like any other, out of the way of HTTP faults."""
    app = Starlette(routes=account_routes(state), exception_handlers={HTTPException: _refused, Exception: _broke})
    return ExchangeLog(app, state, on_activity)


async def _refused(request: Request, error: Exception) -> Response:
    """An unknown path or method, or a form that cannot be read, in the form of the API that was asked."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    answer = error_for(path, error.status_code, f"{request.method} {path[:200]}: {error.detail}")
    answer.headers.update(error.headers or {})
    return answer


async def _broke(request: Request, error: Exception) -> Response:
    """A defect of the sandbox, in the form of the API that was asked; uvicorn's log has the traceback."""
    log.error("%s %s broke: %r", request.method, request.url.path, error)
    return error_for(request.url.path, 500, "The sandbox failed; its log says more", 1000)
