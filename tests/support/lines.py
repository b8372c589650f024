"""Lines that a child prints, waited for with a bound and with words for what did not come."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from typing import Any, AnyStr

from tests.support.daemon import PATIENCE_SECONDS

# Between the end of its output and its own end.
END_SECONDS = 5.0


def next_line(child: subprocess.Popen[AnyStr], what: str, seconds: float = PATIENCE_SECONDS) -> AnyStr:
    """The next line of a child's standard output; ``what`` it is for whoever reads the failure.

    When it does not come the child is killed, with the process group that it leads: nothing else ends the
    reading, which looks into a buffer first and so cannot be replaced by a select().
    """
    assert child.stdout is not None
    late = threading.Event()

    def give_up() -> None:
        late.set()
        _kill(child)

    timer = threading.Timer(seconds, give_up)
    timer.start()
    try:
        line = child.stdout.readline()
    finally:
        timer.cancel()
    if line:
        return line
    why = f"in {seconds:g} s" if late.is_set() else f"until it ended with {_end_of(child)}"
    raise AssertionError(f"{what} did not come {why}{_last_words(child)}")


def _end_of(child: subprocess.Popen[AnyStr]) -> int:
    try:
        return child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(child)
        return child.wait()


def _last_words(child: subprocess.Popen[Any]) -> str:
    said = child.stderr.read() if child.stderr is not None else ""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f":\n{words}" if words else ""


def _kill(child: subprocess.Popen[AnyStr]) -> None:
    try:
        if os.getpgid(child.pid) == child.pid:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    except ProcessLookupError:
        return
