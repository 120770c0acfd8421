"""What is left behind says the truth: every bad ending of a run, by stock papermill and by ours, side by side.

    .venv/bin/python benchmarks/truth.py

For each ending it prints what the executed notebook says of its cells, the exit code, and (ours) what the journal calls
the run and what `bw-runbook verify` says. A cell that did not finish and is called `completed` or `passed` is marked.
`tests/test_truth.py` judges ours; this only shows both. The full disk needs root, for a small file system of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = "open(os.path.join(os.environ['TRUTH_FOLDER'], 'here'), 'w').write('here')"
WAIT = f"import os, time\n{HERE}\nwhile True: time.sleep(0.1)"
DIE = "import os, signal; os.kill(os.getpid(), signal.{})"
FILL = """
import os
with open(os.path.join(os.environ["TRUTH_FOLDER"], "disk", "fill"), "wb", buffering=0) as stream:
    try:
        while True: stream.write(b"x" * 512)
    except OSError as error: print(error)
"""
BROKEN_KERNEL = {"argv": [sys.executable, "-c", "raise SystemExit(1)"], "display_name": "broken", "language": "python"}


@dataclass(frozen=True)
class Ending:
    """What the second of three cells does, and what is done to the run meanwhile.

    finished: how many cells do end. broken_kernel: its kernel ends at once. send: sent to the runner once the second
    cell waits. full_disk: the output lies on a file system of 1 MiB.
    """

    second: str
    finished: int = 1
    broken_kernel: bool = False
    timeout_s: int = 60
    send: signal.Signals | None = None
    full_disk: bool = False


ENDINGS = {
    "kernel never starts": Ending("x = 2", finished=0, broken_kernel=True),
    "SIGSEGV in cell 2 of 3": Ending(DIE.format("SIGSEGV")),
    "SIGKILL of the kernel": Ending(DIE.format("SIGKILL")),
    "SIGKILL of the runner": Ending(WAIT, send=signal.SIGKILL),
    "cell timeout": Ending("import time\nwhile True: time.sleep(0.1)", timeout_s=4),
    "disk full": Ending(FILL, full_disk=True, finished=3),
    "interrupt": Ending(WAIT, send=signal.SIGINT),
    "SIGTERM": Ending(WAIT, send=signal.SIGTERM),
    "sys.exit(0) in cell 2 of 3": Ending("import sys; sys.exit(0)"),
}


@dataclass(frozen=True)
class Left:
    """What a run left behind. cells: the status of each of the three. The rest is of ours only: what the journal calls
    the run, the exit code and words of `bw-runbook verify`, the journal's lines.
    """

    exit_code: int
    cells: list[str]
    run: str = ""
    verdict: str = ""
    journal: tuple[dict[str, Any], ...] = ()

    def false(self, ending: Ending) -> list[int]:
        """The cells (0 to 2) that did not finish and are called finished."""
        return [n for n, said in enumerate(self.cells) if n >= ending.finished and said in ("completed", "passed")]


def run(tool: str, ending: Ending, folder: Path) -> Left:
    """Let one tool ("papermill" or "bw-runbook") come to one ending in a process of its own. Needs an empty folder."""
    (folder / "disk").mkdir()
    (folder / "site.toml").write_text('name = "my-site"\n')
    _write_notebook(folder / "notebooks" / "one.ipynb", ["x = 1", ending.second, "x = 3"])
    kernel = folder / "jupyter" / "kernels" / "python3"
    if ending.broken_kernel:
        kernel.mkdir(parents=True)
        (kernel / "kernel.json").write_text(json.dumps(BROKEN_KERNEL))
    surroundings = {"TRUTH_FOLDER": str(folder), "JUPYTER_PATH": str(folder / "jupyter"), "TMPDIR": str(folder)}
    with _disk(folder / "disk", ending.full_disk):
        exit_code = _run_and_send(tool, ending, folder, {**os.environ, **surroundings})
        return _what_is_left(tool, folder, exit_code)


def _run_and_send(tool: str, ending: Ending, folder: Path, environment: dict[str, str]) -> int:
    here = folder / "here"
    if ending.send:
        os.mkfifo(here)
    argv = [sys.executable, __file__, tool, str(folder), str(ending.timeout_s)]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        if ending.send:
            here.read_text()
            process.send_signal(ending.send)
        return process.wait(120)


def _what_is_left(tool: str, folder: Path, exit_code: int) -> Left:
    if tool == "papermill":
        return Left(exit_code, _cells(folder / "disk" / "one.ipynb", "papermill"))
    from bwlib.record.journal import read_lines
    from bwlib.record.manifest import run_status
    from bwlib.record.run_record import run_folders

    [record] = run_folders(folder / "disk" / "runs" / "my-site")
    verdict = subprocess.run(
        [sys.executable, "-m", "bwlib.cli", "verify", str(record)], capture_output=True, text=True, check=False
    )
    cells = _cells(record / "notebooks" / "one.ipynb", "bw")
    journal = tuple(read_lines(record / "journal.jsonl"))
    return Left(exit_code, cells, run_status(record), f"{verdict.returncode} {verdict.stdout}", journal)


def _cells(path: Path, key: str) -> list[str]:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ["no notebook"]
    plain = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [str(cell["metadata"].get(key, {}).get("status")) for cell in plain]


@contextmanager
def _disk(folder: Path, small: bool) -> Iterator[None]:
    """A file system of 1 MiB below `folder`, where it is wanted. Raises: PermissionError for who may not have one."""
    if not small:
        yield
        return
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        raise PermissionError(done.stderr.decode().strip())
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _write_notebook(path: Path, sources: list[str]) -> None:
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    path.parent.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(source) for source in sources]  # type: ignore[no-untyped-call]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)  # type: ignore[no-untyped-call]


# ---------------------------------------------------------------- in the process that comes to its ending


def _child(tool: str, folder: Path, timeout_s: int) -> int:
    if tool == "papermill":
        from papermill.execute import execute_notebook

        source, output = folder / "notebooks" / "one.ipynb", folder / "disk" / "one.ipynb"
        execute_notebook(str(source), str(output), progress_bar=False, start_timeout=20, execution_timeout=timeout_s)
        return 0
    from bwlib.record.redact import Redactor
    from bwlib.runner import run_site as runner

    runner.notebooks_folder = lambda: folder / "notebooks"
    ours: dict[str, Any] = {"start_timeout_s": 20, "cell_timeout_s": timeout_s}
    return runner.run_site(
        folder / "site.toml",
        folder / "disk" / "runs" / "my-site",
        notebooks=("one",),
        parameters={},
        redactor=Redactor(),
        learn_secrets=lambda record: None,
        tell=lambda line: None,
        facts={"target": "sandbox", "operator": "nobody"},
        **ours,
    ).exit_code


def main() -> None:
    if len(sys.argv) > 1:
        sys.exit(_child(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
    for name, ending in ENDINGS.items():
        print(name)
        for tool in ("papermill", "bw-runbook"):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    left = run(tool, ending, Path(folder))
                except PermissionError as error:
                    print(f"  {tool:<11} not tried: {error}")
                    continue
            false = f"  FALSE: cell {', '.join(str(n + 1) for n in left.false(ending))}" if left.false(ending) else ""
            verdict = f"  verify: exit {left.verdict.partition(':')[0]}" if left.verdict else ""
            print(f"  {tool:<11} exit {left.exit_code:>3}  cells: {', '.join(left.cells)}  {left.run}{verdict}{false}")


if __name__ == "__main__":
    main()
