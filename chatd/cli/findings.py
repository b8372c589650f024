"""What a check finds."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the report; ``level`` is ok, warn or fail."""

    level: str
    area: str
    text: str
    code: str = ""
    fix: str = ""
