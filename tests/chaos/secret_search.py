"""Write secrets, redact them, and look for them afterwards in every file of every node (C6)."""

from __future__ import annotations

import mmap
import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.chaos.checker import Verdict

ROOM = "#cellar"
REPLY_SECONDS = 60.0
# What the nodes have for a redaction to be in force in all their files, once all of them are connected.
ERASE_SECONDS = 60.0
_KEY_PREFIX = "tail_key:"
_USED_KEY = "tail_key_used"


class Redactor:
    """An admin who writes messages into a room of their own and redacts each, on a thread."""

    def __init__(self, identity: Path, homes: dict[str, Path], rng: random.Random) -> None:
        self.bodies: list[str] = []
        self.keys: set[bytes] = set()
        self._client = Client(read_identity(identity), live=False)
        self._homes = homes
        self._rng = rng
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def begin(self) -> None:
        self._client.start()
        self._client.wait_connected(REPLY_SECONDS)
        self._client.request("create", room=ROOM, timeout=REPLY_SECONDS)
        self._thread.start()

    def end(self) -> None:
        """Finish what is under way; every secret is redacted then."""
        self._stop.set()
        self._thread.join()

    def close(self) -> None:
        self._stop.set()
        self._client.close()

    def _work(self) -> None:
        while not self._stop.wait(self._rng.uniform(1.0, 4.0)):
            body = f"secret-{secrets.token_hex(16)}"
            keys = former_keys(self._homes.values())
            try:
                seq = self._client.send(ROOM, body).wait(REPLY_SECONDS * 2).seq
            except (ChatdError, TimeoutError):
                continue
            if self._redacted(seq):
                self.bodies.append(body)
                self.keys |= keys

    def _redacted(self, seq: int) -> bool:
        """Repeat the request until it is answered: a second redaction changes nothing."""
        deadline = time.monotonic() + REPLY_SECONDS * 2
        while time.monotonic() < deadline:
            try:
                self._client.request("redact", room=ROOM, seq=seq, timeout=REPLY_SECONDS)
            except ChatdError as error:
                if error.code.startswith("E4"):
                    return True  # the message is gone: an earlier request was carried out
                time.sleep(0.2)
            else:
                return True
        return False


def former_keys(homes: Iterable[Path]) -> set[bytes]:
    """The keys that no node can use any more once something written now has been redacted.

    A node that led may have a newer key that nothing counts under: the oldest one in use decides.
    """
    tables = [_read_keys(home) for home in homes]
    used = min((table.get(_USED_KEY, 0) for table in tables), default=0)
    return {
        value
        for table in tables
        for name, value in table.items()
        if name.startswith(_KEY_PREFIX) and int(name.removeprefix(_KEY_PREFIX)) <= used
    }


def _read_keys(home: Path) -> dict[str, Any]:
    """What a node has of keys, by name; empty while its log cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{home}/data/events.db?mode=ro", uri=True)) as database:
            return dict(database.execute("SELECT key, value FROM meta WHERE key LIKE 'tail_key%'"))
    except sqlite3.Error:
        return {}


def look_for_secrets(verdict: Verdict, redactor: Redactor, homes: dict[str, Path]) -> None:
    """Search the homes of running nodes until nothing is left; add a finding for each file that has some."""
    wanted = [body.encode() for body in redactor.bodies] + list(redactor.keys)
    began = time.monotonic()
    while (left := list(find_secrets(homes, wanted))) and time.monotonic() < began + ERASE_SECONDS:
        time.sleep(0.5)
    verdict.counts["redacted"] += len(redactor.bodies)
    verdict.counts["keys destroyed"] += len(redactor.keys)
    for path, number in left:
        verdict.add("C6", "readable", f"{number} of {len(wanted)} secrets and keys are in {path}")


def find_secrets(homes: dict[str, Path], wanted: Iterable[bytes]) -> Iterator[tuple[str, int]]:
    """Yield each file that has something of what is wanted, and how many of it."""
    for name, home in homes.items():
        for path in sorted(home.rglob("*")):
            if count := _count(path, wanted):
                yield f"{name}/{path.relative_to(home)}", count


def _count(path: Path, wanted: Iterable[bytes]) -> int:
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return 0
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return sum(data.find(secret) >= 0 for secret in wanted)
    except (OSError, ValueError):  # it went away, or was emptied
        return 0
