"""How realms come, stay, change and go: states, the default one, names, and the ways to look one up."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from sandbox_world import Pbx, World, error_code, eventually, found, realm_xml, root


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running):
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    return running


def create(world: World, name: str, default: bool = False) -> httpx.Response:
    made = world.account("POST", "/realms", realm_xml(name, default))
    assert made.status_code == 201, made.text
    return made


def status(world: World, realm_id: str) -> str:
    return found(world.account("GET", f"/realms/{realm_id}"), "Realm/Status")


def test_a_realm_comes_with_a_location_and_a_body(world):
    made = create(world, "abc")
    assert made.headers["location"].endswith(f"/realms/{found(made, 'Realm/Id')}")
    order = [child.tag for child in root(made)[0]]
    assert order == ["Id", "Realm", "Description", "Default", "SipCredentialCount", "Status"]


def test_a_creation_that_fails_ends_in_create_failed_and_admits_no_credential(world):
    world.sandbox.set_switch("realm_create", "fails")
    world.sandbox.set_switch("realm_create_s", "0.2")
    made = create(world, "abc")
    realm_id = found(made, "Realm/Id")
    assert found(made, "Realm/Status") == "CREATE_PENDING"
    assert eventually(lambda: status(world, realm_id) == "CREATE_FAILED")
    xml = "<SipCredentials><SipCredential><UserName>p</UserName><Hash1>0</Hash1></SipCredential></SipCredentials>"
    assert error_code(world.account("POST", f"/realms/{realm_id}/sipcredentials", xml)) == "23022"


def test_a_realm_that_failed_can_be_deleted(world):
    world.sandbox.set_switch("realm_create", "fails")
    world.sandbox.set_switch("realm_delete_s", "0")
    realm_id = found(create(world, "abc"), "Realm/Id")
    assert world.account("DELETE", f"/realms/{realm_id}").status_code == 202
    assert world.account("GET", f"/realms/{realm_id}").status_code == 404


def test_a_deletion_that_fails_ends_in_delete_failed_and_can_be_tried_again(world):
    realm_id = found(create(world, "abc"), "Realm/Id")
    world.sandbox.set_switch("realm_delete", "fails")
    world.sandbox.set_switch("realm_delete_s", "0.2")
    assert world.account("DELETE", f"/realms/{realm_id}").status_code == 202
    assert status(world, realm_id) == "DELETE_PENDING"
    eventually(lambda: status(world, realm_id) == "DELETE_FAILED")
    world.sandbox.set_switch("realm_delete", "succeeds")
    assert world.account("DELETE", f"/realms/{realm_id}").status_code == 202
    eventually(lambda: world.account("GET", f"/realms/{realm_id}").status_code == 404)


def test_a_second_delete_while_one_is_pending_is_202_too(world):
    realm_id = found(create(world, "abc"), "Realm/Id")
    world.sandbox.set_switch("realm_delete_s", "3600")
    answers = [world.account("DELETE", f"/realms/{realm_id}").status_code for _ in range(2)]
    assert answers == [202, 202]


@pytest.mark.parametrize("state", ["CREATE_FAILED", "DELETE_PENDING", "CREATE_PENDING"])
def test_the_edge_takes_no_call_for_a_realm_that_is_not_active(world, state):
    if state == "CREATE_FAILED":
        world.sandbox.set_switch("realm_create", "fails")
    if state == "CREATE_PENDING":
        world.sandbox.set_switch("realm_create_s", "3600")
    world.sandbox.set_switch("realm_delete_s", "3600")
    made = create(world, "abc")
    if state == "DELETE_PENDING":
        world.account("DELETE", f"/realms/{found(made, 'Realm/Id')}")

    async def run() -> int | None:
        async with Pbx(world, found(made, "Realm/Realm")) as pbx:
            return await pbx.refused()

    assert status(world, found(made, "Realm/Id")) == state
    assert asyncio.run(run()) == 503


def test_a_second_default_realm_demotes_the_first(world):
    first, second = create(world, "first", default=True), create(world, "second", default=True)
    listed = world.account("GET", "/realms")
    defaults = {each.findtext("Id"): each.findtext("Default") for each in root(listed).iter("Realm") if len(each)}
    assert defaults == {found(first, "Realm/Id"): "false", found(second, "Realm/Id"): "true"}
    world.sandbox.set_switch("realm_delete_s", "0")
    assert world.account("DELETE", f"/realms/{found(first, 'Realm/Id')}").status_code == 202


@pytest.mark.parametrize(("value", "default"), [("as-asked", "false"), ("default", "true")])
def test_whether_the_first_realm_is_the_default_one_anyway_is_a_switch(world, value, default):
    world.sandbox.set_switch("first_realm", value)
    assert found(create(world, "abc"), "Realm/Default") == default
    assert found(create(world, "other"), "Realm/Default") == "false"


@pytest.mark.parametrize("separator", ["-", "."])
def test_both_styles_of_fqdn_are_found_by_fqdn_and_by_id(world, separator):
    world.sandbox.set_switch("realm_separator", separator)
    made = create(world, "abc")
    fqdn, realm_id = found(made, "Realm/Realm"), found(made, "Realm/Id")
    assert fqdn.startswith(f"abc{separator}")
    for key in (fqdn, fqdn.upper(), realm_id):
        assert found(world.account("GET", f"/realms/{key}"), "Realm/Id") == realm_id


@pytest.mark.parametrize(("value", "status_code"), [("not-found", 404), ("found", 200)])
def test_whether_a_short_name_finds_a_realm_for_reading_and_changing_is_a_switch(world, value, status_code):
    world.sandbox.set_switch("realm_short_name", value)
    create(world, "abc")
    assert world.account("GET", "/realms/abc").status_code == status_code
    assert world.account("PUT", "/realms/abc", realm_xml("abc")).status_code == status_code


@pytest.mark.parametrize(
    ("switch", "value", "name", "code"),
    [
        ("realm_name_max", "30", "a" * 31, "33003"),
        ("realm_name_max", "64", "a" * 64, None),
        ("realm_name_max", "64", "a" * 65, "33003"),
        ("realm_charset", "inner-hyphens", "Ab-c", None),
        ("realm_charset", "lower-alphanumeric", "ab-c", "12673"),
        ("realm_charset", "lower-alphanumeric", "Abc", "12673"),
        ("realm_charset", "lower-alphanumeric", "abc1", None),
    ],
)
def test_what_a_realm_may_be_called_is_a_switch(world, switch, value, name, code):
    world.sandbox.set_switch(switch, value)
    answer = world.account("POST", "/realms", realm_xml(name))
    assert (answer.status_code, error_code(answer)) == ((201, None) if code is None else (400, code))
