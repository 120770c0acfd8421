"""What becomes of an INVITE at the edge: admitted for an application, challenged, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bwlib.sandbox.applications import ApplicationRow


@dataclass(frozen=True)
class Admitted:
    """A call that may go on. to and from_ are what `initiate` says; sip_headers None: the road does not hand any on."""

    application: ApplicationRow
    to: str
    from_: str
    sip_headers: Mapping[str, str] | None = None


class Refusal(Exception):
    """An INVITE that is answered with an error. why: for the log and the Warning header."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Challenge(Exception):
    """An INVITE that is answered 407 (Proxy-Authenticate) or 401 (WWW-Authenticate)."""

    def __init__(self, value: str, header: str = "Proxy-Authenticate") -> None:
        super().__init__(header)
        self.value = value
        self.header = header
