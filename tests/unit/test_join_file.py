"""The file with which a machine joins a cluster: private, of use for a day, void after any change."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatd.cli.join_file import VALID, JoinFile, read_join_file, write_join_file
from chatd.errors import ChatdError
from chatd.proto.signatures import TIME_FORMAT

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    content = JoinFile(
        server="lab",
        node="b",
        made=NOW.strftime(TIME_FORMAT),
        expires=(NOW + VALID).strftime(TIME_FORMAT),
        ticket="0" * 32,
        settings={"server": {"name": "lab"}},
        files={"certs/ca.pem": "text"},
    )
    write_join_file(tmp_path / "b.join", content)
    return tmp_path / "b.join"


def test_it_is_private_and_read_as_it_was_written(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_join_file(file, NOW + VALID - timedelta(seconds=1)).files == {"certs/ca.pem": "text"}


def test_it_never_replaces_another_file(file: Path) -> None:
    with pytest.raises(ChatdError, match="E606"):
        write_join_file(file, read_join_file(file, NOW))


def test_it_ends_after_a_day(file: Path) -> None:
    with pytest.raises(ChatdError, match=r"was valid until 2026-12-02.*E623"):
        read_join_file(file, NOW + VALID)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "node": lambda tree: tree.update(node="c"),
    "expiry": lambda tree: tree.update(expires="2027-12-01T12:00:00Z"),
    "settings": lambda tree: tree["settings"]["server"].update(name="other"),
    "file": lambda tree: tree["files"].update({"certs/ca.pem": "other"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_one_is_refused(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tree = json.loads(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))
    with pytest.raises(ChatdError, match=r"was changed.*E623"):
        read_join_file(file, NOW)


BROKEN = {
    "half": lambda text: text[: len(text) // 2],
    "empty": lambda _: "",
    "list": lambda _: "[]",
    "deep": lambda _: "[" * 100_000,
    "time": lambda text: text.replace("2026-12-02T12:00:00Z", "tomorrow"),
    "outside": lambda text: text.replace("certs/ca.pem", "certs/../../ca.pem"),
    "absolute": lambda text: text.replace("certs/ca.pem", "/etc/passwd.pem"),
}


@pytest.mark.parametrize("breaking", BROKEN.values(), ids=BROKEN)
def test_what_is_no_join_file_is_refused(file: Path, breaking: Callable[[str], str]) -> None:
    file.write_text(breaking(file.read_text()))
    with pytest.raises(ChatdError, match=r"is no join file.*E623"):
        read_join_file(file, NOW)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChatdError, match=r"none\.join.*E606"):
        read_join_file(tmp_path / "none.join", NOW)
