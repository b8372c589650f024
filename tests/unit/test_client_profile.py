"""The choice of the identity file, and reading lines from standard input."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path

import pytest

from chatctl.client._profile import find_identity
from chatctl.scripts.standard_input import read_lines
from chatd.errors import ChatdError
from chatd.proto.frames import STRING_LIMIT


def identity(folder: Path, name: str, age: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("x")
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_explicit_options_take_precedence(user_folder: Path) -> None:
    home = user_folder / "h"
    admin = identity(home / "certs" / "identities", "alice-console.pem")
    own = identity(user_folder / ".config" / "chatd", "identity.pem")
    environ = {"CHATD_IDENTITY": "/from/environ", "CHATD_HOME": str(home)}
    assert find_identity("/named", str(home), environ) == Path("/named")
    assert find_identity(None, str(home), environ) == Path("/from/environ")
    assert find_identity(None, str(home), {}) == admin
    assert find_identity(None, None, {"CHATD_HOME": str(home)}) == admin
    assert find_identity(None, None, {}) == own


def test_a_working_directory_that_is_a_home_is_used(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity(user_folder / ".config" / "chatd", "identity.pem")
    admin = identity(user_folder / "h" / "certs" / "identities", "alice-console.pem")
    monkeypatch.chdir(user_folder / "h")
    assert find_identity(None, None, {}) == admin


def test_the_oldest_identity_in_a_home_is_used(user_folder: Path) -> None:
    folder = user_folder / "h" / "certs" / "identities"
    identity(folder, "aaa-new.pem")
    first = identity(folder, "zoe-console.pem", age=60)
    assert find_identity(None, str(user_folder / "h"), {}) == first


def test_only_an_admin_whom_the_settings_name_is_taken_from_a_home(user_folder: Path) -> None:
    home = user_folder / "h"
    (home / "config").mkdir(parents=True)
    settings = {"roles": {"assigned": {"carol": "guest", "zoe": "admin"}}}
    (home / "config" / "settings.json").write_text(json.dumps(settings))
    folder = home / "certs" / "identities"
    for name in ("bob-desk.pem", "carol-desk.pem"):
        identity(folder, name, age=90)
    with pytest.raises(ChatdError, match=r"no identity of zoe \(E608\)"):
        find_identity(None, str(home), {})
    own = identity(folder, "zoe-console.pem")
    identity(folder, "zoey-console.pem", age=90)
    assert find_identity(None, str(home), {}) == own


def test_the_only_identity_of_the_user_is_used(user_folder: Path) -> None:
    only = identity(user_folder / ".config" / "chatd", "work.pem")
    assert find_identity(None, None, {}) == only
    identity(user_folder / ".config" / "chatd", "other.pem")
    with pytest.raises(ChatdError, match=r"other\.pem, work\.pem.*E608"):
        find_identity(None, None, {})


@pytest.mark.parametrize("home", [None, "/nowhere"])
def test_the_error_suggests_a_command(user_folder: Path, home: str | None) -> None:
    with pytest.raises(ChatdError, match="E608") as error:
        find_identity(None, home, {})
    assert re.search("chatd user add|chatd( --home [^ ]+)? init", error.value.fix)


def lines_of(*chunks: bytes) -> list[str]:
    reading, writing = os.pipe()

    def write() -> None:
        for chunk in chunks:
            os.write(writing, chunk)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return [line.text for line in read_lines(reading)]
    finally:
        writer.join()
        os.close(reading)


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"one\r\n\ntwo"], ["one", "", "two"]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"\xff\n"], ["\udcff"]),
        ([b"\xef\xbb\xbfa\r", b"\nb\r\n"], ["a", "b"]),
        ([b"x" * (2 * STRING_LIMIT + 5) + b"\ny"], ["x" * STRING_LIMIT, "x" * STRING_LIMIT, "x" * 5, "y"]),
    ],
)
def test_input_is_split_into_lines_of_bounded_length(chunks: list[bytes], lines: list[str]) -> None:
    assert lines_of(*chunks) == lines
