"""What the far end may not do to a Kamailio with our lines, and the second road, against an edge that can misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asterisk_site import EDGE_HOST, LIMIT_S, NUMBER, PASSWORD, PHONE, PHONE_HOST, REALM, Edge, over
from kamailio_peer import HOST as KAMAILIO_HOST
from kamailio_peer import KEPT_IN, Kamailio, secret_file
from peers import program

from bwlib.models import Extension, OutboundRoute, SipEvent, Trunk
from bwlib.pbx.by_hand import Kept, settings_sheet
from bwlib.sip.agent import Agent, OutboundCall
from bwlib.sip.sdp import offer

pytestmark = pytest.mark.peer

URI = f"sip:7f6e0a9c-1111-4222-8333-944455556666@{REALM}"
ROUTE = OutboundRoute("us", "NXXNXXXXXX", "+1", "bandwidth", NUMBER)
SECOND_ROAD = replace(ROUTE, request_uri=URI, number_header="X-Dialed-Number")

Act = Callable[[Edge, OutboundCall], Coroutine[Any, Any, None]]


def with_a_call(
    folder: Path, edge: Edge, act: Act, route: OutboundRoute = ROUTE, headers: tuple[tuple[str, str], ...] = ()
) -> list[str]:
    """The phone calls through Kamailio; `act` begins when the call was answered or has ended.

    Returns the first lines of what the phone was sent.
    """
    program("kamailio")
    seen: list[SipEvent] = []

    async def run() -> None:
        edge_agent = Agent(EDGE_HOST, on_invite=edge.on_invite, on_event=edge.on_event)
        phone = Agent(PHONE_HOST, on_event=seen.append)
        await edge_agent.start()
        await phone.start()
        proxy = f"{EDGE_HOST}:{edge_agent.address[1]}"
        trunk = Trunk("bandwidth", REALM, "acme-user", PASSWORD, NUMBER, REALM, outbound_proxy=proxy)
        extension = Extension(PHONE.username, PHONE.password, "us")
        sheet = settings_sheet("kamailio", trunk, route, extension, Kept(KEPT_IN))
        secret = secret_file(folder, sheet, PASSWORD.get_secret_value())
        try:
            with Kamailio(folder, sheet, secret, PHONE.password.get_secret_value()) as kamailio:
                call = phone.invite(
                    f"sip:9195550123@{kamailio.address[0]}:{kamailio.address[1]}",
                    from_uri=f"sip:{PHONE.username}@pbx.test",
                    sdp=offer(PHONE_HOST, 40002),
                    credentials=PHONE,
                    headers=headers,
                )
                await over(call)
                await act(edge, call)
        finally:
            await phone.stop()
            await edge_agent.stop()

    asyncio.run(run())
    return [event.text.split("\r\n", 1)[0] for event in seen if event.source.startswith(f"{KAMAILIO_HOST}:")]


def test_a_redirection_never_reaches_the_phone(tmp_path: Path) -> None:
    async def refused(edge: Edge, call: OutboundCall) -> None:
        assert call.status == 480
        assert edge.wire().count("302") == 1

    to_the_phone = with_a_call(tmp_path, Edge(final=302, redirect="<sip:+19005550123@192.0.2.1>"), refused)
    assert [line for line in to_the_phone if line.startswith("SIP/2.0 3")] == []


def test_a_transfer_by_the_far_end_is_refused(tmp_path: Path) -> None:
    async def refer(edge: Edge, call: OutboundCall) -> None:
        (far,) = edge.calls
        async with asyncio.timeout(LIMIT_S):
            await far.acked.wait()
        assert far.dialog is not None
        request = far._host.complete(far.dialog.request("REFER"))
        request.headers.add("Refer-To", "<sip:9005550123@pbx.test>")
        response = await far._host.exchange(request, far.dialog.next_hop(), None)
        assert response.status == 405

    to_the_phone = with_a_call(tmp_path, Edge(), refer)
    assert "SIP/2.0 200 OK" in to_the_phone
    assert [line for line in to_the_phone if line.startswith("REFER")] == []


def test_by_the_second_road_the_number_travels_in_the_header_and_only_ours(tmp_path: Path) -> None:
    async def look(edge: Edge, call: OutboundCall) -> None:
        assert call.answered.is_set()
        first, second = edge.invites
        assert {str(first.uri), str(second.uri)} == {URI}
        assert second.headers.get_all("X-Dialed-Number") == ["+19195550123"]

    with_a_call(tmp_path, Edge(), look, SECOND_ROAD, (("X-Dialed-Number", "+19005550123"),))
