"""What a button does is done in the kernel's main thread, where cells run: one after the other, and to be interrupted.

JupyterLab (4.4 and newer) gives the messages of widgets to a subshell, a thread of the kernel's beside the main one.
There a step would run beside a cell, and the stop button would not reach it: an interrupt is raised in the main thread.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


def in_main_thread(do: Callable[[], None]) -> None:
    """Do it now when this is the main thread, else as soon as that is free. Nothing is raised by the second way."""
    if threading.current_thread() is threading.main_thread():
        do()
        return
    from IPython.core.getipython import get_ipython

    get_ipython().kernel.io_loop.add_callback(_interruptible, do)  # type: ignore[union-attr]  # a subshell has a kernel


def _interruptible(do: Callable[[], None]) -> None:
    """Between messages ipykernel ignores the interrupt's signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        do()
    except KeyboardInterrupt:  # it came when all was done
        pass
    finally:
        signal.signal(signal.SIGINT, before)
