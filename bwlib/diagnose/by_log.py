"""What the PBX's own log says: of a call, why it gave up; of its configuration, what it could not read.

The lines are Asterisk 22's, recorded (tests/peers/test_diagnose_pbx_log.py); secrets are masked where they are read.
A machine on the internet is called by strangers all day: a line counts only when it names this site.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bwlib.diagnose.facts import Fact
from bwlib.diagnose.scene import Scene

SOURCE = "PBX"
# Time, level, thread and source file before a line of the log; and as much of it as a person reads.
_HEAD = re.compile(r"^\[[^\]]*\]\s+\w+\[[^\]]*\](\[[^\]]*\])?\s+\S+:\s+")
_CHARS = 300

# Why it gave up, in its own words.
DECIDING = {
    "credentials": "PJSIP_EFAILEDCREDENTIAL",
    "realm": "No auth objects matching realm",
    "no-auth": "There were no auth ids available",
    "no-path": "No path to translate from",
    "unreachable": "Could not create dialog to invalid URI",
    "rejected": "rejected because extension not found in context",
    "no-endpoint": "No matching endpoint found",
    "no-media": "Couldn't add sdp streams",
    "no-audio": "for lack of audio RTP activity",
    "registration": "stopping outbound registration",
}
_TAKEN = re.compile(
    r"(\S+): Call \(\S+\) to extension '([^']*)' rejected because extension not found in context '([^']*)'"
)
_KEPT_OUT = re.compile(r"Request '(\w+)' from '<sip:([^@>]*)@[^']*' failed for .*Not match Endpoint ACL")
_OF_SECTION = re.compile(r"(?:suitable for category|of type '\w+' with id) '([^']+)'")
_UNREADABLE = "parse error"
# What stands behind an object's name in that of its sections: as this program, FreePBX and most people write them.
_KINDS = ("auth", "identify", "ident", "reg", "registration", "aor", "oauth", "iauth", "acl", "endpoint")


def of_call(scene: Scene, lines: Sequence[str]) -> list[Fact]:
    """What it says of the calls of that time."""
    facts = [
        Fact(f"log.{name}", "said", _quoted(found[-1]), SOURCE)
        for name, words in DECIDING.items()
        if (found := [line for line in lines if words in line])
    ]
    table, number = scene.run.settings.pbx, scene.run.on.number
    # Trunks that share the inbound context may take each other's calls: then what is wrong is in that context.
    own_context = scene.inbound.context if scene.inbound else ""
    for line in lines:
        taken, kept_out = _TAKEN.search(line), _KEPT_OUT.search(line)
        if taken and taken[1] != table.trunk and taken[2] == table.extension and taken[3] != own_context:
            facts.append(Fact("log.other-endpoint", "said", _quoted(line), SOURCE))
        if kept_out and kept_out.groups() == ("INVITE", number):
            facts.append(Fact("log.acl-bandwidth", "said", _quoted(line), SOURCE))
        if kept_out and kept_out.groups() == ("REGISTER", table.extension):
            facts.append(Fact("log.acl-phone", "said", _quoted(line), SOURCE))
    return facts


def of_files(scene: Scene, lines: Sequence[str]) -> list[Fact]:
    """Whether the PBX could not read a file at all, or not an object of this site's trunk or extension."""
    unreadable = [line for line in lines if _UNREADABLE in line]
    if unreadable:
        return [Fact("pbx.config", "unreadable", _quoted(unreadable[-1]), SOURCE)]
    ours = [line for line in lines if any(_is_ours(scene, name) for name in _OF_SECTION.findall(line))]
    if not ours:
        return []
    says = "; ".join(dict.fromkeys(map(_quoted, ours)))
    return [Fact("pbx.config", "refused", says, SOURCE)]


def _is_ours(scene: Scene, section: str) -> bool:
    """A section of the trunk or of the extension: by its name, or by that and what it is (demo-auth, not demo-two)."""
    name, _, kind = section.rpartition("-")
    table = scene.run.settings.pbx
    return section in (table.trunk, table.extension) or (kind in _KINDS and name in (table.trunk, table.extension))


def _quoted(line: str) -> str:
    return f"the PBX's log: {_HEAD.sub('', line.strip())[:_CHARS]}"
