"""What a running Asterisk says of itself (`PbxState`, `MediaCount`), by its manager interface. Nothing is changed.

The commands' output: recorded from Asterisk 22.10 (tests/test_asterisk_evidence.py holds the samples).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from bwlib.errors import PbxRefused
from bwlib.pbx.ami import Ami
from bwlib.pbx.asterisk_options import other_options
from bwlib.pbx.asterisk_pending import Section, dialplan_pending, pjsip_differences, sections_of
from bwlib.pbx.asterisk_read import Settings, ha1_of, registrations_from, settings_from_ami, trunk_auth_of
from bwlib.pbx.asterisk_text import MASK, SECRET_KEYS
from bwlib.pbx.state import Contact, Dialled, MediaCount, PbxState, Transport

T = TypeVar("T")
Event = Mapping[str, str]

# The manager interface's words for what the command line calls Avail and so on.
STATUS_WORDS = {"Reachable": "Avail", "Unreachable": "Unavail", "NonQualified": "NonQual"}
# What an event says about itself, not about the object.
_NOT_OPTIONS = ("event", "action_id", "object_type", "endpoint_name")
# Asterisk tells when it last reloaded modules; `dialplan reload` leaves no such time, so extensions.conf is not here.
_RELOADED_FILES = ("pjsip*.conf", "bw-runbook/pjsip.conf")


def read_state(
    ami: Ami, trunk: str, extension: str, dialled: str, context: str = "", folder: Path | None = None
) -> PbxState:
    """Everything over this one connection. Raises PbxUnreachable only; what is refused is in `unknown`.

    context: "" for the extension's own. folder: Asterisk's configuration directory, when it is on this machine.
    """
    unknown: dict[str, str] = {}
    no_events: tuple[Event, ...] = ()
    trunk_events = _ask(unknown, "trunk", lambda: _endpoint(ami, trunk), no_events)
    extension_events = _ask(unknown, "extension", lambda: _endpoint(ami, extension), no_events)
    of_trunk, of_extension = settings_from_ami(trunk_events), settings_from_ami(extension_events)
    endpoints = {trunk: of_trunk, extension: of_extension} if not unknown else {}
    if unknown:
        unknown["contacts"] = next(iter(unknown.values()))
    context = context or of_extension.get("endpoint", {}).get("context", "")
    transports = _ask(unknown, "transports", lambda: _transports(ami), tuple[Transport, ...]())
    sections = _ask(unknown, "not_in_force", lambda: sections_of(ami, endpoints, transports), list[Section]())
    reloaded = _reloaded_at(ami)
    return PbxState(
        contacts=contacts_from([*trunk_events, *extension_events]),
        registrations=tuple(registrations_from(_ask(unknown, "registrations", lambda: _registrations(ami), no_events))),
        trunk=without_secrets(of_trunk),
        extension=without_secrets(of_extension),
        transports=transports,
        dialled=_ask(unknown, "dialled", lambda: _dialled(ami, dialled, context), None),
        rtp_ports=_ask(unknown, "rtp_ports", lambda: rtp_ports_from(ami.command("rtp show settings")), None),
        not_in_force=(
            *pjsip_differences(sections, endpoints, transports),
            *_ask(unknown, "not_in_force", lambda: dialplan_pending(ami, context), list[str]()),
        ),
        changed_since_reload=_ask(unknown, "changed_since_reload", lambda: _changed(reloaded, folder), ()),
        reloaded_at=reloaded,
        other_options=other_options(sections),
        unknown=unknown,
        trunk_ha1=ha1_of(trunk_auth_of(of_trunk)),
    )


def _ask(unknown: dict[str, str], field: str, question: Callable[[], T], otherwise: T) -> T:
    try:
        return question()
    except PbxRefused as refused:
        unknown[field] = refused.came_back
        return otherwise


def _endpoint(ami: Ami, name: str) -> tuple[Event, ...]:
    return _events(ami, "PJSIPShowEndpoint", absent="Unable to retrieve endpoint", Endpoint=name)


def _registrations(ami: Ami) -> tuple[Event, ...]:
    return _events(ami, "PJSIPShowRegistrationsOutbound", absent="No registrations")


def _events(ami: Ami, action: str, absent: str, **fields: str) -> tuple[Event, ...]:
    """The list that an action answers, empty when Asterisk says that there is nothing. Raises PbxRefused."""
    answer = ami.action(action, **fields)
    if not answer.ok and not answer.message.startswith(absent):
        raise PbxRefused(
            f"ask Asterisk by {action}",
            answer.message or "refused without a reason",
            "give the manager user the write classes system, command, config and reporting in manager.conf",
        )
    return answer.events


def contacts_from(events: Iterable[Event]) -> tuple[Contact, ...]:
    """The contacts, registered ones and written ones, of the events of PJSIPShowEndpoint."""
    return tuple(
        Contact(
            event.get("AOR", ""),
            event.get("URI", ""),
            STATUS_WORDS.get(event.get("Status", ""), event.get("Status", "")),
        )
        for event in events
        if event.get("Event") == "ContactStatusDetail"
    )


def without_secrets(settings: Settings) -> Settings:
    """The same options; a secret one is MASK when it is set, "" when not."""
    return {
        kind: {
            name: MASK if value and name in SECRET_KEYS else value
            for name, value in options.items()
            if name not in _NOT_OPTIONS
        }
        for kind, options in settings.items()
    }


# ------------------------------------------------------------------ transports, dialplan, RTP


def _transports(ami: Ami) -> tuple[Transport, ...]:
    names = transport_names_from(ami.command("pjsip show transports"))
    return tuple(transport_from(name, ami.command(f"pjsip show transport {name}")) for name in names)


def transport_names_from(output: Iterable[str]) -> list[str]:
    """The names in `pjsip show transports`; its heading has one in angle brackets."""
    return re.findall(r"^\s*Transport:\s+([^<\s]\S*)\s", "\n".join(output), re.MULTILINE)


def table_from(output: Iterable[str]) -> dict[str, str]:
    """The options of an object, of `pjsip show ...`: what follows "ParameterName : ParameterValue".

    An option that is there several times (match) has all its values, with commas between them.
    """
    _, _, table = "\n".join(output).partition("ParameterName")
    found: dict[str, str] = {}
    for name, value in re.findall(r"^ *(\w+) +: ?(.*?) *$", table, re.MULTILINE):
        found[name] = f"{found[name]},{value}" if found.get(name) else value
    return found


def transport_from(name: str, output: Iterable[str]) -> Transport:
    """A transport, of `pjsip show transport NAME`."""
    said = table_from(output)
    wanted = ("protocol", "bind", "external_media_address", "external_signaling_address", "local_net")
    return Transport(name, *(said.get(key, "") for key in wanted))


def _dialled(ami: Ami, number: str, context: str) -> Dialled:
    answer = ami.action("ShowDialPlan", Context=context, Extension=number) if number and context else None
    if answer is None or answer.message.startswith("Did not find context"):
        return Dialled(number, context)
    if not answer.ok and not answer.message.startswith("Did not find extension"):
        raise PbxRefused(f"ask Asterisk what it does with {number}", answer.message, "see its manager.conf")
    return dialled_from(number, context, answer.events)


def dialled_from(number: str, context: str, events: Iterable[Event]) -> Dialled:
    """The steps of the first extension that matches, of the action ShowDialPlan with an extension."""
    steps = [event for event in events if event.get("Event") == "ListDialplan" and event.get("Priority") != "hint"]
    pattern = steps[0].get("Extension", "") if steps else ""
    lines = [f"{step.get('Application', '')}({step.get('AppData', '')})" for step in steps if _is_of(step, pattern)]
    return Dialled(number, context, context_exists=True, pattern=pattern, steps=tuple(lines))


def _is_of(step: Event, pattern: str) -> bool:
    return step.get("Extension") == pattern


def rtp_ports_from(output: Iterable[str]) -> tuple[int, int] | None:
    """First and last port that Asterisk takes for RTP, of `rtp show settings`."""
    found = re.search(r"Port start:\s+(\d+).*?Port end:\s+(\d+)", "\n".join(output), re.DOTALL)
    return (int(found[1]), int(found[2])) if found else None


def _reloaded_at(ami: Ami) -> float | None:
    """When Asterisk last read its configuration, in seconds since 1970; one second of it cannot be told.

    None also where it may not be asked: what follows from it is a doubt, and its want is none.
    """
    try:
        said = re.search(r"Last reload: (\d+)", "\n".join(ami.command("core show uptime seconds")))
    except PbxRefused:
        return None
    return time.time() - int(said[1]) if said else None


def _changed(reloaded: float | None, folder: Path | None) -> tuple[str, ...]:
    """Files of pjsip that were written after the last reload. The second that cannot be told does not count."""
    if folder is None or reloaded is None:
        raise PbxRefused("see when Asterisk's files changed", "they are not on this machine", "look at them there")
    paths = [path for pattern in _RELOADED_FILES for path in sorted(folder.glob(pattern))]
    return tuple(str(path.relative_to(folder)) for path in paths if _changed_at(path) >= int(reloaded) + 1)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # gone meanwhile


# ------------------------------------------------------------------ a call that is up


def read_media(ami: Ami) -> tuple[MediaCount, ...]:
    """RTP of each channel. Raises PbxRefused, PbxUnreachable."""
    channels = {event.get("Channel", ""): event for event in ami.action("CoreShowChannels").events}
    counts: list[MediaCount] = []
    for count in media_from(ami.command("pjsip show channelstats")):
        # The table cuts long names: of several that begin alike each is taken once, with its own numbers asked for.
        alike = [name for name in channels if name.removeprefix("PJSIP/").startswith(count.channel)]
        full = next((name for name in alike if name not in {f"PJSIP/{one.channel}" for one in counts}), "")
        counts.append(_of_channel(ami, full, channels[full], count, cut=len(alike) > 1) if full else count)
    return tuple(counts)


def _of_channel(ami: Ami, channel: str, event: Event, count: MediaCount, *, cut: bool) -> MediaCount:
    """The row of the table with what else is known of its channel. cut: the row may be another's of the same kind."""
    asked = ("rtp,src", "rtp,dest", "pjsip,call-id", *(("rtcp,rxcount", "rtcp,txcount") if cut else ()))
    local, remote, call_id, *packets = (_getvar(ami, channel, f"CHANNEL({each})") for each in asked)
    if cut and all(number.isdigit() for number in packets):
        count = replace(count, received=int(packets[0]), sent=int(packets[1]))
    return replace(
        count, channel=channel.removeprefix("PJSIP/"), local=local, remote=remote, call_id=call_id,
        number=event.get("CallerIDNum", ""), linked=event.get("Linkedid", ""),
    )  # fmt: skip


def _getvar(ami: Ami, channel: str, variable: str) -> str:
    """ "" when the channel has ended meanwhile, or has no such thing."""
    return ami.action("Getvar", Channel=channel, Variable=variable).fields.get("Value", "")


# A channel that is in no bridge yet has no id of one before its name, and its blanks are cut off by AMI.
_STATS = re.compile(
    r"^\s*(?:[0-9a-f]{8}\s+)?(\S+)\s+\d\d:\d\d:\d\d\s+(\S+)\s+"
    r"(\d+)(K?)\s+(\d+)(K?)\s+\d+\s+[\d.]+\s+(\d+)(K?)\s+(\d+)(K?)\s"
)


def _count(number: str, thousands: str) -> int:
    return int(number) * (1000 if thousands else 1)


def media_from(output: Iterable[str]) -> tuple[MediaCount, ...]:
    """The table of `pjsip show channelstats`. A channel that has no RTP yet is not in it."""
    found = []
    for line in output:
        if match := _STATS.match(line):
            received, lost, sent, sent_lost = (_count(match[at], match[at + 1]) for at in (3, 5, 7, 9))
            found.append(MediaCount(match[1], match[2], received, lost, sent, sent_lost))
    return tuple(found)
