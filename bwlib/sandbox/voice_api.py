"""The Voice API, JSON: github.com/Bandwidth/python-sdk bandwidth.yml, tags Calls and Recordings (read 2026-11-23).

Imitated: create, list, get and update calls; list recordings, get one and its media.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bwlib.sandbox.applications import find_voice_application
from bwlib.sandbox.call_request import ECHOED, BadRequest, checked, plan_of, redirect_of
from bwlib.sandbox.calls import age_s, as_state, calls_of_account, find_call
from bwlib.sandbox.endpoint import Common, Endpoint
from bwlib.sandbox.json_body import read_json
from bwlib.sandbox.oauth import VOICE, NotAdmitted, admit
from bwlib.sandbox.rate_limit import RETRY_AFTER, RateLimit
from bwlib.sandbox.recordings import media_of, recordings_of
from bwlib.sandbox.state import State, new_id
from bwlib.sandbox.switchboard import Switchboard
from bwlib.sandbox.switches import CLI, VOICE_LIMITS, VOICE_SPEC

PREFIX = "/api/v2/accounts/{account_id}"
_TYPES = {401: "authentication-error", 403: "authorization-error"}


class VoiceError(Exception):
    """An answer that is an error: {type, description, id}."""

    def __init__(self, status: int, type_: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.type = type_
        self.description = description


def voice_routes(state: State, switchboard: Switchboard) -> list[Route]:
    limits = Limits()
    routes = []
    for path in dict.fromkeys(endpoint.path for endpoint in ENDPOINTS):
        served = {endpoint.method: endpoint for endpoint in ENDPOINTS if endpoint.path == path}
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        routes.append(Route(PREFIX + path, _served(state, switchboard, limits, served), methods=methods))
    return routes


class Limits:
    """How often an account may ask, and how often it may place a call."""

    def __init__(self) -> None:
        self._requests, self._calls = RateLimit(), RateLimit()

    def check(self, request: Request, state: State, switchboard: Switchboard) -> None:
        """Raises VoiceError 429. The texts of dev.bandwidth.com/docs/voice/rateLimits (read 2026-11-23)."""
        if self._requests.reached(state.account_id, float(state.switch("voice_api_per_s"))):
            raise VoiceError(429, "error", "Too many requests")
        if request.method != "POST" or not request.url.path.endswith("/calls"):
            return
        if self._calls.reached(state.account_id, float(state.switch("voice_calls_per_s"))):
            raise VoiceError(429, "error", "Account call creation rate limit exceeded")
        most = int(state.switch("voice_concurrent_calls"))
        if most and switchboard.up(state.account_id) >= most:
            raise VoiceError(429, "error", "Account concurrent call limit exceeded")


def _served(
    state: State, switchboard: Switchboard, limits: Limits, endpoints: dict[str, Endpoint]
) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            view = admit(request, state, request.path_params["account_id"], VOICE)
            limits.check(request, view, switchboard)
            if request.method not in endpoints:
                raise VoiceError(405, "validation", f"{request.method} is not allowed here")
            answer: Response = await endpoints[request.method].handler(request, view, switchboard)
            return answer
        except NotAdmitted as refused:
            return _refused(VoiceError(refused.status, _TYPES.get(refused.status, "validation"), str(refused)))
        except BadRequest as error:
            return _refused(VoiceError(400, "validation", str(error)))
        except VoiceError as error:
            return _refused(error)

    return endpoint


def _refused(error: VoiceError) -> Response:
    body = {"type": error.type, "description": error.description, "id": new_id()}
    return JSONResponse(body, error.status, headers=RETRY_AFTER if error.status == 429 else None)


# -------------------------------------------------------------------- calls


async def _create_call(request: Request, state: State, switchboard: Switchboard) -> Response:
    """201 does not mean that the call will connect: look at its state, or wait for `disconnect`."""
    wanted = checked(await _json(request))
    if find_voice_application(state, wanted["applicationId"]) is None:
        raise BadRequest(f"application {wanted['applicationId']} was not found on the account")
    if wanted["from"] not in state.identity.numbers:
        raise BadRequest(f"from {wanted['from']} is not a number of the account")
    call = switchboard.place_outbound(state, wanted, plan_of(wanted))
    made = {name: call[name] for name in ("accountId", "callId", "callUrl", "enqueuedTime")}
    body = {**{name: wanted[name] for name in ECHOED if name in wanted}, **made}
    return JSONResponse(body, 201, headers={"Location": call["callUrl"]})


async def _get_call(request: Request, state: State, switchboard: Switchboard) -> Response:
    return JSONResponse(as_state(_call_of(request, state)))


async def _list_calls(request: Request, state: State, switchboard: Switchboard) -> Response:
    """Filters to, from, disconnectCause; pages by pageSize and pageToken, the next one in `Link`."""
    query = request.query_params
    size, token = query.get("pageSize", "1000"), query.get("pageToken", "0")
    counts = all(text.isdecimal() and len(text) < 10 for text in (size, token))
    if not counts or not 1 <= int(size) <= 10_000:
        raise BadRequest("pageSize must be 1 to 10000, pageToken as it was given")
    calls = calls_of_account(state)
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
    ours = call is not None and call["accountId"] == state.account_id
    if call is None or not ours or age_s(state, call_id) < state.switch_s("call_not_found_s"):
        raise VoiceError(404, "validation", f"Call {call_id} was not found")
    return call


async def _json(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise VoiceError(415, "validation", "Content-Type must be application/json")
    try:
        return read_json(await request.body())
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
    media = media_of(state, _call_of(request, state)["callId"], request.path_params["recording_id"])
    if media is None:
        raise VoiceError(404, "validation", "The recording was not found")
    return Response(media, media_type="audio/vnd.wave")


COMMON = Common(
    (401, 403, 404, 405, 429, 500),
    VOICE_SPEC,
    switches=(
        *("basic_auth_ends", "basic_auth_ended_status", "api_credential", "tokens_of_revoked", "token_lifetime_s"),
        *("token_accounts", "missing_role", "account_locked", "voice_api_per_s", "clock_ahead_s"),
    ),
)
_CALL = "/calls/{call_id}"
_RECORDING = f"{_CALL}/recordings/{{recording_id}}"
ENDPOINTS = (
    Endpoint("GET", "/calls", _list_calls, (200, 400), VOICE_SPEC),
    Endpoint(
        *("POST", "/calls", _create_call, (201, 400, 415, 429), VOICE_LIMITS),
        switches=("voice_calls_per_s", "voice_concurrent_calls"),
    ),
    Endpoint("GET", _CALL, _get_call, (200, 404), CLI, switches=("call_not_found_s",)),
    Endpoint("POST", _CALL, _update_call, (200, 400, 404, 409, 415), VOICE_SPEC),
    Endpoint("GET", f"{_CALL}/recordings", _list_recordings, (200, 404), VOICE_SPEC),
    Endpoint("GET", _RECORDING, _get_recording, (200, 404), VOICE_SPEC),
    Endpoint("GET", f"{_RECORDING}/media", _get_media, (200, 404), VOICE_SPEC),
)
