"""A real kernel, and somebody who runs cells in it as JupyterLab does: every message that left it is kept."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

LIMIT_S = 50.0


@dataclass
class Ran:
    """One execution: the reply, and what the front end was told meanwhile."""

    reply: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message["content"] for message in self.messages if message["header"]["msg_type"] == kind]

    def printed(self, name: str = "stdout") -> str:
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    def everything(self) -> str:
        contents = [self.reply["content"], *(message["content"] for message in self.messages)]
        return json.dumps([contents, [m["metadata"] for m in self.messages]], ensure_ascii=False, default=str)


class KernelByHand:
    """Runs cells one by one; `cell` is the id that a front end gives a cell, "" for one that gives none."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(self, source: str, cell: str = "", *, interrupt: bool = False) -> Ran:
        """interrupt: whenever the cell is silent for a second after it has printed something."""
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell} if cell else {})
        self.client.shell_channel.send(message)
        request, told = message["header"]["msg_id"], list[dict[str, Any]]()
        deadline = time.monotonic() + LIMIT_S
        while not any(_is_idle(seen) for seen in told):
            assert time.monotonic() < deadline, "the cell did not end"
            try:
                seen = self.client.get_iopub_msg(timeout=1)
                told += [seen] if seen["parent_header"].get("msg_id") == request else []
            except queue.Empty:  # the cell waits
                if interrupt and any(seen["header"]["msg_type"] == "stream" for seen in told):
                    self.manager.interrupt_kernel()
        while True:
            reply = self.client.get_shell_msg(timeout=LIMIT_S)
            if reply["parent_header"].get("msg_id") == request:
                return Ran(reply, told)

    def wait_until_it_answers(self) -> None:
        """On both channels. jupyter_client's own way gives up when a busy machine misses a heartbeat."""
        deadline = time.monotonic() + 2 * LIMIT_S
        while time.monotonic() < deadline:
            self.client.kernel_info()
            with contextlib.suppress(queue.Empty):
                self.client.get_shell_msg(timeout=1)
                self.client.get_iopub_msg(timeout=1)
                return
        raise AssertionError("the kernel does not answer")

    def wait_for(self, text: str, ran: Ran) -> None:
        """Keep what is told after the end of a cell until this text is among it: pipes have threads of their own."""
        deadline = time.monotonic() + LIMIT_S
        while text not in ran.everything() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                ran.messages.append(self.client.get_iopub_msg(timeout=0.2))


def _is_idle(message: dict[str, Any]) -> bool:
    return message["header"]["msg_type"] == "status" and message["content"]["execution_state"] == "idle"


@contextmanager
def kernel_by_hand(**environment: str) -> Iterator[KernelByHand]:
    """A kernel of its own on files, not ports."""
    # Under pytest ipykernel would not watch its file descriptors.
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    with tempfile.TemporaryDirectory(prefix="bwk-") as sockets:
        manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/k")
        manager.start_kernel(env={**variables, **environment})
        client = manager.client()
        client.start_channels()
        try:
            started = KernelByHand(manager, client)
            started.wait_until_it_answers()
            yield started
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
