"""Keep secrets out of whatever is written: known values in every form we know, and fields that are always secret.

A `Redactor` knows the secrets of this run (passwords, tokens, HA1) and replaces each of their forms: plain, URL, JSON,
HTML, Python, hex and base64 at all three alignments. What it cannot see is text that somebody transformed on purpose;
the first line of defence is that secrets are references and `SecretStr`, this is the net below it.
"""

from __future__ import annotations

import base64
import html
import json
import re
import string
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MINIMUM_LENGTH = 6
# So many characters of a form, at the end of a text, may be its beginning.
BEGINNING = 4

# Already masked, by us or by the HTTP client: what stands there is no secret any more.
_SEEN = r"(?!«redacted|\[redacted\])"
_OPEN, _CLOSE = r"(?:<|&lt;)", r"(?:>|&gt;)"
# Always secret by their place, whoever's they are: (name, one of these words is there, where). Only the last group of
# each is the secret. The words, in small letters, are searched for first: patterns are slow on a long text.
# RFC 7616 `response` (RFC 7615 `rspauth`), Bandwidth's Hash1/Hash1b and callback Password, OAuth2 tokens.
# A quote may carry any number of backslashes: JSON within JSON within a notebook.
_PLACES = (
    (
        "digest-response",
        ("response", "rspauth"),
        re.compile(r"(\b(?:response|rspauth)\s*=\s*(?:\\*\")?)([0-9a-fA-F]{32,})"),
    ),
    ("hash", ("hash1",), re.compile(rf"({_OPEN}(?:\w+:)?Hash1b?(?:\s[^<>]*)?{_CLOSE}){_SEEN}([^<&]+)(?=</|&lt;/)")),
    (
        "password",
        ("password",),
        re.compile(rf"({_OPEN}(?:\w+:)?Password(?:\s[^<>]*)?{_CLOSE}){_SEEN}([^<]+?)(?=</|&lt;/)"),
    ),
    # BXML's username/password attributes for a callback URL, as they are, inside JSON and inside HTML
    (
        "password",
        ("password",),
        re.compile(rf"(\b(?:fallbackP|p)assword=(?:\\*\"|&quot;|&#34;)){_SEEN}([^\"\\&<]+)"),
    ),
    ("token", ("access_token",), re.compile(rf"(\\*\"access_token\\*\"\s*:\s*\\*\"){_SEEN}([^\"\\]+)")),
    (
        "authorization",
        ("authorization",),
        re.compile(
            r"((?<![-\w])authorization(?:\\*[\"'])?\s*[:=]\s*(?:\\*[\"'])?(?:Basic|Bearer)\s+)([A-Za-z0-9._~+/=-]+)",
            re.I,
        ),
    ),
)
# The same places where a dict, not a text, says the name.
_PLACE_NAMES = {"access_token": "token", "authorization": "authorization"}
# What quote() may be told to leave alone: nothing, "/", JavaScript's encodeURIComponent, the sub-delims of RFC 3986.
_UNQUOTED = ("", "/", "-_.!~*'()", "!$&'()*+,;=:@", "!$&'()*+,;=:@/?")
_JSON_IN_JSON = 3


def forms_of(secret: str) -> set[str]:
    """Every written form of a secret that the project looks for."""
    raw = secret.encode()
    forms = {
        secret,
        secret.replace(";", "\\;"),  # Asterisk's configuration files
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        raw.hex(),
        raw.hex().upper(),
    }
    if set(secret) <= set(string.hexdigits):  # a hash: its case says nothing
        forms |= {secret.lower(), secret.upper()}
    forms |= _url_forms(secret) | _html_forms(secret) | _base64_cores(raw)
    forms |= {written for form in set(forms) for written in _json_forms(form)}
    return {form for form in forms if len(form) >= MINIMUM_LENGTH}


def _url_forms(secret: str) -> set[str]:
    forms = {quote(secret, safe=safe) for safe in _UNQUOTED} | {quote_plus(secret)}
    return forms | {re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), form) for form in forms}


def _html_forms(secret: str) -> set[str]:
    """html.escape, XML text and attributes, and Jinja's numeric quotes."""
    text = html.escape(secret, quote=False)
    return {
        html.escape(secret),
        text,
        text.replace('"', "&quot;"),
        text.replace('"', "&quot;").replace("'", "&apos;"),
        text.replace('"', "&#34;").replace("'", "&#39;"),
    }


def _json_forms(text: str) -> set[str]:
    """As it stands in JSON, in JSON within JSON, and so on; with and without \\u for what is not ASCII."""
    forms: set[str] = set()
    level = {text}
    for _ in range(_JSON_IN_JSON):
        level = {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in level for ascii_only in (True, False)}
        forms |= level
    plain = json.dumps(text)[1:-1]
    for_scripts = plain
    for character in "<>&'":
        for_scripts = for_scripts.replace(character, f"\\u{ord(character):04x}")
    return forms | {for_scripts, plain.replace("/", "\\/")}


def _base64_cores(raw: bytes) -> set[str]:
    """What stays the same in base64 whatever stands before and after, at each of the three alignments."""
    cores = set()
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw).decode()
        first = -(-lead * 8 // 6)  # characters touched by the bytes before
        last = (lead + len(raw)) * 8 // 6  # characters fully decided by lead + secret
        core = encoded[first:last]
        cores |= {core, core.replace("+", "-").replace("/", "_")}
    return cores


class Redactor:
    """Replaces secrets in text. Thread-safe; `learn` may be called at any time."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._names: dict[str, str] = {}
        self._forms: tuple[str, ...] = ()  # longest first
        self._beginnings: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def learn(self, name: str, secret: str) -> None:
        """Remember a secret under the name shown in its place. Shorter than 6 characters is not a secret."""
        if len(secret) < MINIMUM_LENGTH:
            return
        # The name is put inside JSON, XML and HTML: nothing in it may end a string or begin an element.
        shown = re.sub(r"[^\w .:/@+-]", "_", name)
        with self._lock:
            if secret in self._secrets:
                return
            self._secrets.add(secret)
            for form in forms_of(secret):
                self._names.setdefault(form, shown)
            self._forms = tuple(sorted(self._names, key=len, reverse=True))
            self._beginnings = frozenset(form[:BEGINNING] for form in self._forms)

    def text(self, text: str) -> str:
        """The same text with every known secret, and every always-secret field, replaced.

        One search per form first, and one pattern of the forms that are there: on large outputs (audio, pictures)
        thirty times faster than one pattern of all forms.
        """
        there = [form for form in self._forms if form in text]
        if there:
            pattern = "|".join(map(re.escape, there))  # longest first, still
            text = re.sub(pattern, lambda match: _mask(self._names[match.group()]), text)
        for name, place in _places_in(text):
            text = place.sub(rf"\g<1>{_mask(name)}", text)
        return text

    def value(self, value: Any) -> Any:
        """The same JSON-like value with the strings in it redacted. Keys and numbers stay: it remains what it was.

        What is no JSON (a path, a date) becomes its text.
        """
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {key: self._member(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return self.text(str(value))

    def _member(self, key: str, value: Any) -> Any:
        name = _PLACE_NAMES.get(key.lower())
        secret = name is not None and isinstance(value, str) and "redacted" not in value
        return _mask(str(name)) if secret else self.value(value)

    def findings(self, data: bytes | str) -> list[str]:
        """Names of what `text` would replace in `data`; never the values."""
        text = data if isinstance(data, str) else data.decode("utf-8", errors="replace")
        found = {self._names[form] for form in self._forms if form in text}
        return sorted(found | {name for name, place in _places_in(text) if place.search(text)})

    @property
    def longest(self) -> int:
        """The length of the longest known form."""
        return len(self._forms[0]) if self._forms else 0

    def open_end(self, text: str) -> int:
        """How many characters at the end of `text` begin a known form without finishing it: 4 or more, or 0."""
        for start in range(max(0, len(text) - self.longest + 1), len(text) - BEGINNING + 1):
            begun = text[start : start + BEGINNING] in self._beginnings
            if begun and any(form.startswith(text[start:]) and form != text[start:] for form in self._forms):
                return len(text) - start
        return 0


def _places_in(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """The always-secret places that may be in a text: a word of each must stand in it."""
    small = text.lower()
    return ((name, place) for name, words, place in _PLACES if any(word in small for word in words))


def _mask(name: str) -> str:
    return f"«redacted:{name}»"


def redactor_for(secrets: Iterable[tuple[str, str]]) -> Redactor:
    """A redactor that knows these (name, secret) pairs."""
    redactor = Redactor()
    for name, secret in secrets:
        redactor.learn(name, secret)
    return redactor
