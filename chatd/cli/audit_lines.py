"""Write what a command has done into audit.log: through the supervisor, or alone if none runs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from chatd.child.peers import login_name
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.errors import ChatdError
from chatd.logs import get_log, set_level
from chatd.logs.logfiles import FilesHandler, LogFiles
from chatd.supervisor.control import ask
from chatd.supervisor.pid_lock import PidLock

ANSWER_SECONDS = 5.0
# A supervisor that is starting or stopping holds the lock and does not answer.
PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.1

log_audit = get_log("audit")


Act = tuple[str, dict[str, object]]


def note_act(home: Path, act: str, **fields: object) -> None:
    """Write one act into audit.log. It is done, so a failure to write only prints a note."""
    note_acts(home, [(act, fields)])


def note_acts(home: Path, acts: Sequence[Act]) -> None:
    """Write acts into audit.log, as `note_act` does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    left = list(acts)
    while left:
        try:
            _note(home, left)
        except (ChatdError, OSError) as error:
            if getattr(error, "code", "") == "E604" and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            named = ", ".join(dict.fromkeys(act for act, _ in left))
            output.note(f"warning: audit.log has no line about this ({named}): {error}")
        return


def _note(home: Path, left: list[Act]) -> None:
    """Write acts, and remove each from ``left``: through the supervisor, or all alone if none runs."""
    while left:
        act, fields = left[0]
        try:
            ask(home, {"type": "act", "act": act, "fields": fields}, ANSWER_SECONDS)
        except ChatdError as error:
            if error.code != "E603":
                raise
            _write(home, left)
            return
        del left[0]


def _write(home: Path, acts: Sequence[Act]) -> None:
    """Write the lines alone. Raises E604 while a supervisor has the files, which it rotates."""
    settings = load_settings(home, os.environ)
    lock = PidLock(home / "data")
    try:
        files = LogFiles(home, settings.logging, "chatd")
        handler = FilesHandler(files)
        logging.getLogger().addHandler(handler)
        try:
            set_level("INFO")
            uid = os.getuid()
            for act, fields in acts:
                log_audit.info(act, **{"by": "server", "by_uid": uid, "by_login": login_name(uid)} | fields)
        finally:
            logging.getLogger().removeHandler(handler)
            files.close()
        if files.dropped:
            raise ChatdError("E606", f"the files in {home / settings.logging.directory} cannot be written")
    finally:
        lock.release()
