"""What the processes and the box use, by psutil: for the status, the log, the console and the hub."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Protocol

import psutil

from chatd.supervisor.child import Child


class MonitorSettings(Protocol):
    """The part of the settings with the periods, in seconds."""

    @property
    def sample_seconds(self) -> float: ...
    @property
    def stats_seconds(self) -> float: ...
    @property
    def console_seconds(self) -> float: ...


class Every:
    """True once per period, without drift and without catching up on periods that were missed."""

    def __init__(self, now: float) -> None:
        self._last = now

    def due(self, now: float, seconds: float) -> bool:
        if now - self._last < seconds:
            return False
        late = now - self._last >= 2 * seconds
        self._last = now if late else self._last + seconds
        return True


class Monitor:
    """Samples the supervisor itself, its children and the box."""

    def __init__(self) -> None:
        self._handles: dict[int, psutil.Process] = {}
        self._started = time.monotonic()
        self.samples: dict[str, dict[str, object]] = {}
        self.box: dict[str, object] = {}
        psutil.cpu_percent(None)  # the first call only starts the interval that the next one measures

    def sample(self, children: Iterable[Child], now: float) -> None:
        """Take one sample; a process that ends meanwhile is left out."""
        memory = psutil.virtual_memory()
        self.box = {
            "cpu": psutil.cpu_percent(None),
            "memory": memory.percent,
            "memory_used": memory.total - memory.available,
            "memory_total": memory.total,
            "load": round(os.getloadavg()[0], 2),
        }
        own = {"name": "supervisor", "kind": "supervisor", "state": "running", "restarts": 0}
        samples = {"supervisor": own | {"uptime": round(now - self._started, 1)} | self._measure(os.getpid())}
        for child in children:
            samples[child.spec.name] = describe(child, now) | (self._measure(child.pid) if child.pid else {})
        self.samples = dict(samples)
        alive = {child.pid for child in children} | {os.getpid()}
        self._handles = {pid: handle for pid, handle in self._handles.items() if pid in alive}

    def usage(self, name: str, pid: int | None) -> dict[str, object]:
        """The last sample of that very run; empty when there is none yet."""
        sample = self.samples.get(name, {})
        return sample if pid is not None and sample.get("pid") == pid else {}

    def message(self) -> dict[str, object]:
        """The last sample, as the hub gets it."""
        return {"type": "processes", "processes": list(self.samples.values()), "box": self.box}

    def console_line(self, state: str) -> str:
        """The last sample for people, on one line."""
        box = f"box cpu {self.box.get('cpu', 0)}% mem {self.box.get('memory', 0)}%"
        parts = [_for_people(sample) for sample in self.samples.values()]
        return " | ".join([f"{time.strftime('%H:%M:%SZ', time.gmtime())} {state}", box, *parts])

    def _measure(self, pid: int) -> dict[str, object]:
        try:
            handle = self._handles.get(pid)
            if handle is None:
                handle = self._handles[pid] = psutil.Process(pid)
                handle.cpu_percent(None)
            with handle.oneshot():
                return {
                    "pid": pid,
                    "cpu": handle.cpu_percent(None),
                    "rss": handle.memory_info().rss,
                    "threads": handle.num_threads(),
                    "fds": handle.num_fds(),
                }
        except (psutil.Error, OSError):
            return {"pid": pid}


def describe(child: Child, now: float) -> dict[str, object]:
    """What is known of a child without measuring."""
    return {
        "name": child.spec.name,
        "kind": child.spec.kind,
        "state": child.state.value,
        "pid": child.pid,
        "restarts": child.restarts,
        "uptime": round(child.uptime(now), 1),
    }


def _for_people(sample: Mapping[str, object]) -> str:
    name, state, rss = sample["name"], sample["state"], sample.get("rss")
    if not isinstance(rss, int):
        return f"{name} {state}"
    uptime = sample["uptime"]
    seconds = int(uptime) if isinstance(uptime, (int, float)) else 0
    shown = f"{name} {sample.get('cpu')}% {rss / 2**20:.0f} MB {sample.get('threads')} thr up {seconds} s"
    return shown if state == "running" else f"{shown} ({state})"
