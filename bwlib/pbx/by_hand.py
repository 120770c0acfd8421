"""Settings sheets: what a person types into a PBX that this program does not configure. Pure text, without secrets.

Labels of FreePBX: its trunk, outbound route and extension pages (FreePBX 16 and 17, module core). Facts behind the
values: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23): outbound authentication by a realm's FQDN,
whose port DNS SRV says.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import SecretStr

from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx import asterisk_text

Rows = list[tuple[str, str]]

SIP_PASSWORD = "(the site's SIP password; the site file names the place where it is kept)"  # noqa: S105
PHONE_SECRET = "(the extension's secret; the site file names the place where it is kept)"  # noqa: S105
PRODUCTS = ("any", "freepbx", "asterisk")


def settings_sheet(product: str, trunk: Trunk, route: OutboundRoute, extension: Extension) -> str:
    """The sheet for one of PRODUCTS. Raises ValueError for another."""
    sheets = {"any": any_sheet, "freepbx": freepbx_sheet, "asterisk": asterisk_sheet}
    if product not in sheets:
        raise ValueError(f"no sheet for {product!r}; there is one for {', '.join(PRODUCTS)}")
    return sheets[product](trunk, route, extension)


def any_sheet(trunk: Trunk, route: OutboundRoute, extension: Extension) -> str:
    """In the words of RFC 3261 and of most PBXs."""
    trunk_rows = [
        ("SIP server, domain", trunk.server),
        ("Port", str(trunk.port) if trunk.port else "leave empty (DNS SRV says it)"),
        ("Outbound proxy", trunk.outbound_proxy or "none"),
        ("Registration", "yes" if trunk.registration else "none: nothing is registered at Bandwidth"),
        ("Authentication", "outbound only; leave a field for the realm empty"),
        ("Authentication user", trunk.username),
        ("Password", SIP_PASSWORD),
        ("From user", trunk.from_user),
        ("From domain", trunk.from_domain),
        ("Qualify, keep-alive OPTIONS", f"{trunk.qualify_s} s" if trunk.qualify_s else "off"),
        ("Codecs, in this order", ", ".join(trunk.codecs)),
        ("DTMF", "RFC 4733 (RFC 2833)" if trunk.dtmf == "rfc4733" else trunk.dtmf),
        ("P-Asserted-Identity", "send" if trunk.send_pai else "off"),
        ("Calls admitted without a password", _admitted(trunk)),
        ("Transfers and redirections (REFER, 302)", "refuse those of the far end and of the phone"),
    ]
    return _sheet(
        ("Trunk", trunk_rows),
        ("Outbound route", _route_rows(route)),
        ("Extension", _extension_rows(extension, route)),
    )


def freepbx_sheet(trunk: Trunk, route: OutboundRoute, extension: Extension) -> str:
    """In FreePBX's words and in the order of its tabs."""
    trunk_rows = [
        ("General > Trunk Name", trunk.name),
        ("General > Outbound CallerID", trunk.from_user),
        ("pjsip > General > Username", trunk.username),
        ("pjsip > General > Secret", SIP_PASSWORD),
        ("pjsip > General > Authentication", "Outbound"),
        ("pjsip > General > Registration", "Send" if trunk.registration else "None"),
        ("pjsip > General > SIP Server", trunk.server),
        ("pjsip > General > SIP Server Port", str(trunk.port) if trunk.port else "leave empty"),
        ("pjsip > Advanced > DTMF Mode", "RFC 4733" if trunk.dtmf == "rfc4733" else trunk.dtmf),
        ("pjsip > Advanced > Qualify Frequency", str(trunk.qualify_s)),
        ("pjsip > Advanced > Outbound Proxy", _proxy_uri(trunk) or "leave empty"),
        ("pjsip > Advanced > From Domain", trunk.from_domain),
        ("pjsip > Advanced > Send RPID/PAI", "Send P-Asserted-Identity header" if trunk.send_pai else "No"),
        ("pjsip > Advanced > Match (Permit)", ",".join(trunk.bandwidth_ips) or "leave empty"),
        ("pjsip > Codecs", ", ".join(trunk.codecs) + "; untick all others"),
    ]
    if "@" in trunk.username:
        trunk_rows[2:3] = [
            ("pjsip > General > Username", trunk.username.split("@")[0]),
            ("pjsip > General > Auth username", trunk.username),
        ]
    extension_rows = [
        ("User Extension", extension.number),
        ("Display Name", extension.display_name or extension.number),
        ("Outbound CID", route.caller_id),
        ("Secret", PHONE_SECRET),
    ]
    return _sheet(
        ("Trunk (pjsip)", trunk_rows),
        ("Outbound Route", _freepbx_route(route)),
        ("Extension (pjsip)", extension_rows),
    )


def _freepbx_route(route: OutboundRoute) -> Rows:
    rows = [
        ("Route Settings > Route Name", route.name),
        ("Route Settings > Trunk Sequence", route.trunk),
        *[
            (f"Dial Patterns > line {number}", f"prepend {prefix or '(empty)'}, match pattern {pattern}")
            for number, (pattern, prefix) in enumerate(asterisk_text.route_patterns(route.pattern, route.prepend), 1)
        ],
    ]
    if route.request_uri:  # no page of FreePBX's sets a Request-URI or a header
        rows.append(("(by custom dialplan)", f"send to {route.request_uri}, number in {route.number_header}"))
    return rows


def asterisk_sheet(trunk: Trunk, route: OutboundRoute, extension: Extension) -> str:
    """The very lines for pjsip.conf and extensions.conf."""
    secret = SecretStr("x")
    pjsip = (
        asterisk_text.trunk_pjsip(replace(trunk, password=secret))
        + "\n"
        + asterisk_text.extension_pjsip(replace(extension, secret=secret))
    )
    dialplan = "\n".join(
        [
            asterisk_text.HEAD_DIALPLAN,
            asterisk_text.inbound_dialplan({trunk.name: trunk.inbound_extension} if trunk.inbound_extension else {}),
            asterisk_text.route_dialplan(route),
        ]
    )
    return (
        f"; ---- add to pjsip.conf\n; password of {trunk.name}-auth: {SIP_PASSWORD}\n"
        f"; password of {extension.number}-auth: {PHONE_SECRET}\n{asterisk_text.mask_secrets(pjsip)}\n"
        f"; ---- add to extensions.conf\n{dialplan}\n"
        "; ---- then, on Asterisk's command line: core reload\n"
    )


def _route_rows(route: OutboundRoute) -> Rows:
    patterns = [
        (f"Number dialled as {pattern}", f"send {prefix}<number>" if prefix else "send as it is")
        for pattern, prefix in asterisk_text.route_patterns(route.pattern, route.prepend)
    ]
    rows = [("Name", route.name), *patterns, ("By trunk", route.trunk), ("Caller id", route.caller_id)]
    if route.request_uri:
        rows += [("Send every call to", route.request_uri), ("Number in the header", route.number_header)]
    return rows


def _extension_rows(extension: Extension, route: OutboundRoute) -> Rows:
    return [
        ("Number, user name", extension.number),
        ("Display name", extension.display_name or extension.number),
        ("Secret", PHONE_SECRET),
        ("May use route", route.name),
    ]


def _admitted(trunk: Trunk) -> str:
    if not trunk.bandwidth_ips or trunk.inbound_extension is None:
        return "none"
    return f"from {', '.join(trunk.bandwidth_ips)} only, to extension {trunk.inbound_extension} only"


def _proxy_uri(trunk: Trunk) -> str:
    return f"sip:{trunk.outbound_proxy}\\;lr" if trunk.outbound_proxy else ""


def _sheet(*parts: tuple[str, Rows]) -> str:
    width = max(len(label) for _, rows in parts for label, _ in rows)
    lines: list[str] = []
    for title, rows in parts:
        lines += [title, "-" * len(title), *(f"{label:<{width}}  {value}" for label, value in rows), ""]
    return "\n".join(lines)
