"""Durations as people write them on the command line and in the chat: 30m, 2h, 1h30m."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Seconds in each unit, largest first.
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"([0-9]{1,9})([dhms])")
# The fields of requests that are durations in seconds.
FIELDS = frozenset(("seconds", "guest_seconds", "expiring"))
# Ten years; `requests.Seconds` has the same bound.
MAX_SECONDS = 10 * 366 * 86_400


def two_units(seconds: int) -> str:
    """Return a duration in its two largest units, such as "1h 12m"."""
    left = max(1, seconds)
    parts: list[str] = []
    for unit, size in UNITS.items():
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts)


def bounds_fault(field: str, error: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return reason and fix for a request's duration out of bounds, as pydantic tells of it; else None."""
    context = error.get("ctx", {})
    if field not in FIELDS:
        return None
    if "le" in context:
        return f"a duration here is at most {two_units(context['le'])}", "choose a shorter one"
    if "ge" in context:
        return f"a duration here is at least {two_units(context['ge'])}", "choose a longer one"
    return None


def parse_duration(text: str) -> int:
    """Convert "30m", "2h", "7d" or "1h30m" to seconds. Raises ValueError with a sentence to show."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r:.40} is not a duration; write 30m, 2h or 7d, for example")
    seconds = sum(int(number) * UNITS[unit] for number, unit in parts)
    if seconds == 0:
        raise ValueError("a duration must be longer than 0 seconds")
    if seconds > MAX_SECONDS:
        raise ValueError(f"{text!r:.40} is too long; omit the duration for no time limit")
    return seconds
