"""A papermill engine whose record is true: `papermill --engine bw`, and what `bw-runbook run` uses.

Stock papermill marks every pending cell `completed` when a run ends, also when the kernel never started or died. Here
each cell has our own status, in the notebook's metadata (`bw.status`) and, when a journal is given, in the journal
before and after it ran: pending, running, passed, failed, died, timed_out, skipped.

A parameter that is a secret by its name is refused before anything is written, because stock papermill writes it into
the notebook twice. Secrets of outputs are the redactor's: the runner gives one; by hand (`papermill --engine bw`) it is
the kernel's own, in `bwlib.record.gate`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.notebooknode import from_dict
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager

from bwlib.record.notebook import redact_content, redact_notebook
from bwlib.secret_references import refuse_values

# Generous for a notebook that waits for a realm and two calls; never "for ever".
START_TIMEOUT_S = 60
CELL_TIMEOUT_S = 300
# The longest path of a UNIX socket on Linux and macOS alike, its closing NUL and "-1" to "-5" left out.
_SOCKET_PATH = 100

OnCell = Callable[[int, str, str], None]
"""Told (cell index, status, reason) before and after each cell."""


def _ignore(index: int, status: str, reason: str) -> None:
    """Without a journal the notebook's own metadata is the only place."""


def _as_it_is(value: Any) -> Any:
    """Without a redactor nothing is known to be secret."""
    return value


class TruthfulManager(NotebookExecutionManager):  # type: ignore[misc]  # papermill has no types
    """papermill's manager without its kindness: a cell that did not finish is never called completed."""

    nb: Any
    on_cell: OnCell = staticmethod(_ignore)
    redact: Callable[[Any], Any] = staticmethod(_as_it_is)

    def notebook_start(self, **kwargs: Any) -> None:
        for cell in self.nb.cells:
            cell.metadata["bw"] = {"status": "pending" if cell.cell_type == "code" else "skipped"}
        super().notebook_start(**kwargs)

    def mark(self, index: int, status: str, reason: str = "") -> None:
        cell = self.nb.cells[index]
        cell.metadata["bw"] = {"status": status, **({"reason": reason} if reason else {})}
        if cell.cell_type == "code":
            self.on_cell(index, status, reason)

    def save(self, **kwargs: Any) -> None:
        """Every way to the disk leads through here, papermill's autosave in the middle of a cell too.

        What is written is redacted as a whole; what is executed stays as it is until the end.
        """
        executed = self.nb
        self.nb = self._redacted()
        try:
            super().save(**kwargs)
        finally:
            self.nb = executed

    def _redacted(self) -> Any:
        return from_dict(redact_notebook(self.nb, self.redact))  # type: ignore[no-untyped-call]

    def notebook_complete(self, **kwargs: Any) -> None:
        unfinished = [cell for cell in self.nb.cells if cell.metadata["bw"]["status"] not in ("passed", "skipped")]
        super().notebook_complete(**kwargs)
        for cell in unfinished:
            status = cell.metadata["bw"]["status"]
            cell.metadata.papermill["status"] = self.PENDING if status == "pending" else self.FAILED
        if unfinished:
            self.nb.metadata.papermill["exception"] = True
        self.nb = self._redacted()  # papermill takes the text of its exception from here, and writes once more
        self.save()


class RecordingClient(PapermillNotebookClient):  # type: ignore[misc]
    """Runs the cells one by one and says the truth about each.

    sockets: where the kernel's sockets are made, as files that only this user can open, instead of TCP ports that
    every user of the machine can reach (and that two runs at once can both have been given).
    """

    def __init__(self, nb_man: TruthfulManager, *, sockets: str, **kwargs: Any) -> None:
        super().__init__(nb_man, **kwargs)
        self._sockets = os.path.join(sockets, "k")

    def create_kernel_manager(self) -> Any:
        manager = super().create_kernel_manager()
        if len(os.fsencode(self._sockets)) <= _SOCKET_PATH:  # else TCP: a path too long for a socket
            manager.transport, manager.ip = "ipc", self._sockets
        return manager

    def log_output_message(self, output: Any) -> None:
        super().log_output_message(from_dict(redact_content(output, self.nb_man.redact)))  # type: ignore[no-untyped-call]

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            if cell.cell_type != "code":
                continue
            self.nb_man.mark(index, "running")
            self.nb_man.cell_start(cell, index)
            with self._truth_about(index):
                self.execute_cell(cell, index)
            self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)
            if self.nb.cells[index].metadata["bw"]["status"] != "passed":
                break

    @contextmanager
    def _truth_about(self, index: int) -> Iterator[None]:
        try:
            yield
        except CellExecutionError as error:
            # papermill itself raises once the notebook is written, so that the traceback is kept.
            self._failed(index, "failed", f"{error.ename}")
        except CellTimeoutError:
            self._failed(index, "timed_out", "the cell did not end in time")
            raise
        except DeadKernelError:
            self._failed(index, "died", "the kernel died")
            raise
        except (KeyboardInterrupt, asyncio.CancelledError):
            self._failed(index, "failed", "interrupted")
            raise
        except BaseException as error:
            self._failed(index, "failed", type(error).__name__)
            raise
        else:
            self.nb_man.mark(index, "passed")

    def _failed(self, index: int, status: str, reason: str) -> None:
        self.nb_man.cell_exception(self.nb.cells[index], cell_index=index)
        self.nb_man.mark(index, status, reason)


class RecordingEngine(Engine):  # type: ignore[misc]
    """papermill's engine interface. Extra arguments: kernel_env, on_cell (the journal), redact (a JSON-like value)."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        **kwargs: Any,
    ) -> Any:
        refuse_values(nb.metadata.papermill.get("parameters", {}), "execute a notebook")
        manager = TruthfulManager(
            nb,
            output_path=output_path,
            progress_bar=progress_bar,
            log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )
        manager.on_cell = kwargs.pop("on_cell", None) or _ignore
        manager.redact = kwargs.pop("redact", None) or _as_it_is
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **kwargs)
        finally:
            manager.cleanup_pbar()
            manager.notebook_complete()
        return manager.nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: TruthfulManager,
        kernel_name: str,
        log_output: bool = False,
        start_timeout: int = START_TIMEOUT_S,
        execution_timeout: int | None = None,
        kernel_env: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        kwargs.pop("input_path", None)
        with TemporaryDirectory(prefix="bw-") as sockets:
            client = RecordingClient(
                nb_man,
                sockets=sockets,
                kernel_name=kernel_name,
                startup_timeout=start_timeout,
                timeout=execution_timeout or CELL_TIMEOUT_S,
                log_output=log_output,
                coalesce_streams=True,
                # Nothing in a kernel waits for its end; asking politely makes it complain on stderr now and then.
                shutdown_kernel="immediate",
                **kwargs,
            )
            return client.execute(**({"env": dict(kernel_env)} if kernel_env is not None else {}))


def stopped_at(notebook: Any) -> tuple[int, str] | None:
    """(cell index, reason) of the first code cell that did not pass; None when all did.

    papermill itself takes SystemExit(0) for success, whatever was still to come.
    """
    for index, cell in enumerate(notebook.cells):
        told = cell.metadata.get("bw", {})
        if cell.cell_type == "code" and told.get("status") != "passed":
            return index, str(told.get("reason", ""))
    return None
