"""From one site to many: a template of this site's answers, a table with one line per site, and site files from both.

A line of the table says what differs; everything else comes from the template, and every name that neither gives from
the site's own name. Secrets are in neither, only the places where they are kept; two sites must not share one.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit

from bwlib.entries import answer_of, fault_in, field_of
from bwlib.errors import SettingsError
from bwlib.settings import Settings, load_settings, names_for
from bwlib.site_file import put

if TYPE_CHECKING:
    from bwlib.guide import Run

#: the entries that differ from site to site; a table may have others as well
COLUMNS = (
    "name",
    "bandwidth.account_id",
    "bandwidth.number",
    "application.callback_url",
    "readback.url",
    "pbx.url",
    "pbx.ssh",
    "pbx.ami_host",
    "pbx.sip_host",
    "pbx.extension",
    "test.dial",
)
# A line that nobody has overwritten.
EXAMPLE = {"name": "branch-2", "bandwidth.number": "+19195550102"}
README = """\
The same for other sites
========================
site.toml   what they have in common: this site's answers without what is in the table
sites.csv   one line per site; the first is this site, the second an example to overwrite

1. Fill in sites.csv: an empty cell takes what site.toml says, and a name that is nowhere comes from the site's own.
   In a spreadsheet import every column as TEXT, or it eats the + of a number and a leading 0.
2. bw-runbook sites sites.csv --template site.toml --into sites
   checks every line first, then writes sites/NAME/site.toml for each.
3. bw-runbook run sites/*/site.toml --mode plan                  looks only
   bw-runbook run sites/*/site.toml -p make_secrets=true         applies; makes each site's missing secrets
   Each site has its own record; one that fails does not stop the others.
"""


@dataclass(frozen=True)
class SiteText:
    """A site file to be: the line of the table that it comes from, and its text."""

    line: int
    name: str
    text: str


# ---------------------------------------------------------------- out of one site


def write_export(settings: Settings, folder: Path) -> list[Path]:
    """Write site.toml, sites.csv and README.txt into the folder; returns them.

    One that is there and differs may have been filled in by hand: it stays, and the new one is written beside it.
    Raises: SettingsError.
    """
    files = {"site.toml": template_of(settings), "sites.csv": table_of(settings), "README.txt": README}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [_beside(folder / name, text) for name, text in files.items()]
        for path, text in zip(paths, files.values(), strict=True):
            path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise SettingsError(f"write into {folder}", error.strerror or str(error), "mend that and try again") from None
    return paths


def _beside(path: Path, text: str) -> Path:
    """The path itself, or another name when something else is there."""
    is_other = path.exists() and path.read_bytes() != text.encode()
    return path.with_name(f"{path.stem}.new{path.suffix}") if is_other else path


def template_of(settings: Settings) -> str:
    """The site file's text without what a line of the table gives, and without names that come from the site's own."""
    document = tomlkit.parse(settings.path.read_text(encoding="utf-8"))
    own = names_for(settings.name)
    for entry in {*COLUMNS, *own} - {"name"}:
        table, _, name = entry.rpartition(".")
        inner: Any = document.get(table, {})
        if name in inner and (entry in COLUMNS or inner[name] == own[entry]):
            del inner[name]
    document["name"] = "from-the-table"
    return tomlkit.dumps(document)


def table_of(settings: Settings) -> str:
    """Heading, this site's line, and an example."""
    own = names_for(settings.name)
    mine = {entry: str(answer_of(settings, entry)) for entry in COLUMNS}
    mine |= {entry: "" for entry, value in own.items() if mine.get(entry) == value}
    example = {**EXAMPLE, "pbx.sip_host": "203.0.113.20"}
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows([mine, example])
    return out.getvalue()


def show_export(run: Run) -> None:
    """Write the files of this site beside its site file, and say how to go on."""
    from bwlib.widgets import show

    files = write_export(run.settings, run.settings.folder / "export")
    go_on = "fill in sites.csv, then: bw-runbook sites sites.csv --template site.toml --into sites"
    show.show_text("For other sites", [*(f"wrote {path}" for path in files), go_on])


# ---------------------------------------------------------------- into many


def site_texts(table: Path, template: Path) -> list[SiteText]:
    """A site file's text for each line of the table. All faults of all lines come together, and nothing is written.

    Raises: SettingsError.
    """
    common = _read(template)
    rows = list(_rows(table))
    faults = [fault for line, row in rows for fault in _faults_in(line, row)]
    texts = [] if faults else [_site_text(line, row, common) for line, row in rows]
    sites, unfit = _loaded(texts, template)
    faults += [*unfit, *_shared(sites)]
    if faults or not rows:
        said = "; ".join(faults) or "it has no line for a site"
        raise SettingsError(f"read the sites in {table}", said, "mend the table; nothing was written")
    return texts


def write_sites(texts: Sequence[SiteText], into: Path, *, force: bool = False) -> list[Path]:
    """Write <into>/<name>/site.toml for each; returns them. One that is there and differs is replaced only by force.

    Raises: SettingsError before anything is written.
    """
    places = {into / text.name / "site.toml": text.text for text in texts}
    there = [str(path) for path, text in places.items() if path.exists() and path.read_text(encoding="utf-8") != text]
    if there and not force:
        raise SettingsError(
            f"write the site files into {into}",
            f"there are others already: {', '.join(there)}",
            "look at them; --force writes over them",
        )
    try:
        for path, text in places.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        said = error.strerror or str(error)
        raise SettingsError(f"write the site files into {into}", said, "mend that and try again") from None
    return list(places)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise SettingsError(f"read {path}", said, "name a readable file; save a table as CSV UTF-8") from None


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, entry -> cell), lines without any cell left out. A spreadsheet may have written semicolons."""
    text = _read(table)
    heading = text.splitlines()[0] if text else ""
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if heading.count(";") else ",", restkey="")
    names = [name.strip() for name in reader.fieldnames or []]
    unknown = [name for name in names if not _is_entry(name)]
    if unknown or "name" not in names or len(set(names)) != len(names):
        said = f"unknown columns: {', '.join(map(repr, unknown))}" if unknown else "columns: name is missing or twice"
        raise SettingsError(f"read the sites in {table}", said, f"use entries of a site file: {', '.join(COLUMNS)}")
    reader.fieldnames = names
    for row in reader:
        if "" in row:
            raise SettingsError(
                f"read the sites in {table}", f"line {reader.line_num} has more cells than the heading", "mend the line"
            )
        cells = {name: (cell or "").strip() for name, cell in row.items()}
        if any(cells.values()):
            yield reader.line_num, cells


def _is_entry(name: str) -> bool:
    try:
        field_of(name)
    except (KeyError, AttributeError):
        return False
    return name not in Settings.model_fields or name in ("name", "operator_note")


def _faults_in(line: int, row: Mapping[str, str]) -> Iterator[str]:
    if all(row.get(entry) == cell for entry, cell in EXAMPLE.items()):
        yield f"line {line}: it is the example; overwrite it, or delete it"
    for entry, cell in row.items():
        if not cell and entry != "name":
            continue
        fault = fault_in(entry, _typed(entry, cell))
        if fault:
            eaten = " (a spreadsheet may have eaten its +: import the column as text)" if cell[:1].isdigit() else ""
            yield f"line {line}, {entry}: {fault}{eaten if 'E.164' in fault else ''}"


def _typed(entry: str, cell: str) -> object:
    """A cell as the entry's type wants it: what TOML writes without quotes. Lists are separated by spaces."""
    kind = str(field_of(entry).annotation)
    if "bool" in kind:
        return {"true": True, "false": False}.get(cell.lower(), cell)
    if "tuple" in kind:
        return cell.split()
    for number in (int, float):
        if number.__name__ in kind:
            try:
                return number(cell)
            except ValueError:
                continue
    return cell


def _site_text(line: int, row: Mapping[str, str], common: str) -> SiteText:
    document = tomlkit.parse(common)
    for entry, cell in row.items():
        if cell:
            put(document, entry, _typed(entry, cell))
    return SiteText(line, row["name"], tomlkit.dumps(document))


def _loaded(texts: Sequence[SiteText], template: Path) -> tuple[list[tuple[int, Settings]], list[str]]:
    """(line, what it comes to with the template), and what is wrong with the others."""
    sites, faults = [], []
    with tempfile.TemporaryDirectory(prefix="bw-runbook-") as folder:
        path = Path(folder) / template.name
        for text in texts:
            path.write_text(text.text, encoding="utf-8")
            try:
                sites.append((text.line, load_settings(path)))
            except SettingsError as error:
                faults.append(f"line {text.line}: {error.came_back}")
    return sites, faults


def _shared(sites: Sequence[tuple[int, Settings]]) -> Iterator[str]:
    """Lines that would take each other's things: the site's folder, an extension on one PBX, a realm on one account."""
    first: dict[tuple[str, ...], int] = {}
    for number, site in sites:
        account = site.bandwidth.account_id or site.bandwidth.sandbox_account
        pbx = (site.pbx.url,) if site.pbx.url else (site.pbx.ssh, site.pbx.config_dir, *_only_typed(site))
        for what, value, where in (
            ("name", site.name, ()),
            ("pbx.extension", site.pbx.extension, pbx),
            ("pbx.trunk", site.pbx.trunk, pbx),
            ("realm.name", site.realm.name, (account,)),
            ("application.name", site.application.name, (account,)),
            ("bandwidth.number", site.bandwidth.number, (account,)),
            *((entry, reference, ()) for entry, reference in _kept_in_one_place(site)),
        ):
            if not value:
                continue
            line = first.setdefault((what, value, *where), number)
            if line != number:
                place = " on one PBX" if what.startswith("pbx.") else " on one account" if where else ""
                yield f"lines {line} and {number} have the same {what} {value}{place}"


def _only_typed(site: Settings) -> tuple[str, ...]:
    """Where nothing is written for the site, its PBX is the one at its SIP address."""
    return (site.pbx.sip_host,) if site.pbx.kind == "by-hand" else ()


def _kept_in_one_place(site: Settings) -> Iterator[tuple[str, str]]:
    """The site's own secrets whose place does not depend on its folder: two sites would have one password."""
    table = {"sip_credential.password": site.sip_credential.password, "pbx.extension_secret": site.pbx.extension_secret}
    for entry, reference in table.items():
        kind, _, rest = reference.partition(":")
        if kind != "prompt" and (kind != "file" or Path(rest).expanduser().is_absolute()):
            yield entry, reference
