"""Breaking styled lines at the width of the terminal, with an indent on every further row.

Left to the terminal, a long message could be padded so that its text continues at the left edge and
looks like a line of somebody else. Words longer than a row stay whole: they are URLs to be clicked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import category

from wcwidth import wcswidth, wcwidth

from chatctl.model.render import Fragment, Line
from chatd.proto.text import is_selector

INDENT = "    "
# Below this many columns nothing is broken: an indent would leave too little.
NARROWEST = 20
_TOKENS = re.compile(r"\s+|\S+")


def wrap(line: Line, width: int) -> list[Line]:
    """The rows of a line for a terminal of ``width`` columns (below `NARROWEST`: left as it is)."""
    if width < NARROWEST or sum(len(text) for _, text in line) * 2 <= width:
        return [line]
    rows: list[Line] = [[]]
    used = 0
    for word in _words(line):
        size = sum(columns(text) for _, text in word)
        if used + size > width and word[0][1].isspace():
            # The row ends here; what follows starts the next one.
            used = width
            continue
        if used + size > width and (size <= width - len(INDENT) or used >= width):
            rows.append([("", INDENT)])
            used = len(INDENT)
        rows[-1] += word
        used += size
    return [_joined(row) for row in rows]


def columns(text: str) -> int:
    """How many columns a text takes on the terminal that gives it most.

    Terminals differ: a family of emoji is one picture of two columns here and three pictures there. A row
    taken for too wide is broken early; the other way round the terminal would break it, without an indent.
    """
    if text.isascii():
        return len(text)
    apart = sum(_widest(character) for character in text)
    return max(wcswidth(text), apart)


def _widest(character: str) -> int:
    size = wcwidth(character)
    if size < 0 or is_selector(character):
        return 1  # a selector may make a wide picture of a narrow sign
    # Parts of a letter that have a width of their own where they are not composed: Indic vowels, Hangul.
    return size or int(category(character) in ("Mc", "Lo"))


def _words(line: Line) -> Iterator[Line]:
    """The spaces and words of a line, a word of several styles in one piece."""
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
    """Neighbours of one style as one fragment: fewer escape sequences on the wire."""
    joined: list[Fragment] = []
    for style, text in row:
        if joined and joined[-1][0] == style:
            joined[-1] = (style, joined[-1][1] + text)
        else:
            joined.append((style, text))
    return joined
