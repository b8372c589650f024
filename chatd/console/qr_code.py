"""QR codes on a terminal."""

from __future__ import annotations

import os
import sys

import segno

from chatd.console import output

# Readers need as many light modules around the code (ISO/IEC 18004).
_BORDER = 4
# Upper and lower module of a character: a block is light, as on a terminal with a dark background.
_BLOCKS = {(False, False): "\u2588", (False, True): "\u2580", (True, False): "\u2584", (True, True): " "}
# Light on dark whatever the terminal's own colours are.
_COLOURS, _RESET = "\x1b[38;5;231;48;5;16m", "\x1b[0m"


def qr_lines(text: str) -> list[str]:
    """Return a text as the lines of a QR code, two rows of modules in each."""
    code = segno.make_qr(text, error="l")
    rows = [[bool(dark) for dark in row] for row in code.matrix_iter(border=_BORDER)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs]


def show_qr(text: str) -> None:
    """Print a QR code."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line in qr_lines(text):
        if coloured:
            output.write(f"{_COLOURS}{line}{_RESET}\n")
        else:
            output.line(line)
