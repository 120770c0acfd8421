"""The client and the sandbox, which share no code, over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from pydantic import SecretStr

from bwlib.bandwidth.auth import BasicAuth, OAuth2
from bwlib.bandwidth.client import Client
from bwlib.bandwidth.wire import hash1, hash1b
from bwlib.errors import NotAuthenticated, NotEntitled, Refused
from bwlib.models import Application, CallRequest, Exchange, Realm
from bwlib.readback_client import Readback
from bwlib.sandbox import control

T = TypeVar("T")
PASSWORD = SecretStr("correct-horse-1")
URL = "https://app.example.com/initiate"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Sandbox]:
    sandbox = control.start(tmp_path_factory.mktemp("home"), idle_minutes=5)
    yield sandbox
    sandbox.down()


@pytest.fixture
def sandbox(running: control.Sandbox) -> control.Sandbox:
    running.reset()
    running.set_switch("realm_create_s", "0")
    running.set_switch("realm_delete_s", "0")
    return running


def open_client(sandbox: control.Sandbox, on_exchange: Callable[[Exchange], None] | None = None) -> Client:
    return Client(
        sandbox.account_id,
        auth=OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url),
        api_url=sandbox.api_url,
        voice_url=sandbox.voice_url,
        on_exchange=on_exchange,
    )


@pytest.fixture
def client(sandbox: control.Sandbox) -> Iterator[Client]:
    with open_client(sandbox) as opened:
        yield opened


def active_realm(client: Client, name: str = "acme") -> Realm:
    made = client.create_realm(name, "PBX")
    return wait_until(lambda: client.get_realm(made.id), lambda realm: realm.is_active)


def wait_until(look: Callable[[], T], fits: Callable[[T], bool]) -> T:
    deadline = time.monotonic() + 20
    while not fits(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


# ---------------------------------------------------------------- applications


def test_an_application_lives_from_create_to_delete(client: Client) -> None:
    wanted = Application(
        'PBX <Raleigh> & "Durham"',
        URL,
        call_status_url="https://app.example.com/disconnect",
        callback_user="bandwidth",
        callback_password=SecretStr("callback-password"),
        callback_timeout_s=12,
    )
    made = client.create_application(wanted)
    assert made.id
    read = client.get_application(made.id)
    assert read == made
    assert (read.name, read.call_status_url, read.callback_user) == (wanted.name, wanted.call_status_url, "bandwidth")
    assert (read.callback_timeout_s, read.callback_password) == (12, None)
    assert client.list_applications() == [read]
    client.delete_application(made.id)
    with pytest.raises(Refused) as caught:
        client.get_application(made.id)
    assert caught.value.status == 404


def test_an_update_replaces_what_the_application_was(client: Client) -> None:
    made = client.create_application(Application("PBX", URL, call_status_url="https://app.example.com/d"))
    client.update_application(Application("PBX", "https://app.example.com/other", id=made.id))
    read = client.get_application(made.id)
    assert (read.call_initiated_url, read.call_status_url) == ("https://app.example.com/other", None)


def test_callback_credentials_over_plain_http_are_refused_with_advice(client: Client) -> None:
    with pytest.raises(Refused) as caught:
        client.create_application(
            Application("PBX", "http://app.example.com", callback_user="u", callback_password=SecretStr("callback-1"))
        )
    assert caught.value.code == "12812"
    assert "https" in caught.value.do_next
    assert "callback-1" not in str(caught.value)


# ---------------------------------------------------------------- realms


def test_a_realm_lives_from_create_to_delete(client: Client) -> None:
    realm = active_realm(client)
    assert realm.fqdn.startswith("acme")
    assert realm.fqdn != "acme"
    assert client.list_realms() == [realm]
    assert client.get_realm(realm.fqdn) == realm
    changed = client.update_realm(realm, "acme", "another description", False)
    assert (changed.id, changed.description) == (realm.id, "another description")
    client.delete_realm(realm)

    def is_gone() -> bool:
        try:
            client.get_realm(realm.id)
        except Refused as error:
            return error.status == 404
        return False

    wait_until(is_gone, bool)


def test_a_realm_of_the_same_name_is_refused(client: Client) -> None:
    active_realm(client)
    with pytest.raises(Refused) as caught:
        client.create_realm("ACME", "again")
    assert caught.value.code == "33002"


def test_a_realm_cannot_be_renamed(client: Client) -> None:
    with pytest.raises(Refused) as caught:
        client.update_realm(active_realm(client), "other", "", False)
    assert caught.value.code == "33005"


def test_an_account_without_sip_credentials_is_not_entitled_although_it_may_list(
    sandbox: control.Sandbox, client: Client
) -> None:
    sandbox.set_switch("sip_entitled", "no")
    assert client.list_realms() == []
    with pytest.raises(NotEntitled) as caught:
        client.create_realm("acme", "")
    assert caught.value.code == "33004"


@pytest.mark.parametrize("separator", ["-", "."])
def test_hashes_use_the_name_that_bandwidth_gave(sandbox: control.Sandbox, client: Client, separator: str) -> None:
    sandbox.set_switch("realm_separator", separator)
    realm = active_realm(client)
    assert realm.fqdn.startswith(f"acme{separator}")
    made = client.create_sip_credential(realm, "pbx", PASSWORD, None)
    assert made.ha1 == hash1("pbx", realm.fqdn, PASSWORD)
    assert made.ha1b == hash1b("pbx", realm.fqdn, PASSWORD)


# ---------------------------------------------------------------- SIP credentials


def test_a_credential_lives_from_create_to_delete(client: Client) -> None:
    realm, application = active_realm(client), client.create_application(Application("PBX", URL))
    made = client.create_sip_credential(realm, "pbx", PASSWORD, application.id)
    assert (made.realm_id, made.realm_fqdn, made.application_id) == (realm.id, realm.fqdn, application.id)
    assert client.get_sip_credential(realm, made.id) == made
    assert client.list_sip_credentials(realm) == [made]
    assert client.get_realm(realm.id).credential_count == 1
    rotated = client.update_sip_credential(realm, made, SecretStr("another-password"), application.id)
    assert rotated.id == made.id
    assert client.get_sip_credential(realm, made.id).ha1 == hash1("pbx", realm.fqdn, SecretStr("another-password"))
    client.delete_sip_credential(realm, made.id)
    assert client.list_sip_credentials(realm) == []


def test_a_binding_changes_without_the_password(client: Client) -> None:
    realm = active_realm(client)
    first, second = (client.create_application(Application(name, URL)) for name in ("a", "b"))
    made = client.create_sip_credential(realm, "pbx", PASSWORD, first.id)
    client.update_sip_credential(realm, made, None, second.id)
    read = client.get_sip_credential(realm, made.id)
    assert (read.application_id, read.ha1) == (second.id, made.ha1)


@pytest.mark.parametrize("status", ["400", "201"])
def test_a_second_credential_of_the_name_is_refused_whatever_the_status(
    sandbox: control.Sandbox, client: Client, status: str
) -> None:
    sandbox.set_switch("invalid_credentials_status", status)
    realm = active_realm(client)
    made = client.create_sip_credential(realm, "pbx", PASSWORD, None)
    with pytest.raises(Refused) as caught:
        client.create_sip_credential(realm, "PBX", PASSWORD, None)
    assert (caught.value.code, caught.value.status) == ("23026", int(status))
    for secret in (made.ha1, made.ha1b, hash1("PBX", realm.fqdn, PASSWORD)):
        assert secret.get_secret_value() not in str(caught.value)


@pytest.mark.parametrize("status", ["200", "404"])
def test_a_realm_without_credentials_has_an_empty_list(sandbox: control.Sandbox, client: Client, status: str) -> None:
    sandbox.set_switch("empty_credential_list", status)
    assert client.list_sip_credentials(active_realm(client)) == []


def test_a_changed_case_comes_back_for_the_caller_to_see(sandbox: control.Sandbox, client: Client) -> None:
    sandbox.set_switch("credential_username_case", "lower")
    assert client.create_sip_credential(active_realm(client), "PBX-1", PASSWORD, None).username == "pbx-1"


def test_an_unknown_application_cannot_be_bound(client: Client) -> None:
    realm = active_realm(client)
    with pytest.raises(Refused) as caught:
        client.create_sip_credential(realm, "pbx", PASSWORD, "93de2206-9669-4e07-948d-329f4b722ee2")
    assert caught.value.code == "23019"
    with pytest.raises(Refused) as caught:
        client.create_sip_credential(realm, "pbx", PASSWORD, "no-uuid")
    assert caught.value.code == "23020"


def test_a_realm_with_credentials_cannot_be_deleted(client: Client) -> None:
    realm = active_realm(client)
    client.create_sip_credential(realm, "pbx", PASSWORD, None)
    with pytest.raises(Refused) as caught:
        client.delete_realm(realm)
    assert caught.value.code == "12666"


def test_a_realm_that_is_not_active_takes_no_credential(sandbox: control.Sandbox, client: Client) -> None:
    sandbox.set_switch("realm_create_s", "600")
    realm = client.create_realm("acme", "")
    assert not realm.is_active
    with pytest.raises(Refused) as caught:
        client.create_sip_credential(realm, "pbx", PASSWORD, None)
    assert caught.value.code == "23022"


# ---------------------------------------------------------------- calls


def test_a_call_with_a_foreign_number_is_refused(sandbox: control.Sandbox, client: Client) -> None:
    application = client.create_application(Application("PBX", URL))
    with pytest.raises(Refused) as caught:
        client.create_call(CallRequest("sip:101@127.0.0.1:5999", "+12025550199", application.id, URL))
    assert caught.value.status == 400


def test_a_call_to_nobody_ends_and_says_why(sandbox: control.Sandbox, client: Client) -> None:
    application = client.create_application(Application("PBX", URL))
    request = CallRequest("sip:101@127.0.0.1:9", sandbox.number, application.id, URL, call_timeout_s=1, tag="t")
    made = client.create_call(request)
    assert made.id.startswith("c-")
    ended = wait_until(lambda: client.get_call(made.id), lambda call: call.state == "disconnected")
    assert (ended.direction, ended.application_id) == ("outbound", application.id)
    assert ended.disconnect_cause


def test_an_unknown_call_is_404(client: Client) -> None:
    unknown = "c-00000000-00000000-0000-0000-0000-000000000000"
    for ask in (lambda: client.get_call(unknown), lambda: client.update_call(unknown)):
        with pytest.raises(Refused) as caught:
            ask()
        assert (caught.value.status, caught.value.exit_code) == (404, 3)


# ---------------------------------------------------------------- who we are


def test_a_wrong_secret_is_not_authenticated(sandbox: control.Sandbox) -> None:
    auth = OAuth2(sandbox.client_id, SecretStr("wrong-secret"), sandbox.token_url)
    with (
        Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url) as client,
        pytest.raises(NotAuthenticated),
    ):
        client.list_realms()


def test_basic_works_until_bandwidth_ends_it(sandbox: control.Sandbox) -> None:
    auth = BasicAuth(sandbox.client_id, sandbox.client_secret)
    with Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url) as client:
        sandbox.set_switch("basic_auth_ends", "2999-12-02")
        client.list_realms()
        sandbox.set_switch("basic_auth_ends", "2001-12-02")
        with pytest.raises(NotAuthenticated, match="API Credentials"):
            client.list_realms()


def test_another_account_is_not_ours(sandbox: control.Sandbox) -> None:
    auth = OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url)
    with (
        Client("1234567", auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url) as client,
        pytest.raises((NotAuthenticated, NotEntitled)),
    ):
        client.list_realms()


def test_eight_threads_share_one_token(sandbox: control.Sandbox) -> None:
    seen: list[Exchange] = []
    together = threading.Barrier(8)
    with open_client(sandbox, seen.append) as client:

        def look(_: int) -> list[Realm]:
            together.wait(20)
            return client.list_realms()

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(look, range(8))) == [[]] * 8
    assert sum(exchange.url == sandbox.token_url for exchange in seen) == 1
    assert len(seen) == 9


def test_no_exchange_of_a_whole_round_holds_a_secret(sandbox: control.Sandbox) -> None:
    seen: list[Exchange] = []
    with open_client(sandbox, seen.append) as client:
        realm = active_realm(client)
        made = client.create_sip_credential(realm, "pbx", PASSWORD, None)
        client.list_sip_credentials(realm)
        client.create_application(
            Application("PBX", URL, callback_user="u", callback_password=SecretStr("callback-password"))
        )
    shown = repr(seen)
    secrets = [sandbox.client_secret, PASSWORD, made.ha1, made.ha1b, SecretStr("callback-password")]
    assert [secret for secret in secrets if secret.get_secret_value() in shown] == []
    assert len(seen) >= 6


def test_the_sandbox_readback_answers_its_client(sandbox: control.Sandbox) -> None:
    address = sandbox.readback
    with Readback(address.url, address.token, address.ca_file) as readback:
        assert readback.health()["ok"] is True
        assert Path(str(address.ca_file)).exists()
