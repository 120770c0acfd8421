"""Every error code of the account API that the sandbox knows, reached by doing the thing that causes it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from sandbox_world import World, application_xml, credential_xml, error_code, found, realm_xml

from bwlib.sandbox.account_api import COMMON, ENDPOINTS
from bwlib.sandbox.error_codes import MEANINGS, NOT_MET

URL = "http://127.0.0.1:9/callback"
NOBODY = "00000000-0000-4000-8000-000000000000"
Do = Callable[[World], httpx.Response]


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


def turned(name: str, value: str, do: Do) -> Do:
    """`do` with a switch turned."""

    def doing(world: World) -> httpx.Response:
        world.sandbox.set_switch(name, value)
        return do(world)

    return doing


def asks(method: str, path: str, xml: str | None = None) -> Do:
    return lambda world: world.account(method, path, xml)


# -------------------------------------------------------------------- applications

APP = "/applications/{application_id}"
CREDS = "<UserId>me</UserId><Password>hush</Password>"
# What an application is answered with these elements in place of right ones.
BAD_FIELDS: list[tuple[int, dict[str, str]]] = [
    (12800, {"CallbackCreds": "<Password>hush</Password>"}),
    (12803, {"CallInitiatedCallbackUrl": "nowhere"}),
    (12812, {"CallbackCreds": CREDS}),
    (12961, {"CallInitiatedMethod": "PUT"}),
    (12962, {"InboundCallbackUrl": URL}),
    (12963, {"CallStatusMethod": "POST"}),
    (12977, {"CallbackCreds": "<UserId>me</UserId>"}),
    (13047, {"CallbackTimeout": "26"}),
    (13048, {"CallInitiatedFallbackMethod": "POST"}),
    (13049, {"CallbackTimeout": "1.5"}),
]
ONLY_WHOLE = [(12802, {"CallInitiatedCallbackUrl": ""}), (12806, {"AppName": ""})]


def create_application(fields: dict[str, str]) -> Do:
    return asks("POST", "/applications", application_xml(**{"url": URL} | fields))


def change_application(method: str, fields: dict[str, str], before: str = URL, **more: str) -> Do:
    """A change of an application that was right; before: its URL."""

    def doing(world: World) -> httpx.Response:
        application_id = world.application(before, **more)
        changed = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
        xml = application_xml(**{"url": URL} | fields) if method == "PUT" else f"<Application>{changed}</Application>"
        return world.account(method, f"/applications/{application_id}", xml)

    return doing


def same_name(method: str) -> Do:
    def doing(world: World) -> httpx.Response:
        world.application(URL, AppName="taken")
        return change_application(method, {"AppName": "taken"})(world)

    return turned("application_names", "unique", doing)


def other_callback_user(method: str) -> Do:
    fields = {"CallbackCreds": "<UserId>another</UserId>", "CallInitiatedCallbackUrl": "https://127.0.0.1:9/"}
    return change_application(method, fields, "https://127.0.0.1:9/", CallbackCreds=CREDS)


def delete_bound_application(world: World) -> httpx.Response:
    application_id = world.application(URL)
    world.credential(world.realm("abc"), "pbx", application_id)
    return world.account("DELETE", f"/applications/{application_id}")


APPLICATION_CAUSES: list[tuple[str, str, int, Do]] = [
    ("POST", "/applications", 1003, create_application({"ServiceType": ""})),
    ("POST", "/applications", 12801, create_application({"ServiceType": "Messaging-V2"})),
    ("POST", "/applications", 12150, turned("http_voice", "no", create_application({}))),
    ("DELETE", APP, 12107, turned("bound_application_delete", "refuse", delete_bound_application)),
    ("GET", f"{APP}/associatedsippeers", 13629, asks("GET", f"/applications/{NOBODY}/associatedsippeers")),
    *(("POST", "/applications", code, create_application(fields)) for code, fields in BAD_FIELDS + ONLY_WHOLE),
    *(("PUT", APP, code, change_application("PUT", fields)) for code, fields in BAD_FIELDS + ONLY_WHOLE),
    *(("PATCH", APP, code, change_application("PATCH", fields)) for code, fields in BAD_FIELDS),
    *(
        (method, APP, 13629, asks(method, f"/applications/{NOBODY}", application_xml(URL)))
        for method in ("GET", "PUT", "PATCH", "DELETE")
    ),
    *((method, APP, 1015, same_name(method)) for method in ("PUT", "PATCH")),
    *((method, APP, 12976, other_callback_user(method)) for method in ("PUT", "PATCH")),
    *((method, APP, 12964, change_application(method, {"ServiceType": "Messaging-V2"})) for method in ("PUT", "PATCH")),
    *(
        (method, APP, 12974, turned("malformed_url_code", "12974", change_application(method, BAD_FIELDS[1][1])))
        for method in ("PUT", "PATCH")
    ),
    ("POST", "/applications", 12974, turned("malformed_url_code", "12974", create_application(BAD_FIELDS[1][1]))),
    (
        *("POST", "/applications", 1015),
        lambda world: (
            world.sandbox.set_switch("application_names", "unique"),
            world.application(URL),
            world.account("POST", "/applications", application_xml(URL)),
        )[-1],
    ),
]

# -------------------------------------------------------------------- realms

REALM = "/realms/{realm}"


def on_realm(method: str, xml: str | None = None, default: bool = False) -> Do:
    return lambda world: world.account(method, f"/realms/{world.realm('abc', default)[0]}", xml)


def same_realm(world: World) -> httpx.Response:
    world.realm("abc")
    return world.account("POST", "/realms", realm_xml("ABC"))


def delete_full_realm(world: World) -> httpx.Response:
    realm = world.realm("abc")
    world.credential(realm, "pbx")
    return world.account("DELETE", f"/realms/{realm[0]}")


LONG = realm_xml("abc", description="d" * 256)
REALM_CAUSES: list[tuple[str, str, int, Do]] = [
    ("GET", "/realms", 33011, asks("GET", "/realms?realmfragment=ab")),
    ("GET", "/realms", 13112, turned("realm_fragment_code", "13112", asks("GET", "/realms?realmfragment=ab"))),
    ("POST", "/realms", 1003, asks("POST", "/realms", "<Realm><Realm>abc</Realm></Realm>")),
    ("POST", "/realms", 1008, asks("POST", "/realms", realm_xml("abc").replace("false", "maybe"))),
    ("POST", "/realms", 1011, asks("POST", "/realms", LONG)),
    ("POST", "/realms", 12673, asks("POST", "/realms", realm_xml("a b"))),
    ("POST", "/realms", 33002, same_realm),
    ("POST", "/realms", 33003, asks("POST", "/realms", realm_xml("a" * 31))),
    ("POST", "/realms", 33004, turned("sip_entitled", "no", asks("POST", "/realms", realm_xml("abc")))),
    ("PUT", REALM, 1005, on_realm("PUT", realm_xml("abc"), default=True)),
    ("PUT", REALM, 1008, on_realm("PUT", realm_xml("abc").replace("false", "maybe"))),
    ("PUT", REALM, 1011, on_realm("PUT", LONG)),
    ("PUT", REALM, 33005, on_realm("PUT", realm_xml("other"))),
    ("DELETE", REALM, 12666, delete_full_realm),
    ("DELETE", REALM, 33001, asks("DELETE", "/realms/nowhere")),
    ("DELETE", REALM, 33006, on_realm("DELETE", default=True)),
]

# -------------------------------------------------------------------- SIP credentials

LIST, ONE = f"{REALM}/sipcredentials", f"{REALM}/sipcredentials/{{credential_id}}"
ALL, NAMED = "/sipcredentials", "/sipcredentials/{composite}"
GOOD = "<UserName>pbx</UserName><Hash1>00</Hash1>"
BAD_ENTRIES: list[tuple[int, str]] = [
    (1003, "<Hash1>00</Hash1>"),
    (23001, "<UserName>pbx</UserName>"),
    (23002, "<UserName>pbx</UserName><Hash1>" + "0" * 65 + "</Hash1>"),
    (23014, "<UserName>p@x</UserName><Domain>d</Domain><Hash1>00</Hash1>"),
    (23015, "<UserName>pbx</UserName><Domain>d/d</Domain><Hash1>00</Hash1>"),
    (23016, "<UserName>p:x</UserName><Hash1>00</Hash1>"),
    (23019, f"{GOOD}<HttpVoiceV2AppId>{NOBODY}</HttpVoiceV2AppId>"),
    (23020, f"{GOOD}<HttpVoiceV2AppId>not-a-uuid</HttpVoiceV2AppId>"),
]
BAD_CHANGES: list[tuple[int, str]] = [
    (23001, "<Hash1b>00</Hash1b>"),
    (23002, "<Hash1>" + "0" * 65 + "</Hash1>"),
    (23019, f"<Hash1>00</Hash1><HttpVoiceV2AppId>{NOBODY}</HttpVoiceV2AppId>"),
    (23020, "<Hash1>00</Hash1><HttpVoiceV2AppId>not-a-uuid</HttpVoiceV2AppId>"),
]


def add(entries: str, *, below: str = "realm", default: bool = True) -> Do:
    """POST entries to a new realm's list, or to the account's, where that realm is the default one."""

    def doing(world: World) -> httpx.Response:
        realm_id = world.realm("abc", default)[0]
        path = f"/realms/{realm_id}/sipcredentials" if below == "realm" else "/sipcredentials"
        return world.account("POST", path, f"<SipCredentials>{entries}</SipCredentials>")

    return doing


def entry(fields: str) -> str:
    return f"<SipCredential>{fields}</SipCredential>"


def twice(below: str) -> Do:
    return add(entry(GOOD) + entry(GOOD.replace("pbx", "PBX")), below=below)


def change(fields: str, *, below: str = "realm", known: bool = True, with_id: bool = True) -> Do:
    def doing(world: World) -> httpx.Response:
        realm = world.realm("abc")
        credential_id = world.credential(realm, "pbx")
        path = f"/realms/{realm[0]}/sipcredentials/{credential_id if known else 0}"
        if below == "account":
            path = f"/sipcredentials/{'pbx' if known else 'nobody'}"
        body = f"<RealmId>{realm[0]}</RealmId>{fields}" if with_id and below == "realm" else fields
        return world.account("PUT", path, entry(body))

    return doing


def foreign_realm(do: Callable[[str], Do]) -> Do:
    """`do` with the FQDN of a realm of another account."""

    def doing(world: World) -> httpx.Response:
        return do(world.other_account("neighbour").realm("theirs")[1])(world)

    return doing


def pending(path: str) -> Do:
    def doing(world: World) -> httpx.Response:
        world.sandbox.set_switch("realm_create_s", "3600")
        realm_id = found(world.account("POST", "/realms", realm_xml("slow", default=True)), "Realm/Id")
        return world.account("POST", path.format(realm=realm_id), f"<SipCredentials>{entry(GOOD)}</SipCredentials>")

    return doing


def empty_list(path: str) -> Do:
    return turned("empty_credential_list", "404", lambda world: world.account("GET", path.format(realm=_id(world))))


def _id(world: World) -> str:
    return world.realm("abc")[0]


def both(code: int, do: Callable[[str], Do]) -> list[tuple[str, str, int, Do]]:
    return [("POST", LIST, code, do("realm")), ("POST", ALL, code, do("account"))]


CREDENTIAL_CAUSES: list[tuple[str, str, int, Do]] = [
    *(row for code, bad in BAD_ENTRIES for row in both(code, lambda below, bad=bad: add(entry(bad), below=below))),
    *both(23006, lambda below: add("", below=below)),
    *both(23003, lambda below: turned("credentials_per_request", "1", add(entry(GOOD) * 2, below=below))),
    ("POST", LIST, 23013, lambda world: turned("sip_entitled", "no", _post(world, _id(world)))(world)),
    ("POST", ALL, 23013, lambda world: turned("sip_entitled", "no", asks("POST", ALL, "<SipCredentials/>"))(world)),
    ("POST", LIST, 23022, pending("/realms/{realm}/sipcredentials")),
    ("POST", ALL, 23022, pending("/sipcredentials")),
    ("POST", LIST, 23026, twice("realm")),
    ("POST", ALL, 23009, twice("account")),
    ("POST", LIST, 23018, add(entry(f"{GOOD}<Realm>other.test</Realm>"))),
    ("POST", ALL, 23017, add(entry(f"{GOOD}<Realm>other.test</Realm>"), below="account")),
    ("POST", ALL, 23018, foreign_realm(lambda fqdn: add(entry(f"{GOOD}<Realm>{fqdn}</Realm>"), below="account"))),
    ("POST", ALL, 23021, add(entry(GOOD), below="account", default=False)),
    ("GET", LIST, 23008, empty_list("/realms/{realm}/sipcredentials")),
    ("GET", ALL, 23008, empty_list("/sipcredentials")),
    ("GET", LIST, 23012, lambda world: world.account("GET", f"/realms/{_id(world)}/sipcredentials?page=x&size=1")),
    ("GET", ALL, 23012, asks("GET", "/sipcredentials?page=1&size=0")),
    *((m, ONE, 23025, lambda world, m=m: world.account(m, f"/realms/{_id(world)}/sipcredentials/0"))
      for m in ("GET", "DELETE")),
    *((m, NAMED, 23007, asks(m, "/sipcredentials/nobody")) for m in ("GET", "DELETE")),
    ("PUT", ONE, 23025, change("<Hash1>00</Hash1>", known=False)),
    ("PUT", NAMED, 23007, change("<Hash1>00</Hash1>", below="account", known=False)),
    *(("PUT", ONE, code, change(bad)) for code, bad in BAD_CHANGES),
    *(("PUT", NAMED, code, change(bad, below="account")) for code, bad in BAD_CHANGES),
    ("PUT", ONE, 23030, change("<UserName>pbx</UserName><Hash1>00</Hash1>")),
    ("PUT", ONE, 23004, turned("username_on_put_code", "23004", change("<UserName>pbx</UserName><Hash1>0</Hash1>"))),
    ("PUT", ONE, 23031, change("<Hash1>00</Hash1>", with_id=False)),
    ("PUT", ONE, 23018, change("<RealmId>0</RealmId><Hash1>00</Hash1>", with_id=False)),
    ("PUT", NAMED, 23004, change("<UserName>other</UserName><Hash1>00</Hash1>", below="account")),
    ("PUT", NAMED, 23017, change("<Hash1>00</Hash1><Realm>other.test</Realm>", below="account")),
    ("PUT", NAMED, 23018,
     foreign_realm(lambda fqdn: change(f"<Hash1>00</Hash1><Realm>{fqdn}</Realm>", below="account"))),
]  # fmt: skip


def _post(world: World, realm_id: str) -> Do:
    xml = f"<SipCredentials>{credential_xml('x', 'pbx')}</SipCredentials>"
    return asks("POST", f"/realms/{realm_id}/sipcredentials", xml)


CAUSES = [*APPLICATION_CAUSES, *REALM_CAUSES, *CREDENTIAL_CAUSES]


@pytest.mark.parametrize(
    ("code", "do"), [cause[2:] for cause in CAUSES], ids=[f"{m} {p} {code}" for m, p, code, _ in CAUSES]
)
def test_each_code_is_reached_by_doing_what_causes_it(world, code, do):
    answer = do(world)
    assert error_code(answer) == str(code), answer.text
    assert answer.status_code in ((404,) if code in NOT_FOUND else (409,) if code == 12150 else (400, 201))


NOT_FOUND = (13629, 33001, 23007, 23008, 23025)


@pytest.mark.parametrize(
    ("code", "do"),
    [
        (1001, lambda world: world.http.get(f"{world.sandbox.api_url}/accounts/1/realms", headers=world.bearer())),
        (1019, asks("POST", "/realms", "<Wrong/>")),
        (4022, turned("account_locked", "yes", asks("GET", "/realms"))),
    ],
)
def test_each_code_that_any_route_may_answer_is_reached(world, code, do):
    assert error_code(do(world)) == str(code)


def test_every_code_that_a_route_is_said_to_answer_is_reached_above_and_no_other():
    said = {(each.method, each.path, code) for each in ENDPOINTS for code in each.codes}
    assert {cause[:3] for cause in CAUSES} == said
    assert set(COMMON.codes) == {1000, 1001, 1019, 4022}  # 1000 takes a defect of ours to reach


def test_every_documented_code_is_answered_or_has_a_reason_not_to_be():
    """Those that Bandwidth's pages give for applications, realms and SIP credentials."""
    documented = {
        *(12107, 12150, 12800, 12801, 12802, 12803, 12806, 12812, *range(12960, 12965), 12974, 12976, 12977),
        *(12103, 13047, 13048, 13049, 13065, 13066, 13112, 13629, *range(13646, 13654)),
        *(12660, 12661, 12666, 12672, 12673, *range(33001, 33007), 33011),
        *(*range(23001, 23005), *range(23006, 23023), 23025, 23026, 23030, 23031),
    }
    assert documented - set(MEANINGS) == set(NOT_MET)
    assert set(MEANINGS) & set(NOT_MET) == set()
    assert set(MEANINGS) == {code for each in (*ENDPOINTS, COMMON) for code in each.codes}
