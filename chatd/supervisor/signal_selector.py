"""The supervisor's one wait: descriptors and signals together."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)


class Loop:
    """A selector whose entries carry what to call, and a queue of signals. Main thread only."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wakeup_read, self._wakeup_write = socket.socketpair()
        self._wakeup_read.setblocking(False)
        self._wakeup_write.setblocking(False)
        self._signals: list[int] = []
        self.watch(self._wakeup_read.fileno(), self._read_signals)
        # The C-level handler writes the signal's number into the socket; the Python one has nothing to do
        # and can interrupt nothing.
        self._old_wakeup = signal.set_wakeup_fd(self._wakeup_write.fileno(), warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, _nothing) for number in SIGNALS}

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        """Forget ``fd``; harmless when it is not watched."""
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            pass

    def wait(self, timeout: float) -> list[int]:
        """Wait for something to happen, at most ``timeout`` seconds; call what it belongs to; return
        the signals that came."""
        for key, _ in self._selector.select(max(0.0, timeout)):
            # An earlier callback of this round may have unwatched this one and closed its descriptor.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        signals, self._signals = self._signals, []
        return signals

    def close(self) -> None:
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._selector.close()
        self._wakeup_read.close()
        self._wakeup_write.close()

    def _read_signals(self) -> None:
        try:
            self._signals += self._wakeup_read.recv(4096)
        except BlockingIOError:
            return


def _nothing(number: int, frame: FrameType | None) -> None:
    """Exists so that the signal is caught at all."""
