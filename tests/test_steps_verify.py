"""*Check what I did* of steps 1 and 2: what a person typed wrong at the sandbox's dashboard is named, with the fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from account_under_test import PASSWORD, Account, wanted_application
from dashboard_person import Person
from pydantic import SecretStr
from sandbox_world import World, eventually

from bwlib.errors import NotAsExpected, StillPending
from bwlib.models import Application, Realm
from bwlib.steps.application import find_application
from bwlib.steps.realm import find_realm
from bwlib.steps.verify import verify_application, verify_realm, verify_sip_credential

WANTED = wanted_application("PBX")
RIGHT = {
    "AppName": "PBX",
    "CallInitiatedCallbackUrl": str(WANTED.call_initiated_url),
    "CallStatusCallbackUrl": str(WANTED.call_status_url),
}


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
def person(account: Account) -> Iterator[Person]:
    """At the dashboard, signed in."""
    somebody = Person(account.world.sandbox)
    somebody.sign_in()
    yield somebody
    somebody.close()


def types_application(person: Person, **fields: str) -> None:
    page = person.send("/applications/new", **{**RIGHT, **fields})
    assert "The application is created." in page.words


def types_realm(person: Person, account: Account, name: str = "acme", **fields: str) -> Realm:
    person.realm(name, Description="a realm", **fields)

    def active() -> Realm | None:
        found = find_realm(account.client, name)
        return found if found is not None and found.is_active else None

    made = eventually(active)
    assert isinstance(made, Realm)
    return made


def types_credential(person: Person, realm: Realm, username: str = "pbx", bound_to: Application | None = None,
                     password: SecretStr = PASSWORD) -> None:  # fmt: skip
    application_id = bound_to.id if bound_to else ""
    page = person.credential(username, password.get_secret_value(), RealmId=realm.id, HttpVoiceV2AppId=application_id)
    assert "is added." in page.words


def made_application(person: Person, account: Account, name: str = "PBX") -> Application:
    types_application(person, AppName=name)
    found = find_application(account.client, name)
    assert found is not None
    return found


def wrong_application(account: Account, wanted: Application = WANTED) -> NotAsExpected:
    with pytest.raises(NotAsExpected) as caught:
        verify_application(account.client, wanted)
    assert account.wire.written == []
    return caught.value


def wrong_credential(account: Account, realm: Realm, application: Application) -> NotAsExpected:
    with pytest.raises(NotAsExpected) as caught:
        verify_sip_credential(account.client, realm, "pbx", PASSWORD, application)
    assert account.wire.written == []
    for secret in (PASSWORD.get_secret_value(), "Hash1"):
        assert secret not in str(caught.value)
    return caught.value


# ---------------------------------------------------------------- the application


def test_an_application_typed_as_the_guide_says_passes(account: Account, person: Person) -> None:
    types_application(person)
    outcome = verify_application(account.client, WANTED)
    assert outcome.action == "passed"
    assert outcome.found is not None
    assert account.client.get_application(outcome.found.id) == outcome.found
    assert account.wire.written == []


def test_get_instead_of_post_is_named_for_each_url(account: Account, person: Person) -> None:
    types_application(person, CallInitiatedMethod="GET", CallStatusMethod="GET")
    error = wrong_application(account)
    assert error.came_back == "Call initiated method is GET, wanted POST; Call status method is GET, wanted POST"
    assert "set Call initiated method to POST, then Save changes" in error.do_next
    assert "set Call status method to POST" in error.do_next


def test_an_application_of_the_wrong_type_is_named_and_not_called_absent(account: Account, person: Person) -> None:
    account.switch("messaging_applications", "keep")
    types_application(person, ServiceType="Messaging-V2")
    error = wrong_application(account)
    assert '"PBX" is there as a messaging application' in error.came_back
    assert "Create New with the type Voice" in error.do_next


def test_a_voice_application_beside_a_messaging_one_of_the_same_name_passes(account: Account, person: Person) -> None:
    account.switch("messaging_applications", "keep")
    types_application(person, ServiceType="Messaging-V2")
    types_application(person)
    assert verify_application(account.client, WANTED).action == "passed"


@pytest.mark.parametrize("typed", ["pbx", "PBX  1", "PBX1"])
def test_a_name_that_comes_near_is_asked_for(account: Account, person: Person, typed: str) -> None:
    types_application(person, AppName=typed)
    error = wrong_application(account, replace(WANTED, name="PBX" if typed == "pbx" else "PBX 1"))
    assert f'did you mean "{typed}"?' in error.came_back
    assert "rename it" in error.do_next


def test_another_name_is_no_near_miss(account: Account, person: Person) -> None:
    types_application(person, AppName="Billing")
    error = wrong_application(account)
    assert error.came_back == "there is none of that name"
    assert "Create New" in error.do_next


def test_a_wrong_url_and_a_missing_one_are_named(account: Account, person: Person) -> None:
    types_application(person, CallInitiatedCallbackUrl="https://pbx.example.com/initate", CallStatusCallbackUrl="")
    error = wrong_application(account)
    assert "Call initiated callback URL is https://pbx.example.com/initate, wanted https://pbx" in error.came_back
    assert "Call status callback URL is not set, wanted https://pbx.example.com/status" in error.came_back


def test_a_user_that_nobody_asked_for_is_to_be_emptied(account: Account, person: Person) -> None:
    types_application(person, CallbackCreds__UserId="bw", CallbackCreds__Password="a-password-to-type")
    error = wrong_application(account)
    assert error.came_back == "Callback user ID is bw, wanted not set"
    assert "empty Callback user ID" in error.do_next


# ---------------------------------------------------------------- the realm


def test_a_realm_typed_as_the_guide_says_passes(account: Account, person: Person) -> None:
    made = types_realm(person, account)
    outcome = verify_realm(account.client, "acme", "a realm")
    assert (outcome.action, outcome.found) == ("passed", made)
    assert account.wire.written == []


def test_a_realm_that_is_not_ready_is_pending_and_no_fault(account: Account, person: Person) -> None:
    account.switch("realm_create_s", "600")
    person.realm("acme")
    with pytest.raises(StillPending, match="CREATE_PENDING"):
        verify_realm(account.client, "acme")


def test_a_realm_that_is_being_deleted_is_named(account: Account, person: Person) -> None:
    made = types_realm(person, account)
    account.switch("realm_delete_s", "600")
    account.client.delete_realm(made)
    account.wire.sent.clear()
    with pytest.raises(NotAsExpected) as caught:
        verify_realm(account.client, "acme")
    assert caught.value.came_back == "its status is DELETE_PENDING"
    assert "add it anew" in caught.value.do_next


def test_a_realm_of_almost_that_name_is_asked_for(account: Account, person: Person) -> None:
    types_realm(person, account, "acme1")
    with pytest.raises(NotAsExpected, match='did you mean "acme1"') as caught:
        verify_realm(account.client, "acme")
    assert "realm.name" in caught.value.do_next


def test_no_realm_at_all_says_where_to_add_one(account: Account) -> None:
    with pytest.raises(NotAsExpected, match="there is none of that name") as caught:
        verify_realm(account.client, "acme")
    assert "Manage Realms" in caught.value.do_next


def test_another_description_is_named_when_one_is_wanted(account: Account, person: Person) -> None:
    types_realm(person, account)
    with pytest.raises(NotAsExpected, match="Description is a realm, wanted my realm"):
        verify_realm(account.client, "acme", "my realm")


# ---------------------------------------------------------------- the SIP credential


def test_a_credential_typed_as_the_guide_says_passes(account: Account, person: Person) -> None:
    realm, application = types_realm(person, account), made_application(person, account)
    types_credential(person, realm, bound_to=application)
    outcome = verify_sip_credential(account.client, realm, "pbx", PASSWORD, application)
    assert outcome.action == "passed"
    assert account.wire.written == []


def test_a_credential_bound_to_another_application_names_both(account: Account, person: Person) -> None:
    realm, application = types_realm(person, account), made_application(person, account)
    other = made_application(person, account, "Front door")
    types_credential(person, realm, bound_to=other)
    error = wrong_credential(account, realm, application)
    assert error.came_back == (
        f'it is bound to another application, "Front door" ({other.id}), wanted "PBX" ({application.id})'
    )
    assert 'choose "PBX" under Application' in error.do_next


def test_a_credential_bound_to_none_says_where_its_calls_go(account: Account, person: Person) -> None:
    realm, application = types_realm(person, account), made_application(person, account)
    types_credential(person, realm)
    assert "bound to no application, so its calls go to the telephone network" in (
        wrong_credential(account, realm, application).came_back
    )


def test_a_wrong_password_and_a_wrong_application_are_named_together(account: Account, person: Person) -> None:
    realm, application = types_realm(person, account), made_application(person, account)
    types_credential(person, realm, password=SecretStr("mistyped-horse-battery"))
    error = wrong_credential(account, realm, application)
    assert "Password is not the one that the site file refers to" in error.came_back
    assert "bound to no application" in error.came_back
    assert "type the password again" in error.do_next


def test_a_user_name_in_another_realm_is_found_there(account: Account, person: Person) -> None:
    realm, application = types_realm(person, account), made_application(person, account)
    other = types_realm(person, account, "beta")
    types_credential(person, other, bound_to=application)
    error = wrong_credential(account, realm, application)
    assert error.came_back == f"pbx is in another realm, {other.fqdn}"
    assert f"choose the realm {realm.fqdn}" in error.do_next


def test_other_capitals_are_named_and_the_password_is_not_blamed(account: Account, person: Person) -> None:
    realm, application = types_realm(person, account), made_application(person, account)
    types_credential(person, realm, "PBX", bound_to=application)
    error = wrong_credential(account, realm, application)
    assert error.came_back == "User name is PBX, wanted pbx with these capitals"


def test_a_user_name_that_comes_near_is_asked_for(account: Account, person: Person) -> None:
    realm, application = types_realm(person, account), made_application(person, account)
    types_credential(person, realm, "pbx1", bound_to=application)
    assert 'did you mean "pbx1"?' in wrong_credential(account, realm, application).came_back
