"""A file that makes way for another one of its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatd.durable_files import set_aside
from chatd.errors import ChatdError


def test_the_file_keeps_its_content_under_the_new_name(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    path.write_text("former")
    (tmp_path / "identity.pem.old").write_text("older")
    old = set_aside(path)
    assert (old.name, old.read_text(), path.exists()) == ("identity.pem.old", "former", False)


def test_a_file_that_cannot_be_renamed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    path.write_text("former")
    (tmp_path / "identity.pem.old").mkdir()
    with pytest.raises(ChatdError, match=r"identity\.pem cannot be renamed: .*") as refused:
        set_aside(path)
    assert refused.value.code == "E606" and path.exists()
