"""The drafts file: limits, permissions, several windows, damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatctl.window.drafts import CHARS_LIMIT, DRAFTS_LIMIT, FILE_NAME, Drafts


def save(folder: Path, drafts: dict[str, str]) -> Path:
    saving = Drafts(folder)
    saving.save(drafts)
    saving.close()
    return folder / FILE_NAME


def test_saved_drafts_are_read_back(tmp_path: Path) -> None:
    drafts = {"#lobby": "half\na \U0001f468\u200d\U0001f469 thought", "@alice,bob": "psst"}
    path = save(tmp_path / "state", {**drafts, "#war": " \n"})
    assert Drafts(tmp_path / "state").saved == drafts
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [FILE_NAME]
    save(tmp_path / "state", {})
    assert not path.exists()


def test_drafts_beyond_the_limits_are_dropped(tmp_path: Path) -> None:
    many = {f"#r{number}": f"text {number}" for number in range(DRAFTS_LIMIT + 5)}
    save(tmp_path, many)
    assert Drafts(tmp_path).saved == dict(list(many.items())[:DRAFTS_LIMIT])
    # Even the characters with the longest encoding fit the limit on reading.
    wide = {"#a": "\U0001f468" * (CHARS_LIMIT - 2), "#b": "does not fit"}
    path = save(tmp_path, wide)
    assert Drafts(tmp_path).saved == {"#a": wide["#a"]}
    assert path.stat().st_size > 12 * (CHARS_LIMIT - 2)


def test_a_second_window_without_changes_keeps_the_drafts_of_the_first(tmp_path: Path) -> None:
    second = Drafts(tmp_path)
    save(tmp_path, {"#lobby": "from the first window"})
    second.save({})
    second.close()
    assert Drafts(tmp_path).saved == {"#lobby": "from the first window"}


def test_windows_of_one_identity_keep_each_others_drafts(tmp_path: Path) -> None:
    save(tmp_path, {"#old": "from before"})
    first, second = Drafts(tmp_path), Drafts(tmp_path)
    first.save({"#old": "from before", "#lobby": "from the first"})
    first.close()
    second.save({"#old": "from before", "#war": "from the second"})
    second.save({"#war": "from the second, longer"})
    second.close()
    assert Drafts(tmp_path).saved == {"#lobby": "from the first", "#war": "from the second, longer"}


def test_windows_that_save_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    windows = [Drafts(tmp_path) for _ in range(8)]
    for step in range(10):
        for number, window in enumerate(windows):
            window.save({f"#r{number}": f"step {step}"})
    for window in windows:
        window.close()
    assert Drafts(tmp_path).saved == {f"#r{number}": "step 9" for number in range(8)}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1]", b'{"#lobby": 5}', b"[" * 100_000])
def test_a_damaged_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert Drafts(tmp_path).saved == {}


def test_symbolic_links_are_not_followed_and_write_errors_are_ignored(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"#lobby": "of another user"}))
    (tmp_path / FILE_NAME).symlink_to(other)
    assert Drafts(tmp_path).saved == {}
    save(tmp_path, {"#lobby": "mine"})
    assert "another user" in other.read_text()
    assert Drafts(tmp_path).saved == {"#lobby": "mine"}
    save(other, {"#lobby": "lost"})
