"""What Asterisk's files say and its running configuration does not: somebody changed a file and did not reload.

Asterisk itself reads the files (action GetConfig: includes and templates are followed, nothing is loaded), so that both
sides are in its own words. Only options are compared whose spelling is the same on both sides; a difference that is
only one of spelling must not look like a fault. Values are never told: some are secrets.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from bwlib.errors import PbxRefused
from bwlib.pbx.ami import Ami
from bwlib.pbx.asterisk_read import Settings, codecs_from
from bwlib.pbx.state import Transport

# One section of a file: its name, its options in the file's order.
Section = tuple[str, tuple[tuple[str, str], ...]]

COMPARED = {
    "endpoint": (
        "context", "transport", "auth", "outbound_auth", "aors", "from_user", "from_domain", "dtmf_mode",
        "direct_media", "rtp_symmetric", "force_rport", "rewrite_contact", "media_address",
        "bind_rtp_to_media_address", "media_encryption", "identify_by", "send_pai", "send_rpid", "timers",
        "allow_transfer", "outbound_proxy", "rtp_timeout",
    ),
    "auth": ("username", "password", "md5_cred", "realm"),
    "aor": ("qualify_frequency", "qualify_timeout", "max_contacts", "remove_existing", "outbound_proxy"),
    "transport": ("protocol", "external_media_address", "external_signaling_address"),
}  # fmt: skip
# Options of an endpoint that name other sections.
_NAMED = ("auth", "outbound_auth", "aors")
_WORDS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}


def sections_from(fields: Mapping[str, str]) -> list[Section]:
    """The file, of the answer to GetConfig: "Category-000003: bandwidth", "Line-000003-000000: type=endpoint"."""
    found: list[Section] = []
    for key in sorted(key for key in fields if key.startswith("Category-")):
        prefix = f"Line-{key.removeprefix('Category-')}-"
        lines = [fields[line].partition("=") for line in sorted(fields) if line.startswith(prefix)]
        found.append((fields[key], tuple((name.strip(), value) for name, _, value in lines)))
    return found


def _read(ami: Ami, file: str, **only: str) -> list[Section]:
    answer = ami.action("GetConfig", Filename=file, **only)
    if not answer.ok and "ategor" not in answer.message:  # "No categories found", "Category not found"
        raise PbxRefused(f"have Asterisk read {file}", answer.message, "give the manager user the write class config")
    return sections_from(answer.fields)


# ------------------------------------------------------------------ pjsip.conf


def sections_of(ami: Ami, endpoints: Mapping[str, Settings], transports: Sequence[Transport]) -> list[Section]:
    """The sections of pjsip.conf that belong to these: asked for by name, a PBX of thousands of phones has a long file.

    endpoints: name -> what runs, secrets included, {} for nothing. Raises PbxRefused when the manager user may not have
    files read.
    """
    names = dict.fromkeys([*endpoints, *(one.name for one in transports)])
    for settings in endpoints.values():
        names |= dict.fromkeys(options.get("object_name", "") for options in settings.values())
        names |= dict.fromkeys(_named(settings, *_NAMED))
    return [section for name in names if name for section in _read(ami, "pjsip.conf", Category=name)]


def pjsip_differences(
    sections: Iterable[Section], endpoints: Mapping[str, Settings], transports: Iterable[Transport]
) -> list[str]:
    """One line per option of these endpoints, and of the transports, that runs otherwise than the sections say."""
    running: dict[tuple[str, str], Mapping[str, str]] = {("transport", one.name): vars(one) for one in transports}
    needed = {("endpoint", name) for name in endpoints}
    for settings in endpoints.values():
        running |= {(kind.partition(" ")[0], options.get("object_name", "")): options
                    for kind, options in settings.items()}  # fmt: skip
        needed |= {("auth", name) for name in _named(settings, "auth", "outbound_auth")}
        needed |= {("aor", name) for name in _named(settings, "aors")}
    different = []
    for name, lines in sections:
        kind = dict(lines).get("type", "")
        where = f"pjsip.conf [{name}] {kind}"
        if (kind, name) in running:
            different += [f"{where} {option}" for option in _differing(kind, lines, running[kind, name])]
        elif (kind, name) in needed:
            different.append(f"{where} (not running at all)")
    return different


def _named(settings: Settings, *options: str) -> list[str]:
    """The sections that these options of the endpoint name; each may name several."""
    named = ",".join(settings.get("endpoint", {}).get(option, "") for option in options)
    return [name.strip() for name in named.split(",") if name.strip()]


def _differing(kind: str, lines: Sequence[tuple[str, str]], running: Mapping[str, str]) -> list[str]:
    written = dict(lines)
    found = [
        option
        for option in COMPARED.get(kind, ())
        if option in written and option in running and not _same(written[option], running[option])
    ]
    codecs = _codecs(lines) if kind == "endpoint" else None
    if codecs is not None and codecs != codecs_from(running.get("allow", "")):
        found.append("allow")
    if kind == "identify" and not _same_addresses(written.get("match", ""), running.get("match", "")):
        found.append("match")
    if kind == "aor" and "contact" in written and written["contact"] not in running.get("contacts", ""):
        found.append("contact")
    if kind == "transport" and not running.get("bind", "").strip("[").startswith(written.get("bind", "").strip("[")):
        found.append("bind")
    return found


def _same(written: str, running: str) -> bool:
    """yes = true = on, 3.0 = 3.000000, and "a, b" = "a,b"."""
    return _plain(written) == _plain(running)


def _plain(value: str) -> str:
    with suppress(ValueError):
        value = f"{float(value):g}"
    return _WORDS.get(value.lower(), value.replace(" ", ""))


def _codecs(lines: Iterable[tuple[str, str]]) -> list[str] | None:
    """What allow= and disallow= of a section come to, in their order. None when it cannot be known from them."""
    known: list[str] | None = None
    for option, value in lines:
        for word in [word.strip() for word in value.split(",")] if option in ("allow", "disallow") else []:
            if word == ("all" if option == "disallow" else "!all"):
                known = []
            elif known is None or word == "all" or not word.isalnum():
                return None
            elif option == "allow" and word not in known:
                known.append(word)
            elif option == "disallow" and word in known:
                known.remove(word)
    return known


def _same_addresses(written: str, running: str) -> bool:
    """True also when a name is written: only Asterisk knows what it resolved to."""
    try:
        sides = [{ipaddress.ip_network(part.strip(), strict=False) for part in side.split(",")}
                 for side in (written, running)]  # fmt: skip
    except ValueError:
        return True
    return sides[0] == sides[1]


# ------------------------------------------------------------------ extensions.conf


def dialplan_pending(ami: Ami, context: str) -> list[str]:
    """One line when this context runs otherwise than extensions.conf says. Raises PbxRefused as `sections_of`."""
    sections = _read(ami, "extensions.conf", Category=context) if context else []
    if not sections:
        return []  # made elsewhere: another file format, a database
    answer = ami.action("ShowDialPlan", Context=context)
    if not answer.ok and not answer.message.startswith("Did not find context"):
        raise PbxRefused("read Asterisk's dialplan", answer.message, "give the manager user the class reporting")
    return dialplan_differences(context, sections, answer.events)


def dialplan_differences(context: str, sections: Iterable[Section], events: Iterable[Mapping[str, str]]) -> list[str]:
    """See `dialplan_pending`. Steps are compared as a set: spaces and backslashes are not told apart."""
    written = {step for name, lines in sections if name == context for step in _steps(lines)}
    running = {
        (_squeezed(event["Extension"]), event["Application"].lower(), _squeezed(event.get("AppData", "")))
        for event in events
        if event.get("Event") == "ListDialplan"
        and event.get("Context") == context
        and event.get("Registrar") == "pbx_config"
        and event.get("Priority") != "hint"
    }
    if any("$" in exten or "/" in exten for exten, _, _ in written):
        return []  # a name that depends on a variable, or on who calls
    extens = sorted({exten for exten, _, _ in written ^ running})
    return [f"extensions.conf [{context}] {', '.join(extens)}"] if extens else []


def _steps(lines: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str, str]]:
    exten = ""
    for key, value in lines:
        value = value.removeprefix(">").strip()
        if key == "exten":
            exten, _, value = value.partition(",")
        elif key != "same":
            continue
        priority, _, call = value.partition(",")
        application, _, data = call.strip().partition("(")
        if priority.strip() != "hint":
            yield _squeezed(exten), application.strip().lower(), _squeezed(data.rpartition(")")[0])


def _squeezed(text: str) -> str:
    return re.sub(r"[\s\\]", "", text)
