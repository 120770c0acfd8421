"""A call during which the sandbox itself fails: it still ends, says cause `error`, and the application is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bwlib.sandbox.admission import Admitted
from bwlib.sandbox.applications import ApplicationRow
from bwlib.sandbox.calls import find_call
from bwlib.sandbox.state import State
from bwlib.sandbox.switchboard import Switchboard

APPLICATION = ApplicationRow(
    "app-1",
    "",
    {
        "CallInitiatedCallbackUrl": "http://127.0.0.1:9/initiate",
        "CallInitiatedMethod": "POST",
        "CallStatusCallbackUrl": "http://127.0.0.1:9/disconnect",
    },
)


class Sender:
    """Fails when asked for BXML; keeps what the application is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def ask(self, *_: Any) -> None:
        raise RuntimeError("a bug")

    async def tell(self, event: dict[str, Any], *_: Any) -> None:
        self.told.append(event)


class Media:
    def __init__(self, broken: bool) -> None:
        self.broken = broken

    def sent(self) -> Any:
        if self.broken:
            raise RuntimeError("no audio")
        return np.zeros(160, dtype=np.int16)

    received = sent


class Leg:
    sip_call_id = "a@b"
    end_cause = ""
    error_message = None
    sip_response_code = None

    def __init__(self, *, broken_media: bool, hangs_up: bool) -> None:
        self.answered, self.ended = asyncio.Event(), asyncio.Event()
        self.media = Media(broken_media)
        self.hangs_up = hangs_up
        self.rejected = 0

    async def reject(self, code: int) -> None:
        self.rejected = code
        if not self.hangs_up:
            raise RuntimeError("the leg is broken too")
        self.ended.set()


def broken_call(directory: Path, **leg_options: bool) -> tuple[Leg, dict[str, Any], list[dict[str, Any]], int]:
    """(leg, the call once it is over, what the application was told, calls that are still up)."""
    state, sender = State(directory / "sandbox.db"), Sender()

    async def run() -> tuple[Leg, str, int]:
        board = Switchboard(state, sender, "http://127.0.0.1/api")  # type: ignore[arg-type]
        leg = Leg(**leg_options)
        call_id = board.take_inbound(leg, Admitted(APPLICATION, "+15005550006", "+15005550001"))  # type: ignore[arg-type]
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=20)
        return leg, call_id, board.up()

    leg, call_id, up = asyncio.run(run())
    call = find_call(state, call_id)
    state.close()
    assert call is not None
    return leg, call, sender.told, up


@pytest.mark.parametrize("broken_media", [False, True], ids=["audio kept", "audio lost"])
@pytest.mark.parametrize("hangs_up", [True, False], ids=["leg ends", "leg broken"])
def test_a_call_that_breaks_ends_with_cause_error_and_the_application_is_told_once(
    tmp_path: Path, broken_media: bool, hangs_up: bool
) -> None:
    leg, call, told, up = broken_call(tmp_path, broken_media=broken_media, hangs_up=hangs_up)
    assert (call["state"], call["disconnectCause"]) == ("disconnected", "error")
    assert "its log says why" in call["errorMessage"]
    assert [(event["eventType"], event["cause"]) for event in told] == [("disconnect", "error")]
    assert (leg.rejected, up) == (603, 0)
