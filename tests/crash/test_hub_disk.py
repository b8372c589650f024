"""The hub itself on a disk that loses power or fails: whatever it has told is in the log afterwards."""

from __future__ import annotations

import errno
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.hub import Hub
from chatd.hub.links import Link
from chatd.hub.reads import QueryThread
from chatd.hub.recovery import recover
from chatd.link.wire import LinkBuffer
from chatd.proto.frames import HEADER_SIZE, JsonObject, decode, encode
from chatd.store import event_log
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader
from chatd.store.verifier import verify
from tests.crash.test_store_power import _cut_at, _disk_error
from tests.support.hub_harness import commit_alternating
from tests.support.storelog import NOW
from tests.support.vfs import Disk, PowerCut, mounted

CUTS = int(os.environ.get("CHATD_TEST_CUTS", "12"))
SEED = int(os.environ.get("CHATD_TEST_SEED", "1"))
# Every so many-th operation fails in turn; 1 in the long setting.
STEP = int(os.environ.get("CHATD_TEST_STEP", "9"))
SERIAL = "a1"


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "CHECKPOINT_PAGES", 12)


class Told:
    """What the hub has acknowledged: messages by msg_id, and who was registered and banned."""

    def __init__(self) -> None:
        self.sent: dict[str, tuple[str, int]] = {}
        self.added: list[str] = []
        self.banned: list[str] = []

    def take(self, request: JsonObject, result: JsonObject) -> None:
        if request["type"] == "send":
            self.sent[request["msg_id"]] = (request["body"], result["seq"])
        elif request["type"] == "user_add":
            self.added.append(request["user"])
        else:
            self.banned.append(request["user"])


class Life:
    """One life of a hub: requests go in, replies are taken only once the loop would write them."""

    def __init__(self, log: EventLog, reader: QueryThread, told: Told) -> None:
        ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._link, self._buffer = Link(ours), LinkBuffer()
        self._told = told
        self._asked: dict[int, JsonObject] = {}
        self.hub = Hub(log, recover(log), Settings(), reader, lambda: NOW)
        self.hub.links[self._link.number] = self._link
        self.hub.take(self._link, [(["operator"], b"")])
        self._iterations = 0

    def ask(self, sid: int, kind: str, /, **fields: Any) -> None:
        label = len(self._asked) + 1
        self._asked[label] = request = {"type": kind, "id": label, **fields}
        self.hub.take(self._link, [(["request", sid], encode(request)[HEADER_SIZE:])])

    def log_in(self) -> None:
        self.hub.take(self._link, [(["open", 1, "alice", "laptop", SERIAL, "127.0.0.1", False], b"")])

    def settle(self) -> None:
        """A turn of the loop: commit, then tell. Every other time as if on a thread of its own."""
        self._iterations += 1
        commit_alternating(self.hub, self._iterations, self._tell)
        self._tell()

    def _tell(self) -> None:
        self._link.write()
        try:
            data = self._theirs.recv(1_000_000)
        except BlockingIOError:
            return
        for header, payload in self._buffer.feed(data):
            if header[0] == "reply":
                reply = decode(payload[HEADER_SIZE:])
                assert reply["type"] == "ok", reply
                self._told.take(self._asked[reply["id"]], reply["result"])

    def close(self) -> None:
        self._link.close()
        self._theirs.close()


@contextmanager
def living(data: Path, vfs: str, told: Told) -> Iterator[Life]:
    with ExitStack() as stack:
        log = EventLog.open(data, now=NOW, vfs=vfs)
        stack.callback(log.close)
        reader = QueryThread(data)
        stack.callback(reader.close)
        life = Life(log, reader, told)
        stack.callback(life.close)
        life.settle()
        yield life
        life.hub.log.save_snapshot(life.hub.log.head, life.hub.state.snapshot())


def _conversation(data: Path, vfs: str, told: Told) -> None:
    """Two lives: people are registered, talk, are banned."""
    for life_number in range(2):
        with living(data, vfs, told) as life:
            if not life_number:
                life.ask(0, "user_add", user="alice", device="laptop", serial=SERIAL)
            life.log_in()
            for batch in range(6):
                for n in range(1 + batch % 3):
                    number = life_number * 100 + batch * 10 + n
                    life.ask(1, "send", msg_id=f"{number:032x}", to="#lobby", body=f"alice-{number}")
                life.ask(0, "user_add", user=f"u{life_number}-{batch}", device="x", serial=f"{batch}b")
                life.ask(0, "ban", user=f"u{life_number}-{batch}")
                life.settle()


def _resending(data: Path, vfs: str, told: Told) -> None:
    """Every message is sent again in a second life, as after a lost acknowledgement."""
    for _ in range(2):
        with living(data, vfs, told) as life:
            if "alice" not in life.hub.state.users:
                life.ask(0, "user_add", user="alice", device="laptop", serial=SERIAL)
            life.log_in()
            for number in range(12):
                life.ask(1, "send", msg_id=f"{number:032x}", to="#lobby", body=f"alice-{number}")
                life.settle()


def _recovering(data: Path, vfs: str, told: Told) -> None:
    """Start on what a killed hub has left, its whole log still in the WAL; say one thing more."""
    with living(data, vfs, told) as life:
        life.log_in()
        life.ask(1, "send", msg_id="f" * 32, to="#lobby", body="alice-again")
        life.settle()


Scenario = Callable[[Path, str, Told], None]
SCENARIOS: dict[str, Scenario] = {
    "conversation": _conversation,
    "resending": _resending,
    "recovering": _recovering,
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A folder as a killed hub leaves it, and what it had told."""
    folder, told = tmp_path_factory.mktemp("killed"), Told()
    with mounted(Disk()) as vfs, living(folder / "live", vfs, told) as life:
        life.ask(0, "user_add", user="alice", device="laptop", serial=SERIAL)
        life.log_in()
        for number in range(20):
            life.ask(1, "send", msg_id=f"{number:032x}", to="#lobby", body=f"alice-{number}")
            life.settle()
        _copy(folder / "live", folder / "data")
    return folder / "data", told


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for name in ("events.db", "events.db-wal", "mark"):
        shutil.copyfile(source / name, target / name)


def _begin(name: str, data: Path, disk: Disk, killed: tuple[Path, Told]) -> Told:
    """What was told before; the disk knows the files that are there."""
    told = Told()
    if name == "recovering":
        _copy(killed[0], data)
        told.sent.update(killed[1].sent)
        for path in data.iterdir():
            disk.adopt(path.name, path.read_bytes())
    return told


def _run(name: str, data: Path, disk: Disk, told: Told) -> None:
    with mounted(disk) as vfs:
        try:
            SCENARIOS[name](data, vfs, told)
        except ChatdError as error:
            assert error.code == "E504", error
        except PowerCut:
            pass


def _judge(data: Path, told: Told) -> None:
    """All of it is there, once, in order; and the log is whole."""
    log = EventLog.open(data, now=NOW)
    reader = LogReader(data)
    try:
        state = recover(log)
        assert set(told.added) <= set(state.users)
        assert set(told.banned) <= set(state.bans)
        for msg_id, (body, seq) in told.sent.items():
            known, entry = log.find("alice/laptop", bytes.fromhex(msg_id)), reader.entry(seq)
            assert known is not None
            assert known.seq == seq
            assert entry is not None
            assert decode(entry.body)["body"] == body
    finally:
        reader.close()
        log.close()
    report = verify(data, full=True)
    assert report.ok, report


def _operations(name: str, tmp_path: Path, killed: tuple[Path, Told]) -> int:
    disk = Disk()
    told = _begin(name, tmp_path / "whole", disk, killed)
    before = disk.operations
    _run(name, tmp_path / "whole", disk, told)
    _judge(tmp_path / "whole", told)
    return disk.operations - before


@pytest.mark.parametrize("name", SCENARIOS)
def test_power_cuts(name: str, tmp_path: Path, killed: tuple[Path, Told]) -> None:
    total = _operations(name, tmp_path, killed)
    rng = random.Random(SEED)
    for number in sorted(rng.sample(range(1, total + 1), min(CUTS, total))):
        disk = Disk(_cut_at(number))
        told = _begin(name, tmp_path / f"live{number}", disk, killed)
        _run(name, tmp_path / f"live{number}", disk, told)
        disk.restart_in(tmp_path / f"after{number}", rng)
        _judge(tmp_path / f"after{number}", told)


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_nth_operation_fails(
    name: str, number: int, sticky: bool, tmp_path: Path, killed: tuple[Path, Told]
) -> None:
    """N = 1, 2, 3 ... until the scenario passes."""
    for nth in range(1, 10_000, STEP):
        hit: list[int] = []

        def before(operation: int, nth: int = nth, hit: list[int] = hit) -> None:
            if operation == nth or (sticky and operation > nth):
                hit.append(operation)
                raise _disk_error(number)

        data, disk = tmp_path / f"n{nth}", Disk(before)
        told = _begin(name, data, disk, killed)
        _run(name, data, disk, told)
        if not hit:
            break
        _judge(data, told)
        shutil.rmtree(data)
    assert nth > 20
