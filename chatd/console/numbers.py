"""Numbers on the command line: every one has a finite range."""

from __future__ import annotations

import math
from typing import Any

import click

from chatd.proto.durations import parse_duration
from chatd.proto.frames import INTEGER_LIMIT


class WholeRange(click.IntRange):
    """Says "whole number" of what is none, not "integer range"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number.", param, ctx)
        return super().convert(value, param, ctx)


class FiniteRange(click.FloatRange):
    """Refuses nan, too: it is neither below nor above anything."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


def number(least: float, most: float) -> WholeRange | FiniteRange:
    """The type of a number from ``least`` to ``most``, both included; an integer if both are."""
    if isinstance(least, int) and isinstance(most, int):
        return WholeRange(least, most)
    return FiniteRange(least, most)


def duration(text: str) -> int:
    """Parse a duration such as 30m, 2h or 7d into seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


# A sequence number; 0 is the place before the first event. No frame can carry a greater one.
SEQ = number(0, INTEGER_LIMIT)
EVENT_SEQ = number(1, INTEGER_LIMIT)
