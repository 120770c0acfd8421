"""Look at a finished record without trusting it: its folder or a zip of it, offline, on any machine.

    verdict = verify(Path("runs/demo/20261124T190003.264068Z-a76e4c"))
    verdict.exit_code, verdict.faults

The signature covers the manifest, the manifest every file, each line of the journal the line before it. Whom to trust
comes from the user's own allowed_signers and never from the record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bwlib.errors import RecordError, SettingsError
from bwlib.record.files import Contents, contents, read_limited
from bwlib.record.journal import MANIFEST, chain_faults
from bwlib.record.manifest import JOURNAL, SIGNATURE, file_faults, parse_manifest, status_of
from bwlib.record.redact import Redactor
from bwlib.record.run_account import failed_in, last_event, looked_to_its_end, missing_in, unfinished_in
from bwlib.record.signature import NAMESPACE, PublicKey, check, parse_public_key
from bwlib.record.signers import add_signer, allowed_signers, is_named
from bwlib.record.strict_json import read_json
from bwlib.record.unpack import BadArchive, Unpacked, unpacked
from bwlib.record.verdict import Signer, Verdict, plain

# Bytes. What is larger is no manifest, signature or journal of ours.
_LARGEST_MANIFEST = 16 * 1024**2
_LARGEST_SIGNATURE = 64 * 1024
_LARGEST_JOURNAL = 256 * 1024**2
_LARGEST_SCANNED = 256 * 1024**2


def verify(path: Path, *, at: datetime | None = None, signers: Path | None = None) -> Verdict:
    """What there is to say about the record in `path`.

    at: the time for which the signer's key must be valid; now, as for ssh-keygen. signers: an allowed_signers file in
    place of the user's own.
    Raises: SettingsError when there is nothing at `path`; RecordError when the user's allowed_signers cannot be read.
    Whatever is wrong with the record itself is in the verdict.
    """
    at = at or datetime.now(UTC)
    if path.is_dir():
        return _verify_folder(Unpacked(path.resolve(), path.resolve().name), path, at, signers)
    if not path.is_file():
        raise SettingsError(f"verify {path}", "there is no such folder or file", "name a run's folder, or a zip of it")
    try:
        with unpacked(path) as record:
            return _verify_folder(record, path, at, signers)
    except BadArchive as error:
        return Verdict(plain(path), faults=(plain(error),))


@dataclass
class _Findings:
    """A verdict in the making."""

    folder: Path
    found: Contents
    faults: list[str]
    warnings: list[str] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    signer: Signer | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_sealed(self) -> bool:
        return MANIFEST in self.found.digests


def _verify_folder(record: Unpacked, path: Path, at: datetime, signers: Path | None) -> Verdict:
    found = contents(record.folder)
    findings = _Findings(record.folder, found, [f"{name} lies beside the record" for name in record.beside])
    if not found.digests.keys() & {MANIFEST, JOURNAL}:
        findings.faults.append(f"it is no run's record: it holds neither {MANIFEST} nor {JOURNAL}")
    if findings.is_sealed:
        _check_signature(findings, at, signers)
        _check_manifest(findings, record.name, signers)
        findings.faults += file_faults(findings.manifest.get("files", {}), found) if findings.manifest else found.odd
    else:
        findings.faults += found.odd
    _check_journal(findings)
    return _verdict(findings, path, record.name)


# ---------------------------------------------------------------- signature and manifest


def _check_signature(findings: _Findings, at: datetime, signers: Path | None) -> None:
    if SIGNATURE not in findings.found.digests:
        findings.faults.append(f"{SIGNATURE} is missing: nobody vouches for the manifest")
        return
    try:
        manifest = read_limited(findings.folder / MANIFEST, _LARGEST_MANIFEST)
        public = check(manifest, read_limited(findings.folder / SIGNATURE, _LARGEST_SIGNATURE))
    except OSError as error:
        findings.faults.append(f"{MANIFEST} or {SIGNATURE}: {error.strerror or error}")
    except RecordError as error:
        findings.faults.append(
            f"{MANIFEST} or {SIGNATURE} was changed: the signature does not hold ({error.came_back})"
        )
    else:
        findings.signer = _judge(findings, public, at, signers)


def _judge(findings: _Findings, public: PublicKey, at: datetime, path: Path | None) -> Signer:
    """Whom the user's allowed_signers calls the owner of the key, and whether it counts at that time."""
    known, unused = allowed_signers(path)
    findings.warnings += unused
    lines = [signer for signer in known if signer.key == public]
    whys = {signer: signer.why_not(NAMESPACE, at) for signer in lines}
    trusted = [signer for signer, why in whys.items() if not why]
    if trusted:
        return Signer(plain(trusted[0].principal), public.fingerprint, public.line, is_named=True)
    if lines:
        first = lines[0]
        distrust = f"allowed_signers has this key for {first.principal}, but {whys[first]}"
        return Signer(plain(first.principal), public.fingerprint, public.line, plain(distrust), is_named=True)
    if is_named(public, path):
        return Signer("", public.fingerprint, public.line, "the line of allowed_signers with it is not used", True)
    return Signer("", public.fingerprint, public.line, "nobody in your allowed_signers has this key")


def _check_manifest(findings: _Findings, name: str, signers: Path | None) -> None:
    try:
        manifest = parse_manifest(read_limited(findings.folder / MANIFEST, _LARGEST_MANIFEST))
    except (OSError, ValueError) as error:
        findings.faults.append(f"{MANIFEST} cannot be read: {error}")
        return
    findings.manifest = manifest
    says = manifest["signed_by"]["fingerprint"]
    if findings.signer is not None and says != findings.signer.fingerprint:
        findings.faults.append(f"{SIGNATURE} was made by another key than {MANIFEST} says: it says {says}")
    _say_when_it_counted(findings, manifest["sealed_at"], signers)
    if name and manifest["run"] != name:
        findings.warnings.append(f"the folder is called {name}; the run's own name is {manifest['run']}")


def _say_when_it_counted(findings: _Findings, sealed_at: str, path: Path | None) -> None:
    """A key that counts no more may have counted then. `then` is the signer's own word, so it decides nothing here."""
    signer, then = findings.signer, datetime.fromisoformat(sealed_at)
    if signer is None or not signer.distrust or not signer.is_named:
        return
    if any(
        known.key.line == signer.public_key and not known.why_not(NAMESPACE, then) for known in allowed_signers(path)[0]
    ):
        option = f"-Overify-time={then.astimezone(UTC):%Y%m%d%H%M%S}Z"
        findings.warnings.append(
            f"its key counted when the record says that it was sealed: ssh-keygen -Y verify {option}"
        )


# ---------------------------------------------------------------- the journal


def _check_journal(findings: _Findings) -> None:
    path = findings.folder / JOURNAL
    if JOURNAL not in findings.found.digests:
        return  # named already: as missing, or as no file
    try:
        data = read_limited(path, _LARGEST_JOURNAL)
        faults = chain_faults(path)
    except OSError as error:
        findings.faults.append(f"{JOURNAL} cannot be read: {error.strerror or error}")
        return
    except RecursionError:
        faults = []  # the line is named below
    for number, raw in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            line = read_json(raw, nan=True)
            if not isinstance(line, dict) or not isinstance(line.get("kind"), str):
                raise ValueError("it has no kind")
            findings.lines.append(line)
        except ValueError as error:
            faults.append(f"line {number} is not a journal line: {error}")
    findings.faults += [f"{JOURNAL}: {fault}" for fault in dict.fromkeys(faults)]
    _compare_journal(findings, data)


def _compare_journal(findings: _Findings, data: bytes) -> None:
    """Whether the journal's end and the status that follows from it are what the manifest says."""
    last = findings.lines[-1] if findings.lines else {}
    says_sealed = last.get("kind") == "run_sealed"
    if not findings.is_sealed:
        if says_sealed or SIGNATURE in findings.found.digests:
            findings.faults.append(f"{MANIFEST} is missing: it was sealed, or its seal was never finished")
        return
    if not findings.manifest:
        return
    says, number = findings.manifest["status"], len(findings.lines)
    if hashlib.sha256(data.rstrip(b"\n").rpartition(b"\n")[2]).hexdigest() != findings.manifest["journal_last_line"]:
        findings.faults.append(f"{JOURNAL}: line {number} is not the last line that {MANIFEST} names")
    if not says_sealed:
        findings.faults.append(f"{JOURNAL}: line {number}, the last one, does not say that the run was sealed")
    elif last.get("status") != says:
        findings.faults.append(f"{JOURNAL}: line {number} says {last.get('status')}, {MANIFEST} says {says}")
    derived = status_of(findings.lines)
    if derived != says:
        findings.faults.append(f"{JOURNAL}: by its lines the run {derived}, {MANIFEST} says {says}")


# ---------------------------------------------------------------- all together


def _verdict(findings: _Findings, path: Path, name: str) -> Verdict:
    first = next((line for line in findings.lines if line["kind"] == "run_started"), {})
    told: Mapping[str, Any] = findings.manifest or first
    previous = findings.manifest.get("previous_run") or {}
    names = set(findings.found.digests)

    def said(name: str, default: object = "") -> str:
        return plain(told.get(name, first.get(name, default)))

    def all_plain(entries: Sequence[str]) -> tuple[str, ...]:
        return tuple(plain(entry) for entry in entries)

    return Verdict(
        plain(path),
        run=said("run", name),
        site=said("site"),
        target=said("target"),
        operator=said("operator"),
        status=said("status", status_of(findings.lines)),
        sealed_at=said("sealed_at"),
        is_sealed=findings.is_sealed,
        signer=findings.signer,
        manifest_sha256=findings.found.digests.get(MANIFEST, ""),
        previous_run=plain(previous.get("run", "")),
        previous_manifest_sha256=plain(previous.get("manifest_sha256", "")),
        files=len(names - {MANIFEST, SIGNATURE}),
        journal_lines=len(findings.lines),
        last_line=plain(last_event(findings.lines)),
        faults=all_plain(findings.faults),
        secrets=all_plain(_secrets(findings)),
        unfinished=all_plain(unfinished_in(findings.lines)),
        failed=all_plain(failed_in(findings.lines)),
        missing=all_plain(missing_in(names, findings.lines)),
        warnings=all_plain(findings.warnings),
        is_whole_look=looked_to_its_end(findings.lines),
    )


def _secrets(findings: _Findings) -> list[str]:
    """Files with something in a secret's place. A seal refuses them; a later version may know more places."""
    looks_for, hits = Redactor(), []
    for name in findings.found.digests:
        try:
            kinds = looks_for.findings(read_limited(findings.folder / name, _LARGEST_SCANNED))
        except OSError as error:
            findings.warnings.append(f"{name} was not searched for secrets: {error.strerror or error}")
        else:
            if kinds:
                hits.append(f"{name} holds what looks like a secret: {', '.join(kinds)}")
    return hits


def trust_on_first_use(verdict: Verdict, principal: str = "", *, signers: Path | None = None) -> str:
    """Add the unknown signer of a record to allowed_signers. Returns the name it is trusted by from now on.

    principal: as whom; "unknown-" and the start of the fingerprint when empty. A key that allowed_signers names is left
    as the user decided.
    Raises: RecordError when anything else is wrong with the record; SettingsError for a name that cannot stand there.
    """
    attempted = f"trust the signer of {verdict.path}"
    wrong = [*verdict.faults, *verdict.secrets]
    if wrong or verdict.signer is None:
        why = wrong[0] if wrong else "nobody signed it"
        raise RecordError(attempted, f"the record is not in order: {why}", "trust only who signed an intact record")
    signer = verdict.signer
    if signer.is_named:
        if signer.distrust:
            raise RecordError(
                attempted, signer.distrust, "that is your own decision: change the line there, if you must"
            )
        return signer.principal
    name = principal or f"unknown-{signer.fingerprint.removeprefix('SHA256:')[:8]}"
    add_signer(parse_public_key(signer.public_key.split()[1].encode()), name, signers)
    return name
