"""The process from which children are made while all is well: see chatd.child.template.

Loading a hub's or a worker's modules takes longer than all the rest of a restart together (figures in
docs/reliability.md), and several times as long on a box without a free core. A template has done that once
for all of them. Without one, children are started by their command lines.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from chatd.child.template import LOADED
from chatd.logs import get_log
from chatd.supervisor.process import ChildSpec, RealProcess, Start

LOAD_SECONDS: Final = 10.0
"""A template that has not loaded by then is given up, and children are started without it."""
FORK_SECONDS: Final = 2.0
"""It takes milliseconds; the supervisor waits for it and does nothing else."""
AGAIN_SECONDS: Final = 60.0
"""A template that ended or was given up is not replaced sooner."""
REAP_SECONDS: Final = 1.0
MAX_ANSWER: Final = 64
PR_SET_CHILD_SUBREAPER: Final = 36

Spawn = Callable[[ChildSpec, Mapping[str, int]], RealProcess]
"""Starts a process by its command line with these descriptors besides the usual ones; raises OSError."""
Watch = Callable[[int, Callable[[], None]], None]

log = get_log("server")


class Forked:
    """A process that the template made, as subprocess.Popen would show it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it; subprocess says 0 then, too
                pid, status = self.pid, 0
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Template:
    """At most one at a time; `tick` starts it."""

    def __init__(
        self, specs: Iterable[ChildSpec], spawn: Spawn, watch: Watch, unwatch: Callable[[int], None]
    ) -> None:
        modules = dict.fromkeys(spec.module for spec in specs if spec.module)
        command = (sys.executable, "-m", "chatd.child.template", *modules)
        self._spec = ChildSpec("template", "template", command)
        self._possible = bool(modules) and _adopt_orphans()
        self._spawn, self._watch, self._unwatch = spawn, watch, unwatch
        self._process: RealProcess | None = None
        self._forks: socket.socket | None = None
        self._loaded = False
        self._give_up_at = 0.0
        self._not_before = 0.0
        self._ending: list[RealProcess] = []

    @property
    def loading(self) -> bool:
        """Whether it is worth while to wait for it."""
        return self._process is not None and not self._loaded

    def starter(self, spec: ChildSpec) -> Start | None:
        """How to make that child from the template; None when there is none to make it from."""
        if not self._loaded or not spec.module:
            return None
        return lambda passed, output: self._fork(spec, {**passed, "err": output})

    def tick(self, now: float, *, wanted: bool) -> None:
        """Reap what ended, give up what hangs, start what is wanted."""
        self._reap()
        if self._process is None:
            if wanted and self._possible and now >= self._not_before:
                self._start(now)
        elif not wanted:
            self.drop()
        elif self._process.poll() is not None or (self.loading and now >= self._give_up_at):
            self._give_up("ended" if self._process.poll() is not None else "does not get loaded")

    def pids(self) -> dict[str, int]:
        """Of the template, under a name that no child has."""
        return {self._spec.name: self._process.pid} if self._process else {}

    def drop(self) -> None:
        """End it: the next one loads what is installed then."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
            self._ending.append(self._process)
        if self._forks is not None:
            self._unwatch(self._forks.fileno())
            self._forks.close()
        self._process, self._forks, self._loaded = None, None, False

    def close(self) -> None:
        """End it and wait until it is gone."""
        self.drop()
        deadline = time.monotonic() + REAP_SECONDS
        while self._ending and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.005)

    def _start(self, now: float) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = self._spawn(self._spec, {"forks": theirs.fileno()})
        except OSError:
            ours.close()
            self._not_before = now + AGAIN_SECONDS
            return
        finally:
            theirs.close()
        ours.settimeout(FORK_SECONDS)
        self._forks, self._give_up_at = ours, now + LOAD_SECONDS
        self._watch(ours.fileno(), self._hear)

    def _hear(self) -> None:
        """It speaks by itself once, when it has loaded; after that only its end is to be heard."""
        assert self._forks is not None  # noqa: S101 - for the type checker; watched only while it is there
        try:
            self._loaded = self._forks.recv(MAX_ANSWER) == LOADED
        except OSError:
            self._loaded = False
        if not self._loaded:
            self._give_up("ended")

    def _fork(self, spec: ChildSpec, fds: Mapping[str, int]) -> Forked:
        """Raises OSError; whatever was made then ends by itself when its pipes are closed."""
        assert self._forks is not None  # noqa: S101
        request = {"name": spec.name, "module": spec.module, "fds": list(fds)}
        try:
            socket.send_fds(self._forks, [json.dumps(request).encode()], list(fds.values()))
            answer = self._forks.recv(MAX_ANSWER)
        except OSError:
            answer = b""
        if not answer:
            self._give_up("does not answer")
            raise OSError(errno.EAGAIN, "the template does not answer")
        return Forked(int(answer))

    def _give_up(self, why: str) -> None:
        process = self._process
        last = process.last_stderr[-1:] if process else []
        log.warning("template_lost", why="; ".join([why, *last]), again_in=AGAIN_SECONDS)
        self._not_before = time.monotonic() + AGAIN_SECONDS
        self.drop()

    def _reap(self) -> None:
        for process in list(self._ending):
            if process.poll() is not None:
                self._ending.remove(process)
                process.close()


def _adopt_orphans() -> bool:
    """Make this process the parent of what its descendants leave behind; whether the kernel does that."""
    try:
        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False
