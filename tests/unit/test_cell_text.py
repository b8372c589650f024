"""Characters of the input line, and the largest width of a text."""

from __future__ import annotations

import pytest

from chatctl.terminal.cell_text import separate
from chatctl.terminal.wrapping import columns, wrap

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
    ("text", "most"),
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
def test_the_width_is_that_of_a_terminal_that_joins_nothing(text: str, most: int) -> None:
    assert columns(text) == most


def test_a_word_of_several_styles_stays_whole() -> None:
    line = [("a", "[14:02:11Z] "), ("b", "<"), ("c", "somebody"), ("b", "> "), ("", "hello")]
    assert wrap(line, 20) == [
        [("a", "[14:02:11Z] ")],
        [("", "    "), ("b", "<"), ("c", "somebody"), ("b", "> "), ("", "hello")],
    ]
