"""A trial's measurements and their targets."""

from __future__ import annotations

from statistics import median
from typing import Any, NamedTuple

Json = dict[str, Any]


class Row(NamedTuple):
    """One measurement. ``reached`` is None if there is no target."""

    what: str
    value: float
    unit: str = ""
    target: str = ""
    reached: bool | None = None


class Result(NamedTuple):
    """A trial's rows, and its raw measurements for the JSON file."""

    rows: list[Row]
    raw: Json

    def as_json(self) -> Json:
        return {"rows": [row._asdict() for row in self.rows], **self.raw}


def at_most(what: str, value: float, most: float, unit: str) -> Row:
    """A measurement that must not exceed its target."""
    return Row(what, value, unit, f"at most {_text(most, unit)}", value <= most)


def at_least(what: str, value: float, least: float, unit: str) -> Row:
    """A measurement that must reach its target."""
    return Row(what, value, unit, f"at least {_text(least, unit)}", value >= least)


def measured(what: str, value: float, unit: str = "") -> Row:
    """A measurement without a target."""
    return Row(what, value, unit)


def exactly(what: str, value: int, target: int) -> Row:
    """A count that must be exact."""
    return Row(what, value, "", _text(target, ""), value == target)


def _text(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{number} {unit}".strip()


def median_of(rows: list[Json], *path: str | int) -> float:
    """The median over trials of the value at ``path``."""
    found = []
    for row in rows:
        value: Any = row
        for step in path:
            value = value[step]
        found.append(value)
    return float(median(found))


def table(name: str, result: Result) -> str:
    """Format the result as Markdown."""
    lines = [f"### {name}", "", "| measurement | value | target | reached |", "|---|---|---|---|"]
    word = {True: "yes", False: "**no**", None: ""}
    lines += [
        f"| {row.what} | {_text(row.value, row.unit)} | {row.target} | {word[row.reached]} |"
        for row in result.rows
    ]
    return "\n".join(lines) + "\n"
