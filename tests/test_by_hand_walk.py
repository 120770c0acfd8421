"""What the tab *By hand* says: the guide's order and labels, this site's exact values, no secret."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from account_under_test import wanted_application
from freepbx_site import A_ROUTE, A_TRUNK, AN_EXTENSION, SIP_SECRET
from pydantic import SecretStr

from bwlib.by_hand_walk import (
    ByHand,
    OnPbx,
    Value,
    application_by_hand,
    pbx_by_hand,
    realm_by_hand,
    sip_credential_by_hand,
)
from bwlib.errors import SettingsError
from bwlib.models import Realm
from bwlib.pbx.by_hand import PRODUCTS, Kept

SANDBOX, LIVE = "http://127.0.0.1:8443/dashboard", "https://dashboard.bandwidth.com"
KEPT = Kept("file:secrets/sip_password", "env:EXTENSION_SECRET")
REALM = Realm("14", "acme-1a2b3c.auth.bandwidth.test", "", False, "ACTIVE")
PHONE_SECRET = AN_EXTENSION.secret.get_secret_value()


def on_pbx(kind: OnPbx, pbx: str = "freepbx", **changed: object) -> ByHand:
    return pbx_by_hand(kind, replace(A_TRUNK, **changed), A_ROUTE, AN_EXTENSION, pbx=pbx, kept=KEPT)


def values(guide: ByHand) -> dict[str, Value]:
    return {value.label: value for click in guide.clicks for value in click.values}


def words(guide: ByHand) -> str:
    return " ".join(click.words for click in guide.clicks)


# ---------------------------------------------------------------- the dashboard


@pytest.mark.parametrize("user", [None, "bw"])
@pytest.mark.parametrize("status", [None, "https://pbx.example.com/status"])
def test_a_click_keeps_its_number_whatever_the_answers_are(user: str | None, status: str | None) -> None:
    wanted = wanted_application(callback_user=user, call_status_url=status)
    guide = application_by_hand(wanted, dashboard=SANDBOX, callback_password="file:callback" if user else "")
    said = {label: click.number for click in guide.clicks for label in [value.label for value in click.values]}
    assert said == {
        "Application name": 4,
        "Call initiated callback URL": 6, "Call initiated method": 6,
        "Call status callback URL": 7, "Call status method": 7,
        "Callback user ID": 8, "Callback password": 8,
    }  # fmt: skip
    assert [click.number for click in guide.clicks] == list(range(1, 10))


def test_the_callback_password_is_named_by_its_reference_or_not_at_all() -> None:
    secret = SecretStr("a-callback-password")
    wanted = wanted_application(callback_user="bw", callback_password=secret)
    named = application_by_hand(wanted, dashboard=SANDBOX, callback_password="keyring:bw/callback")
    assert values(named)["Callback password"] == Value("Callback password", secret="keyring:bw/callback")
    for guide in (named, application_by_hand(wanted, dashboard=SANDBOX)):
        assert secret.get_secret_value() not in repr(guide)


def test_the_live_dashboard_is_told_apart_from_the_pictures() -> None:
    assert "looks different and shows more" in realm_by_hand("acme", "", dashboard=LIVE).where
    assert "ask your Bandwidth contact" in words(realm_by_hand("acme", "", dashboard=LIVE))
    sandbox = realm_by_hand("acme", "", dashboard=SANDBOX)
    assert "stands in for dashboard.bandwidth.com" in sandbox.where
    assert sandbox.address == SANDBOX
    assert "sip_entitled" in words(sandbox)


def test_a_credential_names_realm_and_application_once_they_are_there() -> None:
    there = sip_credential_by_hand("pbx", "file:p", REALM, wanted_application("Front door"), dashboard=LIVE)
    assert values(there)["Realm"].text == REALM.fqdn
    assert values(there)["Application"].text == "Front door"
    assert values(there)["Password"] == Value("Password", secret="file:p")
    before = sip_credential_by_hand("pbx", "file:p", None, None, dashboard=LIVE)
    assert set(values(before)) == {"User name", "Password"}
    assert len(before.clicks) == len(there.clicks)


# ---------------------------------------------------------------- the PBX


@pytest.mark.parametrize("kind", get_args(OnPbx))
@pytest.mark.parametrize("pbx", PRODUCTS)
def test_every_product_has_something_to_do_and_no_secret_in_it(pbx: str, kind: OnPbx) -> None:
    guide = on_pbx(kind, pbx)
    assert guide.clicks
    for secret in (SIP_SECRET, PHONE_SECRET):
        assert secret not in repr(guide)
    assert all(value.text == "" for value in values(guide).values() if value.secret)


def test_freepbx_is_told_in_the_words_of_its_pages() -> None:
    trunk = values(on_pbx("trunk"))
    assert trunk["SIP Server"].text == A_TRUNK.server
    assert trunk["Registration"].text == "None"
    assert trunk["SIP Server Port"].text == ""
    assert trunk["Secret"] == Value("Secret", secret=KEPT.sip_password)
    assert "Registration: it is preset to Send." in words(on_pbx("trunk"))
    assert on_pbx("trunk").clicks[0].words.startswith("Open Connectivity > Trunks > Add Trunk")
    route = values(on_pbx("route"))
    assert (route["line 1, prepend"].text, route["line 1, match pattern"].text) == ("+1", "NXXNXXXXXX")
    assert (route["line 3, prepend"].text, route["line 3, match pattern"].text) == ("", "+1NXXNXXXXXX")
    extension = on_pbx("extension")
    assert values(extension)["DID Number"].text == AN_EXTENSION.number
    assert "Apply Config" in words(extension)
    assert "a queue with a way out" in words(extension), "the sheet's warnings are not lost"


def test_every_row_of_a_sheet_with_tables_is_a_value_of_one_of_the_three() -> None:
    from bwlib.pbx.by_hand import settings_sheet

    for pbx in ("any", "freepbx", "grandstream"):
        labels = {label for kind in get_args(OnPbx) for label in values(on_pbx(kind, pbx))}
        sheet = settings_sheet(pbx, A_TRUNK, A_ROUTE, AN_EXTENSION, KEPT)
        rows = [line.partition("  ")[0].rpartition(" > ")[2] for line in sheet.splitlines() if "  " in line.strip()]
        said = {row.strip() for row in rows if row.strip() and not row.startswith(" ")}
        assert {row for row in said if row not in labels and f"{row}, prepend" not in labels} == set(), pbx


def test_a_sheet_with_lines_for_files_is_shown_whole() -> None:
    assert "----8<----" in values(on_pbx("trunk", "kamailio"))["Settings sheet"].text


def test_asterisk_gets_each_things_own_lines_and_no_registration() -> None:
    trunk = values(on_pbx("trunk", "asterisk"))
    assert "type = registration" not in trunk["pjsip.conf"].text
    assert "[101]" not in trunk["pjsip.conf"].text
    assert trunk["password"] == Value("password", secret=KEPT.sip_password)
    assert "[101]" in values(on_pbx("extension", "asterisk"))["pjsip.conf"].text
    assert set(values(on_pbx("route", "asterisk"))) == {"extensions.conf"}


def test_the_place_is_a_page_to_open_or_a_folder_to_name() -> None:
    page = pbx_by_hand("trunk", A_TRUNK, A_ROUTE, AN_EXTENSION, pbx="freepbx", place="https://pbx.example.com/admin")
    assert page.address == "https://pbx.example.com/admin"
    folder = pbx_by_hand("trunk", A_TRUNK, A_ROUTE, AN_EXTENSION, pbx="asterisk", place="/etc/asterisk")
    assert folder.address == ""
    assert "files in /etc/asterisk" in folder.where


def test_a_trunk_that_registers_gets_no_instructions() -> None:
    with pytest.raises(SettingsError, match="it registers"):
        on_pbx("trunk", registration=True)
