"""Measure what the processes and the box use: for the status, the log, the console and the hub."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

import psutil

from chatd.config.sections import MonitorSection
from chatd.logs import get_log
from chatd.proto.text import visible
from chatd.supervisor.child import Child

log = get_log("server")
# Without /proc, as in some containers, psutil raises OSError, or others of these from what it cannot parse.
_UNMEASURABLE = (psutil.Error, OSError, ValueError, RuntimeError, KeyError, AttributeError)


class PeriodicTimer:
    """Due once per period, without drift; missed periods are skipped."""

    def __init__(self, now: float) -> None:
        self._last = now

    def due(self, now: float, seconds: float) -> bool:
        if now - self._last < seconds:
            return False
        late = now - self._last >= 2 * seconds
        self._last = now if late else self._last + seconds
        return True


class ProcessMonitor:
    """Samples the supervisor itself, its children and the box; ``dropped`` counts lost log lines."""

    def __init__(self, children: Sequence[Child], dropped: Callable[[], int] = lambda: 0) -> None:
        self._children = children
        self._dropped = dropped
        self._handles: dict[int, psutil.Process] = {}
        self._started_at = time.monotonic()
        self._timers = {name: PeriodicTimer(self._started_at) for name in ("sample", "stats", "console")}
        self._samples: dict[str, dict[str, object]] = {}
        self.box: dict[str, object] = {}
        _measure_box()  # the first call only starts the interval that the next one measures

    def update(self, now: float, periods: MonitorSection, state: str, console: bool) -> None:
        """Sample, log and print whatever is due; ``console``: also print to stdout."""
        if self._timers["sample"].due(now, periods.sample_seconds):
            self.sample(now)
        if self._timers["stats"].due(now, periods.stats_seconds):
            log.info("STATS", state=state, processes=list(self._samples.values()), box=self.box)
        if self._timers["console"].due(now, periods.console_seconds) and console:
            print_safely(self._console_line(state))

    def sample(self, now: float) -> None:
        """Take one sample and send it to the hub. A process that ends meanwhile has only its pid in it."""
        self.box = _measure_box()
        own = {"name": "supervisor", "kind": "supervisor", "state": "running", "restarts": 0}
        uptime = round(now - self._started_at, 1)
        samples = {
            "supervisor": own | {"uptime": uptime, "fds": _own_descriptors()} | self._measure(os.getpid())
        }
        for child in self._children:
            # Nobody but the child may list its descriptors (chatd.child.sandbox).
            usage = self._measure(child.pid) | {"fds": child.descriptors} if child.pid else {}
            # Admins see whether certificates can be issued.
            key = {name: child.last_report[name] for name in ("ca_key",) if name in child.last_report}
            samples[child.spec.name] = _describe(child, now) | usage | key
        self._samples = samples
        alive = {child.pid for child in self._children} | {os.getpid()}
        self._handles = {pid: handle for pid, handle in self._handles.items() if pid in alive}
        for child in self._children:
            if child.spec.kind == "hub" and child.is_up:
                child.send(
                    {
                        "type": "processes",
                        "processes": list(samples.values()),
                        "box": self.box,
                        "log_lines_dropped": self._dropped(),
                    }
                )

    def status(self, child: Child, now: float) -> dict[str, object]:
        """A child's entry in `chatd status --json`; usage is null until its run has been sampled."""
        sample = self._samples.get(child.spec.name, {})
        if child.pid is None or sample.get("pid") != child.pid:
            sample = {}
        usage = {name: sample.get(name) for name in ("cpu", "rss", "threads", "fds")}
        outcome = {"why": child.reason, "exit_code": child.exit_code, "report": child.last_report}
        outcome["sandbox"] = child.sandbox
        return _describe(child, now) | usage | outcome

    def _console_line(self, state: str) -> str:
        box = f"box cpu {self.box.get('cpu', 0)}% mem {self.box.get('memory', 0)}%"
        parts = [_format_sample(sample) for sample in self._samples.values()]
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
                }
        except _UNMEASURABLE:
            return {"pid": pid}


def _measure_box() -> dict[str, object]:
    """What the whole machine uses; empty where that cannot be measured."""
    try:
        memory = psutil.virtual_memory()
        return {
            "cpu": psutil.cpu_percent(None),
            "memory": memory.percent,
            "memory_used": memory.total - memory.available,
            "memory_total": memory.total,
            "load": round(os.getloadavg()[0], 2),
        }
    except _UNMEASURABLE:
        return {}


def _own_descriptors() -> int | None:
    try:
        return psutil.Process().num_fds()
    except _UNMEASURABLE:
        return None


def print_safely(text: str, file: TextIO | None = None) -> None:
    """Print a text escaped, with further lines indented; a closed terminal does not end the daemon."""
    lines = (visible(line, newlines=False) for line in text.splitlines())
    try:
        print("\n       ".join(lines), file=file or sys.stdout, flush=True)
    except OSError:
        return


def _describe(child: Child, now: float) -> dict[str, object]:
    return {
        "name": child.spec.name,
        "kind": child.spec.kind,
        "state": child.state.value,
        "pid": child.pid,
        "restarts": child.restarts,
        "uptime": round(child.uptime(now), 1),
    }


def _format_sample(sample: Mapping[str, object]) -> str:
    name, state, rss = sample["name"], sample["state"], sample.get("rss")
    if not isinstance(rss, int):
        return f"{name} {state}"
    uptime = sample["uptime"]
    seconds = int(uptime) if isinstance(uptime, (int, float)) else 0
    text = f"{name} {sample.get('cpu')}% {rss / 2**20:.0f} MB {sample.get('threads')} thr up {seconds} s"
    return text if state == "running" else f"{text} ({state})"
