"""Every SIP message the edge saw, by Call-ID, in memory. Digest responses are masked on the way out."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime

from bwlib.models import SipEvent
from bwlib.sip.ladder import redact_sip

_KEPT_MESSAGES = 20_000
_CALL_ID = re.compile(r"^(?:call-id|i)[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)


class SipTrace:
    """`on_activity` is called at each message."""

    def __init__(self, on_activity: Callable[[], None]) -> None:
        self._on_activity = on_activity
        self._messages: deque[tuple[str, SipEvent]] = deque(maxlen=_KEPT_MESSAGES)

    def add(self, event: SipEvent) -> None:
        self._on_activity()
        found = _CALL_ID.search(event.text)
        self._messages.append((found.group(1) if found else "", event))

    def clear(self) -> None:
        self._messages.clear()

    def forget(self, call_ids: Collection[str]) -> None:
        """Drop the messages of these dialogs."""
        kept = [(call_id, event) for call_id, event in self._messages if call_id not in call_ids]
        self._messages.clear()
        self._messages.extend(kept)

    def call_ids(self) -> list[str]:
        """Every Call-ID that was seen, the latest to begin first."""
        return list(dict.fromkeys(call_id for call_id, _ in self._messages if call_id))[::-1]

    def call_ids_with(self, text: str) -> set[str]:
        """The Call-IDs of dialogs in which some message holds `text`."""
        return {call_id for call_id, event in self._messages if text in event.text}

    def events(
        self, sip_call_id: str | None, since: datetime | None, among: Collection[str] | None = None
    ) -> list[SipEvent]:
        """Oldest first; of one Call-ID, after a point in time, of some Call-IDs, where these are given."""
        return [
            SipEvent(event.at, event.source, event.target, redact_sip(event.text), "edge")
            for call_id, event in self._messages
            if sip_call_id in (None, call_id) and (since is None or event.at > since)
            if among is None or call_id in among
        ]
