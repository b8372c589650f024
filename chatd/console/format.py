"""How the figures of a server look to people, the same in every program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chatd.proto.durations import UNITS
from chatd.proto.text import visible


def duration(seconds: Any) -> str:
    """The largest two units: "2h", "1d3h", "45s"; "0s" for less than a second, "-" for none."""
    if not isinstance(seconds, int | float):
        return "-"
    left, words = int(seconds), []
    for unit, each in UNITS.items():
        count, left = divmod(left, each)
        if count:
            words.append(f"{count}{unit}")
        if len(words) == 2 or (words and not count):
            break
    return "".join(words) or "0s"


def percent(value: Any) -> str:
    """A share in whole percents, as in "12%"; "-" for none."""
    return f"{value:.0f}%" if isinstance(value, int | float) else "-"


def size(count: Any) -> str:
    """Bytes in MiB, as in "48M"; "-" for none."""
    return f"{count / 2**20:.0f}M" if isinstance(count, int | float) else "-"


def box(measured: Mapping[str, Any]) -> str:
    """What the whole machine is doing: "cpu 12%, memory 40%"."""
    return f"cpu {percent(measured.get('cpu'))}, memory {percent(measured.get('memory'))}"


def processes(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The processes of a server as a table: its heading, then a line for each."""
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
    # Names stand on the left of their columns, numbers on the right.
    return [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]


def text(row: Mapping[str, Any], key: str) -> str:
    """A value that a server tells, safe to be shown; "-" for none."""
    value = row.get(key)
    return "-" if value is None else visible(str(value), newlines=False)
