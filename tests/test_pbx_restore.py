"""What a run changed without having created it gets its earlier settings back, where anybody knows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from freepbx_site import A_ROUTE, A_TRUNK, AN_EXTENSION, GUIDE, SIP_SECRET, adapter
from freepbx_stand_in import FreePbx, freepbx
from memory_pbx import MemoryPbx
from pydantic import SecretStr

from bwlib.models import Difference
from bwlib.pbx.freepbx_fields import mark_of
from bwlib.steps.pbx import EXTENSION, ROUTE, TRUNK, ensure_on_pbx
from bwlib.steps.pbx_restore import earlier, restore_on_pbx

# A trunk as a person types it from the sheet.
_NOT_TYPED = ("action", "tech")
TYPED = {
    **{name: value for name, value in GUIDE.items() if name not in _NOT_TYPED},
    "codec": "ulaw,alaw",
}


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
        _by_hand(state, {**TYPED, "qualify_frequency": "60", "sip_server_port": "5060"})
        outcome = ensure_on_pbx(adapter(url), TRUNK, A_TRUNK)
        assert (outcome.action, state.trunks["7"]["qualify_frequency"]) == ("updated", "0")
        plan = restore_on_pbx(adapter(url), TRUNK, "bandwidth", rows(outcome.differences), write=False)
        assert (plan.action, state.trunks["7"]["qualify_frequency"]) == ("planned", "0")
        back = restore_on_pbx(adapter(url), TRUNK, "bandwidth", rows(outcome.differences), write=True)
        assert back.action == "updated"
        kept = state.trunks["7"]
        assert (kept["qualify_frequency"], kept["sip_server_port"], kept["provider"]) == ("60", "5060", "")


# What a page says and our settings cannot: a way to register, a name beside the number, what we always write.
ONLY_ON_THE_PAGE = {
    "registration": "receive",
    "authentication": "both",
    "outcid": f'"Acme" <{A_TRUNK.from_user}>',
    "keepcid": "all",
    "contact_user": "someone",
    "codec": "alaw,ulaw,h264",
    "dtmfmode": "auto",
    "sendrpid": "pai",
    "match": "192.0.2.77",
}


@pytest.mark.parametrize("version", [16, 17])
def test_a_page_of_freepbx_gets_every_field_back_from_the_copies_of_the_record(version: int) -> None:
    with freepbx(version) as (state, url):
        state.by_hand("trunks", "7", **{**TYPED, **ONLY_ON_THE_PAGE})
        typed = dict(state.trunks["7"])
        before = adapter(url).snapshot()
        outcome = ensure_on_pbx(adapter(url), TRUNK, A_TRUNK)
        copies = [(before, adapter(url).snapshot())]
        assert list(state.dids) == ["101/"]
        told = rows(outcome.differences)
        posted = len(state.posted)
        plan = restore_on_pbx(adapter(url), TRUNK, "bandwidth", told, copies, write=False)
        assert (plan.action, len(state.posted)) == ("planned", posted)
        back = restore_on_pbx(adapter(url), TRUNK, "bandwidth", told, copies, write=True)
        assert back.action == "updated"
        assert {row.field for row in back.differences} == {*ONLY_ON_THE_PAGE, "inbound route 101/"}
        assert _stored(state.trunks["7"]) == _stored(typed)
        assert state.dids == {}, "the inbound route was ours"
        assert not state.reload_due
        again = restore_on_pbx(adapter(url), TRUNK, "bandwidth", told, copies, write=True)
        assert (again.action, again.note) == ("kept", "it was there before us; it is as it was")


def _stored(page: dict[str, str]) -> dict[str, str]:
    """What FreePBX keeps of a form: not which button was pressed on which page."""
    return {name: value for name, value in page.items() if name not in ("action", "extdisplay")}


def test_a_field_of_a_page_that_a_person_changed_since_stays_and_so_does_the_secret() -> None:
    with freepbx() as (state, url):
        state.by_hand("trunks", "7", **{**TYPED, "secret": "an-earlier-secret", "keepcid": "all", "dtmfmode": "auto"})
        before = adapter(url).snapshot()
        told = rows(ensure_on_pbx(adapter(url), TRUNK, A_TRUNK).differences)
        copies = [(before, adapter(url).snapshot())]
        state.trunks["7"]["keepcid"] = "cnum"
        back = restore_on_pbx(adapter(url), TRUNK, "bandwidth", told, copies, write=True)
        assert [row.field for row in back.differences] == ["dtmfmode", "inbound route 101/"]
        assert "keepcid was changed since: it is cnum" in back.note
        assert "its password was replaced and cannot be restored" in back.note
        assert (state.trunks["7"]["secret"], state.trunks["7"]["keepcid"]) == (SIP_SECRET, "cnum")
        assert "an-earlier-secret" not in f"{copies}{back}"


def test_what_is_another_sites_by_now_or_waits_for_apply_config_is_kept() -> None:
    with freepbx() as (state, url):
        state.by_hand("trunks", "7", **{**TYPED, "dtmfmode": "auto"})
        before = adapter(url).snapshot()
        told = rows(ensure_on_pbx(adapter(url), TRUNK, A_TRUNK).differences)
        copies = [(before, adapter(url).snapshot())]
        state.reload_due = True
        kept = restore_on_pbx(adapter(url), TRUNK, "bandwidth", told, copies, write=True)
        assert (kept.action, "Apply Config" in kept.note) == ("kept", True)
        state.reload_due, state.trunks["7"]["provider"] = False, mark_of("other-site")
        kept = restore_on_pbx(adapter(url), TRUNK, "bandwidth", told, copies, write=True)
        assert (kept.action, "another site's by now" in kept.note) == ("kept", True)
        assert state.trunks["7"]["dtmfmode"] == "rfc4733"


def test_copies_of_another_page_do_not_count() -> None:
    with freepbx() as (state, url):
        state.by_hand("trunks", "7", **{**TYPED, "qualify_frequency": "60"})
        before = adapter(url).snapshot()
        told = rows(ensure_on_pbx(adapter(url), TRUNK, A_TRUNK).differences)
        copies = [(before, adapter(url).snapshot())]
        state.trunks = {"9": state.trunks["7"]}  # deleted and typed in anew
        assert adapter(url).put_back("trunk", "bandwidth", copies, write=True) is None
        assert restore_on_pbx(adapter(url), TRUNK, "bandwidth", told, copies, write=False).action == "planned"


def _by_hand(state: FreePbx, values: dict[str, str]) -> None:
    state.by_hand("trunks", "7", **values)
    state.by_hand("did", "101/", extension="101", destination="from-did-direct,101,1")


def test_a_secret_that_was_replaced_is_said_to_be_lost_and_stays() -> None:
    pbx = MemoryPbx()
    pbx.put_trunk(replace(A_TRUNK, password=SecretStr("earlier-secret"), qualify_s=60))
    pbx.apply()
    outcome = ensure_on_pbx(pbx, TRUNK, A_TRUNK)
    back = restore_on_pbx(pbx, TRUNK, "bandwidth", rows(outcome.differences), write=True)
    assert "no record holds a secret" in back.note
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
