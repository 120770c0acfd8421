"""The sandbox's own API under /_sandbox: what an experimenter may see and turn. Not Bandwidth's.

Every request carries the bearer token of state.json, which only this user can read.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bwlib.sandbox.calls import find_call
from bwlib.sandbox.children import Child
from bwlib.sandbox.control_accounts import (
    calls_seen,
    deliveries_seen,
    list_accounts,
    make_account,
    sip_call_ids,
    view_of,
)
from bwlib.sandbox.edge import Edge
from bwlib.sandbox.faults import FaultError, Faults, table
from bwlib.sandbox.readback_keeper import ReadbackKeeper
from bwlib.sandbox.state import NO_RESET, State, timestamp
from bwlib.sandbox.switchboard import Switchboard
from bwlib.sandbox.switches import check_value

Handler = Callable[[Request, "Control"], Awaitable[Response]]


class BadInput(Exception):
    """A request that cannot be understood: answered 400. The text says what is wrong."""


@dataclass
class Control:
    """The running parts that the control API reaches."""

    state: State
    token: str = field(repr=False)
    stop: Callable[[], None]
    switchboard: Switchboard
    edge: Edge
    faults: Faults
    readback: ReadbackKeeper | None = None
    pbx: Child | None = None
    started_at: float = field(default_factory=time.time)
    turned: int = 0  # how often a switch was turned: whoever must rely on them sees that one was, and turned back


def control_routes(control: Control) -> list[Route]:
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/status", _status),
        ("POST", "/down", _down),
        ("POST", "/reset", _reset),
        ("GET", "/accounts", list_accounts),
        ("POST", "/accounts", make_account),
        ("GET", "/exchanges", _exchanges),
        ("GET", "/sip-events", _sip_events),
        ("GET", "/calls", _calls),
        ("GET", "/deliveries", _deliveries),
        ("GET", "/audio/{call_id}/{direction}", _audio),
        ("POST", "/edge/stop", _stop_edge),
        ("POST", "/edge/start", _start_edge),
        ("GET", "/switches", _switches),
        ("PUT", "/switches/{name}", _set_switch),
        ("GET", "/faults", _faults),
        ("POST", "/faults", _switch_fault_on),
        ("DELETE", "/faults", _switch_faults_off),
        ("DELETE", "/faults/{id:int}", _switch_faults_off),
        ("GET", "/notes/{key}", _get_note),
        ("PUT", "/notes/{key}", _put_note),
        ("GET", "/pbx", _pbx),
        ("POST", "/pbx", _start_pbx),
        ("DELETE", "/pbx", _stop_pbx),
    ]
    return [Route(f"/_sandbox{path}", _guarded(control, handler), methods=[method]) for method, path, handler in table]


def _guarded(control: Control, handler: Handler) -> Callable[[Request], Any]:
    wanted = f"Bearer {control.token}".encode()

    async def endpoint(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted):
            return _error(401, "this needs the control token of the sandbox's state.json")
        try:
            return await handler(request, control)
        except BadInput as error:
            return _error(400, str(error))

    return endpoint


async def _body(request: Request, *names: str) -> dict[str, Any]:
    """The request's JSON object, with `names` in it. Raises BadInput."""
    try:
        body = json.loads(await request.body(), parse_constant=_no_number)
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair could be kept, but not sent back
    except (ValueError, RecursionError):
        raise BadInput("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadInput("the body is not a JSON object")
    missing = [name for name in names if name not in body]
    if missing:
        raise BadInput(f"the body has no {', '.join(missing)}")
    return body


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which JSON does not have


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


async def _status(request: Request, control: Control) -> Response:
    return JSONResponse(
        {
            "pid": os.getpid(),
            "started_at": timestamp(control.started_at),
            "account_id": (view_of(request, control) or control.state).account_id,
            "edge_running": control.edge.running,
            "calls_up": control.switchboard.up(),
            "readback": control.readback.state if control.readback else "down",
            "switches_turned": control.turned,
            "pbx_alive": control.pbx is not None and control.pbx.alive(),
        }
    )


async def _down(request: Request, control: Control) -> Response:
    control.stop()
    return JSONResponse({})


async def _reset(request: Request, control: Control) -> Response:
    if forbidden := why_no_reset(control):
        return _error(409, forbidden)
    view = view_of(request, control)
    control.turned += 1
    if view is None:
        await reset(control)
    else:
        await control.switchboard.hang_up_all(view.account_id)
        control.edge.trace.forget(sip_call_ids(control, view) or ())
        view.reset_account()
    return JSONResponse({})


def why_no_reset(control: Control) -> str:
    """What whoever keeps something here has noted against a reset; "" when nobody minds."""
    return str(control.state.get_note(NO_RESET) or "")


async def reset(control: Control) -> None:
    """End every call, forget every object, log, switch and fault."""
    control.turned += 1
    control.faults.switch_off()
    await control.switchboard.close()
    control.edge.trace.clear()
    control.state.reset()


async def _exchanges(request: Request, control: Control) -> Response:
    view = view_of(request, control)
    since = request.query_params.get("since", "0")
    if not (since.isascii() and since.isdigit() and len(since) <= 15):
        raise BadInput("since is not the id of an exchange (a whole number)")
    return JSONResponse((view or control.state).exchanges(int(since), account_only=view is not None))


async def _sip_events(request: Request, control: Control) -> Response:
    wanted, since = request.query_params.get("call_id"), _moment(request.query_params.get("since"))
    call = find_call(control.state, wanted) if wanted else None
    sip_call_id = call.get("sipCallId", "") if call is not None else wanted
    own = sip_call_ids(control, view_of(request, control))
    events = control.edge.trace.events(sip_call_id, since, own)
    return JSONResponse([{**asdict(event), "at": event.at.isoformat()} for event in events])


def _moment(text: str | None) -> datetime | None:
    """Raises BadInput for what is no time, or one without its zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInput("since is not a time with a zone, such as 2026-11-23T09:00:00+00:00")
    return moment


async def _calls(request: Request, control: Control) -> Response:
    return JSONResponse(calls_seen(control.state, view_of(request, control)))


async def _deliveries(request: Request, control: Control) -> Response:
    view = view_of(request, control)
    return JSONResponse(deliveries_seen(control.state, view, request.query_params.get("call_id")))


async def _audio(request: Request, control: Control) -> Response:
    call_id, direction = request.path_params["call_id"], request.path_params["direction"]
    known = direction in ("sent", "heard") and len(call_id) <= 100  # longer is no file name
    ours = known and any(call["callId"] == call_id for call in calls_seen(control.state, view_of(request, control)))
    data = control.switchboard.audio_of(call_id, direction) if ours else None
    return _error(404, f"there is no audio of {call_id}") if data is None else Response(data, media_type="audio/wav")


async def _stop_edge(request: Request, control: Control) -> Response:
    await control.edge.stop()
    return JSONResponse({})


async def _start_edge(request: Request, control: Control) -> Response:
    try:
        await control.edge.start()
    except OSError as error:
        return _error(409, f"the edge cannot listen on {control.edge.address}: {error.strerror}")
    return JSONResponse({})


async def _switches(request: Request, control: Control) -> Response:
    return JSONResponse((view_of(request, control) or control.state).switches())


async def _set_switch(request: Request, control: Control) -> Response:
    name, value = request.path_params["name"], (await _body(request, "value"))["value"]
    if not isinstance(value, str):
        raise BadInput("the value of a switch is text")
    wrong = check_value(name, value)
    if wrong is not None:
        return _error(400, wrong)
    view = view_of(request, control)
    control.turned += 1
    if view is None:
        control.state.set_switch(name, value)
    else:
        view.set_account_switch(name, value)
    return JSONResponse({})


async def _faults(request: Request, control: Control) -> Response:
    return JSONResponse({"faults": table(), "on": [fault.described() for fault in control.faults.on()]})


async def _switch_fault_on(request: Request, control: Control) -> Response:
    """{"name", "value", "times", "match"}, all but the name optional. A call may be matched by Bandwidth's id."""
    try:
        wanted = {"value": None, "times": None, "match": {}, **await request.json()}
        match = dict(wanted["match"] or {})
        call = find_call(control.state, str(match.get("call")))
        if call is not None:
            match["call"] = call.get("sipCallId") or match["call"]
        fault = control.faults.switch_on(str(wanted.get("name")), wanted["value"], wanted["times"], match)
    except (ValueError, TypeError, RecursionError) as error:
        return _error(400, str(error) if isinstance(error, FaultError) else "this must be a JSON object")
    return JSONResponse(fault.described(), 201)


async def _switch_faults_off(request: Request, control: Control) -> Response:
    return JSONResponse({"switched_off": control.faults.switch_off(request.path_params.get("id"))})


async def _get_note(request: Request, control: Control) -> Response:
    return JSONResponse({"value": control.state.get_note(request.path_params["key"])})


async def _put_note(request: Request, control: Control) -> Response:
    control.state.put_note(request.path_params["key"], (await _body(request, "value"))["value"])
    return JSONResponse({})


async def _pbx(request: Request, control: Control) -> Response:
    alive = control.pbx is not None and control.pbx.alive()
    return JSONResponse({"alive": alive, "pid": control.pbx.pid if control.pbx and alive else None})


async def _start_pbx(request: Request, control: Control) -> Response:
    if control.pbx is not None and control.pbx.alive():
        return _error(409, f"a PBX is running already, pid {control.pbx.pid}")
    wanted = await _body(request, "argv", "env", "cwd", "log")
    argv, env = wanted["argv"], wanted["env"]
    if not isinstance(argv, list) or not argv or not isinstance(env, dict):
        raise BadInput("argv is not a list with a program in it, or env is not an object")
    if not all(isinstance(text, str) for text in [*argv, *env.values(), wanted["cwd"], wanted["log"]]):
        raise BadInput("argv, env, cwd and log hold something else than text")
    try:
        control.pbx = Child("pbx", argv, env, Path(wanted["cwd"]), Path(wanted["log"]))
    except (OSError, ValueError) as error:  # ValueError: a zero byte, or "=" in a name
        raise BadInput(f"{argv[0]} could not be started: {error}") from error
    return JSONResponse({"pid": control.pbx.pid})


async def _stop_pbx(request: Request, control: Control) -> Response:
    if control.pbx is not None:
        control.pbx.stop()
        control.pbx = None
    return JSONResponse({})
