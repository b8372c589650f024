"""Read lines from a child process with a timeout and a telling failure."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from typing import Any, AnyStr

from tests.support.daemon import TIMEOUT_SECONDS

# A child must exit within this time after it has closed its output.
EXIT_SECONDS = 5.0


def next_line(child: subprocess.Popen[AnyStr], what: str, seconds: float = TIMEOUT_SECONDS) -> AnyStr:
    """Return the next line of a child's standard output; a failure names it as ``what``.

    On a timeout, kill the child and the process group it leads. Only that ends the blocked read; a
    select() would miss lines that are in Python's buffer already.
    """
    assert child.stdout is not None
    late = threading.Event()

    def kill_late_child() -> None:
        late.set()
        _kill(child)

    timer = threading.Timer(seconds, kill_late_child)
    timer.start()
    try:
        line = child.stdout.readline()
    finally:
        timer.cancel()
    if line:
        return line
    why = f"within {seconds:g} s" if late.is_set() else f"before the child exited with {_exit_code(child)}"
    raise AssertionError(f"{what} did not arrive {why}{_error_output(child)}")


def _exit_code(child: subprocess.Popen[AnyStr]) -> int:
    try:
        return child.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(child)
        return child.wait()


def _error_output(child: subprocess.Popen[Any]) -> str:
    output = child.stderr.read() if child.stderr is not None else ""
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    return f":\n{text}" if text else ""


def _kill(child: subprocess.Popen[AnyStr]) -> None:
    try:
        if os.getpgid(child.pid) == child.pid:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    except ProcessLookupError:
        return
