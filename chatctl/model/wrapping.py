"""Wraps styled lines at the width of the terminal and indents the continuation rows.

If the terminal wrapped them, padding or a long word could make a message continue at the left edge and look
like another user's line, or the client's own. Only plain URLs stay whole, so that they can be clicked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import category

from wcwidth import wcswidth, wcwidth

from chatctl.model.render import Fragment, Line
from chatd.proto.text import continues, is_selector

INDENT = "    "
# Narrower terminals get an indent of one column.
NARROWEST = 20
# The terminal wraps these. No row of such characters looks like the beginning of a line.
_URL = re.compile(r"https?://(?:[A-Za-z0-9/%_.~?&=#+,;@$-]|(?<!error)(?<!warning):)+")
_TOKENS = re.compile(r"\s+|\S+")


def wrap(line: Line, width: int) -> list[Line]:
    """The rows of a line for a terminal of ``width`` columns."""
    if sum(len(text) for _, text in line) * 2 <= width:
        return [line]
    indent = INDENT if width >= NARROWEST else INDENT[:1]
    rows: list[Line] = [[]]
    used = 0
    for word in _words(line):
        size = sum(columns(text) for _, text in word)
        if used + size > width and word[0][1].isspace():
            # The row ends here; the next word starts another.
            used = width
            continue
        if used + size > width and (size <= width - len(indent) or used >= width):
            rows.append([("", indent)])
            used = len(indent)
        if used + size <= width or _URL.fullmatch("".join(text for _, text in word)):
            rows[-1] += word
            used += size
            continue
        for style, piece in _clusters(word):
            size = columns(piece)
            if used + size > width and used > len(indent):
                rows.append([("", indent)])
                used = len(indent)
            rows[-1].append((style, piece))
            used += size
    return [_joined(row) for row in rows]


def _clusters(word: Line) -> Iterator[Fragment]:
    """The characters of a word, each with its combining marks."""
    for style, text in word:
        begin = 0
        for index in range(1, len(text) + 1):
            if index == len(text) or not continues(text, index):
                yield style, text[begin:index]
                begin = index


def columns(text: str) -> int:
    """The largest number of columns that any terminal uses for a text.

    Terminals differ: a family emoji is one picture of two columns or three pictures. Wrapping too early is
    harmless; too late, and the terminal wraps without an indent.
    """
    if text.isascii():
        return len(text)
    # A mark without a letter before it may be shown on a blank or a dotted circle.
    lone = text != "" and category(text[0])[0] == "M" and wcwidth(text[0]) == 0
    return max(wcswidth(text), lone + sum(_widest(character) for character in text))


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
