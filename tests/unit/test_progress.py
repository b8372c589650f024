"""The progress bar: on terminals only, and removed at the end."""

from __future__ import annotations

import sys

import pytest

from chatd.console.progress import progress_bar


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (0, 10, f"copying  [{'.' * 30}]   0 %"),
        (5, 10, f"copying  [{'#' * 15}{'.' * 15}]  50 %"),
        (12, 10, f"copying  [{'#' * 30}] 100 %"),
        (7, 0, "copying  7"),
    ],
)
def test_a_terminal_gets_a_bar_that_is_removed_at_the_end(
    done: int, total: int, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar() as progress:
        progress("copying", done, total)
        progress("copying", done, total)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"\r{shown}\r{' ' * len(shown)}\r")


def test_nothing_is_printed_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress:
        progress("copying", 1, 2)
    assert capsys.readouterr() == ("", "")
