"""bwlib.bandwidth.wire against Bandwidth's published shapes (tests/contract)."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bwlib.bandwidth import wire
from bwlib.errors import SettingsError
from bwlib.models import Application, CallRequest

Reader = Callable[[ET.Element], list[Any]]
CONTRACT = Path(__file__).parent / "contract"
FQDN = "bwclitest-3efeaa.auth.bandwidth.com"
PASSWORD = SecretStr("Tb7xQ2mK9rL4vN8s")
HASH1, HASH1B = "1be6abcaa8e9956021d30f33a3925b99", "e028e6577a0bb1b90a33d30a110dbdfe"


def sample(name: str) -> bytes:
    return (CONTRACT / name).read_bytes()


def test_hashes_are_those_of_the_published_vector() -> None:
    # github.com/Bandwidth/cli, internal/sip tests (read 2026-11-23)
    assert wire.hash1("clitest", FQDN, PASSWORD).get_secret_value() == HASH1
    assert wire.hash1b("clitest", FQDN, PASSWORD).get_secret_value() == HASH1B


def test_hash1_is_the_ha1_of_rfc_2617() -> None:
    ha1 = wire.hash1("Mufasa", "testrealm@host.com", SecretStr("Circle Of Life"))
    assert ha1.get_secret_value() == "939e7578ed9e3c518a452acee763bce9"


def test_a_hash_does_not_show_itself() -> None:
    assert HASH1 not in repr(wire.hash1("clitest", FQDN, PASSWORD))


def test_a_realm_is_read_with_its_full_name() -> None:
    (realm,) = wire.read_realms(wire.read_xml(sample("realm_created.xml")))
    assert (realm.id, realm.fqdn, realm.status) == ("1103", "acme-3efeaa.auth.bandwidth.com", "CREATE_PENDING")
    assert realm.description == "PBX in Raleigh & Durham"
    assert not realm.is_active


def test_a_list_of_realms_is_read_whatever_the_white_space() -> None:
    realms = wire.read_realms(wire.read_xml(sample("realms.xml")))
    assert [(realm.id, realm.is_default, realm.credential_count) for realm in realms] == [
        ("1103", True, 2),
        ("1104", False, 0),
    ]
    assert realms[0].fqdn == "acme.3efeaa.auth.bandwidth.com"


def test_an_application_is_read_without_a_password() -> None:
    (application,) = wire.read_applications(wire.read_xml(sample("application.xml")))
    assert application.name == "PBX <Raleigh>"
    assert (application.callback_user, application.callback_password) == ("bandwidth", None)
    assert application.callback_timeout_s == 15


def test_a_list_of_applications_keeps_those_of_other_services() -> None:
    applications = wire.read_applications(wire.read_xml(sample("applications.xml")))
    assert [application.service_type for application in applications] == ["Voice-V2", "Messaging-V2"]


def test_a_credential_is_read_with_its_hashes_hidden() -> None:
    (credential,) = wire.read_sip_credentials(wire.read_xml(sample("sip_credential_created.xml")))
    assert credential.ha1.get_secret_value() == HASH1
    assert HASH1 not in repr(credential)
    assert credential.application_id == "93de2206-9669-4e07-948d-329f4b722ee2"


def test_a_refused_credential_is_an_error_and_not_a_credential() -> None:
    root = wire.read_xml(sample("sip_credential_refused_in_201.xml"))
    errors = wire.xml_errors(root, 201)
    with pytest.raises(wire.UnreadableBody):
        wire.read_sip_credentials(root)
    assert [error.code for error in errors] == ["23026"]
    assert HASH1 not in errors[0].text


def test_the_error_with_a_code_comes_before_the_general_text() -> None:
    errors = wire.xml_errors(wire.read_xml(sample("sip_credential_refused_in_201.xml")), 400)
    assert [error.code for error in errors] == ["23026", None]


def test_a_text_without_code_counts_when_the_status_is_an_error() -> None:
    root = wire.read_xml(sample("realm_not_found.xml"))
    assert wire.xml_errors(root, 404) == [wire.ApiError(None, "Realm does not exist")]
    assert wire.xml_errors(root, 200) == []


def test_namespaces_do_not_matter() -> None:
    body = b'<a:RealmResponse xmlns:a="urn:x"><a:Realm><a:Id>1</a:Id><a:Realm>f</a:Realm></a:Realm></a:RealmResponse>'
    assert wire.read_realms(wire.read_xml(body))[0].fqdn == "f"


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (
            wire.read_applications,
            "<ApplicationProvisioningResponse><ApplicationList/></ApplicationProvisioningResponse>",
        ),
        (wire.read_applications, "<ApplicationProvisioningResponse/>"),
        (wire.read_realms, "<RealmsResponse><Realms></Realms></RealmsResponse>"),
        (wire.read_realms, "<RealmResponse><Realms> </Realms></RealmResponse>"),
        (wire.read_realms, "<RealmsResponse/>"),
        (wire.read_sip_credentials, "<SipCredentialsResponse><SipCredentials/></SipCredentialsResponse>"),
        (wire.read_sip_credentials, "<SipCredentialsResponse><Links><first>x</first></Links></SipCredentialsResponse>"),
    ],
)
def test_every_documented_way_to_say_an_empty_list_is_empty(read: Reader, body: str) -> None:
    assert read(wire.read_xml(body.encode())) == []


@pytest.mark.parametrize("read", [wire.read_applications, wire.read_realms, wire.read_sip_credentials])
@pytest.mark.parametrize(
    "body",
    [
        "<html><body><form action='/login'/></body></html>",
        "<a><b/></a>",
        "<a><ApplicationList/><Realms/><SipCredentials/></a>",
        "<Realms/>",
        "<ApplicationProvisioningResponse><Problem/></ApplicationProvisioningResponse>",
        "<RealmsResponse><ResponseStatus><Description>later</Description></ResponseStatus></RealmsResponse>",
        "<RealmsResponse><Realms><Zone/></Realms></RealmsResponse>",
        "<RealmResponse/>",
        "<SipCredentialResponse/>",
    ],
)
def test_what_is_no_such_answer_is_never_an_empty_list(read: Reader, body: str) -> None:
    with pytest.raises(wire.UnreadableBody):
        read(wire.read_xml(body.encode()))


@pytest.mark.parametrize(
    ("read", "body", "without"),
    [
        (wire.read_applications, "<Application><AppName>a</AppName></Application>", "ApplicationId"),
        (wire.read_applications, "<Application><ApplicationId>1</ApplicationId></Application>", "AppName"),
        (wire.read_realms, "<Realm><Realm>acme.auth.bandwidth.com</Realm></Realm>", "Id"),
        (wire.read_realms, "<Realm><Id>1</Id></Realm>", "Realm"),
        (wire.read_realms, "<Realm><Id> </Id><Realm>f</Realm></Realm>", "Id"),
        (wire.read_sip_credentials, "<SipCredential><UserName>u</UserName></SipCredential>", "Id"),
        (wire.read_sip_credentials, "<SipCredential><Id>1</Id></SipCredential>", "UserName"),
    ],
)
def test_an_object_without_its_id_or_name_is_unreadable_and_not_left_out(read: Reader, body: str, without: str) -> None:
    roots = {
        wire.read_applications: ("ApplicationProvisioningResponse", "ApplicationList"),
        wire.read_realms: ("RealmsResponse", "Realms"),
        wire.read_sip_credentials: ("SipCredentialsResponse", "SipCredentials"),
    }
    root, listed = roots[read]
    for whole in (f"<{root}>{body}</{root}>", f"<{root}><{listed}>{body}</{listed}></{root}>"):
        with pytest.raises(wire.UnreadableBody, match=f"without <{without}>"):
            read(wire.read_xml(whole.encode()))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<RealmResponse><Realm>",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    ],
)
def test_anything_but_plain_xml_is_unreadable(body: bytes) -> None:
    with pytest.raises(wire.UnreadableBody):
        wire.read_xml(body)


def test_deep_nesting_is_read_without_harm() -> None:
    root = wire.read_xml(b"<RealmsResponse><Realms/>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</RealmsResponse>")
    assert wire.read_realms(root) == []
    assert wire.xml_errors(root, 500) == []


@given(st.binary(max_size=200))
def test_no_body_breaks_the_readers(body: bytes) -> None:
    with contextlib.suppress(wire.UnreadableBody):
        root = wire.read_xml(b"<SipCredentialsResponse>" + body + b"</SipCredentialsResponse>")
        wire.xml_errors(root, 400)
        wire.read_sip_credentials(root)
    with contextlib.suppress(wire.UnreadableBody):
        wire.read_call(wire.read_json(body))


def test_an_application_body_has_the_documented_order_and_escapes() -> None:
    application = Application(
        name="a <b> & c",
        call_initiated_url="https://x.example/i?a=1&b=2",
        call_status_url="https://x.example/d",
        callback_user="u",
        callback_password=SecretStr("p&q"),
        callback_timeout_s=10,
    )
    root = wire.read_xml(wire.application_body(application))
    assert [child.tag for child in root] == [
        "ServiceType",
        "AppName",
        "CallInitiatedCallbackUrl",
        "CallInitiatedMethod",
        "CallStatusCallbackUrl",
        "CallStatusMethod",
        "CallbackTimeout",
        "CallbackCreds",
    ]
    assert root.findtext("AppName") == "a <b> & c"
    assert root.findtext("CallbackCreds/Password") == "p&q"


def test_no_status_method_is_sent_without_its_url() -> None:
    root = wire.read_xml(wire.application_body(Application("a", "https://x.example")))
    assert root.find("CallStatusMethod") is None
    assert root.find("CallbackCreds") is None


def test_a_realm_body_always_says_whether_it_is_the_default() -> None:
    root = wire.read_xml(wire.realm_body("acme", "", False))
    assert [(child.tag, child.text) for child in root][2] == ("Default", "false")


def test_a_credential_update_names_the_realm_and_not_the_user() -> None:
    body = wire.sip_credential_update_body("1103", SecretStr("a"), SecretStr("b"), None)
    assert [child.tag for child in wire.read_xml(body)] == ["RealmId", "Hash1", "Hash1b"]


def test_a_control_character_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(SettingsError, match="control character"):
        wire.realm_body("acme", "bell \a", False)


def test_a_call_body_leaves_out_what_was_not_given() -> None:
    call = CallRequest(to="sip:101@pbx.example", from_number="+19195550101", application_id="a", answer_url="https://x")
    assert wire.read_json(wire.call_body(call)) == {
        "from": "+19195550101",
        "to": "sip:101@pbx.example",
        "applicationId": "a",
        "answerUrl": "https://x",
        "answerMethod": "POST",
        "callTimeout": 6,
    }


@pytest.mark.parametrize("wrap", [lambda call: call, lambda call: [call]], ids=["object", "list of one"])
def test_a_call_is_read_in_both_observed_shapes(wrap) -> None:
    call = wire.read_call(wrap({"callId": "c-1", "state": "disconnected", "disconnectCause": "busy"}))
    assert (call.id, call.state, call.disconnect_cause) == ("c-1", "disconnected", "busy")


@pytest.mark.parametrize(
    "text",
    [
        "<Hash1>{}</Hash1>",
        "<x:Hash1b a='1'>{}</x:Hash1b>",
        "<Password><![CDATA[<b>{}</b>]]></Password>",
        "<Hash1>{}",
        '{{"password": "{}"}}',
        '{{"access_token":"a\\"{}", "expires_in": 1}}',
        '{{"access_token":"{}',
        "Hash1 {} exists",
        "in capitals: {}.",
    ],
)
def test_secrets_are_masked_wherever_they_stand(text: str) -> None:
    for secret in (HASH1, HASH1.upper()):
        masked = wire.mask_secrets(text.format(secret))
        assert secret not in masked
        assert "«redacted»" in masked


def test_masking_leaves_the_rest_alone() -> None:
    body = "<Realm><Id>1103</Id><Hash1>x</Hash1><Status>ACTIVE</Status></Realm>"
    assert wire.mask_secrets(body) == "<Realm><Id>1103</Id><Hash1>«redacted»</Hash1><Status>ACTIVE</Status></Realm>"
    assert wire.mask_secrets("93de2206-9669-4e07-948d-329f4b722ee2") == "93de2206-9669-4e07-948d-329f4b722ee2"


@pytest.mark.parametrize(
    "next_text",
    [
        "https://h/a?page=3&amp;size=500",
        '&lt;https://h/a?page=3&amp;size=500&gt;; rel="next"',
        "/a?page=3&amp;size=500",
    ],
)
def test_the_next_page_is_found_in_every_spelling(next_text: str) -> None:
    root = wire.read_xml(f"<R><Links><first>x</first><next>{next_text}</next></Links></R>".encode())
    assert wire.next_page(root, "https://h/a?page=1") == "https://h/a?page=3&size=500"
