"""Append to a log until killed; print the head after each commit."""

from __future__ import annotations

import sys
from pathlib import Path

from chatd.store.event_log import EventLog
from tests.support.storelog import NOW, entries


def main() -> None:
    log = EventLog.open(Path(sys.argv[1]), now=NOW)
    batch = 0
    while True:
        batch += 1
        log.append(entries(log.head + 1, 1 + batch * 7 % 20))
        sys.stdout.write(f"{log.head}\n")
        sys.stdout.flush()
        if batch % 16 == 0:
            log.save_snapshot(log.head, b"state")
        if batch % 40 == 0:
            log.checkpoint()


if __name__ == "__main__":
    main()
