"""Acts of operators on the box, as the supervisor writes them into audit.log and passes them to the hub."""

from __future__ import annotations

import re
from typing import Final

from chatd.errors import ChatdError

_NAME: Final = re.compile(r"[a-z][a-z_]{0,31}")
MAX_FIELDS: Final = 16
MAX_CHARS: Final = 1000
# Not for the event log: a place on the box is nobody's business beyond it, and the others are the hub's.
LOCAL_FIELDS: Final = frozenset(("file", "type", "seq", "at"))


def read_act(request: dict[str, object]) -> tuple[str, dict[str, object]]:
    """Return the name and the fields of an ``act`` request, within their bounds. Raises ChatdError E102."""
    act, fields = request.get("act"), request.get("fields")
    if not isinstance(act, str) or not _NAME.fullmatch(act) or not isinstance(fields, dict):
        raise ChatdError("E102", "an act needs a name and fields")
    if len(fields) > MAX_FIELDS or not all(_NAME.fullmatch(name) for name in fields):
        raise ChatdError("E102", f"an act has at most {MAX_FIELDS} fields with plain names")
    return act, {name: _bounded(value) for name, value in fields.items()}


def for_the_event_log(fields: dict[str, object]) -> dict[str, object]:
    """Return the fields without those that stay on the box."""
    return {name: value for name, value in fields.items() if name not in LOCAL_FIELDS}


def _bounded(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)[:MAX_CHARS]
