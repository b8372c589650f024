"""A trial's figures beside their targets."""

from __future__ import annotations

from statistics import median
from typing import Any, NamedTuple

Json = dict[str, Any]


class Row(NamedTuple):
    """One figure. ``reached`` is None where there is no target."""

    what: str
    value: float
    unit: str = ""
    target: str = ""
    reached: bool | None = None


class Result(NamedTuple):
    """What a trial found: its rows, and all that it measured, for the JSON."""

    rows: list[Row]
    measured: Json

    def as_json(self) -> Json:
        return {"rows": [row._asdict() for row in self.rows], **self.measured}


def at_most(what: str, value: float, most: float, unit: str) -> Row:
    """A figure that must not be over its target."""
    return Row(what, value, unit, f"at most {_text(most, unit)}", value <= most)


def at_least(what: str, value: float, least: float, unit: str) -> Row:
    """A figure that must not be under its target."""
    return Row(what, value, unit, f"at least {_text(least, unit)}", value >= least)


def told(what: str, value: float, unit: str = "") -> Row:
    """A figure without a target."""
    return Row(what, value, unit)


def exactly(what: str, value: int, wanted: int) -> Row:
    """A count that must be right."""
    return Row(what, value, "", _text(wanted, ""), value == wanted)


def _text(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{number} {unit}".strip()


def middle(rows: list[Json], *path: str | int) -> float:
    """The median over trials of what is found at ``path``."""
    found = []
    for row in rows:
        value: Any = row
        for step in path:
            value = value[step]
        found.append(value)
    return float(median(found))


def table(name: str, result: Result) -> str:
    """Markdown."""
    lines = [f"### {name}", "", "| figure | measured | target | reached |", "|---|---|---|---|"]
    word = {True: "yes", False: "**no**", None: ""}
    lines += [
        f"| {row.what} | {_text(row.value, row.unit)} | {row.target} | {word[row.reached]} |"
        for row in result.rows
    ]
    return "\n".join(lines) + "\n"
