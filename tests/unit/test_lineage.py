"""Lineages: the common point of two logs, storage in the log, the branch that a restore adds."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.errors import ChatdError
from chatd.proto.lineage import LINEAGE_LIMIT, Branch, common_point, parse_lineage, trimmed
from chatd.proto.plain_model import Unfit
from chatd.store.branches import begin_branch
from chatd.store.database import DATABASE_NAME
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.verifier import verify


def branch(name: str, began: int) -> Branch:
    return Branch(id=name * 32, began=began)


A = branch("a", 0)


@pytest.mark.parametrize(
    ("known", "current", "point"),
    [
        ([A], [A], None),
        ([A], [A, branch("b", 50)], 50),
        # After two restores the first one decides, even if the client's log was longer.
        ([A], [A, branch("b", 50), branch("c", 180)], 50),
        ([A, branch("b", 50)], [A, branch("b", 50), branch("c", 180)], 180),
        # Another restore of the same backup, or of an older or newer one.
        ([A, branch("b", 50)], [A, branch("c", 50)], 50),
        ([A, branch("b", 50)], [A, branch("c", 30)], 30),
        ([A, branch("b", 30)], [A, branch("c", 50)], 30),
        # An old log put back without a restore.
        ([A, branch("b", 50)], [A], 50),
        ([A], [branch("x", 0)], 0),
        # A client without a lineage may have missed every restore.
        ([], [A], None),
        ([], [A, branch("b", 50)], 50),
        ([A], [], None),
    ],
)
def test_the_common_point_is_where_the_logs_diverge(
    known: list[Branch], current: list[Branch], point: int | None
) -> None:
    assert common_point(known, current) == point


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=LINEAGE_LIMIT * 2), st.data())
def test_trimming_never_moves_the_common_point_forward(begins: list[int], data: st.DataObject) -> None:
    lineage = [Branch(id=f"{n:032x}", began=began) for n, began in enumerate([0, *sorted(begins)])]
    kept = trimmed(lineage)
    assert len(kept) <= LINEAGE_LIMIT
    assert (kept[0], kept[-1].id) == (lineage[0], lineage[-1].id)
    known = lineage[: data.draw(st.integers(1, len(lineage)))]
    exact, trimmed_point = common_point(known, lineage), common_point(trimmed(known), kept)
    assert trimmed_point is None if exact is None else trimmed_point is not None and trimmed_point <= exact


@pytest.mark.parametrize("malformed", [None, {}, "[]", [1], [{"id": "a"}], [{"id": "a" * 32, "began": "1"}]])
def test_invalid_lineages_are_refused(malformed: object) -> None:
    with pytest.raises(Unfit):
        parse_lineage(malformed)


def append_entries(data: Path, count: int) -> tuple[Branch, ...]:
    """Append ``count`` entries; return the log's lineage."""
    log = EventLog.open(data, now=1)
    log.append([Entry(log.head + n, 1, "joined", "#a", None, None, None, b"{}") for n in range(1, count + 1)])
    log.close()
    return log.lineage


def test_each_restore_adds_a_branch(tmp_path: Path) -> None:
    (first,) = append_entries(tmp_path, 3)
    assert first.began == 0
    assert append_entries(tmp_path, 2) == (first,)
    begin_branch(tmp_path, 5)
    first_again, second = append_entries(tmp_path, 1)
    assert (first_again, second.began) == (first, 5)
    begin_branch(tmp_path, 6)
    third = append_entries(tmp_path, 1)
    assert third[:2] == (first, second)
    assert len({branch.id for branch in third}) == 3
    assert verify(tmp_path, full=True).ok


def test_unrelated_logs_have_no_event_in_common(tmp_path: Path) -> None:
    assert common_point(append_entries(tmp_path / "one", 1), append_entries(tmp_path / "other", 1)) == 0


def test_a_damaged_lineage_is_reported(tmp_path: Path) -> None:
    append_entries(tmp_path, 1)
    connection = apsw.Connection(str(tmp_path / DATABASE_NAME))
    connection.execute("INSERT INTO meta VALUES ('lineage', '[{]')")
    connection.close()
    with pytest.raises(ChatdError, match="E610"):
        EventLog.open(tmp_path, now=1)
