"""The copies of a cluster's stream that a trial keeps, one of each node (`stream_copy`)."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.chaos.journal import read_journal
from tests.support.cluster import Cluster

END_SECONDS = 120.0


class StreamRecord(NamedTuple):
    """What was copied: messages by the stream's making and their place, and keys by their number.

    ``makings`` is in order. ``twofold``: the places at which two nodes had different messages.
    ``ended``: how many of the copies reached the end of the stream.
    """

    makings: dict[str, dict[int, bytes]]
    keys: dict[int, bytes]
    twofold: list[int]
    ended: int


class Recorders:
    """The processes that copy."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._processes = [
            subprocess.Popen(
                [
                    *node.enter,
                    *(sys.executable, "-m", "tests.chaos.stream_copy"),
                    *(str(node.home), str(folder / f"stream-{name}.jsonl")),
                ],
                stdin=subprocess.PIPE,
                cwd=Path(__file__).parents[2],
            )
            for name, node in cluster.nodes.items()
        ]

    def finish(self) -> None:
        """Let each copy what is left; the nodes must run."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            process.wait(END_SECONDS)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


@contextmanager
def recording(cluster: Cluster, folder: Path) -> Iterator[Recorders]:
    """Copy the stream while the context is open."""
    recorders = Recorders(cluster, folder)
    try:
        yield recorders
    finally:
        recorders.close()


def read_record(folder: Path) -> StreamRecord:
    """Put the copies in ``folder`` together."""
    makings: dict[str, dict[int, bytes]] = {}
    keys: dict[int, bytes] = {}
    twofold, ended = set(), 0
    for path in sorted(folder.glob("stream-*.jsonl")):
        for line in read_journal(path):
            if line["k"] == "stored":
                data = base64.b64decode(line["data"])
                if makings.setdefault(line["made"], {}).setdefault(line["seq"], data) != data:
                    twofold.add(line["seq"])
            elif line["k"] == "key":
                keys[line["n"]] = bytes.fromhex(line["key"])
            ended += line["k"] == "end"
    return StreamRecord(dict(sorted(makings.items())), keys, sorted(twofold), ended)
