"""Guide step 3 against a PBX in memory that does what bwlib.pbx.Pbx promises: nothing is in force before apply()."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from memory_pbx import MemoryPbx
from pydantic import SecretStr

from bwlib.errors import NotAsExpected, PbxRefused, PbxUnreachable
from bwlib.models import Difference, Extension, OutboundRoute, Realm, Registration, SipCredential, Trunk
from bwlib.pbx import Pbx
from bwlib.steps.pbx import (
    EXTENSION,
    ROUTE,
    TRUNK,
    Kind,
    check_no_registration,
    check_on_pbx,
    ensure_on_pbx,
    plan_on_pbx,
    remove_from_pbx,
    trunk_to,
)

REALM = Realm("1", "acme-3efeaa.auth.bandwidth.test", "d", False, "ACTIVE")
CREDENTIAL = SipCredential("7", "pbx", "1", REALM.fqdn, "app", SecretStr("0" * 32), SecretStr("1" * 32))
SECRET = SecretStr("correct-horse-battery")


def a_trunk() -> Trunk:
    return trunk_to(
        REALM,
        CREDENTIAL,
        name="bandwidth",
        password=SECRET,
        number="+19195550100",
        bandwidth_ips=("192.0.2.1",),
        extension="101",
        outbound_proxy="127.0.0.2:5060",
    )


WANTED: list[tuple[Kind[Any], Any, Any, str]] = [
    (TRUNK, a_trunk(), replace(a_trunk(), qualify_s=60), "qualify_s"),
    (
        ROUTE,
        OutboundRoute("bandwidth", "NXXNXXXXXX", "+1", "bandwidth", "+19195550100"),
        OutboundRoute("bandwidth", "NXXNXXXXXX", "1", "bandwidth", "+19195550100"),
        "prepend",
    ),
    (EXTENSION, Extension("101", SECRET, "bandwidth"), Extension("101", SecretStr("another"), "bandwidth"), "secret"),
]
EACH = pytest.mark.parametrize(("kind", "wanted", "other", "field"), WANTED, ids=[row[0].word for row in WANTED])


@pytest.fixture
def pbx() -> MemoryPbx:
    made = MemoryPbx()
    checked: Pbx = made  # the protocol is what the steps may use
    assert checked.info().product == "Memory"
    return made


# ---------------------------------------------------------------- what the guide asks for


def test_the_trunk_is_the_guides_no_registration_and_outbound_authentication() -> None:
    trunk = a_trunk()
    assert (trunk.server, trunk.from_domain, trunk.username) == (REALM.fqdn, REALM.fqdn, "pbx")
    assert (trunk.registration, trunk.qualify_s, trunk.port, trunk.from_user) == (False, 0, None, "+19195550100")
    assert (trunk.codecs, trunk.dtmf, trunk.send_pai) == (("ulaw", "alaw"), "rfc4733", False)


def test_without_bandwidths_addresses_nothing_is_admitted_inbound() -> None:
    trunk = trunk_to(REALM, CREDENTIAL, name="b", password=SECRET, number="+1", bandwidth_ips=(), extension="101")
    assert (trunk.bandwidth_ips, trunk.inbound_extension) == ((), None)


# ---------------------------------------------------------------- the five situations


@EACH
def test_an_absent_one_is_planned_without_writing(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    plan = plan_on_pbx(pbx, kind, wanted)
    assert (plan.action, plan.found) == ("planned", None)
    assert {row.field for row in plan.differences} == {each.name for each in fields(wanted)}
    assert SECRET.get_secret_value() not in repr(plan)
    assert pbx.wrote == []


@EACH
def test_an_absent_one_is_written_applied_and_read_back(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    outcome = ensure_on_pbx(pbx, kind, wanted)
    assert (outcome.action, outcome.found) == ("created", wanted)
    assert pbx.calls[-3:] == [f"put {kind.word}", "apply", f"get {kind.word}"]


@EACH
def test_a_second_run_says_unchanged_and_writes_nothing(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    ensure_on_pbx(pbx, kind, wanted)
    pbx.calls.clear()
    outcome = ensure_on_pbx(pbx, kind, wanted)
    assert (outcome.action, outcome.differences, pbx.wrote) == ("unchanged", (), [])


@EACH
def test_a_different_one_of_ours_is_updated(pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str) -> None:
    ensure_on_pbx(pbx, kind, other)
    outcome = ensure_on_pbx(pbx, kind, wanted)
    assert (outcome.action, [row.field for row in outcome.differences]) == ("updated", [field])
    assert kind.get(pbx, kind.name(wanted)) == wanted


@EACH
def test_somebody_elses_with_other_settings_is_refused_untouched(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    pbx.others[kind.word, kind.name(wanted)] = other
    with pytest.raises(PbxRefused, match="not ours to change") as caught:
        ensure_on_pbx(pbx, kind, wanted)
    assert f"pbx.{kind.word}" in caught.value.do_next
    assert pbx.wrote == []


@EACH
def test_somebody_elses_that_cannot_be_read_is_refused_too(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    pbx.others[kind.word, kind.name(wanted)] = None
    with pytest.raises(PbxRefused):
        ensure_on_pbx(pbx, kind, wanted)
    assert pbx.wrote == []


@EACH
def test_a_plan_does_not_promise_what_the_pbx_would_refuse(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    pbx.refusal = PbxRefused("write it", "it belongs to the site south", "choose another name")
    for attempt in (plan_on_pbx, ensure_on_pbx):
        with pytest.raises(PbxRefused, match="the site south"):
            attempt(pbx, kind, wanted)
    assert pbx.wrote == []


@EACH
def test_somebody_elses_with_just_these_settings_is_good(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    pbx.others[kind.word, kind.name(wanted)] = wanted
    assert ensure_on_pbx(pbx, kind, wanted).action == "unchanged"
    assert pbx.wrote == []


@EACH
def test_a_silent_pbx_is_an_error_and_never_absent(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    pbx.down = True
    for attempt in (plan_on_pbx, ensure_on_pbx, check_on_pbx):
        with pytest.raises(PbxUnreachable):
            attempt(pbx, kind, wanted)
    with pytest.raises(PbxUnreachable):
        remove_from_pbx(pbx, kind, kind.name(wanted))


@EACH
def test_what_the_running_pbx_did_not_take_up_is_no_success(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    pbx.deaf = True
    with pytest.raises(NotAsExpected, match="there is none"):
        ensure_on_pbx(pbx, kind, wanted)
    pbx.deaf, pbx.forgets = False, {field: getattr(other, field)}
    with pytest.raises(NotAsExpected, match=field) as caught:
        ensure_on_pbx(pbx, kind, wanted)
    assert SECRET.get_secret_value() not in str(caught.value)


# ---------------------------------------------------------------- registration


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("theirs", f"sip:pbx@{REALM.fqdn}:5072;transport=udp"),
        ("theirs", REALM.fqdn.upper()),
        ("bandwidth", "sip:elsewhere.example.com"),
        ("bandwidth-registration", "sip:elsewhere.example.com"),
    ],
)
def test_a_registration_at_the_realm_is_not_as_the_guide_wants(pbx: MemoryPbx, name: str, server: str) -> None:
    theirs = Registration.read("other-provider", "sip:other-provider.example.com", "other-provider Registered")
    pbx.registered = [theirs, Registration.read(name, server, f"{name} {server} Rejected")]
    with pytest.raises(NotAsExpected) as caught:
        check_no_registration(pbx, a_trunk())
    assert f"{name} {server} Rejected" in caught.value.came_back
    assert "other-provider" not in caught.value.came_back


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("other-provider", "sip:other-provider.example.com"),
        ("bandwidth-old", "sip:other-provider.example.com"),
        ("my-bandwidth", "sip:bandwidth.example.com"),
        ("other", f"sip:x.{REALM.fqdn}"),
        ("other", f"sip:{REALM.fqdn}.example.com"),
        ("other", f"sip:{REALM.fqdn}@other-provider.example.com"),
        ("other", "sip:[2001:db8::1]:5060"),
    ],
)
def test_registrations_elsewhere_are_the_persons_own_however_they_are_called(
    pbx: MemoryPbx, name: str, server: str
) -> None:
    pbx.registered = [Registration.read(name, server, f"{name} {server} Registered")]
    check_no_registration(pbx, a_trunk())


# ---------------------------------------------------------------- undo


@EACH
def test_ours_is_removed_and_gone_is_fine(pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str) -> None:
    ensure_on_pbx(pbx, kind, wanted)
    assert remove_from_pbx(pbx, kind, kind.name(wanted)).action == "removed"
    assert kind.get(pbx, kind.name(wanted)) is None
    assert remove_from_pbx(pbx, kind, kind.name(wanted)).action == "unchanged"


@EACH
def test_somebody_elses_is_kept(pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str) -> None:
    pbx.others[kind.word, kind.name(wanted)] = other
    outcome = remove_from_pbx(pbx, kind, kind.name(wanted))
    assert (outcome.action, outcome.found, pbx.wrote) == ("kept", other, [])


@EACH
def test_what_the_running_pbx_still_has_is_not_removed(
    pbx: MemoryPbx, kind: Any, wanted: Any, other: Any, field: str
) -> None:
    ensure_on_pbx(pbx, kind, wanted)
    pbx.deaf = True
    with pytest.raises(NotAsExpected, match="still has it"):
        remove_from_pbx(pbx, kind, kind.name(wanted))


def test_a_difference_is_told_by_field(pbx: MemoryPbx) -> None:
    ensure_on_pbx(pbx, TRUNK, replace(a_trunk(), codecs=("g722",)))
    assert plan_on_pbx(pbx, TRUNK, a_trunk()).differences == (Difference("codecs", "g722", "ulaw, alaw"),)
