"""Measure bystanders before and during the attacks, and what the server's processes grow by."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.summary import spread
from tests.support.daemon import Daemon, running

BYSTANDERS = 4
SAMPLE_SECONDS = 0.25
# The promise of SECURITY.md, judged by `make abuse`.
MAX_RATIO = 2.0
MAX_GROWTH_BYTES = 64 * 1024 * 1024
# Who attacks at once, and as which user. A botnet is measured by itself (`--who botnet`).
TOGETHER = ("guest", "user", "host")
USERS = {"guest": "gustav", "user": "mallory", "host": "mallory", "botnet": "mallory"}


class MemoryPeak:
    """Samples the resident memory of all of a server's processes until `stop`."""

    def __init__(self, daemon: Daemon) -> None:
        self._pids = daemon.pids()
        self.first = self.peak = self._sample()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, self._sample())

    def _sample(self) -> int:
        total = 0
        for pid in self._pids:
            try:
                total += psutil.Process(pid).memory_info().rss
            except psutil.NoSuchProcess:  # a restart, which the trial reports
                continue
        return total


class BystanderProcess:
    """The bystanders, in a process of their own."""

    def __init__(self, identities: list[Path]) -> None:
        command = [sys.executable, "-m", "tests.abuse.bystanders", *map(str, identities)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def work(self, seconds: float) -> dict[str, Any]:
        """Let them work; return the times of their requests."""
        assert self._process.stdin
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._read())
        return result

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout
        self._process.stdout.close()

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the bystanders' process has ended"
        return line


def run(folder: Path, *, seconds: float, who: list[str] | None = None) -> dict[str, Any]:
    """Attack a server with default limits for so long; return the figures."""
    who = who or list(TOGETHER)
    with running(folder / "home") as daemon:
        identities = [daemon.add_user(f"by{number}") for number in range(BYSTANDERS)]
        daemon.add_user("mallory")
        daemon.add_user("gustav", role="guest")
        bystanders = BystanderProcess(identities)
        try:
            bystanders.work(2.0)
            quiet = bystanders.work(seconds)
            memory = MemoryPeak(daemon)
            attackers = [_start_attacker(daemon, name, USERS[name], seconds + 1.0) for name in who]
            attacked = bystanders.work(seconds)
            counts = {name: json.loads(process.communicate()[0]) for name, process in attackers}
            memory.stop()
        finally:
            bystanders.close()
        restarts = sum(child["restarts"] for child in daemon.status()["children"])
        errors = daemon.log_lines("errors.log")
    return _figures(quiet, attacked, memory) | {
        "attacks": counts,
        "restarts": restarts,
        "errors": [line["event"] for line in errors],
        "failed": quiet["failed"] + attacked["failed"],
    }


def _start_attacker(
    daemon: Daemon, name: str, user: str, seconds: float
) -> tuple[str, subprocess.Popen[str]]:
    arguments = [name, str(daemon.port), str(seconds), str(daemon.identity(user))]
    command = [sys.executable, "-m", "tests.abuse.attackers", *arguments]
    return name, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _figures(quiet: dict[str, Any], attacked: dict[str, Any], memory: MemoryPeak) -> dict[str, Any]:
    figures: dict[str, Any] = {"growth_bytes": memory.peak - memory.first}
    for kind in ("send", "history"):
        before, during = spread(quiet[kind]), spread(attacked[kind])
        figures[kind] = {"quiet": before, "attacked": during}
        figures[kind]["p99_ratio"] = round(during["p99"] / before["p99"], 2) if before["p99"] else None
    return figures


def missed_targets(figures: dict[str, Any]) -> list[str]:
    """The promises that the figures do not keep, in words."""
    missed = broken_rules(figures)
    for kind in ("send", "history"):
        if (ratio := figures[kind]["p99_ratio"]) is None or ratio > MAX_RATIO:
            missed.append(f"p99 of {kind} is {ratio} times that of a quiet server, more than {MAX_RATIO:g}")
    return missed


def broken_rules(figures: dict[str, Any]) -> list[str]:
    """The promises without a time that the figures do not keep, in words."""
    broken = []
    if figures["growth_bytes"] >= MAX_GROWTH_BYTES:
        broken.append(f"the processes grew by {figures['growth_bytes']} bytes")
    if figures["restarts"] or figures["errors"]:
        broken.append(f"{figures['restarts']} restarts, errors: {figures['errors'][:5]}")
    if figures["failed"]:
        broken.append(f"{figures['failed']} requests of bystanders failed")
    return broken
