"""A hub on a disk that loses power or fails: everything it acknowledged is in the log afterwards."""

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
from chatd.hub.query_threads import QueryThreads
from chatd.hub.recovery import recover, snapshot_agrees
from chatd.hub.state.context import OPERATOR
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
# Operations 1, 1 + STEP, 1 + 2 * STEP ... fail; the long setting is 1.
STEP = int(os.environ.get("CHATD_TEST_STEP", "9"))
SERIAL = "a1"


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "CHECKPOINT_PAGES", 12)


class Acknowledged:
    """The acknowledged requests: messages by msg_id, and the names of registered and banned users."""

    def __init__(self) -> None:
        self.sent: dict[str, tuple[str, int]] = {}
        self.added: list[str] = []
        self.banned: list[str] = []

    def record(self, request: JsonObject, result: JsonObject) -> None:
        if request["type"] == "send":
            self.sent[request["msg_id"]] = (request["body"], result["seq"])
        elif request["type"] == "user_add":
            self.added.append(request["user"])
        else:
            self.banned.append(request["user"])


class HubRun:
    """One run of a hub. Replies count as acknowledged only once the hub's loop would write them."""

    def __init__(self, log: EventLog, reader: QueryThreads, acknowledged: Acknowledged) -> None:
        self._ends: list[tuple[Link, socket.socket, LinkBuffer]] = []
        for operator in (None, OPERATOR):
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            self._ends.append((Link(ours, operator=operator), theirs, LinkBuffer()))
        self._acknowledged = acknowledged
        self._requests: dict[int, JsonObject] = {}
        self.hub = Hub(log, recover(log), Settings(), reader, lambda: NOW)
        self.hub.links |= {link.number: link for link, _, _ in self._ends}
        self._iterations = 0

    def ask(self, sid: int, kind: str, /, **fields: Any) -> None:
        request_id = len(self._requests) + 1
        self._requests[request_id] = request = {"type": kind, "id": request_id, **fields}
        link = self._ends[not sid][0]  # the operator has no session
        self.hub.take(link, [(["request", sid], encode(request)[HEADER_SIZE:])])

    def log_in(self) -> None:
        self.hub.take(self._ends[0][0], [(["open", 1, "alice", "laptop", SERIAL, "127.0.0.1", False], b"")])

    def run_iteration(self) -> None:
        """Run one iteration of the hub's loop: commit (overlapped every other time), collect the replies."""
        self._iterations += 1
        commit_alternating(self.hub, self._iterations, self._collect_replies)
        self._collect_replies()

    def _collect_replies(self) -> None:
        for link, theirs, buffer in self._ends:
            link.write()
            try:
                data = theirs.recv(1_000_000)
            except BlockingIOError:
                continue
            for header, payload in buffer.feed(data):
                if header[0] == "reply":
                    reply = decode(payload[HEADER_SIZE:])
                    assert reply["type"] == "ok", reply
                    self._acknowledged.record(self._requests[reply["id"]], reply["result"])

    def close(self) -> None:
        for link, theirs, _ in self._ends:
            link.close()
            theirs.close()


@contextmanager
def running_hub(data: Path, vfs: str, acknowledged: Acknowledged) -> Iterator[HubRun]:
    with ExitStack() as stack:
        log = EventLog.open(data, now=NOW, vfs=vfs)
        stack.callback(log.close)
        reader = QueryThreads(data)
        stack.callback(reader.close)
        run = HubRun(log, reader, acknowledged)
        stack.callback(run.close)
        run.run_iteration()
        yield run
        run.hub.log.save_snapshot(run.hub.log.head, run.hub.state.snapshot())


def _conversation(data: Path, vfs: str, acknowledged: Acknowledged) -> None:
    """Two runs in which users are registered, send messages and are banned."""
    for run_number in range(2):
        with running_hub(data, vfs, acknowledged) as run:
            if not run_number:
                run.ask(0, "user_add", user="alice", device="laptop", serial=SERIAL)
            run.log_in()
            for batch in range(6):
                for n in range(1 + batch % 3):
                    number = run_number * 100 + batch * 10 + n
                    run.ask(1, "send", msg_id=f"{number:032x}", to="#lobby", body=f"alice-{number}")
                run.ask(0, "user_add", user=f"u{run_number}-{batch}", device="x", serial=f"{batch}b")
                run.ask(0, "ban", user=f"u{run_number}-{batch}")
                run.run_iteration()


def _resending(data: Path, vfs: str, acknowledged: Acknowledged) -> None:
    """A second run sends every message again, as after a lost acknowledgement."""
    for _ in range(2):
        with running_hub(data, vfs, acknowledged) as run:
            if "alice" not in run.hub.state.users:
                run.ask(0, "user_add", user="alice", device="laptop", serial=SERIAL)
            run.log_in()
            for number in range(12):
                run.ask(1, "send", msg_id=f"{number:032x}", to="#lobby", body=f"alice-{number}")
                run.run_iteration()


def _recovering(data: Path, vfs: str, acknowledged: Acknowledged) -> None:
    """Start on the files of a killed hub, with the whole log still in the WAL; send one more message."""
    with running_hub(data, vfs, acknowledged) as run:
        run.log_in()
        run.ask(1, "send", msg_id="f" * 32, to="#lobby", body="alice-again")
        run.run_iteration()


Scenario = Callable[[Path, str, Acknowledged], None]
SCENARIOS: dict[str, Scenario] = {
    "conversation": _conversation,
    "resending": _resending,
    "recovering": _recovering,
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Acknowledged]:
    """The data folder of a killed hub, and the requests it had acknowledged."""
    folder, acknowledged = tmp_path_factory.mktemp("killed"), Acknowledged()
    with mounted(Disk()) as vfs, running_hub(folder / "live", vfs, acknowledged) as run:
        run.ask(0, "user_add", user="alice", device="laptop", serial=SERIAL)
        run.log_in()
        for number in range(20):
            run.ask(1, "send", msg_id=f"{number:032x}", to="#lobby", body=f"alice-{number}")
            run.run_iteration()
        _copy(folder / "live", folder / "data")
    return folder / "data", acknowledged


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for name in ("events.db", "events.db-wal", "mark"):
        shutil.copyfile(source / name, target / name)


def _prepare(name: str, data: Path, disk: Disk, killed: tuple[Path, Acknowledged]) -> Acknowledged:
    """Set up the files that the scenario starts from; return the requests acknowledged before."""
    acknowledged = Acknowledged()
    if name == "recovering":
        _copy(killed[0], data)
        acknowledged.sent.update(killed[1].sent)
        for path in data.iterdir():
            disk.adopt(path.name, path.read_bytes())
    return acknowledged


def _run(name: str, data: Path, disk: Disk, acknowledged: Acknowledged) -> None:
    with mounted(disk) as vfs:
        try:
            SCENARIOS[name](data, vfs, acknowledged)
        except ChatdError as error:
            assert error.code == "E504", error
        except PowerCut:
            pass


def _check(data: Path, acknowledged: Acknowledged) -> None:
    """Assert that the log verifies and contains everything acknowledged."""
    log = EventLog.open(data, now=NOW)
    reader = LogReader(data)
    try:
        state = recover(log)
        assert set(acknowledged.added) <= set(state.users)
        assert set(acknowledged.banned) <= set(state.bans)
        for msg_id, (body, seq) in acknowledged.sent.items():
            known, entry = log.find("alice/laptop", bytes.fromhex(msg_id)), reader.entry(seq)
            assert known is not None
            assert known.seq == seq
            assert entry is not None
            assert decode(entry.body)["body"] == body
    finally:
        reader.close()
        log.close()
    report = verify(data, full=True, agrees=snapshot_agrees)
    assert report.ok, report


def _operations(name: str, tmp_path: Path, killed: tuple[Path, Acknowledged]) -> int:
    disk = Disk()
    acknowledged = _prepare(name, tmp_path / "uninterrupted", disk, killed)
    before = disk.operations
    _run(name, tmp_path / "uninterrupted", disk, acknowledged)
    _check(tmp_path / "uninterrupted", acknowledged)
    return disk.operations - before


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_power_cut_loses_nothing_acknowledged(
    name: str, tmp_path: Path, killed: tuple[Path, Acknowledged]
) -> None:
    total = _operations(name, tmp_path, killed)
    rng = random.Random(SEED)
    for number in sorted(rng.sample(range(1, total + 1), min(CUTS, total))):
        disk = Disk(_cut_at(number))
        acknowledged = _prepare(name, tmp_path / f"live{number}", disk, killed)
        _run(name, tmp_path / f"live{number}", disk, acknowledged)
        disk.restart_in(tmp_path / f"after{number}", rng)
        _check(tmp_path / f"after{number}", acknowledged)


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_failing_disk_operation_loses_nothing_acknowledged(
    name: str, number: int, sticky: bool, tmp_path: Path, killed: tuple[Path, Acknowledged]
) -> None:
    """Fail the nth operation, or all from the nth on, for growing n until the scenario ends before it."""
    for nth in range(1, 10_000, STEP):
        failed_operations: list[int] = []

        def before(operation: int, nth: int = nth, failed_operations: list[int] = failed_operations) -> None:
            if operation == nth or (sticky and operation > nth):
                failed_operations.append(operation)
                raise _disk_error(number)

        data, disk = tmp_path / f"n{nth}", Disk(before)
        acknowledged = _prepare(name, data, disk, killed)
        _run(name, data, disk, acknowledged)
        if not failed_operations:
            break
        _check(data, acknowledged)
        shutil.rmtree(data)
    assert nth > 20
