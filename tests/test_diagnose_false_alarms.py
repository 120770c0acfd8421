"""What is no fault is not called one: other clocks, other people's calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

from bwlib.diagnose import at_bandwidth, look
from bwlib.models import Call, Exchange

HOUR = timedelta(hours=1)


def answered(path: str, says: datetime, at: datetime, elapsed_s: float = 0.1) -> Exchange:
    """An exchange with a server whose clock says that."""
    date = {"date": format_datetime(says, usegmt=True)}
    return Exchange("1", at, "GET", f"https://host.example{path}", {}, "", 200, date, "", elapsed_s)


def clock(*exchanges: Exchange) -> list[str]:
    on = SimpleNamespace(account_id="5500001", recorder=SimpleNamespace(latest=exchanges))
    scene: Any = SimpleNamespace(run=SimpleNamespace(on=on))
    return [fact.value for fact in at_bandwidth._clock(scene)]


def test_the_clock_is_compared_with_bandwidths_alone_and_as_it_is_now() -> None:
    api = "/api/v2/accounts/5500001/realms"
    now = datetime.now(UTC)  # not the file's: other tests may come between
    assert clock(answered(api, now, now)) == ["right"]
    assert clock(answered(api, now + HOUR, now)) == ["off"]
    assert clock(answered(api, now, now), answered("/initiate", now + HOUR, now, elapsed_s=0.001)) == ["right"]
    before = answered(api, now, now - HOUR, elapsed_s=0.001)  # by a clock that was an hour behind, and was set since
    assert clock(answered(api, now, now), before) == ["right"]


def test_a_call_of_another_site_is_not_explained_by_this_one() -> None:
    def another(way: str, to: str = "+19195550199", application: str = "app-1", bound: str = "app-1") -> bool:
        scene: Any = SimpleNamespace(
            way=way,
            run=SimpleNamespace(settings=SimpleNamespace(pbx=SimpleNamespace(extension="101"))),
            account=SimpleNamespace(
                application=SimpleNamespace(id="app-1"), credential=SimpleNamespace(application_id=bound)
            ),
        )
        return look._is_of_another(scene, Call("c-1", to, "+19195550100", "", "disconnected", application))

    assert not another("inward", "sip:101@pbx.test:5060")
    assert another("inward", "sip:1010@pbx.test:5060")
    assert not another("outward")
    assert another("outward", application="app-2")
    assert not another("outward", application="app-2", bound="app-2"), "the credential leads there: that is the fault"
