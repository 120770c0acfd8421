"""SIP credentials below the account, in bulk, with domains, and what an error says of them."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from sandbox_world import PASSWORD, Pbx, World, callbacks, credential_xml, error_code, found, hashes, root

URL = "http://127.0.0.1:9/callback"


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


def entry(fields: dict[str, str]) -> str:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f"<SipCredential>{inside}</SipCredential>"


def post(world: World, *entries: str, path: str = "/sipcredentials") -> httpx.Response:
    return world.account("POST", path, f"<SipCredentials>{''.join(entries)}</SipCredentials>")


def names(answer: httpx.Response, below: str) -> list[str]:
    return [each.findtext("UserName", "") for each in root(answer).findall(f"{below}/SipCredential")]


# -------------------------------------------------------------------- below the account


def test_without_a_realm_a_credential_goes_to_the_default_one(world):
    world.realm("other")
    realm = world.realm("abc", default=True)
    made = post(world, credential_xml(realm[1], "pbx"))
    assert made.status_code == 201
    assert found(made, "ValidSipCredentials/SipCredential/Realm") == realm[1]
    assert found(made, "ValidSipCredentials/SipCredential/RealmId") == realm[0]


def test_a_realm_can_be_named_entry_by_entry(world):
    one, two = world.realm("one"), world.realm("two")
    entries = [entry({"UserName": f"u{n}", "Hash1": "00", "Realm": realm[1]}) for n, realm in enumerate((one, two))]
    made = post(world, *entries)
    realms = [each.findtext("Realm") for each in root(made).iter("SipCredential")]
    assert realms == [one[1], two[1]]


def test_a_credential_is_read_changed_and_deleted_by_its_name(world):
    realm = world.realm("abc", default=True)
    application_id = world.application(URL)
    post(world, entry({"UserName": "Jim", "Domain": "pbx.test", "Hash1": "00"}))
    path = "/sipcredentials/jim@pbx.test"
    assert found(world.account("GET", path), "SipCredential/Domain") == "pbx.test"
    put = world.account("PUT", path, entry({"Hash1": "11", "HttpVoiceV2AppId": application_id}))
    assert (put.status_code, found(put, "SipCredential/Hash1")) == (200, "11")
    assert found(put, "SipCredential/HttpVoiceV2AppId") == application_id
    assert found(world.account("GET", f"/realms/{realm[0]}"), "Realm/SipCredentialCount") == "1"
    assert world.account("DELETE", path).status_code == 200
    assert error_code(world.account("GET", path)) == "23007"


def test_the_account_lists_every_realms_credentials_page_by_page(world):
    realms = [world.realm(name) for name in ("one", "two")]
    for realm in realms:
        world.credential(realm, f"in-{realm[1][:3]}")
    post(world, entry({"UserName": "last", "Domain": "pbx.test", "Hash1": "00", "Realm": realms[0][1]}))
    first = world.account("GET", "/sipcredentials?page=1&size=2")
    assert names(first, "SipCredentials") == ["in-one", "in-two"]
    link = found(first, "Links/next").partition("<")[2].partition(">")[0]
    rest = world.http.get(link, headers=world.bearer())
    assert names(rest, "SipCredentials") == ["last"]
    by_name = world.account("GET", "/sipcredentials?page=last@pbx.test")
    assert names(by_name, "SipCredentials") == ["last"]


def test_the_accounts_list_redirects_to_its_first_page_too(world):
    url = f"{world.sandbox.api_url}/accounts/{world.sandbox.account_id}/sipcredentials"
    answer = world.http.get(url, headers=world.bearer())
    assert (answer.status_code, answer.headers["location"]) == (303, f"{url}?page=1&size=500")


# -------------------------------------------------------------------- domains and case


def test_a_device_with_a_domain_authenticates_as_user_at_domain(world):
    with callbacks() as app:
        app.answers["/"] = "<Response><Hangup/></Response>"
        realm, application_id = world.realm("abc", default=True), world.application(f"{app.url}/")
        hash1 = hashes(realm[1], "pbx@site.test")[0]
        fields = {"UserName": "pbx", "Domain": "site.test", "Hash1": hash1, "HttpVoiceV2AppId": application_id}
        assert post(world, entry(fields)).status_code == 201

        async def run() -> list[int | None]:
            async with Pbx(world, realm[1]) as pbx:
                users = ("pbx@site.test", "pbx")
                return [await pbx.refused(user=user, password=PASSWORD) for user in users]

        assert asyncio.run(run()) == [603, 403]  # the application hangs up; the name alone is nobody


@pytest.mark.parametrize(("value", "kept", "status"), [("keep", "PbX", 603), ("lower", "pbx", 403)])
def test_a_name_whose_case_was_changed_never_authenticates(world, value, kept, status):
    world.sandbox.set_switch("credential_username_case", value)
    with callbacks() as app:
        app.answers["/"] = "<Response><Hangup/></Response>"
        realm, application_id = world.realm("abc"), world.application(f"{app.url}/")
        path = f"/realms/{realm[0]}/sipcredentials"
        made = post(world, credential_xml(realm[1], "PbX", application_id), path=path)
        assert names(made, "ValidSipCredentials") == [kept]

        async def run() -> int | None:
            async with Pbx(world, realm[1]) as pbx:
                return await pbx.refused(user="PbX")

        assert asyncio.run(run()) == status


# -------------------------------------------------------------------- bulk and errors


@pytest.mark.parametrize("below", ["realm", "account"])
def test_valid_and_refused_entries_come_back_side_by_side(world, below):
    realm = world.realm("abc", default=True)
    path = f"/realms/{realm[0]}/sipcredentials" if below == "realm" else "/sipcredentials"
    good = [credential_xml(realm[1], name) for name in ("one", "two")]
    made = post(world, good[0], entry({"UserName": "bad name", "Hash1": "00"}), good[1], good[1], path=path)
    assert made.status_code == 201
    assert names(made, "ValidSipCredentials") == ["one", "two"]
    codes = [each.findtext("ErrorCode") for each in root(made).iter("Error")]
    assert codes == ["23016", "23026" if below == "realm" else "23009"]


def test_when_none_is_valid_a_general_text_stands_before_the_errors(world):
    realm = world.realm("abc")
    refused = post(world, entry({"Hash1": "00"}), path=f"/realms/{realm[0]}/sipcredentials")
    assert refused.status_code == 400
    assert [child.tag for child in root(refused)] == ["ResponseStatus", "Errors"]
    assert root(refused).find("ResponseStatus/ErrorCode") is None


def test_an_error_text_repeats_a_hash_that_is_too_long_and_any_hash_where_the_switch_says_so(world):
    realm = world.realm("abc")
    path, long_hash = f"/realms/{realm[0]}/sipcredentials", "ab" * 40
    refused = post(world, entry({"UserName": "pbx", "Hash1": long_hash}), path=path)
    assert long_hash in found(refused, "Errors/Error/Description")
    world.sandbox.set_switch("credential_error_text", "with-hashes")
    refused = post(world, entry({"UserName": "bad name", "Hash1": "c" * 32}), path=path)
    assert "c" * 32 in found(refused, "Errors/Error/Description")
    assert "c" * 32 not in str(world.sandbox.exchanges())


def test_an_account_that_is_not_set_up_reads_its_credentials_and_adds_none(world):
    realm = world.realm("abc", default=True)
    world.credential(realm, "pbx")
    world.sandbox.set_switch("sip_entitled", "no")
    assert names(world.account("GET", "/sipcredentials"), "SipCredentials") == ["pbx"]
    assert error_code(post(world, credential_xml(realm[1], "another"))) == "23013"


def test_a_page_of_credentials_can_be_as_long_as_five_thousand(world):
    assert world.account("GET", "/sipcredentials?page=1&size=5000").status_code == 200
    assert error_code(world.account("GET", "/sipcredentials?page=1&size=5001")) == "23012"
