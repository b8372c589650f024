"""Fields of /proc/PID/stat (proc(5))."""

from __future__ import annotations

from pathlib import Path

# Numbers of the fields in proc(5).
PARENT = 4
START_TICKS = 22
_FIRST = 3  # those before hold the program's name, which may contain anything


def stat_field(pid: int, number: int) -> int | None:
    """Return a field of a process; None if /proc does not show it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[number - _FIRST])
