"""Records for systemd's journal, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).

Not through stderr: journald would read that as text without level, and a full pipe to it would block.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from chatd.logs.logger import DEFAULT_SEVERITY, SEVERITIES

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")


class Journal:
    """Sends records as datagrams, never waiting; ``dropped`` counts those that the journal did not take."""

    def __init__(self, path: Path = JOURNAL_SOCKET) -> None:
        self._path = str(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sock.setblocking(False)
        self.dropped = 0

    def send(self, line: str, level: str, category: str) -> None:
        """Send one line of printable text; it becomes the message, beside fields to filter by."""
        fields = (
            f"MESSAGE={line}",
            f"PRIORITY={SEVERITIES.get(level, DEFAULT_SEVERITY)}",
            "SYSLOG_IDENTIFIER=chatd",
            f"CHATD_CATEGORY={category}",
        )
        try:
            self._sock.sendto("".join(f"{field}\n" for field in fields).encode(), self._path)
        except OSError:  # full, or restarting
            self.dropped += 1

    def close(self) -> None:
        self._sock.close()


def open_journal(wanted: Literal["auto", "on", "off"], environ: Mapping[str, str]) -> Journal | None:
    """Return the journal if it is wanted; "auto" is where systemd has connected this process to it."""
    connected = bool(environ.get("JOURNAL_STREAM")) and JOURNAL_SOCKET.exists()
    return Journal() if wanted == "on" or (wanted == "auto" and connected) else None
