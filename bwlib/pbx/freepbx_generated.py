"""The `pjsip.*.conf` that FreePBX writes at Apply Config, read: what its trunk really is to Asterisk. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import SecretStr

from bwlib.models import Finding, Trunk
from bwlib.pbx.freepbx_fields import number_in

# (type, section) -> option -> value
Sections = dict[tuple[str, str], dict[str, str]]


def sections_of(files: Mapping[str, str]) -> Sections:
    """Every section of these files, by its type and name. files: name -> text."""
    found: Sections = {}
    for text in files.values():
        # [^\n]*: FreePBX puts an #include into a section [0], and blank lines between options
        for name, body in re.findall(r"^\[([^\]\n]+)\][^\n]*\n((?:(?!\[)[^\n]*\n?)*)", text, re.MULTILINE):
            values = dict(re.findall(r"^(\w+)\s*=>?[ \t]*(.*?)[ \t]*$", body, re.MULTILINE))
            kind = values.pop("type", "")
            if kind:
                found[kind, name] = values
    return found


def generated_trunk(name: str, files: Mapping[str, str], outcid: str = "") -> Trunk | None:
    """The trunk of this name as Asterisk was told it, None when there is none.

    outcid: the trunk's Outbound CallerID, which FreePBX keeps in the dialplan. An identify without addresses of its
    own matches the server's name: that is told as it is, and differs from any list of addresses.
    """
    sections = sections_of(files)
    endpoint = sections.get(("endpoint", name))
    if endpoint is None:
        return None
    auth, aor = sections.get(("auth", endpoint.get("outbound_auth", "")), {}), sections.get(("aor", name), {})
    contact = re.search(r"sips?:(?:[^@]+@)?([^:;]+)(?::(\d+))?", aor.get("contact", ""))
    match = sections.get(("identify", name), {}).get("match", "")
    return Trunk(
        name=name,
        server=contact[1] if contact else "",
        port=int(contact[2]) if contact and contact[2] else None,
        username=auth.get("username", ""),
        password=SecretStr(auth.get("password", "")),
        from_user=endpoint.get("from_user") or number_in(outcid),
        from_domain=endpoint.get("from_domain", ""),
        outbound_proxy=re.sub(r"^sip:|\\?;lr$", "", endpoint.get("outbound_proxy", "")) or None,
        registration=("registration", name) in sections,
        qualify_s=int(aor["qualify_frequency"]) if aor.get("qualify_frequency", "").isdigit() else 0,
        codecs=tuple(part for part in re.split(r"[,\s]+", endpoint.get("allow", "")) if part),
        dtmf=endpoint.get("dtmf_mode", ""),
        send_pai="yes" in (endpoint.get("send_pai"), endpoint.get("send_rpid")),
        bandwidth_ips=() if "auth" in endpoint else tuple(part.strip() for part in match.split(",") if part.strip()),
    )


def external_address_finding(files: Mapping[str, str]) -> Finding | None:
    """The sentence that FreePBX stores for an address that it could not find out; it breaks every call's c= line."""
    for (kind, name), values in sections_of(files).items():
        address = values.get("external_media_address", "")
        if kind == "transport" and " " in address:
            return Finding(
                "The external media address is a sentence, so calls go out with c=IN IP4 (null) and nothing is heard",
                (f"transport {name}: external_media_address={address[:80]}",),
                "Settings > Asterisk SIP Settings > General: type the public address as External Address (or empty "
                "it), Submit, Apply Config, restart Asterisk",
            )
    return None
