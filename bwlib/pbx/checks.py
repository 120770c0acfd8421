"""What may be written into a PBX's configuration. Everything else is refused before a file is touched.

A configuration file is lines and brackets: a line break, a bracket or a semicolon in a name would become
configuration of its own.
"""

from __future__ import annotations

import ipaddress
import re

from bwlib.errors import SettingsError
from bwlib.models import Extension, OutboundRoute, Trunk

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
USERNAME = r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,99}"
NUMBER = r"[0-9]{1,15}"
CALLER_ID = r"\+?[0-9]{1,15}"
# docs.asterisk.org/Configuration/Dialplan/Pattern-Matching. Digits only, and a + in front: "." and "!" would match any
# character, and an & in what was dialled would be a second destination for Dial.
PATTERN = r"\+?(?:[0-9XZN]|\[(?:[0-9](?:-[0-9])?){1,10}\]){1,40}"
PREPEND = r"\+?[0-9]{0,15}"
PROXY = r"(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?|" + HOST + r"(?::\d{1,5})?"
REQUEST_URI = r"sip:[A-Za-z0-9][A-Za-z0-9._-]{0,79}@" + HOST + r"(?::\d{1,5})?"
HEADER = r"X-[A-Za-z0-9-]{1,60}"
CODEC = r"[a-z0-9]{2,16}"
DTMF_MODES = ("rfc4733", "inband", "info", "auto", "auto_info")


def check_trunk(trunk: Trunk) -> None:
    """Raises SettingsError for the first value that is not fit to be written."""
    check_name("trunk", trunk.name)
    _match("realm (SIP server)", HOST, trunk.server, "the realm's FQDN, such as acme-1a2b3c.auth.example.com")
    _match("From domain", HOST, trunk.from_domain, "the realm's FQDN")
    _match("SIP user name", USERNAME, trunk.username, "letters, digits and @ . _ + -")
    _match("From user", CALLER_ID, trunk.from_user, "the site's number in E.164, such as +19195550123")
    _secret("SIP password", trunk.password.get_secret_value())
    if trunk.outbound_proxy is not None:
        _match("outbound proxy", PROXY, trunk.outbound_proxy, "host or host:port")
    if trunk.inbound_extension is not None:
        _match("inbound extension", NUMBER, trunk.inbound_extension, "digits")
    if trunk.port is not None and not 0 < trunk.port < 65536:
        raise _refused("SIP server port", str(trunk.port), "1 to 65535, or none (then DNS SRV says it)")
    if not 0 <= trunk.qualify_s <= 86400:
        raise _refused("qualify", str(trunk.qualify_s), "0 to 86400 seconds")
    if trunk.dtmf not in DTMF_MODES:
        raise _refused("DTMF mode", trunk.dtmf, ", ".join(DTMF_MODES))
    if not trunk.codecs:
        raise _refused("codecs", "(none)", "at least one, such as ulaw")
    for codec in trunk.codecs:
        _match("codec", CODEC, codec, "Asterisk's codec names, such as ulaw")
    for address in trunk.bandwidth_ips:
        _check_address(address)
    _off("transfers by the far end", trunk.transfers)


def check_route(route: OutboundRoute) -> None:
    """Raises SettingsError for the first value that is not fit to be written."""
    check_name("route", route.name)
    check_name("trunk", route.trunk)
    _match("dial pattern", PATTERN, route.pattern, "digits, X, Z, N and [2-9], such as NXXNXXXXXX (no . and no !)")
    _match("prepend", PREPEND, route.prepend, "digits, with or without a + in front, such as +1")
    _match("caller id", CALLER_ID, route.caller_id, "the site's number in E.164, such as +19195550123")
    if route.prepend and route.pattern.startswith("+"):
        raise _refused("prepend", route.prepend, "none with a pattern that begins with +")
    _off("forwarding by the far end", route.forwarding)
    if route.request_uri or route.number_header:
        _match("SIP URI", REQUEST_URI, route.request_uri, "the application's URI, sip:<uuid>@<host>")
        _match("number's header", HEADER, route.number_header, "a header such as X-Dialed-Number")


def check_extension(extension: Extension) -> None:
    """Raises SettingsError for the first value that is not fit to be written."""
    _match("extension", NUMBER, extension.number, "digits")
    check_name("route", extension.route)
    _secret("extension's secret", extension.secret.get_secret_value())
    _match("display name", r'[^\x00-\x1f\x7f"\\<>;\[\]]{0,60}', extension.display_name, 'text without " \\ < > ; [ ]')
    if extension.display_name != extension.display_name.strip():
        raise _refused("display name", extension.display_name, "text without spaces around it")
    _off("transfers by the phone", extension.transfers)


def check_name(kind: str, name: str) -> None:
    """Raises SettingsError when `name` cannot be the name of a section or context."""
    _match(f"{kind} name", NAME, name, "up to 40 letters, digits, - and _")


def _check_address(address: str) -> None:
    try:
        network = ipaddress.IPv4Network(address)
    except ValueError as error:
        raise _refused("Bandwidth address", address, "an IPv4 address or network, such as 203.0.113.0/24") from error
    if network.prefixlen < 8:
        raise _refused("Bandwidth address", address, "a network of /8 or smaller: it is admitted without a password")
    written = str(network).removesuffix("/32")
    if written != address:
        raise _refused("Bandwidth address", address, f"its usual spelling, {written}")


def _off(what: str, value: bool) -> None:
    """Whoever may send a call on decides which number the site pays for."""
    if value:
        raise _refused(what, "on", "off: it would let others dial out at the site's cost")


def _match(what: str, pattern: str, value: str, wanted: str) -> None:
    if not re.fullmatch(pattern, value):
        raise _refused(what, value, wanted)


def _secret(what: str, value: str) -> None:
    """Printable ASCII: the only characters that every PBX and phone hashes alike (RFC 7616 section 4)."""
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", value):
        raise SettingsError(
            f"write the {what} into the PBX", "it is empty, too long, or has spaces, control characters or accents",
            "choose one of 1 to 128 printable ASCII characters",
        )  # fmt: skip


def _refused(what: str, value: str, wanted: str) -> SettingsError:
    return SettingsError(f"write the {what} into the PBX", f"{value[:60]!r} is not fit", f"use {wanted}")
