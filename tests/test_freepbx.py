"""FreePBX by its pages, against a stand-in that lies as FreePBX does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from freepbx_site import (
    A_ROUTE,
    A_TRUNK,
    ALL,
    AN_EXTENSION,
    BACKWARDS,
    GUIDE,
    PHONE_SECRET,
    SIP_SECRET,
    adapter,
)
from freepbx_stand_in import PASSWORD, FreePbx, freepbx
from pydantic import SecretStr

from bwlib.errors import NotAsExpected, PbxError, PbxRefused, PbxUnreachable, SettingsError
from bwlib.pbx import Pbx
from bwlib.pbx.freepbx import FreepbxPbx
from bwlib.pbx.freepbx_fields import mark_of
from bwlib.readback_tls import throw_away_certificate
from bwlib.steps.compare import differences
from bwlib.steps.pbx import (
    EXTENSION,
    ROUTE,
    TRUNK,
    check_no_registration,
    check_on_pbx,
    ensure_on_pbx,
    plan_on_pbx,
    remove_from_pbx,
)


@pytest.fixture(params=[16, 17])
def running(request: pytest.FixtureRequest) -> Iterator[tuple[FreePbx, FreepbxPbx]]:
    with freepbx(request.param) as (state, url):
        yield state, adapter(url)


@pytest.fixture
def state() -> Iterator[FreePbx]:
    with freepbx() as (found, url):
        found.url = url  # type: ignore[attr-defined]
        yield found


def at(state: FreePbx, **other: Any) -> FreepbxPbx:
    return adapter(state.url, **other)  # type: ignore[attr-defined]


def all_ensured(pbx: Pbx) -> list[str]:
    return [ensure_on_pbx(pbx, kind, wanted).action for kind, wanted in ALL]


# ---------------------------------------------------------------- the guide's step 3


def test_trunk_route_and_extension_are_made_once_and_found_unchanged(running: tuple[FreePbx, FreepbxPbx]) -> None:
    state, pbx = running
    assert all_ensured(pbx) == ["created"] * 3
    posted = len(state.posted)
    assert all_ensured(pbx) == ["unchanged"] * 3
    assert len(state.posted) == posted, "a second run writes nothing"
    assert not state.reload_due
    check_no_registration(pbx, A_TRUNK)


def test_what_was_made_is_in_force_and_every_session_is_ended(running: tuple[FreePbx, FreepbxPbx]) -> None:
    state, pbx = running
    all_ensured(pbx)
    assert [list(table) for table in state.applied] == [["1"], ["1"], ["101"]]
    assert state.sessions == set()
    assert state.signed_out


def test_a_plan_writes_nothing_and_names_every_field(running: tuple[FreePbx, FreepbxPbx]) -> None:
    state, pbx = running
    for kind, wanted in ALL:
        plan = plan_on_pbx(pbx, kind, wanted)
        assert (plan.action, plan.found) == ("planned", None)
        assert {row.field for row in plan.differences} == {field.name for field in fields(wanted)}
    assert state.posted == []


DRIFTS = [
    ("trunks", "1", "qualify_frequency", "60", "qualify_s"),
    ("trunks", "1", "sip_server_port", "5060", "port"),
    ("trunks", "1", "registration", "send", "registration"),
    ("trunks", "1", "registration", "receive", "registration"),
    ("trunks", "1", "authentication", "off", "username"),
    ("trunks", "1", "authentication", "both", "bandwidth_ips"),
    ("trunks", "1", "codec", "ulaw,alaw,h264", "codecs"),
    ("trunks", "1", "codec", "alaw,ulaw", "codecs"),
    ("trunks", "1", "dtmfmode", "auto", "dtmf"),
    ("trunks", "1", "sendrpid", "pai", "send_pai"),
    ("trunks", "1", "outcid", "+12025550100", "from_user"),
    ("trunks", "1", "from_user", "someone", "from_user"),
    ("trunks", "1", "from_domain", "", "from_domain"),
    ("trunks", "1", "match", "192.0.2.9", "bandwidth_ips"),
    ("trunks", "1", "secret", "another-secret", "password"),
    ("trunks", "1", "context", "from-internal", "inbound_extension"),
    ("trunks", "1", "aor_contact", "sip:pbx@elsewhere.example:5070", "server"),
    ("trunks", "1", "outbound_proxy", "sip:192.0.2.7:5060\\;lr", "outbound_proxy"),
    ("routing", "1", "dialpatterndata", '[{"prepend_digit":"","pattern_prefix":"","pattern_pass":"X.","match_cid":""}]',
     "pattern"),
    ("routing", "1", "trunkpriority", "", "trunk"),
    ("routing", "1", "routepass", "1234", "trunk"),
    ("routing", "1", "outcid", "+12025550100", "caller_id"),
    ("extensions", "101", "devinfo_secret", "another-secret", "secret"),
    ("extensions", "101", "name", "Somebody", "display_name"),
    ("extensions", "101", "outboundcid", "+12025550100", "route"),
    ("extensions", "101", "devinfo_context", "from-somewhere", "route"),
    ("did", "101/", "destination", "app-blackhole,hangup,1", "inbound_extension"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("page", "key", "name", "value", "differs"), DRIFTS, ids=[f"{d[0]}-{d[2]}-{d[3][:8]}" for d in DRIFTS]
)
def test_what_a_person_changed_is_shown_and_put_right(
    state: FreePbx, page: str, key: str, name: str, value: str, differs: str
) -> None:
    pbx = at(state)
    all_ensured(pbx)
    state.table(page)[key][name] = value
    kind, wanted = {"trunks": ALL[0], "did": ALL[0], "routing": ALL[1], "extensions": ALL[2]}[page]
    rows = plan_on_pbx(pbx, kind, wanted).differences
    assert differs in [row.field for row in rows]
    assert "another-secret" not in str(rows)
    assert ensure_on_pbx(pbx, kind, wanted).action == "updated"
    check_on_pbx(pbx, kind, wanted)
    assert len(state.table(page)) == 1, "changed in place, not made twice"


def test_an_inbound_route_that_is_missing_or_misled_is_put_right(state: FreePbx) -> None:
    pbx = at(state)
    all_ensured(pbx)
    state.dids.clear()
    assert [row.field for row in plan_on_pbx(pbx, TRUNK, A_TRUNK).differences] == ["inbound_extension"]
    ensure_on_pbx(pbx, TRUNK, A_TRUNK)
    assert state.dids["101/"]["destination"] == "from-did-direct,101,1"


def test_without_bandwidths_addresses_there_is_no_inbound_route(state: FreePbx) -> None:
    pbx, closed = at(state), replace(A_TRUNK, bandwidth_ips=(), inbound_extension=None)
    all_ensured(pbx)
    assert state.dids
    assert ensure_on_pbx(pbx, TRUNK, closed).action == "updated"
    assert state.dids == {}
    assert state.trunks["1"]["match"] == ""


# ---------------------------------------------------------------- exactly the guide's defaults


def test_the_form_of_a_trunk_is_sent_with_exactly_the_guides_defaults(running: tuple[FreePbx, FreepbxPbx]) -> None:
    state, pbx = running
    ensure_on_pbx(pbx, TRUNK, A_TRUNK)
    page, pairs = state.posted[0]
    sent = dict(pairs)
    assert page == "trunks"
    assert {name: sent[name] for name in GUIDE} == GUIDE
    assert [(name, value) for name, value in pairs if name.startswith("codec[")] == [
        ("codec[ulaw]", "1"),
        ("codec[alaw]", "2"),
    ]
    assert sent["send_connected_line"] == ("no" if state.version == 17 else "false"), "what we do not decide stays"
    assert ("message_context" in sent) == (state.version == 17)


def test_the_route_sends_its_patterns_where_the_pages_script_would(state: FreePbx) -> None:
    pbx = at(state)
    ensure_on_pbx(pbx, TRUNK, A_TRUNK)
    ensure_on_pbx(pbx, ROUTE, A_ROUTE)
    sent = dict(state.posted[-1][1])
    assert (sent["routename"], sent["trunkpriority[0]"], sent["outcid"]) == ("bandwidth", "1", "")
    assert '"prepend_digit": "+1", "pattern_prefix": "", "pattern_pass": "NXXNXXXXXX"' in sent["dialpatterndata"]


def test_the_extensions_outbound_cid_stays_blank_and_no_person_is_made_beside_it(state: FreePbx) -> None:
    ensure_on_pbx(at(state), EXTENSION, AN_EXTENSION)
    sent = dict(state.posted[-1][1])
    assert (sent["outboundcid"], sent["userman_assign"], sent["tech"]) == ("", "none", "pjsip")


def test_a_user_name_with_an_at_is_split_as_freepbx_needs_it(state: FreePbx) -> None:
    pbx, trunk = at(state), replace(A_TRUNK, username="pbx@acme")
    ensure_on_pbx(pbx, TRUNK, trunk)
    assert (state.trunks["1"]["username"], state.trunks["1"]["auth_username"]) == ("pbx", "pbx@acme")
    assert ensure_on_pbx(pbx, TRUNK, trunk).action == "unchanged"


def test_a_port_and_a_proxy_are_written_where_they_are_wanted(state: FreePbx) -> None:
    pbx, trunk = at(state), replace(A_TRUNK, port=5072, outbound_proxy="127.0.0.2:5060")
    ensure_on_pbx(pbx, TRUNK, trunk)
    assert state.trunks["1"]["outbound_proxy"] == "sip:127.0.0.2:5060\\;lr"
    assert pbx.get_trunk("bandwidth") == trunk


# ---------------------------------------------------------------- whose it is


def by_hand(state: FreePbx, **changes: str) -> None:
    """What a person typed from the sheet, with one thing or another forgotten."""
    typed = {name: value for name, value in GUIDE.items() if name not in ("action", "tech")} | {"codec": "ulaw,alaw"}
    state.by_hand("trunks", "7", **{**typed, **changes})
    state.by_hand("did", "101/", extension="101", destination="from-did-direct,101,1", description="typed in")


def test_a_trunk_made_by_hand_as_the_sheet_says_is_adopted_unchanged(state: FreePbx) -> None:
    by_hand(state)
    assert ensure_on_pbx(at(state), TRUNK, A_TRUNK).action == "unchanged"
    assert state.posted == []


def test_a_trunk_made_by_hand_with_a_slip_is_adopted_and_put_right_never_made_twice(state: FreePbx) -> None:
    by_hand(state, qualify_frequency="60", sip_server_port="5060")
    outcome = ensure_on_pbx(at(state), TRUNK, A_TRUNK)
    assert (outcome.action, sorted(row.field for row in outcome.differences)) == ("updated", ["port", "qualify_s"])
    assert list(state.trunks) == ["7"]
    assert state.trunks["7"]["provider"] == "", "it stays the person's"
    assert state.dids["101/"]["description"] == "typed in"


def test_what_was_made_by_hand_is_kept_by_undo(state: FreePbx) -> None:
    by_hand(state, qualify_frequency="60")
    pbx = at(state)
    ensure_on_pbx(pbx, TRUNK, A_TRUNK)
    assert remove_from_pbx(at(state), TRUNK, "bandwidth").action == "kept"
    assert "7" in state.trunks


def test_a_trunk_of_the_name_that_leads_elsewhere_is_left_alone(state: FreePbx) -> None:
    by_hand(state, sip_server="sip.another-carrier.example")
    with pytest.raises(PbxRefused, match="another-carrier"):
        plan_on_pbx(at(state), TRUNK, A_TRUNK)
    with pytest.raises(PbxRefused, match="left as it is"):
        at(state).put_trunk(A_TRUNK)
    assert state.posted == []


def test_somebodys_phone_is_left_alone(state: FreePbx) -> None:
    state.by_hand("extensions", "101", extension="101", name="Mr Smith", devinfo_secret="his-own-secret")
    with pytest.raises(PbxRefused, match="somebody's phone") as caught:
        ensure_on_pbx(at(state), EXTENSION, AN_EXTENSION)
    assert "his-own-secret" not in str(caught.value)
    assert state.extensions["101"]["name"] == "Mr Smith"


def test_another_sites_objects_are_left_alone(state: FreePbx) -> None:
    all_ensured(at(state))
    other = at(state, site="other-site")
    for kind, wanted in ALL:
        assert other.owner(kind.word, kind.name(wanted)) == "other"
        assert remove_from_pbx(other, kind, kind.name(wanted)).action == "kept"
    with pytest.raises(PbxRefused, match="another site"):
        ensure_on_pbx(other, TRUNK, replace(A_TRUNK, qualify_s=30))


def test_undo_takes_away_what_was_made_and_nothing_else(running: tuple[FreePbx, FreepbxPbx]) -> None:
    state, pbx = running
    state.by_hand("trunks", "1", trunk_name="theirs", sip_server="sip.example.com", registration="send")
    state.by_hand("did", "/", extension="", destination="app-blackhole,hangup,1")
    all_ensured(pbx)
    assert [remove_from_pbx(pbx, kind, kind.name(wanted)).action for kind, wanted in BACKWARDS] == ["removed"] * 3
    assert (list(state.trunks), state.routes, state.extensions, list(state.dids)) == (["1"], {}, {}, ["/"])
    assert [remove_from_pbx(pbx, kind, kind.name(wanted)).action for kind, wanted in ALL] == ["unchanged"] * 3


def test_the_mark_is_short_enough_for_a_call_record_and_differs_by_site() -> None:
    marks = {mark_of(site) for site in ("my-site", "other-site", "x" * 40)}
    assert len(marks) == 3
    assert max(map(len, marks)) <= 20


# ---------------------------------------------------------------- toll fraud


@pytest.mark.parametrize("destination", ["ext-trunk,1,1", "disa,1,1", "from-internal,*72,1", "outrt-2,+1202,1"])
def test_no_caller_without_a_password_is_let_near_an_inbound_route_that_leads_out(
    state: FreePbx, destination: str
) -> None:
    state.by_hand("did", "5550/", extension="5550", destination=destination)
    with pytest.raises(PbxRefused, match="dial out at the site's cost"):
        ensure_on_pbx(at(state), TRUNK, A_TRUNK)
    assert state.trunks == {}
    closed = replace(A_TRUNK, bandwidth_ips=(), inbound_extension=None)
    assert ensure_on_pbx(at(state), TRUNK, closed).action == "created"


def test_an_inbound_route_of_somebody_elses_for_the_number_is_left_alone(state: FreePbx) -> None:
    state.by_hand("did", "101/", extension="101", destination="app-blackhole,hangup,1")
    with pytest.raises(PbxRefused, match="not this site's"):
        ensure_on_pbx(at(state), TRUNK, A_TRUNK)
    assert state.trunks == {}


# ---------------------------------------------------------------- FreePBX says no, or nothing


@pytest.mark.parametrize("wrong", [{"user": "nobody"}, {"password": SecretStr("wrong-password-1")}])
def test_a_refused_sign_in_is_named_although_it_is_200(state: FreePbx, wrong: dict[str, Any]) -> None:
    with pytest.raises(PbxRefused, match=r"pbx\.user and pbx\.password") as caught:
        at(state, **wrong).get_trunk("bandwidth")
    assert "wrong-password-1" not in str(caught.value)


def test_a_user_who_is_no_administrator_is_named(state: FreePbx) -> None:
    state.limited = True
    with pytest.raises(PbxRefused, match="administrator with all sections"):
        at(state).put_trunk(A_TRUNK)


@pytest.mark.parametrize("after", range(2, 30))
def test_a_session_that_is_lost_at_any_moment_is_opened_again_and_nothing_is_made_twice(
    state: FreePbx, after: int
) -> None:
    state.lose_session_after = after
    assert ensure_on_pbx(at(state), TRUNK, A_TRUNK).action == "created"
    assert (len(state.trunks), len(state.dids)) == (1, 1)


def test_an_answer_that_was_lost_is_looked_for_and_nothing_is_made_twice(state: FreePbx) -> None:
    state.hang_up_on_save = True
    assert ensure_on_pbx(at(state), TRUNK, A_TRUNK).action == "created"
    assert len(state.trunks) == 1


def test_an_answer_that_was_lost_with_the_request_is_said_to_be_uncertain(state: FreePbx) -> None:
    state.hang_up_on_save = state.forgets = True
    with pytest.raises(PbxUnreachable, match="may have been carried out"):
        ensure_on_pbx(at(state), TRUNK, A_TRUNK)


def test_a_save_that_was_answered_and_not_kept_is_no_success(state: FreePbx) -> None:
    state.forgets = True
    with pytest.raises(PbxRefused, match="its list does not have it"):
        ensure_on_pbx(at(state), TRUNK, A_TRUNK)


def test_a_field_that_was_kept_otherwise_is_named_without_its_value(state: FreePbx) -> None:
    state.keeps_otherwise = {"secret": "cut-off", "context": "from-trunk"}
    with pytest.raises(PbxRefused, match="kept something else in: secret, context") as caught:
        ensure_on_pbx(at(state), TRUNK, A_TRUNK)
    assert SIP_SECRET not in str(caught.value)


def test_two_trunks_of_the_name_are_an_error_and_never_three(state: FreePbx) -> None:
    by_hand(state)
    state.trunks["8"] = dict(state.trunks["7"])
    for act in (lambda pbx: pbx.get_trunk("bandwidth"), lambda pbx: pbx.put_trunk(A_TRUNK)):
        with pytest.raises(PbxRefused, match="there are 2 of that name"):
            act(at(state))
    assert state.posted == []


def test_a_trunk_of_the_name_over_another_driver_is_refused(state: FreePbx) -> None:
    by_hand(state, tech="sip")
    with pytest.raises(PbxRefused, match="not pjsip"):
        at(state).get_trunk("bandwidth")


def test_an_apply_that_fails_or_sticks_is_no_success(state: FreePbx) -> None:
    state.reload_fails = True
    with pytest.raises(PbxRefused, match="Reload failed"):
        ensure_on_pbx(at(state), TRUNK, A_TRUNK)
    state.reload_fails, state.reload_due, state.reload_sticks = False, False, True
    with pytest.raises(PbxRefused, match="still asks for Apply Config"):
        ensure_on_pbx(at(state), ROUTE, A_ROUTE)


def test_a_change_of_somebody_elses_that_waits_is_not_swept_in(state: FreePbx) -> None:
    state.reload_due = True
    for kind, wanted in ALL:
        with pytest.raises(PbxRefused, match=r"waits for Apply Config(?s:.)*apply_pending"):
            plan_on_pbx(at(state), kind, wanted) and ensure_on_pbx(at(state), kind, wanted)
    assert state.posted == []
    assert state.reload_due


def test_it_is_swept_in_where_the_site_file_says_so(state: FreePbx) -> None:
    state.reload_due = True
    assert all_ensured(at(state, apply_pending=True)) == ["created"] * 3


def test_a_change_that_waits_keeps_removal_and_the_check_of_registrations_back(state: FreePbx) -> None:
    all_ensured(at(state))
    state.reload_due = True
    with pytest.raises(PbxRefused, match="waits for Apply Config"):
        remove_from_pbx(at(state), TRUNK, "bandwidth")
    with pytest.raises(PbxRefused, match="waits for Apply Config"):
        check_no_registration(at(state), A_TRUNK)
    assert "1" in state.trunks


def test_a_trunk_that_registers_is_found_by_its_page(state: FreePbx) -> None:
    all_ensured(at(state))
    state.trunks["1"]["registration"] = "send"
    with pytest.raises(NotAsExpected, match="outbound registration"):
        check_no_registration(at(state), A_TRUNK)


def test_a_pbx_that_does_not_answer_is_unreachable() -> None:
    with freepbx() as (_, url):
        pass
    with pytest.raises(PbxUnreachable, match=r"pbx\.url"):
        adapter(url).get_trunk("bandwidth")


def test_a_certificate_of_its_own_is_trusted_by_the_authority_that_is_named_and_not_without(tmp_path: Path) -> None:
    files = throw_away_certificate(tmp_path / "tls", "127.0.0.1")
    with freepbx(certificate=(files.certificate, files.key)) as (state, url):
        with pytest.raises(PbxUnreachable, match=r"pbx\.ca_file"):
            adapter(url).get_trunk("bandwidth")
        assert state.posted == []
        assert ensure_on_pbx(adapter(url, ca_file=str(files.ca)), TRUNK, A_TRUNK).action == "created"
        with pytest.raises(SettingsError, match=r"pbx\.ca_file"):
            adapter(url, ca_file=str(tmp_path / "none.pem")).get_trunk("bandwidth")


def test_a_gui_that_sends_on_to_another_address_is_named(state: FreePbx) -> None:
    state.sends_on_to = "https://pbx.example.com/admin"
    with pytest.raises(PbxRefused, match=r"https://pbx\.example\.com/admin(?s:.)*give pbx\.url"):
        at(state).get_trunk("bandwidth")


@pytest.mark.parametrize("url", ["http://pbx.example.com", "ftp://127.0.0.1", "https://u:p@pbx", "pbx.example.com", ""])
def test_an_administrators_password_is_sent_over_https_only(url: str) -> None:
    with pytest.raises(SettingsError, match="https://"):
        adapter(url)


def test_the_second_road_is_typed_in_by_hand(state: FreePbx) -> None:
    uri_route = replace(A_ROUTE, request_uri="sip:0d5c@voice.example.com", number_header="X-Dialed-Number")
    for wanted in (A_TRUNK, uri_route, AN_EXTENSION):
        with pytest.raises(PbxRefused, match="settings sheet in by hand"):
            at(state, road="sip-uri").check_put(wanted)
    with pytest.raises(PbxRefused, match="settings sheet in by hand"):
        at(state).check_put(uri_route)
    sheet = at(state).settings_sheet(A_TRUNK, uri_route, AN_EXTENSION)
    assert "sip:0d5c@voice.example.com" in sheet


def test_what_cannot_be_written_is_refused_before_anything_is_sent(state: FreePbx) -> None:
    for wanted in (
        replace(A_TRUNK, name="two words"),
        replace(A_ROUTE, pattern="X."),
        replace(A_TRUNK, transfers=True),
    ):
        with pytest.raises(SettingsError):
            at(state).check_put(wanted)
    assert state.requests == []


# ---------------------------------------------------------------- secrets


def test_no_secret_is_in_a_snapshot_an_error_a_log_or_a_url(state: FreePbx, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pbx = at(state)
    all_ensured(pbx)
    told = [
        repr(pbx),
        str(vars(pbx)),
        repr(pbx._driver),
        *pbx.snapshot().values(),
        str(pbx.identity()),
        str(pbx.info()),
    ]
    told += state.requests
    for turn in ("forgets", "reload_fails", "limited", "hang_up_on_save"):
        setattr(state, turn, True)
        for kind, wanted in [
            (TRUNK, replace(A_TRUNK, qualify_s=9)),
            (EXTENSION, replace(AN_EXTENSION, display_name="x")),
        ]:
            try:
                ensure_on_pbx(pbx, kind, wanted)
            except PbxError as error:
                told.append(f"{error!r} {error} {error.__context__!r} {error.__cause__!r}")
    told.append(caplog.text)
    for secret in (SIP_SECRET, PHONE_SECRET, PASSWORD):
        assert [text for text in told if secret in text] == []
    assert len(told) > 10


def test_a_snapshot_shows_the_sites_pages_and_nobody_elses_phone(state: FreePbx) -> None:
    pbx = at(state)
    all_ensured(pbx)
    state.by_hand("extensions", "205", extension="205", name="Mr Smith", devinfo_secret="his-own-secret")
    files = pbx.snapshot()
    assert set(files) >= {"freepbx/trunks.json", "freepbx/trunk_bandwidth_1.json", "freepbx/extension_101_101.json"}
    whole = "".join(files.values())
    assert '"secret": "(not shown)"' in whole
    assert "Mr Smith" not in whole
    assert "his-own-secret" not in whole


def test_info_and_identity_say_which_freepbx_it_is(running: tuple[FreePbx, FreepbxPbx]) -> None:
    state, pbx = running
    info = pbx.info()
    assert info.version.startswith(f"{state.version}.0")
    assert (info.product, info.sip_host, info.sip_port) == ("FreePBX", "pbx.example.com", 5060)
    assert list(pbx.identity()) == ["freepbx"]


def test_what_is_read_back_is_what_was_wanted_in_every_field(running: tuple[FreePbx, FreepbxPbx]) -> None:
    _, pbx = running
    all_ensured(pbx)
    for (kind, wanted), found in zip(
        ALL, (pbx.get_trunk("bandwidth"), pbx.get_route("bandwidth"), pbx.get_extension("101")), strict=True
    ):
        assert kind.name(found) == kind.name(wanted)
        assert differences(found, wanted, [field.name for field in fields(wanted)]) == ()
