"""One run of a child: the process, its channel, its lifeline and its two output pipes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from chatd.child.json_channel import ChannelClosedError, JsonChannel
from chatd.child.supervised import FDS_VARIABLE
from chatd.logs.capture import ChildCapture
from chatd.logs.logfiles import LogFiles
from chatd.supervisor.launch import child_environment

READ_SIZE: Final = 65536
F_SETPIPE_SZ: Final = 1031
LOG_PIPE_SIZE: Final = 1024 * 1024
"""Room for a burst of records while the supervisor is busy; the default of 64 KiB is about 300 records."""


@dataclass(frozen=True)
class ChildSpec:
    """What the supervisor knows of a child: ``kind`` is ``hub`` or ``worker``; ``fds`` names the
    listeners it inherits. ``module`` has the ``main`` that argv runs, for a template to call."""

    name: str
    kind: str
    argv: tuple[str, ...]
    fds: tuple[str, ...] = ()
    module: str = ""


class Started(Protocol):
    """A process of ours, as subprocess.Popen shows it."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...


Start = Callable[[Mapping[str, int], int], Started]
"""Starts a process with these descriptors, by name, and with that one as its standard output and error."""


class Process(Protocol):
    """One run, as the supervisor's rules see it; tests put their own in its place."""

    @property
    def pid(self) -> int: ...
    @property
    def last_stderr(self) -> list[str]: ...
    def send(self, message: dict[str, object]) -> None: ...
    def receive(self) -> list[dict[str, object]]: ...
    def flush(self) -> None: ...
    def signal(self, number: signal.Signals) -> None: ...
    def poll(self) -> int | None: ...
    def close(self) -> None: ...


class RealProcess:
    """A process in its own session and group, so that a terminal's Ctrl-C and Ctrl-Z pass it by.

    ``watch`` and ``unwatch`` put descriptors into the supervisor's selector together with what to
    call when they are readable. ``start``: other than by its command line. Raises OSError.
    """

    def __init__(
        self,
        spec: ChildSpec,
        home: Path,
        fds: Mapping[str, int],
        files: LogFiles,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        start: Start | None = None,
    ) -> None:
        self._capture = ChildCapture(spec.name, files)
        self._unwatch = unwatch
        ours, theirs = socket.socketpair()
        self._lifeline_end, self._lifeline = os.pipe()
        self._log, log_end = os.pipe()
        self._err, err_end = os.pipe()
        passed = {"channel": theirs.fileno(), "lifeline": self._lifeline_end, "log": log_end, **fds}
        try:
            _widen(self._log)
            start = start or partial(_execute, spec.argv, home)
            self._popen = start(passed, err_end)
        except BaseException:
            ours.close()
            self._close_fds(self._lifeline, self._log, self._err)
            raise
        finally:
            theirs.close()
            self._close_fds(self._lifeline_end, log_end, err_end)
        self._channel = JsonChannel(ours)
        self._channel_open = True
        self._received: list[dict[str, object]] = []
        for fd, sink in ((self._log, self._capture.log_data), (self._err, self._capture.stderr_data)):
            os.set_blocking(fd, False)
            watch(fd, self._reader(fd, sink))
        watch(self._channel.fileno(), self._read_channel)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def last_stderr(self) -> list[str]:
        return list(self._capture.last_stderr)

    def send(self, message: dict[str, object]) -> None:
        """Queue a message; a child that has closed its end is found dead by `poll`."""
        if self._channel_open:
            try:
                self._channel.send(message)
            except ChannelClosedError:
                self._end_channel()

    def receive(self) -> list[dict[str, object]]:
        """The messages read since the last call."""
        received, self._received = self._received, []
        return received

    def flush(self) -> None:
        if self._channel_open:
            try:
                self._channel.flush()
            except ChannelClosedError:
                self._end_channel()

    def signal(self, number: signal.Signals) -> None:
        """Signal the child and whatever it started. It is not reaped yet, so the pid is still its own."""
        if self._popen.returncode is None:
            try:
                os.killpg(self._popen.pid, number)
            except ProcessLookupError:
                pass

    def poll(self) -> int | None:
        """The exit code once it has ended; all it wrote has been captured by then."""
        code = self._popen.poll()
        if code is not None:
            # Not to end of file: something the child started may hold the pipe open for ever.
            for fd, sink in ((self._log, self._capture.log_data), (self._err, self._capture.stderr_data)):
                while self._read(fd, sink):
                    pass
                sink(b"")
        return code

    def close(self) -> None:
        """Give all descriptors back; call once, after `poll` has told the end."""
        if self._channel_open:
            self._end_channel()
        self._channel.close()
        for fd in (self._log, self._err):
            self._unwatch(fd)
        self._close_fds(self._lifeline, self._log, self._err)

    def _reader(self, fd: int, sink: Callable[[bytes], None]) -> Callable[[], None]:
        def read_once() -> None:
            if not self._read(fd, sink):
                self._unwatch(fd)  # end of file; what is left to do is done when the exit is seen

        return read_once

    def _read(self, fd: int, sink: Callable[[bytes], None]) -> bool:
        try:
            data = os.read(fd, READ_SIZE)
        except OSError:
            return False
        if data:
            sink(data)
        return bool(data)

    def _read_channel(self) -> None:
        try:
            self._received += self._channel.receive()
        except ChannelClosedError:
            self._end_channel()

    def _end_channel(self) -> None:
        self._channel_open = False
        self._unwatch(self._channel.fileno())

    @staticmethod
    def _close_fds(*fds: int) -> None:
        for fd in fds:
            os.close(fd)


def _execute(argv: Sequence[str], home: Path, passed: Mapping[str, int], output: int) -> Started:
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=tuple(passed.values()),
        cwd=home,
        env=child_environment() | {FDS_VARIABLE: json.dumps(dict(passed))},
        start_new_session=True,
    )


def _widen(fd: int) -> None:
    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, LOG_PIPE_SIZE)
    except OSError:  # over the user's pipe-user-pages-soft: the ordinary size does as well
        pass
