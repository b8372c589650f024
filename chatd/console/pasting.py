"""Commands that are printed for somebody to paste into a shell."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from chatd.proto.text import visible


def pasteable(*words: str | Path) -> str:
    """A command line that gives the program exactly these words, and survives being printed."""
    return " ".join(_quoted(str(word)) for word in words)


def chatd_command(home: Path, *words: str) -> str:
    """The command line of ``chatd`` with ``words`` for this home, as it must be typed here."""
    chosen = os.environ.get("CHATD_HOME") or "."
    here = home.resolve() == Path(chosen).absolute().resolve()
    return pasteable("chatd", *(() if here else ("--home", home)), *words)


def _quoted(word: str) -> str:
    if visible(word, newlines=False) == word:
        return shlex.quote(word)
    # What the output would escape must be escaped in the shell's own way (POSIX.1-2024, 2.2.4).
    escaped = (
        f"\\x{byte:02x}" if not 0x20 <= byte < 0x7F or byte in b"\\'" else chr(byte)
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(escaped)}'"
