"""Read OpenSSH's allowed_signers as ssh-keygen does; what it would not use is not used here, and that is said.

    principal[,principal...] [option[,option...]] keytype base64-key [comment]

Only Ed25519 keys matter here; lines with other keys are passed over in silence, since people share one file with git.
Stricter than OpenSSH in two ways, on the safe side: a time that is no date (30 February) and an empty principal spoil
their line.

Source: sshsig.c and ALLOWED SIGNERS in ssh-keygen.1, https://github.com/openssh/openssh-portable (checked 2026-11-24)
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from dataclasses import dataclass
from datetime import UTC, datetime

from bwlib.record.signature import KEY_TYPE, PublicKey, parse_public_key

_OTHER_KEY_TYPES = re.compile(
    rb"(ssh-(rsa|dss|mldsa\S*)|ecdsa-sha2-nistp\d+|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
    rb"|(webauthn-)?\S+-cert-v01@openssh\.com)"
)
_QUOTED = rb'(?:\\"|\\(?!")|[^"\\])*'
_BLANKS = b" \t\r\n"
_TIME_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True)
class AllowedSigner:
    """One line that can be used. Times are seconds since 1970, None when the line sets no limit."""

    line: int
    principals: str
    key: PublicKey
    namespaces: str | None = None
    valid_after: int | None = None
    valid_before: int | None = None

    @property
    def principal(self) -> str:
        """The first plain name of the line, which `ssh-keygen -Y verify -I` takes; the list when all are patterns."""
        plain = [name for name in self.principals.split(",") if is_plain_principal(name)]
        return plain[0] if plain else self.principals

    def why_not(self, namespace: str, at: datetime) -> str:
        """Why the key does not count for `namespace` at that time; empty when it does."""
        seconds = int(at.timestamp())
        if self.namespaces is not None and not matches(namespace, self.namespaces):
            return f"it is only for {self.namespaces}, and not for {namespace}"
        if self.valid_after is not None and seconds < self.valid_after:
            return f"it counts only from {_said(self.valid_after)} on"
        if self.valid_before is not None and seconds > self.valid_before:
            return f"it counted until {_said(self.valid_before)}"
        return ""


def is_plain_principal(name: str) -> bool:
    """Whether a name can stand in the file as itself: no pattern, no quote, no list, nothing that cannot be seen."""
    return 0 < len(name) <= 255 and name.isprintable() and not re.search(r"[\s,\"*?!\\]|^#", name)


def read_lines(data: bytes) -> tuple[list[AllowedSigner], list[str]]:
    """(the usable lines, a sentence for each line that is not used)."""
    signers, faults = [], []
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            signer = _read_line(number, line)
        except ValueError as error:
            faults.append(f"line {number} of allowed_signers is not used: {error}")
        else:
            if signer is not None:
                signers.append(signer)
    return signers, faults


def _read_line(number: int, line: bytes) -> AllowedSigner | None:
    line = line.lstrip(_BLANKS)
    if not line or line.startswith(b"#"):
        return None
    if b"\0" in line:
        raise ValueError("it holds a NUL byte")
    principals, rest = _take_principals(line)
    if not principals:
        raise ValueError("it has no principal")
    kind, encoded = _key_words(rest)
    options = b""
    if kind != KEY_TYPE.encode() and not _OTHER_KEY_TYPES.fullmatch(kind):
        options, rest = _take_options(rest)
        kind, encoded = _key_words(rest)
    namespaces, valid_after, valid_before = _read_options(options)
    if kind != KEY_TYPE.encode():
        if _OTHER_KEY_TYPES.fullmatch(kind):
            return None
        raise ValueError("it has no key, or an unknown option")
    key = parse_public_key(encoded)
    return AllowedSigner(number, _text(principals), key, namespaces, valid_after, valid_before)


def _take_principals(line: bytes) -> tuple[bytes, bytes]:
    """The first word. A double quote anywhere in it begins a part that may hold blanks, and ends the word."""
    found = re.search(rb'[ \t\r\n"]', line)
    if found is None:
        raise ValueError("it has no key")
    before, after = line[: found.start()], line[found.end() :]
    if found.group() == b'"':
        quoted, quote, after = after.partition(b'"')
        if not quote:
            raise ValueError("a quote is not closed")
        before += quoted
    return before, after.lstrip(_BLANKS)


def _key_words(rest: bytes) -> tuple[bytes, bytes]:
    words = re.split(rb"[ \t]+", rest, maxsplit=2)
    return words[0], (words[1] if len(words) > 1 else b"").strip(_BLANKS)


def _take_options(rest: bytes) -> tuple[bytes, bytes]:
    """Everything up to the first blank outside of quotes. A backslash keeps a quote from ending."""
    found = re.match(rb'(?:\\"|"' + _QUOTED + rb'"|[^" \t])*', rest)
    end = found.end() if found else 0
    if rest[end : end + 1] == b'"':
        raise ValueError("a quote is not closed")
    return rest[:end], rest[end:].lstrip(b" \t")


def _read_options(options: bytes) -> tuple[str | None, int | None, int | None]:
    namespaces: str | None = None
    times: dict[str, int] = {}
    rest = options
    while rest:
        option = re.match(rb'(cert-authority)|(namespaces|valid-after|valid-before)="(' + _QUOTED + rb')"', rest, re.I)
        if option is not None:
            rest = rest[option.end() :]
            if option.group(1):
                raise ValueError("it trusts a certificate authority, and certificates are not used here")
            name, value = option.group(2).decode().lower(), _text(option.group(3).replace(b'\\"', b'"'))
            if name in times or (name == "namespaces" and namespaces is not None):
                raise ValueError(f"it says {name} twice")
            if name == "namespaces":
                namespaces = value
            else:
                times[name] = _seconds(name, value)
        if rest and (not rest.startswith(b",") or rest == b","):
            raise ValueError(f"it has an unknown option: {_text(rest[:40])}")
        rest = rest[1:]
    after, before = times.get("valid-after"), times.get("valid-before")
    if after is not None and before is not None and before <= after:
        raise ValueError("valid-before is not later than valid-after")
    return namespaces, after, before


def _seconds(name: str, value: str) -> int:
    """YYYYMMDD[HHMM[SS]] in the time zone of this machine, with Z or UTC at the end in UTC."""
    digits = re.sub(r"(?i)(?<=.)(Z|UTC)$", "", value)
    if not (digits.isascii() and digits.isdigit()) or len(digits) not in _TIME_FORMATS:
        raise ValueError(f"its {name} is no time")
    try:
        parsed = time.strptime(digits, _TIME_FORMATS[len(digits)])
        seconds = timegm(parsed) if digits != value else int(time.mktime(parsed))
    except (ValueError, OverflowError):
        raise ValueError(f"its {name} is no time") from None
    if seconds <= 0:
        raise ValueError(f"its {name} is not after 1970")
    return seconds


def matches(text: str, patterns: str) -> bool:
    """OpenSSH's pattern list: commas, `*`, `?`, and `!` before what must not match (ssh_config(5), PATTERNS)."""
    positive = False
    for pattern in patterns.split(","):
        shape = pattern.removeprefix("!")
        wanted = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in shape)
        if re.fullmatch(wanted, text, re.S):
            if pattern.startswith("!"):
                return False
            positive = True
    return positive


def _said(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
