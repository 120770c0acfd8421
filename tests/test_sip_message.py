"""SIP messages: reading, writing, and refusing."""

from __future__ import annotations

import pytest

from bwlib.sip.message import Headers, Request, Response, SipMessageError, Via, parse_message

MINIMAL = (
    b"OPTIONS sip:101@h SIP/2.0\r\nVia: SIP/2.0/UDP h:5070;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
    b"To: <sip:101@h>\r\nCall-ID: x@y\r\nCSeq: 7 OPTIONS\r\n\r\n"
)


def without(line_start: bytes) -> bytes:
    return b"\r\n".join(line for line in MINIMAL.split(b"\r\n") if not line.startswith(line_start))


def test_a_request_reads_and_writes_as_it_was() -> None:
    request = parse_message(MINIMAL)
    assert isinstance(request, Request)
    assert (request.method, request.uri, request.call_id, request.cseq) == (
        "OPTIONS",
        "sip:101@h",
        "x@y",
        (7, "OPTIONS"),
    )
    assert request.encode() == MINIMAL[:-2] + b"Content-Length: 0\r\n\r\n"


def test_compact_names_case_and_folding_are_understood() -> None:
    data = MINIMAL.replace(b"Via:", b"v :").replace(b"Call-ID: x@y", b"I:\r\n  x@y").replace(b"From:", b"fROM:")
    request = parse_message(data)
    assert request.call_id == "x@y"
    assert request.headers.get("from") == request.headers.get("f") == "<sip:a@h>;tag=1"
    assert request.top_via.port == 5070


def test_several_values_of_a_header_keep_their_order() -> None:
    headers = Headers([("Route", "<sip:a;lr>, <sip:b;lr>"), ("P-X", "1"), ("route", "<sip:c;lr>")])
    assert headers.get_list("ROUTE") == ["<sip:a;lr>", "<sip:b;lr>", "<sip:c;lr>"]
    headers.set("Route", "<sip:d>")
    assert list(headers) == [("Route", "<sip:d>"), ("P-X", "1")]


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nY: b"), ("X", "a\nb"), ("X\r\nY", "a"), ("", "a"), ("X Y", "a")]
)
def test_a_header_cannot_smuggle_another(name: str, value: str) -> None:
    with pytest.raises(SipMessageError):
        Headers().add(name, value)


def test_a_start_line_cannot_smuggle_a_header() -> None:
    with pytest.raises(SipMessageError):
        Response(200, "OK\r\nX: y").encode()
    with pytest.raises(SipMessageError):
        Request("INVITE", "sip:a\r\nX: y").encode()


@pytest.mark.parametrize("line", [b"Via", b"From", b"To", b"Call-ID", b"CSeq"])
def test_a_required_header_must_be_there(line: bytes) -> None:
    with pytest.raises(SipMessageError) as caught:
        parse_message(without(line))
    assert caught.value.partial is None, "without it nobody can be answered"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"CSeq: 7 OPTIONS", b"CSeq: 7 INVITE", 400),
        (b"CSeq: 7 OPTIONS", b"CSeq: 99999999999 OPTIONS", 400),
        (b"CSeq: 7 OPTIONS", b"CSeq: seven OPTIONS", 400),
        (b"h:5070", b"h:99999", 400),
        (b"h:5070", b"h:-1", 400),
        (b"tag=1\r\n", b"tag=1\r\nMax-Forwards: 300\r\n", 400),
        (b"tag=1\r\n", b"tag=1\r\nTo: <sip:b@h>\r\n", 400),
        (b"tag=1\r\n", b"tag=1\r\nContent-Length: 5\r\n", 400),
        (b"tag=1\r\n", b"tag=1\r\nContent-Length: -5\r\n", 400),
        (b"tag=1\r\n", b"tag=1\r\nno colon here\r\n", 400),
        (b"tag=1\r\n", b"tag=1\r\nSubject: a\nb\r\n", 400),
        (b"tag=1\r\n", b"tag=1\r\nSubject: \xff\xfe\r\n", 400),
        (b"sip:101@h SIP/2.0", b"<sip:101@h> SIP/2.0", 400),
        (b"sip:101@h SIP/2.0", b"sip:101@h;x y SIP/2.0", 400),
        (b"sip:101@h SIP/2.0", b"tel:+1919 SIP/2.0", 416),
        (b"sip:101@h SIP/2.0", b"sip:101@h SIP/7.0", 505),
    ],
)
def test_a_bad_request_is_refused_but_can_be_answered(old: bytes, new: bytes, status: int) -> None:
    with pytest.raises(SipMessageError) as caught:
        parse_message(MINIMAL.replace(old, new, 1))
    assert caught.value.status == status
    assert caught.value.partial is not None
    assert caught.value.partial.response(status).encode().startswith(f"SIP/2.0 {status} ".encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\x00" * 50,
        b"hello",
        b"GET / HTTP/1.1\r\n\r\n",
        b"SIP/2.0 99 x\r\n\r\n",
        b"SIP/2.0 9999\r\n\r\n",
        MINIMAL.replace(b"\r\n", b"\n"),
        b"A" * 70000,
        b"OPTIONS sip:" + b"a" * 20000 + b" SIP/2.0\r\n\r\n",
    ],
)
def test_what_is_not_sip_is_refused_without_an_answer(data: bytes) -> None:
    with pytest.raises(SipMessageError) as caught:
        parse_message(data)
    assert caught.value.partial is None


def test_too_many_headers_are_refused() -> None:
    with pytest.raises(SipMessageError):
        parse_message(MINIMAL.replace(b"CSeq", b"X: y\r\n" * 300 + b"CSeq"))


def test_bytes_after_the_body_are_left_out() -> None:
    message = parse_message(MINIMAL.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabcdef"))
    assert message.body == b"abc"


def test_a_response_copies_what_the_rfc_asks_for() -> None:
    request = parse_message(MINIMAL.replace(b"CSeq", b"Via: SIP/2.0/UDP b\r\nRecord-Route: <sip:p;lr>\r\nCSeq"))
    assert isinstance(request, Request)
    ok, busy, trying = (request.response(status, to_tag="t") for status in (200, 486, 100))
    assert ok.headers.get_all("Via") == request.headers.get_all("Via")
    assert (ok.to_addr.tag, busy.to_addr.tag, trying.to_addr.tag) == ("t", "t", "")
    assert ok.headers.get("Record-Route") == "<sip:p;lr>"
    assert busy.headers.get("Record-Route") is None


def test_sdp_is_told_from_other_bodies() -> None:
    request = Request("INVITE", "sip:a@h")
    request.set_body("Application/SDP; charset=utf-8", "v=0\r\n")
    assert request.sdp == "v=0\r\n"
    request.set_body("text/plain", "v=0\r\n")
    assert request.sdp == ""


def test_a_via_with_blanks_everywhere_is_read() -> None:
    via = Via.parse("SIP  / 2.0  / UDP   192.0.2.2 : 5070 ; branch = z9hG4bK1 ; rport")
    assert (via.host, via.port, via.branch) == ("192.0.2.2", 5070, "z9hG4bK1")
    assert str(via) == "SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK1;rport"


def test_a_repr_shows_no_header_values() -> None:
    assert "abc" not in repr(Headers([("Authorization", 'Digest response="abc"')]))
