"""What Asterisk tells of calls, contacts and logins while something happens: a second login that only listens.

Read classes of the manager user that each event needs, as Asterisk 22.10 says them in the event's Privilege: call for
those in OF_CALLS; system for ContactStatus and Registry; security for the others. A class that the user lacks means
fewer events, no error.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from bwlib.errors import PbxError
from bwlib.pbx.ami import Ami

log = logging.getLogger(__name__)

OF_CALLS = frozenset({"Newchannel", "DialBegin", "DialEnd", "HangupRequest", "Hangup"})
EVENTS = OF_CALLS | frozenset({
    "ContactStatus", "Registry",
    "ChallengeSent", "ChallengeResponseFailed", "InvalidAccountID", "InvalidPassword", "SuccessfulAuth",
})  # fmt: skip
# Security events carry challenges, digest responses and hashes: only what is named here is kept.
FIELDS = frozenset({
    "Event", "Channel", "Uniqueid", "Linkedid", "CallerIDNum", "ConnectedLineNum", "Context", "Exten", "Cause",
    "Cause-txt", "TechCause", "DestChannel", "DestUniqueid", "DestLinkedid", "DialString", "DialStatus",
    "AOR", "URI", "ContactStatus", "EndpointName", "RoundtripUsec", "ChannelType", "Domain", "Username", "Status",
    "EventTV", "Severity", "Service", "AccountID", "SessionID", "LocalAddress", "RemoteAddress",
})  # fmt: skip
MOST = 2000  # events that are kept: far more than a call makes, and a bound on a busy PBX
QUIET_S = 0.15  # without an event for so long, what has happened has been told


class AmiWatch:
    """Listens from `__enter__` to the end of the block; `events` can be asked inside it and afterwards.

    open_ami: makes the connection. settle_s: how long the end of the block waits at most for channels that were seen to
    begin to end, and for the last events. Nothing here raises: `remark` says why there are no (more) events.
    """

    def __init__(self, open_ami: Callable[[], Ami], settle_s: float = 1.0) -> None:
        self._open_ami = open_ami
        self._settle_s = settle_s
        self._events: list[Mapping[str, str]] = []
        self._open: set[str] = set()
        self._news = threading.Condition()
        self._ami: Ami | None = None
        self._thread: threading.Thread | None = None
        self._ending = False
        self._last = 0.0
        self.remark = ""

    @property
    def events(self) -> tuple[Mapping[str, str], ...]:
        """What was told so far, in Asterisk's order."""
        with self._news:
            return tuple(self._events)

    def __enter__(self) -> AmiWatch:
        try:
            self._ami = self._open_ami().__enter__()
            answer = self._ami.action("Events", EventMask="system,call,security")
        except PbxError as error:
            self._note(error.came_back)
            return self
        if not answer.ok:
            self._note(answer.message or "Asterisk tells no events to this manager user")
        self._thread = threading.Thread(target=self._listen, args=(self._ami,), name="ami-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ami is None or self._thread is None:
            return
        if error is None and self._thread.is_alive():
            self._settle()
        self._ending = True
        self._ami.hang_up()
        self._thread.join(1)
        self._ami.__exit__(None, None, None)

    def _listen(self, ami: Ami) -> None:
        for event in ami.messages():
            if event.get("Event") not in EVENTS:
                continue
            with self._news:
                self._last = time.monotonic()
                self._track(event)
                if len(self._events) < MOST:
                    self._events.append({key: value for key, value in event.items() if key in FIELDS})
                self._news.notify_all()
        if not self._ending:
            self._note("the connection to the manager interface ended")

    def _track(self, event: Mapping[str, str]) -> None:
        if event.get("Event") == "Newchannel":
            self._open.add(event.get("Uniqueid", ""))
        elif event.get("Event") == "Hangup":
            self._open.discard(event.get("Uniqueid", ""))

    def _settle(self) -> None:
        """Until every channel that began has ended and it is quiet, or settle_s have passed."""
        end = time.monotonic() + self._settle_s
        with self._news:
            self._last = time.monotonic()
            while (now := time.monotonic()) < end:
                quiet_at = self._last + QUIET_S
                if not self._open and now >= quiet_at:
                    return
                self._news.wait(min(end, quiet_at if not self._open else end) - now)

    def _note(self, remark: str) -> None:
        self.remark = remark
        log.info("Asterisk's events are not seen: %s", remark)
