"""Options in the trunk's and the extension's sections of pjsip.conf that this program does not write.

Nothing is wrong with them as such; where a call fails and nothing else explains it, a person looks at them first.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import SecretStr

from bwlib.models import Extension, Trunk
from bwlib.pbx.asterisk_pending import Section
from bwlib.pbx.asterisk_read import settings_from_text
from bwlib.pbx.asterisk_text import MASK, SECRET_KEYS, extension_pjsip, trunk_pjsip

_OURS = (
    settings_from_text(
        trunk_pjsip(Trunk("t", "r.test", "u", SecretStr("p"), "+1", "r.test", None, "127.0.0.1", bandwidth_ips=("::",)))
    ),
    settings_from_text(extension_pjsip(Extension("101", SecretStr("p"), "out", "name"))),
)
# Section type -> the options that this program writes there.
WRITTEN = {
    kind: {"type", *(name for settings in _OURS for name in settings.get(kind, {}))}
    for kind in ("endpoint", "auth", "aor", "identify")
}


def other_options(sections: Iterable[Section]) -> tuple[str, ...]:
    """One line per option, as "[demo] endpoint media_encryption=sdes"."""
    found = []
    for name, lines in sections:
        kind = dict(lines).get("type", "")
        for option, value in lines:
            if option not in WRITTEN.get(kind, {option}):
                found.append(f"[{name}] {kind} {option}={MASK if option in SECRET_KEYS else value}")
    return tuple(dict.fromkeys(found))
