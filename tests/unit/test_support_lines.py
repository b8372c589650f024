"""A line of a child is waited for with a bound, and what did not come is named."""

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
def test_lines_that_were_buffered_together_come_one_by_one(start: Start, text: bool) -> None:
    child = start(sys.executable, "-c", "print('one\\ntwo', flush=True); input()", text=text)
    lines = [next_line(child, "a line") for _ in range(2)]
    assert lines == (["one\n", "two\n"] if text else [b"one\n", b"two\n"])
    assert child.poll() is None


def test_a_line_that_does_not_come_is_named(start: Start) -> None:
    child = start(sys.executable, "-c", "input()", text=True)
    with pytest.raises(AssertionError, match=r"^the greeting did not come in 0\.2 s$"):
        next_line(child, "the greeting", SHORT)
    assert child.wait(30) < 0


def test_who_leads_a_group_is_killed_with_it(start: Start) -> None:
    child = start("sh", "-c", "sleep 600; true", start_new_session=True)
    with pytest.raises(AssertionError, match="the end of a pipeline did not come in"):
        next_line(child, "the end of a pipeline", SHORT)


@pytest.mark.parametrize("text", [True, False])
def test_a_child_that_ends_is_not_waited_for_and_has_its_say(start: Start, text: bool) -> None:
    child = start(sys.executable, "-c", "import sys; sys.exit('no key')", text=text)
    with pytest.raises(AssertionError, match=r"^the greeting did not come until it ended with 1:\nno key\n$"):
        next_line(child, "the greeting")
