"""JSON nested deeper than Python's recursion limit is damage like any other to whoever reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chatctl.client import _state_store
from chatctl.window import drafts
from chatd.child.json_channel import ChannelClosedError, _parse
from chatd.errors import ChatdError
from chatd.hub.recovery import snapshot_agrees
from chatd.logs.capture import _route
from chatd.store.branches import read_lineage
from chatd.store.database import connect_writer, set_meta
from chatd.store.export_verifier import check_export
from chatd.store.redactions import covers
from chatd.supervisor.pid_lock import CHILDREN_FILE, kill_leftovers
from tests.support.storelog import filled

NESTED = "[" * 100_000


@pytest.mark.parametrize(
    "judge",
    [
        lambda: snapshot_agrees(iter(()), 0, NESTED.encode()),
        lambda: covers("redacted", "#a", NESTED, 1, "#a"),
        lambda: check_export([NESTED.encode()], lambda done, of: None).ok,
        lambda: _route(NESTED.encode(), "worker-1") is not None,
        lambda: _state_store._lineage(NESTED) != (),
    ],
    ids=["snapshot", "redaction", "export", "log line", "lineage of a cursor"],
)
def test_it_counts_as_damaged(judge: Callable[[], bool]) -> None:
    assert not judge()


def test_it_ends_a_channel() -> None:
    with pytest.raises(ChannelClosedError):
        _parse(NESTED.encode())


def test_files_with_it_count_as_missing(tmp_path: Path) -> None:
    (tmp_path / CHILDREN_FILE).write_text(NESTED)
    assert kill_leftovers(tmp_path) == []
    (tmp_path / "drafts").write_text(NESTED)
    assert drafts._read(tmp_path / "drafts") == {}


@pytest.mark.parametrize("pid", [2**80, -1, 0])
def test_a_record_of_an_impossible_process_is_ignored(tmp_path: Path, pid: int) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (tmp_path / CHILDREN_FILE).write_text(
        f'{{"boot": "{boot}", "children": [{{"pid": {pid}, "started": 1}}]}}'
    )
    assert kill_leftovers(tmp_path) == []


def test_a_lineage_with_it_is_e610(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    connection = connect_writer(tmp_path)
    try:
        set_meta(connection, "lineage", NESTED)
        with pytest.raises(ChatdError) as caught:
            read_lineage(connection)
    finally:
        connection.close()
    assert caught.value.code == "E610"
