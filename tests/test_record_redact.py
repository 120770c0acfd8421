"""No form of a secret survives, and the scan before the seal finds whatever the redactor would have replaced."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape as jinja_escape

from bwlib.record.redact import Redactor, redactor_for

# Whatever bwlib.secret_references lets through: printable, eight characters or more.
LETTERS = "abcXYZ0189 \"'\\/<>&;=%+?#@:,.~!$()*[]{}|^`_-éßЖ漢🎵"
SECRETS = st.text(alphabet=LETTERS, min_size=8, max_size=40).filter(lambda text: len(set(text)) >= 4)
AROUND = st.text(alphabet="QW-/=\n", max_size=5)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL": lambda s: quote(s, safe=""),
    "URL path": quote,
    "URL, small hex": lambda s: "".join(f"%{b:02x}" if f"%{b:02X}" in quote(chr(b)) else chr(b) for b in s.encode()),
    "form": quote_plus,
    "encodeURIComponent": lambda s: quote(s, safe="-_.!~*'()"),
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON, UTF-8": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda s: json.dumps(json.dumps(s))[3:-3],
    "JSON in JSON, UTF-8": lambda s: json.dumps(json.dumps(s, ensure_ascii=False), ensure_ascii=False)[3:-3],
    "HTML": html.escape,
    "HTML by Jinja": lambda s: str(jinja_escape(s)),
    "XML text": escape,
    "XML attribute": lambda s: quoteattr(s)[1:-1],
    "HTML in JSON": lambda s: json.dumps(html.escape(s))[1:-1],
    "URL in JSON": lambda s: json.dumps(quote(s, safe=""))[1:-1],
    "repr": lambda s: repr(s)[1:-1],
    "repr of bytes": lambda s: repr(s.encode())[2:-1],
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
}
ASCII_ONLY = ("URL, small hex",)


@pytest.mark.parametrize("name", ENCODINGS)
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_no_written_form_of_a_secret_survives(name: str, secret: str, before: str, after: str) -> None:
    if name in ASCII_ONLY and not secret.isascii():
        return
    form = ENCODINGS[name](secret)
    redactor = redactor_for([("the-password", secret)])
    assert form not in redactor.text(f"{before}{form}{after}")
    assert redactor.findings(f"{before}{form}{after}".encode()) == ["the-password"]


@pytest.mark.parametrize("lead", [0, 1, 2])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@given(secret=SECRETS, user=st.text(alphabet="abc123", max_size=7), tail=st.binary(max_size=4))
def test_base64_of_a_secret_is_found_at_all_three_alignments(
    lead: int, encode: Callable[[bytes], bytes], secret: str, user: str, tail: bytes
) -> None:
    redactor = redactor_for([("the-password", secret)])
    text = encode(b"x" * lead + user.encode() + b":" + secret.encode() + tail).decode()
    assert redactor.findings(text.encode()) == ["the-password"]
    redacted = redactor.text(text)
    assert "«redacted:the-password»" in redacted
    # What is left decodes to no part of the secret but its edges, which share a character with their neighbours.
    assert len(redacted.replace("«redacted:the-password»", "")) <= len(text) - len(secret)


@given(secrets=st.lists(SECRETS, min_size=1, max_size=4, unique=True), noise=AROUND)
def test_the_scan_finds_whatever_would_be_replaced_and_nothing_afterwards(secrets: list[str], noise: str) -> None:
    redactor = redactor_for([(f"n{number}", secret) for number, secret in enumerate(secrets)])
    text = noise.join(secrets)
    assert redactor.findings(text.encode())
    assert redactor.findings(redactor.text(text).encode()) == []


PLACES = {
    "digest-response": 'Authorization: Digest username="101", response="0123456789abcdef0123456789abcdef", qop=auth',
    "hash": "<SipCredential><Hash1>0123456789abcdef</Hash1></SipCredential>",
    "password": "<CallbackCreds><UserId>u</UserId><Password>correct horse</Password></CallbackCreds>",
    "token": '{"access_token": "eyJh.bGci.OiJI", "expires_in": 3600}',
    "authorization": "Authorization: Bearer eyJh.bGci.OiJI",
}
SECRET_PARTS = {
    "digest-response": "0123456789abcdef0123456789abcdef",
    "hash": "0123456789abcdef",
    "password": "correct horse",
    "token": "eyJh.bGci.OiJI",
    "authorization": "eyJh.bGci.OiJI",
}


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
@pytest.mark.parametrize("name", PLACES)
def test_fields_that_are_always_secret_are_masked_without_knowing_them(name: str, levels: int) -> None:
    text = PLACES[name]
    for _ in range(levels):
        text = json.dumps(text)
    redactor = Redactor()
    assert redactor.findings(text.encode()) == [name]
    masked = redactor.text(text)
    assert SECRET_PARTS[name] not in masked
    assert redactor.findings(masked.encode()) == []
    assert redactor.text(masked) == masked
    for _ in range(levels):
        masked = json.loads(masked)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("<Hash1b>abcdef0123</Hash1b>", "abcdef0123"),
        ('<n:Hash1 a="b">abcdef0123</n:Hash1>', "abcdef0123"),
        ("&lt;Hash1&gt;abcdef0123&lt;/Hash1&gt;", "abcdef0123"),
        ("&lt;Password&gt;s3cret&lt;/Password&gt;", "s3cret"),
        ('Proxy-Authorization: Digest response = "0123456789ABCDEF0123456789ABCDEF"', "0123456789ABCDEF"),
        ('Digest response="' + "ab" * 32 + '"', "ab" * 8),  # SHA-256
        ('Authentication-Info: rspauth="' + "ab" * 16 + '"', "ab" * 8),
        ('<Gather gatherUrl="https://x/gather" username="u" password="tr0ub4dor"/>', "tr0ub4dor"),
        (json.dumps('<Redirect fallbackPassword="tr0ub4dor"/>'), "tr0ub4dor"),
        ("&lt;Redirect password=&quot;tr0ub4dor&quot;/&gt;", "tr0ub4dor"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
    ],
)
def test_other_spellings_of_those_fields_are_masked_too(text: str, secret: str) -> None:
    assert secret not in Redactor().text(text)
    assert Redactor().findings(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "<Hash1>[redacted]</Hash1>",
        '{"access_token": "[redacted]"}',
        "authorization: Bearer [redacted]",
        "the response is 200 OK; <Password> is an element; cnonce=abc",
        "<Password></Password>",
        'nonce="0123456789abcdef0123456789abcdef"',
    ],
)
def test_ordinary_and_already_masked_text_stays_as_it_is(text: str) -> None:
    assert Redactor().text(text) == text
    assert Redactor().findings(text.encode()) == []


def test_a_value_keeps_its_shape_whatever_the_secret_looks_like() -> None:
    redactor = redactor_for([("a", "12345678"), ("b", "status:x"), ("c", '": "passed"')])
    value = {"number": 12345678, "status:x": ["12345678", None, True, 1.5], "text": 'it is": "passed" now'}
    assert redactor.value(value) == {
        "number": 12345678,
        "status:x": ["«redacted:a»", None, True, 1.5],
        "text": "it is«redacted:c» now",
    }


def test_a_value_masks_headers_and_tokens_by_their_key() -> None:
    value = {"Authorization": "Basic dXNlcjpwYXNz", "access_token": "abc", "authorization": "Bearer [redacted]"}
    assert Redactor().value(value) == {
        "Authorization": "«redacted:authorization»",
        "access_token": "«redacted:token»",
        "authorization": "Bearer [redacted]",
    }


def test_a_path_or_another_object_becomes_redacted_text(tmp_path: object) -> None:
    redactor = redactor_for([("where", str(tmp_path))])
    assert redactor.value({"path": tmp_path}) == {"path": "«redacted:where»"}


def test_a_name_cannot_break_out_of_the_json_or_html_it_is_put_into() -> None:
    redactor = redactor_for([('file:a"b\\c<d>', "correct-horse")])
    assert json.loads(redactor.text(json.dumps("correct-horse"))) == "«redacted:file:a_b_c_d_»"


def test_a_secret_inside_another_is_replaced_with_the_longer_one() -> None:
    redactor = redactor_for([("short", "horse-battery"), ("long", "correct-horse-battery-staple")])
    assert redactor.text("a correct-horse-battery-staple b") == "a «redacted:long» b"


def test_a_secret_that_is_another_ones_hex_is_still_learned_in_all_forms() -> None:
    redactor = redactor_for([("one", "password"), ("two", b"password".hex())])
    assert redactor.findings(base64.b64encode(b"password".hex().encode())) == ["two"]


def test_a_hash_is_found_in_both_cases() -> None:
    redactor = redactor_for([("HA1", "0123456789abcdef0123456789abcdef")])
    assert redactor.text("0123456789ABCDEF0123456789ABCDEF") == "«redacted:HA1»"


def test_a_secret_in_a_form_body_is_replaced() -> None:
    redactor = redactor_for([("secret", "p@ss word/1")])
    assert "p%40ss" not in redactor.text(urlencode({"client_secret": "p@ss word/1"}))


def test_very_short_texts_are_no_secrets() -> None:
    assert redactor_for([("x", "abc")]).text("abc abc") == "abc abc"


def test_findings_name_and_never_show() -> None:
    found = redactor_for([("env:SIP", "correct-horse")]).findings(b"\xff\xfe correct-horse \x00")
    assert found == ["env:SIP"]
