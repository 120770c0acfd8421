"""Ask a running readback what it saw."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from bwlib.errors import NotAsExpected, NotAuthenticated, SettingsError, StillPending, Unavailable
from bwlib.models import Webhook

POLL_S = 0.1
DIRECT_HOSTS = ("127.0.0.1", "localhost", "::1")


class Readback:
    """url and token are in readback's state file; ca_file too, when it made its own certificate."""

    def __init__(self, url: str, token: SecretStr | str, ca_file: str | Path | None = None) -> None:
        self.url = url.rstrip("/")
        secret = token if isinstance(token, SecretStr) else SecretStr(token)
        verify = _trusting(ca_file) if ca_file else httpx.create_ssl_context()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {secret.get_secret_value()}"},
            timeout=httpx.Timeout(10.0),
            verify=verify,
            trust_env=urlsplit(self.url).hostname not in DIRECT_HOSTS,  # no proxy between us and ourselves
        )

    def __enter__(self) -> Readback:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Readback(url={self.url!r})"

    def close(self) -> None:
        self._client.close()

    def health(self) -> dict[str, object]:
        """What /health says. Raises Unavailable when readback does not answer."""
        document = self._get("/health", {})
        return document if isinstance(document, dict) else {}

    def last_id(self) -> int:
        """The id of the newest webhook, 0 when there is none: take it before a call, wait for newer ones after."""
        document = self._get("/_readback/last-id", {})
        return int(document["last_id"]) if isinstance(document, dict) else 0

    def webhooks(self, call_id: str | None = None, after_id: int = 0) -> list[Webhook]:
        """The webhooks after `after_id`, oldest first; those turned away (401, 400) are among them."""
        found: list[Webhook] = []
        parameters = {} if call_id is None else {"call_id": call_id}
        while True:
            after = found[-1].id if found else after_id
            document = self._get("/_readback/webhooks", {**parameters, "after_id": str(after)})
            if not isinstance(document, list):
                raise self._unavailable("the answer is no list of webhooks")
            if not document:
                return found
            found += [_webhook(item) for item in document]

    def wait_for(
        self,
        event_type: str,
        *,
        call_id: str | None = None,
        to: str | None = None,
        after_id: int = 0,
        timeout_s: float = 20.0,
    ) -> Webhook:
        """The first admitted webhook of this kind, for this call or dialled number when given.

        Raises StillPending when nothing of the call came within timeout_s, NotAsExpected when other webhooks
        did come and this one did not: both name what arrived.
        """
        deadline = time.monotonic() + timeout_s
        seen: list[Webhook] = []
        while True:
            new = self.webhooks(call_id=call_id, after_id=seen[-1].id if seen else after_id)
            seen += new
            for webhook in new:
                admitted = webhook.answer_status < 400
                if admitted and webhook.event_type == event_type and to in (None, webhook.dialled):
                    return webhook
            if time.monotonic() >= deadline:
                raise _missing(event_type, call_id, to, seen, timeout_s)
            time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))

    def _get(self, path: str, parameters: dict[str, str]) -> object:
        try:
            response = self._client.get(self.url + path, params=parameters)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise self._unavailable(f"{type(error).__name__}: {error}") from error
        if response.status_code == 401:
            raise NotAuthenticated(
                f"ask readback at {self.url} what it saw",
                "HTTP 401: the token is not that of the readback which runs now.",
                "Read its state file again; it makes a new token at every start.",
                status=401,
            )
        try:
            response.raise_for_status()
            document: object = response.json()
        except (httpx.HTTPStatusError, ValueError) as error:
            raise self._unavailable(f"HTTP {response.status_code}, {type(error).__name__}") from error
        return document

    def _unavailable(self, came_back: str) -> Unavailable:
        return Unavailable(
            f"ask readback at {self.url} what it saw",
            f"{came_back}.",
            "See whether readback runs (its state file names its process) and start it again if not.",
        )


def _trusting(ca_file: str | Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            "trust readback's certificate",
            f"{ca_file}: {type(error).__name__}.",
            "Read readback's state file again: it names the CA file of the readback which runs now.",
        ) from error


def _webhook(item: dict[str, object]) -> Webhook:
    body = item["body"]
    return Webhook(
        id=int(str(item["id"])),
        at=datetime.fromisoformat(str(item["at"])),
        event_type=str(item["event_type"]),
        call_id=str(item["call_id"]),
        path=str(item["path"]),
        body=body if isinstance(body, dict) else {},
        answer_status=int(str(item["answer_status"])),
        answer_body=str(item["answer_body"]),
        authenticated=bool(item["authenticated"]),
    )


def _missing(
    event_type: str, call_id: str | None, to: str | None, seen: Sequence[Webhook], timeout_s: float
) -> StillPending | NotAsExpected:
    wanted = f"a {event_type} webhook" + (f" of call {call_id}" if call_id else "") + (f" to {to}" if to else "")
    attempted = f"wait {timeout_s:g} s for {wanted}"
    if not seen:
        return StillPending(
            attempted,
            "No webhook arrived at all.",
            "Check that the call was placed and that the callback URL reaches readback; then run the cell again.",
        )
    listed = ", ".join(f"{w.event_type or 'unreadable'} to {w.dialled or '?'} ({w.answer_status})" for w in seen[-10:])
    turned_away = any(webhook.answer_status == 401 for webhook in seen)
    do_next = "Compare what arrived with what was expected, and look at the call's SIP ladder."
    if turned_away and all(webhook.answer_status == 401 for webhook in seen):
        do_next = "Every webhook was turned away: give the application the user and password that readback asks for."
    return NotAsExpected(attempted, f"What did arrive: {listed}.", do_next)
