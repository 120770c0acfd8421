"""A test call as it happens: what is seen of it by now, in one picture that is drawn anew while the call goes on.

The phone, its sound and whoever waits for the webhooks share this process. So the watcher looks twice a second at most,
draws only when something is new, and what goes wrong in it becomes one note in the journal: the call never notices.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from bwlib.errors import BwlibError
from bwlib.models import Digits, SipEvent, Webhook
from bwlib.record import kernel
from bwlib.record.call_timeline import call_timeline_svg, call_timeline_text
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.guide import Run
    from bwlib.phone import Phone

EVERY_S = 0.5
END_S = 2.0  # a look that hangs longer than this is left behind; it can show nothing any more

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """What is known of a call: SIP messages at the phone and at the realm, webhooks, digits that the phone pressed."""

    by_phone: tuple[SipEvent, ...] = ()
    at_realm: tuple[SipEvent, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    digits: tuple[Digits, ...] = ()

    @property
    def events(self) -> list[SipEvent]:
        """The SIP messages, oldest first."""
        return sorted([*self.by_phone, *self.at_realm], key=lambda event: event.at)


class CallView:
    """One call: looks at what is seen of it, and draws that. pbx: its SIP address; mark: the last webhook before it."""

    def __init__(self, run: Run, name: str, title: str, phone: Phone, pbx: tuple[str, int], mark: int) -> None:
        self._run, self._name, self._title = run, name, title
        self._phone, self._pbx, self._mark = phone, pbx, mark
        self._started = time.time()
        self._live = show.Live()
        self._lock = threading.Lock()  # who holds it draws
        self._ended = False
        self._noted = False
        self.seen = Seen()

    # ------------------------------------------------------------ while it goes on

    def watch(self, ended: threading.Event) -> None:
        """Look and draw until the call has ended. Raises nothing."""
        while not ended.wait(EVERY_S):
            try:
                self._draw_if_new(self._look())
            except Exception as error:  # whatever it is, the call goes on
                self._note_once(error)

    def _look(self) -> Seen:
        """Raises what asking raises. Of the webhooks only the new ones are asked for."""
        known = self.seen.webhooks
        new = self._webhooks(known[-1].id if known else self._mark)
        return self._seen(self._at_realm(), (*known, *new))

    def _draw_if_new(self, seen: Seen) -> None:
        with self._lock:
            if seen != self.seen and not self._ended:
                self.seen = seen
                self._live.update(*self.drawn())

    def _note_once(self, error: Exception) -> None:
        if self._noted or self._ended:
            return
        self._noted = True
        why = error.came_back if isinstance(error, BwlibError) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(BwlibError, OSError):
            note = f"the picture of the call could not be drawn while it went on: {why}"
            self._run.record.journal.append("note", step=self._name, note=note)

    # ------------------------------------------------------------ at its end

    def begin(self) -> None:
        """Take the picture's place, above what follows."""
        self._live.update(*self.drawn())

    def end(self) -> Seen:
        """Look for the last time and draw for good. What cannot be read is noted; the call's own error says more."""
        with self._lock:
            self._ended = True
            at_realm = self._or_note(self._at_realm, "the realm's SIP messages could not be read")
            webhooks = self._or_note(lambda: self._webhooks(self._mark), "webhooks could not be read")
            self.seen = self._seen(at_realm, webhooks)
            self._live.end(*self.drawn())
        return self.seen

    def _or_note(self, look: Callable[[], Sequence[T]], what: str) -> Sequence[T]:
        try:
            return look()
        except BwlibError as error:
            self._run.record.journal.append("note", step=self._name, note=f"{what}: {error.came_back}")
            return ()

    # ------------------------------------------------------------ looking

    def _seen(self, at_realm: Sequence[SipEvent], webhooks: Sequence[Webhook]) -> Seen:
        since = datetime.fromtimestamp(self._started, UTC)
        return Seen(
            tuple(event for event in list(self._phone.events) if event.at >= since),
            tuple(event for event in at_realm if event.at >= since),
            tuple(webhooks),
            tuple(self._phone.pressed),
        )

    def _at_realm(self) -> Sequence[SipEvent]:
        """Nothing where nobody of ours sees them."""
        look = self._run.on.sip_events
        return look(self._started) if look else ()

    def _webhooks(self, after_id: int) -> Sequence[Webhook]:
        """Also the first requests without credentials, with what was answered."""
        readback = self._run.on.readback
        return readback.webhooks(after_id=after_id) if readback else ()

    # ------------------------------------------------------------ drawing

    def lanes(self) -> dict[str, str]:
        """Address -> lane, in the order in which a call from the phone meets them: phone, PBX, realm."""
        middle = f"{self._pbx[0]}:{self._pbx[1]}"
        sides = (self.seen.by_phone, self._names()[0]), (self.seen.at_realm, self._names()[2])
        phone, realm = (
            {end: name for event in events for end in (event.source, event.target) if end != middle}
            for events, name in sides
        )
        return {**phone, middle: "PBX", **{end: name for end, name in realm.items() if end not in phone}}

    def drawn(self) -> tuple[str, str]:
        """The picture as HTML, and in words; redacted."""
        seen, lanes, names = self.seen, self.lanes(), self._names()
        svg = call_timeline_svg(seen.events, seen.webhooks, lanes, self._title, digits=seen.digits, lanes=names)
        text = call_timeline_text(seen.events, seen.webhooks, lanes, digits=seen.digits, lanes=names)
        redact = self._run.record.redactor.text
        return show.figure(redact(svg)), redact(f"{self._title}\n{text}")

    def _names(self) -> tuple[str, str, str, str]:
        return f"Phone {self._run.settings.pbx.extension}", "PBX", self._run.on.realm_lane, "Application"


@contextmanager
def watched(view: CallView) -> Iterator[CallView]:
    """Draw the call while the block goes on, where somebody looks on; whoever made the view then calls its `end()`.

    Unattended only the end is drawn.
    """
    if not kernel.is_by_hand():
        yield view
        return
    view.begin()
    ended = threading.Event()
    # The cell that runs stands in the context: what the thread displays belongs to it.
    here = contextvars.copy_context()
    thread = threading.Thread(target=here.run, args=(view.watch, ended), name="call view", daemon=True)
    thread.start()
    try:
        yield view
    finally:
        ended.set()
        thread.join(END_S)
