"""The table of `chatctl audit`: words and times for people, whatever the server sends."""

from __future__ import annotations

import re

import pytest

from chatctl.admin.audit import _row
from chatd.proto.frames import JsonObject

AT = 1_795_793_565_418


@pytest.mark.parametrize("field", ["until", "ends", "guest_until", "a_later_field"])
def test_a_time_is_shown_as_one(field: str) -> None:
    details = _row({"type": "x", "at": AT, field: AT})["details"]
    assert details == f"{field.replace('_', ' ')} 2026-11-27T15:32:45Z"


@pytest.mark.parametrize(
    ("event", "row"),
    [
        ({"type": "role_set", "user": "bob", "role": "guest", "reason": "loud"}, "role guest: loud"),
        ({"type": "muted", "user": "bob", "until": None, "reason": "loud"}, "loud"),
        ({"type": "invite_created", "rooms": [], "own": False, "role": ""}, "own no"),
        ({"type": "invite_created", "rooms": ["#a", "#b"], "count": 3}, "rooms #a, #b, count 3"),
    ],
)
def test_details_have_no_raw_values(event: JsonObject, row: str) -> None:
    shown = _row({"at": AT, "by": "ann", **event})
    assert shown["details"] == row
    assert not re.search(r"[_=\[]|\d{13}", f"{shown['event']} {shown['details']}")
