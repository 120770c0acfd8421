"""Guide step 1 against the real sandbox: absent, present, different, refused, no answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from account_under_test import PASSWORD, Account, unavailable, wanted_application
from sandbox_world import World

from bwlib.errors import NotAsExpected, NotAuthenticated, Refused, Unavailable
from bwlib.models import Difference
from bwlib.steps.application import (
    check_application,
    ensure_application,
    find_application,
    plan_application,
    remove_application,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


@pytest.fixture
def account(world: World) -> Account:
    world.sandbox.reset()
    return Account(world)


# ---------------------------------------------------------------- absent


def test_planning_an_absent_application_says_what_would_be_written_and_writes_nothing(account: Account) -> None:
    plan = plan_application(account.client, wanted_application())
    assert (plan.action, plan.found, plan.note) == ("planned", None, "would be created")
    assert Difference("call_initiated_method", "absent", "POST") in plan.differences
    assert account.wire.written == []


def test_an_absent_application_is_created_and_read_back(account: Account) -> None:
    outcome = ensure_application(account.client, wanted_application())
    assert outcome.action == "created"
    assert outcome.found is not None
    assert account.client.get_application(outcome.found.id) == outcome.found
    assert account.wire.written == ["POST"]
    assert account.wire.sent[-2][0] == "GET", "no success before it is read back"


# ---------------------------------------------------------------- present


def test_a_second_run_says_unchanged_and_writes_nothing(account: Account) -> None:
    first = ensure_application(account.client, wanted_application())
    account.wire.sent.clear()
    again = ensure_application(account.client, wanted_application())
    assert (again.action, again.found, again.differences) == ("unchanged", first.found, ())
    assert account.wire.written == []


def test_a_hostile_name_is_found_again(account: Account) -> None:
    wanted = wanted_application("<&\"' ünï>")
    assert ensure_application(account.client, wanted).action == "created"
    assert ensure_application(account.client, wanted).action == "unchanged"


def test_callback_credentials_are_set_and_the_unreadable_password_is_mentioned(account: Account) -> None:
    wanted = wanted_application(callback_user="bw", callback_password=PASSWORD)
    first = ensure_application(account.client, wanted)
    assert "cannot be read back" in first.note
    assert "cannot be read back" in ensure_application(account.client, wanted).note
    assert first.found is not None
    assert first.found.callback_user == "bw"


def test_two_of_the_same_name_are_not_guessed_between(account: Account) -> None:
    ids = [account.application("PBX Interconnect").id for _ in range(2)]
    with pytest.raises(NotAsExpected) as caught:
        ensure_application(account.client, wanted_application())
    assert all(one in caught.value.came_back for one in ids)
    assert account.wire.written == []


# ---------------------------------------------------------------- different


def test_a_different_application_is_updated_in_place(account: Account) -> None:
    before = account.client.create_application(wanted_application(call_initiated_method="GET", call_status_url=None))
    account.wire.sent.clear()
    outcome = ensure_application(account.client, wanted_application())
    assert outcome.action == "updated"
    assert outcome.found is not None
    assert outcome.found.id == before.id
    assert Difference("call_initiated_method", "GET", "POST") in outcome.differences
    assert Difference("call_status_url", "not set", "https://pbx.example.com/status") in outcome.differences
    assert account.wire.written == ["PUT"]


def test_an_update_keeps_what_the_site_file_has_no_word_for(account: Account) -> None:
    account.client.create_application(wanted_application(call_initiated_method="GET", callback_timeout_s=17))
    outcome = ensure_application(account.client, wanted_application())
    assert outcome.found is not None
    assert outcome.found.callback_timeout_s == 17


def test_a_plan_for_a_different_application_writes_nothing(account: Account) -> None:
    account.client.create_application(wanted_application(call_initiated_method="GET"))
    account.wire.sent.clear()
    plan = plan_application(account.client, wanted_application())
    assert (plan.action, plan.note) == ("planned", "would be updated")
    assert account.wire.written == []


MESSAGING = (
    "<ApplicationProvisioningResponse><ApplicationList><Application><ApplicationId>m-1</ApplicationId>"
    "<ServiceType>Messaging-V2</ServiceType><AppName>PBX Interconnect</AppName></Application></ApplicationList>"
    "</ApplicationProvisioningResponse>"
)


def test_a_messaging_application_of_the_same_name_is_somebody_elses_thing(account: Account) -> None:
    account.wire.answer = lambda request: (
        httpx.Response(200, text=MESSAGING) if request.url.path.endswith("/applications") else None
    )
    assert find_application(account.client, "PBX Interconnect") is None


def test_an_answer_that_kept_something_else_is_not_success(account: Account) -> None:
    def forgetful(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            text = request.content.decode().replace(">POST<", ">GET<")
            account.wire.answer = lambda request: None
            return account.world.account("POST", "/applications", text)
        return None

    account.wire.answer = forgetful
    with pytest.raises(NotAsExpected, match="call_initiated_method is GET, wanted POST"):
        ensure_application(account.client, wanted_application())


# ---------------------------------------------------------------- refused


def test_a_refusal_carries_bandwidths_own_words(account: Account) -> None:
    wanted = wanted_application(
        call_initiated_url="http://x.example.com/", callback_user="u", callback_password=PASSWORD
    )
    with pytest.raises(Refused) as caught:
        ensure_application(account.client, wanted)
    assert caught.value.code == "12812"
    assert PASSWORD.get_secret_value() not in str(caught.value)
    assert account.client.list_applications() == []


def test_a_look_that_found_a_login_page_creates_nothing(account: Account) -> None:
    account.wire.answer = lambda request: httpx.Response(200, text="<html><body>Sign in</body></html>")
    with pytest.raises(Unavailable, match="login page"):
        ensure_application(account.client, wanted_application())
    assert account.wire.written == []


def test_a_failed_look_is_an_error_and_never_absent(account: Account) -> None:
    account.wire.answer = lambda request: httpx.Response(401)
    with pytest.raises(NotAuthenticated):
        ensure_application(account.client, wanted_application())
    account.wire.answer = unavailable
    with pytest.raises(Unavailable):
        ensure_application(account.client, wanted_application())
    assert account.wire.written == []


# ---------------------------------------------------------------- no answer


def test_a_create_without_answer_is_looked_for_and_not_sent_twice(account: Account) -> None:
    account.wire.lose = {"POST"}
    outcome = ensure_application(account.client, wanted_application())
    assert outcome.action == "created"
    assert "found by looking" in outcome.note
    assert account.wire.written == ["POST"]
    assert len(account.client.list_applications()) == 1


def test_a_create_that_never_arrived_is_told_as_it_is(account: Account) -> None:
    account.wire.cut = {"POST"}
    with pytest.raises(Unavailable) as caught:
        ensure_application(account.client, wanted_application())
    assert not caught.value.may_have_arrived
    assert account.client.list_applications() == []


def test_a_create_that_was_not_carried_out_is_not_called_created(account: Account) -> None:
    account.wire.answer = lambda request: unavailable(request) if request.method == "POST" else None
    with pytest.raises(Unavailable):
        ensure_application(account.client, wanted_application())


# ---------------------------------------------------------------- check and undo


def test_a_later_change_is_found_by_the_check(account: Account) -> None:
    made = account.application("PBX Interconnect")
    check_application(account.client, wanted_application(), made.id)
    other = wanted_application(call_initiated_url="https://elsewhere.example.com/")
    with pytest.raises(NotAsExpected, match="call_initiated_url is https://pbx"):
        check_application(account.client, other, made.id)


def test_what_was_created_is_removed_and_gone_is_fine(account: Account) -> None:
    made = account.application()
    assert remove_application(account.client, made.id, made.name).action == "removed"
    assert account.client.list_applications() == []
    assert remove_application(account.client, made.id, made.name).action == "unchanged"


def test_an_id_that_is_something_else_now_is_kept(account: Account) -> None:
    made = account.application()
    outcome = remove_application(account.client, made.id, "another name")
    assert (outcome.action, outcome.found) == ("kept", made)
    assert account.wire.written == []


def test_an_application_that_somebody_renamed_is_kept(account: Account) -> None:
    made = account.application()
    account.client.update_application(replace(made, name="Theirs now"))
    account.wire.sent.clear()
    outcome = remove_application(account.client, made.id, made.name)
    assert (outcome.action, account.wire.written) == ("kept", [])
    assert 'is now "Theirs now": not ours to remove' in outcome.note
    assert account.client.get_application(made.id).name == "Theirs now"


def test_what_bandwidth_does_not_let_go_is_kept_and_says_why(account: Account) -> None:
    account.switch("bound_application_delete", "refuse")
    made, realm = account.application(), account.realm()
    account.client.create_sip_credential(realm, "pbx", PASSWORD, made.id)
    outcome = remove_application(account.client, made.id, made.name)
    assert outcome.action == "kept"
    assert "12107" in outcome.note


def test_undo_without_an_answer_is_an_error_and_never_removed(account: Account) -> None:
    made = account.application()
    account.wire.cut = {"GET"}
    with pytest.raises(Unavailable):
        remove_application(account.client, made.id, made.name)
