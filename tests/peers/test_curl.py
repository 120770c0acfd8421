"""curl with the requests of Bandwidth's pages, word for word, and bwlib's client: both get the same answers.

The command lines name Bandwidth's hosts. A curlrc of the test's own leads them to the sandbox, through a relay that
speaks TLS with a throw-away certificate; nothing of it can leave this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
from peers import program
from pydantic import SecretStr
from sandbox_world import World

from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.errors import BandwidthError
from bwlib.models import Application, CallRequest
from bwlib.readback_tls import throw_away_certificate

pytestmark = pytest.mark.peer
HOSTS = ("api.bandwidth.com", "voice.bandwidth.com")
XML = "-H 'Content-Type: application/xml; charset=utf-8'"
NOBODY = "00000000-0000-4000-8000-000000000000"
HASHES = "<Hash1>1be6abcaa8e9956021d30f33a3925b99</Hash1><Hash1b>e028e6577a0bb1b90a33d30a110dbdfe</Hash1b>"

# dev.bandwidth.com/docs/account/applications and /sipRegistrar, github.com/Bandwidth/python-sdk bandwidth.yml
TOKEN = (
    "curl -X POST https://api.bandwidth.com/api/v1/oauth2/token -u '{client_id}:{client_secret}' "
    "-H 'Content-Type: application/x-www-form-urlencoded' -d 'grant_type=client_credentials'"
)
ACCOUNT = (
    "curl -X {method} 'https://api.bandwidth.com/api/v2/accounts/{account}{path}' -H 'Authorization: Bearer {token}'"
)
OLDER = "curl -X {method} 'https://api.bandwidth.com/api/accounts/{account}{path}' -H 'Authorization: Bearer {token}'"
VOICE = (
    "curl -X {method} 'https://voice.bandwidth.com/api/v2/accounts/{account}{path}' -H 'Authorization: Bearer {token}'"
)
APPLICATION = """<?xml version="1.0" encoding="UTF-8"?>
<Application>
  <ServiceType>Voice-V2</ServiceType>
  <AppName>Production Server</AppName>
  <CallInitiatedCallbackUrl>https://example.com/initiate</CallInitiatedCallbackUrl>
  <CallInitiatedMethod>POST</CallInitiatedMethod>
  <CallStatusCallbackUrl>https://example.com/status</CallStatusCallbackUrl>
  <CallStatusMethod>POST</CallStatusMethod>
  <CallbackCreds><UserId>my-id</UserId><Password>my-password</Password></CallbackCreds>
</Application>"""
REALM = "<Realm><Realm>{name}</Realm><Description>a realm</Description><Default>false</Default></Realm>"
CREDENTIALS = "<SipCredentials><SipCredential><UserName>{name}</UserName>{hashes}</SipCredential></SipCredentials>"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    def xml(self) -> Element:
        return fromstring(self.body)

    def text(self, path: str) -> str | None:
        return self.xml().findtext(path)

    def code(self) -> str | None:
        return next((each.text for each in self.xml().iter("ErrorCode")), None)


class Curl:
    """Runs documented command lines in a shell, as they are printed."""

    def __init__(self, world: World, home: Path) -> None:
        self.world = world
        self.home = home
        self.values = {"account": world.sandbox.account_id, "client_id": world.sandbox.client_id}
        self.values["client_secret"] = world.sandbox.client_secret.get_secret_value()
        self.values["token"] = json.loads(self.run(TOKEN).body)["access_token"]

    def run(self, line: str, **values: str) -> Answer:
        done = subprocess.run(
            ["sh", "-c", line.format(**self.values, **values)],
            env={"PATH": os.environ["PATH"], "CURL_HOME": str(self.home), "HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        head, _, body = done.stdout.partition("\n\n")
        first, *rest = head.splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
        return Answer(int(first.split()[1]), headers, body)

    def account(self, method: str, path: str, xml: str | None = None, line: str = ACCOUNT) -> Answer:
        data = "" if xml is None else f" {XML} -d '{xml}'"
        return self.run(line + data, method=method, path=path)


@contextlib.contextmanager
def tls_relay(folder: Path, host: str, port: int) -> Iterator[tuple[int, Path]]:
    """(port, CA file) of a listener that speaks TLS as `host` and hands the bytes on to a local port."""
    files = throw_away_certificate(folder, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, onward[1]), pipe(onward[0], writer))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(relay, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert files.ca is not None
    try:
        yield server.sockets[0].getsockname()[1], files.ca
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def curl(running, tmp_path_factory):
    program("curl")
    home = tmp_path_factory.mktemp("curl")
    port = int(running.sandbox.http_url.rpartition(":")[2])
    with contextlib.ExitStack() as relays:
        opened = [relays.enter_context(tls_relay(home / host, host, port)) for host in HOSTS]
        (home / "ca.pem").write_text("".join(ca.read_text() for _, ca in opened))
        lines = [f'connect-to = "{host}:443:127.0.0.1:{at}"' for host, (at, _) in zip(HOSTS, opened, strict=True)]
        lines += [f'cacert = "{home / "ca.pem"}"', 'noproxy = "*"', "silent", "show-error", "include", "http1.1"]
        (home / ".curlrc").write_text("\n".join(lines) + "\n")
        yield Curl(running, home)


@pytest.fixture(autouse=True)
def fresh(running):
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    running.sandbox.set_switch("realm_delete_s", "0")


@pytest.fixture
def client(running):
    sandbox = running.sandbox
    auth = OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url)
    with Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url) as opened:
        yield opened


def refused(do: Callable[[], object]) -> tuple[int | None, str | None]:
    """Status and code that bwlib's client was refused with."""
    with pytest.raises(BandwidthError) as caught:
        do()
    return caught.value.status, caught.value.code


# -------------------------------------------------------------------- what works


def test_the_token_request_of_the_pages_gets_a_bearer_token(curl):
    answer = curl.run(TOKEN)
    assert answer.status == 200
    assert json.loads(answer.body)["token_type"] == "Bearer"
    wrong = curl.run(TOKEN.replace("{client_secret}", "wrong"))
    assert (wrong.status, json.loads(wrong.body)["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("line", [ACCOUNT, OLDER])
def test_what_curl_creates_the_client_reads(curl, client, line):
    made = curl.account("POST", "/applications", APPLICATION, line)
    assert made.status == 201
    application_id = made.text("Application/ApplicationId")
    assert made.headers["location"].endswith(f"/applications/{application_id}")
    read = client.get_application(application_id)
    assert (read.name, read.callback_user) == ("Production Server", "my-id")
    assert (read.call_initiated_url, read.call_status_url) == (
        made.text("Application/CallInitiatedCallbackUrl"),
        made.text("Application/CallStatusCallbackUrl"),
    )


def test_what_the_client_creates_curl_reads(curl, client):
    application = client.create_application(Application("PBX", "https://example.com/"))
    realm = client.create_realm("abc", "a realm")
    credential = client.create_sip_credential(realm, "pbx", SecretStr("correct-horse"), application.id)
    read = curl.account("GET", f"/realms/{realm.id}")
    assert (read.text("Realm/Realm"), read.text("Realm/Status")) == (realm.fqdn, realm.status)
    read = curl.account("GET", f"/realms/{realm.id}/sipcredentials/{credential.id}")
    assert read.text("SipCredential/Hash1") == credential.ha1.get_secret_value()
    assert read.text("SipCredential/HttpVoiceV2AppId") == application.id


def test_both_walk_a_realm_from_its_creation_to_its_end(curl, client):
    made = curl.account("POST", "/realms", REALM.format(name="abc"))
    assert (made.status, made.text("Realm/Default")) == (201, "false")
    realm = client.get_realm(made.text("Realm/Id"))
    assert (realm.fqdn, realm.status) == (made.text("Realm/Realm"), "ACTIVE")
    path = f"/realms/{realm.id}/sipcredentials"
    added = curl.account("POST", path, CREDENTIALS.format(name="pbx", hashes=HASHES))
    assert added.status == 201
    (credential,) = client.list_sip_credentials(realm)
    assert credential.id == added.text("ValidSipCredentials/SipCredential/Id")
    body = f"<SipCredential><RealmId>{realm.id}</RealmId>{HASHES}</SipCredential>"
    assert curl.account("PUT", f"{path}/{credential.id}", body).status == 200
    assert curl.account("DELETE", f"{path}/{credential.id}").status == 200
    deleted = curl.account("DELETE", f"/realms/{realm.id}")
    assert (deleted.status, deleted.body) == (202, "")
    assert refused(lambda: client.get_realm(realm.id)) == (404, None)


def test_the_list_of_credentials_leads_both_to_its_first_page(curl, client):
    realm = client.create_realm("abc", "a realm")
    path = f"/realms/{realm.id}/sipcredentials"
    answer = curl.account("GET", path)
    assert answer.status == 303
    query = re.sub(r"^.*/sipcredentials", "", answer.headers["location"])
    assert query == "?page=1&size=500"
    client.create_sip_credential(realm, "pbx", SecretStr("correct-horse"), None)
    by_curl = [each.text for each in curl.account("GET", path + query).xml().findall("SipCredentials/SipCredential/Id")]
    assert by_curl == [each.id for each in client.list_sip_credentials(realm)] != []


def test_put_replaces_and_patch_merges_for_curl_as_the_client_sees_it(curl, client):
    made = curl.account("POST", "/applications", APPLICATION)
    path = f"/applications/{made.text('Application/ApplicationId')}"
    curl.account("PATCH", path, "<Application><AppName>Renamed</AppName></Application>")
    assert client.get_application(path.rpartition("/")[2]).callback_user == "my-id"
    bare = re.sub(r"\s*<(CallStatus\w+|CallbackCreds)>.*</\1>", "", APPLICATION)
    assert curl.account("PUT", path, bare).status == 200
    after = client.get_application(path.rpartition("/")[2])
    assert (after.name, after.call_status_url, after.callback_user) == ("Production Server", None, None)


def test_a_call_that_curl_places_is_read_by_the_client(curl, client, running):
    application = client.create_application(Application("PBX", "https://example.com/"))
    body = {"from": running.sandbox.number, "to": "+15005550006", "applicationId": application.id}
    body |= {"answerUrl": "http://127.0.0.1:9/answer", "tag": "by curl"}
    data = json.dumps(body)
    made = curl.run(
        f"{VOICE} -H 'Content-Type: application/json' -d '{{body}}'", method="POST", path="/calls", body=data
    )
    assert made.status == 201
    call = client.get_call(json.loads(made.body)["callId"])
    assert (call.to, call.from_number, call.application_id) == ("+15005550006", running.sandbox.number, application.id)


# -------------------------------------------------------------------- what is refused


def two_realms(client: Client) -> None:
    client.create_realm("abc", "one")
    client.create_realm("abc", "two")


def two_credentials(client: Client) -> None:
    realm = next(iter(client.list_realms()), None) or client.create_realm("abc", "one")
    for name in ("pbx", "PBX"):
        client.create_sip_credential(realm, name, SecretStr("correct-horse"), None)


def two_by_curl(curl: Curl) -> Answer:
    realm_id = curl.account("POST", "/realms", REALM.format(name="abc")).text("Realm/Id")
    path = f"/realms/{realm_id}/sipcredentials"
    curl.account("POST", path, CREDENTIALS.format(name="pbx", hashes=HASHES))
    return curl.account("POST", path, CREDENTIALS.format(name="PBX", hashes=HASHES))


def again_by_curl(curl: Curl) -> Answer:
    curl.account("POST", "/realms", REALM.format(name="abc"))
    return curl.account("POST", "/realms", REALM.format(name="abc"))


def unnamed(client: Client) -> None:
    client.create_application(Application("", "https://example.com/"))


def in_plain_http(client: Client) -> None:
    creds = {"callback_user": "me", "callback_password": SecretStr("hush")}
    client.create_application(Application("PBX", "http://example.com/", **creds))


SAME = {
    "an unknown application": (
        lambda curl: curl.account("GET", f"/applications/{NOBODY}"),
        lambda client: client.get_application(NOBODY),
        (404, "13629"),
    ),
    "an application without a name": (
        lambda curl: curl.account("POST", "/applications", APPLICATION.replace("Production Server", "")),
        unnamed,
        (400, "12806"),
    ),
    "credentials over plain http": (
        lambda curl: curl.account("POST", "/applications", APPLICATION.replace("https:", "http:")),
        in_plain_http,
        (400, "12812"),
    ),
    "an unknown realm": (
        lambda curl: curl.account("GET", "/realms/nowhere"),
        lambda client: client.get_realm("nowhere"),
        (404, None),
    ),
    "a realm that exists": (again_by_curl, two_realms, (400, "33002")),
    "a realm's name that is too long": (
        lambda curl: curl.account("POST", "/realms", REALM.format(name="a" * 31)),
        lambda client: client.create_realm("a" * 31, "long"),
        (400, "33003"),
    ),
    "a credential that exists": (two_by_curl, two_credentials, (400, "23026")),
}


@pytest.mark.parametrize("what", SAME)
def test_both_are_refused_alike(curl, client, running, what):
    by_curl, by_client, wanted = SAME[what]
    answer = by_curl(curl)
    assert (answer.status, answer.code()) == wanted
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    assert refused(lambda: by_client(client)) == wanted


def test_both_are_turned_away_without_a_right_token(curl, running):
    answer = curl.run(ACCOUNT.replace("{token}", "made-up"), method="GET", path="/realms")
    assert answer.status == 401
    sandbox = running.sandbox
    auth = OAuth2(sandbox.client_id, SecretStr("wrong"), sandbox.token_url)
    with Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url) as stranger:
        assert refused(stranger.list_realms)[0] == 401


def test_a_voice_request_is_refused_alike(curl, client, running):
    application = client.create_application(Application("PBX", "https://example.com/"))
    body = json.dumps(
        {
            "from": "+15005550001",
            "to": "+15005550006",
            "applicationId": application.id,
            "answerUrl": "http://127.0.0.1:9/",
        }
    )
    line = f"{VOICE} -H 'Content-Type: application/json' -d '{{body}}'"
    answer = curl.run(line, method="POST", path="/calls", body=body)
    assert (answer.status, json.loads(answer.body)["type"]) == (400, "validation")
    call = CallRequest(
        application_id=application.id, to="+15005550006", from_number="+15005550001", answer_url="http://127.0.0.1:9/"
    )
    assert refused(lambda: client.create_call(call)) == (400, "validation")
