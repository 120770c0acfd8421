"""The text of Asterisk's configuration (the way back is in asterisk_read). Pure: no file is touched here.

Ours lives in blocks, one per trunk, route and extension, between two marker lines, so that one can be replaced or taken
out without touching the others. Option names: docs.asterisk.org, res_pjsip configuration (22).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx import Kind

Key = tuple[Kind, str]


@dataclass(frozen=True)
class Block:
    """One object's lines in one of our files, and the site that wrote them ("" by a version that did not say)."""

    text: str
    site: str = ""


HEADER = "; Written by bw-runbook and written anew at every change. Put your own lines elsewhere.\n"
HANGUP_CONTEXT = "bw-hangup"
# One for all trunks: two of them may admit the same address, and Asterisk picks either one's endpoint by it.
INBOUND_CONTEXT = "bw-inbound"
# 60 s, and i: a redirection by the other leg's phone is not followed, or whoever answers could dial out on the trunk.
DIAL_OPTIONS = "60,i"
DIALLED = "${FILTER(0-9+,${EXTEN})}"
SECRET_KEYS = ("password", "md5_cred", "password_digest", "secret", "oauth_secret", "refresh_token")
MASK = "(not shown)"

# What the caller's phone is told when the other leg failed: the other leg's own SIP status. PJSIPHangup can say any
# status (Asterisk 18.21, 20.6, 21.1 and later); without it Hangup says what the Q.850 cause maps to. A 401 or 407 that
# came back to us is our failure, not the phone's: 403, or the phone would ask its user for a password. Without a status
# (nobody answered, nothing could be sent) Asterisk would say 603: here it says whether waiting or sending failed.
HANGUP_DIALPLAN = r"""[bw-hangup]
exten => outbound,1,Set(BW_ELSE=${IF($["${DIALSTATUS}"="NOANSWER" | "${HANGUPCAUSE}"="18"]?408:503)})
 same => n,Goto(say,1)
exten => inbound,1,Set(BW_ELSE=480)
 same => n,Goto(say,1)
exten => say,1,Set(BW_LEG=${HANGUPCAUSE_KEYS()})
 same => n,GotoIf($[${LEN(${BW_LEG})}=0]?known)
 same => n,Set(BW_SIP=${HANGUPCAUSE(${BW_LEG},tech)})
 same => n,Set(BW_CODE=${BW_SIP:4:3})
 same => n(known),Log(NOTICE,other leg of ${CHANNEL}: SIP "${BW_CODE}" cause ${HANGUPCAUSE} ${DIALSTATUS})
 same => n,ExecIf($["${BW_CODE}"="401" | "${BW_CODE}"="407"]?Set(BW_CODE=403))
 same => n,ExecIf($[${LEN(${BW_CODE})}!=3 | 0${BW_CODE}<400]?Set(BW_CODE=${BW_ELSE}))
 same => n,TryExec(PJSIPHangup(${BW_CODE}))
 same => n,Hangup(${IF($[0${HANGUPCAUSE}>0]?${HANGUPCAUSE}:34)})
"""

# Runs on the new leg before it is dialled (Dial's option b): PJSIP_HEADER(add) works on that leg only.
NUMBER_HEADER_DIALPLAN = """[bw-number-header]
exten => add,1,Set(PJSIP_HEADER(add,${ARG1})=${ARG2})
 same => n,Return()
"""
HEAD_DIALPLAN = HANGUP_DIALPLAN + NUMBER_HEADER_DIALPLAN


# ------------------------------------------------------------------ blocks and the include line


def split_blocks(text: str) -> dict[Key, Block]:
    """The blocks of one of our files, without their markers."""
    marked = r"^; >>> (trunk|route|extension) (\S+)(?: of site (\S+))?\n(.*?)^; <<<\n"
    found = re.findall(marked, text, re.MULTILINE | re.DOTALL)
    return {(cast(Kind, kind), name): Block(body, site) for kind, name, site, body in found}


def join_blocks(blocks: Mapping[Key, Block], head: str = "") -> str:
    """The file's text; empty when there are no blocks. `head` comes once, before them."""
    if not blocks:
        return ""
    parts = []
    for (kind, name), block in sorted(blocks.items(), key=lambda item: item[0]):
        of_site = f" of site {block.site}" if block.site else ""
        parts.append(f"; >>> {kind} {name}{of_site}\n{block.text}; <<<\n")
    return "\n".join([HEADER + head, *parts])


def with_include(text: bytes, line: bytes) -> bytes:
    """`text` with the include line, once. It goes on top, so that taking it out gives back every other byte."""
    return text if line in text.splitlines(keepends=True) else line + text


def without_include(text: bytes, line: bytes) -> bytes:
    """`text` without the include line, all other bytes as they are."""
    return b"".join(part for part in text.splitlines(keepends=True) if part != line)


def mask_secrets(text: str) -> str:
    """Configuration text with the values of secret options replaced."""
    keys = "|".join(SECRET_KEYS)
    return re.sub(rf"(?im)^(\s*(?:{keys})\s*\+?=>?[ \t]*)\S.*$", rf"\g<1>{MASK}", text)


# ------------------------------------------------------------------ objects to text


def outbound_context(route_name: str) -> str:
    """The context that the phones of a route dial in."""
    return f"bw-outbound-{route_name}"


# A REFER is refused; a redirection comes to Dial, which ignores it, and is never followed below the dialplan.
_NOBODY_SENDS_ON = {"allow_transfer": "no", "redirect_method": "user"}


def trunk_pjsip(trunk: Trunk) -> str:
    """The trunk's sections of pjsip.conf. No registration unless wanted, and an auth that answers any realm."""
    server = f"sip:{trunk.server}" + (f":{trunk.port}" if trunk.port else "")
    proxy = {"outbound_proxy": f"sip:{trunk.outbound_proxy};lr"} if trunk.outbound_proxy else {}
    endpoint = {
        "context": INBOUND_CONTEXT,
        # by address only: anybody could write the trunk's name into a From header
        "identify_by": "ip",
        "allow": "!all," + ",".join(trunk.codecs),
        "aors": trunk.name,
        "outbound_auth": f"{trunk.name}-auth",
        "from_user": trunk.from_user,
        "from_domain": trunk.from_domain,
        "dtmf_mode": trunk.dtmf,
        "direct_media": "no",
        # a number that is too short is a 404 at once, not a 484 that asks for more digits
        "allow_overlap": "no",
        "rtp_symmetric": "yes",
        "send_pai": "yes" if trunk.send_pai else "no",
        **_NOBODY_SENDS_ON,
        **proxy,
    }
    auth = {"auth_type": "userpass", "username": trunk.username, "password": trunk.password.get_secret_value()}
    # The realm's own URI stays in the request while the packets go to the proxy: so on both endpoint and aor.
    aor = {"contact": server, "qualify_frequency": str(trunk.qualify_s), **proxy}
    sections = [
        _section(trunk.name, "endpoint", endpoint),
        _section(f"{trunk.name}-auth", "auth", auth),
        _section(trunk.name, "aor", aor),
    ]
    if trunk.bandwidth_ips:
        identify = {"endpoint": trunk.name, "match": ",".join(trunk.bandwidth_ips), "srv_lookups": "no"}
        sections.append(_section(f"{trunk.name}-identify", "identify", identify))
    if trunk.registration:
        client = f"sip:{trunk.username}@{server[4:]}"
        registration = {"server_uri": server, "client_uri": client, "outbound_auth": f"{trunk.name}-auth", **proxy}
        sections.append(_section(f"{trunk.name}-registration", "registration", registration))
    return "\n".join(sections)


def trunk_dialplan(trunk: Trunk) -> str:
    """A trunk's block of extensions.conf: a remark. What is dialled is in the context that all trunks share."""
    return f"; inbound extension: {trunk.inbound_extension or 'none'}\n"


def inbound_extensions(blocks: Mapping[Key, Block]) -> dict[str, str]:
    """Trunk -> inbound extension, as the blocks of extensions.conf say it."""
    found = {}
    for (kind, name), block in blocks.items():
        said = re.search(r"^; inbound extension: (\d+)$", block.text, re.MULTILINE)
        if kind == "trunk" and said:
            found[name] = said[1]
    return found


def inbound_dialplan(extensions: Mapping[str, str]) -> str:
    """The inbound context: what the trunks name and nothing else, or the PBX would be open to toll fraud.

    extensions: trunk -> inbound extension. A number that two trunks name is there once, marked by both.
    """
    lines = [f"[{INBOUND_CONTEXT}]"]
    for number in sorted(set(extensions.values())):
        marks = [f"NoOp(trunk {trunk})" for trunk in sorted(extensions) if extensions[trunk] == number]
        first, *rest = [*marks, f"Dial(PJSIP/{number},{DIAL_OPTIONS})", f"Goto({HANGUP_CONTEXT},inbound,1)"]
        lines += [f"exten => {number},1,{first}", *(f" same => n,{step}" for step in rest)]
    return "\n".join(lines) + "\n"


def route_dialplan(route: OutboundRoute) -> str:
    """The outbound context: the pattern as dialled, and the same number when the phone already says the prepend.

    FILTER, because Asterisk's patterns pass over a - in what was dialled, and it would stay in the number.
    With a request_uri that URI is dialled, and the number goes along in a header.
    """
    lines = [f"[{outbound_context(route.name)}]"]
    for pattern, prefix in route_patterns(route.pattern, route.prepend):
        lines += [
            f"exten => _{pattern},1,Set(CALLERID(num)={route.caller_id})",
            f" same => n,Dial({_dialled(route, prefix)})",
            f" same => n,Goto({HANGUP_CONTEXT},outbound,1)",
        ]
    return "\n".join(lines) + "\n"


def _dialled(route: OutboundRoute, prefix: str) -> str:
    number = f"{prefix}{DIALLED}"
    if not route.request_uri:
        return f"PJSIP/{number}@{route.trunk},{DIAL_OPTIONS}"
    header = f"b(bw-number-header^add^1({route.number_header}^{number}))"
    return f"PJSIP/{route.trunk}/{route.request_uri},{DIAL_OPTIONS}{header}"


def route_patterns(pattern: str, prepend: str) -> list[tuple[str, str]]:
    """(pattern, what to put before it). With "+1": 9195550123, 19195550123 and +19195550123 all leave as the last."""
    found = [(pattern, prepend)]
    if prepend.startswith("+") and len(prepend) > 1:
        found.append((prepend[1:] + pattern, "+"))
    if prepend:
        found.append((prepend + pattern, ""))
    return found


def extension_pjsip(extension: Extension) -> str:
    """The phone's sections of pjsip.conf. One contact, the newest: a phone that came back is not rung twice."""
    number = extension.number
    endpoint = {
        "context": outbound_context(extension.route),
        "identify_by": "username",
        "allow": "!all,ulaw,alaw",
        "aors": number,
        "auth": f"{number}-auth",
        "callerid": f'"{extension.display_name}" <{number}>' if extension.display_name else f"<{number}>",
        "dtmf_mode": "rfc4733",
        "direct_media": "no",
        # a number that is too short is a 404 at once, not a 484 that asks for more digits
        "allow_overlap": "no",
        "rtp_symmetric": "yes",
        "rewrite_contact": "yes",
        **_NOBODY_SENDS_ON,
    }
    auth = {"auth_type": "userpass", "username": number, "password": extension.secret.get_secret_value()}
    aor = {"max_contacts": "1", "remove_existing": "yes"}
    return "\n".join(
        [
            _section(number, "endpoint", endpoint),
            _section(f"{number}-auth", "auth", auth),
            _section(number, "aor", aor),
        ]
    )


def _section(name: str, kind: str, values: Mapping[str, str]) -> str:
    """One section; a semicolon begins a comment unless it is escaped."""
    lines = [f"{key} = {value.replace(';', chr(92) + ';')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", f"type = {kind}", *lines, ""])
