"""Callback URLs that misbehave, for training and tests: an application is pointed at one, and mended by another URL.

A little HTTP server on loopback. What breaks is the URL itself and not what the sandbox tells of it: whoever asks the
URL, from anywhere on this machine, meets the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)
HOST = "127.0.0.1"
SLOW_S = 20.0  # Bandwidth waits 15 s: dev.bandwidth.com/docs/voice/webhooks
_MAX_BYTES = 1_000_000  # of a request
_READ_LIMIT_S = 30.0
_GOOD = '<?xml version="1.0" encoding="UTF-8"?><Response><Hangup/></Response>'
_PAGE = "<!DOCTYPE html><html><head><title>It works</title></head><body><p>It works<br></body></html>"

# kind -> what is wrong with it
KINDS: Mapping[str, str] = {
    "dead": "nobody listens on its port: the connection is refused",
    "slow": f"the right answer comes after {SLOW_S:g} s",
    "500": "the answer is 500",
    "bad-bxml": "200, and BXML that is not well-formed",
    "401": "401 without WWW-Authenticate, so that credentials are never sent",
    "html": "200 with a web page",
    "certificate": "https with a certificate of an authority that nobody trusts; else all is right",
}
# path -> status line, type, body
_ANSWERS: Mapping[str, tuple[str, str, str]] = {
    "/slow": ("200 OK", "application/xml", _GOOD),
    "/500": ("500 Internal Server Error", "text/plain", "something broke"),
    "/bad-bxml": ("200 OK", "application/xml", "<Response><SpeakSentence>Hello.</Response>"),
    "/401": ("401 Unauthorized", "text/plain", "who are you?"),
    "/html": ("200 OK", "text/html", _PAGE),
    "/certificate": ("200 OK", "application/xml", _GOOD),
}


class BrokenCallbacks:
    """`start()` takes the ports, those of last time where they are free; then `urls` holds one URL for each kind."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: list[asyncio.Server] = []
        self._dead: socket.socket | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self.ports: dict[str, int] = {}
        self.urls: dict[str, str] = {}

    async def start(self, ports: Mapping[str, int]) -> None:
        """ports: by the names of `self.ports`. Raises OSError when no port can be had."""
        plain, tls = _bound(ports.get("broken", 0)), _bound(ports.get("broken_tls", 0))
        # bound and never listening: refused, and as it is not shared nobody else can have it
        self._dead = _bound(ports.get("dead", 0), shared=False)
        context = await asyncio.to_thread(self._context)
        self._servers = [
            await asyncio.start_server(self._serve, sock=plain),
            await asyncio.start_server(self._serve, sock=tls, ssl=context),
        ]
        self.ports = {"broken": _port(plain), "broken_tls": _port(tls), "dead": _port(self._dead)}
        root = f"http://{HOST}:{self.ports['broken']}"
        self.urls = {
            **{path[1:]: root + path for path in _ANSWERS},
            "dead": f"http://{HOST}:{self.ports['dead']}/dead",
            "certificate": f"https://{HOST}:{self.ports['broken_tls']}/certificate",
        }

    async def stop(self) -> None:
        """Whoever is waiting for a slow answer gets none."""
        for server in self._servers:
            server.close()
        for task in list(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        if self._dead is not None:
            self._dead.close()

    def _context(self) -> ssl.SSLContext:
        from bwlib.readback_tls import throw_away_certificate  # a slow import, and this runs in a thread

        files = throw_away_certificate(self._directory / "broken-tls", HOST)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        return context

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError) as error:
            log.info("a request to a broken callback URL ended early: %r", error)
        finally:
            self._answering.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_READ_LIMIT_S):
            path = await _read_request(reader)
        if path == "/slow":
            await _wait_or_gone(reader, SLOW_S)
        status, kind, body = _ANSWERS.get(path, ("404 Not Found", "text/plain", "there is no such callback here"))
        head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close"]
        writer.write("\r\n".join([*head, "", body]).encode())
        await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> str:
    """The path of one request, once all of it is read: an answer before that could be lost."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"^content-length:[ \t]*(\d{1,7})[ \t]*\r$", head, re.IGNORECASE | re.MULTILINE)
    await reader.readexactly(min(int(length[1]) if length else 0, _MAX_BYTES))
    words = head.split(" ", 2)
    return words[1].partition("?")[0] if len(words) == 3 else ""


async def _wait_or_gone(reader: asyncio.StreamReader, seconds: float) -> None:
    """Until the time is over, or the client has left."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(reader.read(), seconds)


def _bound(port: int, *, shared: bool = True) -> socket.socket:
    """A socket on this port where it is free, else on any. Raises OSError."""
    for wanted in dict.fromkeys((port, 0)):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(shared))
        try:
            bound.bind((HOST, wanted))
        except OSError:
            bound.close()
            if not wanted:
                raise
        else:
            return bound
    raise AssertionError("port 0 is always tried")


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
