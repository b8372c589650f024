"""Waiting for a child's line has a timeout, and the failure names what did not arrive."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.lines import next_line

Start = Callable[..., "subprocess.Popen[Any]"]
SHORT = 0.2


@pytest.fixture
def start() -> Iterator[Start]:
    children: list[subprocess.Popen[Any]] = []

    def begin(*command: str, **options: Any) -> subprocess.Popen[Any]:
        options |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        children.append(subprocess.Popen(command, **options))
        return children[-1]

    yield begin
    for child in children:
        with child:
            child.kill()


@pytest.mark.parametrize("text", [True, False])
def test_lines_in_one_buffer_are_returned_one_by_one(start: Start, text: bool) -> None:
    child = start(sys.executable, "-c", "print('one\\ntwo', flush=True); input()", text=text)
    lines = [next_line(child, "a line") for _ in range(2)]
    assert lines == (["one\n", "two\n"] if text else [b"one\n", b"two\n"])
    assert child.poll() is None


def test_a_timeout_names_the_missing_line(start: Start) -> None:
    child = start(sys.executable, "-c", "input()", text=True)
    with pytest.raises(AssertionError, match=r"^the greeting did not arrive within 0\.2 s$"):
        next_line(child, "the greeting", SHORT)
    assert child.wait(30) < 0


def test_a_timeout_kills_the_process_group(start: Start) -> None:
    child = start("sh", "-c", "sleep 600; true", start_new_session=True)
    with pytest.raises(AssertionError, match="the end of a pipeline did not arrive within"):
        next_line(child, "the end of a pipeline", SHORT)


@pytest.mark.parametrize("text", [True, False])
def test_an_exited_child_fails_at_once_with_its_error_output(start: Start, text: bool) -> None:
    child = start(sys.executable, "-c", "import sys; sys.exit('no key')", text=text)
    with pytest.raises(
        AssertionError, match=r"^the greeting did not arrive before the child exited with 1:\nno key\n$"
    ):
        next_line(child, "the greeting")
