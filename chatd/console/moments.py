"""Times on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_AGE = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A time: RFC 3339, a date (UTC) or an age (30m, 2h, 7d); converted to ms since 1970 UTC."""

    name = "T"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if age := _AGE.fullmatch(text):
            # Further back than there was a chatd is the same as the beginning.
            now = datetime.now(UTC).timestamp()
            return max(0, int((now - timedelta(**{_UNITS[age[2]]: int(age[1])}).total_seconds()) * 1000))
        try:
            when = datetime.fromisoformat(text.replace("Z", "+00:00"))
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            return max(0, int(when.timestamp() * 1000))
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is not a time: write 2026-01-31, 2026-01-31T08:00:00Z or 7d", param, ctx)
