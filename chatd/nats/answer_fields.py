"""Read what another node says, whose version of chatd may be an earlier or a later one."""

from __future__ import annotations

import json
from typing import TypeVar

Answer = TypeVar("Answer", bound=tuple[object, ...])


def read_answer(kind: type[Answer], data: bytes) -> Answer:
    """Return a named tuple from its JSON, without the fields that a later version has added.

    A field that was added since the first release needs a default: earlier versions leave it out. Raises
    ValueError, TypeError.
    """
    fields = json.loads(data)
    if not isinstance(fields, dict):
        raise ValueError("not the answer of a node")
    known: tuple[str, ...] = getattr(kind, "_fields")  # noqa: B009 - the bound has no name for it
    return kind(**{name: value for name, value in fields.items() if name in known})
