"""Asterisk's configuration text, there and back, and what may not be written into it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bwlib.errors import SettingsError
from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx import asterisk_text as text
from bwlib.pbx import by_hand, checks
from bwlib.pbx.asterisk_read import (
    NOT_AS_WRITTEN,
    Step,
    auth_of,
    extension_from,
    ha1_of,
    identifies_from,
    inbound_extension_from,
    route_from,
    settings_from_ami,
    settings_from_text,
    steps_from_text,
    trunk_from,
)

TRUNK = Trunk("bandwidth", "r.test", "user", SecretStr("geheim-1"), "+19195550100", "r.test", inbound_extension="101",
              bandwidth_ips=("192.0.2.1",))  # fmt: skip
ROUTE = OutboundRoute("us", "NXXNXXXXXX", "+1", "bandwidth", "+19195550100")
EXTENSION = Extension("101", SecretStr("geheim-2"), "us", "Front desk")

printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


@given(printable)
def test_any_password_survives_the_way_through_the_file(password: str) -> None:
    trunk = replace(TRUNK, password=SecretStr(password))
    checks.check_trunk(trunk)
    settings = settings_from_text(text.trunk_pjsip(trunk))
    assert trunk_from("bandwidth", settings, "101", False) == trunk


@given(st.text(max_size=30))
def test_a_display_name_is_refused_or_survives(display_name: str) -> None:
    extension = replace(EXTENSION, display_name=display_name)
    try:
        checks.check_extension(extension)
    except SettingsError:
        return
    assert extension_from("101", settings_from_text(text.extension_pjsip(extension))) == extension


@given(st.text(max_size=12), st.text(max_size=6))
def test_a_route_is_refused_or_survives(pattern: str, prepend: str) -> None:
    route = replace(ROUTE, pattern=pattern, prepend=prepend)
    try:
        checks.check_route(route)
    except SettingsError:
        return
    assert route_from("us", steps_from_text(text.route_dialplan(route), "bw-outbound-us")) == route


@given(st.text(max_size=60))
def test_a_name_never_breaks_out_of_its_section(name: str) -> None:
    try:
        checks.check_trunk(replace(TRUNK, name=name))
    except SettingsError:
        return
    lines = text.trunk_pjsip(replace(TRUNK, name=name)).splitlines()
    assert [line for line in lines if line.startswith("[")] == [
        f"[{name}]", f"[{name}-auth]", f"[{name}]", f"[{name}-identify]",
    ]  # fmt: skip


def test_the_manager_interface_and_the_file_are_read_as_the_same_trunk() -> None:
    event = {"ObjectType": "endpoint", "Allow": "(ulaw|alaw)", "FromUser": "+19195550100", "FromDomain": "r.test",
             "DtmfMode": "rfc4733", "SendPai": "false", "OutboundProxy": "", "AllowTransfer": "false",
             "RedirectMethod": "user", "Context": "bw-inbound"}  # fmt: skip
    rest = [
        {"ObjectType": "auth", "Username": "user", "Password": "geheim-1"},
        {"ObjectType": "aor", "Contacts": "bandwidth/sip:r.test", "QualifyFrequency": "0"},
        {"ObjectType": "identify", "Match": "192.0.2.1/255.255.255.255"},
    ]
    assert trunk_from("bandwidth", settings_from_ami([event, *rest]), "101", False) == TRUNK


def auth(name: str, **options: str) -> dict[str, str]:
    return {"ObjectType": "auth", "ObjectName": name, **options}


@pytest.mark.parametrize(
    ("outbound", "auths", "username"),
    [
        ("out", [auth("in", Username="asked"), auth("out", Username="answers")], "answers"),
        ("a,b", [auth("a", Username="other", Realm="elsewhere.test"), auth("b", Username="answers")], "answers"),
        ("a,b", [auth("a", Username="any", Realm="*"), auth("b", Username="exact", Realm="R.test")], "exact"),
        ("a", [auth("a", Username="pinned", Realm="elsewhere.test")], "pinned"),
        ("", [auth("in", Username="asked")], ""),
    ],
)
def test_a_trunk_answers_with_the_auth_that_asterisk_would_take(
    outbound: str, auths: list[dict[str, str]], username: str
) -> None:
    """PJSIPShowEndpoint tells what the endpoint asks for before what it answers with."""
    events = [
        {"ObjectType": "endpoint", "ObjectName": "t", "Auth": "in", "OutboundAuth": outbound}, *auths,
        {"ObjectType": "aor", "ObjectName": "t", "Contacts": "t/sip:r.test"},
    ]  # fmt: skip
    settings = settings_from_ami(events)
    assert trunk_from("t", settings, None, False).username == username
    asked = [each for each in auths if each["ObjectName"] == "in"]
    assert auth_of(settings, "auth").get("username", "") == (asked[0]["Username"] if asked else "")


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({"auth_type": "userpass", "md5_cred": "0f", "password_digest": "MD5:0f"}, "0f"),
        ({"auth_type": "digest", "md5_cred": "", "password_digest": ""}, ""),
        ({"auth_type": "md5", "md5_cred": "0f"}, "0f"),
        ({"auth_type": "userpass", "md5_cred": "0f"}, ""),
        ({}, ""),
    ],
)
def test_a_hash_counts_where_that_asterisk_takes_it(options: dict[str, str], counts: str) -> None:
    assert ha1_of(options).get_secret_value() == counts


BY_URI = replace(ROUTE, request_uri="sip:479fbd44-3362@sip-uri.test", number_header="X-Dialed-Number")


def test_a_route_to_a_sip_uri_puts_the_number_into_a_header_and_is_read_back() -> None:
    config = text.route_dialplan(BY_URI)
    assert (
        "Dial(PJSIP/bandwidth/sip:479fbd44-3362@sip-uri.test,60,i"
        "b(bw-number-header^add^1(X-Dialed-Number^+1${FILTER(0-9+,${EXTEN})})))" in config
    )
    assert route_from("us", steps_from_text(config, "bw-outbound-us")) == BY_URI


@pytest.mark.parametrize(
    ("uri", "header"),
    [
        ("sip:a,b@h.test", "X-Dialed-Number"),
        ("sip:a)@h.test", "X-Dialed-Number"),
        ("sip:a@h.test\n[x]", "X-Dialed-Number"),
        ("sip:a@h.test", "To"),
        ("sip:a@h.test", "X-a^b"),
        ("", "X-Dialed-Number"),
        ("sip:a@h.test", ""),
    ],
)
def test_a_sip_uri_or_a_header_that_would_become_dialplan_is_refused(uri: str, header: str) -> None:
    with pytest.raises(SettingsError):
        checks.check_route(replace(ROUTE, request_uri=uri, number_header=header))


def test_each_way_of_dialling_becomes_the_same_number() -> None:
    assert text.route_patterns("NXXNXXXXXX", "+1") == [
        ("NXXNXXXXXX", "+1"),
        ("1NXXNXXXXXX", "+"),
        ("+1NXXNXXXXXX", ""),
    ]
    assert text.route_patterns("+XXX", "") == [("+XXX", "")]


def test_a_trunk_has_no_registration_and_no_realm_of_its_own() -> None:
    config = text.trunk_pjsip(TRUNK)
    assert "registration" not in config
    assert "realm" not in config
    assert "qualify_frequency = 0" in config


def test_the_inbound_context_holds_what_the_trunks_name_once_and_includes_nothing() -> None:
    lines = text.inbound_dialplan({"b": "101", "c": "102", "a": "101"}).splitlines()
    assert lines == [
        "[bw-inbound]",
        "exten => 101,1,NoOp(trunk a)",
        " same => n,NoOp(trunk b)",
        " same => n,Dial(PJSIP/101,60,i)",
        " same => n,Goto(bw-hangup,inbound,1)",
        "exten => 102,1,NoOp(trunk c)",
        " same => n,Dial(PJSIP/102,60,i)",
        " same => n,Goto(bw-hangup,inbound,1)",
    ]
    steps = steps_from_text("\n".join(lines), "bw-inbound")
    assert [inbound_extension_from(name, steps) for name in "abcd"] == ["101", "101", "102", None]


@pytest.mark.parametrize(
    "step",
    [Step("", "", ""), Step("800", "Dial", "PJSIP/800,60,i"), Step("101", "NoOp", "x"), Step("_X.", "NoOp", "trunk c")],
)
def test_an_inbound_context_that_holds_more_is_not_as_written(step: Step) -> None:
    steps = steps_from_text(text.inbound_dialplan({"a": "101"}), "bw-inbound")
    assert inbound_extension_from("a", [*steps, step]) == NOT_AS_WRITTEN
    assert inbound_extension_from("b", [*steps, step]) == NOT_AS_WRITTEN


def test_a_redirection_that_would_be_followed_is_seen() -> None:
    config = text.inbound_dialplan({"a": "101"}) + text.route_dialplan(ROUTE)
    config = config.replace("60,i", "60")
    assert inbound_extension_from("a", steps_from_text(config, "bw-inbound")) == NOT_AS_WRITTEN
    route = route_from("us", steps_from_text(config, "bw-outbound-us"))
    assert route == replace(ROUTE, forwarding=True)


def test_a_route_to_which_something_was_added_is_seen() -> None:
    config = text.route_dialplan(ROUTE) + "exten => 0,1,Dial(Local/800@office)\n"
    assert route_from("us", steps_from_text(config, "bw-outbound-us")) == replace(ROUTE, trunk=NOT_AS_WRITTEN)


@pytest.mark.parametrize("line", ["allow_transfer = no\n", "redirect_method = user\n"])
def test_a_transfer_that_would_be_obeyed_is_seen(line: str) -> None:
    other = line.replace("= user", "= uri_pjsip").replace("= no", "= yes")
    trunk = settings_from_text(text.trunk_pjsip(TRUNK).replace(line, other))
    assert trunk_from("bandwidth", trunk, "101", False) == replace(TRUNK, transfers=True)
    phone = settings_from_text(text.extension_pjsip(EXTENSION).replace(line, other))
    assert extension_from("101", phone) == replace(EXTENSION, transfers=True)


@pytest.mark.parametrize("pattern", ["X.", "X!", "NXX*", "X#", "1+X", "[9-]X", "[+-9]", "", "X&", "X,1"])
def test_a_pattern_that_could_match_more_than_digits_is_refused(pattern: str) -> None:
    with pytest.raises(SettingsError):
        checks.check_route(replace(ROUTE, pattern=pattern, prepend=""))


@pytest.mark.parametrize("pattern", ["NXXNXXXXXX", "+1NXXNXXXXXX", "[2-9]XX", "[02-46-9]Z"])
def test_a_pattern_of_digits_is_fit(pattern: str) -> None:
    checks.check_route(replace(ROUTE, pattern=pattern, prepend=""))


def test_nobody_can_ask_for_transfers_or_forwarding() -> None:
    for check, thing in (
        (checks.check_trunk, replace(TRUNK, transfers=True)),
        (checks.check_extension, replace(EXTENSION, transfers=True)),
        (checks.check_route, replace(ROUTE, forwarding=True)),
    ):
        with pytest.raises(SettingsError, match="cost"):
            check(thing)  # type: ignore[operator]


def test_identifies_are_read_with_their_names_and_networks() -> None:
    output = ["Identify:  <Identify/Endpoint...>", "Match:  <criteria...>", "Identify:  a-b/c", "Match: 10.0.0.0/8",
              "Match: fe80::/64", "Match: !10.1.0.0/16", "Identify:  x/800", "Header: X-A: b"]  # fmt: skip
    assert [(name, end, [str(n) for n in nets]) for name, end, nets in identifies_from(output)] == [
        ("a-b", "c", ["10.0.0.0/8", "fe80::/64"]),
        ("x", "800", []),
    ]


@given(st.lists(st.binary(max_size=20)), st.booleans())
def test_the_include_line_comes_and_goes_without_a_trace(lines: list[bytes], ends: bool) -> None:
    line = b"#tryinclude bw-runbook/pjsip.conf\n"
    before = b"\n".join(lines) + (b"\n" if ends else b"")
    once = text.with_include(before, line)
    assert text.with_include(once, line) == once
    assert text.without_include(once, line) == before


def test_blocks_are_replaced_one_by_one() -> None:
    blocks = {("trunk", "a"): text.Block("one\n", "north"), ("extension", "101"): text.Block("two\n")}
    again = text.split_blocks(text.join_blocks(blocks, "head\n"))  # type: ignore[arg-type]
    assert again == blocks
    assert text.join_blocks({}, "head\n") == ""


@pytest.mark.parametrize("line", ["password = x1y", "  secret=x1y", "md5_cred => x1y", "Password=x1y ; comment"])
def test_secrets_are_masked(line: str) -> None:
    masked = text.mask_secrets(f"[a]\n{line}\nusername = u\n")
    assert "x1y" not in masked
    assert "username = u" in masked


@pytest.mark.parametrize("product", by_hand.PRODUCTS)
def test_a_sheet_says_all_but_the_secrets(product: str) -> None:
    sheet = by_hand.settings_sheet(product, TRUNK, ROUTE, EXTENSION)
    for value in ("r.test", "user", "+19195550100", "NXXNXXXXXX", "101", "site file"):
        assert value in sheet
    assert "geheim" not in sheet


def test_freepbx_gets_the_two_halves_of_a_user_name_with_an_at_sign() -> None:
    sheet = by_hand.settings_sheet("freepbx", replace(TRUNK, username="user@r.test"), ROUTE, EXTENSION)
    rows = dict(line.split("  ", 1) for line in sheet.splitlines() if " > " in line and "  " in line)
    assert {label: value.strip() for label, value in rows.items() if "sername" in label} == {
        "pjsip Settings > General > Username": "user",
        "pjsip Settings > General > Auth username": "user@r.test",
    }
