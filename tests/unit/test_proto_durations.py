"""Durations: what a refusal says is bounded."""

from __future__ import annotations

import pytest

from chatd.proto.durations import parse_duration


@pytest.mark.parametrize("text", ["\udc8a" * 42, "x" * 10_000, "9" * 300 + "d", "\U0010ffff" * 500])
def test_a_refusal_is_short_whatever_the_text(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_duration(text)
    assert len(str(refused.value)) < 120
