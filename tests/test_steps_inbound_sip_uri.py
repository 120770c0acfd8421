"""The second road against the real sandbox: enabled or not, readable or not, its password kept or lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from account_under_test import Account
from pydantic import SecretStr
from sandbox_world import World

from bwlib.errors import NotAsExpected, NotEntitled, SecretUnavailable, Unavailable
from bwlib.models import Application, InboundSipUri, Outcome
from bwlib.steps.inbound_sip_uri import (
    AS_ANSWERED,
    Keeper,
    Wanted,
    check_inbound_sip_uri,
    ensure_inbound_sip_uri,
    plan_inbound_sip_uri,
    remove_inbound_sip_uri,
)

READABLE = pytest.mark.parametrize("readable", ["200", "405"])
PLAIN = Wanted()


class Place:
    """A place for the password that can be full."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.closed = self.breaks = False

    def keeper(self) -> Keeper:
        return Keeper(exists=lambda: bool(self.kept), check=self._check, keep=self._keep)

    def _check(self) -> None:
        if self.closed:
            raise SecretUnavailable("keep it", "an env: reference cannot be written", "use file:")

    def _keep(self, password: SecretStr) -> None:
        if self.breaks:
            raise SecretUnavailable("keep it", "disk full", "make room")
        self.kept.append(password.get_secret_value())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


@pytest.fixture
def account(world: World) -> Account:
    world.sandbox.reset()
    return Account(world)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def application(account: Account) -> Application:
    return account.application()


def ensure(
    account: Account, application: Application, place: Place, wanted: Wanted = PLAIN, **more: Any
) -> Outcome[InboundSipUri]:
    return ensure_inbound_sip_uri(account.client, application, wanted, place.keeper(), **more)


def enabled_by_somebody_else(account: Account, application: Application) -> InboundSipUri:
    made = account.client.update_voice_application(application.id, enabled=True, password_auth=True)
    account.wire.sent.clear()
    return made


@READABLE
def test_a_plan_writes_nothing(account: Account, application: Application, readable: str) -> None:
    account.switch("voice_application_get", readable)
    plan = plan_inbound_sip_uri(account.client, application, PLAIN, None, False)
    assert (plan.action, plan.found) == ("planned", None)
    assert ("cannot be read" in plan.note) is (readable == "405")
    assert account.wire.written == []


@READABLE
def test_it_is_enabled_once_its_password_kept_and_never_shown(
    account: Account, application: Application, place: Place, readable: str
) -> None:
    account.switch("voice_application_get", readable)
    outcome = ensure(account, application, place)
    assert outcome.action == "created"
    assert outcome.found is not None
    assert outcome.found.password is None
    assert outcome.found.user != application.id
    assert (outcome.note == AS_ANSWERED) is (readable == "405")
    assert len(place.kept) == 1
    assert place.kept[0] not in repr(outcome)


@READABLE
def test_a_second_run_says_unchanged_and_writes_nothing(
    account: Account, application: Application, place: Place, readable: str
) -> None:
    account.switch("voice_application_get", readable)
    first = ensure(account, application, place)
    account.wire.sent.clear()
    second = ensure(account, application, place, known=first.found)
    assert (second.action, second.found) == ("unchanged", first.found)
    assert (second.note == AS_ANSWERED) is (readable == "405")
    assert account.wire.written == []


@READABLE
def test_other_settings_are_updated_and_the_password_stays(
    account: Account, application: Application, place: Place, readable: str
) -> None:
    account.switch("voice_application_get", readable)
    first = ensure(account, application, place)
    wanted = Wanted(("192.0.2.0/24",), ("US",))
    outcome = ensure(account, application, place, wanted, known=first.found)
    assert outcome.action == "updated"
    assert {row.field for row in outcome.differences} == {"allowed_source_ips", "allowed_regions"}
    assert outcome.found is not None
    assert outcome.found.allowed_source_ips == ("192.0.2.0/24",)
    assert len(place.kept) == 1


def test_a_password_that_bandwidth_makes_anew_unasked_is_kept_too(
    account: Account, application: Application, place: Place
) -> None:
    first = ensure(account, application, place)
    account.switch("sip_uri_repeat_enable", "rotate")
    ensure(account, application, place, Wanted(allowed_regions=("US",)), known=first.found)
    assert len(set(place.kept)) == 2


# ---------------------------------------------------------------- a password that nobody has


@READABLE
def test_one_that_somebody_enabled_is_not_rotated_unasked(
    account: Account, application: Application, place: Place, readable: str
) -> None:
    account.switch("voice_application_get", readable)
    enabled_by_somebody_else(account, application)
    with pytest.raises(NotAsExpected, match="enabled already") as caught:
        ensure(account, application, place)
    assert "sip_uri.rotate" in caught.value.do_next
    assert place.kept == []


@READABLE
@pytest.mark.parametrize("uri", ["same", "new"])
def test_with_rotate_it_is_enabled_anew_and_only_then(
    account: Account, application: Application, place: Place, readable: str, uri: str
) -> None:
    account.switch("voice_application_get", readable)
    account.switch("sip_uri_reenable", uri)
    before = enabled_by_somebody_else(account, application)
    outcome = ensure(account, application, place, rotate=True)
    assert outcome.found is not None
    assert (outcome.found.uri == before.uri) is (uri == "same")
    assert len(place.kept) == 1
    account.wire.sent.clear()
    assert ensure(account, application, place, known=outcome.found, rotate=True).action == "unchanged"
    assert account.wire.written == []


def test_nothing_is_sent_when_the_password_could_not_be_kept(
    account: Account, application: Application, place: Place
) -> None:
    place.closed = True
    with pytest.raises(SecretUnavailable, match="cannot be written"):
        ensure(account, application, place)
    assert account.wire.written == []


def test_a_password_that_was_lost_on_the_way_to_its_place_is_said(
    account: Account, application: Application, place: Place
) -> None:
    place.breaks = True
    with pytest.raises(SecretUnavailable, match="so it is lost") as caught:
        ensure(account, application, place)
    assert "sip_uri.rotate = true" in caught.value.do_next
    place.breaks = False
    assert ensure(account, application, place, rotate=True).found is not None


def test_an_answer_that_was_lost_is_not_asked_for_again_by_itself(
    account: Account, application: Application, place: Place
) -> None:
    account.wire.lose = {"PATCH"}
    with pytest.raises(Unavailable) as caught:
        ensure(account, application, place)
    assert caught.value.may_have_arrived
    assert account.wire.written == ["PATCH"]
    account.wire.lose = set()
    with pytest.raises(NotAsExpected, match="enabled already"):
        ensure(account, application, place)


# ---------------------------------------------------------------- answers that do not fit


def test_no_right_to_it_is_an_error_when_writing(account: Account, application: Application, place: Place) -> None:
    account.wire.answer = lambda request: (
        httpx.Response(403, json={"links": [], "data": None, "errors": [{"type": "x", "description": "no role"}]})
        if "voice-applications" in request.url.path
        else None
    )
    with pytest.raises(NotEntitled, match="no role"):
        ensure(account, application, place)


@pytest.mark.parametrize(
    "change", [{"inboundSipCallsEnabled": False}, {"sipUri": None}, {"passwordAuthEnabled": False}]
)
def test_an_answer_that_is_not_what_was_asked_for_is_no_success(
    account: Account, application: Application, place: Place, change: dict[str, object]
) -> None:
    data: dict[str, object] = {
        "applicationId": application.id, "sipUri": "sip:u@h.test", "inboundSipCallsEnabled": True,
        "passwordAuthEnabled": True, "sipAuthPassword": "a-password-said-once", **change,
    }  # fmt: skip
    document = {"links": [], "data": data, "errors": []}
    account.wire.answer = lambda request: httpx.Response(200, json=document) if request.method == "PATCH" else None
    with pytest.raises(NotAsExpected):
        ensure(account, application, place)
    assert place.kept == ["a-password-said-once"]  # it might be needed all the same


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data": {}}', b'{"data": {"applicationId": "1"}}'])
def test_a_body_that_cannot_be_used_is_unavailable(
    account: Account, application: Application, place: Place, body: bytes
) -> None:
    account.wire.answer = lambda request: httpx.Response(200, content=body) if request.method == "PATCH" else None
    with pytest.raises(Unavailable):
        ensure(account, application, place)


def test_errors_inside_a_200_are_errors(account: Account, application: Application, place: Place) -> None:
    document = {"links": [], "data": None, "errors": [{"type": "validation", "description": "not today"}]}
    account.wire.answer = lambda request: httpx.Response(200, json=document) if request.method == "PATCH" else None
    with pytest.raises(Exception, match="not today"):
        ensure(account, application, place)


# ---------------------------------------------------------------- check and undo


@READABLE
def test_the_check_reads_back_or_says_what_was_answered(
    account: Account, application: Application, place: Place, readable: str
) -> None:
    account.switch("voice_application_get", readable)
    assert check_inbound_sip_uri(account.client, application, PLAIN, None) is None
    found = ensure(account, application, place).found
    assert check_inbound_sip_uri(account.client, application, PLAIN, found) == found


def test_one_that_was_disabled_meanwhile_is_told_where_it_can_be_read(
    account: Account, application: Application, place: Place
) -> None:
    account.switch("voice_application_get", "200")
    found = ensure(account, application, place).found
    account.client.update_voice_application(application.id, enabled=False)
    with pytest.raises(NotAsExpected, match="enabled is no"):
        check_inbound_sip_uri(account.client, application, PLAIN, found)


@READABLE
def test_undo_disables_it_once(account: Account, application: Application, place: Place, readable: str) -> None:
    account.switch("voice_application_get", readable)
    made = ensure(account, application, place).found
    assert made is not None
    removed = remove_inbound_sip_uri(account.client, application.id, made.uri)
    assert (removed.action, removed.note) == ("removed", "" if readable == "200" else AS_ANSWERED)
    account.switch("voice_application_get", "200")
    assert not account.client.get_voice_application(application.id).enabled
    assert remove_inbound_sip_uri(account.client, application.id, made.uri).note == "already disabled"


def test_undo_leaves_another_uri_and_a_gone_application_alone(
    account: Account, application: Application, place: Place
) -> None:
    account.switch("voice_application_get", "200")
    ensure(account, application, place)
    kept = remove_inbound_sip_uri(account.client, application.id, "sip:other@h.test")
    assert (kept.action, account.client.get_voice_application(application.id).enabled) == ("kept", True)
    account.client.delete_application(application.id)
    assert remove_inbound_sip_uri(account.client, application.id, "sip:x@h.test").action == "unchanged"


def test_the_two_halves_of_a_uri() -> None:
    made = InboundSipUri("a", "sip:479fbd44-3362@sip-uri.test:5070;transport=udp", True, True)
    assert (made.user, made.host) == ("479fbd44-3362", "sip-uri.test")
    assert "geheim" not in repr(replace(made, password=SecretStr("geheim")))
