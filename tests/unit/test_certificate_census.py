"""Counts of devices by when their certificates end, also with more devices than one look counts."""

from __future__ import annotations

import pytest

from chatd.hub import certificate_census
from chatd.hub.certificate_census import CertificateCensus
from chatd.hub.state.entities import DAY_MS, Device, User
from chatd.hub.state.state_tables import StateTables

NOW = 1_800_000_000_000


def state(*ends: int | None, revoked: int = 0) -> StateTables:
    """Users with one device each that ends in so many days, and some whose device is revoked."""
    tables = StateTables()
    for number, days in enumerate(ends):
        at = None if days is None else NOW + days * DAY_MS
        tables.users[f"u{number:04}"] = User(devices={"laptop": Device("1", ends=at)})
    for number in range(revoked):
        tables.users[f"r{number}"] = User(devices={"laptop": Device("1", revoked=True, ends=NOW)})
    tables.user_names.clear()
    for name in tables.users:
        tables.user_names.add(name)
    return tables


def test_devices_are_counted_by_the_days_left() -> None:
    counts = CertificateCensus().look(state(-90, 0, 1, 7, 8, 30, 31, 365, None, revoked=2), NOW)
    assert counts == {"past": 2, "7d": 2, "30d": 2, "later": 2}


def test_without_devices_there_are_zeros() -> None:
    assert set(CertificateCensus().look(state(), NOW).values()) == {0}


def test_a_look_is_bounded_and_the_last_complete_counts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_census, "LOOKED_AT", 10)
    census, tables = CertificateCensus(), state(*[5] * 25)
    assert census.look(tables, NOW) == census.look(tables, NOW) == {}
    assert census.look(tables, NOW)["7d"] == 25
    # The next count begins, and a user that has gone meanwhile is not in it.
    del tables.users["u0024"]
    tables.user_names.discard("u0024")
    assert [census.look(tables, NOW)["7d"] for _ in range(3)] == [25, 25, 24]
