"""A site's notebooks, unattended, into one sealed record: what it says when they pass, fail, die or are interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from notebook_made import DIE, PARAMETERS, is_gone, make_notebook, printed, read_notebook, statuses

from bwlib.errors import RecordError, SecretUnavailable, SettingsError
from bwlib.record.manifest import manifest_faults
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord
from bwlib.runner import run_site as runner
from bwlib.runner.run_site import RunResult, check_parameters, parameters_of, run_site

SECRET = "correct-horse-battery"
STEP = """
import os
from pathlib import Path
from bwlib.record.journal import Journal
from bwlib.record.redact import Redactor
journal = Journal(Path(os.environ["BW_RUNBOOK_RUN"]) / "journal.jsonl", Redactor())
journal.append("step", step="realm", notebook={notebook!r}, status={status!r}, **{facts!r})
"""


def step(notebook: str, status: str, **facts: object) -> str:
    return STEP.format(notebook=notebook, status=status, facts=facts)


class Stage:
    """A folder with a site file and tiny notebooks in place of the guide's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self.site_file = folder / "site" / "site.toml"
        self.site_file.parent.mkdir()
        self.site_file.write_text('name = "my-site"\n')
        self.told: list[Mapping[str, Any]] = []

    def notebook(self, name: str, *sources: str, **options: Any) -> None:
        make_notebook(self.notebooks, name, *sources, **options)

    def run(self, *names: str, learn: Callable[[RunRecord], None] | None = None, **options: Any) -> RunResult:
        return run_site(
            self.site_file,
            self.folder / "runs" / "my-site",
            notebooks=names,
            parameters=options.pop("parameters", {"mode": "plan"}),
            redactor=options.pop("redactor", Redactor()),
            learn_secrets=learn or (lambda record: None),
            tell=self.told.append,
            facts={"target": "sandbox", "operator": "ada"},
            **options,
        )

    def last_words(self) -> dict[str, str]:
        return {line["notebook"]: line["status"] for line in self.told if line["kind"] == "notebook"}

    def reasons(self) -> dict[str, str]:
        return {line["notebook"]: line["reason"] for line in self.told if line["kind"] == "notebook"}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(tmp_path)
    monkeypatch.setattr(runner, "notebooks_folder", lambda: made.notebooks)
    return made


def executed(result: RunResult, name: str) -> Any:
    return read_notebook(result.folder / "notebooks" / f"{name}.ipynb")


# ---------------------------------------------------------------- parameters


def test_a_parameter_that_no_notebook_has_is_refused(stage: Stage) -> None:
    stage.notebook("one")
    check_parameters(["mode", "dial"], ["one"])
    with pytest.raises(SettingsError, match="dail") as caught:
        check_parameters(["mode", "dail"], ["one"])
    assert caught.value.do_next == "use one of: dial, mode, site_file"


def test_a_parameter_of_only_one_of_the_notebooks_is_fine(stage: Stage) -> None:
    stage.notebook("one")
    stage.notebook("two", parameters="record = None")
    check_parameters(["record", "dial"], ["one", "two"])


def test_parameters_are_read_from_their_cell_alone(stage: Stage) -> None:
    stage.notebook("one", "hidden = 1", parameters=PARAMETERS + "\n# not = this\n    nor = this")
    assert parameters_of(stage.notebooks / "one.ipynb") == {"site_file", "mode", "dial"}


# ---------------------------------------------------------------- how it ends


@pytest.mark.slow
def test_passed_notebooks_end_in_one_sealed_record(stage: Stage) -> None:
    stage.notebook("one", "print(mode, dial)", step("one", "passed"))
    stage.notebook("two", "import os; print(os.getcwd())")
    result = stage.run("one", "two", parameters={"mode": "plan", "dial": "+1"})
    assert (result.status, result.exit_code, result.sealed) == ("passed", 0, True)
    assert printed(executed(result, "one")) == "plan +1\n"
    assert printed(executed(result, "two")).strip() == str(stage.site_file.parent)
    assert manifest_faults(result.folder) == []
    told = json.loads((result.folder / "manifest.json").read_bytes())
    assert (told["operator"], told["status"]) == ("ada", "passed")
    assert "notebooks/one.ipynb" in told["files"]


@pytest.mark.slow
def test_every_journal_line_is_told_once_and_in_order(stage: Stage) -> None:
    stage.notebook("one", step("one", "passed"))
    result = stage.run("one")
    lines = [json.loads(line) for line in (result.folder / "journal.jsonl").read_bytes().splitlines()]
    assert stage.told == lines
    told = [(line["kind"], line.get("status")) for line in lines]
    assert told[:2] == [("run_started", None), ("notebook", "running")]
    assert [line for line in told if line[0] != "report"][-2:] == [("notebook", "passed"), ("run_sealed", "passed")]
    running = [line["cell"] for line in lines if line["kind"] == "cell" and line["status"] == "running"]
    passed = [line["cell"] for line in lines if line["kind"] == "cell" and line["status"] == "passed"]
    assert running == passed != []


@pytest.mark.slow
def test_a_failed_notebook_stops_the_run_and_later_ones_are_skipped(stage: Stage) -> None:
    stage.notebook("one", "x = 1", "raise ValueError('no')", "x = 2")
    stage.notebook("two", "print('never')")
    result = stage.run("one", "two", "two")
    assert (result.status, result.exit_code, result.sealed) == ("failed", 1, True)
    assert stage.last_words() == {"one": "failed", "two": "skipped"}
    assert "ValueError in cell" in stage.reasons()["one"]
    assert stage.reasons()["two"] == "an earlier notebook failed"
    assert not (result.folder / "notebooks" / "two.ipynb").exists()
    assert statuses(executed(result, "one")) == ["passed", "failed", "pending"]
    assert manifest_faults(result.folder) == []


@pytest.mark.slow
def test_a_dead_kernel_is_died_and_sealed(stage: Stage) -> None:
    stage.notebook("one", step("one", "running"), DIE, "x = 1")
    result = stage.run("one")
    assert (result.status, result.exit_code, result.sealed) == ("died", 1, True)
    assert stage.reasons()["one"] == "the kernel died"
    assert statuses(executed(result, "one")) == ["passed", "died", "pending"]


@pytest.mark.slow
def test_a_cell_without_end_is_timed_out(stage: Stage) -> None:
    stage.notebook("one", "import time\nwhile True: time.sleep(0.1)")
    result = stage.run("one", cell_timeout_s=4)
    assert (result.status, result.exit_code, result.sealed) == ("timed_out", 1, True)


@pytest.mark.slow
def test_sys_exit_in_a_cell_is_no_success(stage: Stage) -> None:
    stage.notebook("one", "import sys; sys.exit(0)", "x = 1")
    result = stage.run("one")
    assert (result.status, result.exit_code) == ("failed", 1)
    assert "SystemExit" in stage.reasons()["one"]


@pytest.mark.slow
@pytest.mark.parametrize(("status", "exit_code"), [("pending", 0), ("skipped", 0), ("running", 1)])
def test_the_runs_status_is_its_steps(stage: Stage, status: str, exit_code: int) -> None:
    stage.notebook("one", step("one", status))
    result = stage.run("one")
    assert (result.status, result.exit_code) == (status, exit_code)


@pytest.mark.slow
def test_the_exit_code_is_the_failed_steps(stage: Stage) -> None:
    stage.notebook("one", step("one", "failed", exit_code=4), "from bwlib import Refused; raise Refused('a', 'b', 'c')")
    result = stage.run("one")
    assert (result.status, result.exit_code) == ("failed", 4)
    assert stage.reasons()["one"] == "Refused in cell 4"


@pytest.mark.slow
def test_an_error_before_any_step_is_told_in_full_with_its_exit_code(stage: Stage) -> None:
    stage.notebook("one", "from bwlib import SecretUnavailable; raise SecretUnavailable('read it', 'gone', 'mend it')")
    result = stage.run("one")
    assert result.exit_code == SecretUnavailable.exit_code == 8
    assert "Do next:   mend it" in stage.reasons()["one"]


# ---------------------------------------------------------------- secrets


@pytest.mark.slow
def test_a_secret_made_during_the_run_is_kept_out_of_it(stage: Stage) -> None:
    made = stage.folder / "secret"
    code = f"S = 'correct' + '-horse-battery'; open({str(made)!r}, 'w').write(S)\nprint('made', S)"
    stage.notebook("one", code, "raise ValueError(S)")

    def learn(record: RunRecord) -> None:
        if made.exists():
            record.redactor.learn("file:secret", made.read_text())

    result = stage.run("one", learn=learn)
    assert (result.status, result.sealed) == ("failed", True)
    assert printed(executed(result, "one")) == "made «redacted:file:secret»\n"
    holding = [path for path in result.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holding == []


@pytest.mark.slow
def test_a_record_that_holds_a_secret_is_not_sealed_and_not_a_success(stage: Stage) -> None:
    write = "import os, pathlib; pathlib.Path(os.environ['BW_RUNBOOK_RUN'], 'dump.txt').write_text(S)"
    stage.notebook("one", "S = 'correct' + '-horse-battery'", write)
    result = stage.run("one", learn=lambda record: record.redactor.learn("file:sip", SECRET))
    assert (result.status, result.exit_code, result.sealed) == ("passed", RecordError.exit_code, False)
    assert result.why_not_sealed == "dump.txt holds a secret: file:sip"


@pytest.mark.slow
def test_secrets_that_cannot_be_read_leave_the_run_whole_but_unsealed(stage: Stage) -> None:
    def learn(record: RunRecord) -> None:
        raise SecretUnavailable("read file:x", "others may read it (mode 0644)", "run: chmod 600")

    stage.notebook("one", "print('it went on')")
    result = stage.run("one", learn=learn)
    assert (result.status, result.exit_code, result.sealed) == ("passed", 9, False)
    assert "mode 0644" in result.why_not_sealed
    assert printed(executed(result, "one")) == "it went on\n"


# ---------------------------------------------------------------- interrupts

IN_A_PROCESS = """
import sys
from pathlib import Path
from bwlib.record.redact import Redactor
from bwlib.runner import run_site as runner
folder = Path(sys.argv[1])
runner.notebooks_folder = lambda: folder / "notebooks"
result = runner.run_site(
    folder / "site" / "site.toml", folder / "runs" / "my-site", notebooks=("one", "two"), parameters={},
    redactor=Redactor(), learn_secrets=lambda record: None, tell=lambda line: None, facts={},
)
print(result.folder, result.status, result.sealed)
sys.exit(result.exit_code)
"""
WAIT = """
import os, time
open(os.path.join(os.environ["BW_RUNBOOK_RUN"], "..", "pid"), "w").write(str(os.getpid()))
open({fifo!r}, "w").write("here")
while True: time.sleep(0.1)
"""


def started(stage: Stage, **surroundings: str) -> subprocess.Popen[str]:
    """A run in a process of its own that has come to its endless cell."""
    fifo = str(stage.folder / "here")
    os.mkfifo(fifo)
    stage.notebook("one", "x = 1", WAIT.format(fifo=fifo), "x = 2")
    stage.notebook("two", "x = 1")
    argv = [sys.executable, "-c", IN_A_PROCESS, str(stage.folder)]
    process = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **surroundings},
    )
    with open(fifo) as stream:
        assert stream.read() == "here"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_is_written_down_and_sealed(stage: Stage, number: signal.Signals) -> None:
    process = started(stage)
    kernel = int((stage.folder / "runs" / "my-site" / "pid").read_text())
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    folder, status, sealed = out.split()
    assert (status, sealed) == ("failed", "True")
    assert manifest_faults(Path(folder)) == []
    lines = [json.loads(line) for line in (Path(folder) / "journal.jsonl").read_bytes().splitlines()]
    last = {line["notebook"]: (line["status"], line["reason"]) for line in lines if line["kind"] == "notebook"}
    assert last == {"one": ("failed", "interrupted"), "two": ("skipped", "an earlier notebook failed")}
    assert statuses(read_notebook(Path(folder) / "notebooks" / "one.ipynb")) == ["passed", "failed", "pending"]
    assert is_gone(kernel)


@pytest.mark.slow
def test_a_killed_runner_leaves_a_journal_that_tells_how_far_it_came(stage: Stage) -> None:
    process = started(stage, TMPDIR=str(stage.folder))  # what it cannot clean up any more goes with the test
    kernel = int((stage.folder / "runs" / "my-site" / "pid").read_text())
    process.kill()
    process.communicate(timeout=60)
    os.kill(kernel, signal.SIGKILL)
    [journal] = (stage.folder / "runs").rglob("journal.jsonl")
    record = RunRecord(journal.parent, Redactor())
    assert not record.is_sealed
    last = record.journal.lines()[-1]
    assert (last["kind"], last["notebook"], last["status"]) == ("cell", "one", "running")
    notebook = read_notebook(journal.parent / "notebooks" / "one.ipynb")
    assert statuses(notebook) == ["passed", "running", "pending"]
