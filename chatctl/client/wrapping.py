"""Breaking styled lines at the width of the terminal, with an indent on every further row.

Left to the terminal, a long message could be padded so that its text continues at the left edge and
looks like a line of somebody else. Words longer than a row stay whole: they are URLs to be clicked.
"""

from __future__ import annotations

import re

from wcwidth import wcswidth

from chatctl.client.render import Fragment, Line

INDENT = "    "
_TOKENS = re.compile(r"\s+|\S+")


def wrap(line: Line, width: int) -> list[Line]:
    """The rows of a line for a terminal of ``width`` columns (below 20: left as it is)."""
    if width < 20 or sum(len(text) for _, text in line) * 2 <= width:
        return [line]
    rows: list[Line] = [[]]
    used = 0
    for style, text in line:
        for token in _TOKENS.findall(text):
            size = columns(token)
            if used + size > width and token.isspace():
                # The row ends here; what follows starts the next one.
                used = width
                continue
            if used + size > width and (size <= width - len(INDENT) or used >= width):
                rows.append([("", INDENT)])
                used = len(INDENT)
            rows[-1].append((style, token))
            used += size
    return [_joined(row) for row in rows]


def columns(text: str) -> int:
    """How many columns a text takes, at least its guess for what has no defined width."""
    size = wcswidth(text)
    return size if size >= 0 else len(text)


def _joined(row: Line) -> Line:
    """Neighbours of one style as one fragment: fewer escape sequences on the wire."""
    joined: list[Fragment] = []
    for style, text in row:
        if joined and joined[-1][0] == style:
            joined[-1] = (style, joined[-1][1] + text)
        else:
            joined.append((style, text))
    return joined
