"""SIP URIs, addresses and numbers."""

from __future__ import annotations

import pytest

from bwlib.sip.uri import (
    NameAddr,
    SipUri,
    SipUriError,
    is_e164,
    parse_host_port,
    parse_params,
    split_outside_quotes,
)


@pytest.mark.parametrize(
    "text",
    [
        "sip:realm.auth.bandwidth.test",
        "sip:+19195550100@127.0.0.1:5060",
        "sips:101@pbx.example.com;transport=tcp;lr",
        "sip:user;par=u%40example.net@example.com",
        "sip:alice:secret@example.com?subject=hi",
        "sip:101@[2001:db8::1]:5070",
    ],
)
def test_a_uri_reads_and_writes_as_it_was(text: str) -> None:
    assert str(SipUri.parse(text)) == text


def test_a_uri_is_taken_apart() -> None:
    uri = SipUri.parse("sip:%2B1919@Example.com:5070;LR;transport=udp")
    assert (uri.user, uri.host, uri.port) == ("+1919", "Example.com", 5070)
    assert uri.params == {"lr": "", "transport": "udp"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "tel:+1919",
        "sip:@host",
        "sip:a@",
        "sip:a@h:0",
        "sip:a@h:99999",
        "sip:a@h:-1",
        "sip:a@h:5060x",
        "sip:a b@h",
        "sip:a@h\r\nX: y",
        "sip:<a@h>",
        "sip:a@ho_st!",
        "sip:a@h:٣٤٥٦",
        "sip:a@[::1",
    ],
)
def test_a_bad_uri_is_refused(text: str) -> None:
    with pytest.raises(SipUriError):
        SipUri.parse(text)


def test_a_password_in_a_uri_is_not_in_its_repr() -> None:
    assert "hunter2" not in repr(SipUri.parse("sip:alice:hunter2@example.com"))


def test_a_decoded_user_cannot_start_a_header() -> None:
    uri = SipUri.parse("sip:a%0d%0aX%3a%20y@example.com")
    assert uri.user == "a\r\nX: y"
    assert "\r" not in str(uri)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("127.0.0.2:5061", ("127.0.0.2", 5061)), (" pbx ", ("pbx", 5060)), ("[::1]:9", ("[::1]", 9))],
)
def test_host_and_port_are_read(text: str, wanted: tuple[str, int]) -> None:
    assert parse_host_port(text) == wanted


@pytest.mark.parametrize("text", ["", ":5060", "host:", "host:0", "host:70000", "a b", "host:1:2"])
def test_a_bad_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(SipUriError):
        parse_host_port(text)


@pytest.mark.parametrize("text", ["+19195550100", "+4930123456", "+123456789012345"])
def test_e164_numbers_are_recognised(text: str) -> None:
    assert is_e164(text)


@pytest.mark.parametrize(
    "text", ["19195550100", "+0123456789", "+1", "+1234567890123456", "+1919555010x", "", "+١٢٣٤٥٦٧٨"]
)
def test_other_numbers_are_not_e164(text: str) -> None:
    assert not is_e164(text)
    assert not is_e164(text + "\n")


def test_a_name_addr_keeps_name_uri_and_tag() -> None:
    address = NameAddr.parse('"A. \\"Bell\\", <x>" <sip:101@h;user=phone>;tag=abc;x="1;2"')
    assert address.display_name == 'A. "Bell", <x>'
    assert address.sip_uri().user == "101"
    assert address.tag == "abc"
    assert NameAddr.parse(str(address)) == address


def test_parameters_without_brackets_are_the_headers() -> None:
    address = NameAddr.parse("sip:101@h;tag=1")
    assert (address.uri, address.tag) == ("sip:101@h", "1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "101",
        "<sip:a@h",
        '"open <sip:a@h>',
        "Bell, A <sip:a@h>",
        "<sip:a@h> x",
        "sip:a@h?b=c",
        "<sip:a@h>;tag=1;tag=2",
    ],
)
def test_a_bad_name_addr_is_refused(text: str) -> None:
    with pytest.raises(SipUriError):
        NameAddr.parse(text)


def test_splitting_respects_quotes_and_brackets() -> None:
    assert split_outside_quotes('a, "b,\\"c", <d,e>,,', ",") == ["a", '"b,\\"c"', "<d,e>"]


def test_parameters_are_read_with_blanks_around() -> None:
    assert parse_params(' ; Branch = z9 ; flag ; q="a;b"') == {"branch": "z9", "flag": "", "q": '"a;b"'}
