"""Programs that ask on a terminal, answered by a test."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable, Mapping


def answer_on_a_terminal(
    command: list[str],
    environ: Mapping[str, str],
    answer: bytes,
    *,
    until: bytes = b"",
    meanwhile: Callable[[int], object] = lambda terminal: None,
) -> tuple[int, str]:
    """Run a program, answer its question with yes and no, and return the exit code and what it printed.

    ``meanwhile`` gets the terminal as soon as ``until`` is printed, before the question is awaited.
    """
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        command, env=environ, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    said = b""
    try:
        while until not in said:
            said += os.read(main, 4096)
        meanwhile(main)
        while b"[y/" not in said:
            said += os.read(main, 4096)
        os.write(main, answer)
        code = process.wait(30)
        os.set_blocking(main, False)
        try:
            while part := os.read(main, 4096):
                said += part
        except OSError:
            pass  # the other end is closed
    finally:
        process.kill()
        os.close(main)
    return code, said.decode()
