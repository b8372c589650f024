"""A removed body leaves the write-ahead log as soon as no reader needs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw

from chatd.hub.upkeep import REMNANT_SECONDS, Remnants
from chatd.store.event_log import EventLog
from tests.support.storelog import NOW, entry, filled, order

SECRET = "a-removed-secret"


def test_the_write_ahead_log_is_emptied_after_the_last_reader(tmp_path: Path) -> None:
    data, now = tmp_path / "data", NOW / 1000
    log = filled(data, 20)
    log.append([entry(21, room="#lobby", text=SECRET)])
    remnants = Remnants(log, lambda: now)

    def due() -> bool:
        return remnants.due

    reader = apsw.Connection(str(data / "events.db"), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    reader.execute("SELECT max(seq) FROM events").fetchall()
    log.append([order(22, "redacted", "#lobby", target=21)], {21: 22})
    assert not due()
    remnants.add()
    assert due()
    remnants.remove()
    assert not due(), "the next attempt waits"
    assert SECRET.encode() in (data / "events.db-wal").read_bytes()
    now += REMNANT_SECONDS
    assert due()
    remnants.remove()
    reader.close()
    now += REMNANT_SECONDS
    remnants.remove()
    assert (data / "events.db-wal").read_bytes() == b""
    assert SECRET.encode() not in (data / "events.db").read_bytes()
    now += REMNANT_SECONDS
    assert not due()
    log.close()


def test_a_destroyed_key_leaves_the_write_ahead_log(tmp_path: Path) -> None:
    data = tmp_path / "data"
    log = filled(data, 3)
    remnants = Remnants(log)

    def due() -> bool:
        return remnants.due

    key = b"a key that is to be destroyed..."
    assert log.set_values({"tail_key:1": key})
    assert not due()
    assert log.set_values({"tail_key:1": None})
    assert due()
    remnants.remove()
    assert not due()
    assert all(key not in (data / name).read_bytes() for name in ("events.db", "events.db-wal"))
    log.close()


def test_what_a_killed_process_had_removed_leaves_the_write_ahead_log(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    log = filled(data, 3)
    log.append([entry(4, room="#lobby", text=SECRET)])
    log.append([order(5, "redacted", "#lobby", target=4)], {4: 5})
    shutil.copytree(data, copy)  # as it is when the process ends here
    log.close()
    assert SECRET.encode() in (copy / "events.db-wal").read_bytes()
    log = EventLog.open(copy, now=NOW)
    remnants = Remnants(log)
    assert remnants.due
    remnants.remove()
    assert all(SECRET.encode() not in (copy / name).read_bytes() for name in ("events.db", "events.db-wal"))
    log.close()
