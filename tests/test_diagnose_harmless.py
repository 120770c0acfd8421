"""A look leaves no call behind, rings no stranger, and sends no secret to a host that the site does not name."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from sip_peer import SDP

from bwlib.diagnose import at_realm
from bwlib.sip.agent import Agent, IncomingCall

HOST = "acme-1a2b3c.auth.bandwidth.test"


def scene(**on: Any) -> Any:
    """As much of a Scene as the tests here need."""
    surroundings = SimpleNamespace(number="+19195550100", **on)
    return SimpleNamespace(host=HOST, run=SimpleNamespace(on=surroundings), our_calls=set())


def test_an_invite_that_the_realm_takes_without_a_challenge_is_hung_up() -> None:
    taken: list[IncomingCall] = []

    async def take(call: IncomingCall) -> None:
        taken.append(call)
        call.answer(SDP)

    async def main() -> None:
        realm = Agent(on_invite=take)
        await realm.start()
        facts = await at_realm._reach(scene(), realm.address)
        assert {fact.name: fact.value for fact in facts}["direct.challenge"] == "not-challenged"
        await asyncio.wait_for(taken[0].ended.wait(), 10)
        assert taken[0].end_reason == "bye"
        await realm.stop()

    asyncio.run(main())
