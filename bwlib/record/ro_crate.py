"""ro-crate-metadata.json: what happened, in the words that archives know (RO-Crate 1.1, Process Run Crate 0.5).

It repeats the journal for machines and holds nothing of its own: who ran which notebook, from when to when, how it
ended, into which file. Source: researchobject.org/ro-crate/specification/1.1 and
researchobject.org/workflow-run-crate/profiles (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bwlib.record.run_record import RunRecord

NAME = "ro-crate-metadata.json"
_CRATE = "https://w3id.org/ro/crate/1.1"
_PROCESS = "https://w3id.org/ro/wfrun/process/0.5"
_TYPES = {
    "conf": "text/plain", "diff": "text/x-diff", "html": "text/html", "ipynb": "application/x-ipynb+json",
    "json": "application/json", "jsonl": "application/jsonl", "jpg": "image/jpeg", "pdf": "application/pdf",
    "png": "image/png", "svg": "image/svg+xml", "txt": "text/plain", "wav": "audio/wav",
}  # fmt: skip
_ENDS = {
    "passed": "http://schema.org/CompletedActionStatus",
    "running": "http://schema.org/ActiveActionStatus",
    "pending": "http://schema.org/PotentialActionStatus",
    "skipped": "http://schema.org/PotentialActionStatus",
}
_FAILED = "http://schema.org/FailedActionStatus"


def write_ro_crate(record: RunRecord) -> None:
    """Write the metadata of everything that the record holds by now."""
    lines = record.journal.lines()
    files = sorted(path.relative_to(record.folder).as_posix() for path in record.folder.rglob("*") if path.is_file())
    record.write_json(NAME, {"@context": f"{_CRATE}/context", "@graph": _graph(record.folder.name, lines, files)})


def _graph(run: str, lines: Sequence[Mapping[str, Any]], files: Sequence[str]) -> list[dict[str, Any]]:
    actions = [action for name in _notebooks(lines) for action in [_action(name, lines, files)]]
    first = lines[0] if lines else {}
    where = f"the site {first.get('site', 'unknown')}, on {first.get('target', 'unknown')}"
    software = {"@id": "#bw-runbook", "@type": "SoftwareApplication", "name": "bw-runbook"}
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Run {run}",
        "description": f"PBX Interconnect for {where}",
        "datePublished": str(lines[-1]["at"])[:10] if lines else "",
        "license": {"@id": "#license"},
        "conformsTo": {"@id": _PROCESS},
        "hasPart": [{"@id": name} for name in files],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }
    about = {
        "@id": NAME,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _CRATE},
        "about": {"@id": "./"},
    }
    agents = [{"@id": one, "@type": "Person", "name": one.removeprefix("#")} for one in sorted(_agents(actions))]
    profile = {"@id": _PROCESS, "@type": ["CreativeWork", "Profile"], "name": "Process Run Crate", "version": "0.5"}
    licence = {
        "@id": "#license",
        "@type": "CreativeWork",
        "name": "Not for publication: it describes its owner's systems",
    }
    return [about, root, profile, licence, software, *agents, *actions, *map(_file, files)]


def _notebooks(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The notebooks that were begun, in their order; by hand they are only opened."""
    begun = [line["notebook"] for line in lines if line["kind"] in ("notebook", "notebook_opened")]
    return list(dict.fromkeys(begun))


def _action(notebook: str, lines: Sequence[Mapping[str, Any]], files: Sequence[str]) -> dict[str, Any]:
    mine = [line for line in lines if line.get("notebook") == notebook]
    words = [line for line in mine if line["kind"] == "notebook"] or [line for line in mine if line["kind"] == "step"]
    status = str(words[-1]["status"]) if words else "pending"
    operator = next((str(line["operator"]) for line in mine if line.get("operator")), "unknown")
    action = {
        "@id": f"#{notebook}",
        "@type": "CreateAction",
        "name": f"Notebook {notebook}",
        "instrument": {"@id": "#bw-runbook"},
        "agent": {"@id": f"#{operator}"},
        "startTime": mine[0]["at"],
        "endTime": mine[-1]["at"],
        "actionStatus": {"@id": _ENDS.get(status, _FAILED)},
        "result": [{"@id": name} for name in files if name.startswith(f"notebooks/{notebook}")],
    }
    if _ENDS.get(status, _FAILED) == _FAILED:
        action["error"] = str(words[-1].get("reason") or words[-1].get("came_back") or status)
    return action


def _agents(actions: Sequence[Mapping[str, Any]]) -> set[str]:
    return {action["agent"]["@id"] for action in actions}


def _file(name: str) -> dict[str, Any]:
    kind = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return {"@id": name, "@type": "File", "name": name.rpartition("/")[2], "encodingFormat": kind}
