"""The file of drafts: bounded, private, and no trouble when it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatctl.window.drafts import CHARS_LIMIT, DRAFTS_LIMIT, FILE_NAME, Drafts


def written(folder: Path, drafts: dict[str, str]) -> Path:
    keeping = Drafts(folder)
    keeping.keep(drafts)
    keeping.close()
    return folder / FILE_NAME


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    drafts = {"#lobby": "half\na \U0001f468\u200d\U0001f469 thought", "@alice,bob": "psst"}
    path = written(tmp_path / "made", {**drafts, "#war": " \n"})
    assert Drafts(tmp_path / "made").kept == drafts
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [FILE_NAME]
    written(tmp_path / "made", {})
    assert not path.exists()


def test_the_first_ones_are_kept_where_they_are_too_many(tmp_path: Path) -> None:
    many = {f"#r{number}": f"text {number}" for number in range(DRAFTS_LIMIT + 5)}
    written(tmp_path, many)
    assert Drafts(tmp_path).kept == dict(list(many.items())[:DRAFTS_LIMIT])
    # In the widest of letters, and all of it can be read again.
    wide = {"#a": "\U0001f468" * (CHARS_LIMIT - 2), "#b": "does not fit"}
    path = written(tmp_path, wide)
    assert Drafts(tmp_path).kept == {"#a": wide["#a"]}
    assert path.stat().st_size > 12 * (CHARS_LIMIT - 2)


def test_a_second_window_that_changed_nothing_takes_nothing_away(tmp_path: Path) -> None:
    second = Drafts(tmp_path)
    written(tmp_path, {"#lobby": "of the first"})
    second.keep({})
    second.close()
    assert Drafts(tmp_path).kept == {"#lobby": "of the first"}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1]", b'{"#lobby": 5}', b"[" * 100_000])
def test_a_damaged_file_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert Drafts(tmp_path).kept == {}


def test_a_link_is_not_followed_and_what_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"#lobby": "of somebody else"}))
    (tmp_path / FILE_NAME).symlink_to(other)
    assert Drafts(tmp_path).kept == {}
    written(tmp_path, {"#lobby": "mine"})
    assert "somebody else" in other.read_text()
    assert Drafts(tmp_path).kept == {"#lobby": "mine"}
    written(other, {"#lobby": "lost"})
