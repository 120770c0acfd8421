"""Keep secrets out of what libraries log: a URL with a token, an exception with the body of an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bwlib.record.redact import Redactor


@contextmanager
def redacted_logs(redactor: Redactor) -> Iterator[None]:
    """Within the block every log record of this process is redacted as it is made, whoever handles it.

    Where records are made, and not in a handler or a formatter: those belong to libraries, and there may be many.
    """
    make = logging.getLogRecordFactory()

    def make_redacted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # a message that does not fit its arguments; logging itself would say so
            text = f"{record.msg} {record.args}"
        record.msg, record.args = redactor.text(text), None
        if record.exc_info and record.exc_info[0] is not None:
            # Formatters take this text when it is there.
            record.exc_text = redactor.text(logging.Formatter().formatException(record.exc_info))
        return record

    logging.setLogRecordFactory(make_redacted)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)
