"""Read the machine's own Debian package sources: both formats of sources.list(5). Pure but for reading files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CODENAMES = ("stable", "testing", "unstable", "sid", "oldstable")


@dataclass(frozen=True)
class AptSource:
    """A Debian mirror that this machine trusts. `signed_by` as written there: a path, or a key block; may be empty."""

    uri: str
    signed_by: str

    def stanza(self, suite: str) -> str:
        """A deb822 stanza for the same mirror and key, but another suite."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {suite}", "Components: main"]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def debian_sources(etc_apt: Path = Path("/etc/apt"), os_release: Path = Path("/etc/os-release")) -> list[AptSource]:
    """The mirrors of Debian's main archive that this machine uses, most likely first; empty when it is no Debian."""
    release = _read_os_release(os_release)
    if release.get("ID") != "debian":
        return []
    codenames = {release.get("VERSION_CODENAME", ""), *CODENAMES}
    found: list[AptSource] = []
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text("utf-8", errors="replace")
        if path.suffix == ".sources":
            found += _from_deb822(text, codenames)
        elif path.suffix == ".list":
            found += _from_one_line(text, codenames)
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda source: not source.uri.rstrip("/").endswith("/debian"))


def _from_deb822(text: str, codenames: set[str]) -> list[AptSource]:
    found = []
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = _deb822_fields(stanza)
        usable = (
            "deb" in fields.get("types", "").split()
            and fields.get("enabled", "yes").lower() not in ("no", "false", "0")
            and codenames & set(fields.get("suites", "").split())
            and "main" in fields.get("components", "").split()
        )
        if usable:
            found += [AptSource(uri, fields.get("signed-by", "")) for uri in fields.get("uris", "").split()]
    return [source for source in found if not source.uri.startswith("cdrom:")]


def _deb822_fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _from_one_line(text: str, codenames: set[str]) -> list[AptSource]:
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if match and match[3] in codenames and "main" in match[4].split() and not match[2].startswith("cdrom:"):
            options = dict(option.split("=", 1) for option in (match[1] or "").split() if "=" in option)
            found.append(AptSource(match[2], options.get("signed-by", "")))
    return found


def _read_os_release(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text("utf-8").splitlines() if "=" in line)
    return {key: value.strip().strip("\"'") for key, value in pairs}
