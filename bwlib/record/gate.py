"""Between a kernel and its front ends: whatever leaves the kernel passes the redactor first.

ipykernel sends everything through the one `Session.send` of its session, whichever thread or subshell it comes from:
streams, displays, results, errors, replies with a traceback, widget state. Binary buffers are left alone. The one
exception is `send_unredacted`, for a secret that a person asked to see.
So JupyterLab's screen, stock papermill, nbclient and VS Code see what the record may hold, and no more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from os.path import commonprefix
from typing import Any

from bwlib.record.notebook import redact_content
from bwlib.record.redact import Redactor

# Streams of this many requests are remembered: a thread may still print for a cell that has ended.
_REMEMBERED = 64

Hear = Callable[[str, str, Mapping[str, Any]], None]
"""Told (id of the request that caused it, kind, redacted content) of every message to the front ends."""


class Gate:
    """One for a kernel. redactor: what is known to be secret in this kernel. hear: who listens to what passes."""

    def __init__(self, session: Any) -> None:
        self.redactor = Redactor()
        self.hear: Hear = _to_nobody
        self.hand: Any = None  # what follows the cells of this kernel, once there is something to follow them for
        self._session = session
        self._send = session.send
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._new_lock()
        os.register_at_fork(after_in_child=self._new_lock)  # a child must not wait for a thread that it has not got
        session.send = self.send
        session.bw_gate = self

    def _new_lock(self) -> None:
        self._lock = threading.RLock()

    def send(
        self, stream: Any, msg_or_type: Any, content: Any = None, parent: Any = None, *args: Any, **more: Any
    ) -> Any:
        """`Session.send`, with the content redacted."""
        if not isinstance(msg_or_type, str):
            message = dict(msg_or_type)
            kind, content, parent = message["header"]["msg_type"], message["content"], message.get("parent_header")
        else:
            message, kind = {}, msg_or_type
        with self._lock:
            if kind == "stream":
                content = self._next_of_stream(stream, content, parent, more.get("ident"))
                if not content["text"]:
                    return message or None
            else:
                self._release()
                content = redact_content(content or {}, self.redactor.value)
                if more.get("metadata"):
                    more["metadata"] = self.redactor.value(more["metadata"])
            self.hear(_id_of(parent), kind, content)
            if not message:
                return self._send(stream, msg_or_type, content, parent, *args, **more)
            message |= {"content": content, "metadata": self.redactor.value(message.get("metadata") or {})}
            return self._send(stream, message, None, None, *args, **more)

    def send_unredacted(self, socket: Any, comm: Any, state: Mapping[str, str]) -> None:
        """Give one widget in the front end new values past the redactor: the one way by which a secret may be seen.

        A message of its own and no switch, so that nothing else can slip through with it. Nobody who listens hears of
        it, and no cell is its cause, so that it stands in no output. comm: the widget's.
        """
        content = {"comm_id": comm.comm_id, "data": {"method": "update", "state": dict(state), "buffer_paths": []}}
        with self._lock:
            self._release()
            self._send(socket, "comm_msg", content, None, ident=comm.topic)

    def _next_of_stream(self, socket: Any, content: Mapping[str, Any], parent: Any, ident: Any) -> dict[str, Any]:
        key = (_id_of(parent), content["name"])
        if key not in self._streams:
            while len(self._streams) >= _REMEMBERED:
                self._streams.pop(next(iter(self._streams)))
            self._streams[key] = _Stream(socket, parent, ident)
        return {**content, "text": self._streams[key].next(content["text"], self.redactor)}

    def release(self) -> None:
        """Send what is held back: nothing follows that could complete it."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        for (request, name), one in self._streams.items():
            text = one.rest(self.redactor)
            if text:
                content = {"name": name, "text": text}
                self.hear(request, "stream", content)
                message = self._session.msg("stream", content, parent=one.parent)
                self._send(one.socket, message, ident=one.ident)


class _Stream:
    """One cell's stdout or stderr on its way out, in pieces.

    A piece may end with the beginning of a secret (4 characters or more): that much is held back until the next piece
    or another message comes. And a piece may complete a secret whose beginning has gone out already, because it was
    shorter or something came between: then the rest of it is replaced.
    """

    def __init__(self, socket: Any, parent: Any, ident: Any) -> None:
        self.socket, self.parent, self.ident = socket, parent, ident
        self._sent = ""  # the end of what has gone out, as it was written
        self._held = ""

    def next(self, text: str, redactor: Redactor) -> str:
        self._held += text
        held = min(redactor.open_end(self._sent + self._held), len(self._held))
        return self._take(len(self._held) - held, redactor)

    def rest(self, redactor: Redactor) -> str:
        return self._take(len(self._held), redactor) if self._held else ""

    def _take(self, length: int, redactor: Redactor) -> str:
        """So many of the characters held, redacted together with what has gone out before them."""
        now, self._held = self._sent + self._held[:length], self._held[length:]
        redacted = redactor.text(now)
        gone_out = len(commonprefix([redacted, self._sent]))  # noqa: RUF071  character by character is what is meant
        self._sent = now[-(redactor.longest or 1) :] if redacted == now else ""
        return redacted[gone_out:]


def _id_of(parent: Any) -> str:
    """The id of the request that a message answers; `parent` is a message or its header."""
    header = (parent or {}).get("header", parent) or {}
    return str(header.get("msg_id", ""))


def _to_nobody(request: str, kind: str, content: Mapping[str, Any]) -> None:
    """Unattended, the engine keeps the notebook."""
