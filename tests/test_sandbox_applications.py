"""Voice applications with all their elements, replaced and merged, and what their credentials need."""

from __future__ import annotations

import httpx
import pytest
from sandbox_world import World, application_xml, error_code, found, root

URL = "https://127.0.0.1:9/"
EVERYTHING = {
    "ServiceType": "Voice-V2",
    "AppName": "all of it",
    "CallInitiatedCallbackUrl": f"{URL}initiate",
    "CallInitiatedMethod": "GET",
    "CallInitiatedFallbackUrl": f"{URL}fallback",
    "CallInitiatedFallbackMethod": "GET",
    "CallStatusCallbackUrl": f"{URL}status",
    "CallStatusMethod": "GET",
    "CallbackTimeout": "7",
}
CREDS = {
    "CallbackCreds": "<UserId>me</UserId><Password>hush</Password>",
    "CallInitiatedFallbackCreds": "<UserId>spare</UserId><Password>hush-too</Password>",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running):
    running.sandbox.reset()
    return running


def elements(answer: httpx.Response) -> dict[str, str]:
    """Element by name, those with children left out."""
    return {each.tag: each.text or "" for each in root(answer).find("Application") or [] if len(each) == 0}


def made_with(world: World, **fields: str) -> str:
    made = world.account("POST", "/applications", application_xml(URL, **fields))
    assert made.status_code == 201, made.text
    return found(made, "Application/ApplicationId")


def change(world: World, method: str, application_id: str, fields: dict[str, str]) -> httpx.Response:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return world.account(method, f"/applications/{application_id}", f"<Application>{inside}</Application>")


def test_every_element_is_kept_and_comes_back_but_the_passwords(world):
    application_id = made_with(world, **EVERYTHING, **CREDS)
    answer = world.account("GET", f"/applications/{application_id}")
    assert elements(answer) == {"ApplicationId": application_id, **EVERYTHING}
    assert found(answer, "Application/CallbackCreds/UserId") == "me"
    assert found(answer, "Application/CallInitiatedFallbackCreds/UserId") == "spare"
    assert "hush" not in answer.text


def test_methods_that_are_not_sent_are_post_where_there_is_a_url(world):
    application_id = made_with(world, CallInitiatedFallbackUrl=f"{URL}fallback")
    read = elements(world.account("GET", f"/applications/{application_id}"))
    assert (read["CallInitiatedMethod"], read["CallInitiatedFallbackMethod"]) == ("POST", "POST")
    assert "CallStatusMethod" not in read


def test_put_replaces_and_patch_merges(world):
    application_id = made_with(world, **EVERYTHING, **CREDS)
    patched = elements(change(world, "PATCH", application_id, {"AppName": "renamed", "CallbackTimeout": "9"}))
    assert patched == {"ApplicationId": application_id, **EVERYTHING, "AppName": "renamed", "CallbackTimeout": "9"}
    whole = {"ServiceType": "Voice-V2", "AppName": "bare", "CallInitiatedCallbackUrl": f"{URL}new"}
    put = change(world, "PUT", application_id, whole)
    assert elements(put) == {"ApplicationId": application_id, **whole, "CallInitiatedMethod": "POST"}
    assert root(put).find("Application/CallbackCreds") is None


def test_patch_with_remove_takes_the_status_url_and_its_method_away(world):
    application_id = made_with(world, **EVERYTHING)
    left = elements(change(world, "PATCH", application_id, {"CallStatusCallbackUrl": "remove"}))
    assert not {"CallStatusCallbackUrl", "CallStatusMethod"} & set(left)
    assert left["CallInitiatedFallbackUrl"] == f"{URL}fallback"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_whoever_repeats_the_callback_user_keeps_the_password(world, method):
    application_id = made_with(world, **CREDS)
    whole = {"ServiceType": "Voice-V2", "AppName": "test", "CallInitiatedCallbackUrl": URL}
    same = change(world, method, application_id, {**whole, "CallbackCreds": "<UserId>me</UserId>"})
    assert (same.status_code, found(same, "Application/CallbackCreds/UserId")) == (200, "me")
    other = change(world, method, application_id, {**whole, "CallbackCreds": "<UserId>you</UserId>"})
    assert error_code(other) == "12976"


def test_a_refused_change_changes_nothing(world):
    application_id = made_with(world, **EVERYTHING)
    assert change(world, "PATCH", application_id, {"AppName": "new", "CallbackTimeout": "0"}).status_code == 400
    assert elements(world.account("GET", f"/applications/{application_id}"))["AppName"] == "all of it"


def test_credentials_of_the_fallback_need_https_there(world):
    fields = {"CallInitiatedFallbackUrl": "http://127.0.0.1:9/", **CREDS}
    answer = world.account("POST", "/applications", application_xml(URL, **fields))
    assert (answer.status_code, error_code(answer)) == (400, "12812")


def test_the_list_holds_every_application_in_the_order_in_which_they_came(world):
    ids = [made_with(world, AppName=name) for name in ("one", "two")]
    listed = root(world.account("GET", "/applications"))
    assert [each.findtext("ApplicationId") for each in listed.findall("ApplicationList/Application")] == ids


def test_an_application_has_no_sip_peers(world):
    answer = world.account("GET", f"/applications/{made_with(world)}/associatedsippeers")
    assert (answer.status_code, root(answer).tag) == (200, "AssociatedSipPeersResponse")
    assert list(root(answer).iter("AssociatedSipPeer")) == []


@pytest.mark.parametrize(("value", "status"), [("any", 201), ("unique", 400)])
def test_whether_names_are_unique_is_a_switch(world, value, status):
    world.sandbox.set_switch("application_names", value)
    made_with(world)
    assert world.account("POST", "/applications", application_xml(URL)).status_code == status


@pytest.mark.parametrize("name", ["<b>bold</b>", "a & b", "\u202eevil", "name" * 500, "'; drop table applications; --"])
def test_a_name_is_plain_text_and_comes_back_as_it_was(world, name):
    escaped = name.replace("&", "&amp;").replace("<", "&lt;")
    application_id = made_with(world, AppName=escaped)
    assert elements(world.account("GET", f"/applications/{application_id}"))["AppName"] == name
