"""The Voice API, JSON: github.com/Bandwidth/python-sdk bandwidth.yml, tags Calls and Recordings (read 2026-11-23).

Imitated: create, list, get and update calls; list recordings, get one and its media.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bwlib.sandbox.applications import find_application
from bwlib.sandbox.call_request import ECHOED, BadRequest, checked, plan_of, redirect_of
from bwlib.sandbox.calls import age_s, all_calls, as_state, find_call
from bwlib.sandbox.oauth import check_caller
from bwlib.sandbox.recordings import media_of, recordings_of
from bwlib.sandbox.state import State, new_id
from bwlib.sandbox.switchboard import Switchboard

Handler = Callable[[Request, State, Switchboard], Awaitable[Response]]
PREFIX = "/api/v2/accounts/{account_id}/calls"


class VoiceError(Exception):
    """An answer that is an error: {type, description, id}."""

    def __init__(self, status: int, type_: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.type = type_
        self.description = description


def voice_routes(state: State, switchboard: Switchboard) -> list[Route]:
    table: list[tuple[str, dict[str, Handler]]] = [
        ("", {"GET": _list_calls, "POST": _create_call}),
        ("/{call_id}", {"GET": _get_call, "POST": _update_call}),
        ("/{call_id}/recordings", {"GET": _list_recordings}),
        ("/{call_id}/recordings/{recording_id}", {"GET": _get_recording}),
        ("/{call_id}/recordings/{recording_id}/media", {"GET": _get_media}),
    ]
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return [Route(PREFIX + path, _endpoint(state, switchboard, handlers), methods=methods) for path, handlers in table]


def _endpoint(state: State, switchboard: Switchboard, handlers: dict[str, Handler]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            refused = check_caller(request, state, request.path_params["account_id"])
            if refused is not None:
                kind = "authentication-error" if refused[0] == 401 else "authorization-error"
                raise VoiceError(refused[0], kind, refused[1])
            handler = handlers.get(request.method)
            if handler is None:
                raise VoiceError(405, "validation", f"{request.method} is not allowed here")
            return await handler(request, state, switchboard)
        except BadRequest as error:
            return _refused(VoiceError(400, "validation", str(error)))
        except VoiceError as error:
            return _refused(error)

    return endpoint


def _refused(error: VoiceError) -> Response:
    return JSONResponse({"type": error.type, "description": error.description, "id": new_id()}, error.status)


# -------------------------------------------------------------------- calls


async def _create_call(request: Request, state: State, switchboard: Switchboard) -> Response:
    """201 does not mean that the call will connect: look at its state, or wait for `disconnect`."""
    wanted = checked(await _json(request))
    if find_application(state, wanted["applicationId"]) is None:
        raise BadRequest(f"application {wanted['applicationId']} was not found on the account")
    if wanted["from"] not in state.identity.numbers:
        raise BadRequest(f"from {wanted['from']} is not a number of the account")
    call = switchboard.place_outbound(wanted, plan_of(wanted))
    made = {name: call[name] for name in ("accountId", "callId", "callUrl", "enqueuedTime")}
    body = {**{name: wanted[name] for name in ECHOED if name in wanted}, **made}
    return JSONResponse(body, 201, headers={"Location": call["callUrl"]})


async def _get_call(request: Request, state: State, switchboard: Switchboard) -> Response:
    return JSONResponse(as_state(_call_of(request, state)))


async def _list_calls(request: Request, state: State, switchboard: Switchboard) -> Response:
    """Filters to, from, disconnectCause; pages by pageSize and pageToken, the next one in `Link`."""
    query = request.query_params
    size, token = query.get("pageSize", "1000"), query.get("pageToken", "0")
    if not size.isdecimal() or not 1 <= int(size) <= 10_000 or not token.isdecimal():
        raise BadRequest("pageSize must be 1 to 10000, pageToken as it was given")
    calls = all_calls(state)
    for name in ("to", "from", "disconnectCause"):
        calls = [call for call in calls if name not in query or call.get(name) == query[name]]
    start, end = int(token), int(token) + int(size)
    headers = {}
    if end < len(calls):
        headers["Link"] = f'<{request.url.include_query_params(pageToken=end)}>; rel="next"'
    return JSONResponse([as_state(call) for call in calls[start:end]], headers=headers)


async def _update_call(request: Request, state: State, switchboard: Switchboard) -> Response:
    """completed: hang up, cancel or reject. active (the default): go on with the BXML of redirectUrl."""
    call, body = _call_of(request, state), await _json(request)
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    wanted = body.get("state", "active")
    if wanted not in ("active", "completed"):
        raise BadRequest("state must be active or completed")
    if wanted == "completed" and any(name.startswith("redirect") or name == "tag" for name in body):
        raise BadRequest("redirect and tag fields are not allowed when state is completed")
    upcoming = redirect_of(body) if wanted == "active" else None
    flow = switchboard.flow(call["callId"])
    if call["state"] == "disconnected" or flow is None:
        raise VoiceError(404, "validation", f"Call {call['callId']} was not found or has ended")
    if flow.leg is None:
        raise VoiceError(409, "validation", f"Call {call['callId']} is still queued")
    if upcoming is not None:
        if not flow.leg.answered.is_set() and call["direction"] == "outbound":
            raise VoiceError(409, "validation", f"Call {call['callId']} is not answered yet")
        flow.redirect(upcoming)
    else:
        await flow.hang_up("hangup" if flow.leg.answered.is_set() else "cancel")
    return Response(status_code=200)


def _call_of(request: Request, state: State) -> dict[str, Any]:
    call_id = request.path_params["call_id"]
    call = find_call(state, call_id)
    if call is None or age_s(state, call_id) < state.switch_s("call_not_found_s"):
        raise VoiceError(404, "validation", f"Call {call_id} was not found")
    return call


async def _json(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise VoiceError(415, "validation", "Content-Type must be application/json")
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error


# -------------------------------------------------------------------- recordings


async def _list_recordings(request: Request, state: State, switchboard: Switchboard) -> Response:
    return JSONResponse(recordings_of(state, _call_of(request, state)["callId"]))


async def _get_recording(request: Request, state: State, switchboard: Switchboard) -> Response:
    for recording in recordings_of(state, _call_of(request, state)["callId"]):
        if recording["recordingId"] == request.path_params["recording_id"]:
            return JSONResponse(recording)
    raise VoiceError(404, "validation", "The recording was not found")


async def _get_media(request: Request, state: State, switchboard: Switchboard) -> Response:
    media = media_of(state, request.path_params["call_id"], request.path_params["recording_id"])
    if media is None:
        raise VoiceError(404, "validation", "The recording was not found")
    return Response(media, media_type="audio/vnd.wave")
