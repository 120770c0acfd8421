"""The end of Asterisk's own log: where it is, which of its lines are new, and without secrets.

A time in the log is the PBX's local time, by default without a year, so Asterisk is asked what time it is there
(dialplan function STRFTIME); a clock that is wrong there does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from bwlib.errors import PbxError
from bwlib.pbx.ami import Ami
from bwlib.pbx.asterisk_files import Files
from bwlib.pbx.asterisk_pending import sections_from
from bwlib.pbx.asterisk_text import MASK, mask_secrets

MOST_LINES = 200
RELOAD_S = 1.0  # a second of when it reloaded cannot be told, and it writes while it reads
READ_BYTES = 1_000_000  # from the end of each log
_LINE = re.compile(r"\[([^\]]+)\]\s+(?:NOTICE|WARNING|ERROR)\[")
# The sources of Asterisk that read files; they say a line's number and the file, or the object that was not made.
_ABOUT_FILES = re.compile(
    r"\[[^\]]+\]\s+(?:WARNING|ERROR)\[\S* (?:config|config_options|res_sorcery_config|pbx|pbx_config)\.c: (.+)"
)
# password=..., "secret: ...", and the fields of a digest: response="..."
_NAMED_SECRETS = re.compile(
    r"(?i)(\b(?:\w*password|passwd|\w*secret|md5_?cred|ha1b?)\s*[=:]\s*|\b(?:response|cnonce|nonce)=)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s,;]+)"
)


def read_log_since(ami: Ami, files: Files, when: datetime) -> tuple[str, ...]:
    """Notices, warnings and errors since then, the oldest first, at most the newest MOST_LINES. () when not readable.

    when: with a time zone. Raises nothing of the PBX's.
    """
    return _lines(ami, files, when)[-MOST_LINES:]


def _lines(ami: Ami, files: Files, when: datetime) -> tuple[str, ...]:
    try:
        now = _now_there(ami)
        since = now - (datetime.now(UTC) - when)
        names = _log_files(ami)
    except PbxError:
        return ()
    found: list[tuple[datetime, str]] = []
    for name in names:
        try:
            found += lines_since(files.tail(name, READ_BYTES).decode("utf-8", errors="replace"), since, now)
        except PbxError:
            continue
    lines = [line for _, line in sorted(found, key=lambda pair: pair[0])]  # stable: one file's order stays
    return tuple(dict.fromkeys(lines))


def refused_since_reload(ami: Ami, files: Files, reloaded: float | None) -> tuple[str, ...]:
    """What it had against its configuration files when it last read them. () when its log is not readable.

    reloaded: when that was, seconds since 1970, None when it is not known.
    """
    if reloaded is None:
        return ()
    return complaints_of_files(_lines(ami, files, datetime.fromtimestamp(reloaded - RELOAD_S, UTC)))


def _now_there(ami: Ami) -> datetime:
    """The PBX's local time, without a zone. Of an Asterisk without STRFTIME: ours."""
    said = ami.action("Getvar", Variable="STRFTIME(,,%Y-%m-%d %H:%M:%S.%3q)").fields.get("Value", "")
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        return datetime.now(UTC).astimezone().replace(tzinfo=None)


def _log_files(ami: Ami) -> list[str]:
    """Paths of the log files, of logger.conf (`logger show channels` cuts long paths)."""
    settings = "\n".join(ami.command("core show settings"))
    folder = re.search(r"^\s*Log directory:\s+(\S.*?)\s*$", settings, re.MULTILINE)
    answer = ami.action("GetConfig", Filename="logger.conf", Category="logfiles")
    names = [name for _, lines in sections_from(answer.fields) for name, levels in lines if _wanted(name, levels)]
    return [name if name.startswith("/") else f"{folder[1]}/{name}" for name in names] if folder else []


def _wanted(name: str, levels: str) -> bool:
    is_file = name != "console" and not name.startswith("syslog")
    return is_file and re.search(r"\b(?:notice|warning|error)\b|\*", levels, re.IGNORECASE) is not None


def lines_since(text: str, since: datetime, now: datetime) -> Iterable[tuple[datetime, str]]:
    """(time, line) of each notice, warning and error at or after `since`. All times are the PBX's local time."""
    since_second = since.replace(microsecond=0)
    for line in text.splitlines():
        match = _LINE.match(line)
        at = _time(match[1], now) if match else None
        # without a fraction, all of its second may be meant
        if at is not None and at >= (since if at.microsecond else since_second):
            yield at, without_secrets(line)


def _time(text: str, now: datetime) -> datetime | None:
    """Asterisk's default date format has no year: the last one in which that day was (a 29th of February is not in
    each), a day's doubt of clocks left. None for a format that is not known."""
    with suppress(ValueError):
        return datetime.fromisoformat(text).replace(tzinfo=None)
    for year in range(now.year + 1, now.year - 9, -1):
        with suppress(ValueError):
            at = datetime.strptime(f"{year} {text}", "%Y %b %d %H:%M:%S")  # noqa: DTZ007 - as the log says it
            if at <= now + timedelta(days=1):
                return at
    return None


def complaints_of_files(lines: Iterable[str]) -> tuple[str, ...]:
    """What the warnings and errors among them say against a configuration file, each once, without time and thread."""
    found = (_ABOUT_FILES.match(line) for line in lines)
    return tuple(dict.fromkeys(match[1] for match in found if match))


def without_secrets(line: str) -> str:
    """The line with the values of password=... and its like replaced."""
    return _NAMED_SECRETS.sub(rf"\g<1>{MASK}", mask_secrets(line))
