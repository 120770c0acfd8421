"""Guide step 2, first half, against the real sandbox: absent, present, different, refused, no answer."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from account_under_test import PASSWORD, Account, unavailable
from sandbox_world import World

from bwlib.errors import NotAsExpected, NotEntitled, StillPending, Unavailable
from bwlib.models import Difference
from bwlib.steps import realm as steps
from bwlib.steps.realm import ensure_realm, find_realm, plan_realm, remove_realm


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


@pytest.fixture
def account(world: World, monkeypatch: pytest.MonkeyPatch) -> Account:
    world.sandbox.reset()
    monkeypatch.setattr(steps, "_POLL_S", 0.02)
    made = Account(world)
    made.switch("realm_create_s", "0.1")
    made.switch("realm_delete_s", "0.1")
    return made


# ---------------------------------------------------------------- absent


def test_a_plan_for_an_absent_realm_writes_nothing(account: Account) -> None:
    plan = plan_realm(account.client, "acme", "d")
    assert (plan.action, plan.found) == ("planned", None)
    assert "Bandwidth decides its full name" in plan.note
    assert account.wire.written == []


@pytest.mark.parametrize("separator", ["-", "."])
def test_an_absent_realm_is_created_waited_for_and_found_again(account: Account, separator: str) -> None:
    account.switch("realm_separator", separator)
    waits: list[str] = []
    outcome = ensure_realm(account.client, "acme", "d", tell=waits.append)
    assert outcome.action == "created"
    assert outcome.found is not None
    assert outcome.found.is_active
    assert outcome.found.fqdn.startswith(f"acme{separator}")
    assert "CREATE_PENDING" in waits[0]
    assert ensure_realm(account.client, "acme", "d").found == outcome.found


def test_the_accounts_default_realm_stays_what_it_is(account: Account) -> None:
    account.world.realm("first", default=True)
    ensure_realm(account.client, "acme", "d")
    assert {realm.fqdn.partition("-")[0]: realm.is_default for realm in account.client.list_realms()} == {
        "first": True,
        "acme": False,
    }


# ---------------------------------------------------------------- present


def test_ensure_realm_reports_unchanged_when_it_exists(account: Account) -> None:
    ensure_realm(account.client, "acme", "d")
    account.wire.sent.clear()
    outcome = ensure_realm(account.client, "acme", "d")
    assert (outcome.action, outcome.differences) == ("unchanged", ())
    assert account.wire.written == []


def test_a_realm_that_is_still_pending_is_waited_for(account: Account) -> None:
    account.client.create_realm("acme", "d")
    outcome = ensure_realm(account.client, "acme", "d")
    assert outcome.action == "unchanged"
    assert outcome.found is not None
    assert outcome.found.is_active


def realms(*fqdns: str) -> str:
    each = "".join(
        f"<Realm><Id>{number}</Id><Realm>{fqdn}</Realm><Status>ACTIVE</Status></Realm>"
        for number, fqdn in enumerate(fqdns, start=1)
    )
    return f"<RealmsResponse><Realms>{each}</Realms></RealmsResponse>"


@pytest.mark.parametrize(
    ("fqdn", "ours"),
    [
        ("acme-3efeaa.auth.bandwidth.com", True),
        ("acme.3efeaa.auth.bandwidth.com", True),
        ("ACME-3EFEAA.auth.bandwidth.com", True),
        ("acme-1a.3efeaa.auth.bandwidth.com", False),
        ("acme-1a-3efeaa.auth.bandwidth.com", False),
        ("acmeplus-3efeaa.auth.bandwidth.com", False),
        ("my-acme-3efeaa.auth.bandwidth.com", False),
        ("acme.auth.bandwidth.com", False),
    ],
)
def test_a_realm_whose_name_only_begins_alike_is_not_taken_for_ours(account: Account, fqdn: str, ours: bool) -> None:
    account.wire.answer = lambda request: httpx.Response(200, text=realms(fqdn))
    assert (find_realm(account.client, "acme") is not None) is ours


# ---------------------------------------------------------------- different


def test_another_description_is_updated_and_the_plan_says_so(account: Account) -> None:
    before = account.realm()
    row = Difference("description", "a realm", "other")
    assert plan_realm(account.client, "acme", "other").differences == (row,)
    assert account.wire.written == []
    outcome = ensure_realm(account.client, "acme", "other")
    assert (outcome.action, outcome.differences) == ("updated", (row,))
    assert outcome.found is not None
    assert (outcome.found.id, outcome.found.description) == (before.id, "other")


def test_updating_a_default_realm_leaves_it_default(account: Account) -> None:
    account.world.realm("acme", default=True)
    outcome = ensure_realm(account.client, "acme", "other")
    assert outcome.found is not None
    assert outcome.found.is_default


def test_a_description_that_was_not_kept_is_not_success(account: Account) -> None:
    account.realm()
    account.wire.answer = lambda request: (
        httpx.Response(200, text=realms("acme-3efeaa.auth.bandwidth.com")) if request.method == "PUT" else None
    )
    with pytest.raises(NotAsExpected, match='its description is "a realm", wanted "other"'):
        ensure_realm(account.client, "acme", "other")


def test_a_realm_on_its_way_out_is_named_and_waited_out_by_the_person(account: Account) -> None:
    realm = account.realm()
    account.switch("realm_delete_s", "3600")
    account.client.delete_realm(realm)
    with pytest.raises(NotAsExpected, match="DELETE_PENDING") as caught:
        ensure_realm(account.client, "acme", "a realm")
    assert "being deleted" in caught.value.do_next


# ---------------------------------------------------------------- refused


def test_an_account_without_sip_credentials_is_not_entitled(account: Account) -> None:
    account.switch("sip_entitled", "no")
    with pytest.raises(NotEntitled) as caught:
        ensure_realm(account.client, "acme", "d")
    assert caught.value.code == "33004"
    assert "Ask your Bandwidth account manager" in caught.value.do_next


def test_a_look_that_found_a_login_page_creates_nothing(account: Account) -> None:
    account.wire.answer = lambda request: httpx.Response(200, text="<html><body>Sign in</body></html>")
    with pytest.raises(Unavailable, match="login page"):
        ensure_realm(account.client, "acme", "d")
    assert account.wire.written == []


def test_a_failed_look_is_an_error_and_never_absent(account: Account) -> None:
    account.wire.answer = unavailable
    with pytest.raises(Unavailable):
        ensure_realm(account.client, "acme", "d")
    assert account.wire.written == []


def test_a_realm_that_bandwidth_gave_up_on_is_named(account: Account) -> None:
    failed = realms("acme-3efeaa.auth.bandwidth.com").replace("ACTIVE", "CREATE_FAILED")
    account.wire.answer = lambda request: httpx.Response(
        200, text=failed.replace("<Status>", "<Description>d</Description><Status>")
    )
    with pytest.raises(NotAsExpected, match="CREATE_FAILED"):
        ensure_realm(account.client, "acme", "d")


# ---------------------------------------------------------------- no answer


def test_a_create_without_answer_is_looked_for_and_not_sent_twice(account: Account) -> None:
    account.wire.lose = {"POST"}
    outcome = ensure_realm(account.client, "acme", "d")
    assert outcome.action == "created"
    assert "found by looking" in outcome.note
    assert account.wire.written == ["POST"]


def test_a_create_that_never_arrived_leaves_nothing(account: Account) -> None:
    account.wire.cut = {"POST"}
    with pytest.raises(Unavailable):
        ensure_realm(account.client, "acme", "d")
    assert account.client.list_realms() == []


def test_a_realm_that_stays_pending_can_be_waited_for_again(account: Account) -> None:
    account.switch("realm_create_s", "3600")
    with pytest.raises(StillPending, match=r"realm\.wait_s"):
        ensure_realm(account.client, "acme", "d", timeout_s=0.05)
    with pytest.raises(StillPending):
        ensure_realm(account.client, "acme", "d", timeout_s=0.05)
    assert account.wire.written == ["POST"]


# ---------------------------------------------------------------- undo


def test_what_was_created_is_removed_and_gone_is_fine(account: Account) -> None:
    realm = account.realm()
    assert remove_realm(account.client, realm.id, realm.fqdn).action == "removed"
    assert account.client.list_realms() == []
    assert remove_realm(account.client, realm.id, realm.fqdn).action == "unchanged"


def test_a_default_realm_and_another_ones_id_are_kept(account: Account) -> None:
    realm_id, fqdn = account.world.realm("acme", default=True)
    assert "33006" in remove_realm(account.client, realm_id, fqdn).note
    other = remove_realm(account.client, realm_id, "other.auth.bandwidth.test")
    assert (other.action, account.wire.written) == ("kept", [])


def test_an_id_that_is_another_realm_now_is_kept(account: Account) -> None:
    realm = account.realm()  # not the default one: nothing but its full name protects it
    outcome = remove_realm(account.client, realm.id, realm.fqdn.replace("acme", "former"))
    assert (outcome.action, account.wire.written) == ("kept", [])
    assert f"is now {realm.fqdn}: not ours to remove" in outcome.note


def test_a_realm_with_credentials_is_kept_and_says_why(account: Account) -> None:
    realm = account.realm()
    account.client.create_sip_credential(realm, "pbx", PASSWORD, None)
    outcome = remove_realm(account.client, realm.id, realm.fqdn)
    assert outcome.action == "kept"
    assert "12666" in outcome.note


def test_a_realm_that_does_not_go_is_still_pending(account: Account) -> None:
    realm = account.realm()
    account.switch("realm_delete_s", "3600")
    with pytest.raises(StillPending):
        remove_realm(account.client, realm.id, realm.fqdn, timeout_s=0.05)
