"""Rows of the input line after a terminal has rewrapped it."""

from __future__ import annotations

import pytest

from chatctl.terminal.resize_guard import rewraps, rows_above

WIDE = [2] * 20


@pytest.mark.parametrize(
    ("rows", "cursor", "columns", "above"),
    [
        ([[1] * 80, [1] * 30], (30, 1), 40, 2),
        ([[1] * 80, [1] * 30], (30, 1), 80, 1),
        ([[1] * 80, [1] * 30], (30, 1), 39, 3),
        ([[1] * 80, [1] * 30], (5, 0), 40, 0),
        ([[1] * 80, [1] * 30], (40, 0), 40, 1),
        # A cursor after the last character stays in its row.
        ([[1] * 80], (80, 0), 40, 1),
        ([[1] * 40, []], (0, 1), 40, 1),
        # A wide character does not fit into the last column.
        ([WIDE, [1]], (1, 1), 21, 2),
        ([WIDE, [1]], (1, 1), 13, 4),
        ([WIDE], (12, 0), 13, 1),
        ([WIDE], (10, 0), 13, 0),
        ([[1] * 3], (0, 5), 2, 2),
    ],
)
def test_rows_above_the_cursor_are_counted_after_rewrapping(
    rows: list[list[int]], cursor: tuple[int, int], columns: int, above: int
) -> None:
    assert rows_above(rows, cursor, columns) == above


@pytest.mark.parametrize(
    ("environ", "known"),
    [
        ({"TERM": "tmux-256color"}, True),
        ({"TERM": "screen", "TMUX": "/tmp/tmux-0/default,1,0"}, True),
        ({"TERM": "screen", "TMUX": "x", "STY": "1.pts"}, False),
        ({"TERM": "screen"}, False),
        ({"TERM": "xterm", "TMUX": "x"}, False),
        ({}, False),
    ],
)
def test_terminals_that_rewrap_are_recognised(environ: dict[str, str], known: bool) -> None:
    assert rewraps(environ) is known
