"""Several accounts in one sandbox: each sees its own and nothing of the others'."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from sandbox_world import ASIDE_S, Pbx, World, callbacks, error_code, eventually, found, realm_xml, root

from bwlib.errors import SettingsError
from bwlib.sandbox import control

URL = "http://127.0.0.1:9/callback"
HANG_UP = "<Response><Hangup/></Response>"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def ours(running):
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    return running


@pytest.fixture
def theirs(ours):
    return ours.other_account("theirs")


def fqdns(world: World) -> list[str]:
    return [realm.findtext("Realm", "") for realm in root(world.account("GET", "/realms")).iter("Realm") if len(realm)]


def refused_at(ours: World, fqdn: str, **options: str) -> int | None:
    async def run() -> int | None:
        async with Pbx(ours, fqdn) as pbx:
            return await pbx.refused(**options)

    return asyncio.run(run())


def call_and_hang_up(world: World, realm: tuple[str, str]) -> None:
    async def run() -> None:
        async with Pbx(world, realm[1]) as pbx:
            call, media = await pbx.talk()
            await asyncio.wait_for(call.ended.wait(), ASIDE_S)
            await media.close()

    asyncio.run(run())


def test_an_account_is_made_once_and_then_found_by_its_name(ours):
    first, again = ours.sandbox.account("site-1"), ours.sandbox.account("site-1")
    assert first == again
    assert first.account_id != ours.sandbox.account_id
    assert ours.sandbox.account("").account_id == ours.sandbox.account_id


def test_accounts_share_no_number_no_secret_and_no_hex(ours, theirs):
    assert not set(ours.sandbox.numbers) & set(theirs.sandbox.numbers)
    assert ours.sandbox.client_secret != theirs.sandbox.client_secret
    assert ours.realm("same")[1] != theirs.realm("same")[1]


def test_the_handle_of_an_account_shows_no_secret(theirs):
    assert theirs.sandbox.client_secret.get_secret_value() not in repr(theirs.sandbox)


@pytest.mark.parametrize("name", [None, 7, "n" * 101])
def test_a_name_that_is_none_is_refused(ours, name):
    with pytest.raises(SettingsError, match="name must be text"):
        ours.sandbox.account(name)


def test_a_token_opens_its_own_account_only(ours, theirs):
    url = f"{ours.sandbox.api_url}/accounts/{ours.sandbox.account_id}/realms"
    answer = ours.http.get(url, headers=theirs.bearer())
    assert (answer.status_code, error_code(answer)) == (403, "1001")
    assert ours.http.get(url, headers=ours.bearer()).status_code == 200


def test_objects_are_seen_by_their_own_account_only(ours, theirs):
    application_id, realm = ours.application(URL), ours.realm("same")
    credential_id = ours.credential(realm, "pbx", application_id)
    paths = [f"/applications/{application_id}", f"/realms/{realm[0]}", f"/realms/{realm[1]}"]
    paths += [f"/realms/{realm[0]}/sipcredentials/{credential_id}", "/sipcredentials/pbx"]
    assert [ours.account("GET", path).status_code for path in paths] == [200] * 5
    assert [theirs.account("GET", path).status_code for path in paths] == [404] * 5
    assert fqdns(theirs) == []


def test_an_application_of_another_account_cannot_be_bound(ours, theirs):
    realm = ours.realm("abc")
    entry = f"<UserName>p</UserName><Hash1>0</Hash1><HttpVoiceV2AppId>{theirs.application(URL)}</HttpVoiceV2AppId>"
    xml = f"<SipCredentials><SipCredential>{entry}</SipCredential></SipCredentials>"
    assert error_code(ours.account("POST", f"/realms/{realm[0]}/sipcredentials", xml)) == "23019"


def test_each_account_has_a_default_realm_of_its_own(ours, theirs):
    first, second = ours.realm("abc", default=True), theirs.realm("abc", default=True)
    assert found(ours.account("GET", f"/realms/{first[0]}"), "Realm/Default") == "true"
    assert found(theirs.account("GET", f"/realms/{second[0]}"), "Realm/Default") == "true"


def test_a_switch_turned_for_one_account_counts_for_it_alone(ours, theirs):
    theirs.sandbox.set_switch("sip_entitled", "no")
    assert error_code(theirs.account("POST", "/realms", realm_xml("abc"))) == "33004"
    assert ours.account("POST", "/realms", realm_xml("abc")).status_code == 201
    assert (ours.sandbox.switches()["sip_entitled"], theirs.sandbox.switches()["sip_entitled"]) == ("yes", "no")


def test_a_switch_of_the_sandbox_counts_for_every_account_that_has_not_set_it(ours, theirs):
    theirs.sandbox.set_switch("realm_separator", "-")
    ours.sandbox.set_switch("realm_separator", ".")
    assert theirs.realm("abc")[1].startswith("abc-")
    assert ours.other_account("third").realm("abc")[1].startswith("abc.")


def test_the_edge_finds_a_realm_in_any_account_and_checks_it_against_its_own(ours, theirs):
    with callbacks() as app:
        app.answers["/theirs"] = HANG_UP
        realm = theirs.realm("abc")
        theirs.credential(realm, "pbx", theirs.application(f"{app.url}/theirs"))
        ours.credential(ours.realm("abc"), "pbx", ours.application(f"{app.url}/ours"))
        call_number = {"from_user": theirs.sandbox.number}
        assert refused_at(theirs, realm[1], **call_number) == 603
        assert app.wait_for("initiate")["accountId"] == theirs.sandbox.account_id
        assert [path for path, *_ in app.seen] == ["/theirs"]
        assert refused_at(ours, realm[1], from_user=ours.sandbox.number) == 403


def test_calls_webhooks_audio_and_sip_are_seen_by_their_own_account_only(ours, theirs):
    speak = "<Response><SpeakSentence>Hello.</SpeakSentence></Response>"
    with callbacks() as app:
        app.answers["/"] = speak
        realm = theirs.realm("abc")
        theirs.credential(realm, "pbx", theirs.application(f"{app.url}/"))
        call_and_hang_up(theirs, realm)
        eventually(lambda: [call["state"] for call in theirs.sandbox.calls()] == ["disconnected"])
    (call,) = theirs.sandbox.calls()
    assert [delivery["call_id"] for delivery in theirs.sandbox.deliveries()] == [call["callId"]]
    assert len(theirs.sandbox.heard_audio(call["callId"])) > 0
    assert {event.text.split(" ", 1)[0] for event in theirs.sandbox.sip_events()} >= {"INVITE", "ACK", "BYE"}
    stranger = ours.other_account("stranger")
    stranger.sandbox.reset()
    assert theirs.sandbox.sip_events()
    seen = (stranger.sandbox.calls(), stranger.sandbox.deliveries(), stranger.sandbox.sip_events())
    assert seen == ([], [], [])
    assert stranger.voice("GET", "/calls").json() == []
    assert stranger.voice("GET", f"/calls/{call['callId']}").status_code == 404
    assert theirs.voice("GET", f"/calls/{call['callId']}").status_code == 200
    theirs.sandbox.reset()
    assert (theirs.sandbox.calls(), theirs.sandbox.sip_events()) == ([], [])


def test_exchanges_are_seen_by_their_own_account_and_by_the_whole_sandbox(ours, theirs):
    theirs.realm("abc")
    assert all(f"/{theirs.sandbox.account_id}/" in each["path"] for each in theirs.sandbox.exchanges())
    assert not any(
        f"/{theirs.sandbox.account_id}/" in each["path"] for each in ours.other_account("x").sandbox.exchanges()
    )
    assert any(f"/{theirs.sandbox.account_id}/" in each["path"] for each in ours.sandbox.exchanges())


def test_a_reset_of_one_account_leaves_the_others_alone(ours, theirs):
    ours.realm("abc")
    theirs.realm("abc")
    theirs.sandbox.set_switch("options", "silent")
    theirs.sandbox.reset()
    assert (len(fqdns(ours)), fqdns(theirs)) == (1, [])
    assert theirs.sandbox.switches()["options"] == "200"


def test_a_restart_keeps_every_account_and_its_objects(tmp_path):
    world = World(tmp_path, "kept")
    fqdn, account = world.realm("abc")[1], world.sandbox
    account.down()
    again = World(tmp_path, "kept")
    try:
        assert (again.sandbox.account_id, again.sandbox.client_secret) == (account.account_id, account.client_secret)
        assert fqdns(again) == [fqdn]
    finally:
        again.close()


OLD_TABLES = """
create table applications (id text primary key, fields text not null);
create table realms (
    id integer primary key autoincrement, name text not null, fqdn text not null, description text not null,
    is_default integer not null, active_at real not null, gone_at real);
insert into realms values (7, 'old', 'old-123456.auth.bandwidth.test', '', 0, 0, null);
"""


def test_the_file_of_an_earlier_version_is_taken_over(tmp_path):
    (tmp_path / "sandbox").mkdir(parents=True)
    with sqlite3.connect(tmp_path / "sandbox" / "sandbox.db") as database:
        database.executescript(OLD_TABLES)
    world = World(tmp_path)
    try:
        assert fqdns(world) == ["old-123456.auth.bandwidth.test"]
        assert fqdns(world.other_account("new")) == []
    finally:
        world.close()


def test_the_status_of_an_account_names_it(ours, theirs):
    assert theirs.sandbox.status()["account_id"] == theirs.sandbox.account_id
    assert control.attach(ours.home).status()["account_id"] == ours.sandbox.account_id
