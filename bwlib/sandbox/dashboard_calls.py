"""What Bandwidth's dashboard does not show: calls with their SIP ladder, their webhooks with bodies and answers, the
BXML as it was carried out, and SIP attempts that never became a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from bwlib.models import SipEvent
from bwlib.sandbox.calls import all_calls, as_state, calls_of_account, find_call
from bwlib.sandbox.conversations import deliveries, verbs_of
from bwlib.sandbox.dashboard_sessions import Stopped, secured
from bwlib.sip.ladder import ladder_svg, ladder_text

if TYPE_CHECKING:
    from bwlib.sandbox.dashboard import Visit

_SHOWN_CALLS = 200
_SHOWN_DIALOGS = 30
_SHOWN_WEBHOOKS = 200
_RELOADS_S = ("2", "5", "15")
_SOUNDS = ("sent", "heard")
_STATUS = re.compile(r"SIP/2\.0 (\d{3}[^\r\n]*)")
_REQUEST = re.compile(r"([A-Z]+) (\S+) SIP/2\.0")


async def calls(visit: Visit) -> Response:
    made = [_described(one) for one in calls_of_account(visit.state)]
    return visit.show(
        "calls.html",
        calls=made[-_SHOWN_CALLS:][::-1],
        more=max(0, len(made) - _SHOWN_CALLS),
        attempts=_attempts(visit, {call.get("sipCallId") for call in all_calls(visit.control.state)}),
        reload_s=_reload_s(visit),
    )


async def call(visit: Visit) -> Response:
    """One call, also while it is up."""
    found = _found(visit)
    events = visit.control.edge.trace.events(found["sipCallId"], None) if found.get("sipCallId") else []
    return visit.show(
        "call.html",
        call=found,
        seconds=_seconds_since(found),
        sent=deliveries(visit.state, found["callId"]),
        verbs=verbs_of(visit.state, found["callId"]),
        has_audio=visit.control.switchboard.audio_of(found["callId"], "heard") is not None,
        reload_s=_reload_s(visit),
        **_ladder(visit, events, f"Call from {found['from']} to {found['to']}"),
    )


async def audio(visit: Visit) -> Response:
    """WAV of what the edge sent (what Bandwidth would say) or heard."""
    direction = visit.part("direction")
    wav = visit.control.switchboard.audio_of(_found(visit)["callId"], direction) if direction in _SOUNDS else None
    if wav is None:
        raise Stopped(404, "There is no audio of this call.")
    return secured(Response(wav, media_type="audio/wav"))


async def sip_dialog(visit: Visit) -> Response:
    """The messages of one Call-ID, whether or not a call came of them."""
    sip_call_id = visit.request.query_params.get("call_id", "")
    events = visit.control.edge.trace.events(sip_call_id, None)
    if not sip_call_id or not events:
        raise Stopped(404, "No SIP messages with this Call-ID were seen since the last reset.")
    return visit.show("sip_dialog.html", call_id=sip_call_id, **_ladder(visit, events, "SIP messages of one Call-ID"))


async def webhooks(visit: Visit) -> Response:
    """The last attempts to deliver one, the latest first."""
    mine = {made["callId"] for made in calls_of_account(visit.state)}
    sent = [one for one in deliveries(visit.state, latest=_SHOWN_WEBHOOKS) if one["call_id"] in mine]
    return visit.show("webhooks.html", sent=sent[::-1], most=_SHOWN_WEBHOOKS, reload_s=_reload_s(visit))


def _described(made: dict[str, Any]) -> dict[str, Any]:
    """Every field of the Voice API, None where a call does not have it (yet)."""
    return {**as_state(made), "sipCallId": made.get("sipCallId")}


def _found(visit: Visit) -> dict[str, Any]:
    found = find_call(visit.state, visit.part("call_id"))
    if found is None or found["accountId"] != visit.state.identity.account_id:
        raise Stopped(404, "There is no such call.")
    return _described(found)


def _reload_s(visit: Visit) -> str:
    """Pages reload by themselves only when asked to: a reload takes the focus away from who reads or types."""
    wanted = visit.request.query_params.get("reload", "")
    return wanted if wanted in _RELOADS_S else ""


def _seconds_since(made: dict[str, Any]) -> Callable[[str], str]:
    """For templates: the seconds from the beginning of a call to a timestamp."""
    begin = made.get("enqueuedTime") or made.get("startTime")

    def seconds(timestamp: str) -> str:
        if begin is None:
            return timestamp
        return f"{(datetime.fromisoformat(timestamp) - datetime.fromisoformat(begin)).total_seconds():.3f} s"

    return seconds


def _ladder(visit: Visit, events: Sequence[SipEvent], title: str) -> dict[str, Any]:
    """The ladder as a drawing and in words; both are escaped where they are made."""
    edge = _edge_address(visit)
    others = {address for event in events for address in (event.source, event.target)} - {edge}
    names = {address: f"PBX {address}" for address in sorted(others)} | {edge: "Realm (sandbox)"}
    if not events:
        return {"ladder": "", "ladder_words": "", "messages": []}
    words = ladder_text(events, names)
    return {"ladder": ladder_svg(events, names, title), "ladder_words": words, "messages": _messages(events, names)}


def _messages(events: Sequence[SipEvent], names: dict[str, str]) -> list[tuple[str, str]]:
    """(time and direction, whole text) of each, digest responses masked by the trace."""
    return [(f"{one.at:%H:%M:%S.%f}"[:-3] + f" {names[one.source]} to {names[one.target]}", one.text) for one in events]


def _edge_address(visit: Visit) -> str:
    host, port = visit.control.edge.address
    return f"{host}:{port}"


def _attempts(visit: Visit, became_calls: set[Any]) -> list[dict[str, str]]:
    """INVITEs and the like that no call came of: refused, unanswered, lost. Of every account: who knows whose."""
    trace = visit.control.edge.trace
    dialogs = [call_id for call_id in trace.call_ids() if call_id not in became_calls]
    return [_attempt(call_id, trace.events(call_id, None)) for call_id in dialogs[:_SHOWN_DIALOGS]]


def _attempt(call_id: str, events: Sequence[SipEvent]) -> dict[str, str]:
    requests = [found for event in events if (found := _REQUEST.match(event.text))]
    answers = [found[1] for event in events if (found := _STATUS.match(event.text))]
    return {
        "call_id": call_id,
        "at": f"{events[0].at:%H:%M:%S}",
        "request": f"{requests[0][1]} {requests[0][2]}" if requests else "no request that can be read",
        "answer": answers[-1] if answers else "no answer",
        "messages": str(len(events)),
    }


PAGES = {
    "/calls": calls,
    "/calls/{call_id}": call,
    "/calls/{call_id}/{direction}.wav": audio,
    "/sip": sip_dialog,
    "/webhooks": webhooks,
}
