"""What the Asterisk of a FreePBX says of itself (`PbxState`), by `asterisk -rx` where the driver has a shell.

The pages show none of it: with them alone only registrations and a change that waits are known. Two rounds of
commands, because each may be a login by ssh of its own: what the second asks for, the first has named.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from bwlib.errors import PbxError, PbxRefused
from bwlib.models import Registration
from bwlib.pbx.asterisk_log import MOST_LINES, lines_since
from bwlib.pbx.asterisk_read import Settings, ha1_of, trunk_auth_of
from bwlib.pbx.asterisk_state import (
    media_from,
    rtp_ports_from,
    table_from,
    transport_from,
    transport_names_from,
    without_secrets,
)
from bwlib.pbx.freepbx_driver import Driver
from bwlib.pbx.state import Contact, Dialled, MediaCount, PbxState

INTERNAL = "from-internal"
# Where FreePBX sends what no route takes: it matches anything, and plays a message.
NOWHERE = ("bad-number",)
NO_SHELL = "FreePBX's pages do not show the running Asterisk (pbx.driver shell does)"
_OF_ASTERISK = ("contacts", "trunk", "extension", "transports", "dialled", "rtp_ports")
_WORD = re.compile(r"[\w+*#.-]{1,60}")

# The newest lines that matter of Asterisk's logs, after the time there. FreePBX calls its log "full".
LOG_SCRIPT = r"""
date '+%Y-%m-%d %H:%M:%S.%3N'
asterisk -rx 'core show settings' </dev/null | sed -n 's/^ *Log directory: *//p' | while read -r folder; do
  for file in "$folder/full" "$folder/messages" "$folder/messages.log"; do
    [ ! -r "$file" ] || tail -c 4000000 -- "$file" | grep -E '(NOTICE|WARNING|ERROR)\[' | tail -n 2000
  done
done
"""


def read_state(
    driver: Driver,
    registrations: Callable[[], list[Registration]],
    trunk: str,
    extension: str,
    dialled: str,
    context: str,
) -> PbxState:
    """Raises PbxUnreachable. What cannot be read is in `unknown`. context: "" for the extension's own."""
    unknown: dict[str, str] = {"changed_since_reload": "Asterisk's files are FreePBX's own, written at Apply Config"}
    told: tuple[Registration, ...] = ()
    try:
        told = tuple(registrations())
    except PbxRefused as refused:
        unknown["registrations"] = refused.came_back
    with driver:
        pending = _pending(driver, unknown)
        try:
            running = _running(driver, trunk, extension, dialled, context)
        except PbxRefused as refused:
            running = PbxState(unknown=dict.fromkeys(_OF_ASTERISK, refused.came_back))
    return replace(running, registrations=told, not_in_force=pending, unknown={**running.unknown, **unknown})


def _pending(driver: Driver, unknown: dict[str, str]) -> tuple[str, ...]:
    try:
        due = driver.facts().reload_due
    except PbxRefused as refused:
        unknown["not_in_force"] = refused.came_back
        return ()
    if due is None:
        unknown["not_in_force"] = "the page does not say whether a change waits"
    return ("a change waits for Apply Config",) if due else ()


def _running(driver: Driver, trunk: str, extension: str, dialled: str, context: str) -> PbxState:
    first = _ask(
        driver,
        f"pjsip show endpoint {trunk}",
        f"pjsip show endpoint {extension}",
        "pjsip show transports",
        "rtp show settings",
        "database show registrar/contact",
    )
    if not first:
        return PbxState(unknown=dict.fromkeys(_OF_ASTERISK, NO_SHELL))
    endpoints = first[:2]
    tables = [table_from(output) for output in endpoints]
    parts = [_parts(output) for output in endpoints]
    names = transport_names_from(first[2])
    context = context or tables[1].get("context", INTERNAL)
    number = dialled if _WORD.fullmatch(dialled) and _WORD.fullmatch(context) else ""
    asked = [f"pjsip show {kind} {name}" for part in parts for kind, name in part]
    asked += [f"pjsip show transport {name}" for name in names]
    answers = iter(_ask(driver, *asked, *([f"dialplan show {number}@{context}"] if number else [])))
    settings = [_settings(table, part, answers) for table, part in zip(tables, parts, strict=True)]
    known = [table.get("contact", "") for one in settings for table in one.values()] + _uris(first[4])
    return PbxState(
        trunk=without_secrets(settings[0]),
        extension=without_secrets(settings[1]),
        contacts=tuple(one for output in endpoints for one in contacts_from(output, known)),
        transports=tuple(transport_from(name, next(answers, [])) for name in names),
        rtp_ports=rtp_ports_from(first[3]),
        trunk_ha1=ha1_of(trunk_auth_of(settings[0])),
        dialled=dialled_from(number, context, next(answers, [])) if number else None,
    )


def _ask(driver: Driver, *lines: str) -> list[list[str]]:
    """The output of each command of Asterisk's command line, all asked in one go; [] without a shell.

    Raises PbxRefused when Asterisk cannot be asked.
    """
    mark = f"-- {secrets.token_hex(8)} --"
    asking = (f"asterisk -rx {shlex.quote(line)} </dev/null || exit 1\necho '{mark}'\n" for line in lines)
    said = driver.shell("ask Asterisk what is running", "".join(asking)) if lines else None
    return [part.splitlines() for part in said.split(f"{mark}\n")[:-1]] if said else []


def _settings(endpoint: Mapping[str, str], parts: Iterable[tuple[str, str]], tables: Iterator[list[str]]) -> Settings:
    """By section type, a second one of a type under its name too, as `settings_from_ami`."""
    found: dict[str, Mapping[str, str]] = {"endpoint": endpoint} if endpoint else {}
    for (kind, name), output in zip(parts, tables, strict=False):
        found[kind if kind not in found else f"{kind} {name}"] = {**table_from(output), "object_name": name}
    return found


def _parts(output: Iterable[str]) -> list[tuple[str, str]]:
    """(kind, name) of the sections that belong to an endpoint, of `pjsip show endpoint NAME`."""
    kinds = {"OutAuth": "auth", "InAuth": "auth", "Aor": "aor", "Identify": "identify"}
    found = []
    for line in output:
        match = re.match(r"\s+(OutAuth|InAuth|Aor|Identify):\s+([^<\s/]\S*?)(?:/\S*)?(?:\s|$)", line)
        if match and _WORD.fullmatch(match[2]):
            found.append((kinds[match[1]], match[2]))
    return found


def contacts_from(output: Iterable[str], known: Iterable[str] = ()) -> tuple[Contact, ...]:
    """The contacts, of `pjsip show endpoint NAME`, which cuts long URIs; known: whole ones from elsewhere."""
    whole = sorted(known)
    found = []
    for line in output:
        match = re.match(r"\s+Contact:\s+([^<\s/]\S*?)/(\S+)\s+\S{10}\s+(\w+)\s", line)
        if match:
            uri = next((one for one in whole if one.startswith(match[2])), match[2])
            found.append(Contact(match[1], uri, match[3]))
    return tuple(found)


def _uris(output: Iterable[str]) -> list[str]:
    return re.findall(r'"uri":"([^"]+)"', "\n".join(output))


def dialled_from(number: str, context: str, output: Iterable[str]) -> Dialled:
    """What is dialled, of `dialplan show NUMBER@CONTEXT`: the first extension that matches, included contexts too."""
    lines = list(output)
    if any("There is no existence of '" in line for line in lines):
        return Dialled(number, context)
    pattern, steps, within = "", [], ""
    for line in lines:
        if header := re.match(r"\[ (?:Included c|C)ontext '([^']+)'", line):
            within = header[1]
            continue
        match = re.match(r"\s*(?:'(\S+)' =>)?\s+(?:\[[^\]]+\])?\s*(hint:|\d+\.)\s+(.*?)\s*(?:\[[^\]]*\])?\s*$", line)
        if match is None:
            continue
        if match[1] and pattern:
            break
        if match[1] and within not in NOWHERE:
            pattern = match[1]
        if pattern and match[2] != "hint:":
            steps.append(match[3])
    return Dialled(number, context, context_exists=True, pattern=pattern, steps=tuple(steps))


# ------------------------------------------------------------------ log, media


def read_log_since(driver: Driver, when: datetime) -> tuple[str, ...]:
    """As `bwlib.pbx.asterisk_log.read_log_since`. () without a shell, and for whatever fails."""
    try:
        with driver:
            said = driver.shell("read the end of Asterisk's log", LOG_SCRIPT)
        time_there, _, text = (said or "").partition("\n")
        now = datetime.fromisoformat(time_there.strip())
        since = now - (datetime.now(UTC) - when)
    except (PbxError, ValueError):
        return ()
    lines = [line for _, line in sorted(lines_since(text, since, now), key=lambda pair: pair[0])]
    return tuple(dict.fromkeys(lines))[-MOST_LINES:]


def read_media(driver: Driver) -> tuple[MediaCount, ...]:
    """RTP of each channel, names cut to 18 characters; () without a shell. Raises PbxError."""
    with driver:
        outputs = _ask(driver, "pjsip show channelstats")
    return media_from(outputs[0]) if outputs else ()
