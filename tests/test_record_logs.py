"""Whatever a library logs, no known secret is in it."""

from __future__ import annotations

import logging

import pytest

from bwlib.record.logs import redacted_logs
from bwlib.record.redact import Redactor, redactor_for

SECRET = "correct-horse-battery"
log = logging.getLogger("some.library")


def test_messages_arguments_and_tracebacks_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    with redacted_logs(redactor_for([("file:sip", SECRET)])):
        log.warning("GET https://x/?token=%s %d", SECRET, 200)
        try:
            raise ValueError(SECRET)
        except ValueError:
            log.exception("it failed with %r", {"password": SECRET})
        log.error("%d is no number of %s", SECRET)
    assert SECRET not in caplog.text
    assert caplog.text.count("«redacted:file:sip»") == 4
    assert "GET https://x/?token=«redacted:file:sip» 200" in caplog.text


def test_afterwards_logs_are_as_before(caplog: pytest.LogCaptureFixture) -> None:
    with redacted_logs(Redactor()):
        pass
    log.warning("it is %s", SECRET)
    assert f"it is {SECRET}" in caplog.text
