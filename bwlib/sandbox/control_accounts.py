"""Accounts in the sandbox's own API: making them, and showing what belongs to one of them only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bwlib.sandbox.calls import all_calls, calls_of_account
from bwlib.sandbox.conversations import deliveries
from bwlib.sandbox.state import State

if TYPE_CHECKING:
    from bwlib.sandbox.control_api import Control

_LONGEST_NAME = 100


async def list_accounts(request: Request, control: Control) -> Response:
    """The account ids by name; "" is the one that every sandbox has."""
    return JSONResponse(control.state.account_names())


async def make_account(request: Request, control: Control) -> Response:
    """{"name": ...}: the account of this name, made when missing, with its credentials."""
    sent = await request.json()
    name = sent.get("name") if isinstance(sent, dict) else None
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return JSONResponse({"error": f"name must be text of at most {_LONGEST_NAME} characters"}, 400)
    identity = control.state.named_account(name).identity
    shown = ("account_id", "client_id", "client_secret", "numbers", "realm_hex")
    return JSONResponse({"name": name, **{key: getattr(identity, key) for key in shown}})


def view_of(request: Request, control: Control) -> State | None:
    """The view of the account in ?account=; None when none is named (or it is not there): all of them are meant."""
    account_id = request.query_params.get("account")
    return control.state.account(account_id) if account_id else None


def calls_seen(state: State, view: State | None) -> list[dict[str, Any]]:
    return all_calls(state) if view is None else calls_of_account(view)


def deliveries_seen(state: State, view: State | None, call_id: str | None) -> list[dict[str, Any]]:
    found = deliveries(state, call_id)
    if view is None:
        return found
    own = {call["callId"] for call in calls_of_account(view)}
    return [delivery for delivery in found if delivery["call_id"] in own]


def sip_call_ids(control: Control, view: State | None) -> set[str] | None:
    """The Call-IDs of an account: of its calls, and of whatever was said to its realms. None: no account is meant."""
    if view is None:
        return None
    own = {str(call.get("sipCallId")) for call in calls_of_account(view)}
    return own | control.edge.trace.call_ids_with(f"{view.identity.realm_hex}.auth.bandwidth.test")
