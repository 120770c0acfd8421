"""A thousand request bodies that mean harm or make no sense, the same ones each time.

Every one names the route it is meant for. `may_pass`: it can turn out to be valid by chance, so only a crash is wrong.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

XML, JSON, FORM = "application/xml", "application/json", "application/x-www-form-urlencoded"
COUNT = 1_000
TEN_MB = 10_000_000

VALID = {
    "applications": "<Application><ServiceType>Voice-V2</ServiceType><AppName>{0}</AppName>"
    "<CallInitiatedCallbackUrl>http://127.0.0.1:9/{0}</CallInitiatedCallbackUrl></Application>",
    "realms": "<Realm><Realm>{0}</Realm><Description>{0}</Description><Default>false</Default></Realm>",
    "sipcredentials": "<SipCredentials><SipCredential><UserName>{0}</UserName><Hash1>" + "a" * 32 + "</Hash1>"
    "<Hash1b>" + "b" * 32 + "</Hash1b></SipCredential></SipCredentials>",
}
ROUTES = {"applications": "/applications", "realms": "/realms", "sipcredentials": "/realms/{realm}/sipcredentials"}
# One field each that must be a text of a certain form.
STRICT = {
    "applications": "<Application><ServiceType>Voice-V2</ServiceType><AppName>x</AppName>"
    "<CallInitiatedCallbackUrl>{0}</CallInitiatedCallbackUrl></Application>",
    "realms": "<Realm><Realm>{0}</Realm><Default>false</Default></Realm>",
    "sipcredentials": "<SipCredentials><SipCredential><UserName>{0}</UserName><Hash1>a</Hash1><Hash1b>b</Hash1b>"
    "</SipCredential></SipCredentials>",
}
CALL = {"to": "sip:101@127.0.0.1:9", "from": "{number}", "applicationId": "{application}", "answerUrl": "http://x.y/"}

# fmt: off
_TEXTS = (
    "", " ", "<b/>", "<b>x</b>", "\u202e\u2066", "a b", "a\tb\nc", "../../etc/passwd", "%00", "&#0;", "&#xD800;",
    "<![CDATA[<script>alert(1)</script>]]>", "&lt;script&gt;", "x\x00y", "x\x0by", "\ud800", "'; drop table realms;--",
    "&#13;&#10;Set-Cookie: a=b", "${jndi:ldap://127.0.0.1/}", "{{7*7}}", "é" * 100, "a" * 100_000, ":", "http://",
    "javascript:alert(1)", "http://[::1", "//x", "file:///etc/passwd", "http://x y/", "\U0001f4a3" * 50,
)
_ROOTS = (
    "", " ", "<", "<>", "</Realm>", "<?xml version='1.0'?>", "<?xml version='9'?><Realm/>", "<a/><b/>", "null", "[]",
    "<x:{noun} xmlns:x='urn:x'/>", "<Realm xmlns='urn:x'/>", "<" + "n" * 100_000 + "/>", "<!-- only this -->", "\ufeff",
    "<soap:Envelope/>", "<html><body>sign in</body></html>", "<Realm></Realm", "<{other}s/>", "<a b=/>", "<Realm/>\0",
    "<Realm a='1' a='2'/>", "<Realm>&undefined;</Realm>", "<Realm><![CDATA[</Realm>", "<?php system('id') ?>",
)
_NAMES = (
    "utf-7", "cp037", "x-user-defined", "gb18030", "shift_jis", "utf-32", "ucs-4", "idna", "zlib", "rot13", "",
    "\u00e9",
)
_URLS = (
    "ftp://x/", "http://", "http://[::1", "//x", "x", "javascript:alert(1)", "http:///a", "http://127.0.0.1:99999/",
    "http://127.0.0.1:port/", "http://a b/", "http://x\r\nX: y/", "http://\u0000/", "http://" + "a" * 3_000, "http://x:-1/",
)
_DOCUMENTS = (
    b"", b"null", b"5", b"[]", b'"x"', b"true", b"{", b"}", b"{]", b'{"a"}', b"{'a': 1}", b"NaN", b"-Infinity", b"{}{}",
    b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b'{"\xff": 1}', b"\x00", b"1" * 100_000, b'{"to": "\xed\xa0\x80"}',
    b"a=b", b'"' + b"\\" * 99_999, b'{"to":"x","to":"y"}', b"/**/{}", b"<Realm/>", b"\xe2\x80\xa8{}", b"[" * 10,
    b'{"state": []}', b'{"redirectUrl": 5}', b'{"redirectUrl": "http://x/", "redirectFallbackUrl": 5}',
    b'{"state": "completed", "tag": 1}',
)
_FORMS = (
    b"", b"=", b"&" * 10_000, b"grant_type", b"grant_type=", b"grant_type=password&username=a&password=b", b"%", b"%00",
    b"grant_type=%zz", b"grant_type=\xff\xfe", b"grant_type=client_credentials\0", b"grant_type[]=client_credentials",
    b"grant_type=" + b"x" * 100_000, b"a=b&" * 50_000, b"grant_type=%00", b"\r\n\r\n", b";" * 99, b"+" * 5_000,
    b"a" * 200_000, b"grant_type=client_credentials%20", b"grant_type=a&grant_type=client_credentials2",
)
# fmt: on


@dataclass(frozen=True)
class Hostile:
    """path: below the account, or "token". chunked: sent without saying how long it is."""

    family: str
    path: str
    body: bytes
    content_type: str = XML
    method: str = "POST"
    may_pass: bool = False
    chunked: bool = False
    encoding: str = ""


Family = Callable[[random.Random], Hostile]


def hostile_bodies(seed: int = 20261123) -> list[Hostile]:
    draw = random.Random(seed)
    families = [*_XML_FAMILIES, *_JSON_FAMILIES, *_FORM_FAMILIES]
    made = [families[number % len(families)](draw) for number in range(COUNT - len(_OVERSIZED))]
    return [*made, *(family(draw) for family in _OVERSIZED)]


def sample(count: int, seed: int = 7) -> list[Hostile]:
    """Some of them: of each family about as many, and all the oversized ones."""
    every = hostile_bodies()
    oversized = every[-len(_OVERSIZED) :]
    rest = every[: -len(_OVERSIZED)]
    start = random.Random(seed).randrange(len(rest))
    return [*(rest + rest)[start : start + count - len(oversized)], *oversized]


# -------------------------------------------------------------------- XML


def _xml(family: str, noun: str, text: str | bytes, **options: Any) -> Hostile:
    body = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return Hostile(family, ROUTES[noun], body, **options)


def _noun(draw: random.Random) -> str:
    return draw.choice(list(VALID))


def bombs(draw: random.Random) -> Hostile:
    noun, depth, width = _noun(draw), draw.randint(3, 12), draw.randint(2, 12)
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * width}">' for i in range(depth))
    text = f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]>' + STRICT[noun].format(f"&e{depth};")
    return _xml("bomb", noun, text)


def blow_ups(draw: random.Random) -> Hostile:
    noun = _noun(draw)
    text = f'<!DOCTYPE x [<!ENTITY e "{"A" * draw.randint(10_000, 100_000)}">]>'
    return _xml("quadratic blow-up", noun, text + STRICT[noun].format("&e;" * draw.randint(1_000, 20_000)))


def outsiders(draw: random.Random) -> Hostile:
    noun = _noun(draw)
    source = draw.choice(
        ["file:///etc/passwd", "file:///proc/self/environ", "http://127.0.0.1:9/x", "ftp://127.0.0.1/"]
    )
    kind = draw.choice(
        [
            f'<!DOCTYPE x [<!ENTITY e SYSTEM "{source}">]>',
            f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{source}"> %p;]>',
            f'<!DOCTYPE x [<!ENTITY e PUBLIC "any" "{source}">]>',
        ]
    )
    return _xml("external entity", noun, kind + STRICT[noun].format("&e;"))


def nests(draw: random.Random) -> Hostile:
    noun, depth = _noun(draw), draw.choice([50, 1_000, 20_000, 120_000])
    root = VALID[noun].partition(">")[0] + ">"
    inside = f"{root}{'<a>' * depth}x{'</a>' * depth}{root.replace('<', '</')}"
    return _xml("deep XML", noun, inside if draw.random() < 0.7 else "<a>" * depth)


def crowds(draw: random.Random) -> Hostile:
    noun, count = _noun(draw), draw.randint(1_000, 20_000)
    root = VALID[noun].partition(">")[0][1:]
    if draw.random() < 0.5:
        return _xml("many attributes", noun, f"<{root} {' '.join(f'a{i}={chr(34)}{chr(34)}' for i in range(count))}/>")
    return _xml("many elements", noun, f"<{root}>{'<Nothing/>' * count}</{root}>")


def wrong_texts(draw: random.Random) -> Hostile:
    noun = _noun(draw)
    text = draw.choice(_TEXTS)
    return _xml("wrong text", noun, STRICT[noun].format(text))


def wrong_roots(draw: random.Random) -> Hostile:
    noun, other = _noun(draw), _noun(draw)
    text = draw.choice(_ROOTS).format(noun=noun, other=other)
    return _xml("wrong root", noun, text)


def encodings(draw: random.Random) -> Hostile:
    noun = _noun(draw)
    named = draw.choice(_NAMES)
    declared = f"<?xml version='1.0' encoding='{named}'?>{STRICT[noun].format('é')}"
    body = draw.choice(
        [
            declared.encode(),
            STRICT[noun].format("é").encode("latin-1"),
            STRICT[noun].format("é").encode("utf-16-le"),
            STRICT[noun].format("é").encode("utf-32"),
            b"<?xml version='1.0' encoding='utf-16'?>" + STRICT[noun].format("x").encode(),
            STRICT[noun].format("\0").encode().replace(b"\0", b"\xc0\xaf"),
            STRICT[noun].format("\0").encode().replace(b"\0", b"\xed\xa0\x80"),
            b"\xff\xfe" + STRICT[noun].encode(),
            bytes(draw.randrange(256) for _ in range(draw.randint(1, 400))),
        ]
    )
    return _xml("wrong encoding", noun, body)


def mutations(draw: random.Random) -> Hostile:
    """A valid body with some bytes changed, cut out, doubled, or its end missing."""
    noun = _noun(draw)
    body = bytearray(VALID[noun].format(f"m{draw.randrange(10**9)}").encode())
    for _ in range(draw.randint(1, 8)):
        body = body or bytearray(b"<a/>")
        place = draw.randrange(len(body))
        match draw.randrange(4):
            case 0:
                body[place] = draw.randrange(256)
            case 1:
                del body[place : place + draw.randint(1, 9)]
            case 2:
                body[place:place] = body[place : place + draw.randint(1, 40)]
            case _:
                del body[max(place, 2) :]
    return _xml("mutation", noun, bytes(body), may_pass=True)


def compressed(draw: random.Random) -> Hostile:
    noun = _noun(draw)
    return _xml("compressed", noun, gzip.compress(b"<a>" * draw.randint(10, 10**6), mtime=0), encoding="gzip")


def mislabelled(draw: random.Random) -> Hostile:
    noun = _noun(draw)
    kind = draw.choice(
        [JSON, FORM, "text/plain", "", "application/xml\x20;", "multipart/form-data", "x" * 1_000, "*/*"]
    )
    return _xml("wrong type", noun, VALID[noun].format("x"), content_type=kind, may_pass=kind.startswith(XML))


def replaced(draw: random.Random) -> Hostile:
    """Any of these by PUT, to an object that is there and to paths that are none."""
    one = draw.choice(_XML_FAMILIES[:-3])(draw)
    suffix = draw.choice(
        ["/{realm}", "/0", "/-1", "/" + "9" * 40, "/%00", "/%2e%2e%2f", "/%ff", "/" + "a" * 2_000, "/%F0%9F"]
    )
    return replace(one, method=draw.choice(["PUT", "PATCH"]), path=one.path + suffix, may_pass=True)


def of_the_account(draw: random.Random) -> Hostile:
    """Any of these to the credentials below the account."""
    return replace(draw.choice(_XML_FAMILIES[:8])(draw), family="account level", path="/sipcredentials")


# -------------------------------------------------------------------- JSON


def _json(family: str, body: object, path: str = "/calls", **options: Any) -> Hostile:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Hostile(family, path, data, JSON, **options)


def deep_json(draw: random.Random) -> Hostile:
    depth, (left, right) = draw.choice([100, 5_000, 200_000]), draw.choice([("[", "]"), ('{"a":', "}")])
    inner = left * depth + "1" + right * depth if draw.random() < 0.7 else left * depth
    text = inner if draw.random() < 0.5 else json.dumps(CALL)[:-1] + f', "tag": {inner}}}'
    return _json("deep JSON", text.encode())


def wrong_types(draw: random.Random) -> Hostile:
    texts = ("to", "from", "applicationId", "answerUrl")
    name = draw.choice([*texts, "answerMethod", "disconnectUrl", "callTimeout", "callbackTimeout", "priority", "tag"])
    value = draw.choice(
        [[], {}, [[1]], {"a": {}}, True, 1e400, -1, 10**400, "\ud800", "\0", "x" * 100_000, [None] * 500]
    )
    if name == "tag" and isinstance(value, str):
        value = 5
    return _json("wrong JSON type", {**CALL, name: value})


def wrong_urls(draw: random.Random) -> Hostile:
    name = draw.choice(["answerUrl", "answerFallbackUrl", "disconnectUrl"])
    url = draw.choice(_URLS)
    return _json("wrong URL", {**CALL, name: url})


def wrong_documents(draw: random.Random) -> Hostile:
    path = draw.choice(["/calls", "/calls/c-1", "/calls/%00", "/calls/" + "c" * 1_000])
    return _json("wrong JSON", draw.choice(_DOCUMENTS), path=path)


def mutated_json(draw: random.Random) -> Hostile:
    body = bytearray(json.dumps({**CALL, "to": "sip:101@127.0.0.1:9"}).encode())
    for _ in range(draw.randint(1, 6)):
        body[draw.randrange(len(body))] = draw.randrange(256)
    return _json("mutated JSON", bytes(body), may_pass=True)


def platform(draw: random.Random) -> Hostile:
    """To the JSON API of an application's Inbound SIP URI."""
    flag, addresses = (
        draw.choice(["inboundSipCallsEnabled", "passwordAuthEnabled"]),
        ["allowedSourceIps", "allowedRegions"],
    )
    body = draw.choice(
        [
            {flag: draw.choice([None, 1, "true", [], {}, 10**400, "\ud800"])},
            {
                draw.choice(addresses): draw.choice(
                    [5, {}, "x", [5], [[]], ["x" * 1_000], ["\ud800"], [None], ["\0" * 65]]
                )
            },
            {"allowedSourceIps": [draw.choice(["1.2.3.4/99", "::/129", "x", "0.0.0.0/0/0", "", "127.0.0.1; rm"])]},
            b"[" * draw.randint(10, 300_000),
            draw.choice(_DOCUMENTS),
        ]
    )
    options = {"method": "PATCH", "path": "/voice-applications/{application}"}
    return _json("platform JSON", body, **options, may_pass=isinstance(body, bytes))


# -------------------------------------------------------------------- forms


def _form(family: str, body: bytes, content_type: str = FORM) -> Hostile:
    return Hostile(family, "token", body, content_type)


def forms(draw: random.Random) -> Hostile:
    return _form("form", draw.choice(_FORMS))


def multiparts(draw: random.Random) -> Hostile:
    part = b'--b\r\nContent-Disposition: form-data; name="grant_type"%s\r\n\r\n%s\r\n'
    body, kind = draw.choice(
        [
            (b"anything", "multipart/form-data"),
            (b"--b--", "multipart/form-data; boundary="),
            (b"--b\r\n" * 1_000, "multipart/form-data; boundary=b"),
            (part % (b"", b"x") * 2_000 + b"--b--\r\n", "multipart/form-data; boundary=b"),
            (part % (b'; filename="../../x"', b"client_credentials") + b"--b--\r\n", "multipart/form-data; boundary=b"),
            (part % (b"", b"x" * 900_000) + b"--b--\r\n", "multipart/form-data; boundary=b"),
            (b"--b\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", "multipart/form-data; boundary=b"),
            (b"--b\r\nContent-Disposition: \xff\xff\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b"),
            (b'{"grant_type":"client_credentials"}', JSON),
            (b"<grant_type/>", XML),
        ]
    )
    return _form("multipart", body, kind)


# -------------------------------------------------------------------- too large


def _oversized() -> Iterator[Family]:
    for noun in VALID:
        text = VALID[noun].format("x" * TEN_MB).encode()
        yield lambda draw, noun=noun, text=text: _xml("10 MB", noun, text)
        yield lambda draw, noun=noun, text=text: _xml("10 MB, chunked", noun, text, chunked=True)
    big = json.dumps({**CALL, "tag": "x" * TEN_MB}).encode()
    yield lambda draw: _json("10 MB", big)
    yield lambda draw: _json("10 MB, chunked", b"[" * TEN_MB, chunked=True)
    yield lambda draw: _form("10 MB", b"grant_type=client_credentials&a=" + b"x" * TEN_MB)
    yield lambda draw: _form("10 MB", b"&" * TEN_MB)


_XML_FAMILIES: list[Family] = [
    *(bombs, blow_ups, outsiders, nests, crowds, wrong_texts, wrong_roots, encodings, mutations),
    *(wrong_texts, encodings, compressed, mislabelled, replaced, of_the_account),
]
_JSON_FAMILIES: list[Family] = [
    deep_json,
    wrong_types,
    wrong_types,
    wrong_urls,
    wrong_documents,
    mutated_json,
    platform,
]
_FORM_FAMILIES: list[Family] = [forms, multiparts]
_OVERSIZED: list[Family] = list(_oversized())
