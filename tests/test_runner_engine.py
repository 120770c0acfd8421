"""The engine runs real kernels, and its notebooks say what happened to each cell."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from notebook_made import DIE, is_gone, make_notebook, printed, read_notebook, statuses
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook

from bwlib.errors import SettingsError
from bwlib.record.redact import redactor_for
from bwlib.runner import engine
from bwlib.runner.engine import RecordingEngine, stopped_at

pytestmark = pytest.mark.slow
SECRET = "correct-horse-battery"


class Ran:
    """One notebook, run; what was raised, what is on the disk, what the journal was told."""

    def __init__(self, folder: Path, *sources: str, **options: Any) -> None:
        papermill_engines.register("bw", RecordingEngine)
        source = make_notebook(folder / "in", "one", *sources)
        self.told: list[tuple[int, str, str]] = []
        self.saved_at_start: list[str] = []
        self.raised: BaseException | None = None
        self.path = folder / "out.ipynb"
        try:
            execute_notebook(
                str(source),
                str(self.path),
                engine_name="bw",
                kernel_name=options.pop("kernel_name", "python3"),
                progress_bar=False,
                cwd=str(folder),
                on_cell=self._told,
                **{"start_timeout": 60, "execution_timeout": 60, **options},
            )
        except (PapermillExecutionError, CellTimeoutError, DeadKernelError, RuntimeError, OSError) as error:
            self.raised = error
        self.notebook = read_notebook(self.path)

    def _told(self, index: int, status: str, reason: str) -> None:
        self.told.append((index, status, reason))
        self.saved_at_start.append(self.path.read_text())

    @property
    def papermill(self) -> list[str]:
        return [cell.metadata.papermill["status"] for cell in self.notebook.cells if "papermill" in cell.metadata]


def test_a_good_notebook_passes_cell_by_cell(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "a = 1", "print(a + 1)")
    assert ran.raised is None
    assert statuses(ran.notebook) == ["passed", "passed"]
    assert stopped_at(ran.notebook) is None
    assert printed(ran.notebook) == "2\n"
    assert ran.told == [(i, s, "") for i in (1, 2, 3) for s in ("running", "passed")]
    assert set(ran.papermill) == {"completed"}


def test_a_raising_cell_fails_and_the_next_stays_pending(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "a = 1", "raise ValueError('no')", "a = 2")
    assert isinstance(ran.raised, PapermillExecutionError)
    assert statuses(ran.notebook) == ["passed", "failed", "pending"]
    assert ran.told[-1][1:] == ("failed", "ValueError")
    assert ran.papermill == ["completed", "completed", "completed", "failed", "pending"]
    assert "no" in json.dumps(ran.notebook.cells)


def test_a_kernel_that_dies_in_the_second_of_three_cells_is_not_called_completed(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "print('one')", DIE, "print('three')")
    assert isinstance(ran.raised, DeadKernelError)
    assert statuses(ran.notebook) == ["passed", "died", "pending"]
    assert ran.told[-1][1:] == ("died", "the kernel died")
    assert ran.papermill[-2:] == ["failed", "pending"]
    assert ran.notebook.metadata.papermill["exception"] is True
    assert printed(ran.notebook) == "one\n"


def test_a_cell_that_takes_too_long_is_timed_out_and_its_kernel_ended(tmp_path: Path) -> None:
    wait = "import os, time; open('pid', 'w').write(str(os.getpid()))\nwhile True: time.sleep(0.1)"
    ran = Ran(tmp_path, "a = 1", wait, "a = 2", execution_timeout=4)
    assert isinstance(ran.raised, CellTimeoutError)
    assert statuses(ran.notebook) == ["passed", "timed_out", "pending"]
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_sys_exit_is_not_success_when_cells_are_left(tmp_path: Path) -> None:
    """papermill takes SystemExit(0) for success and calls every later cell completed."""
    ran = Ran(tmp_path, "import sys; sys.exit(0)", "print('never')")
    assert statuses(ran.notebook) == ["failed", "pending"]
    assert stopped_at(ran.notebook) == (2, "SystemExit")
    assert "never" not in printed(ran.notebook)
    assert ran.papermill[-1] == "pending"


@pytest.fixture
def bad_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A kernel spec of this name whose program does what it is told."""

    def make(name: str, code: str) -> str:
        spec = tmp_path / "jupyter" / "kernels" / name
        spec.mkdir(parents=True)
        argv = [sys.executable, "-c", code, "{connection_file}"]
        (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
        assert name in KernelSpecManager().find_kernel_specs()
        return name

    return make


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "import time\nwhile True: time.sleep(0.1)"])
def test_a_kernel_that_never_starts_leaves_every_cell_pending(tmp_path: Path, bad_kernel: Any, code: str) -> None:
    ran = Ran(tmp_path, "a = 1", kernel_name=bad_kernel("bw-bad", code), start_timeout=3)
    assert isinstance(ran.raised, RuntimeError)
    assert statuses(ran.notebook) == ["pending"]
    assert ran.told == []
    assert ran.papermill[-1] == "pending"
    assert ran.notebook.metadata.papermill["exception"] is True


# ---------------------------------------------------------------- secrets


# The secret is spelled in two halves, so that only outputs can hold it.
HALVES = f"S = '{SECRET[:5]}' + '{SECRET[5:]}'"
CARELESS = (
    "print('it is', S)",
    "import sys; sys.stdout.write(S[:9]); sys.stdout.flush(); print(S[9:])",
    "{'password': S}",
    "from IPython.display import HTML, display; display(HTML(f'<b>{S}</b>'))",
    "import sys; print(S, file=sys.stderr)",
    "import base64; print(base64.b64encode(f'u:{S}'.encode()).decode())",
    "raise ValueError(S)",
)


def test_a_careless_print_of_a_known_secret_never_reaches_the_disk(tmp_path: Path) -> None:
    redactor = redactor_for([("file:sip", SECRET)])
    ran = Ran(tmp_path, HALVES, *CARELESS, redact=redactor.value)
    assert statuses(ran.notebook) == ["passed"] * len(CARELESS) + ["failed"]
    assert ran.path.read_text().count("«redacted:file:sip»") >= len(CARELESS)
    assert redactor.findings("".join([*ran.saved_at_start, ran.path.read_text()]).encode()) == []


def test_papermills_autosave_inside_a_cell_is_redacted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []
    whole = engine.NotebookExecutionManager.save

    def save(self: Any, **kwargs: Any) -> None:
        whole(self, **kwargs)
        saved.append(Path(self.output_path).read_text())
        if "0 «redacted" in saved[-1]:
            (tmp_path / "seen").touch()

    monkeypatch.setattr(engine.NotebookExecutionManager, "save", save)
    redactor = redactor_for([("file:sip", SECRET)])
    loop = (  # until a save has its first line: the runner may be slower than the kernel
        "import os, time\nn = 0\nwhile not os.path.exists('seen'):\n"
        f"    print(n, '{SECRET[:5]}' + '{SECRET[5:]}', flush=True); time.sleep(0.05); n += 1\nprint('the', 'end')"
    )
    Ran(tmp_path, loop, redact=redactor.value, autosave_cell_every=0.01)
    assert any("0 «redacted" in text and "the end" not in text for text in saved), "no save inside the cell"
    assert redactor.findings("".join(saved).encode()) == []


# ---------------------------------------------------------------- the kernel's surroundings


def test_the_kernel_gets_the_environment_it_is_given(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "import os; print(os.environ['BW_TEST_X'])", kernel_env={**os.environ, "BW_TEST_X": "y"})
    assert printed(ran.notebook) == "y\n"


TRANSPORT = "from ipykernel.kernelapp import IPKernelApp as A; a = A.instance(); print(a.transport, a.ip)"


def test_the_kernel_listens_on_files_of_this_user_and_not_on_ports(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ran = Ran(tmp_path, TRANSPORT)
    transport, prefix = printed(ran.notebook).split()
    assert transport == "ipc"
    assert not Path(prefix).parent.exists(), "sockets are left behind"
    assert "TCP" not in capfd.readouterr().err


def test_a_temporary_folder_too_deep_for_sockets_means_tcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    ran = Ran(tmp_path, TRANSPORT)
    assert printed(ran.notebook).startswith("tcp")
    assert statuses(ran.notebook) == ["passed"]


# ---------------------------------------------------------------- the notebook as a whole


def test_what_is_executed_is_not_what_is_redacted(tmp_path: Path) -> None:
    """A source may hold what counts as a secret: it runs as it is, and is written masked."""
    redactor = redactor_for([("file:sip", SECRET)])
    ran = Ran(tmp_path, f"x = '{SECRET}'; print(len(x))", redact=redactor.value)
    assert printed(ran.notebook) == f"{len(SECRET)}\n"
    assert redactor.findings(ran.path.read_bytes()) == []


WIDGET = f"{HALVES}\nimport ipywidgets; w = ipywidgets.Password(value=S); w"


def test_widget_values_are_masked_in_the_metadata(tmp_path: Path) -> None:
    redactor = redactor_for([("file:sip", SECRET)])
    ran = Ran(tmp_path, WIDGET, redact=redactor.value)
    assert "«redacted:file:sip»" in json.dumps(ran.notebook.metadata.widgets, ensure_ascii=False)
    assert redactor.findings(ran.path.read_bytes()) == []
    bare = Ran(tmp_path / "bare", WIDGET)
    assert redactor.findings(bare.path.read_bytes()) == ["file:sip"]


def test_the_exception_that_papermill_raises_says_no_secret(tmp_path: Path) -> None:
    redactor = redactor_for([("file:sip", SECRET)])
    ran = Ran(tmp_path, f"{HALVES}\nraise ValueError(S)", redact=redactor.value)
    assert "«redacted:file:sip»" in str(ran.raised)
    assert redactor.findings(str(ran.raised)) == []


def test_a_log_of_the_outputs_says_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    redactor = redactor_for([("file:sip", SECRET)])
    caplog.set_level("INFO")
    Ran(tmp_path, f"{HALVES}\nprint('it is', S)", redact=redactor.value, log_output=True)
    assert "it is «redacted:file:sip»" in caplog.text
    assert redactor.findings(caplog.text) == []


def test_a_parameter_that_is_a_secret_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sip_password is given a value") as caught:
        Ran(tmp_path, "x = 1", parameters={"sip_password": SECRET})
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "out.ipynb").exists()
    Ran(tmp_path, "x = 1", parameters={"sip_password": "env:SIP", "make_secrets": True})
