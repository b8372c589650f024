"""The process from which children are made while all is well: see chatd.child.template.

Loading a hub's or a worker's modules takes longer than all the rest of a restart together (figures in
docs/lab/reliability-journal.md), and several times as long on a box without a free core. A template has done
that once for all of them. Without one, children are started by their command lines.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from chatd.child.template import LOADED
from chatd.logs import get_log
from chatd.supervisor.launch import Launched, launch
from chatd.supervisor.process import ChildSpec, Start

LOAD_SECONDS: Final = 10.0
"""A template that has not loaded by then is given up, and children are started without it."""
FORK_SECONDS: Final = 1.0
"""It takes milliseconds; the supervisor waits for it and does nothing else."""
LAST_WORDS_SECONDS: Final = 0.2
"""A template that fails closes its socket before it has printed why."""
AGAIN_SECONDS: Final = 60.0
"""A template that ended or was given up is not replaced sooner."""
MAX_ANSWER: Final = 64
NAME: Final = "template"
PR_SET_CHILD_SUBREAPER: Final = 36

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
    """At most one at a time; `tick` starts it, unless one was ``launched`` before."""

    def __init__(
        self,
        home: Path,
        specs: Iterable[ChildSpec],
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        launched: Launched | None = None,
    ) -> None:
        self._home = str(home)
        self._modules = list(dict.fromkeys(spec.module for spec in specs if spec.module))
        self._possible = bool(self._modules) and _adopt_orphans()
        self._watch, self._unwatch = watch, unwatch
        self._run: Launched | None = None
        self._loaded = False
        self._give_up_at = 0.0
        self._not_before = 0.0
        self._ending: list[subprocess.Popen[bytes]] = []
        self._left_behind = False
        if launched is not None:
            self._take(launched, time.monotonic())

    @property
    def loading(self) -> bool:
        """Whether it is worth while to wait for it."""
        return self._run is not None and not self._loaded

    def starter(self, spec: ChildSpec) -> Start | None:
        """How to make that child from the template; None when there is none to make it from."""
        if not self._loaded or not spec.module:
            return None
        return lambda passed, output: self._fork(spec, {**passed, "err": output})

    def tick(self, now: float, *, wanted: bool, children: Collection[int | None] = ()) -> None:
        """Reap what ended, give up what hangs, start what is wanted.

        ``children``: the pids that somebody else waits for.
        """
        self._ending = [popen for popen in self._ending if popen.poll() is None]
        if self._left_behind:
            self._reap(children)
        if self._run is None:
            if wanted and self._possible and now >= self._not_before:
                self._start(now)
        elif not wanted or not self._possible:
            self.drop()
        elif self._run.popen.poll() is not None:
            self._give_up("ended")
        elif self.loading and now >= self._give_up_at:
            self._give_up("does not get loaded")

    def pids(self) -> dict[str, int]:
        """Of the template, under a name that no child has."""
        return {NAME: self._run.popen.pid} if self._run else {}

    def drop(self) -> None:
        """End it: the next one loads what is installed then."""
        if self._run is not None:
            self._run.popen.kill()
            self._unwatch(self._run.forks.fileno())
            self._run.close()
            self._ending.append(self._run.popen)
        self._run, self._loaded = None, False

    def close(self) -> None:
        """End it and wait until it is gone."""
        self.drop()
        for popen in self._ending:
            popen.wait()

    def _reap(self, children: Collection[int | None]) -> None:
        """Wait for what a template left half made: it is a child of this process now that nobody knows."""
        known = {*children, *self.pids().values(), *(popen.pid for popen in self._ending)}
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            # One that is known hides those behind it until its owner has waited for it.
            if ended is None or ended.si_pid in known:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)

    def _start(self, now: float) -> None:
        try:
            self._take(launch(self._modules), now)
        except OSError as error:
            log.warning("template_lost", why=f"cannot be started: {error.strerror}", again_in=AGAIN_SECONDS)
            self._not_before = now + AGAIN_SECONDS

    def _take(self, run: Launched, now: float) -> None:
        self._run, self._give_up_at = run, now + LOAD_SECONDS
        run.forks.settimeout(FORK_SECONDS)
        self._watch(run.forks.fileno(), self._hear)

    def _hear(self) -> None:
        """It speaks by itself once, when it has loaded; after that only its end is to be heard."""
        assert self._run is not None  # noqa: S101 - for the type checker; watched only while it is there
        try:
            self._loaded = self._run.forks.recv(MAX_ANSWER) == LOADED
        except OSError:
            self._loaded = False
        if not self._loaded:
            self._give_up("ended")

    def _fork(self, spec: ChildSpec, fds: Mapping[str, int]) -> Forked:
        """Raises OSError; what was made then ends by itself when its pipes are closed, and is reaped."""
        assert self._run is not None  # noqa: S101
        request = {"name": spec.name, "module": spec.module, "folder": self._home, "fds": list(fds)}
        try:
            socket.send_fds(self._run.forks, [json.dumps(request).encode()], list(fds.values()))
            answer = self._run.forks.recv(MAX_ANSWER)
        except OSError:
            answer = b""
        if not answer:
            self._left_behind = True
            self._give_up("does not answer")
            raise OSError(errno.EAGAIN, "the template does not answer")
        return Forked(int(answer))

    def _give_up(self, why: str) -> None:
        last = ""
        if self._run:
            with suppress(subprocess.TimeoutExpired):
                self._run.popen.wait(LAST_WORDS_SECONDS)
            last = self._run.last_words()
        log.warning("template_lost", why="; ".join(filter(None, (why, last))), again_in=AGAIN_SECONDS)
        self._not_before = time.monotonic() + AGAIN_SECONDS
        self.drop()


def _adopt_orphans() -> bool:
    """Make this process the parent of what its descendants leave behind; whether the kernel does that."""
    try:
        import ctypes  # here, for it asks for memory that a hardened box may refuse

        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, MemoryError, AttributeError):
        return False
