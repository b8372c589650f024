"""An ask or a join that ends early, or meets a file in its way, says what is left and what to do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatctl.client import Sent, state_folder
from chatctl.client._state_store import FileStore
from chatd.pki.identity import read_identity
from tests.support.askers import AskingProgram, asks
from tests.support.daemon import BIN, Daemon, running, wait_until
from tests.support.joining import devices_of, invite, join
from tests.support.questions import answer_on_a_terminal


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("ending") / "home") as daemon:
        yield daemon


def _ask_on_a_terminal(
    daemon: Daemon, user: str, path: Path, answer: bytes, early: bytes = b""
) -> tuple[int, str]:
    """Run `chat ask`, approve it after ``early`` was typed, and answer its question."""
    command = [str(BIN / "chat"), "ask", f"127.0.0.1:{daemon.port}", "--as", user, "--no-chat"]

    def approve(terminal: int) -> None:
        os.write(terminal, early)
        daemon.chatctl("approve", user, "--yes")

    return answer_on_a_terminal(
        [*command, "--identity", str(path)],
        daemon.environ,
        answer,
        until=b"chatctl approve",
        meanwhile=approve,
    )


@pytest.mark.parametrize(("user", "answer"), [("frank", b"n\n"), ("fred", b"\x04")])
def test_a_no_to_the_words_says_what_an_admin_has_to_do(
    daemon: Daemon, tmp_path: Path, user: str, answer: bytes
) -> None:
    path = tmp_path / "identity.pem"
    code, said = _ask_on_a_terminal(daemon, user, path, answer)
    assert code != 0 and not path.exists()
    assert "nothing is kept here" in said and f"chatctl revoke {user} --all" in said
    assert devices_of(daemon, user)
    daemon.chatctl("revoke", user, "--all", "--yes")
    code, _ = _ask_on_a_terminal(daemon, user, path, b"y\n")
    assert (code, read_identity(path).user) == (0, user)


@pytest.mark.parametrize(("user", "early"), [("gil", b"\n\n"), ("hedy", b"n\n"), ("ivo", b"y\n")])
def test_what_is_typed_before_the_question_does_not_answer_it(
    daemon: Daemon, tmp_path: Path, user: str, early: bytes
) -> None:
    path = tmp_path / "identity.pem"
    code, _ = _ask_on_a_terminal(daemon, user, path, b"\nn\n" if early == b"y\n" else b"\ny\n", early)
    assert (code == 0, path.exists()) == (early != b"y\n", early != b"y\n")


def test_a_no_of_an_admin_says_what_is_left(daemon: Daemon, tmp_path: Path) -> None:
    program = AskingProgram(daemon, "jill", tmp_path / "identity.pem")
    program.words()
    command = [str(BIN / "chatctl"), "--home", str(daemon.home), "approve", "jill"]
    code, said = answer_on_a_terminal(command, daemon.environ, b"\n")
    assert (code, "jill was not let in and still asks" in said) == (1, True)
    daemon.chatctl("deny", "jill")
    assert program.finish()[0] == 4


def test_an_identity_that_cannot_be_written_says_the_same(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    program = AskingProgram(daemon, "gus", path)
    program.words()
    path.mkdir()
    daemon.chatctl("approve", "gus", "--yes")
    code, said = program.finish()
    assert code == 1 and "E606" in said
    assert "chatctl revoke gus --all" in said


def test_an_ask_that_is_stopped_names_what_an_admin_may_do(daemon: Daemon, tmp_path: Path) -> None:
    program = AskingProgram(daemon, "hal", tmp_path / "identity.pem")
    program.words()
    program.signal(signal.SIGINT)
    _, said = program.finish()
    assert "stopped; nothing is kept here" in said and "chatctl deny hal" in said
    daemon.chatctl("deny", "hal")
    assert asks(daemon) == []


def test_a_revoked_identity_makes_way(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    assert join(daemon, invite(daemon, "ida"), path, "--device", "laptop").returncode == 0
    code = invite(daemon, "jim")
    kept = join(daemon, code, path)
    assert (kept.returncode, "already exists" in kept.stderr) == (1, True)
    daemon.chatctl("revoke", "ida/laptop", "--yes")
    lost = daemon.run("chat", "--identity", str(path), "whoami", check=False)
    assert "E206" in lost.stderr and "chat device add NEW" in lost.stderr
    old = path.read_bytes()
    store = FileStore(state_folder(read_identity(path), daemon.environ))
    store.add(Sent("0" * 32, "#lobby", "typed in the tunnel", "text", None))
    store.close()
    done = join(daemon, code, path)
    assert "not sent to #lobby: typed in the tunnel" in done.stderr
    assert (done.returncode, f"revoked; it is now {path}.old" in done.stderr) == (0, True)
    assert read_identity(path).user == "jim"
    assert path.with_name("identity.pem.old").read_bytes() == old


def test_a_file_of_a_server_that_does_not_answer_stays(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    with running(tmp_path / "home") as other:
        assert join(other, invite(other, "kim"), path).returncode == 0
        code = invite(other, "lea")
        other.chatctl("revoke", "kim/laptop", "--yes")
        wait_until(lambda: other.chatd("stop").returncode == 0)
        before = path.read_bytes()
        assert "already exists" in join(other, code, path).stderr
        assert path.read_bytes() == before
