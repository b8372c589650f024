"""Splitting joined characters of the input line, text widths, and wrapping of styled words."""

from __future__ import annotations

import pytest

from chatctl.model.wrapping import columns, wrap
from chatctl.terminal.cell_text import separate

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("\u65e5\u672c e\u0301", "\u65e5\u672c e\u0301"),
        (FAMILY, "\U0001f468\U0001f469\U0001f467"),
        ("\U0001f44d\U0001f3fd", "\U0001f44d"),
        ("\u2764\ufe0f 1\ufe0f\u20e3", "\u2764 1"),
        ("\U0001f1e9\U0001f1ea", "DE"),
        ("a\u202eb\x1b[2J", r"a\u202eb\x1b[2J"),
    ],
)
def test_characters_that_a_terminal_may_join_are_separated(text: str, shown: str) -> None:
    assert separate(text) == shown


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("plain", 5),
        ("\u65e5\u672c", 4),
        ("e\u0301", 1),
        (FAMILY, 6),
        ("\U0001f44d\U0001f3fd", 4),
        ("\u2764\ufe0f", 2),
        ("\U0001f1e9\U0001f1ea", 4),
        ("\u1112\u1161\u11ab", 4),
    ],
)
def test_joined_characters_count_at_their_separate_widths(text: str, width: int) -> None:
    assert columns(text) == width


def test_a_word_with_several_styles_is_not_split() -> None:
    line = [("a", "[14:02:11Z] "), ("b", "<"), ("c", "somebody"), ("b", "> "), ("", "hello")]
    assert wrap(line, 20) == [
        [("a", "[14:02:11Z] ")],
        [("", "    "), ("b", "<"), ("c", "somebody"), ("b", "> "), ("", "hello")],
    ]
