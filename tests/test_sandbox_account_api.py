"""The account API of the sandbox, spoken to over HTTP."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
from sandbox_world import World, application_xml, error_code, eventually, found, realm_xml, root

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


# -------------------------------------------------------------------- who is calling


def token(world: World, secret: str | None = None, grant: str = "client_credentials") -> httpx.Response:
    right = world.sandbox.client_secret.get_secret_value()
    auth = (world.sandbox.client_id, secret or right)
    return world.http.post(world.sandbox.token_url, auth=auth, data={"grant_type": grant})


def realms_with(world: World, **options) -> httpx.Response:
    url = f"{world.sandbox.api_url}/accounts/{world.sandbox.account_id}/realms"
    return world.http.get(url, **options)


def test_a_token_is_a_jwt_that_names_the_account(world):
    answer = token(world).json()
    payload = answer["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["accounts"] == [world.sandbox.account_id]
    assert "SIP Credentials" in claims["roles"]
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)


def test_a_wrong_client_secret_is_invalid_client(world):
    answer = token(world, secret="wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_another_grant_type_is_refused(world):
    assert token(world, grant="password").status_code == 400


def test_nothing_is_answered_without_credentials(world):
    assert realms_with(world).status_code == 401


@pytest.mark.parametrize("value", [".", "x", "x.y", "x.y.z", "é.ü.ß", "a" * 5000])
def test_a_made_up_token_is_refused(world, value):
    assert realms_with(world, headers={"Authorization": f"Bearer {value}".encode()}).status_code == 401


def test_a_token_with_changed_claims_is_refused(world):
    head, _, signature = world.bearer()["Authorization"].removeprefix("Bearer ").split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 9e9}).encode()).decode().rstrip("=")
    assert realms_with(world, headers={"Authorization": f"Bearer {head}.{claims}.{signature}"}).status_code == 401


def test_an_expired_token_is_refused(world):
    world.sandbox.set_switch("token_lifetime_s", "0")
    expired = token(world).json()["access_token"]
    assert realms_with(world, headers={"Authorization": f"Bearer {expired}"}).status_code == 401


def test_another_account_is_forbidden(world):
    answer = world.http.get(f"{world.sandbox.api_url}/accounts/1/realms", headers=world.bearer())
    assert (answer.status_code, error_code(answer)) == (403, "1001")


def test_basic_auth_works_until_the_day_it_ends(world):
    auth = (world.sandbox.client_id, world.sandbox.client_secret.get_secret_value())
    world.sandbox.set_switch("basic_auth_ends", "2999-12-02")
    assert realms_with(world, auth=auth).status_code == 200
    world.sandbox.set_switch("basic_auth_ends", "2001-12-02")
    assert realms_with(world, auth=auth).status_code == 401


def test_both_path_prefixes_lead_to_the_same_account(world):
    world.realm("abc")
    older = f"{world.sandbox.http_url}/api/accounts/{world.sandbox.account_id}/realms"
    answer = world.http.get(older, headers=world.bearer())
    assert found(answer, "Realms/Realm/Realm").startswith("abc-")


# -------------------------------------------------------------------- realms


def test_a_realm_is_create_pending_first_and_then_active(world):
    world.sandbox.set_switch("realm_create_s", "3600")
    made = world.account("POST", "/realms", realm_xml("slow"))
    assert (made.status_code, found(made, "Realm/Status")) == (201, "CREATE_PENDING")
    world.sandbox.set_switch("realm_create_s", "0")
    quick = world.account("POST", "/realms", realm_xml("quick"))
    assert found(world.account("GET", f"/realms/{found(quick, 'Realm/Id')}"), "Realm/Status") == "ACTIVE"


def test_the_server_decides_a_realms_fqdn_and_its_hex_is_the_same_for_all(world):
    one, two = world.realm("one")[1], world.realm("two")[1]
    assert one.startswith("one-")
    assert one.endswith(".auth.bandwidth.test")
    assert one.removeprefix("one") == two.removeprefix("two")


def test_the_separator_of_the_fqdn_is_a_switch(world):
    world.sandbox.set_switch("realm_separator", ".")
    assert world.realm("abc")[1].startswith("abc.")


def test_a_realm_is_found_by_id_and_fqdn_and_by_short_name_only_where_the_switch_says_so(world):
    realm_id, fqdn = world.realm("abc")
    assert found(world.account("GET", f"/realms/{fqdn.upper()}"), "Realm/Id") == realm_id
    assert world.account("GET", "/realms/abc").status_code == 404
    world.sandbox.set_switch("realm_short_name", "found")
    assert found(world.account("GET", "/realms/ABC"), "Realm/Id") == realm_id


def test_an_unknown_realm_is_404_with_a_description_and_no_error_code(world):
    answer = world.account("GET", "/realms/nowhere")
    assert answer.status_code == 404
    assert error_code(answer) is None
    assert found(answer, "ResponseStatus/Description")


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        ("<Realm><Default>false</Default></Realm>", "1003"),
        ("<Realm><Realm>abc</Realm></Realm>", "1003"),
        (realm_xml("a" * 31), "33003"),
        (realm_xml("a b"), "12673"),
        (realm_xml("-abc"), "12673"),
        (realm_xml("abc", description="d" * 256), "1011"),
        ("<Realm><Realm>abc</Realm><Default>perhaps</Default></Realm>", "1008"),
        ("<Wrong/>", "1019"),
        ("not xml", "1019"),
        ("", "1019"),
        ('<!DOCTYPE a [<!ENTITY e "x">]><Realm><Realm>&e;</Realm></Realm>', "1019"),
    ],
)
def test_a_realm_that_cannot_be_is_refused_with_its_code(world, xml, code):
    answer = world.account("POST", "/realms", xml)
    assert (answer.status_code, error_code(answer)) == (400, code)


def test_a_realm_name_exists_only_once_whatever_its_case(world):
    world.realm("abc")
    assert error_code(world.account("POST", "/realms", realm_xml("ABC"))) == "33002"


def test_an_account_that_is_not_set_up_reads_an_empty_list_and_cannot_create(world):
    world.sandbox.set_switch("sip_entitled", "no")
    assert world.account("GET", "/realms").status_code == 200
    assert error_code(world.account("POST", "/realms", realm_xml("abc"))) == "33004"


def test_one_realm_is_default_and_it_can_be_neither_deleted_nor_demoted(world):
    first, second = world.realm("first", default=True)[0], world.realm("second")[0]
    assert error_code(world.account("DELETE", f"/realms/{first}")) == "33006"
    assert error_code(world.account("PUT", f"/realms/{first}", realm_xml("first"))) == "1005"
    assert world.account("PUT", f"/realms/{second}", realm_xml("second", default=True)).status_code == 200
    assert found(world.account("GET", f"/realms/{first}"), "Realm/Default") == "false"


def test_put_replaces_the_description_and_cannot_rename(world):
    realm_id, _ = world.realm("abc")
    world.account("PUT", f"/realms/{realm_id}", realm_xml("abc", description="mine"))
    cleared = world.account("PUT", f"/realms/{realm_id}", "<Realm><Realm>abc</Realm></Realm>")
    assert found(cleared, "Realm/Description") == ""
    assert error_code(world.account("PUT", f"/realms/{realm_id}", realm_xml("other"))) == "33005"


def test_delete_is_202_then_pending_then_404(world):
    realm_id, _ = world.realm("abc")
    world.sandbox.set_switch("realm_delete_s", "0.3")
    answer = world.account("DELETE", f"/realms/{realm_id}")
    assert (answer.status_code, answer.content) == (202, b"")
    eventually(lambda: world.account("GET", f"/realms/{realm_id}").status_code == 404)
    assert error_code(world.account("DELETE", f"/realms/{realm_id}")) == "33001"


def test_a_realm_being_deleted_says_so(world):
    realm_id, _ = world.realm("abc")
    world.sandbox.set_switch("realm_delete_s", "3600")
    world.account("DELETE", f"/realms/{realm_id}")
    assert found(world.account("GET", f"/realms/{realm_id}"), "Realm/Status") == "DELETE_PENDING"


def test_a_realm_fragment_filters_and_needs_three_characters(world):
    world.realm("alpha")
    world.realm("beta")
    listed = world.account("GET", "/realms?realmfragment=alp")
    assert [realm.findtext("Realm", "")[:5] for realm in root(listed).iter("Realm") if len(realm)] == ["alpha"]
    assert error_code(world.account("GET", "/realms?realmfragment=al")) == "33011"


# -------------------------------------------------------------------- applications


def test_an_application_is_created_with_a_location_and_post_as_the_default_method(world):
    made = world.account("POST", "/applications", application_xml(URL, ServiceType="Voice"))
    assert made.status_code == 201
    assert made.headers["location"].endswith(found(made, "Application/ApplicationId"))
    assert found(made, "Application/ServiceType") == "Voice-V2"
    assert found(made, "Application/CallInitiatedMethod") == "POST"


def test_a_callback_password_is_never_returned_nor_logged(world):
    creds = "<CallbackCreds><UserId>me</UserId><Password>hush-hush</Password></CallbackCreds>"
    xml = application_xml("https://127.0.0.1:9/").replace("</Application>", f"{creds}</Application>")
    made = world.account("POST", "/applications", xml)
    assert found(made, "Application/CallbackCreds/UserId") == "me"
    assert "hush-hush" not in made.text
    assert "hush-hush" not in json.dumps(world.sandbox.exchanges())


def test_put_replaces_everything_but_the_password_and_patch_only_what_is_sent(world):
    application_id = world.application(URL, CallStatusCallbackUrl=URL, CallbackTimeout="9")
    patched = world.account(
        "PATCH", f"/applications/{application_id}", "<Application><AppName>n</AppName></Application>"
    )
    assert found(patched, "Application/CallbackTimeout") == "9"
    put = world.account("PUT", f"/applications/{application_id}", application_xml(URL))
    assert root(put).find("Application/CallStatusCallbackUrl") is None


def test_patch_with_remove_clears_the_status_url(world):
    application_id = world.application(URL, CallStatusCallbackUrl=URL)
    xml = "<Application><CallStatusCallbackUrl>remove</CallStatusCallbackUrl></Application>"
    patched = world.account("PATCH", f"/applications/{application_id}", xml)
    assert root(patched).find("Application/CallStatusCallbackUrl") is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"AppName": ""}, "12806"),
        ({"ServiceType": ""}, "1003"),
        ({"ServiceType": "Messaging-V2"}, "12801"),
        ({"CallInitiatedCallbackUrl": ""}, "12802"),
        ({"CallInitiatedCallbackUrl": "ftp://x"}, "12803"),
        ({"CallInitiatedCallbackUrl": "http://"}, "12803"),
        ({"CallInitiatedMethod": "PUT"}, "12961"),
        ({"CallStatusMethod": "GET"}, "12963"),
        ({"CallInitiatedFallbackMethod": "GET"}, "13048"),
        ({"CallbackTimeout": "soon"}, "13049"),
        ({"CallbackTimeout": "26"}, "13047"),
        ({"InboundCallbackUrl": URL}, "12962"),
        ({"CallbackCreds": "<UserId>u</UserId><Password>p</Password>"}, "12812"),
        ({"CallbackCreds": "<UserId>u</UserId>"}, "12977"),
    ],
)
def test_an_application_that_cannot_be_is_refused_with_its_code(world, fields, code):
    answer = world.account("POST", "/applications", application_xml(**{"url": URL} | fields))
    assert (answer.status_code, error_code(answer)) == (400, code)


def test_a_deleted_application_is_gone_and_an_unknown_one_is_13629(world):
    application_id = world.application(URL)
    assert world.account("DELETE", f"/applications/{application_id}").status_code == 200
    answer = world.account("GET", f"/applications/{application_id}")
    assert (answer.status_code, error_code(answer)) == (404, "13629")


def test_deleting_an_application_that_credentials_use_is_a_switch(world):
    application_id = world.application(URL)
    world.credential(world.realm("abc"), "pbx", application_id)
    world.sandbox.set_switch("bound_application_delete", "refuse")
    assert error_code(world.account("DELETE", f"/applications/{application_id}")) == "12107"
    world.sandbox.set_switch("bound_application_delete", "allow")
    assert world.account("DELETE", f"/applications/{application_id}").status_code == 200


def test_xml_is_wanted_and_said_so(world):
    url = f"{world.sandbox.api_url}/accounts/{world.sandbox.account_id}/applications"
    assert world.http.post(url, json={}, headers=world.bearer()).status_code == 415
    assert world.account("PATCH", "/applications", "<Application/>").status_code == 405
