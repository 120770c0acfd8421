"""The HTTP side of the sandbox put together: token endpoint, account API, voice API, control API, each on its path."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bwlib.sandbox.account_api import account_routes
from bwlib.sandbox.control_api import Control, control_routes
from bwlib.sandbox.exchanges import ExchangeLog
from bwlib.sandbox.oauth import token_endpoint
from bwlib.sandbox.state import State
from bwlib.sandbox.voice_api import voice_routes


def build_app(state: State, control: Control, on_activity: Callable[[], None]) -> ASGIApp:
    """One ASGI application; `on_activity` is called at each request."""
    routes = [
        Route("/api/v1/oauth2/token", token_endpoint(state), methods=["POST"]),
        *account_routes(state),
        *voice_routes(state, control.switchboard),
        *control_routes(control),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    return ExchangeLog(app, state, on_activity)


async def _refused(request: Request, error: Exception) -> Response:
    """An unknown path or method, in the voice API's error form (github.com/Bandwidth/python-sdk bandwidth.yml)."""
    assert isinstance(error, HTTPException)
    body = {"type": "validation", "description": f"{request.method} {request.url.path}: {error.detail}", "id": None}
    return JSONResponse(body, error.status_code, headers=error.headers)
