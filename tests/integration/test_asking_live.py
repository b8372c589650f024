"""`chat ask` against a real server: approve, deny, lost connections, restarts, switched off."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.pki.identity import read_identity
from tests.support.askers import AskingProgram, asks
from tests.support.daemon import Daemon, running, wait_until
from tests.support.joining import devices_of


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("asking") / "home") as daemon:
        daemon.chatctl("room", "create", "team")
        yield daemon


def test_an_approved_asker_chats(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "bob.pem"
    program = AskingProgram(daemon, "bob", path)
    words = program.words()
    [ask] = asks(daemon)
    assert (ask["user"], ask["words"], ask["address"]) == ("bob", words, "127.0.0.1")
    listed = daemon.chatctl("asks").stdout
    assert words in listed and " ago" in listed
    assert not path.exists() and devices_of(daemon, "bob") == []
    approved = daemon.chatctl("approve", "bob", "--words", words.upper(), "--rooms", "team")
    assert f"approved bob: {words}" in approved.stdout
    code, said = program.finish()
    assert code == 0 and "you are bob/laptop (user) on lab" in said
    assert read_identity(path).user == "bob"
    daemon.run("chat", "--identity", str(path), "send", "team", "hello")
    assert asks(daemon) == []


def test_a_denied_asker_is_told(daemon: Daemon, tmp_path: Path) -> None:
    program = AskingProgram(daemon, "eve", tmp_path / "eve.pem")
    program.words()
    assert daemon.chatctl("deny", "eve").stdout == "denied eve\n"
    code, said = program.finish()
    assert code == 4 and "E221" in said
    assert list(tmp_path.glob("*.pem")) == []
    assert daemon.chatctl("deny", "eve", check=False).returncode == 3
    assert any(line["event"] == "ask_denied" for line in daemon.log_lines("audit.log"))


def test_other_words_approve_nobody_and_two_of_a_name_are_told_apart(daemon: Daemon, tmp_path: Path) -> None:
    programs = [AskingProgram(daemon, "sam", tmp_path / f"{number}.pem") for number in range(2)]
    words = [program.words() for program in programs]
    wrong = daemon.chatctl("approve", "sam", "--words", "aardvark adroitness aardvark", check=False)
    assert wrong.returncode == 3 and "somebody sits between" in wrong.stderr
    both = daemon.chatctl("approve", "sam", "--yes", check=False)
    assert both.returncode == 3 and all(one in both.stderr for one in words)
    no_terminal = daemon.chatctl("approve", "sam", check=False)
    assert no_terminal.returncode in (2, 3)
    daemon.chatctl("deny", "sam", "--words", words[0])
    assert programs[0].finish()[0] == 4
    daemon.chatctl("approve", "sam", "--yes")
    assert programs[1].finish()[0] == 0


def test_a_taken_name_is_seen_by_the_admin_only_who_gives_another(daemon: Daemon, tmp_path: Path) -> None:
    daemon.add_user("una")
    program = AskingProgram(daemon, "una", tmp_path / "una.pem")
    words = program.words()
    refused = daemon.chatctl("approve", "una", "--words", words, check=False)
    assert "there is a user una" in refused.stderr
    [ask] = [ask for ask in asks(daemon) if ask["user"] == "una"]
    assert ask["taken"] is True and "taken" in daemon.chatctl("asks").stdout
    daemon.chatctl("approve", "una", "--words", words, "--name", "una2", "--ends", "48h", "--role", "guest")
    code, said = program.finish()
    assert code == 0 and "you are una2/laptop (guest)" in said


def test_an_ask_outlives_the_hub_and_the_enrol_process(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        program = AskingProgram(daemon, "bob", tmp_path / "bob.pem")
        words = program.words()
        _replace(daemon, "hub")
        wait_until(lambda: [ask["words"] for ask in asks(daemon)] == [words], what="the ask in the new hub")
        _replace(daemon, "enrol")
        anew = program.words(2)
        assert anew != words
        daemon.chatctl("approve", "bob", "--words", anew)
        assert program.finish()[0] == 0


def _replace(daemon: Daemon, name: str) -> None:
    before = daemon.child(name)["pid"]
    os.kill(before, signal.SIGKILL)

    def is_replaced() -> bool:
        child = daemon.child(name)
        return child.get("pid") not in (None, before) and child["state"] == "running"

    wait_until(is_replaced, what=f"another {name}")


def test_a_server_that_takes_no_asks_says_so(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        daemon.write_settings(lambda tree: tree.setdefault("server", {}).update(ask=False))
        daemon.chatd("reload")

        def refused() -> bool:
            program = AskingProgram(daemon, "bob", tmp_path / "bob.pem")
            wait_until(lambda: program._process.poll() is not None or program._shown(), what="an answer")
            program.kill()
            return "E220" in program.said()

        wait_until(refused, what="the reload")
