"""Text formats of the server's stats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chatd.proto.durations import UNITS
from chatd.proto.text import visible


def duration(seconds: Any) -> str:
    """Seconds in their largest two units: "2h", "1d3h", "45s"; "0s" below one, "-" for no number."""
    if not isinstance(seconds, int | float):
        return "-"
    remainder, parts = int(seconds), []
    for unit, length in UNITS.items():
        count, remainder = divmod(remainder, length)
        if count:
            parts.append(f"{count}{unit}")
        if len(parts) == 2 or (parts and not count):
            break
    return "".join(parts) or "0s"


def percent(value: Any) -> str:
    """A number of percent as in "12%"; "-" for no number."""
    return f"{value:.0f}%" if isinstance(value, int | float) else "-"


def size(count: Any) -> str:
    """Bytes in MiB as in "48M"; "-" for no number."""
    return f"{count / 2**20:.0f}M" if isinstance(count, int | float) else "-"


def box(load: Mapping[str, Any]) -> str:
    """The load of the whole machine: "cpu 12%, memory 40%"."""
    return f"cpu {percent(load.get('cpu'))}, memory {percent(load.get('memory'))}"


def processes(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A server's processes as the lines of a table, the heading first."""
    cells = [["process", "state", "pid", "cpu", "rss", "threads", "up", "restarts"]]
    cells += (
        [
            *(text(row, key) for key in ("name", "state", "pid")),
            percent(row.get("cpu")),
            size(row.get("rss")),
            text(row, "threads"),
            duration(row.get("uptime")),
            text(row, "restarts"),
        ]
        for row in rows
    )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    # Names are aligned left, numbers right.
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]


def text(row: Mapping[str, Any], key: str) -> str:
    """A value from the server with control characters escaped; "-" if it is absent."""
    value = row.get(key)
    return "-" if value is None else visible(str(value), newlines=False)
