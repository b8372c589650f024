"""The lines of a table: aligned columns, which on a narrow terminal go on in further lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

GAP = 2
# Of the lines that go on with a row.
INDENT = 4
# The last column is folded into no fewer columns than these.
LEAST_FOLDED = 16
LEAST_WIDTH = 20


def line_width() -> int | None:
    """Return how many columns the lines of a table may have; None if they are not for a terminal."""
    if not sys.stdout.isatty():
        return None
    import shutil  # takes long to load

    return max(LEAST_WIDTH, shutil.get_terminal_size().columns)


def table_lines(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Yield the lines of ``rows``, of which the first is the heading; all have the same number of cells.

    With a ``width`` no line is wider: a row goes on in further, indented lines, always at the same columns,
    and the text of its last cell is folded.
    """
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    parts = _parts(widths, width)
    for row in rows:
        for begin, end in parts:
            indent = " " * INDENT if begin else ""
            padded = [_padded(row[column], widths[column]) for column in range(begin, end)]
            if end < len(row) or width is None:
                yield (indent + (" " * GAP).join(padded)).rstrip()
                continue
            head = indent + "".join(text + " " * GAP for text in padded[:-1])
            first, *more = _folded(row[-1], width - text_width(head))
            yield (head + first).rstrip()
            yield from (" " * text_width(head) + text for text in more)


def _parts(widths: Sequence[int], width: int | None) -> list[tuple[int, int]]:
    """Return which columns share a line: the first one, and the one after the last one, of each line."""
    begins, used = [0], 0
    last = len(widths) - 1
    for column, needed in enumerate(widths):
        least = min(needed, LEAST_FOLDED) if column == last else needed
        if width is not None and used and used + least > width:
            begins.append(column)
            used = INDENT
        used += needed + GAP
    return list(zip(begins, [*begins[1:], len(widths)], strict=True))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - text_width(text))


def _folded(text: str, width: int) -> list[str]:
    """Fold a text at its spaces, and words that are longer anywhere."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(joined) <= width:
            lines[-1] = joined
            continue
        pieces = _pieces(word, width)
        lines[-1:] = [lines[-1], *pieces] if lines[-1] else pieces
    return lines


def _pieces(word: str, width: int) -> list[str]:
    pieces = [""]
    for character in word:
        if pieces[-1] and text_width(pieces[-1] + character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def text_width(text: str) -> int:
    """Return how many columns a text takes on a terminal."""
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)
