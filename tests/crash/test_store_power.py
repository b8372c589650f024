"""Power cuts and failing disks: the event log loses no acknowledged entry."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from chatd.errors import ChatdError
from chatd.store import database, event_log
from chatd.store.event_log import EventLog
from chatd.store.verifier import verify
from tests.support.storelog import NOW, assert_holds, entries
from tests.support.vfs import Disk, PowerCut, mounted

CUTS = int(os.environ.get("CHATD_TEST_CUTS", "40"))
SEED = int(os.environ.get("CHATD_TEST_SEED", "1"))


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "CHECKPOINT_PAGES", 12)


def _scenario(data: Path, vfs: str, acked: list[int]) -> None:
    """Append batches in two runs; add the head to ``acked`` after each commit."""
    for batches in (8, 6):
        log = EventLog.open(data, now=NOW, vfs=vfs)
        try:
            for batch in range(batches):
                log.append(entries(log.head + 1, 1 + batch % 5))
                acked.append(log.head)
            log.save_snapshot(log.head, b"state" * 2000)
        finally:
            log.close()


def _run(data: Path, disk: Disk) -> int:
    """Run the scenario until it ends or the disk fails; return the last acknowledged seq."""
    acked = [0]
    with mounted(disk) as vfs:
        try:
            _scenario(data, vfs, acked)
        except ChatdError as error:
            assert error.code == "E504"
        except PowerCut:
            pass
    return acked[-1]


def _cut_at(number: int) -> Callable[[int], None]:
    def before(operation: int) -> None:
        if operation >= number:
            raise PowerCut

    return before


def _after_cut(tmp_path: Path, number: int, rng: random.Random) -> tuple[Path, int]:
    disk = Disk(_cut_at(number))
    acked = _run(tmp_path / f"live{number}", disk)
    after = tmp_path / f"after{number}"
    disk.restart_in(after, rng)
    return after, acked


def _operations(tmp_path: Path) -> int:
    disk = Disk()
    assert _run(tmp_path / "uninterrupted", disk) > 0
    return disk.operations


def test_a_power_cut_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    total = _operations(tmp_path)
    rng = random.Random(SEED)
    for number in sorted(rng.sample(range(1, total + 1), min(CUTS, total))):
        after, acked = _after_cut(tmp_path, number, rng)
        assert_holds(after, acked)
        report = verify(after, full=True)
        assert report.ok, (SEED, number, report)


def test_a_power_cut_loses_entries_with_synchronous_normal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control experiment: the same cuts with synchronous=NORMAL lose entries, and the mark reveals it."""
    monkeypatch.setattr(database, "SYNCHRONOUS", "NORMAL")
    monkeypatch.setattr(database, "_SYNCHRONOUS_FULL", 1)
    total = _operations(tmp_path)
    rng = random.Random(SEED)
    codes = []
    for number in range(total // 4, total, 7):
        after, acked = _after_cut(tmp_path, number, rng)
        try:
            assert_holds(after, acked)
        except ChatdError as error:
            codes.append(error.code)
    assert codes
    assert set(codes) == {"E610"}


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_operation_loses_no_acknowledged_entry(
    tmp_path: Path, number: int, sticky: bool
) -> None:
    """Fail the nth operation for growing n until the scenario ends before it."""
    failures = 0
    for nth in range(1, 10_000):
        failed_operations: list[int] = []

        def before(operation: int, nth: int = nth, failed_operations: list[int] = failed_operations) -> None:
            if operation == nth or (sticky and operation > nth):
                failed_operations.append(operation)
                raise _disk_error(number)

        data = tmp_path / f"n{nth}"
        acked = _run(data, Disk(before))
        if not failed_operations:
            break
        failures += 1
        assert_holds(data, acked)
        assert verify(data, full=True).ok
    assert failures > 30


def test_entries_of_a_failed_sync_are_rewritten(tmp_path: Path) -> None:
    """A batch whose sync failed may still be in the page cache; an open that finds it makes it durable."""
    rng = random.Random(SEED)
    found_again = 0
    for nth in range(1, _operations(tmp_path) + 1):

        def before(operation: int, nth: int = nth) -> None:
            if operation == nth:
                raise _disk_error(errno.EIO)

        disk = Disk(before)
        acked = _run(tmp_path / f"live{nth}", disk)
        with mounted(disk) as vfs:
            log = EventLog.open(tmp_path / f"live{nth}", now=NOW, vfs=vfs)
            disk.restart_in(tmp_path / f"after{nth}", rng)
            found_again += log.head > acked
            assert_holds(tmp_path / f"after{nth}", log.head)
            log.close()
    assert found_again > 3


class _FullError(apsw.FullError, OSError):
    """SQLite reports it as SQLITE_FULL, the mark as ENOSPC."""


class _IoError(apsw.IOError, OSError):
    """SQLite reports it as SQLITE_IOERR, the mark as EIO."""


def _disk_error(number: int) -> Exception:
    return _FullError("no space") if number == errno.ENOSPC else _IoError("disk error")


def test_the_log_refuses_writes_after_a_failure(tmp_path: Path) -> None:
    failing = [False]

    def before(_operation: int) -> None:
        if failing[0]:
            raise _disk_error(errno.ENOSPC)

    with mounted(Disk(before)) as vfs:
        log = EventLog.open(tmp_path, now=NOW, vfs=vfs)
        log.append(entries(1, 3))
        failing[0] = True
        with pytest.raises(ChatdError, match="E504"):
            log.append(entries(4, 3))
        failing[0] = False
        with pytest.raises(ChatdError, match="accepts no more writes"):
            log.append(entries(4, 3))
        assert log.find("alice/laptop", entries(2, 1)[0].msg_id or b"") is not None
        assert log.head == 3
        log.close()
    assert_holds(tmp_path, 3)
