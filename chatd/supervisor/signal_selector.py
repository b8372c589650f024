"""Wait for descriptors and signals in one place."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)


class SignalSelector:
    """A selector that calls a function per readable descriptor and collects signals. Main thread only."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wakeup_read, self._wakeup_write = socket.socketpair()
        self._wakeup_read.setblocking(False)
        self._wakeup_write.setblocking(False)
        self._signals: list[int] = []
        self.watch(self._wakeup_read.fileno(), self._read_signals)
        # The C-level handler writes the signal number into the socket. The Python handler does nothing,
        # so it cannot interrupt code at an awkward moment.
        self._old_wakeup_fd = signal.set_wakeup_fd(self._wakeup_write.fileno(), warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, _do_nothing) for number in SIGNALS}

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        """Stop watching ``fd``; harmless if it is not watched."""
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            pass

    def wait(self, timeout: float) -> list[int]:
        """Wait up to ``timeout`` seconds, call the callbacks that are due, return the signals received."""
        for key, _ in self._selector.select(max(0.0, timeout)):
            # An earlier callback of this round may have unwatched this one and closed its descriptor.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        signals, self._signals = self._signals, []
        return signals

    def close(self) -> None:
        signal.set_wakeup_fd(self._old_wakeup_fd)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._selector.close()
        self._wakeup_read.close()
        self._wakeup_write.close()

    def _read_signals(self) -> None:
        try:
            self._signals += self._wakeup_read.recv(4096)
        except BlockingIOError:
            return


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Replace the default action, which would end the process."""
