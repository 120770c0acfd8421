"""Keep secrets out of whatever is written: known values in every form we know, and fields that are always secret.

A `Redactor` knows the secrets of this run (passwords, tokens, HA1) and replaces each of their forms: plain, URL, JSON,
HTML, hex and base64 at all three alignments. What it cannot see is text that somebody transformed on purpose; the
first line of defence is that secrets are references and `SecretStr`, this is the net below it.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MINIMUM_LENGTH = 6

# Always secret by their place, whoever's they are. RFC 7616 `response`, Bandwidth's Hash1/Hash1b, OAuth2 tokens.
_PLACES = (
    (re.compile(r'(\bresponse\s*=\s*\\?"?)[0-9a-fA-F]{32}'), r"\1«redacted:digest-response»"),
    (re.compile(r"(<(Hash1b?)>)[^<]*(</)"), r"\1«redacted:\2»\3"),
    # BXML's username/password attributes for a callback URL, as they are and inside JSON
    (re.compile(r'(\b(?:fallbackP|p)assword=\\?")[^"\\]*'), r"\1«redacted:password»"),
    (re.compile(r"(<Password>)[^<]*(</)"), r"\1«redacted:password»\2"),
    (re.compile(r'(\\?"access_token\\?"\s*:\s*\\?")[^"\\]+'), r"\1«redacted:token»"),
    (
        re.compile(r'((?<![-\w])authorization\\?"?\s*[:=]\s*\\?"?(?:Basic|Bearer)\s+)[A-Za-z0-9._~+/=-]+', re.I),
        r"\1«redacted»",
    ),
)


def forms_of(secret: str) -> set[str]:
    """Every written form of a secret that the project looks for."""
    raw = secret.encode()
    forms = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret)[1:-1])[1:-1],
        html.escape(secret),
        raw.hex(),
        raw.hex().upper(),
    }
    forms |= _base64_cores(raw)
    return {form for form in forms if len(form) >= MINIMUM_LENGTH}


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
        self._names: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def learn(self, name: str, secret: str) -> None:
        """Remember a secret under the name shown in its place. Shorter than 6 characters is not a secret."""
        if len(secret) < MINIMUM_LENGTH:
            return
        with self._lock:
            if secret in self._names:
                return
            for form in forms_of(secret):
                self._names.setdefault(form, name)
            longest_first = sorted(self._names, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """The same text with every known secret, and every always-secret field, replaced."""
        if self._pattern is not None:
            text = self._pattern.sub(lambda match: f"«redacted:{self._names[match.group()]}»", text)
        for place, replacement in _PLACES:
            text = place.sub(replacement, text)
        return text

    def findings(self, data: bytes) -> list[str]:
        """Names of the secrets that stand in `data` in any form; never the values."""
        if self._pattern is None:
            return []
        text = data.decode("utf-8", errors="replace")
        return sorted({self._names[match.group()] for match in self._pattern.finditer(text)})


def redactor_for(secrets: Iterable[tuple[str, str]]) -> Redactor:
    """A redactor that knows these (name, secret) pairs."""
    redactor = Redactor()
    for name, secret in secrets:
        redactor.learn(name, secret)
    return redactor
