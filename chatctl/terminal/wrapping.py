"""Wraps styled lines at the width of the terminal and indents the continuation rows.

If the terminal wrapped them, padding could make a message continue at the left edge and look like another
user's line. Words longer than a row stay whole, so that URLs can be clicked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import category

from wcwidth import wcswidth, wcwidth

from chatctl.model.render import Fragment, Line
from chatd.proto.text import is_selector

INDENT = "    "
# Narrower terminals get unwrapped lines: an indent would leave too little space.
NARROWEST = 20
_TOKENS = re.compile(r"\s+|\S+")


def wrap(line: Line, width: int) -> list[Line]:
    """The rows of a line for a terminal of ``width`` columns."""
    if width < NARROWEST or sum(len(text) for _, text in line) * 2 <= width:
        return [line]
    rows: list[Line] = [[]]
    used = 0
    for word in _words(line):
        size = sum(columns(text) for _, text in word)
        if used + size > width and word[0][1].isspace():
            # The row ends here; the next word starts another.
            used = width
            continue
        if used + size > width and (size <= width - len(INDENT) or used >= width):
            rows.append([("", INDENT)])
            used = len(INDENT)
        rows[-1] += word
        used += size
    return [_joined(row) for row in rows]


def columns(text: str) -> int:
    """The largest number of columns that any terminal uses for a text.

    Terminals differ: a family emoji is one picture of two columns or three pictures. Wrapping too early is
    harmless; too late, and the terminal wraps without an indent.
    """
    if text.isascii():
        return len(text)
    return max(wcswidth(text), sum(_widest(character) for character in text))


def _widest(character: str) -> int:
    size = wcwidth(character)
    if size < 0 or is_selector(character):
        return 1  # a selector may turn a narrow character into a wide picture
    # Indic vowels and Hangul parts have a width where the terminal does not compose them.
    return size or int(category(character) in ("Mc", "Lo"))


def _words(line: Line) -> Iterator[Line]:
    """The words of a line and the spaces between them; a word may have several styles."""
    word: Line = []
    for style, text in line:
        for token in _TOKENS.findall(text):
            if word and word[-1][1].isspace() != token.isspace():
                yield word
                word = []
            word.append((style, token))
    if word:
        yield word


def _joined(row: Line) -> Line:
    """Merge neighbours of the same style, for fewer escape sequences."""
    joined: list[Fragment] = []
    for style, text in row:
        if joined and joined[-1][0] == style:
            joined[-1] = (style, joined[-1][1] + text)
        else:
            joined.append((style, text))
    return joined
