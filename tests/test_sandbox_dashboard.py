"""The dashboard over HTTP: signing in, the guide's path, the account API's rules, a page for everyone."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from hashlib import md5
from pathlib import Path

import httpx
import pytest
from dashboard_person import PAGES, Person, every_page, only
from sandbox_world import World, application_xml, eventually, found, hashes, realm_xml, root

PROJECT = Path(__file__).resolve().parent.parent
URL = "https://pbx.example.com/initiate"
PASSWORD = "a-password-never-kept"


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


@pytest.fixture
def stranger(world):
    person = Person(world.sandbox)
    yield person
    person.close()


@pytest.fixture
def person(stranger):
    stranger.sign_in()
    return stranger


# -------------------------------------------------------------------- signing in


@pytest.mark.parametrize("path", ["", *PAGES])
def test_without_signing_in_every_page_leads_to_sign_in(stranger, path):
    answer = stranger.http.get(stranger.url(path))
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/sign-in")


def test_a_wrong_password_signs_nobody_in(stranger):
    page = stranger.sign_in("wrong")
    assert page.status == 401
    assert "User name or password is wrong" in page.words
    assert stranger.http.get(stranger.url("/applications")).status_code == 303


def test_the_right_password_leads_to_the_applications(stranger):
    assert "Press" not in stranger.sign_in().words
    assert "This account has none yet" in stranger.open("").words


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(stranger):
    answer = stranger.http.get(stranger.url("/sign-in"))
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/dashboard" in cookie


def test_signing_in_gives_the_browser_a_new_name(stranger):
    before = dict(stranger.http.get(stranger.url("/sign-in")).cookies)
    stranger.sign_in()
    assert set(stranger.http.cookies.values()).isdisjoint(before.values())


def test_signing_out_ends_the_session_also_for_who_kept_the_cookie(person):
    kept = dict(person.http.cookies)
    token = next(form for form in person.open("/applications").forms if form.action.endswith("sign-out")).values
    person.http.post(person.url("/sign-out"), data=token)
    assert httpx.get(person.url("/applications"), cookies=kept).status_code == 303


def test_a_form_of_another_site_changes_nothing(world, person):
    fields = {"AppName": "planted", "ServiceType": "Voice-V2", "CallInitiatedCallbackUrl": URL}
    for token in ({}, {"form_token": ""}, {"form_token": "0" * 64}):
        assert person.http.post(person.url("/applications/new"), data={**fields, **token}).status_code == 403
    assert root(world.account("GET", "/applications")).findall("ApplicationList/Application") == []


def test_a_form_of_another_browser_changes_nothing(world, person):
    other = Person(world.sandbox)
    other.sign_in()
    token = other.open("/applications/new").forms[-1].values["form_token"]
    other.close()
    answer = person.http.post(person.url("/applications/new"), data={"AppName": "x", "form_token": token})
    assert answer.status_code == 403


def test_user_and_password_are_random_and_survive_a_restart(tmp_path):
    one, two = World(tmp_path / "one"), World(tmp_path / "two")
    first = (one.sandbox.dashboard_user, one.sandbox.dashboard_password.get_secret_value())
    assert first[1] != two.sandbox.dashboard_password.get_secret_value()
    assert first[1] not in repr(one.sandbox)
    one.close()
    two.close()
    again = World(tmp_path / "one")
    assert (again.sandbox.dashboard_user, again.sandbox.dashboard_password.get_secret_value()) == first
    assert (again.sandbox.directory / "dashboard.json").stat().st_mode & 0o777 == 0o600
    again.close()


# -------------------------------------------------------------------- guide step 1: applications


def test_an_application_made_by_hand_is_what_the_api_would_have_made(world, person):
    more = {"CallStatusCallbackUrl": "https://pbx.example.com/status", "CallbackCreds__UserId": "me"}
    page = person.application("PBX Interconnect", **more, CallbackCreds__Password="secret")
    assert "The application is created." in page.words
    by_hand = only(world, "/applications", "Application")
    by_api = application_xml(URL, AppName="PBX Interconnect", CallStatusCallbackUrl="https://pbx.example.com/status",
                             CallbackCreds="<UserId>me</UserId><Password>secret</Password>")  # fmt: skip
    made = found(world.account("POST", "/applications", by_api), "Application/ApplicationId")
    same = root(world.account("GET", f"/applications/{made}")).find("Application")
    assert {child.tag: child.text or "" for child in same} | {"ApplicationId": ""} == by_hand | {"ApplicationId": ""}


def test_a_button_is_one_request_of_the_account_api(world, person):
    person.application("by hand")
    writes = [one for one in world.sandbox.exchanges() if one["method"] != "GET" and "/accounts/" in one["path"]]
    assert [(one["method"], one["status"]) for one in writes] == [("POST", 201)]
    assert "<AppName>by hand</AppName>" in writes[0]["request_body"]


def test_an_application_can_be_changed_and_keeps_its_callback_password(world, person):
    person.application("before", CallbackCreds__UserId="me", CallbackCreds__Password="secret")
    place = person.link("/applications", r"/applications/[0-9a-f-]{36}")
    page = person.send(place, AppName="after", CallbackTimeout="10")
    assert "Your changes are saved." in page.words
    now = only(world, "/applications", "Application")
    assert (now["AppName"], now["CallbackTimeout"]) == ("after", "10")
    assert "secret" not in page.html


def test_an_application_is_deleted_after_a_question(world, person):
    person.application("short-lived")
    place = person.link("/applications", r"/applications/[0-9a-f-]{36}")
    assert "Delete application short-lived?" in person.open(f"{place}/delete").words
    only(world, "/applications", "Application")  # asking changes nothing
    assert "is deleted" in person.send(f"{place}/delete").words
    assert root(world.account("GET", "/applications")).findall("ApplicationList/Application") == []


def test_the_form_offers_this_sandboxs_readback_without_its_password(world, person):
    page, readback = person.open("/applications/new"), world.sandbox.readback
    assert f"{readback.url}/initiate" in page.words
    assert readback.user in page.words
    assert readback.password.get_secret_value() not in page.html
    assert (world.sandbox.directory / "readback-password").read_text() == readback.password.get_secret_value()


def test_another_account_is_seen_after_switching_to_it(world, person):
    person.application("of the first")
    other = world.sandbox.account("site-7")
    page = person.send("/applications", "/switch-account", account_id=other.account_id)
    assert f"You now see account {other.account_id}." in page.words
    assert "of the first" not in page.words
    person.application("of site-7")
    person.send("/sandbox", "/switches", options="silent")
    assert (other.switches()["options"], world.sandbox.switches()["options"]) == ("silent", "200")
    assert only(world, "/applications", "Application")["AppName"] == "of the first"
    assert person.send("/applications", "/switch-account", account_id="1").status == 404


# -------------------------------------------------------------------- guide step 2: realms and SIP credentials


def test_a_credential_made_by_hand_has_the_hashes_of_its_realm(world, person):
    person.application()
    person.realm("acme", Description="a realm")
    fqdn = only(world, "/realms", "Realm")["Realm"]
    form = next(one for one in person.open("/account/sip-credentials/new").forms if "UserName" in one.values)
    application = only(world, "/applications", "Application")["ApplicationId"]
    assert fqdn in form.choices["RealmId"]
    page = person.credential(HttpVoiceV2AppId=application)
    assert "Make note of user name, password and realm" in page.words
    realm_id = only(world, "/realms", "Realm")["Id"]
    made = only(world, f"/realms/{realm_id}/sipcredentials", "SipCredential")
    assert (made["Hash1"], made["Hash1b"]) == hashes(fqdn, "pbx", PASSWORD)
    assert made["HttpVoiceV2AppId"] == application


def test_neither_the_password_nor_its_hash_stays_anywhere_but_in_the_credential(world, person):
    person.realm("acme")
    fqdn = only(world, "/realms", "Realm")["Realm"]
    shown = person.credential().html + person.open("/account/sip-credentials").html
    logged = repr(world.sandbox.exchanges())
    assert md5(f"pbx:{fqdn}:{PASSWORD}".encode()).hexdigest() not in shown + logged
    assert PASSWORD not in shown + logged
    kept = [path for path in world.home.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert kept == []


def test_a_realm_being_created_says_so_and_takes_no_credential_yet(world, person):
    world.sandbox.set_switch("realm_create_s", "3600")
    assert "CREATE_PENDING" in person.realm("slow").words
    page = person.credential()
    assert page.status == 400
    assert "23022" in page.words


def test_a_credential_gets_another_application_and_keeps_its_password(world, person):
    person.application("first")
    person.realm("acme")
    person.credential()
    realm_id = only(world, "/realms", "Realm")["Id"]
    before = only(world, f"/realms/{realm_id}/sipcredentials", "SipCredential")
    place = person.link("/account/sip-credentials", r"/account/sip-credentials/\d+/\d+")
    application = only(world, "/applications", "Application")["ApplicationId"]
    person.send(place, HttpVoiceV2AppId=application)
    after = only(world, f"/realms/{realm_id}/sipcredentials", "SipCredential")
    assert after == before | {"HttpVoiceV2AppId": application}
    assert "has a new password" in person.send(place, password="another").words
    assert only(world, f"/realms/{realm_id}/sipcredentials", "SipCredential")["Hash1"] != before["Hash1"]


def test_a_credential_and_then_its_realm_are_deleted(world, person):
    person.realm("acme")
    person.credential()
    place = person.link("/account/sip-credentials", r"/account/sip-credentials/\d+/\d+/delete")
    assert "SIP credential pbx is deleted." in person.send(place).words
    world.sandbox.set_switch("realm_delete_s", "0")
    place = person.link("/account/sip-credentials", r"/account/realms/\d+/delete")
    person.send(place)
    eventually(lambda: root(world.account("GET", "/realms")).findall("Realms/Realm") == [])


def test_a_realms_description_can_be_changed(world, person):
    person.realm("acme", Description="before")
    place = person.link("/account/sip-credentials", r"/account/realms/\d+")
    person.send(place, Description="after", Default="true")
    realm = only(world, "/realms", "Realm")
    assert (realm["Description"], realm["Default"]) == ("after", "true")


def test_without_the_entitlement_there_is_no_sip_credentials_tab(world, person):
    assert "SIP Credentials" in person.open("/account").words
    world.sandbox.set_switch("sip_entitled", "no")
    page = person.open("/account")
    assert "/dashboard/account/sip-credentials" not in page.html
    assert "not activated for this account" in page.words
    assert person.open("/account/sip-credentials").status == 404


# -------------------------------------------------------------------- the account API's rules, shown as text


@pytest.mark.parametrize(("code", "fields"), [
    ("12806", {"name": ""}),
    ("12802", {"url": ""}),
    ("12803", {"url": "not a url"}),
    ("12812", {"url": "http://x.example/", "CallbackCreds__UserId": "u", "CallbackCreds__Password": "p"}),
    ("13047", {"CallbackTimeout": "99"}),
    ("12961", {"CallInitiatedMethod": "PUT"}),
    ("12801", {"ServiceType": "Messaging-V2"}),
])  # fmt: skip
def test_an_application_is_refused_with_the_apis_code(world, person, code, fields):
    page = person.application(**fields)
    assert page.status == 400
    assert f"Error code {code}" in page.words
    assert root(world.account("GET", "/applications")).findall("ApplicationList/Application") == []


def test_what_the_page_says_is_what_the_api_says(world, person):
    said = found(world.account("POST", "/realms", realm_xml("a_b")), "ResponseStatus/Description")
    assert said in person.realm("a_b").words


@pytest.mark.parametrize(("code", "name"), [("1003", ""), ("33003", "x" * 31), ("12673", "a b"), ("33002", "acme")])
def test_a_realm_is_refused_with_the_apis_code(person, code, name):
    person.realm("acme")
    page = person.realm(name)
    assert page.status == 400
    assert f"Error code {code}" in page.words


@pytest.mark.parametrize(("code", "username"), [("1003", ""), ("23016", "p:x"), ("23002", "x" * 33), ("23026", "PBX")])
def test_a_credential_is_refused_with_the_apis_code(person, code, username):
    person.realm("acme")
    person.credential()
    page = person.credential(username)
    assert page.status == 400
    assert code in page.words


def test_a_refused_form_keeps_what_was_typed_but_no_password(person):
    page = person.application("", CallbackCreds__UserId="me", CallbackCreds__Password="do-not-repeat")
    assert 'value="me"' in page.html
    assert "do-not-repeat" not in page.html
    assert 'aria-invalid="true"' in page.html


def test_the_default_realm_and_one_with_credentials_stay(person):
    person.realm("acme")
    person.credential()
    place = person.link("/account/sip-credentials", r"/account/realms/\d+/delete")
    assert "Error code 12666" in person.send(place).words
    person.send(place.removesuffix("/delete"), Default="true")
    assert "Error code 33006" in person.send(place).words


def test_hashes_echoed_by_the_api_are_not_shown(world, person):
    world.sandbox.set_switch("credential_error_text", "with-hashes")
    person.realm("acme")
    person.credential()
    page = person.credential()
    assert "23026" in page.words
    assert not re.search(r"[0-9a-f]{32}", page.html.replace(page.forms[0].values["form_token"], ""))


# -------------------------------------------------------------------- for everyone


def test_every_field_has_a_label_every_id_is_unique_and_no_script_is_needed(world, person):
    person.application()
    person.realm("acme")
    person.credential()
    for page in every_page(person):
        assert page.unlabelled == []
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert "script" not in [tag for tag, _ in page.elements]
        assert "SANDBOX" in page.words
        assert [tag for tag, _ in page.elements].count("h1") == 1
        assert ("html", {"lang": "en"}) in page.elements


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("text", "ground", "least"), [
    ("ink", "ground", 7), ("quiet", "ground", 4.5), ("quiet", "paper", 4.5), ("quiet", "red-pale", 4.5),
    ("quiet", "brown-pale", 4.5), ("blue", "paper", 4.5), ("blue", "ground", 4.5), ("blue", "brown-pale", 4.5),
    ("green", "green-pale", 4.5), ("brown", "brown-pale", 4.5), ("red", "red-pale", 4.5), ("red", "paper", 4.5),
    ("paper", "blue", 4.5), ("paper", "red", 4.5), ("edge", "paper", 3), ("edge", "ground", 3),
])  # fmt: skip
def test_colours_have_the_contrast_of_wcag_aa(stranger, text, ground, least):
    style = stranger.http.get(stranger.url("/style.css")).text
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", style))
    light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= least


# -------------------------------------------------------------------- packaging


@pytest.mark.slow
def test_templates_and_style_are_in_the_wheel(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path.relative_to(PROJECT).as_posix() for folder in ("templates", "static")
              for path in (PROJECT / "bwlib" / "sandbox" / folder).iterdir()}  # fmt: skip
    assert len(wanted) > 15
    assert wanted <= packed
