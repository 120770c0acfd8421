"""The record's hand in a Jupyter kernel: nothing secret leaves it, and cells run by hand are written down.

`open_run` installs it; outside a kernel it does nothing. There is one for a kernel, and it follows the newest run.
Unattended (`BW_RUNBOOK_RUN`), the engine writes the cells and keeps the notebook: then only the gate is installed.
By hand each cell gets a journal line before and after it, and the run's folder a notebook of what was executed.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from pydantic import SecretStr

from bwlib.errors import RecordError
from bwlib.record.gate import Gate
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord
from bwlib.record.transcript import Cell, Transcript


def redactor_of_kernel() -> Redactor:
    """This kernel's redactor, which all runs opened in it share: it forgets none of their secrets. Else a new one."""
    gate = _gate()
    return gate.redactor if gate is not None else Redactor()


def install(record: RunRecord, notebook: str, *, by_hand: bool, learn: Callable[[], None]) -> None:
    """Let everything that leaves this kernel pass its redactor, and write the cells into `record` when run by hand.

    record: its redactor must be `redactor_of_kernel()`. learn: teaches it what is secret by now; called before and
    after each cell, because a step may have made a password, or found the realm that a hash depends on.
    """
    gate = _gate()
    if gate is None:
        return
    hand = _hand_of(gate)
    hand.learn = learn
    hand.follow(record, notebook) if by_hand else hand.let_go()


def current_cell() -> str:
    """The cell that runs now in this kernel, by hand: the front end's id for it, else "execution N"; else ""."""
    gate = _gate()
    cell = _hand_of(gate).cell if gate is not None else None
    return cell.name if cell is not None else ""


def learn_now() -> None:
    """Teach this kernel's redactor what is secret by now: before and after what a button does, as around a cell."""
    gate = _gate()
    if gate is not None and gate.hand is not None:
        gate.hand.learn_what_is_new()


def is_by_hand() -> bool:
    """Whether somebody runs the cells of this kernel, and sees what they show while it happens."""
    gate = _gate()
    return gate is not None and _hand_of(gate).is_followed


# By the widget's id, what hides again what it shows.
_revealed: dict[str, threading.Timer] = {}


def reveal(
    widget: Any, secret: SecretStr | None, *, seconds: float = 30.0, hidden: Callable[[], None] | None = None
) -> None:
    """Show a secret in an ipywidgets.HTML for some seconds, to whoever pressed a button; None hides it at once.

    Only the front end gets it, in one message to this widget. The widget's own value stays as it is, so that whatever
    asks the kernel for it (a page that is loaded anew, a second tab, a notebook with its widgets) does not get it; a
    save meanwhile meets `bwlib.record.jupyter`, which takes it out. Journal and transcript never hear of it.

    hidden(): called when the time is over, not when it is hidden by hand: for the button to come up again.
    Does nothing outside of a kernel, and where nobody works by hand: an unattended run keeps its widgets.
    """
    gate = _gate()
    if gate is None or getattr(widget, "comm", None) is None:
        return
    before = _revealed.pop(widget.model_id, None)
    if before is not None:
        before.cancel()
    if secret is None:
        widget.send_state("value")
        return
    if gate.hand is None or not gate.hand.by_hand:
        return
    text = secret.get_secret_value()
    gate.redactor.learn("shown secret", text)
    code = f'<code style="user-select:all">{escape(text)}</code>'
    gate.send_unredacted(_kernel().iopub_socket, widget.comm, {"value": code})

    def time_is_over() -> None:
        _revealed.pop(widget.model_id, None)
        widget.send_state("value")
        if hidden is not None:
            hidden()

    _revealed[widget.model_id] = timer = threading.Timer(seconds, time_is_over)
    timer.daemon = True
    timer.start()


def write_transcripts(record: RunRecord) -> None:
    """Write down, for good, what this kernel has executed in this run: called before the run is sealed by hand."""
    gate = _gate()
    if gate is not None:
        _hand_of(gate).write_for_good(record)


def _kernel() -> Any:
    """This process's ipykernel, None outside of one."""
    if "ipykernel" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None)


def _gate() -> Gate | None:
    """The gate of this kernel, put in place at the first call."""
    session = getattr(_kernel(), "session", None)
    if session is None:
        return None
    gate: Gate = getattr(session, "bw_gate", None) or Gate(session)
    return gate


def _hand_of(gate: Gate) -> _Hand:
    if gate.hand is None:
        gate.hand = _Hand(_kernel(), gate)
    hand: _Hand = gate.hand
    return hand


class _Hand:
    """Follows the cells of one kernel, one at a time, by IPython's own events."""

    def __init__(self, kernel: Any, gate: Gate) -> None:
        self._kernel, self._gate = kernel, gate
        self._transcripts: list[Transcript] = []
        self._now: Transcript | None = None  # the one that cells are added to
        self.cell: Cell | None = None
        self.learn: Callable[[], None] = _nothing_new
        self._info: Any = None  # IPython's own object for the cell that runs
        gate.hear = self._hear
        kernel.shell.events.register("pre_run_cell", self._begin)
        kernel.shell.events.register("post_run_cell", self._end)

    def follow(self, record: RunRecord, notebook: str) -> None:
        """From the cell that runs now, which is the one that opened the run."""
        mine = (each for each in self._transcripts if (each.record.folder, each.notebook) == (record.folder, notebook))
        transcript = next(mine, None)
        if transcript is None:
            transcript = Transcript(record, notebook)
            self._transcripts.append(transcript)
        if transcript is self._now:
            return
        self._finish("skipped", "it opened another run")
        self._now = transcript
        source = str(self._parent().get("content", {}).get("code", ""))
        if source:
            self._start(source, len(self._kernel.shell.user_ns["In"]) - 1)

    @property
    def is_followed(self) -> bool:
        return self._now is not None

    @property
    def by_hand(self) -> bool:
        """Whether it follows a run's cells: in an unattended run it follows none."""
        return self._now is not None

    def let_go(self) -> None:
        self._now, self.cell = None, None

    def write_for_good(self, record: RunRecord) -> None:
        self.learn_what_is_new()
        self._flush()
        for transcript in self._transcripts:
            if transcript.record.folder == record.folder:
                _unless_sealed(record, transcript.write_for_good)

    # ------------------------------------------------------------ IPython's events

    def _begin(self, info: Any) -> None:
        self.learn_what_is_new()
        if not info.store_history or self._now is None:
            return
        if self.cell is not None and self.cell.request == self._request():
            return  # a cell that runs another piece of code by itself
        self._finish("failed", "interrupted")
        self._info = info
        self._start(info.raw_cell, len(self._kernel.shell.user_ns["In"]))

    def _end(self, result: Any) -> None:
        """result None: the cell was interrupted while it waited."""
        info = getattr(result, "info", None)
        ours = info is self._info or (self._info is None and info is not None and info.raw_cell == self._source())
        if self.cell is None or not (ours or result is None):
            return
        error = None if result is None else result.error_before_exec or result.error_in_exec
        if result is not None and error is None:
            self._finish("passed")
        else:
            stopped = error is None or type(error).__name__ in ("KeyboardInterrupt", "CancelledError")
            self._finish("failed", "interrupted" if stopped else type(error).__name__)

    def _hear(self, request: str, kind: str, content: Mapping[str, Any]) -> None:
        for transcript in self._transcripts:
            transcript.hear(request, kind, content)

    # ------------------------------------------------------------ one cell

    def _start(self, source: str, count: int) -> None:
        assert self._now is not None
        named = (self._parent().get("metadata") or {}).get("cellId")
        redacted = self._gate.redactor.text(source)
        self.cell = Cell(self._request(), str(named or f"execution {count}"), redacted, count)
        self._now.cells.append(self.cell)
        self._write_down()

    def _finish(self, status: str, reason: str = "") -> None:
        cell, self.cell, self._info = self.cell, None, None
        if cell is None or self._now is None:
            return
        self.learn_what_is_new()
        self._flush()
        cell.status, cell.reason = status, reason
        self._now.settle(cell)
        self._write_down(cell)

    def _write_down(self, ended: Cell | None = None) -> None:
        """The journal's line and the notebook, unless the run is sealed: what comes then belongs to no run."""
        cell, transcript = ended or self.cell, self._now
        assert cell is not None
        assert transcript is not None
        facts = {"notebook": transcript.notebook, "cell": cell.name, "status": cell.status, "reason": cell.reason}

        def write() -> None:
            transcript.record.journal.append("cell", **facts)
            transcript.write()

        _unless_sealed(transcript.record, write)

    def learn_what_is_new(self) -> None:
        """Whoever needs a secret says why it cannot be read; a cell that needs none goes on."""
        with contextlib.suppress(Exception):
            self.learn()

    def _flush(self) -> None:
        """What was printed lies in ipykernel's buffers until it is flushed."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        self._gate.release()

    def _parent(self) -> dict[str, Any]:
        return self._kernel.get_parent("shell") or {}

    def _request(self) -> str:
        return str((self._parent().get("header") or {}).get("msg_id", ""))

    def _source(self) -> str:
        return str((self._parent().get("content") or {}).get("code", ""))


def _nothing_new() -> None:
    """Until a run is opened."""


def _unless_sealed(record: RunRecord, write: Callable[[], None]) -> None:
    """Write, but leave a sealed run alone, also when somebody else seals it just now.

    Raises: RecordError when the disk refuses: IPython shows it below the cell, and goes on.
    """
    if record.is_sealed:
        return
    try:
        write()
    except RecordError:
        if not record.is_sealed:
            raise
