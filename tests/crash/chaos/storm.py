"""A whole server restarted under many clients: how long until each of them is back and has missed nothing.

The clients are threads of this process' `Client` objects with their memory as state; they are the
product's own, with its jitter. Before the kill, while it is down and afterwards somebody keeps talking.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from chatctl.client import Client
from chatctl.client.local import CaughtUp
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.proto.events import Message
from tests.crash.chaos.journal import Journal
from tests.crash.chaos.report import spread
from tests.crash.chaos.stage import Stage

USERS = 20
ROOM = "#lobby"
SETTLE_SECONDS = 300.0
TALK_PAUSE = 0.5


class Watcher:
    """One client that listens; thread-safe enough: the I/O thread writes, the trial reads at the end."""

    def __init__(self, identity: Any) -> None:
        self.client = Client(identity)
        self.seen: list[int] = []
        self.caught_up = 0.0
        self.client.on_event(self._note)

    def _note(self, event: object) -> None:
        if isinstance(event, CaughtUp):
            self.caught_up = time.monotonic()
        elif isinstance(event, Message):
            self.seen.append(event.seq)


def run(folder: Path, *, clients: int, what: str, seed: int) -> dict[str, Any]:
    """``what``: kill the whole "server", its "workers", or its "hub". Times are seconds after the kill."""
    stage = Stage(folder / "home", Journal(folder / "faults.jsonl"))
    watchers: list[Watcher] = []
    try:
        stage.begin()
        identities = [read_identity(stage.daemon.add_user(f"user{n}")) for n in range(USERS)]
        watchers = [Watcher(identities[n % USERS]) for n in range(clients)]
        for watcher in watchers:
            watcher.client.start()
        _settled(watchers, 0.0)
        talker = _Talker(stage.daemon.identity("alice", "console"))
        time.sleep(3.0)
        names = {"server": ["supervisor"], "hub": ["hub"], "workers": ["worker-1", "worker-2"]}[what]
        killed = time.monotonic()
        stage.kill(names)
        up = time.monotonic() - killed
        if what == "hub":
            time.sleep(2.0)  # nobody is disconnected: the worker says "lagged", the clients resume
        _settled(watchers, killed)
        sent = talker.stop()
        _settled_on(watchers, sent[-1])
    finally:
        for watcher in watchers:
            watcher.client.close()
        stage.stop()
    back = [watcher.caught_up - killed for watcher in watchers]
    wrong = sum(watcher.seen != sent for watcher in watchers)  # all listened before the first was sent
    return {
        "trial": "storm",
        "what": what,
        "seed": seed,
        "clients": clients,
        "server_up": round(up, 3),
        "resumed": spread(back),
        "messages": len(sent),
        "findings": {"lost or doubled": wrong} if wrong else {},
    }


class _Talker:
    """Says something twice a second; `stop` gives the seqs of all of it."""

    def __init__(self, identity: Path) -> None:
        self._client = Client(read_identity(identity), live=False)
        self._client.start()
        self._stop = threading.Event()
        self._seqs: list[int] = []
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        while not self._stop.wait(TALK_PAUSE):
            try:
                self._seqs.append(self._client.send(ROOM, "still here").wait(SETTLE_SECONDS).seq)
            except ChatdError:
                return

    def stop(self) -> list[int]:
        self._stop.set()
        self._thread.join()
        self._client.close()
        return self._seqs


def _settled(watchers: list[Watcher], after: float) -> None:
    _until(lambda: all(watcher.caught_up > after for watcher in watchers), watchers)


def _settled_on(watchers: list[Watcher], seq: int) -> None:
    _until(lambda: all(watcher.seen and watcher.seen[-1] >= seq for watcher in watchers), watchers)


def _until(condition: Any, watchers: list[Watcher]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            connected = sum(watcher.client.connected for watcher in watchers)
            raise AssertionError(f"{connected} of {len(watchers)} clients connected")
        time.sleep(0.05)
