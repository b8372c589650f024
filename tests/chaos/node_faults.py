"""Faults of whole nodes and of their files: stopped for a while, a full disk, damage, a lost stream."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

from tests.chaos.journal import Journal
from tests.chaos.trial_server import TrialServer
from tests.support.cluster import NAMES, Cluster
from tests.support.daemon import wait_until
from tests.support.lost_stream import delete_stream, reseed_stopped
from tests.support.small_disks import fill, free

AWAY_SECONDS = (10.0, 70.0)
ASLEEP_SECONDS = (10.0, 40.0)
FULL_SECONDS = (5.0, 20.0)
WHOLE_SECONDS = 600.0
# Of each file of the damaged server.
FLIPPED_BITS = 3


class NodeFaults:
    """Injects a fault of one `kinds`, and waits until all nodes have the log and the whole stream again."""

    def __init__(
        self,
        cluster: Cluster,
        nodes: dict[str, TrialServer],
        rng: random.Random,
        journal: Journal,
        longest: float,
    ) -> None:
        """``longest``: the most seconds of a fault of the network; these may last four times as long."""
        self.kinds: dict[str, Callable[[], None]] = {
            "away": self._away,
            "asleep": self._asleep,
            "full": self._full,
            "bits": self._bits,
            "reseed": self._reseed,
        }
        self._cluster = cluster
        self._nodes = nodes
        self._rng = rng
        self._journal = journal
        self._longest = longest

    def _away(self) -> None:
        """A node is stopped in order, and comes back when the stream was trimmed."""
        name = self._rng.choice(NAMES)
        with self._noted("away", name), self._stopped(name):
            self._wait(AWAY_SECONDS)
        self._wait_until_whole()

    def _asleep(self) -> None:
        """All processes of a node stand still at once, as a virtual machine that is moved."""
        name = self._rng.choice(NAMES)
        server = self._nodes[name]
        with self._noted("asleep", name), server.all_suspended():
            self._wait(ASLEEP_SECONDS)
        server.wait_until_running()

    def _full(self) -> None:
        """The disks of one or two nodes are full."""
        names = self._rng.sample(NAMES, self._rng.choice([1, 1, 2]))
        homes = [self._nodes[name].home for name in names]
        with self._noted("full", *names):
            end = time.monotonic() + self._seconds(FULL_SECONDS)
            try:
                # Again and again: hub and NATS leave some space when they meet the end of it.
                while time.monotonic() < end:
                    for home in homes:
                        fill(home)
                    time.sleep(0.5)
            finally:
                for home in homes:
                    free(home)
        self._wait_until_whole()

    def _bits(self) -> None:
        """Bits of the files of a NATS server are flipped while its node is stopped."""
        name = self._rng.choice(NAMES)
        with self._noted("bits", name), self._stopped(name):
            for path in stream_files(self._nodes[name].home):
                flip_bits(path, self._rng, FLIPPED_BITS)
        self._wait_until_whole()

    def _reseed(self) -> None:
        """The stream is lost, or not, and made anew from the longest log."""
        is_deleted = self._rng.random() < 0.5
        with self._noted("reseed", *NAMES):
            if is_deleted:
                # Without a majority at this moment it stays.
                with suppress(SubprocessError):
                    delete_stream(self._cluster.nodes[self._rng.choice(NAMES)])
                self._wait((1.0, 5.0))
            with self._stopped(*NAMES):
                reseed_stopped(self._cluster)
        self._wait_until_whole()

    # --- what they share --------------------------------------------------------------------------------

    @contextmanager
    def _stopped(self, *names: str) -> Iterator[None]:
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: self._nodes[name].stop(), names))
        try:
            yield
        finally:
            for name in names:
                self._nodes[name].keep_running()

    @contextmanager
    def _noted(self, kind: str, *nodes: str) -> Iterator[None]:
        self._journal.write(kind, nodes=nodes)
        try:
            yield
        finally:
            self._journal.write("mended", nodes=nodes)

    def _wait_until_whole(self) -> None:
        """The next fault may not meet a node that lacks the stream: two such nodes are a lost stream."""
        for server in self._nodes.values():
            server.wait_until_running()
        wait_until(lambda: is_whole(self._cluster), WHOLE_SECONDS, "the log and the stream on all nodes")

    def _wait(self, span: tuple[float, float]) -> None:
        time.sleep(self._seconds(span))

    def _seconds(self, span: tuple[float, float]) -> float:
        return min(self._longest * 4, self._rng.uniform(*span))


def is_whole(cluster: Cluster) -> bool:
    """Whether a node says that all nodes answer, and have the log and the whole stream.

    Under load one is always a message behind for another; that it is told once is enough.
    """
    return any(_sees_all(cluster.status(name)) for name in NAMES)


def _sees_all(status: dict[str, Any]) -> bool:
    members = status.get("members", [])
    return len(members) == len(NAMES) and all(
        one["answers"] and one["has_log"] and one["stream_current"] for one in members
    )


def stream_files(home: Path) -> list[Path]:
    """The files with the messages of the stream and of Raft in a home.

    Not Raft's snapshots: with a damaged one nats-server does not start any more; the node is to be replaced.
    """
    return sorted((home / "data" / "stream").rglob("*.blk"))


def flip_bits(path: Path, rng: random.Random, count: int) -> None:
    """Flip bits of a file, which may be the same."""
    data = bytearray(path.read_bytes())
    for _ in range(count if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
