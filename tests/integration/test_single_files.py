"""The clients as single files: made without a network of what is installed, run by a bare Python."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.cli.client_files import build, libraries
from chatd.errors import ChatdError
from tests.support.daemon import BIN, Daemon, running
from tests.support.joining import invite

# Debian's Python of this version if there is one, otherwise that of which this environment was made.
OWN = f"python3.{sys.version_info[1]}"
BARE = shutil.which(OWN, path="/usr/bin:/usr/local/bin") or str(Path(sys.base_prefix, "bin", OWN))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `chatd client-bundle` has written, as an operator without a network does."""
    folder = tmp_path_factory.mktemp("bundle")
    offline = {**os.environ, "PIP_NO_INDEX": "1", "http_proxy": "http://127.0.0.1:1"}
    command = [str(BIN / "chatd"), "client-bundle", str(folder)]
    done = subprocess.run(command, env=offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(folder / "chat.pyz"), str(folder / "chatctl.pyz")]
    assert "python3 chat.pyz join HOST:PORT/CODE" in done.stderr
    return folder


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("bundle-server") / "home") as found:
        yield found


def run(home: Path, *words: str, python: str = BARE) -> subprocess.CompletedProcess[str]:
    """Run a file as a member does whose machine has nothing but Python; ``home`` is their folder."""
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run([python, "-I", *words], env=environ, cwd=home, capture_output=True, text=True)


def test_a_member_joins_and_writes_with_one_file(bundle: Path, daemon: Daemon, tmp_path: Path) -> None:
    chat = str(bundle / "chat.pyz")
    joined = run(tmp_path, chat, "join", invite(daemon, "uma"))
    assert joined.returncode == 0, joined.stderr
    assert f"to chat, run: python3 {chat}" in joined.stderr
    sent = run(tmp_path, chat, "send", "lobby", "from one file")
    assert sent.returncode == 0, sent.stderr
    assert "<uma> from one file" in run(tmp_path, chat, "history", "lobby").stdout
    whoami = run(tmp_path, str(bundle / "chatctl.pyz"), "whoami")
    assert whoami.stdout.startswith("uma/"), whoami.stderr


def test_one_file_alone_is_the_same(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "talk.pyz"
    subprocess.run([str(BIN / "chatd"), "client-bundle", str(target)], capture_output=True, check=True)
    assert target.read_bytes() == (bundle / "chat.pyz").read_bytes()
    assert os.access(target, os.X_OK)
    assert [path.name for path in target.parent.iterdir()] == ["talk.pyz"]


def test_another_version_of_python_is_told_which_one_it_takes(bundle: Path, tmp_path: Path) -> None:
    chat = str(bundle / "chat.pyz")
    assert run(tmp_path, chat, "--version").returncode == 0
    (cached,) = tmp_path.glob(".cache/chatd/programs/*/site-packages/orjson/*.so")
    cached.rename(cached.with_name("orjson.cpython-399-x86_64-linux-gnu.so"))
    done = run(tmp_path, chat, "--version")
    assert done.returncode == 1
    assert "was made for Python 3.99, and this is Python 3." in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_only_what_clients_need_is_in_it(bundle: Path, tmp_path: Path) -> None:
    assert "apsw" not in libraries()
    assert {"click", "cffi", "pydantic-core"} <= set(libraries())
    run(tmp_path, str(bundle / "chat.pyz"), "--version")
    (packages,) = tmp_path.glob(".cache/chatd/programs/*/site-packages")
    assert (packages / "chatd" / "proto").is_dir()
    assert not (packages / "chatd" / "hub").exists()


def test_without_the_builder_the_operator_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shiv.builder", None)
    with pytest.raises(ChatdError, match="shiv") as told:
        build("chat", tmp_path / "chat.pyz")
    assert "pip install shiv" in told.value.fix
    assert list(tmp_path.iterdir()) == []


OLD = [
    python
    for version in ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")
    if (python := shutil.which(f"python{version}"))
    and not subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode
]


def test_an_old_python_is_told_which_is_needed(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle / "chat.pyz") as archive:
        main = archive.read("__main__.py").decode()
    # Whatever versions are here: no syntax is newer than the oldest that a machine may have.
    ast.parse(main, feature_version=(3, 4))
    assert main.index("sys.version_info") < main.index("_bootstrap")
    for python in OLD:
        refused = subprocess.run(
            [python, str(bundle / "chat.pyz")], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert refused.returncode == 1
        assert "needs Python 3.11 or newer, and this is Python" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_folder_that_cannot_hold_the_libraries_is_named(bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".cache").write_text("a file")
    refused = run(home, str(bundle / "chat.pyz"))
    assert refused.returncode == 1
    assert "cannot unpack into" in refused.stderr and "SHIV_ROOT=FOLDER" in refused.stderr
    assert "Traceback" not in refused.stderr
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SHIV_ROOT": str(tmp_path / "other")}
    command = [BARE, str(bundle / "chat.pyz"), "--version"]
    assert subprocess.run(command, env=environ, check=False, capture_output=True).returncode == 0
