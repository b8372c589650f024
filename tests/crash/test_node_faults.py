"""The parts of the faults of whole nodes that need no cluster; `tests.crash.test_partitions` injects some."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from tests.chaos.journal import Journal
from tests.chaos.node_faults import flip_bits, is_whole, stream_files
from tests.chaos.trial_server import TrialServer
from tests.support.cluster import Cluster
from tests.support.daemon import wait_until

WHOLE = {"answers": True, "has_log": True, "stream_current": True}


class Told:
    """A cluster of which each node tells the same."""

    def __init__(self, members: list[dict[str, Any]]) -> None:
        self._members = members

    def status(self, _: str) -> dict[str, Any]:
        return {"members": self._members}


@pytest.mark.parametrize(
    ("members", "whole"),
    [
        ([WHOLE] * 3, True),
        ([WHOLE] * 2, False),
        ([], False),
        *(([WHOLE, WHOLE, WHOLE | {lacking: False}], False) for lacking in WHOLE),
    ],
)
def test_a_cluster_is_whole_if_all_nodes_have_all(members: list[dict[str, Any]], whole: bool) -> None:
    assert is_whole(cast(Cluster, Told(members))) is whole


def test_bits_of_stream_and_raft_are_flipped(tmp_path: Path) -> None:
    stream = tmp_path / "data" / "stream" / "routed"
    files = [stream / "msgs" / "1.blk", stream / "raft" / "msgs" / "1.blk", stream / "meta.inf"]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
    assert stream_files(tmp_path) == sorted(files[:2])
    flip_bits(files[0], random.Random(1), 3)
    data = files[0].read_bytes()
    assert len(data) == 1000
    assert 1 <= sum(byte.bit_count() for byte in data) <= 3
    files[1].write_bytes(b"")
    flip_bits(files[1], random.Random(1), 3)
    assert files[1].read_bytes() == b""


def test_all_processes_of_a_node_stand_still_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = TrialServer(tmp_path, Journal(tmp_path / "faults.jsonl"))
    processes = {name: subprocess.Popen(["sleep", "600"]) for name in ("hub", "worker-1", "supervisor")}
    pids = {name: process.pid for name, process in processes.items()}
    monkeypatch.setattr(server, "pids", lambda: pids)

    def states() -> set[str]:
        return {psutil.Process(pid).status() for pid in pids.values()}

    try:
        with server.all_suspended():
            wait_until(lambda: states() == {psutil.STATUS_STOPPED})
            processes["hub"].kill()
            processes["hub"].wait()
            del pids["hub"]
        wait_until(lambda: psutil.STATUS_STOPPED not in states())
        assert server.struck == {"stop supervisor": 1, "stop hub": 1, "stop worker": 1}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
