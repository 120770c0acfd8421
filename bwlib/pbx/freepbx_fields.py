"""Our trunk, route and extension in FreePBX's field names, and back. Pure.

The names are those of the forms of FreePBX 16 and 17 (module core); both drivers use them. Four things that a form
spreads over several fields have one name here: `codec` ("ulaw,alaw", in their order), `trunkpriority` (ids, in their
order), `dialpatterndata` (as the form has it, a JSON list) and `destination` (where an inbound route leads).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from zlib import crc32

from pydantic import SecretStr

from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx.asterisk_text import route_patterns

Fields = dict[str, str]

# What an inbound call on a trunk may reach: FreePBX's inbound routes, and no outbound route.
INBOUND_CONTEXT = "from-pstn"
PHONE_CONTEXT = "from-internal"
SECRET_FIELDS = frozenset(
    {"secret", "devinfo_secret", "devinfo_secret_origional", "userman_password", "vmpwd", "routepass", "password"}
)
VIDEO_CODECS = frozenset({"h261", "h263", "h263p", "h264", "h265", "mpeg4", "vp8", "vp9"})
# Inbound routes that end here lead out of the PBX again.
LEADS_OUT = ("ext-trunk", "disa", "outbound-allroutes", "outrt-", PHONE_CONTEXT)


def mark_of(site: str) -> str:
    """What marks an object as a site's. At most 20 characters: a call record's account code is no longer."""
    return f"bw-runbook:{crc32(site.encode()):08x}"


def mark_in(text: str) -> str:
    """The mark of a site that a field's text holds, "" for none."""
    found = re.search(r"bw-runbook:[0-9a-f]{8}", text)
    return found[0] if found else ""


# Where each kind keeps it: all three are shown again by the page and kept when a person saves it. A trunk's `provider`
# is a hidden field that nothing else uses; an e-mail subject is used only once somebody enters an address; an account
# code goes into the call records, where it names who set the phone up.
MARK_FIELDS = {"trunk": "provider", "route": "emailsubject", "extension": "devinfo_accountcode", "did": "description"}


# ------------------------------------------------------------------ trunk


def trunk_fields(trunk: Trunk) -> Fields:
    """What the guide's trunk is on FreePBX's trunk page; every other field stays as the page has it.

    A user name with @ would make a malformed contact (user@server): its first part is the user, all of it the auth
    user. The caller id is the trunk's (outcid), so a From User of its own stays blank. Without addresses of its own
    FreePBX matches callers by the server's name: what calls from there reaches inbound routes, and no outbound route.
    """
    user, at, _ = trunk.username.partition("@")
    return {
        "trunk_name": trunk.name,
        "outcid": trunk.from_user,
        "keepcid": "off",
        "disabletrunk": "off",
        "username": user,
        "auth_username": trunk.username if at else "",
        "secret": trunk.password.get_secret_value(),
        "authentication": "outbound",
        "registration": "send" if trunk.registration else "none",
        "sip_server": trunk.server,
        "sip_server_port": str(trunk.port) if trunk.port else "",
        "context": INBOUND_CONTEXT,
        "dtmfmode": trunk.dtmf,
        "qualify_frequency": str(trunk.qualify_s),
        # it is written into a configuration file as it is, where a bare semicolon begins a comment
        "outbound_proxy": f"sip:{trunk.outbound_proxy}\\;lr" if trunk.outbound_proxy else "",
        "from_domain": trunk.from_domain,
        "from_user": "",
        "contact_user": "",
        "client_uri": "",
        "server_uri": "",
        "aors": "",
        "aor_contact": "",
        "match": ",".join(trunk.bandwidth_ips),
        "sendrpid": "pai" if trunk.send_pai else "no",
        "codec": ",".join(trunk.codecs),
    }


def trunk_from(fields: Mapping[str, str], inbound_extension: str | None) -> Trunk:
    """The trunk that these fields are.

    inbound_extension: where the inbound route leads. One that does not authenticate outbound has no user name; one
    that wants a password of its callers admits no address. transfers: FreePBX has no field for it on a trunk.
    """
    contact = re.search(r"sips?:(?:[^@]+@)?([^:;]+)(?::(\d+))?", fields.get("aor_contact", ""))
    port = contact[2] if contact else fields.get("sip_server_port", "")
    authentication = fields.get("authentication", "")
    user = fields.get("auth_username") or fields.get("username", "")
    context = fields.get("context", "") or INBOUND_CONTEXT
    admitted = () if authentication in ("both", "inbound") else _listed(fields.get("match", ""))
    return Trunk(
        name=fields.get("trunk_name", ""),
        server=contact[1] if contact else fields.get("sip_server", ""),
        port=int(port) if port and port.isdigit() else None,
        username=user if authentication in ("outbound", "both") else "",
        password=SecretStr(fields.get("secret", "")),
        from_user=fields.get("from_user") or number_in(fields.get("outcid", "")),
        from_domain=fields.get("from_domain", ""),
        outbound_proxy=re.sub(r"^sip:|\\?;lr$", "", fields.get("outbound_proxy", "")) or None,
        registration=fields.get("registration", "send") != "none",
        qualify_s=int(fields["qualify_frequency"]) if fields.get("qualify_frequency", "").isdigit() else 0,
        codecs=_listed(fields.get("codec", "")),
        dtmf=fields.get("dtmfmode", ""),
        send_pai=fields.get("sendrpid", "no") != "no",
        bandwidth_ips=admitted,
        inbound_extension=inbound_extension if context == INBOUND_CONTEXT else f"(context {context})",
    )


def number_in(caller_id: str) -> str:
    """The number of a caller id field: `"Name" <+1...>`, or the number alone."""
    found = re.search(r"<([^>]*)>", caller_id)
    return (found[1] if found else caller_id).strip()


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


# ------------------------------------------------------------------ outbound route


def route_fields(route: OutboundRoute, trunk_id: str, trunk_number: str) -> Fields:
    """What the route is on FreePBX's outbound route page.

    The trunk's caller id serves; the route has one of its own only where it is another. forwarding: FreePBX has no
    field for it on a route; what its dial options do holds for the whole PBX.
    """
    rows = [
        {"prepend_digit": prefix, "pattern_prefix": "", "pattern_pass": pattern, "match_cid": ""}
        for pattern, prefix in route_patterns(route.pattern, route.prepend)
    ]
    return {
        "routename": route.name,
        "outcid": "" if route.caller_id == trunk_number else route.caller_id,
        "routepass": "",
        "trunkpriority": trunk_id,
        "dialpatterndata": json.dumps(rows),
    }


def route_from(fields: Mapping[str, str], trunks: Mapping[str, tuple[str, str]]) -> OutboundRoute:
    """The route that these fields are. trunks: id -> (name, its caller id).

    Patterns that do not follow from one, or that look at more than the number dialled, are told as they are: so they
    differ from any wish. So is a route that asks for a PIN.
    """
    rows = patterns_of(fields)
    dialled = {row["pattern_pass"]: row["prepend_digit"] for row in rows}
    whole = [pair for pair in dialled.items() if dict(route_patterns(*pair)) == dialled]
    plain = not any(row["pattern_prefix"] or row["match_cid"] for row in rows) and len(rows) == len(dialled)
    pattern, prepend = whole[0] if whole and plain else (" ".join(map(_spelled, rows)), "")
    used = [trunks.get(key, (f"(trunk {key})", "")) for key in _listed(fields.get("trunkpriority", ""))]
    names = ", ".join(name for name, _ in used) + (" (asks for a PIN)" if fields.get("routepass") else "")
    number = number_in(fields.get("outcid", "")) or (used[0][1] if used else "")
    return OutboundRoute(fields.get("routename", ""), pattern, prepend, names, number)


def patterns_of(fields: Mapping[str, str]) -> list[dict[str, str]]:
    """The dial patterns, empty lines left out."""
    try:
        rows = json.loads(fields.get("dialpatterndata") or "[]")
    except ValueError:
        rows = []
    names = ("prepend_digit", "pattern_prefix", "pattern_pass", "match_cid")
    told = [{name: str(row.get(name) or "") for name in names} for row in rows if isinstance(row, dict)]
    return [row for row in told if any(row.values())]


def _spelled(row: Mapping[str, str]) -> str:
    """A pattern as FreePBX's page lays it out: (prepend) prefix | match / caller id."""
    return f"({row['prepend_digit']}){row['pattern_prefix']}|{row['pattern_pass']}/{row['match_cid']}"


# ------------------------------------------------------------------ extension, inbound route


def extension_fields(extension: Extension) -> Fields:
    """What the extension is on FreePBX's extension page. Its Outbound CID stays blank: it would beat the trunk's."""
    return {
        "extension": extension.number,
        "name": extension.display_name or extension.number,
        "outboundcid": "",
        "devinfo_secret": extension.secret.get_secret_value(),
        "devinfo_context": PHONE_CONTEXT,
    }


def extension_from(fields: Mapping[str, str], route: str) -> Extension:
    """The extension that these fields are.

    route: the site's. Every phone of a FreePBX may use every outbound route, so it is told here unless something of
    the phone's own stands in the way. transfers: FreePBX decides that for the whole PBX.
    """
    number, name = fields.get("extension", ""), fields.get("name", "")
    context, own = fields.get("devinfo_context", ""), fields.get("outboundcid", "")
    used = route if context == PHONE_CONTEXT else f"(context {context or 'none'})"
    return Extension(
        number=number,
        secret=SecretStr(fields.get("devinfo_secret", "")),
        route=f"{used} (with an Outbound CID of its own, {own})" if own else used,
        display_name="" if name == number else name,
    )


def did_fields(number: str, mark: str) -> Fields:
    """The inbound route for a programmatic call to the extension: DID = the extension, from any caller."""
    return {"extension": number, "cidnum": "", "description": mark, "destination": destination_of(number)}


def destination_of(number: str) -> str:
    """How FreePBX names an extension as a destination."""
    return f"from-did-direct,{number},1"


def masked(fields: Mapping[str, str]) -> Fields:
    """The fields with secrets replaced."""
    return {name: "(not shown)" if name in SECRET_FIELDS and value else value for name, value in fields.items()}
