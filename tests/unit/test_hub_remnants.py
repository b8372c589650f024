"""A removed body leaves the write-ahead log as soon as no reader needs it."""

from __future__ import annotations

from pathlib import Path

import apsw

from chatd.hub.upkeep import REMNANT_SECONDS, Remnants
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
