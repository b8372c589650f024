"""Processes that have loaded everything and wait to be told who they are.

Loading a worker's or a hub's modules takes longer than all the rest of a restart together (figures in
docs/reliability.md). A spare has done that: it waits for its first message, the settings, as every child
does at its start, and opens, binds and writes nothing before. One for each kind is kept while all is well.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from typing import Final

from chatd.supervisor.process import ChildSpec, RealProcess

CALM_SECONDS: Final = 0.5
"""All children have been up so long before a spare is started: it must not take the CPU from them."""
AGAIN_SECONDS: Final = 60.0
"""A spare that ended by itself is not replaced sooner; why it did, its child will find out."""
REAP_SECONDS: Final = 1.0


class Spares:
    """Spares by kind. ``spawn`` starts one run of a child and raises OSError when it cannot."""

    def __init__(self, specs: Iterable[ChildSpec], spawn: Callable[[ChildSpec], RealProcess]) -> None:
        # Children of one kind differ by name only, and that they are told last of all.
        self._kinds = {spec.kind: spec for spec in specs if spec.spare}
        self._spawn = spawn
        self._ready: list[tuple[str, RealProcess]] = []
        self._ending: list[RealProcess] = []
        self._calm_since: float | None = None
        self._not_before = 0.0

    def take(self, spec: ChildSpec) -> RealProcess | None:
        """A spare to become ``spec``; None without one."""
        for item in self._ready:
            kind, process = item
            if kind == spec.kind and spec.spare and process.poll() is None:
                self._ready.remove(item)
                process.rename(spec.name)
                return process
        return None

    def prepare(self, specs: Iterable[ChildSpec]) -> None:
        """Start one for each of ``specs`` now: they load while others that must be up before them do."""
        for spec in specs:
            if spec.spare:
                self._start(spec)

    def tick(self, now: float, *, calm: bool) -> None:
        """Reap what ended; start what is missing once everything has been ``calm`` for a while."""
        self._reap(now)
        self._calm_since = (self._calm_since or now) if calm else None
        if self._calm_since is None or now - self._calm_since < CALM_SECONDS or now < self._not_before:
            return
        for kind, spec in self._kinds.items():
            if all(kind != ready for ready, _ in self._ready):
                self._start(spec)
                self._calm_since = now  # one after the other

    def pids(self) -> dict[str, int]:
        """Of every spare, under names that no child has."""
        return {f"spare-{process.pid}": process.pid for _, process in self._ready}

    def drop(self) -> None:
        """End all of them: the next ones load what is installed then."""
        for _, process in self._ready:
            process.signal(signal.SIGKILL)
            self._ending.append(process)
        self._ready.clear()
        self._calm_since = None

    def close(self) -> None:
        """End all of them and wait until they are gone."""
        self.drop()
        deadline = time.monotonic() + REAP_SECONDS
        while self._ending and time.monotonic() < deadline:
            self._reap(0.0)
            time.sleep(0.005)

    def _start(self, spec: ChildSpec) -> None:
        try:
            process = self._spawn(spec)
        except OSError:
            self._not_before = time.monotonic() + AGAIN_SECONDS
            return
        process.rename(f"{spec.kind}-spare")
        self._ready.append((spec.kind, process))

    def _reap(self, now: float) -> None:
        for item in list(self._ready):
            if item[1].poll() is not None:
                self._ready.remove(item)
                self._not_before = now + AGAIN_SECONDS
                item[1].close()
        for process in list(self._ending):
            if process.poll() is not None:
                self._ending.remove(process)
                process.close()
