"""What a browser's session costs beside a native one: ``python -m tests.bench.browser_cost``.

One server has as many sessions of each kind, all in one room, most of them idle. The same messages reach both
kinds, so that the processors' speed and other programs affect both alike. It prints, for the worker and for
the gateway, the memory for each session and the CPU time for each delivery, and their ratios.
"""

from __future__ import annotations

import argparse
import selectors
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.bench.machine import allow_descriptors
from tests.support.daemon import Daemon
from tests.support.https import Https, gateway
from tests.support.rawclient import RawClient, new_id
from tests.support.web_client import WebClient

MANY = 20_000
RATIO_LIMIT = 1.5


class Cost(NamedTuple):
    """Memory for each session in bytes, and CPU for each delivery in seconds."""

    memory: float
    cpu: float


def main() -> None:
    options = _options()
    allow_descriptors()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Path(folder) / "home"
        limits = {
            "CHATD_WORKERS__COUNT": "1",
            "CHATD_SERVER__MAX_CONNECTIONS": "20000",
            "CHATD_SERVER__TIMEOUT": "3600",
            "CHATD_LIMITS__SESSIONS_PER_USER": str(MANY),
            "CHATD_LIMITS__ATTEMPTS_PER_ADDRESS": str(MANY),
        }
        with gateway(home, **limits) as (daemon, https):
            native, web = _measure(daemon, https, options)
    print(f"{'':10}{'KiB for a session':>20}{'µs CPU for a delivery':>24}")
    for name, cost in (("native", native), ("browser", web)):
        print(f"{name:10}{cost.memory / 1024:>20.1f}{cost.cpu * 1e6:>24.2f}")
    ratios = web.memory / native.memory, web.cpu / native.cpu
    print(f"{'ratio':10}{ratios[0]:>20.2f}{ratios[1]:>24.2f}   (at most {RATIO_LIMIT})")


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.browser_cost")
    parser.add_argument("--idle", type=int, default=500, help="idle sessions of each kind")
    parser.add_argument("--talking", type=int, default=50, help="talking sessions of each kind")
    parser.add_argument("--messages", type=int, default=400)
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second")
    return parser.parse_args()


def _measure(daemon: Daemon, https: Https, options: Any) -> tuple[Cost, Cost]:
    daemon.write_settings(_unlimited)
    daemon.chatd("reload")
    identities = {name: daemon.add_user(name) for name in ("native", "browser")}
    chat_port = int(daemon.status()["address"].rpartition(":")[2])
    kinds: list[tuple[str, Callable[[], RawClient]]] = [
        ("worker-1", lambda: RawClient(chat_port, identities["native"])),
        ("gateway", lambda: WebClient(https.port, identities["browser"])),
    ]
    processes = [psutil.Process(daemon.child(name)["pid"]) for name, _ in kinds]
    clients, memory = [], []
    with Drain() as drain:
        for process, (_, connect) in zip(processes, kinds, strict=True):
            _open(connect, 5, drain)  # what a process loads with its first sessions is no session's
            before = process.memory_info().rss
            opened = _open(connect, options.idle + options.talking, drain)
            time.sleep(1.0)
            memory.append((process.memory_info().rss - before) / len(opened))
            clients.append(opened)
        talkers = [client for pair in zip(*clients, strict=True) for client in pair][: 2 * options.talking]
        seconds = options.messages / options.rate
        idle = _cpu(processes, lambda: time.sleep(seconds))
        busy = _cpu(processes, lambda: _talk(talkers, options.messages, 1 / options.rate))
    deliveries = options.messages * (options.idle + options.talking + 5)
    costs = [(b - i) / deliveries for b, i in zip(busy, idle, strict=True)]
    return Cost(memory[0], costs[0]), Cost(memory[1], costs[1])


def _unlimited(settings: dict[str, Any]) -> None:
    settings["limits"]["per_role"]["user"] = {
        "messages_per_second": 1000.0,
        "burst": 1000,
        "bytes_per_day": 0,
    }


def _open(connect: Callable[[], RawClient], count: int, drain: Drain) -> list[RawClient]:
    opened = []
    for _ in range(count):
        client = connect().logged_in()
        client.ask("resume")
        drain.add(client)
        opened.append(client)
    return opened


def _cpu(processes: list[psutil.Process], work: Callable[[], None]) -> list[float]:
    """Return the CPU seconds that each process takes while ``work`` is done."""
    before = [sum(process.cpu_times()[:2]) for process in processes]
    work()
    return [sum(process.cpu_times()[:2]) - spent for process, spent in zip(processes, before, strict=True)]


def _talk(talkers: list[RawClient], messages: int, pause: float) -> None:
    due = time.monotonic()
    for number in range(messages):
        talker = talkers[number % len(talkers)]
        body = f"message {number}, as long as people's are"
        talker.send({"type": "send", "id": number + 1000, "msg_id": new_id(), "to": "#lobby", "body": body})
        due += pause
        time.sleep(max(0.0, due - time.monotonic()))
    time.sleep(1.0)


class Drain:
    """Reads and drops what the server sends to idle sessions, on a thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._clients: list[RawClient] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Drain:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for client in self._clients:
            client.sock.close()

    def add(self, client: RawClient) -> None:
        self._clients.append(client)
        self._selector.register(client.sock, selectors.EVENT_READ)

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.2):
                if not key.fileobj.recv(262_144):  # type: ignore[union-attr]
                    self._selector.unregister(key.fileobj)


if __name__ == "__main__":
    main()
