"""Read lines to try the word filter on, and print what it finds in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from chatd.console import output
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible

# As much as `limits.snippet_bytes` allows for one message; the rest of a longer line is not looked at.
LINE_BYTES = 32 * 1024
NOTHING_FOUND = "the filter finds nothing"


def lines_of(file: Path) -> Iterator[str]:
    """Yield the lines of a file, or of standard input for "-". Raises E606."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
            whole = True
            while data := source.readline(LINE_BYTES):
                if whole:
                    yield data.decode("utf-8", "replace").rstrip("\r\n")
                whole = data.endswith(b"\n")
    except OSError as error:
        raise ChatdError("E606", f"{file}: {error.strerror}") from None


def show_found(number: int, found: Sequence[JsonObject], text: str | None, *, as_json: bool) -> None:
    """Print what is done about a line, and ``text``, the line as it would be sent; None if it is refused."""
    if as_json:
        output.json_line({"line": number, "found": found, "text": text})
        return
    what = ", ".join(f"{one['action']} {one['word']!r}" for one in found)
    sent = "" if text is None else f": {visible(text, newlines=False)}"
    output.line(f"{number:>4}  {what}{sent}")
