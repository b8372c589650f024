"""Write what a command has done into audit.log: through the supervisor, or alone if none runs."""

from __future__ import annotations

import logging
import os
import time
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


def note_act(home: Path, act: str, **fields: object) -> None:
    """Write one act into audit.log. It is done, so a failure to write only prints a note."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            _note(home, act, fields)
        except (ChatdError, OSError) as error:
            if getattr(error, "code", "") == "E604" and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            output.note(f"warning: audit.log has no line about this ({act}): {error}")
        return


def _note(home: Path, act: str, fields: dict[str, object]) -> None:
    try:
        ask(home, {"type": "act", "act": act, "fields": fields}, ANSWER_SECONDS)
    except ChatdError as error:
        if error.code != "E603":
            raise
        _write(home, act, fields)


def _write(home: Path, act: str, fields: dict[str, object]) -> None:
    """Write the line alone. Raises E604 while a supervisor has the files, which it rotates."""
    settings = load_settings(home, os.environ)
    lock = PidLock(home / "data")
    try:
        files = LogFiles(home, settings.logging, "chatd")
        handler = FilesHandler(files)
        logging.getLogger().addHandler(handler)
        try:
            set_level("INFO")
            uid = os.getuid()
            log_audit.info(act, **{"by": "server", "by_uid": uid, "by_login": login_name(uid)} | fields)
        finally:
            logging.getLogger().removeHandler(handler)
            files.close()
        if files.dropped:
            raise ChatdError("E606", f"the files in {home / settings.logging.directory} cannot be written")
    finally:
        lock.release()
