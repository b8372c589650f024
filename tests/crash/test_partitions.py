"""A short trial with the wires of a cluster cut, and what its checkers find; needs root and nft."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import pytest

from tests.chaos import partitions
from tests.chaos.checker import Run, Verdict
from tests.chaos.journal import Line
from tests.chaos.secret_search import find_secrets
from tests.chaos.session_cuts import check_cuts
from tests.support import wired_network
from tests.support.wired_network import Network

SEED = int(os.environ.get("CHATD_TEST_SEED", "0")) or secrets.randbelow(1_000_000)
WHY_NOT = wired_network.missing()
PORT = 5000
ADDRESSES = {"10.0.0.1:5000": "a"}
BAN: list[Line] = [
    {"k": "do", "t": 10.0, "n": 1, "op": "ban", "user": "eve", "arg": ""},
    {"k": "did", "t": 10.1, "n": 1},
]


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_cut_wires_break_no_rule(tmp_path: Path) -> None:
    result = partitions.run(
        tmp_path,
        faults=2,
        kinds=["leader", "deaf", "lost", "delay"],
        seed=SEED,
        minutes=0.2,
        talkers=1,
        longest=3.0,
        pause=0.5,
        cut_seconds=20.0,  # the box is busy with other tests
    )
    assert result["findings"] == {}, result
    assert result["acknowledged"] > 0
    assert result["redacted"] > 0


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_a_wire_is_cut_one_way() -> None:
    with Network(["one", "two"]) as wired:
        with wired.inside("two"):
            here = socket.socket(type=socket.SOCK_DGRAM)
            here.bind(("", PORT))
        with wired.inside("one"):
            there = socket.socket(type=socket.SOCK_DGRAM)
            there.bind(("", PORT))
        with here, there:
            here.settimeout(5.0)
            there.settimeout(5.0)
            to_two, to_one = (wired.addresses["two"], PORT), (wired.addresses["one"], PORT)
            there.sendto(b"before", to_two)
            assert here.recv(10) == b"before"
            wired.cut([("one", "two")])
            there.sendto(b"lost", to_two)
            here.sendto(b"heard", to_one)
            assert there.recv(10) == b"heard"
            wired.mend([("one", "two")])
            there.sendto(b"after", to_two)
            assert here.recv(10) == b"after"


def eve(*lines: Line) -> Run:
    return Run(
        "eve/laptop", 1, False, None, [{"k": "open", "t": 1.0, "head": 1, "at": "10.0.0.1:5000"}, *lines]
    )


def not_cut(run: Run, faults: list[Line]) -> list[str]:
    verdict = Verdict()
    check_cuts(verdict, [run], BAN, ADDRESSES, {"a": faults}, 1.0)
    return [finding.kind for finding in verdict.findings]


def test_a_session_that_outlives_a_ban_is_found() -> None:
    alive: Line = {"k": "see", "t": 12.0, "s": 5}
    assert not_cut(eve(alive), []) == ["not cut"]
    assert not_cut(eve({"k": "gone", "t": 12.0}), []) == ["not cut"]
    assert not_cut(eve({"k": "gone", "t": 10.5}), []) == []


def test_a_node_that_was_cut_off_cannot_know() -> None:
    cut: list[Line] = [{"k": "cut", "t": 9.0, "nodes": ["a"]}, {"k": "mended", "t": 14.0, "nodes": ["a"]}]
    assert not_cut(eve({"k": "see", "t": 12.0, "s": 5}), cut) == []
    # A process that went on meanwhile does not mend the wire.
    stopped: list[Line] = [{"k": "stop", "t": 3.0, "nodes": ["a"]}, {"k": "cont", "t": 4.0, "nodes": ["a"]}]
    assert not_cut(eve({"k": "see", "t": 12.0, "s": 5}), [*stopped[:1], *cut[:1], stopped[1]]) == []


def test_a_secret_is_found_in_any_file(tmp_path: Path) -> None:
    hidden = tmp_path / "data" / "stream" / "obs" / "1.blk"
    hidden.parent.mkdir(parents=True)
    hidden.write_bytes(bytes(5000) + b"secret-1" + bytes(5000))
    found = list(find_secrets({"a": tmp_path}, [b"secret-1", b"secret-2"]))
    assert found == [("a/data/stream/obs/1.blk", 1)]
    assert list(find_secrets({"a": tmp_path}, [b"secret-2"])) == []
