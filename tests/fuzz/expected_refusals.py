"""What a target may raise: documented codes only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from chatd.errors import ChatdError

T = TypeVar("T")


def refused(call: Callable[[], T], *codes: str) -> T | None:
    """Return the result, or None if the call raises a ChatdError with one of ``codes``."""
    try:
        return call()
    except ChatdError as error:
        assert error.code in codes, f"{error.code} is not one of {codes}: {error}"
        return None
