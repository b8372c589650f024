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

from chatd.child.handed_files import hand_over
from chatd.child.json_channel import ChannelClosedError, JsonChannel
from chatd.child.supervised import FDS_VARIABLE
from chatd.logs import get_log
from chatd.logs.capture import ChildCapture
from chatd.logs.logfiles import LogFiles
from chatd.supervisor.launch import child_environment

log = get_log("server")

READ_SIZE: Final = 65536
F_SETPIPE_SZ: Final = 1031
LOG_PIPE_SIZE: Final = 1024 * 1024
"""Room for a burst of records while the supervisor is busy; the default 64 KiB holds about 300."""


@dataclass(frozen=True)
class ChildSpec:
    """``kind`` is ``hub``, ``worker`` or ``enrol``; ``fds`` names the listeners it inherits; ``module``
    holds the ``main`` that ``argv`` runs, for the template to call ("": always start by ``argv``); ``files``
    are opened for it at its start and with each reload."""

    name: str
    kind: str
    argv: tuple[str, ...]
    fds: tuple[str, ...] = ()
    module: str = ""
    files: tuple[Path, ...] = ()


class StartedProcess(Protocol):
    """The part of subprocess.Popen's interface that `ChildProcess` uses."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...


StartProcess = Callable[[Mapping[str, int], int], StartedProcess]
"""Starts a process from the descriptors to pass, by name, and the one for its stdout and stderr."""


class ChildRun(Protocol):
    """One run as `Child` uses it; tests substitute their own."""

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


class _OutputPipe:
    """The read end of a pipe; what arrives goes to ``sink``."""

    def __init__(self, fd: int, sink: Callable[[bytes], None], unwatch: Callable[[int], None]) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._sink = sink
        self._unwatch = unwatch

    def on_readable(self) -> None:
        if not self._read():
            self._unwatch(self.fd)  # end of file

    def drain(self) -> None:
        """Read what the pipe holds, not to end of file: a grandchild may hold it open forever."""
        while self._read():
            pass
        self._sink(b"")

    def _read(self) -> bool:
        try:
            data = os.read(self.fd, READ_SIZE)
        except OSError:
            return False
        if data:
            self._sink(data)
        return bool(data)


class ChildProcess:
    """A real process in its own session and group, so that a terminal's Ctrl-C and Ctrl-Z miss it.

    ``watch`` and ``unwatch`` register a descriptor with the supervisor's selector and the callback to run
    when it is readable. ``start`` replaces the start by command line. Raises OSError.
    """

    def __init__(
        self,
        spec: ChildSpec,
        fds: Mapping[str, int],
        files: LogFiles,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        start: StartProcess | None = None,
    ) -> None:
        self._capture = ChildCapture(spec.name, files)
        self._unwatch = unwatch
        self._name, self._paths = spec.name, spec.files
        self._files_end, files_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours, theirs = socket.socketpair()
        lifeline_end, self._lifeline = os.pipe()
        log, log_end = os.pipe()
        err, err_end = os.pipe()
        passed = {"channel": theirs.fileno(), "lifeline": lifeline_end, "log": log_end, **fds}
        if spec.files:
            passed["files"] = files_end.fileno()
        try:
            _enlarge_pipe(log)
            start = start or partial(_start_by_command, spec.argv)
            self._popen = start(passed, err_end)
        except BaseException:
            ours.close()
            self._files_end.close()
            _close_all(self._lifeline, log, err)
            raise
        finally:
            theirs.close()
            files_end.close()
            _close_all(lifeline_end, log_end, err_end)
        self._channel = JsonChannel(ours)
        self._channel_open = True
        self._received: list[dict[str, object]] = []
        self._outputs = (
            _OutputPipe(log, self._capture.log_data, unwatch),
            _OutputPipe(err, self._capture.stderr_data, unwatch),
        )
        for output in self._outputs:
            watch(output.fd, output.on_readable)
        watch(self._channel.fileno(), self._read_channel)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def last_stderr(self) -> list[str]:
        return list(self._capture.last_stderr)

    def send(self, message: dict[str, object]) -> None:
        """Queue a message. If the child has closed its end, the message is lost and `poll` shows the exit."""
        if self._channel_open:
            if self._paths and message["type"] in ("settings", "reload"):
                self._hand_over_files()
            try:
                self._channel.send(message)
            except ChannelClosedError:
                self._end_channel()

    def _hand_over_files(self) -> None:
        try:
            hand_over(self._files_end, self._paths)
        except OSError as error:
            log.warning("files_not_sent", child=self._name, why=error.strerror)

    def receive(self) -> list[dict[str, object]]:
        """Return the messages that have arrived since the last call."""
        received, self._received = self._received, []
        return received

    def flush(self) -> None:
        if self._channel_open:
            try:
                self._channel.flush()
            except ChannelClosedError:
                self._end_channel()

    def signal(self, number: signal.Signals) -> None:
        """Signal the child's process group. Until it is reaped, no other process can get its pid."""
        if self._popen.returncode is None:
            try:
                os.killpg(self._popen.pid, number)
            except ProcessLookupError:
                pass

    def poll(self) -> int | None:
        """Return the exit code once the child has ended and its output is captured."""
        code = self._popen.poll()
        if code is not None:
            for output in self._outputs:
                output.drain()
        return code

    def close(self) -> None:
        """Close all descriptors; call once, after `poll` has returned the exit code."""
        if self._channel_open:
            self._end_channel()
        self._channel.close()
        self._files_end.close()
        for output in self._outputs:
            self._unwatch(output.fd)
            os.close(output.fd)
        os.close(self._lifeline)

    def _read_channel(self) -> None:
        try:
            self._received += self._channel.receive()
        except ChannelClosedError:
            self._end_channel()

    def _end_channel(self) -> None:
        self._channel_open = False
        self._unwatch(self._channel.fileno())


def _start_by_command(argv: Sequence[str], passed: Mapping[str, int], output: int) -> StartedProcess:
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=tuple(passed.values()),
        cwd="/",
        env=child_environment() | {FDS_VARIABLE: json.dumps(dict(passed))},
        start_new_session=True,
    )


def _enlarge_pipe(fd: int) -> None:
    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, LOG_PIPE_SIZE)
    except OSError:  # over the user's pipe-user-pages-soft; the default size will do
        pass


def _close_all(*fds: int) -> None:
    for fd in fds:
        os.close(fd)
