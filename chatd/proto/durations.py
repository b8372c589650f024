"""Parse durations as people write them, on the command line and in the chat."""

from __future__ import annotations

import re

# Seconds in each unit, largest first.
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"([0-9]{1,9})([dhms])")
# What the server takes at most (chatd.proto.requests.Seconds).
LONGEST = 10 * 366 * 86_400


def parse_duration(text: str) -> int:
    """Seconds in "30m", "2h", "7d" or "1h30m". Raises ValueError with a sentence to show."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text[:40]!r} is not a duration; write for example 30m, 2h or 7d")
    seconds = sum(int(number) * UNITS[unit] for number, unit in parts)
    if seconds == 0:
        raise ValueError("a duration is longer than nothing")
    if seconds > LONGEST:
        raise ValueError(f"{text[:40]!r} is too long; leave the duration out for no end")
    return seconds
