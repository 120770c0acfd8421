"""Run readback, the voice application under test: `python -m bwlib.readback --help`.

On the sandbox it runs on loopback with a throw-away certificate. On a live account it runs behind the
integrator's public URL:

    python -m bwlib.readback --port 8080 --public-url https://voice.example.com/readback --speak clip \\
        --user bandwidth --password-ref file:/etc/readback/password

It writes a state file (0600) when it is ready: its URL, and the token with which bwlib.readback_client asks it
what it saw. What it says is in bwlib/readback_app.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import signal
import socket
import sqlite3
import ssl
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from bwlib.errors import BwlibError, SecretUnavailable, SettingsError
from bwlib.readback_app import Options, bxml_for, make_app
from bwlib.readback_clip import clip_wav
from bwlib.readback_store import WebhookStore
from bwlib.readback_tls import TlsFiles, throw_away_certificate

log = logging.getLogger("bwlib.readback")

MAX_CLIP_BYTES = 20 * 1024 * 1024
CORRECT_AND_RESTART = "Correct it and start readback again."


@dataclass(frozen=True)
class State:
    """What the state file says. `token` opens /_readback/*; `ca_file` is what clients must trust, or None."""

    url: str
    token: SecretStr
    user: str | None
    ca_file: str | None
    pid: int
    clip_url: str
    public_url: str | None

    def write(self, file: Path) -> None:
        """Atomically and 0600, so that a reader sees all of it or nothing."""
        document = {**self.__dict__, "token": self.token.get_secret_value()}
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=file.name, delete=False) as temporary:
            json.dump(document, temporary, indent=1)  # the temporary file is 0600 from the start
        os.replace(temporary.name, file)


# ---------------------------------------------------------------- answers from the command line


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bw-runbook readback", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="where the webhooks are kept")
    parser.add_argument("--state-file", type=Path, metavar="F", help="written when ready (default: DIR/state.json)")
    parser.add_argument("--user", help="ask webhooks for this user name (the application's callback credentials)")
    parser.add_argument("--password-ref", metavar="REF", help="where the password is: file:/path (0600) or env:NAME")
    parser.add_argument("--tls", default="none", metavar="auto|none|CERT,KEY", help="auto: a throw-away certificate")
    parser.add_argument("--public-url", metavar="URL", help="where Bandwidth reaches this readback")
    parser.add_argument("--speak", choices=["digits", "clip"], default="digits", help="clip: also play the known clip")
    parser.add_argument("--clip", type=Path, metavar="WAV", help="play this file instead of the built-in clip")
    parser.add_argument("-v", "--verbose", action="store_true", help="say each webhook on stderr")
    return parser.parse_args(arguments)


def read_password(reference: str) -> SecretStr:
    """The secret behind file:/path (readable by its owner only) or env:NAME. Raises SecretUnavailable."""
    kind, _, place = reference.partition(":")
    if kind == "env" and place:
        password = os.environ.get(place, "")
    elif kind == "file" and place:
        password = _read_private_file(Path(place).expanduser())
    else:
        raise SecretUnavailable(
            "read the webhook password", "--password-ref is neither file:/path nor env:NAME.", CORRECT_AND_RESTART
        )
    if not password:
        raise SecretUnavailable("read the webhook password", f"{reference} is empty.", f"Put the password in {place}.")
    return SecretStr(password)


def _read_private_file(file: Path) -> str:
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise SecretUnavailable("read the webhook password", f"Others may read {file}.", f"Run: chmod 600 {file}")
        return file.read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnavailable(
            "read the webhook password", f"{file}: {type(error).__name__}.", "Give the path of a readable file."
        ) from error


def make_options(given: argparse.Namespace) -> Options:
    """Raises SettingsError when the answers contradict each other."""
    if bool(given.user) != bool(given.password_ref):
        raise SettingsError(
            "start readback", "--user and --password-ref belong together; one is missing.", CORRECT_AND_RESTART
        )
    if given.user and ":" in given.user:
        raise SettingsError("start readback", "A user name cannot hold a colon (RFC 7617).", CORRECT_AND_RESTART)
    public_url = given.public_url.rstrip("/") if given.public_url else None
    if public_url is not None and not public_url.startswith(("https://", "http://")):
        raise SettingsError("start readback", f"--public-url {public_url} is no http(s) URL.", CORRECT_AND_RESTART)
    if given.user and given.tls == "none" and not (public_url or "").startswith("https://"):
        raise SettingsError(
            "start readback with a user and password",
            "They would travel in clear text, and Bandwidth accepts them with https only.",
            "Add --tls auto, --tls CERT,KEY, or the --public-url https://... of the proxy in front of readback.",
        )
    options = Options(
        token=SecretStr(secrets.token_urlsafe(32)),
        clip_wav=_read_clip(given.clip) if given.clip else clip_wav(),
        user=given.user or None,
        password=read_password(given.password_ref) if given.password_ref else None,
        public_url=public_url,
        speak_clip=given.speak == "clip",
    )
    bxml_for("initiate", {}, replace(options, speak_clip=True))  # a URL that BXML cannot carry must not wait for a call
    return options


def _read_clip(file: Path) -> bytes:
    try:
        clip = file.read_bytes() if file.stat().st_size <= MAX_CLIP_BYTES else b""
    except OSError as error:
        raise SettingsError("read the clip", f"{file}: {error.strerror}.", "Give the path of a WAV file.") from error
    if clip[:4] != b"RIFF" or clip[8:12] != b"WAVE":
        raise SettingsError("read the clip", f"{file} is not a WAV file of at most 20 MB.", "Give another file.")
    return clip


# ---------------------------------------------------------------- start


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises SettingsError when the address or port cannot be had."""
    attempted = f"listen on {host}:{port}"
    if not 0 <= port <= 65535:
        raise SettingsError(
            attempted, "A port is a number from 0 to 65535.", "Give another --port, or 0 for a free one."
        )
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The protocol is named because asyncio sets TCP_NODELAY only then: without it an answer may wait 40 ms.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except PermissionError as error:
        raise SettingsError(attempted, "Ports below 1024 need rights we lack.", "Give a --port above 1023.") from error
    except (OSError, UnicodeError) as error:
        do_next = f"See who has it (ss -ltnp 'sport = :{port}'), or give another --port, or 0 for a free one."
        raise SettingsError(attempted, f"{getattr(error, 'strerror', None) or error}.", do_next) from error
    return bound


def tls_files(choice: str, directory: Path, host: str) -> TlsFiles | None:
    """The certificate to serve with, None for plain http. Raises SettingsError when the files are no pair."""
    if choice == "none":
        return None
    if choice == "auto":
        return throw_away_certificate(directory / "tls", host)
    certificate, comma, key = choice.partition(",")
    if not comma:
        raise SettingsError("start readback", f"--tls {choice} is not auto, none or CERT,KEY.", CORRECT_AND_RESTART)
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError(
            "use the certificate and key",
            f"{certificate}, {key}: {type(error).__name__}: {error.strerror if isinstance(error, OSError) else error}.",
            "Give the paths of a PEM certificate (with its chain) and of its unencrypted private key.",
        ) from error
    return TlsFiles(Path(certificate), Path(key), None)


def open_store(directory: Path) -> WebhookStore:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return WebhookStore(directory / "readback.db")
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(
            f"keep the webhooks in {directory}", f"{type(error).__name__}: {error}.", "Give a --store that is writable."
        ) from error


class _Server(uvicorn.Server):
    """uvicorn, which says when it is ready by writing the state file."""

    def __init__(self, config: uvicorn.Config, state: State, state_file: Path) -> None:
        super().__init__(config)
        self._state, self._state_file = state, state_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._state.write(self._state_file)
            print(f"readback is ready at {self._state.url}", file=sys.stderr, flush=True)


def serve(given: argparse.Namespace) -> None:
    """Run until SIGTERM or Ctrl-C."""
    options = make_options(given)
    store = open_store(given.store)
    try:
        state_file: Path = given.state_file or given.store / "state.json"
        if not state_file.parent.is_dir():
            raise SettingsError("write the state file", f"{state_file.parent} is no directory.", "Make it first.")
        with listen(given.host, given.port) as bound:
            tls = tls_files(given.tls, given.store, given.host)  # after the port: two starts, one certificate
            state = _state(given, options, tls, bound)
            config = uvicorn.Config(
                make_app(store, options),
                ssl_certfile=tls.certificate if tls else None,
                ssl_keyfile=tls.key if tls else None,
                access_log=False,  # query strings hold phone numbers
                log_config=None,
                server_header=False,
                limit_concurrency=1000,
                timeout_graceful_shutdown=5,
            )
            try:
                _Server(config, state, state_file).run([bound])
            finally:
                _remove_own(state_file)
    finally:
        store.close()


def _state(given: argparse.Namespace, options: Options, tls: TlsFiles | None, bound: socket.socket) -> State:
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where we reach ourselves
    url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    return State(
        url=url,
        token=options.token,
        user=options.user,
        ca_file=str(tls.ca.absolute()) if tls and tls.ca else None,
        pid=os.getpid(),
        clip_url=f"{options.public_url or url}/clip.wav",
        public_url=options.public_url,
    )


def _remove_own(state_file: Path) -> None:
    """Remove the state file, unless another readback has written its own there since."""
    try:
        if json.loads(state_file.read_text()).get("pid") == os.getpid():
            state_file.unlink()
    except (OSError, ValueError):
        log.debug("no state file of ours to remove")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code; errors are three sentences on stderr."""
    given = parse_arguments(arguments)
    level = logging.INFO if given.verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    # uvicorn shuts down on SIGTERM and then raises it again: as an exception it still lets us tidy up
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve(given)
    except BwlibError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
