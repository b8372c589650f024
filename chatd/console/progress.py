"""A progress bar on terminals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatd.console import output

# Label, done, total; total 0 if that is not known.
Progress = Callable[[str, int, int], None]
_BAR_COLUMNS = 30  # fits narrow terminals together with its label


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw progress on stderr if it is a terminal."""
    drawn = ""

    def draw(label: str, done: int, total: int) -> None:
        nonlocal drawn
        text = f"{label}  {_bar(done, total)}" if total else f"{label}  {done}"
        if text != drawn:
            output.write(f"\r{text.ljust(len(drawn))}", sys.stderr)
            drawn = text

    def draw_nothing(label: str, done: int, total: int) -> None:
        pass

    try:
        yield draw if sys.stderr.isatty() else draw_nothing
    finally:
        if drawn:
            output.write(f"\r{' ' * len(drawn)}\r", sys.stderr)


def _bar(done: int, total: int) -> str:
    done = min(done, total)  # the log may grow during the copy
    full = done * _BAR_COLUMNS // total
    return f"[{'#' * full}{'.' * (_BAR_COLUMNS - full)}] {done * 100 // total:3} %"
