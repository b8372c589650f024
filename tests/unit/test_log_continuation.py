"""The log of another node replaces this one only if it has everything that this one has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chatd.errors import ChatdError
from chatd.nats.log_fetch import require_continuation
from tests.support.storelog import filled


def lengthened(data: Path, copy: Path, count: int) -> None:
    """Copy a log of no process, and fill the copy up to ``count`` entries."""
    shutil.copytree(data, copy)
    filled(copy, count).close()


@pytest.fixture
def short(tmp_path: Path) -> Path:
    filled(tmp_path / "short", 5).close()
    return tmp_path / "short"


def test_a_longer_or_equal_log_of_the_same_beginning_is_taken(short: Path, tmp_path: Path) -> None:
    lengthened(short, tmp_path / "longer", 9)
    require_continuation(short, tmp_path / "longer", "b")
    require_continuation(short, short, "b")
    require_continuation(tmp_path / "nothing", short, "b")


def test_a_node_that_is_behind_is_asked_again(short: Path, tmp_path: Path) -> None:
    lengthened(short, tmp_path / "longer", 9)
    with pytest.raises(OSError, match="the log of node b ends at event 5, the one here at 9"):
        require_continuation(tmp_path / "longer", short, "b")


@pytest.mark.parametrize("count", [5, 9])
def test_a_log_of_another_course_is_refused(short: Path, tmp_path: Path, count: int) -> None:
    filled(tmp_path / "other", count).close()
    for own, copy in ((short, tmp_path / "other"), (tmp_path / "other", short)):
        with pytest.raises(ChatdError) as refused:
            require_continuation(own, copy, "b")
        assert refused.value.code == "E621"
