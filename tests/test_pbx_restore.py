"""What a run changed without having created it gets its earlier settings back, where anybody knows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from freepbx_site import A_ROUTE, A_TRUNK, AN_EXTENSION, GUIDE, adapter
from freepbx_stand_in import FreePbx, freepbx
from memory_pbx import MemoryPbx
from pydantic import SecretStr

from bwlib.models import Difference
from bwlib.steps.pbx import EXTENSION, ROUTE, TRUNK, ensure_on_pbx
from bwlib.steps.pbx_restore import earlier, restore_on_pbx


def rows(differences: tuple[Difference, ...]) -> list[dict[str, Any]]:
    """As they stand in a journal."""
    return [vars(row) for row in differences]


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (
            TRUNK,
            replace(
                A_TRUNK, qualify_s=60, port=5060, registration=True, codecs=("ulaw", "h264"), bandwidth_ips=(),
                inbound_extension=None, outbound_proxy="192.0.2.7:5060", send_pai=True, dtmf="auto",
            ),
            A_TRUNK,
        ),
        (ROUTE, replace(A_ROUTE, pattern="NXXXXXX", prepend=""), A_ROUTE),
        (EXTENSION, replace(AN_EXTENSION, display_name=""), AN_EXTENSION),
    ],
    ids=["trunk", "route", "extension"],
)  # fmt: skip
def test_every_setting_goes_back_to_what_it_was(kind: Any, before: Any, after: Any) -> None:
    pbx = MemoryPbx()
    kind.put(pbx, before)
    pbx.apply()
    outcome = ensure_on_pbx(pbx, kind, after)
    assert outcome.action == "updated"
    back = restore_on_pbx(pbx, kind, kind.name(after), rows(outcome.differences), write=True)
    assert (back.action, kind.get(pbx, kind.name(after))) == ("updated", before)


def test_a_trunk_typed_in_by_hand_on_freepbx_gets_its_slip_back() -> None:
    with freepbx() as (state, url):
        typed: dict[str, str] = {name: value for name, value in GUIDE.items() if name not in ("action", "tech")}
        _by_hand(state, {**typed, "codec": "ulaw,alaw", "qualify_frequency": "60", "sip_server_port": "5060"})
        outcome = ensure_on_pbx(adapter(url), TRUNK, A_TRUNK)
        assert (outcome.action, state.trunks["7"]["qualify_frequency"]) == ("updated", "0")
        plan = restore_on_pbx(adapter(url), TRUNK, "bandwidth", rows(outcome.differences), write=False)
        assert (plan.action, state.trunks["7"]["qualify_frequency"]) == ("planned", "0")
        back = restore_on_pbx(adapter(url), TRUNK, "bandwidth", rows(outcome.differences), write=True)
        assert back.action == "updated"
        kept = state.trunks["7"]
        assert (kept["qualify_frequency"], kept["sip_server_port"], kept["provider"]) == ("60", "5060", "")


def _by_hand(state: FreePbx, values: dict[str, str]) -> None:
    state.by_hand("trunks", "7", **values)
    state.by_hand("did", "101/", extension="101", destination="from-did-direct,101,1")


def test_a_secret_that_was_replaced_is_said_to_be_lost_and_stays() -> None:
    pbx = MemoryPbx()
    pbx.put_trunk(replace(A_TRUNK, password=SecretStr("earlier-secret"), qualify_s=60))
    pbx.apply()
    outcome = ensure_on_pbx(pbx, TRUNK, A_TRUNK)
    back = restore_on_pbx(pbx, TRUNK, "bandwidth", rows(outcome.differences), write=True)
    assert "no record holds the earlier one" in back.note
    found = pbx.get_trunk("bandwidth")
    assert found is not None
    assert (found.qualify_s, found.password) == (60, A_TRUNK.password)


def test_what_somebody_changed_since_is_left_as_it_is() -> None:
    pbx = MemoryPbx()
    pbx.put_trunk(replace(A_TRUNK, qualify_s=30))
    pbx.apply()
    told = rows((Difference("qualify_s", "60", "0"),))
    back = restore_on_pbx(pbx, TRUNK, "bandwidth", told, write=True)
    assert (back.action, pbx.get_trunk("bandwidth")) == ("kept", replace(A_TRUNK, qualify_s=30))
    assert "changed since: it is 30" in back.note


def test_of_several_changes_the_oldest_counts_and_what_was_already_put_back_is_no_change() -> None:
    told = rows((Difference("qualify_s", "60", "30"), Difference("qualify_s", "30", "0")))
    assert earlier(A_TRUNK, told)[0].qualify_s == 60
    assert earlier(replace(A_TRUNK, qualify_s=60), told) == (replace(A_TRUNK, qualify_s=60), [])


def test_what_our_settings_cannot_say_is_named_and_stays() -> None:
    told = rows((Difference("route", "bandwidth (with an Outbound CID of its own, +1202)", "bandwidth"),))
    was, stays = earlier(AN_EXTENSION, told)
    assert was == AN_EXTENSION
    assert "+1202" in stays[0]


def test_what_is_gone_is_not_made_again() -> None:
    assert restore_on_pbx(MemoryPbx(), TRUNK, "bandwidth", [], write=True).note == "already gone"
