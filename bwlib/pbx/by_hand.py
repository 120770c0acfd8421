"""Settings sheets: what a person types into a PBX that this program does not configure. Pure text, without secrets.

One template per PBX in `sheets/`, its row in `products`. Facts behind the values:
dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23): outbound authentication by a realm's FQDN, whose port
DNS SRV says, and HA1 over that FQDN.

A sheet is pasted into configuration files, so `checks` sees every value first, as for a file that we write ourselves:
a name with a quote, bracket, semicolon or $ is refused. What it lets through and XML does not is escaped.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bwlib.errors import SettingsError
from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx import asterisk_text, checks, dial_pattern
from bwlib.pbx.products import PRODUCTS, Product, product

__all__ = ["PRODUCTS", "Kept", "product", "settings_sheet"]

_TEMPLATES = Path(__file__).with_name("sheets")
# RFC 3551's names, and those of Cisco IOS, for what Asterisk calls by its own.
_RTP_NAMES = {"ulaw": "PCMU", "alaw": "PCMA", "g722": "G722", "g729": "G729", "gsm": "GSM", "opus": "OPUS"}
_LAWS = {"ulaw": "G.711 u-law", "alaw": "G.711 a-law"}
_IOS_NAMES = {"ulaw": "g711ulaw", "alaw": "g711alaw", "g722": "g722-64", "g729": "g729r8"}


@dataclass(frozen=True)
class Kept:
    """Where the secrets are kept: references of the site file (env:, keyring:, file:, prompt:), or "" if unknown."""

    sip_password: str = ""
    extension_secret: str = ""


@dataclass(frozen=True)
class _Number:
    """One form in which a number may be dialled, and what is put before it. `pattern` is Asterisk's."""

    pattern: str
    prefix: str

    @property
    def regex(self) -> str:
        return dial_pattern.regex(self.pattern)

    @property
    def ios(self) -> str:
        return dial_pattern.ios(self.pattern)

    @property
    def length(self) -> int:
        return dial_pattern.length(self.pattern)


def settings_sheet(
    pbx: str,
    trunk: Trunk,
    route: OutboundRoute,
    extension: Extension,
    kept: Kept = Kept(),
) -> str:
    """The sheet for one of PRODUCTS: where each value goes, in the vendor's words. Holds no secret.

    Raises: SettingsError for another PBX, for values that have no place in a configuration, and for a trunk that
    registers (no sheet is for one).
    """
    row = product(pbx)
    checks.check_trunk(trunk)
    checks.check_route(route)
    checks.check_extension(extension)
    if trunk.registration:
        raise SettingsError(
            f"write a settings sheet for the trunk {trunk.name}",
            "it registers",
            "turn its registration off: the guide's trunk authenticates outbound and does not register",
        )
    if row.xml and "$" in extension.display_name:
        raise SettingsError(
            f"write a settings sheet for {row.label}",
            f"the display name {extension.display_name!r} has a $, which begins a variable there",
            "choose one without $",
        )
    return _render(_values(row, trunk, route, extension, kept))


def _render(values: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here: `--help` does not need it

    templates = Environment(  # noqa: S701  text; a template escapes what goes into XML itself
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["wrap"] = _wrap
    return templates.get_template("_sheet.txt").render(values)


def _values(row: Product, trunk: Trunk, route: OutboundRoute, extension: Extension, kept: Kept) -> dict[str, Any]:
    """What the templates may use."""
    hidden = SecretStr("x")
    return {
        "product": row,
        "trunk": replace(trunk, password=hidden),
        "route": route,
        "extension": replace(extension, secret=hidden),
        "numbers": [_Number(*each) for each in asterisk_text.route_patterns(route.pattern, route.prepend)],
        "host_port": f"{trunk.server}:{trunk.port}" if trunk.port else trunk.server,
        "uri_user": route.request_uri.removeprefix("sip:").partition("@")[0],
        "inbound": bool(trunk.bandwidth_ips and trunk.inbound_extension),
        "dtmf": "RFC 4733 (also called RFC 2833)" if trunk.dtmf == "rfc4733" else trunk.dtmf,
        "rtp_codecs": [_RTP_NAMES.get(codec, codec) for codec in trunk.codecs],
        "ios_codecs": [_IOS_NAMES.get(codec, codec) for codec in trunk.codecs],
        "codec_laws": [_LAWS.get(codec, codec) for codec in trunk.codecs],
        "the_password": f"the SIP password, {_kept_in(kept.sip_password)}",
        "the_phone_secret": f"the extension's secret, {_kept_in(kept.extension_secret)}",
        **_route_rows(route),
        "rows": _table,
        "ha1_command": lambda file, before="", after="": _ha1_command(trunk, kept.sip_password, file, before, after),
        "pjsip": asterisk_text.mask_secrets(
            asterisk_text.trunk_pjsip(replace(trunk, password=hidden))
            + "\n"
            + asterisk_text.extension_pjsip(replace(extension, secret=hidden))
        ),
        "dialplan": "\n".join(
            [
                asterisk_text.HEAD_DIALPLAN,
                asterisk_text.inbound_dialplan(
                    {trunk.name: trunk.inbound_extension} if trunk.inbound_extension else {}
                ),
                asterisk_text.route_dialplan(route),
            ]
        ),
    }


def _route_rows(route: OutboundRoute) -> dict[str, list[tuple[str, ...]]]:
    """The dial patterns as rows of the vendors' pages."""
    pairs = asterisk_text.route_patterns(route.pattern, route.prepend)
    numbered = list(enumerate(pairs, 1))
    return {
        "route_rows": [
            (f"Number dialled as {pattern}", f"send {prefix}<number>" if prefix else "send as it is")
            for pattern, prefix in pairs
        ],
        "freepbx_patterns": [
            (f"Dial Patterns > line {line}", f"prepend {prefix or '(empty)'}, match pattern {pattern}")
            for line, (pattern, prefix) in numbered
        ],
        "vendor_patterns": [
            (f"Dial Pattern {line}", f"Pattern {pattern}, Strip 0, Prepend {prefix or '(empty)'}")
            for line, (pattern, prefix) in numbered
        ],
        "ucm_patterns": [
            (f"Pattern of rule {line}", f"_{pattern}, Prepend {prefix or '(empty)'}")
            for line, (pattern, prefix) in numbered
        ],
        "lengths": [
            (f"Calls to numbers with a length of {dial_pattern.length(pattern)}", f"prepend {prefix or 'nothing'}")
            for pattern, prefix in pairs
        ],
    }


def _table(pairs: Sequence[tuple[str, ...]]) -> str:
    """Label and value in two columns; a third entry is the mark. A pair without a value is left out."""
    said = [pair for pair in pairs if pair[1]]
    width = max(len(pair[0]) for pair in said)
    return "\n".join(f"{pair[0]:<{width}}  {pair[1]}" + (f"  [{pair[2]}]" if len(pair) > 2 else "") for pair in said)


def _kept_in(reference: str) -> str:
    return f"kept in {reference}" if reference else "kept where the site file says"


def _wrap(text: str) -> str:
    """Prose at a width that a terminal has; each line that comes in is a paragraph or an item of a list."""
    lines = []
    for line in text.splitlines():
        marker = re.match(r"(?:- |[A-Z][.] )?", line)
        indent = " " * len(marker[0] if marker else "")
        lines += textwrap.wrap(line, 110, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*lines, ""])


def _ha1_command(trunk: Trunk, reference: str, file: str, before: str, after: str) -> str:
    """Bash that writes HA1 into `file`. Only builtins see the password, and md5sum a pipe, so that `ps` never does."""
    kind, _, rest = reference.partition(":")
    if kind == "file":
        read = f"IFS= read -r p < {shlex.quote(rest)}"
    elif kind == "env":
        read = f'p="${rest}"'
    else:
        read = "IFS= read -rsp 'SIP password: ' p"
    text = f"{before}%s{after}".replace("\\", "\\\\")
    return "\n".join(
        [
            f"( umask 077; {read}",
            f'  ha1="$(printf %s "{trunk.username}:{trunk.server}:$p" | md5sum | cut -c1-32)"',
            f'  printf {shlex.quote(text + chr(92) + "n")} "$ha1" \\',
            f"    > {file} )",
        ]
    )
