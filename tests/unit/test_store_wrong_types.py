"""A damaged page can hold a value of another type than its column's; nothing but E610 may come of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest

from chatd.errors import ChatdError
from chatd.store.event_log import EventLog
from chatd.store.verifier import verify
from tests.support.storelog import NOW, entries, filled, order

HEAD = 30
TARGET = 13
EVENT_COLUMNS = ("at", "kind", "room", "device", "msg_id", "digest", "salt", "body_hash", "body", "chain")
# (column, row): an ordinary message, a redacted one and the order that redacts it; then the other tables.
CELLS = [
    *((f"events.{name}", f"seq = {seq}") for name in EVENT_COLUMNS for seq in (7, TARGET, HEAD + 1)),
    *((f"snapshot.{name}", "id = 1") for name in ("seq", "chain", "state_hash", "state")),
    ("erased.by_seq", "1"),
    ("meta.value", "key = 'instance'"),
]
VALUES = ("NULL", "7", "-1", "2.5", "'text'", "x'00ff'")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed log with a redaction, a snapshot and entries after it."""
    data = tmp_path_factory.mktemp("intact") / "data"
    log = filled(data, HEAD)
    log.append([order(HEAD + 1, "redacted", "#war", target=TARGET)], {TARGET: HEAD + 1})
    log.save_snapshot(HEAD + 1, b"state")
    log.append(entries(HEAD + 2, 5))
    log.close()
    return data


def put(data: Path, table: str, assignment: str, row: str) -> None:
    """Assign a value of any type, while the table's schema is set aside."""
    (schema,) = execute(data, ("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)))[0]
    loose = schema.replace(" STRICT, ", " ").replace(" STRICT", "").replace(" NOT NULL", "")
    set_schema = "UPDATE sqlite_schema SET sql = ? WHERE name = ?"
    execute(data, "PRAGMA writable_schema = 1", (set_schema, (loose, table)))
    execute(data, f"UPDATE {table} SET {assignment} WHERE {row}")  # noqa: S608
    execute(data, "PRAGMA writable_schema = 1", (set_schema, (schema, table)))


def execute(data: Path, *statements: str | tuple[str, tuple[str, ...]]) -> list[tuple[Any, ...]]:
    """Run statements on a connection of their own, which reads the schema anew."""
    connection = apsw.Connection(str(data / "events.db"))
    rows: list[tuple[Any, ...]] = []
    for statement in statements:
        sql, bindings = (statement, ()) if isinstance(statement, str) else statement
        rows = connection.execute(sql, bindings).fetchall()
    connection.close()
    return rows


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("cell", "row"), CELLS)
def test_a_value_of_another_type_is_detected_or_harmless(
    cell: str, row: str, value: str, intact: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(intact, data)
    table, _, column = cell.partition(".")
    put(data, table, f"{column} = {value}", row)
    try:
        verify(data, full=True)
    except ChatdError as error:
        assert error.code == "E610"
    try:
        EventLog.open(data, now=NOW).close()
    except ChatdError as error:
        assert error.code == "E610"
