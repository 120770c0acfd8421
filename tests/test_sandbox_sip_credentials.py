"""SIP credentials at the sandbox's account API, spoken to over HTTP."""

from __future__ import annotations

import json

import httpx
import pytest
from sandbox_world import World, credential_xml, error_code, found, hashes, realm_xml, root

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


def post_credentials(world: World, realm: tuple[str, str], *entries: str) -> httpx.Response:
    xml = f"<SipCredentials>{''.join(entries)}</SipCredentials>"
    return world.account("POST", f"/realms/{realm[0]}/sipcredentials", xml)


def test_a_credential_comes_back_with_its_hashes_and_realm(world):
    realm, application_id = world.realm("abc"), world.application(URL)
    credential_id = world.credential(realm, "pbx", application_id)
    answer = world.account("GET", f"/realms/{realm[0]}/sipcredentials/{credential_id}")
    names = ("Hash1", "Hash1b", "Realm", "RealmId", "HttpVoiceV2AppId")
    read = [found(answer, f"SipCredential/{name}") for name in names]
    assert read == [*hashes(realm[1], "pbx"), realm[1], realm[0], application_id]


def test_one_bad_entry_among_good_ones_is_201_with_an_error_that_echoes_it(world):
    realm = world.realm("abc")
    world.credential(realm, "pbx")
    answer = post_credentials(world, realm, credential_xml(realm[1], "PBX"), credential_xml(realm[1], "other"))
    assert (answer.status_code, error_code(answer)) == (201, "23026")
    assert found(answer, "ValidSipCredentials/SipCredential/UserName") == "other"
    assert found(answer, "Errors/Error/SipCredential/Hash1") == hashes(realm[1], "PBX")[0]


def test_no_good_entry_is_400_or_201_as_the_switch_says(world):
    realm = world.realm("abc")
    world.credential(realm, "pbx")
    assert post_credentials(world, realm, credential_xml(realm[1], "pbx")).status_code == 400
    world.sandbox.set_switch("invalid_credentials_status", "201")
    assert post_credentials(world, realm, credential_xml(realm[1], "pbx")).status_code == 201


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("<SipCredential><Hash1>00</Hash1></SipCredential>", "1003"),
        ("<SipCredential><UserName>a</UserName></SipCredential>", "23001"),
        (credential_xml("f", "a" * 33), "23002"),
        (credential_xml("f", "a:b"), "23016"),
        (credential_xml("f", "a", "no-uuid"), "23020"),
        (credential_xml("f", "a", "00000000-0000-4000-8000-000000000000"), "23019"),
        ("<SipCredential><UserName>a</UserName><Realm>other.test</Realm></SipCredential>", "23018"),
        ("", "23006"),
    ],
)
def test_a_credential_that_cannot_be_is_refused_with_its_code(world, entry, code):
    answer = post_credentials(world, world.realm("abc"), entry)
    assert (answer.status_code, error_code(answer)) == (400, code)


def test_a_realm_that_is_not_active_takes_no_credentials(world):
    world.sandbox.set_switch("realm_create_s", "3600")
    made = world.account("POST", "/realms", realm_xml("slow"))
    realm = found(made, "Realm/Id"), found(made, "Realm/Realm")
    assert error_code(post_credentials(world, realm, credential_xml(realm[1], "pbx"))) == "23022"


def test_the_list_redirects_to_its_first_page_on_the_same_origin(world):
    realm = world.realm("abc")
    url = f"{world.sandbox.api_url}/accounts/{world.sandbox.account_id}/realms/{realm[0]}/sipcredentials"
    answer = world.http.get(url, headers=world.bearer())
    assert (answer.status_code, answer.headers["location"]) == (303, f"{url}?page=1&size=500")


def test_pages_begin_at_an_id_and_name_the_next_one(world):
    realm = world.realm("abc")
    ids = [world.credential(realm, name) for name in ("a", "b", "c")]
    first = world.account("GET", f"/realms/{realm[0]}/sipcredentials?page=1&size=2")
    assert [entry.findtext("Id") for entry in root(first).iter("SipCredential")] == ids[:2]
    assert f"page={ids[2]}&size=2" in found(first, "Links/next")
    second = world.account("GET", f"/realms/{realm[0]}/sipcredentials?page={ids[2]}&size=2")
    assert [entry.findtext("Id") for entry in root(second).iter("SipCredential")] == ids[2:]
    assert error_code(world.account("GET", f"/realms/{realm[0]}/sipcredentials?page=x")) == "23012"


def test_an_empty_list_is_200_or_404_as_the_switch_says(world):
    realm = world.realm("abc")
    assert world.account("GET", f"/realms/{realm[0]}/sipcredentials").status_code == 200
    world.sandbox.set_switch("empty_credential_list", "404")
    answer = world.account("GET", f"/realms/{realm[0]}/sipcredentials")
    assert (answer.status_code, error_code(answer)) == (404, "23008")


def test_put_wants_the_realm_id_and_no_user_name(world):
    realm = world.realm("abc")
    path = f"/realms/{realm[0]}/sipcredentials/{world.credential(realm, 'pbx')}"
    new = "<Hash1>11</Hash1><Hash1b>22</Hash1b>"
    assert error_code(world.account("PUT", path, f"<SipCredential>{new}</SipCredential>")) == "23031"
    named = f"<SipCredential><RealmId>{realm[0]}</RealmId><UserName>pbx</UserName>{new}</SipCredential>"
    assert error_code(world.account("PUT", path, named)) == "23030"
    put = world.account("PUT", path, f"<SipCredential><RealmId>{realm[0]}</RealmId>{new}</SipCredential>")
    assert (put.status_code, found(put, "SipCredential/Hash1")) == (200, "11")


@pytest.mark.parametrize(("value", "stays"), [("keep", True), ("clear", False)])
def test_whether_put_without_an_application_clears_it_is_a_switch(world, value, stays):
    realm, application_id = world.realm("abc"), world.application(URL)
    path = f"/realms/{realm[0]}/sipcredentials/{world.credential(realm, 'pbx', application_id)}"
    world.sandbox.set_switch("credential_app_omitted", value)
    put = world.account("PUT", path, f"<SipCredential><RealmId>{realm[0]}</RealmId><Hash1>1</Hash1></SipCredential>")
    assert (root(put).findtext("SipCredential/HttpVoiceV2AppId") == application_id) is stays


def test_a_realm_with_credentials_cannot_be_deleted_until_they_are(world):
    realm = world.realm("abc")
    credential_id = world.credential(realm, "pbx")
    assert error_code(world.account("DELETE", f"/realms/{realm[0]}")) == "12666"
    assert world.account("DELETE", f"/realms/{realm[0]}/sipcredentials/{credential_id}").status_code == 200
    gone = world.account("GET", f"/realms/{realm[0]}/sipcredentials/{credential_id}")
    assert (gone.status_code, error_code(gone)) == (404, "23025")
    assert world.account("DELETE", f"/realms/{realm[0]}").status_code == 202


def test_the_exchange_log_shows_every_request_and_no_hash(world):
    realm = world.realm("abc")
    before = world.sandbox.exchanges()[-1]["id"]
    world.credential(realm, "pbx")
    (exchange,) = world.sandbox.exchanges(since=before)
    assert (exchange["method"], exchange["status"]) == ("POST", 201)
    assert "<UserName>pbx</UserName>" in exchange["request_body"]
    assert not any(h in json.dumps(world.sandbox.exchanges()) for h in hashes(realm[1], "pbx"))
