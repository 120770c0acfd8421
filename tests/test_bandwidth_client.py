"""bwlib.bandwidth.client over odd answers, and against Bandwidth's published shapes (tests/contract)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bwlib.bandwidth.auth import BasicAuth
from bwlib.bandwidth.client import Client
from bwlib.bandwidth.wire import read_xml
from bwlib.errors import BandwidthError, NotAuthenticated, NotEntitled, Refused, SettingsError, Unavailable
from bwlib.models import Application, CallRequest, Exchange, Realm, SipCredential

CONTRACT = Path(__file__).parent / "contract"
API, VOICE = "https://api.example/api/v2", "https://voice.example/api/v2"
REALM = Realm("1103", "bwclitest-3efeaa.auth.bandwidth.com", "", False, "ACTIVE")
PASSWORD = SecretStr("Tb7xQ2mK9rL4vN8s")
HASH1 = "1be6abcaa8e9956021d30f33a3925b99"
APPLICATION_ID = "93de2206-9669-4e07-948d-329f4b722ee2"
CALL = CallRequest("sip:101@pbx.example", "+19195550101", APPLICATION_ID, "https://app.example/answer")


def sample(name: str, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=(CONTRACT / name).read_bytes(), headers={"Content-Type": "application/xml"})


class Far:
    """The far end: answers every request by `answer` and keeps the requests; `client` talks to it."""

    def __init__(
        self, answer: httpx.Response | Callable[[httpx.Request], httpx.Response], auth: httpx.Auth | None = None
    ) -> None:
        self.requests: list[httpx.Request] = []
        self.exchanges: list[Exchange] = []
        self._answer = answer
        self.client = Client(
            "5500123",
            auth=auth or httpx.Auth(),
            api_url=API,
            voice_url=VOICE,
            on_exchange=self.exchanges.append,
            transport=httpx.MockTransport(self._handle),
            sleep=lambda _: None,
        )

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request) if callable(self._answer) else self._answer

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.requests]


# ---------------------------------------------------------------- what is asked


def test_every_method_asks_its_documented_endpoint() -> None:
    far = Far(httpx.Response(204))
    credential = SipCredential("7", "u", "1103", REALM.fqdn, None, SecretStr("a"), SecretStr("b"))
    client, account = far.client, "/accounts/5500123"
    calls: list[tuple[Callable[[], object], str]] = [
        (client.list_applications, f"GET {API}{account}/applications"),
        (lambda: client.get_application("a"), f"GET {API}{account}/applications/a"),
        (lambda: client.create_application(Application("n", "https://x")), f"POST {API}{account}/applications"),
        (lambda: client.update_application(Application("n", "u", id="a")), f"PUT {API}{account}/applications/a"),
        (lambda: client.delete_application("a"), f"DELETE {API}{account}/applications/a"),
        (client.list_realms, f"GET {API}{account}/realms"),
        (lambda: client.get_realm("acme.x"), f"GET {API}{account}/realms/acme.x"),
        (lambda: client.create_realm("acme", ""), f"POST {API}{account}/realms"),
        (lambda: client.update_realm(REALM, "acme", "", True), f"PUT {API}{account}/realms/1103"),
        (lambda: client.delete_realm(REALM), f"DELETE {API}{account}/realms/1103"),
        (lambda: client.list_sip_credentials(REALM), f"GET {API}{account}/realms/1103/sipcredentials"),
        (lambda: client.get_sip_credential(REALM, "7"), f"GET {API}{account}/realms/1103/sipcredentials/7"),
        (
            lambda: client.create_sip_credential(REALM, "u", PASSWORD, None),
            f"POST {API}{account}/realms/1103/sipcredentials",
        ),
        (
            lambda: client.update_sip_credential(REALM, credential, None, None),
            f"PUT {API}{account}/realms/1103/sipcredentials/7",
        ),
        (lambda: client.delete_sip_credential(REALM, "7"), f"DELETE {API}{account}/realms/1103/sipcredentials/7"),
        (lambda: client.create_call(CALL), f"POST {VOICE}{account}/calls"),
        (lambda: client.get_call("c-1"), f"GET {VOICE}{account}/calls/c-1"),
        (lambda: client.update_call("c-1"), f"POST {VOICE}{account}/calls/c-1"),
    ]
    for call, wanted in calls:
        with contextlib.suppress(Unavailable):  # the empty answer is of no use to most of them
            call()
        assert far.asked[-1] == wanted


def test_ids_cannot_leave_their_place_in_the_path() -> None:
    far = Far(sample("application.xml"))
    far.client.get_application("../realms/1?x=1#y")
    assert far.asked == [f"GET {API}/accounts/5500123/applications/..%2Frealms%2F1%3Fx%3D1%23y"]
    for empty in ("", ".", ".."):
        with pytest.raises(SettingsError):
            far.client.delete_application(empty)
    assert len(far.requests) == 1


def test_a_password_never_goes_to_bandwidth() -> None:
    far = Far(sample("sip_credential_created.xml", 201))
    made = far.client.create_sip_credential(REALM, "clitest", PASSWORD, APPLICATION_ID)
    body = far.requests[0].content
    assert PASSWORD.get_secret_value().encode() not in body
    sent = read_xml(body).find("SipCredential")
    assert sent is not None
    assert [child.tag for child in sent] == ["UserName", "Hash1", "Hash1b", "HttpVoiceV2AppId"]
    assert sent.findtext("Hash1") == HASH1
    assert made.id == "870874"


def test_an_update_without_password_keeps_the_hashes() -> None:
    far = Far(sample("sip_credential_created.xml"))
    credential = SipCredential("870874", "clitest", "1103", REALM.fqdn, None, SecretStr("h1"), SecretStr("h1b"))
    far.client.update_sip_credential(REALM, credential, None, APPLICATION_ID)
    sent = read_xml(far.requests[0].content)
    assert [(child.tag, child.text) for child in sent] == [
        ("RealmId", "1103"),
        ("Hash1", "h1"),
        ("Hash1b", "h1b"),
        ("HttpVoiceV2AppId", APPLICATION_ID),
    ]


def test_a_new_password_changes_the_hashes() -> None:
    far = Far(sample("sip_credential_created.xml"))
    credential = SipCredential("870874", "clitest", "1103", REALM.fqdn, None, SecretStr("h1"), SecretStr("h1b"))
    far.client.update_sip_credential(REALM, credential, PASSWORD, None)
    assert read_xml(far.requests[0].content).findtext("Hash1") == HASH1


# ---------------------------------------------------------------- what comes back


def test_realms_are_created_pending() -> None:
    realm = Far(sample("realm_created.xml", 201)).client.create_realm("acme", "PBX")
    assert (realm.fqdn, realm.status) == ("acme-3efeaa.auth.bandwidth.com", "CREATE_PENDING")


def test_an_application_whose_id_is_only_in_the_location_is_read_back() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, headers={"Location": f"{API}/accounts/5500123/applications/{APPLICATION_ID}"})
        return sample("application.xml")

    far = Far(answer)
    assert far.client.create_application(Application("a", "https://x")).id == APPLICATION_ID
    assert far.asked[-1].endswith(f"/applications/{APPLICATION_ID}")


def test_a_201_with_errors_is_refused_with_its_code() -> None:
    far = Far(sample("sip_credential_refused_in_201.xml", 201))
    with pytest.raises(Refused) as caught:
        far.client.create_sip_credential(REALM, "clitest", PASSWORD, None)
    assert (caught.value.code, caught.value.status) == ("23026", 201)
    assert "rotate" in caught.value.do_next


def test_echoed_hashes_are_in_no_error_and_no_exchange() -> None:
    far = Far(sample("sip_credential_refused_in_201.xml", 201))
    with pytest.raises(Refused) as caught:
        far.client.create_sip_credential(REALM, "clitest", PASSWORD, None)
    shown = str(caught.value) + repr(caught.value) + repr(far.exchanges)
    assert HASH1 not in shown
    assert "e028e6577a0bb1b90a33d30a110dbdfe" not in shown
    assert "«redacted»" in shown


def test_a_200_with_an_error_envelope_is_an_error() -> None:
    with pytest.raises(NotEntitled):
        Far(sample("realm_not_enabled.xml", 200)).client.create_realm("acme", "")


def test_an_account_without_the_feature_is_told_apart() -> None:
    with pytest.raises(NotEntitled) as caught:
        Far(sample("realm_not_enabled.xml", 400)).client.create_realm("acme", "")
    assert (caught.value.code, caught.value.exit_code) == ("33004", 4)
    assert "account manager" in caught.value.do_next


def test_an_absent_realm_is_refused_with_404() -> None:
    with pytest.raises(Refused) as caught:
        Far(sample("realm_not_found.xml", 404)).client.get_realm("nope")
    assert (caught.value.status, caught.value.code, caught.value.exit_code) == (404, None, 3)
    assert "Realm does not exist" in caught.value.came_back


def test_another_credential_than_asked_for_is_no_success() -> None:
    with pytest.raises(Unavailable, match="another credential"):
        Far(sample("sip_credential_created.xml", 201)).client.create_sip_credential(REALM, "agent", PASSWORD, None)


def test_an_echo_in_another_case_is_returned_for_the_caller_to_compare() -> None:
    made = Far(sample("sip_credential_created.xml", 201)).client.create_sip_credential(REALM, "CliTest", PASSWORD, None)
    assert made.username == "clitest"


@pytest.mark.parametrize(
    ("status", "error", "exit_code"),
    [
        (400, Refused, 1),
        (401, NotAuthenticated, 2),
        (402, NotEntitled, 4),
        (403, NotEntitled, 4),
        (404, Refused, 3),
        (409, Refused, 4),
        (422, Refused, 1),
        (429, Unavailable, 7),
        (500, Unavailable, 1),
        (503, Unavailable, 1),
        (302, Unavailable, 1),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html><body>nginx", b'{"type":"error"}'])
def test_every_status_has_its_error_whatever_the_body(
    status: int, error: type[BandwidthError], exit_code: int, body: bytes
) -> None:
    far = Far(httpx.Response(status, content=body))
    for call in (far.client.list_realms, lambda: far.client.get_call("c-1")):
        with pytest.raises(error) as caught:
            call()
        assert (caught.value.status, caught.value.exit_code) == (status, exit_code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html><body>Sign in",
        b"<RealmsResponse><Realms><Realm><Id>1103</Id><Rea",
        b"<RealmResponse><Realm><Id>1103</Id></Realm></RealmResponse>",
        b"<RealmResponse/>",
        b"\x00\xff" * 50,
        b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><RealmResponse>&b;</RealmResponse>',
    ],
    ids=["empty", "blank", "login page", "cut off", "no fqdn", "no realm", "binary", "bomb"],
)
def test_a_success_that_cannot_be_read_is_no_success(body: bytes) -> None:
    far = Far(httpx.Response(201, content=body))
    with pytest.raises(Unavailable) as caught:
        far.client.create_realm("acme", "")
    assert caught.value.may_have_arrived
    assert len(far.requests) == 1


LOGIN_PAGE = b"<html><body><form action='/login'><input name='user'/></form></body></html>"


@pytest.mark.parametrize("body", [LOGIN_PAGE, b"<a><b/></a>"], ids=["login page", "other XML"])
def test_a_login_page_is_never_an_empty_list(body: bytes) -> None:
    far = Far(httpx.Response(200, content=body))
    for look in (
        far.client.list_applications,
        far.client.list_realms,
        lambda: far.client.list_sip_credentials(REALM),
        lambda: far.client.get_application("a"),
    ):
        with pytest.raises(Unavailable) as caught:
            look()
        assert "login page" in caught.value.do_next
        assert "form" not in str(caught.value)


def test_a_list_whose_objects_have_no_id_is_an_error() -> None:
    body = (
        "<RealmsResponse><Realms><Realm><Realm>acme-3efeaa.auth.bandwidth.com</Realm></Realm></Realms></RealmsResponse>"
    )
    with pytest.raises(Unavailable, match="without <Id>"):
        Far(httpx.Response(200, text=body)).client.list_realms()


def test_a_login_page_in_answer_to_a_create_is_looked_behind_when_it_names_the_place() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        place = {"Location": f"{API}/accounts/5500123/applications/{APPLICATION_ID}"}
        return sample("application.xml") if request.method == "GET" else httpx.Response(201, text="<x/>", headers=place)

    assert Far(answer).client.create_application(Application("a", "https://x")).id == APPLICATION_ID


def test_a_call_is_not_changed_by_a_login_page() -> None:
    with pytest.raises(Unavailable):
        Far(httpx.Response(200, content=LOGIN_PAGE)).client.update_call("c-1")
    Far(httpx.Response(200)).client.update_call("c-1")
    Far(httpx.Response(200, json={})).client.update_call("c-1")


NO_CALLS = [b"", b"[]", b"{}", b"[1]", b"null", b"{", b'{"callId":null}', b'{"callId":{"a":1}}', b"[" * 100_000]


@pytest.mark.parametrize("body", [*NO_CALLS, LOGIN_PAGE])
def test_a_call_that_cannot_be_read_is_no_call(body: bytes) -> None:
    with pytest.raises(Unavailable):
        Far(httpx.Response(201, content=body)).client.create_call(CALL)


def test_a_dropped_call_is_never_placed_twice() -> None:
    def drop(_: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")

    far = Far(drop)
    with pytest.raises(Unavailable) as caught:
        far.client.create_call(CALL)
    assert len(far.requests) == 1
    assert caught.value.may_have_arrived


def test_a_voice_error_keeps_its_type_and_text() -> None:
    answer = {"type": "validation", "description": "'from' must be an E.164 number", "id": None}
    with pytest.raises(Refused, match=r"E\.164") as caught:
        Far(httpx.Response(400, json=answer)).client.create_call(CALL)
    assert caught.value.code == "validation"


def test_a_basic_user_answered_401_is_led_to_api_credentials() -> None:
    far = Far(httpx.Response(401), auth=BasicAuth("user", SecretStr("password")))
    with pytest.raises(NotAuthenticated) as caught:
        far.client.list_realms()
    assert "BW_CLIENT_ID" in caught.value.do_next


# ---------------------------------------------------------------- the list of credentials


def credential_xml(number: int) -> str:
    return (
        f"<SipCredential><Id>{number}</Id><RealmId>1103</RealmId><UserName>u{number}</UserName>"
        f"<Realm>{REALM.fqdn}</Realm><Hash1>a</Hash1><Hash1b>b</Hash1b></SipCredential>"
    )


def page(numbers: range, links: str = "") -> httpx.Response:
    body = "".join(credential_xml(number) for number in numbers)
    return httpx.Response(200, text=f"<SipCredentialsResponse>{links}{body}</SipCredentialsResponse>")


def test_the_303_to_the_first_page_is_followed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.query:
            return httpx.Response(303, headers={"Location": f"{request.url.path}?page=1&size=500"})
        return page(range(3))

    far = Far(answer)
    assert [c.username for c in far.client.list_sip_credentials(REALM)] == ["u0", "u1", "u2"]
    assert far.asked[-1].endswith("/sipcredentials?page=1&size=500")


@pytest.mark.parametrize("where", ["https://evil.example/x?page=1", "http://api.example/x", "//evil.example/"])
def test_a_303_to_another_host_is_not_followed(where: str) -> None:
    far = Far(httpx.Response(303, headers={"Location": where}))
    with pytest.raises(Unavailable, match="another host"):
        far.client.list_sip_credentials(REALM)
    assert len(far.requests) == 1


def test_a_303_that_leads_to_another_303_ends() -> None:
    far = Far(httpx.Response(303, headers={"Location": "?page=1"}))
    with pytest.raises(Unavailable):
        far.client.list_sip_credentials(REALM)
    assert len(far.requests) == 2


def test_the_next_link_is_followed_to_the_end() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "1"))
        following = f"<Links><next>{request.url.path}?page={number + 1}</next></Links>" if number < 3 else ""
        return page(range(number * 10, number * 10 + 2), following)

    found = Far(answer).client.list_sip_credentials(REALM)
    assert [credential.id for credential in found] == ["10", "11", "20", "21", "30", "31"]


def test_a_full_page_without_link_is_continued_from_its_last_id() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        first = int(request.url.params.get("page", "0"))
        return page(range(first, min(first + 500, 700)))

    found = Far(answer).client.list_sip_credentials(REALM)
    assert len(found) == 700


def test_a_server_that_repeats_its_page_does_not_hold_us_forever(caplog: pytest.LogCaptureFixture) -> None:
    far = Far(page(range(500)))
    assert len(far.client.list_sip_credentials(REALM)) == 500
    assert "may not be complete" in caplog.text


def test_a_link_in_a_circle_does_not_hold_us_forever() -> None:
    far = Far(page(range(2), "<Links><next>?page=1</next></Links>"))
    with pytest.raises(Unavailable, match="pages"):
        far.client.list_sip_credentials(REALM)


@pytest.mark.parametrize(
    "answer", [sample("sip_credentials_none.xml", 404), httpx.Response(200, text="<SipCredentialsResponse/>")]
)
def test_an_empty_list_is_empty_in_both_spellings(answer: httpx.Response) -> None:
    assert Far(answer).client.list_sip_credentials(REALM) == []


def test_a_list_of_an_absent_realm_is_not_empty_but_refused() -> None:
    with pytest.raises(Refused):
        Far(sample("realm_not_found.xml", 404)).client.list_sip_credentials(REALM)


def test_an_empty_body_is_not_an_empty_list() -> None:
    with pytest.raises(Unavailable):
        Far(httpx.Response(200)).client.list_sip_credentials(REALM)


# ---------------------------------------------------------------- how it is opened


def test_credentials_are_not_sent_over_plain_http() -> None:
    with pytest.raises(SettingsError, match="API URL"):
        Client("1", auth=httpx.Auth(), api_url="http://api.example", voice_url=VOICE)


def test_the_client_shows_no_secret() -> None:
    far = Far(httpx.Response(200), auth=BasicAuth("user", SecretStr("password-1")))
    assert "password-1" not in repr(far.client)
