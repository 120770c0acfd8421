"""From Asterisk's words back to our objects. Pure.

The same facts come in two spellings: as text that `asterisk_text` wrote, and as events of the manager interface, which
writes FromUser for from_user, (ulaw|alaw) for !all,ulaw,alaw and 255.255.255.255 for /32. Both become `Settings`, and
one function makes an object of them, so that what was written and what is in force can be compared.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import SecretStr

from bwlib.models import Extension, OutboundRoute, Registration, Trunk
from bwlib.pbx.asterisk_text import (
    INBOUND_CONTEXT,
    inbound_dialplan,
    outbound_context,
    route_dialplan,
    route_patterns,
)

# Section type -> option -> value, of one endpoint and all that belongs to it. A second section of a type is there as
# "TYPE NAME": an endpoint may ask for a password (auth) and have another one to answer with (outbound_auth).
Settings = Mapping[str, Mapping[str, str]]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# realm= of an auth that answers whatever realm asks.
ANY_REALM = ("", "*")
# Stands for a value of the dialplan when there is more or other than what this program writes.
NOT_AS_WRITTEN = "(not as written)"
NOT_LOOSE = " (without ;lr)"
# What a route dials: a number over a trunk, or a SIP URI over a trunk with the number in a header.
_BY_NUMBER = re.compile(r"PJSIP/([^$/]*)\$.*\}@([^,)]+)(.*)")
_BY_URI = re.compile(r"PJSIP/([^/,]+)/(sip:[^,]+)(,.*?)(?:b\(bw-number-header\^add\^1\(([^^]+)\^([^$]*)\$.*\)\))(.*)")


@dataclass(frozen=True)
class Step:
    """One priority of the dialplan: the extension it belongs to, the application and its data."""

    exten: str
    application: str
    data: str


def settings_from_text(block: str) -> Settings:
    """What one of our blocks of pjsip.conf says."""
    found: dict[str, dict[str, str]] = {}
    for body in re.findall(r"^\[[^\]\n]+\]\n((?:[^\[\n][^\n]*\n)*)", block, re.MULTILINE):
        values = dict(re.findall(r"^(\w+) = (.*)$", body, re.MULTILINE))
        found[values.pop("type", "")] = {key: value.replace("\\;", ";") for key, value in values.items()}
    return found


def settings_from_ami(events: Iterable[Mapping[str, str]]) -> Settings:
    """What the manager interface says of an endpoint (action PJSIPShowEndpoint)."""
    found: dict[str, dict[str, str]] = {}
    for event in events:
        kind = event.get("ObjectType")
        if kind:
            values = {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower(): value for key, value in event.items()}
            found.setdefault(kind if kind not in found else f"{kind} {event.get('ObjectName', '')}", values)
    return found


def auth_of(settings: Settings, option: str, realm: str = "") -> Mapping[str, str]:
    """The auth section that the endpoint's option names: "outbound_auth" to answer with, "auth" to ask for.

    Of several the one for this realm, else one for any realm (realm= empty or *), as Asterisk picks them; the first
    where neither is there. Text that `asterisk_text` wrote has one, and no names.
    """
    auths = {auth.get("object_name", ""): auth for kind, auth in settings.items() if kind.partition(" ")[0] == "auth"}
    if "" in auths:
        return auths[""]
    names = [name.strip() for name in settings.get("endpoint", {}).get(option, "").split(",")]
    named = [auths[name] for name in names if name in auths]
    exact = [auth for auth in named if auth.get("realm", "").lower() == realm.lower()]
    return next(iter([*exact, *(auth for auth in named if auth.get("realm", "") in ANY_REALM), *named]), {})


def trunk_auth_of(settings: Settings) -> Mapping[str, str]:
    """The auth section by which a trunk answers the challenge of the host that it calls."""
    contact = _contact_of(settings)
    return auth_of(settings, "outbound_auth", contact[1] if contact else "")


def _contact_of(settings: Settings) -> re.Match[str] | None:
    """Host and port of the trunk's contact."""
    aor = settings.get("aor", {})
    return re.search(r"sips?:(?:[^@,]+@)?([^:;,/]+)(?::(\d+))?", aor.get("contacts") or aor.get("contact", ""))


def ha1_of(auth: Mapping[str, str]) -> SecretStr:
    """The hash that Asterisk answers a challenge with in the password's place; "" where it takes the password.

    One that knows password_digest (20.12, 21.7, 22.2 and later) makes one of md5_cred, and takes it before the
    password whatever auth_type says (seen on 22.10); an older one takes md5_cred when auth_type is md5.
    """
    counts = "password_digest" in auth or auth.get("auth_type") == "md5"
    return SecretStr(auth.get("md5_cred", "") if counts else "")


def codecs_from(allow: str) -> list[str]:
    """The codecs of an endpoint's allow, as Asterisk says it: "(ulaw|alaw)", "(nothing)" for none."""
    return [] if allow == "(nothing)" else re.findall(r"\w+", allow)


def registrations_from(events: Iterable[Mapping[str, str]]) -> list[Registration]:
    """The PBX's own registrations elsewhere (action PJSIPShowRegistrationsOutbound)."""
    found = [event for event in events if event.get("Event") == "OutboundRegistrationDetail"]
    told = [tuple(event.get(key, "") for key in ("ObjectName", "ServerUri", "Status")) for event in found]
    return [Registration.read(name, server, f"{name} {server} {status}") for name, server, status in told]


def proxy_from(written: str) -> str:
    """"sip:HOST:PORT;lr" as HOST:PORT; what else is written stays, and a proxy without lr (RFC 3261, 16.12) says so.

    Without lr Asterisk takes it for a strict router, and the Request-URI that arrives there is the proxy's own.
    """
    host, *parameters = written.removeprefix("sip:").split(";")
    more = [one for one in parameters if one not in ("lr", "hide")]
    return ";".join([host, *more]) + (NOT_LOOSE if host and "lr" not in parameters else "")


def trunk_from(name: str, settings: Settings, inbound_extension: str | None, registration: bool) -> Trunk:
    """The trunk that these settings are. Values that are missing come out empty.

    inbound_extension: what the inbound context says; it counts only when the endpoint's calls arrive there.
    """
    endpoint, aor, auth = settings.get("endpoint", {}), settings.get("aor", {}), trunk_auth_of(settings)
    contact = _contact_of(settings)
    proxy = proxy_from(endpoint.get("outbound_proxy", ""))
    return Trunk(
        name=name,
        server=contact[1] if contact else "",
        port=int(contact[2]) if contact and contact[2] else None,
        username=auth.get("username", ""),
        password=SecretStr(auth.get("password", "")),
        from_user=endpoint.get("from_user", ""),
        from_domain=endpoint.get("from_domain", ""),
        outbound_proxy=proxy or None,
        registration=registration,
        qualify_s=int(aor.get("qualify_frequency") or 0),
        codecs=tuple(codec for codec in codecs_from(endpoint.get("allow", "")) if codec != "all"),
        dtmf=endpoint.get("dtmf_mode", ""),
        send_pai=endpoint.get("send_pai", "") in ("yes", "true"),
        bandwidth_ips=_addresses(settings.get("identify", {}).get("match", "")),
        inbound_extension=inbound_extension if endpoint.get("context") == INBOUND_CONTEXT else None,
        transfers=_sends_on(endpoint),
    )


def extension_from(number: str, settings: Settings) -> Extension:
    """The extension that these settings are. One that is not ours has its own context as `route`."""
    endpoint, auth = settings.get("endpoint", {}), auth_of(settings, "auth")
    display = re.match(r'"([^"]*)"', endpoint.get("callerid", ""))
    return Extension(
        number=number,
        secret=SecretStr(auth.get("password", "")),
        route=endpoint.get("context", "").removeprefix("bw-outbound-"),
        display_name=display[1] if display else "",
        transfers=_sends_on(endpoint),
    )


def _sends_on(endpoint: Mapping[str, str]) -> bool:
    """Whether a REFER is obeyed, or a redirection followed below the dialplan. Asterisk obeys unless told not to."""
    obeys = endpoint.get("allow_transfer", "yes") not in ("no", "false")
    return obeys or endpoint.get("redirect_method", "user") != "user"


def _addresses(match: str) -> tuple[str, ...]:
    addresses = []
    for part in filter(None, (part.strip() for part in match.split(","))):
        try:
            addresses.append(str(ipaddress.IPv4Network(part, strict=False)).removesuffix("/32"))
        except ValueError:
            addresses.append(part)  # somebody wrote a name or an IPv6 address: shown as it is
    return tuple(addresses)


def identifies_from(output: Iterable[str]) -> list[tuple[str, str, list[Network]]]:
    """(identify, its endpoint, the networks it matches) of `pjsip show identifies`; what matches a header has none."""
    found: list[tuple[str, str, list[Network]]] = []
    for line in output:
        word, _, value = (part.strip() for part in line.partition(":"))
        if word == "Identify" and not value.startswith("<"):
            name, _, endpoint = value.rpartition("/")
            found.append((name, endpoint, []))
        elif word == "Match" and found:
            try:
                found[-1][2].append(ipaddress.ip_network(value, strict=False))
            except ValueError:
                continue  # an exception (!address): it takes nothing
    return found


# ------------------------------------------------------------------ dialplan


def steps_from_text(text: str, context: str) -> list[Step]:
    """The steps of one context, of text that `asterisk_text` wrote."""
    steps: list[Step] = []
    here = exten = ""
    for line in text.splitlines():
        if line.startswith("["):
            here = line.strip("[]")
        match = re.fullmatch(r"(?:exten => ([^,]+),1| same => n),(\w+)\((.*)\)", line)
        if match and here == context:
            exten = match[1] or exten
            steps.append(Step(exten, match[2], match[3]))
    return steps


def steps_from_ami(events: Iterable[Mapping[str, str]]) -> list[Step]:
    """The steps of one context, of the action ShowDialPlan."""
    return [
        Step(event.get("Extension", ""), event.get("Application", ""), event.get("AppData", ""))
        for event in events
        if event.get("Event") == "ListDialplan"
    ]


def route_from(name: str, steps: Iterable[Step]) -> OutboundRoute | None:
    """The route that a dialplan context is, None when it has no Dial.

    The context holds the route's pattern and those that follow from it. When they do not follow from one (somebody
    changed the context) the shortest is given. A caller id that is missing or mixed is empty; a trunk is
    NOT_AS_WRITTEN when the context holds other lines than ours: so it differs from any wish.
    """
    steps = list(steps)
    caller_ids = {match[1] for step in steps if (match := re.fullmatch(r"CALLERID\(num\)=(.*)", step.data))}
    dialled: dict[str, str] = {}
    ways: set[tuple[str, str, str]] = set()
    forwarding = False
    for step in steps:
        way = _way(step)
        if way:
            prefix, trunk, uri, header, options = way
            dialled[step.exten.removeprefix("_")] = prefix
            ways.add((trunk, uri, header))
            forwarding |= "i" not in options.partition(",")[2].partition(",")[2]
    if not dialled:
        others = [step.exten.removeprefix("_") for step in steps if step.application == "Dial"]
        return OutboundRoute(name, min(others, key=len), "", NOT_AS_WRITTEN, "") if others else None
    from_one = [pair for pair in dialled.items() if dict(route_patterns(*pair)) == dialled]
    pattern, prepend = from_one[0] if from_one else min(dialled.items(), key=lambda pair: len(pair[0]))
    caller_id = caller_ids.pop() if len(caller_ids) == 1 else ""
    trunk, uri, header = ways.pop() if len(ways) == 1 else ("", "", "")
    route = OutboundRoute(name, pattern, prepend if from_one else "", trunk, caller_id, forwarding, uri, header)
    as_written = steps_from_text(route_dialplan(route), outbound_context(name))
    if forwarding or _by_number(steps) == _by_number(as_written):
        return route
    return replace(route, trunk=NOT_AS_WRITTEN)


def _way(step: Step) -> tuple[str, str, str, str, str] | None:
    """(what is put before the number, trunk, SIP URI, the number's header, Dial's timeout and options) of a Dial."""
    if step.application != "Dial":
        return None
    if match := _BY_NUMBER.fullmatch(step.data):
        return match[1], match[2], "", "", match[3]
    if match := _BY_URI.fullmatch(step.data):
        return match[5], match[1], match[2], match[4], match[3] + match[6]
    return None


def inbound_extension_from(trunk: str, steps: Iterable[Step]) -> str | None:
    """The extension that the inbound context has for this trunk, None when it has none.

    NOT_AS_WRITTEN when the context holds anything but the lines of our trunks: more could be reached than they name.
    """
    found: dict[str, str] = {}
    steps = list(steps)
    for step in steps:
        if step.application == "NoOp" and step.data.startswith("trunk "):
            found[step.data.removeprefix("trunk ")] = step.exten
    as_written = steps_from_text(inbound_dialplan(found), INBOUND_CONTEXT)
    return found.get(trunk) if _by_number(steps) == _by_number(as_written) else NOT_AS_WRITTEN


def _by_number(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """Asterisk tells the extensions of a context in an order of its own, the steps of each in theirs."""
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(step.exten, []).append(step)
    return found
