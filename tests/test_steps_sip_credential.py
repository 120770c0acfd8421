"""Guide step 2, second half, against the real sandbox: absent, present, different, refused, no answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import md5

import httpx
import pytest
from account_under_test import OTHER_PASSWORD, PASSWORD, Account, unavailable
from sandbox_world import World

from bwlib.errors import NotAsExpected, NotEntitled, Refused, Unavailable
from bwlib.models import Application, Outcome, Realm, SipCredential
from bwlib.steps import sip_credential as steps


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


class Step:
    """The step with its realm and application, as a notebook would call it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.client, self.wire = account.client, account.wire
        account.switch("realm_create_s", "0")
        self.realm: Realm = account.realm()
        self.application: Application = account.application()

    def ensure(
        self, username: str = "pbx", password: object = PASSWORD, rotate: bool = False
    ) -> Outcome[SipCredential]:
        return steps.ensure_sip_credential(
            self.client,
            self.realm,
            username,
            password,
            self.application,
            rotate=rotate,  # type: ignore[arg-type]
        )

    def plan(self, username: str = "pbx", password: object = PASSWORD) -> Outcome[SipCredential]:
        return steps.plan_sip_credential(self.client, self.realm, username, password, self.application)  # type: ignore[arg-type]

    def find(self, username: str = "pbx") -> SipCredential | None:
        return steps.find_sip_credential(self.client, self.realm, username)


@pytest.fixture
def step(world: World) -> Step:
    world.sandbox.reset()
    return Step(Account(world))


def shown(outcome: Outcome[SipCredential]) -> str:
    return repr(outcome)


# ---------------------------------------------------------------- absent


def test_a_plan_for_an_absent_credential_writes_nothing_and_shows_no_secret(step: Step) -> None:
    plan = step.plan()
    assert (plan.action, [row.field for row in plan.differences]) == (
        "planned",
        ["username", "password", "application"],
    )
    assert PASSWORD.get_secret_value() not in shown(plan)
    assert step.wire.written == []


def test_an_absent_credential_is_created_bound_and_read_back(step: Step) -> None:
    outcome = step.ensure()
    assert outcome.action == "created"
    assert outcome.found is not None
    assert outcome.found.application_id == step.application.id
    text = f"pbx:{step.realm.fqdn}:{PASSWORD.get_secret_value()}"
    assert outcome.found.ha1.get_secret_value() == md5(text.encode()).hexdigest()
    assert step.wire.written == ["POST"]


@pytest.mark.parametrize("status", ["200", "404"])
def test_both_ways_to_say_no_credentials_mean_absent(step: Step, status: str) -> None:
    step.account.switch("empty_credential_list", status)
    assert step.ensure().action == "created"


def test_the_password_itself_never_goes_to_bandwidth(step: Step) -> None:
    bodies: list[bytes] = []
    step.wire.answer = lambda request: bodies.append(request.content)  # type: ignore[func-returns-value,return-value]
    step.ensure()
    assert b"Hash1" in b"".join(bodies)
    assert PASSWORD.get_secret_value().encode() not in b"".join(bodies)


# ---------------------------------------------------------------- present


def test_a_second_run_says_unchanged_and_writes_nothing(step: Step) -> None:
    first = step.ensure()
    step.wire.sent.clear()
    again = step.ensure()
    assert (again.action, again.found) == ("unchanged", first.found)
    assert step.wire.written == []


# ---------------------------------------------------------------- different


def test_another_password_is_refused_unless_told_to_rotate(step: Step) -> None:
    step.ensure()
    step.wire.sent.clear()
    with pytest.raises(NotAsExpected) as caught:
        step.ensure(password=OTHER_PASSWORD)
    assert "sip_credential.rotate = true" in caught.value.do_next
    assert step.wire.written == []
    for secret in (PASSWORD, OTHER_PASSWORD):
        assert secret.get_secret_value() not in str(caught.value)


def test_the_plan_for_another_password_says_what_it_takes_and_what_is_lost(step: Step) -> None:
    step.ensure()
    plan = step.plan(password=OTHER_PASSWORD)
    assert "only with sip_credential.rotate = true" in plan.note
    assert "cannot be restored" in plan.note
    assert [(row.field, row.found) for row in plan.differences] == [("password", "differs")]


def test_rotation_replaces_the_password_and_keeps_the_rest(step: Step) -> None:
    before = step.ensure().found
    outcome = step.ensure(password=OTHER_PASSWORD, rotate=True)
    assert outcome.action == "updated"
    assert outcome.found is not None
    assert before is not None
    assert outcome.found.id == before.id
    assert outcome.found.ha1 != before.ha1
    assert outcome.found.application_id == step.application.id
    assert step.ensure(password=OTHER_PASSWORD).action == "unchanged"


def test_another_application_is_bound_without_rotating(step: Step) -> None:
    before = step.ensure().found
    step.application = step.account.application("another")
    outcome = step.ensure()
    assert outcome.action == "updated"
    assert outcome.found is not None
    assert before is not None
    assert outcome.found.application_id == step.application.id
    assert outcome.found.ha1 == before.ha1


def test_an_unbound_credential_is_bound(step: Step) -> None:
    step.client.create_sip_credential(step.realm, "pbx", PASSWORD, None)
    outcome = step.ensure()
    assert [(row.field, row.found) for row in outcome.differences] == [("application", "not bound")]


def test_a_binding_that_bandwidth_ignored_is_not_success(step: Step) -> None:
    step.account.switch("credential_app_on_put", "ignore")
    step.client.create_sip_credential(step.realm, "pbx", PASSWORD, None)
    with pytest.raises(NotAsExpected, match="application: not bound"):
        step.ensure()


def test_other_capitals_are_refused_because_they_never_authenticate(step: Step) -> None:
    step.ensure("PBX")
    step.wire.sent.clear()
    with pytest.raises(NotAsExpected, match="it exists as PBX"):
        step.ensure("pbx", rotate=True)
    assert step.wire.written == []


def test_a_server_that_changes_the_capitals_is_found_out_on_create(step: Step) -> None:
    step.account.switch("credential_username_case", "lower")
    with pytest.raises(NotAsExpected, match="username: pbx, wanted PBX"):
        step.ensure("PBX")


# ---------------------------------------------------------------- refused


def test_an_account_without_sip_credentials_is_not_entitled(step: Step) -> None:
    step.account.switch("sip_entitled", "no")
    with pytest.raises(NotEntitled) as caught:
        step.ensure()
    assert caught.value.code == "23013"


@pytest.mark.parametrize("status", ["400", "201"])
def test_an_error_inside_a_201_is_an_error(step: Step, status: str) -> None:
    step.account.switch("invalid_credentials_status", status)
    step.application = replace(step.application, id="11111111-2222-4333-8444-555555555555")
    with pytest.raises(Refused) as caught:
        step.ensure()
    assert caught.value.code == "23019"
    assert step.find() is None


def test_a_look_that_found_a_login_page_creates_nothing(step: Step) -> None:
    step.wire.sent.clear()
    step.wire.answer = lambda request: httpx.Response(200, text="<html><body>Sign in</body></html>")
    with pytest.raises(Unavailable, match="login page"):
        step.ensure()
    assert step.wire.written == []


def test_a_failed_look_is_an_error_and_never_absent(step: Step) -> None:
    step.wire.answer = unavailable
    with pytest.raises(Unavailable):
        step.ensure()
    assert step.wire.written == []


# ---------------------------------------------------------------- no answer


def test_a_create_without_answer_is_looked_for_and_not_sent_twice(step: Step) -> None:
    step.wire.lose = {"POST"}
    outcome = step.ensure()
    assert (outcome.action, step.wire.written) == ("created", ["POST"])
    assert "found by looking" in outcome.note


def test_a_create_that_never_arrived_leaves_nothing(step: Step) -> None:
    step.wire.cut = {"POST"}
    with pytest.raises(Unavailable):
        step.ensure()
    assert step.find() is None


def test_what_a_lost_create_left_is_still_compared(step: Step) -> None:
    """Found by looking is not yet as wanted: somebody else may have made it in between."""

    def somebody_was_faster(request: httpx.Request) -> httpx.Response | None:
        if request.method != "POST":
            return None
        step.wire.answer = lambda request: None
        Account(step.account.world).client.create_sip_credential(step.realm, "pbx", OTHER_PASSWORD, step.application.id)
        raise httpx.ReadTimeout("lost", request=request)

    step.wire.answer = somebody_was_faster
    with pytest.raises(NotAsExpected, match="password: differs"):
        step.ensure()


# ---------------------------------------------------------------- check and undo


def test_the_check_names_an_absent_credential_and_the_notebook(step: Step) -> None:
    with pytest.raises(NotAsExpected, match="there is none") as caught:
        steps.check_sip_credential(step.client, step.realm, "pbx", PASSWORD, step.application)
    assert "20_sip_credentials" in caught.value.do_next


def test_what_was_created_is_removed_and_gone_is_fine(step: Step) -> None:
    made = step.ensure().found
    assert made is not None
    assert steps.remove_sip_credential(step.client, step.realm, made.id, "pbx").action == "removed"
    assert step.find() is None
    assert steps.remove_sip_credential(step.client, step.realm, made.id, "pbx").action == "unchanged"


def test_an_id_that_is_another_user_now_is_kept(step: Step) -> None:
    made = step.ensure().found
    assert made is not None
    step.wire.sent.clear()
    outcome = steps.remove_sip_credential(step.client, step.realm, made.id, "other")
    assert (outcome.action, step.wire.written) == ("kept", [])


def test_a_credential_whose_id_was_given_to_another_user_stays(step: Step) -> None:
    mine, theirs = step.ensure().found, step.ensure("other").found
    assert mine is not None
    assert theirs is not None
    outcome = steps.remove_sip_credential(step.client, step.realm, theirs.id, mine.username)
    assert outcome.action == "kept"
    assert "is now other: not ours to remove" in outcome.note
    assert step.find("other") is not None


def test_a_credential_of_a_realm_that_is_gone_is_gone_too(step: Step) -> None:
    nowhere = replace(step.realm, id="999999")
    assert steps.remove_sip_credential(step.client, nowhere, "1", "pbx").action == "unchanged"
