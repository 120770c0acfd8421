"""Look at all runs of a site, or of several: each record by itself, and whether each follows the one before it.

A sealed run names the run of its site that was sealed before it, by the hash of that run's manifest. So a run that was
taken away, changed or slipped in shows in the run that came after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bwlib.record.journal import MANIFEST
from bwlib.record.manifest import JOURNAL, SIGNATURE
from bwlib.record.verdict import Verdict, as_json, plain
from bwlib.record.verify import verify

CANNOT_SEE_RUNS = (
    "a deleted newest run: a run is missed by the one that was sealed after it, and after the newest there is none"
)


@dataclass(frozen=True)
class SiteVerdict:
    """A site's runs, oldest first. gaps: what is wrong between them. warnings: what was not looked at."""

    path: str
    runs: tuple[Verdict, ...]
    gaps: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 when every record holds and each follows the one before. A run that failed is no fault of its record."""
        return 0 if not self.gaps and all(run.holds for run in self.runs) else 9


def holds_runs(path: Path) -> bool:
    """Whether `path` is a folder of runs (`runs/<site>` or `runs`) rather than one record."""
    return path.is_dir() and not _is_run(path) and bool(_sites_in(path))


def verify_runs(path: Path, *, at: datetime | None = None, signers: Path | None = None) -> tuple[SiteVerdict, ...]:
    """A verdict on each site in `path`, which is one site's folder of runs, or a folder of such folders."""
    return tuple(_verify_site(site, at, signers) for site in _sites_in(path))


def exit_code_of(sites: Sequence[SiteVerdict]) -> int:
    return 9 if any(site.exit_code for site in sites) else 0


def _is_run(path: Path) -> bool:
    return any((path / name).exists() for name in (MANIFEST, SIGNATURE, JOURNAL))


def _folders_in(path: Path) -> list[Path]:
    try:
        return sorted(found for found in path.iterdir() if found.is_dir() and not found.name.startswith("."))
    except OSError:
        return []  # looked at as a record it says why it cannot be read


def _sites_in(path: Path) -> list[Path]:
    if any(map(_is_run, _folders_in(path))):
        return [path]
    return [folder for folder in _folders_in(path) if any(map(_is_run, _folders_in(folder)))]


def _verify_site(site: Path, at: datetime | None, signers: Path | None) -> SiteVerdict:
    runs, warnings = [], []
    for found in sorted(site.iterdir()):
        if found.is_dir() and not found.is_symlink() and not found.name.startswith("."):
            runs.append(verify(found, at=at, signers=signers))
        elif not found.name.startswith("."):  # ours are locks
            warnings.append(f"{plain(found.name)} is no run's folder and was not looked at")
    names = sorted({run.site for run in runs if run.site})
    if len(names) > 1:
        warnings.append(f"these are runs of several sites: {', '.join(names)}")
    return SiteVerdict(plain(site), tuple(runs), tuple(_gaps(runs)), tuple(warnings))


def _gaps(runs: Sequence[Verdict]) -> list[str]:
    sealed = [run for run in runs if run.is_sealed and run.manifest_sha256]
    gaps = [f"{Path(run.path).name} is not sealed: nothing follows it" for run in runs if not run.is_sealed]
    by_name = {run.run: run for run in sealed}
    gaps += [
        f"{name} is here {number} times" for name, number in Counter(run.run for run in sealed).items() if number > 1
    ]
    for run in sealed:
        before = by_name.get(run.previous_run)
        if not run.previous_run:
            continue
        if before is None:
            gaps.append(f"{run.run} follows {run.previous_run}, which is not here as a sealed run")
        elif before.manifest_sha256 != run.previous_manifest_sha256:
            gaps.append(f"{run.run} follows {run.previous_run}, whose manifest was another one then")
    followed = Counter(run.previous_run for run in sealed)
    for name, number in followed.items():
        if number > 1:
            who = ", ".join(run.run for run in sealed if run.previous_run == name)
            gaps.append(f"{who} each follow {name}" if name else f"{who} each begin the chain: none follows another")
    return gaps


# ---------------------------------------------------------------- how it is said


def as_text_of_runs(sites: Sequence[SiteVerdict]) -> str:
    """One line a run, then what is wrong between them."""
    lines = []
    for site in sites:
        lines.append(f"{site.path}: {len(site.runs)} run{'' if len(site.runs) == 1 else 's'}")
        lines += [f"  {_mark(run)} {_line(run)}" for run in site.runs]
        lines += [f"  ✘ {gap}" for gap in site.gaps]
        lines += [f"  note: {warning}" for warning in site.warnings]
    wrong = exit_code_of(sites)
    lines.append("SOMETHING IS WRONG" if wrong else "every record holds, and each follows the one before it")
    return "\n".join([*lines, f"not seen: {CANNOT_SEE_RUNS}"])


def _mark(run: Verdict) -> str:
    return "✔" if run.holds else "✘"


def _line(run: Verdict) -> str:
    signer = run.signer
    by = (signer.principal or signer.fingerprint) if signer else "nobody"
    first = run.faults[0] if run.faults else run.secrets[0] if run.secrets else signer.distrust if signer else ""
    return f"{Path(run.path).name}  {run.status or '?'}  signed by {by}" + (f"  {first}" if first else "")


def as_json_of_runs(sites: Sequence[SiteVerdict]) -> dict[str, Any]:
    """For --json."""
    told = [
        {
            "path": site.path,
            "runs": [as_json(run) for run in site.runs],
            "gaps": site.gaps,
            "warnings": site.warnings,
            "exit_code": site.exit_code,
        }
        for site in sites
    ]
    return {"sites": told, "exit_code": exit_code_of(sites), "cannot_see": CANNOT_SEE_RUNS}
