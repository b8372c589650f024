"""The standard streams of a program: always open, and never the reason why its work stops halfway.

A command that has carried out a request must not end as if it had failed because its result cannot be shown
(ADR 20). So a failed write is remembered, what follows is discarded, and `chatd.console.output.run` reports
it at the end. What the locale cannot express is escaped: otherwise one character of a stranger's message
would end every program that shows it.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT, STDERR = range(3)


class GuardedFile(io.FileIO):
    """A descriptor to write to. After a failure everything is discarded, and ``lost`` has the reason."""

    lost: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, and wait while a descriptor that another program made non-blocking is full."""
        size = memoryview(data).nbytes
        try:
            while self.lost is None:
                written = super().write(data)
                if written is not None:
                    return written
                select.select([], [self], [])
        except OSError as error:
            self.lost = error
        return size


def prepare() -> None:
    """Open the standard streams that are closed, and guard the others. Call first in each program.

    A socket or file opened later would otherwise get the number of a closed stream, and what is printed.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is this one, because all before it are open.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole run
    # Streams that the caller of `main` has put in their place are its own concern.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(STDOUT, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(STDERR, sys.stderr)


def _guarded(descriptor: int, stream: TextIO | None) -> TextIO:
    raw = GuardedFile(descriptor, "wb", closefd=False)
    encoding = stream.encoding if stream is not None else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding,
        "backslashreplace",
        line_buffering=raw.isatty() or descriptor == STDERR,
    )


def _guard() -> GuardedFile | None:
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, GuardedFile) else None


def lost() -> OSError | None:
    """Why nothing can be written to standard output any more; None while it can."""
    raw = _guard()
    return raw.lost if raw else None


def write_all(data: bytes) -> None:
    """Write to standard output without its buffer and lock."""
    raw, unwritten = _guard(), memoryview(data)
    while raw and unwritten:
        unwritten = unwritten[raw.write(unwritten) :]


def reader_left() -> bool:
    """Whether the program that reads standard output (head, less) has ended, also before the next write."""
    raw = _guard()
    if raw is None:
        return False
    if raw.lost is None:
        poller = select.poll()
        poller.register(raw, 0)
        if any(events & select.POLLERR for _, events in poller.poll(0)):  # pipe(7): no reading end is open
            raw.lost = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    return raw.lost is not None and raw.lost.errno == errno.EPIPE


def forgive() -> None:
    """Forget a failed write: what was printed was no result."""
    if raw := _guard():
        raw.lost = None


def expressible(text: str) -> str:
    """``text`` with everything escaped that the encoding of standard output lacks, as it will be written.

    For text that is measured, aligned or wrapped before it is written.
    """
    encoding = sys.stdout.encoding or "utf-8"
    return text if text.isascii() else text.encode(encoding, "backslashreplace").decode(encoding, "replace")
