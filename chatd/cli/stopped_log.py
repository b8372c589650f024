"""Open the log of a stopped server for a command that changes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from chatd.config.home import Home
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.store.event_log import EventLog


@contextmanager
def stopped_log(home: Home) -> Iterator[EventLog]:
    """Yield the log. Raises E604 while the server runs."""
    home.require_initialised()
    try:
        log = EventLog.open(home.data, now=time.time_ns() // 1_000_000, must_exist=True)
    except ChatdError as error:
        if error.code != "E604":
            raise
        raise ChatdError("E604", error.reason, f"run: {chatd_command(home.path, 'stop')}") from None
    try:
        yield log
    finally:
        log.close()
