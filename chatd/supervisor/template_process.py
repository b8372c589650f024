"""The supervisor's side of the template, which forks children quickly: see chatd.child.template.

Loading the modules of a hub or worker takes longer than the rest of a restart, and several times as long
without an idle core (docs/lab/reliability-journal.md). The template loads them once for all children.
Without a template, children start by their command lines.
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
from typing import Final

from chatd.child.libc import prctl
from chatd.child.template import LOADED
from chatd.logs import get_log
from chatd.supervisor.launch import LaunchedTemplate, launch
from chatd.supervisor.process import ChildSpec, StartProcess

LOAD_SECONDS: Final = 10.0
"""A template that takes longer to load is given up, and children start without it."""
FORK_SECONDS: Final = 1.0
"""The supervisor blocks at most this long for a fork, which normally takes milliseconds."""
FINAL_OUTPUT_SECONDS: Final = 0.2
"""A failing template closes its socket before it prints why."""
RETRY_SECONDS: Final = 60.0
"""The pause before a template that ended or was given up is replaced."""
MAX_REPLY: Final = 64
NAME: Final = "template"
PR_SET_CHILD_SUBREAPER: Final = 36

log = get_log("server")


class ForkedProcess:
    """A process forked by the template, with the part of subprocess.Popen's interface that is used."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # reaped elsewhere; subprocess reports 0 too
                pid, status = self.pid, 0
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class TemplateProcess:
    """The current template, if any. `update` starts one unless ``launched`` is given."""

    def __init__(
        self,
        specs: Iterable[ChildSpec],
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        launched: LaunchedTemplate | None = None,
    ) -> None:
        self._modules = list(dict.fromkeys(spec.module for spec in specs if spec.module))
        self._possible = bool(self._modules) and _adopt_orphans()
        self._watch, self._unwatch = watch, unwatch
        self._current: LaunchedTemplate | None = None
        self._loaded = False
        self._load_deadline = 0.0
        self._retry_at = 0.0
        self._ending: list[subprocess.Popen[bytes]] = []
        if launched is not None:
            self._adopt(launched, time.monotonic())

    @property
    def loading(self) -> bool:
        return self._current is not None and not self._loaded

    def starter(self, spec: ChildSpec) -> StartProcess | None:
        """Return a function that forks this child, or None if the template cannot."""
        if not self._loaded or not spec.module:
            return None
        return lambda passed, output: self._fork(spec, {**passed, "err": output})

    def update(self, now: float, *, wanted: bool, children: Collection[int | None] = ()) -> None:
        """Reap ended templates and orphans, give up one that hangs, start one if ``wanted``.

        ``children``: the pids that are reaped elsewhere.
        """
        self._ending = [popen for popen in self._ending if popen.poll() is None]
        reap_orphans({*children, *self.pids().values(), *(popen.pid for popen in self._ending)})
        if self._current is None:
            if wanted and self._possible and now >= self._retry_at:
                self._start(now)
        elif not wanted or not self._possible:
            self.kill()
        elif self._current.popen.poll() is not None:
            self._give_up("ended")
        elif self.loading and now >= self._load_deadline:
            self._give_up(f"did not load within {LOAD_SECONDS:g} s")

    def pids(self) -> dict[str, int]:
        """The template's pid by its name; empty without a template."""
        return {NAME: self._current.popen.pid} if self._current else {}

    def kill(self) -> None:
        """Kill the template; the next one loads the code that is installed by then."""
        if self._current is not None:
            self._current.popen.kill()
            self._unwatch(self._current.requests.fileno())
            self._current.close()
            self._ending.append(self._current.popen)
        self._current, self._loaded = None, False

    def close(self) -> None:
        """Kill the template and wait for its end."""
        self.kill()
        for popen in self._ending:
            popen.wait()

    def _start(self, now: float) -> None:
        try:
            self._adopt(launch(self._modules), now)
        except OSError as error:
            self._retry_later(f"cannot be started: {error.strerror}", now)

    def _adopt(self, template: LaunchedTemplate, now: float) -> None:
        self._current, self._load_deadline = template, now + LOAD_SECONDS
        template.requests.settimeout(FORK_SECONDS)
        self._watch(template.requests.fileno(), self._read_loaded)

    def _read_loaded(self) -> None:
        """Unasked, the template sends only LOADED, once; anything else is its end."""
        assert self._current is not None  # noqa: S101 - for the type checker; watched only while it exists
        try:
            self._loaded = self._current.requests.recv(MAX_REPLY) == LOADED
        except OSError:
            self._loaded = False
        if not self._loaded:
            self._give_up("ended")

    def _fork(self, spec: ChildSpec, fds: Mapping[str, int]) -> ForkedProcess:
        """Raises OSError. A half-made child then ends by itself, once its pipes are closed, and is reaped."""
        assert self._current is not None  # noqa: S101
        request = {"name": spec.name, "module": spec.module, "fds": list(fds)}
        try:
            socket.send_fds(self._current.requests, [json.dumps(request).encode()], list(fds.values()))
            reply = self._current.requests.recv(MAX_REPLY)
        except OSError:
            reply = b""
        if not reply:
            self._give_up("does not answer")
            raise OSError(errno.EAGAIN, "the template does not answer")
        return ForkedProcess(int(reply))

    def _give_up(self, reason: str) -> None:
        output = ""
        if self._current:
            with suppress(subprocess.TimeoutExpired):
                self._current.popen.wait(FINAL_OUTPUT_SECONDS)
            output = self._current.last_output_line()
        self._retry_later("; ".join(filter(None, (reason, output))), time.monotonic())
        self.kill()

    def _retry_later(self, reason: str, now: float) -> None:
        log.warning("template_lost", why=reason, again_in=RETRY_SECONDS)
        self._retry_at = now + RETRY_SECONDS


def reap_orphans(known: Collection[int | None]) -> None:
    """Reap ended processes that are not ``known``, whose owners reap them.

    As PID 1 or a subreaper this process is the parent of every orphan below it, and of a child whose fork was
    never reported.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        # A known zombie hides the others until its owner reaps it.
        if ended is None or ended.si_pid in known:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)


def _adopt_orphans() -> bool:
    """Become the parent of orphaned descendants (prctl(2)); return whether the kernel agreed."""
    try:
        return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    except OSError:
        return False
