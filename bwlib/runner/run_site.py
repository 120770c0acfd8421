"""Run a site's notebooks unattended, one after the other, into one record; then seal it.

Status is our own: it comes from the journal, which is written before and after each notebook, cell and step.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook
from papermill.iorw import papermill_io

from bwlib import errors
from bwlib.errors import BwlibError, RecordError, SettingsError
from bwlib.record.closing import close
from bwlib.record.journal import read_lines
from bwlib.record.manifest import run_status
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, hold, start_run
from bwlib.runner.engine import CELL_TIMEOUT_S, START_TIMEOUT_S, RecordingEngine, stopped_at

log = logging.getLogger(__name__)

GUIDE_NOTEBOOKS = ("00_start", "10_application", "20_sip_credentials", "30_pbx", "40_test_calls")
TROUBLESHOOTING = "50_troubleshoot"
UNDO_NOTEBOOK = "90_undo"

Tell = Callable[[Mapping[str, Any]], None]
"""Told every new journal line, in order."""


@dataclass(frozen=True)
class RunResult:
    """What a run came to: its folder, its own status, the exit code that goes with it, whether it could be sealed."""

    folder: Path
    status: str
    exit_code: int
    sealed: bool
    why_not_sealed: str = ""


def notebooks_folder() -> Path:
    """Where the notebooks are: beside the package in a clone, inside it when installed."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "notebooks", package / "notebooks"):
        if (folder / "00_start.ipynb").exists():
            return folder
    raise SettingsError("find the notebooks", f"not in {package.parent}", "run from a clone of the project")


def check_parameters(names: Sequence[str], notebooks: Sequence[str]) -> None:
    """Refuse a parameter that no notebook has: stock papermill only warns, and the value would count for nothing."""
    known: set[str] = set()
    for name in notebooks:
        known |= parameters_of(notebooks_folder() / f"{name}.ipynb")
    for name in names:
        if name not in known:
            raise SettingsError(
                "start the run", f"no notebook has a parameter {name}", f"use one of: {', '.join(sorted(known))}"
            )


def parameters_of(path: Path) -> set[str]:
    """The names assigned in a notebook's `parameters` cell."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    lines = "\n".join(cell.source for cell in cells).splitlines()
    return {line.partition("=")[0].strip() for line in lines if "=" in line and not line.startswith((" ", "#"))}


def run_site(
    site_file: Path,
    runs_dir: Path,
    *,
    notebooks: Sequence[str] = GUIDE_NOTEBOOKS,
    parameters: Mapping[str, object],
    redactor: Redactor,
    learn_secrets: Callable[[RunRecord], None],
    tell: Tell,
    facts: Mapping[str, object],
    about: Mapping[str, object] | None = None,
    start_timeout_s: int = START_TIMEOUT_S,
    cell_timeout_s: int = CELL_TIMEOUT_S,
) -> RunResult:
    """Run the notebooks in order, stop at the first that fails, seal the record.

    learn_secrets: called before every redaction, so that secrets made during the run are known too.
    facts: for the first line of the journal and for the manifest. about: for the first line only, such as the run
    that this one resumes.
    Raises: RecordError when not even the failure to record can be recorded.
    """
    began = {"site_file": str(site_file), "notebooks": list(notebooks), "parameters": dict(parameters)}
    record = start_run(runs_dir, redactor, engine="bw", **began, **(about or {}), **facts)
    papermill_io.register(str(record.folder), _RecordFiles(record))
    said = _Follow(record, tell)
    secrets = _Secrets(record, learn_secrets)
    failed = False
    with hold(record), _sigterm_interrupts():
        secrets.learn()
        for name in notebooks:
            if failed:
                record.journal.append("notebook", notebook=name, status="skipped", reason="an earlier notebook failed")
                continue
            one = _OneNotebook(record, name, site_file, parameters, secrets, said.catch_up)
            failed = not one.run(start_timeout_s, cell_timeout_s)
            said.catch_up()
        return _close(record, secrets, said, facts)


@dataclass
class _Secrets:
    """What the record's redactor must know, and why the last attempt to learn it failed ("" when it did not)."""

    record: RunRecord
    learn_secrets: Callable[[RunRecord], None]
    fault: str = ""

    def learn(self) -> None:
        """Never raises: an unreadable secret fails its own notebook, and afterwards the seal."""
        try:
            self.learn_secrets(self.record)
        except Exception as error:
            self.fault = f"{error.attempted}: {error.came_back}" if isinstance(error, BwlibError) else repr(error)
            log.warning("could not learn the site's secrets: %s", self.fault)
        else:
            self.fault = ""


@dataclass
class _OneNotebook:
    record: RunRecord
    name: str
    site_file: Path
    parameters: Mapping[str, object]
    secrets: _Secrets
    catch_up: Callable[[], None]

    def run(self, start_timeout_s: int, cell_timeout_s: int) -> bool:
        """Run it; say whether it passed. What happened is in the journal, whatever it was."""
        self._write("running")
        try:
            stopped = stopped_at(self._execute(start_timeout_s, cell_timeout_s))
        except PapermillExecutionError as error:
            self._write_error(error)
        except DeadKernelError:
            self._write("died", "the kernel died")
        except CellTimeoutError:
            self._write("timed_out", f"a cell took longer than {cell_timeout_s} s")
        except KeyboardInterrupt:
            self._write("failed", "interrupted")
        except RuntimeError as error:
            # jupyter_client's word for a kernel that never answered
            self._write("died", f"the kernel did not start: {error}")
        except RecordError as error:
            self._write("failed", f"it could not be recorded: {error.came_back}", exit_code=error.exit_code)
        except Exception as error:
            self._write("failed", f"{type(error).__name__}: {error}")
        else:
            if stopped is None:
                self._write("passed")
                return True
            self._write("failed", f"{stopped[1] or 'it stopped'} in cell {stopped[0]}: what follows did not run")
        return False

    def _execute(self, start_timeout_s: int, cell_timeout_s: int) -> Any:
        source = notebooks_folder() / f"{self.name}.ipynb"
        known = parameters_of(source)
        papermill_engines.register("bw", RecordingEngine)
        return execute_notebook(
            str(source),
            str(self.record.folder / "notebooks" / f"{self.name}.ipynb"),
            parameters={name: value for name, value in self.parameters.items() if name in known},
            engine_name="bw",
            kernel_name="python3",
            progress_bar=False,
            cwd=str(self.site_file.parent),
            start_timeout=start_timeout_s,
            execution_timeout=cell_timeout_s,
            kernel_env={**os.environ, "BW_RUNBOOK_RUN": str(self.record.folder)},
            on_cell=self._on_cell,
            redact=self.record.redactor.value,
        )

    def _on_cell(self, index: int, status: str, reason: str) -> None:
        if status != "running":
            self.secrets.learn()  # what the cell made must be known before its outputs are written
        self.record.journal.append("cell", notebook=self.name, cell=index, status=status, reason=reason)
        self.catch_up()

    def _write(self, status: str, reason: str = "", **facts: object) -> None:
        self.record.journal.append("notebook", notebook=self.name, status=status, reason=reason, **facts)

    def _write_error(self, error: Any) -> None:
        """An exception in a cell. A step has written its own failure already; another one is told here, in full."""
        reason, facts = f"{error.ename} in cell {error.exec_count}", {}
        kind = getattr(errors, error.ename, None)
        if isinstance(kind, type) and issubclass(kind, BwlibError):
            if not self._a_step_failed():
                reason += "\n" + error.evalue
            if isinstance(kind.exit_code, int):  # Refused and Unavailable decide it one by one
                facts = {"exit_code": kind.exit_code}
        self._write("failed", reason, **facts)

    def _a_step_failed(self) -> bool:
        mine = [line for line in self.record.journal.lines() if line.get("notebook") == self.name]
        return any(line["kind"] == "step" and line["status"] == "failed" for line in mine)


class _RecordFiles:
    """How papermill writes an executed notebook: redacted, private, and whole or not at all.

    Its own way truncates the file first: a killed run or a full disk would leave no notebook. And it writes once more
    after a failure, past the engine.
    """

    def __init__(self, record: RunRecord) -> None:
        self._record = record

    def write(self, text: str, path: str) -> None:
        self._record.write_json(Path(path).relative_to(self._record.folder).as_posix(), json.loads(text))

    def pretty_path(self, path: str) -> str:
        return path


class _Follow:
    """Passes new journal lines on, once each."""

    def __init__(self, record: RunRecord, tell: Tell) -> None:
        self._record, self._tell, self._seen = record, tell, 0

    def catch_up(self) -> None:
        lines = self._record.journal.lines()
        for line in lines[self._seen :]:
            self._tell(line)
        self._seen = len(lines)


def _close(record: RunRecord, secrets: _Secrets, said: _Follow, facts: Mapping[str, object]) -> RunResult:
    status = run_status(record.folder)
    exit_code = _exit_code(record.folder, status)
    secrets.learn()
    try:
        if secrets.fault:
            raise RecordError(
                f"seal {record.folder}",
                f"nobody can say that it holds no secret: {secrets.fault}",
                "make the secret readable, then: bw-runbook seal",
            )
        close(record, **facts)
    except RecordError as error:
        said.catch_up()
        return RunResult(record.folder, status, exit_code or error.exit_code, False, error.came_back)
    said.catch_up()
    return RunResult(record.folder, status, exit_code, True)


def _exit_code(folder: Path, status: str) -> int:
    """0 when all held (or was only planned, or skipped with a reason); else the failed step's code, at least 1."""
    if status in ("passed", "pending", "skipped"):
        return 0
    failures = [line for line in read_lines(folder / "journal.jsonl") if line.get("status") == "failed"]
    codes = [int(line["exit_code"]) for line in failures if line.get("exit_code")]
    return codes[-1] if codes else 1


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM ends a run like Ctrl-C: written down, sealed, exit code not 0. Only the main thread can ask for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def as_json_lines(lines: Sequence[Mapping[str, Any]]) -> str:
    """Journal lines for --json."""
    return "\n".join(json.dumps(line, sort_keys=True, ensure_ascii=False) for line in lines)
