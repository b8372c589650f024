"""The advice of errors, tried: the command that an error names works, and ends the error."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from chatd.cli import setup
from chatd.cli.root import main
from chatd.pki.authority import Authority, save_issued
from tests.support.certificates import NOW
from tests.support.daemon import BIN, FAST, Daemon

Done = subprocess.CompletedProcess[str]
EVERY = "0.0.0.0"  # noqa: S104 - the wildcard that must be refused
_COMMAND = re.compile(r"\b(?:chatd|chatctl) [^;,(\n]*")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = Daemon(tmp_path_factory.mktemp("advice"))
    running.init()
    running.start()
    running.add_user("bob")
    yield running
    running.stop()


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Daemon]:
    home = Daemon(tmp_path / "home")
    home.init()
    yield home
    home.stop()


def follow(daemon: Daemon, refused: Done, code: str, **words: str) -> Done:
    """Run the command that a refusal advises, with ``words`` for what is in capitals."""
    assert refused.returncode != 0
    _, found, advice = refused.stderr.partition(f"({code}). ")
    assert found, refused.stderr
    match = _COMMAND.search(advice)
    assert match is not None, advice
    line = re.sub(r"\b[A-Z]{3,}\b", lambda word: words[word[0]], match[0])
    program, *rest = shlex.split(line, comments=False)
    return daemon.chatctl(*rest) if program == "chatctl" else daemon.run(program, *rest)


def chatctl(daemon: Daemon, *words: str) -> Done:
    return daemon.chatctl(*words, check=False)


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        (("revoke", "bob/nil", "--yes"), "E412", "laptop"),
        (("kick", "nil"), "E405", "bob"),
        (("who", "nil"), "E404", "#lobby"),
    ],
)
def test_a_refusal_names_the_list_that_helps(
    daemon: Daemon, words: tuple[str, ...], code: str, shown: str
) -> None:
    assert shown in follow(daemon, chatctl(daemon, *words), code, NAME="bob").stdout


def test_the_only_admin_can_follow_the_advice_about_their_device(daemon: Daemon) -> None:
    refused = chatctl(daemon, "revoke", "alice/console", "--yes")
    follow(daemon, refused, "E304", NEW="spare")
    assert chatctl(daemon, "revoke", "alice/console", "--dry-run").returncode == 0
    refused = chatctl(daemon, "kick", "alice")
    follow(daemon, refused, "E304", NAME="zoe")
    done = daemon.run("chatctl", "--identity", str(daemon.identity("zoe")), "audit")
    assert "zoe" in done.stdout


def test_each_cure_of_a_second_user_add_works(daemon: Daemon, tmp_path: Path) -> None:
    daemon.chatd("user", "add", "carl")
    again = daemon.chatd("user", "add", "carl", check=False)
    assert "choose another --device" in again.stderr
    assert daemon.identity("carl").exists()
    other = ("--out", str(tmp_path / "carl.pem"))
    again = daemon.chatd("user", "add", "carl", *other, check=False)
    assert "choose another name for the device" in again.stderr
    daemon.chatd("user", "add", "carl", *other, "--device", "phone")
    again = daemon.chatd("user", "add", "carl", *other, "--device", "tablet", check=False)
    assert "choose another --out" in again.stderr
    daemon.chatd("user", "add", "carl", "--device", "tablet", "--out", str(tmp_path / "2.pem"))


def test_a_held_room_is_released_as_advised(daemon: Daemon) -> None:
    daemon.run("chat", "--identity", str(daemon.identity("bob")), "send", "#lobby", "hello")
    found = daemon.chatctl("search", "hello", "--json").stdout.splitlines()
    seq = str(json.loads(found[0])["seq"])
    daemon.chatctl("hold", "lobby")
    refused = chatctl(daemon, "redact", "lobby", seq, "--yes")
    follow(daemon, refused, "E306", ROOM="lobby")
    daemon.chatctl("redact", "lobby", seq, "--yes")


def test_an_empty_folder_of_identities(daemon: Daemon, tmp_path: Path) -> None:
    for folder in (daemon.home, tmp_path):
        stored = folder / "certs" / "identities"
        if stored.exists():
            stored.rename(stored.with_name("handed-over"))
        refused = daemon.run("chat", "--home", str(folder), "history", "lobby", check=False)
        follow(daemon, refused, "E608", NAME="dora", NEW="laptop")
        assert list(stored.iterdir())
    for file in (daemon.home / "certs" / "handed-over").iterdir():
        file.rename(daemon.home / "certs" / "identities" / file.name)


def test_starting_and_stopping(stopped: Daemon, tmp_path: Path) -> None:
    empty = Daemon(tmp_path / "empty")
    empty.home.mkdir()
    follow(empty, empty.chatd("status", check=False), "E601")
    assert (empty.home / "certs" / "ca.pem").exists()
    refused = stopped.chatd("status", check=False)
    follow(stopped, refused, "E603")
    follow(stopped, stopped.chatd("start", "--foreground", check=False), "E604")
    stopped.chatd("stop")
    follow(stopped, stopped.chatd("init", check=False), "E602")
    assert stopped.status()["state"] == "running"


def test_an_address_of_another_machine(stopped: Daemon, tmp_path: Path) -> None:
    foreign = Daemon(stopped.home, CHATD_SERVER__HOST="192.0.2.1")
    refused = foreign.chatd("start", check=False)
    assert "E605" in refused.stderr
    assert "another program" not in refused.stderr
    assert "choose an address of this machine" in refused.stderr
    Daemon(stopped.home, CHATD_SERVER__HOST="127.0.0.1").start()
    new = Daemon(tmp_path / "new")
    new.home.mkdir()
    for option in (("--listen", "192.0.2.1"), ("--listen", "no such host")):
        refused = new.chatd("init", *option, check=False)
        assert refused.returncode != 0, option
    for address in (EVERY, f"{EVERY}:5000", "[::]:5000", "[0:0::0]", "127.0.0.1:0"):
        refused = new.chatd("init", "--listen", "127.0.0.1:0", "--address", address, check=False)
        assert refused.returncode == 2, address
        assert "clients cannot connect" in refused.stderr
    assert list(new.home.iterdir()) == []


def test_check_names_addresses_in_the_settings_that_nobody_can_connect_to(stopped: Daemon) -> None:
    bad, good = [f"{EVERY}:5000", "[::]:5000"], ["127.0.0.1:5000", "chat.example:5000"]
    stopped.write_settings(lambda tree: tree["server"].update(addresses=bad + good))
    shown = " ".join(stopped.chatd("check", check=False).stdout.split())
    assert [address for address in bad + good if f"cannot connect to {address}" in shown] == bad


def test_an_expired_authority(stopped: Daemon) -> None:
    certs, then = stopped.home / "certs", NOW - timedelta(days=5000)
    for name in ("ca.pem", "ca.key", "record.pem", "record.key"):
        (certs / name).unlink()
    authority = Authority.create("lab", now=then)
    authority.save(certs)
    save_issued(certs, "server", authority.issue_server(["127.0.0.1"], now=then, days=99_999))
    save_issued(certs, "envelope", authority.issue_envelope(2048, now=then, days=99_999))
    shown = stopped.chatd("check", check=False).stdout
    assert shown.count("has expired") == 2
    assert "the CA has ended" in shown
    assert shown.count("make a new home") == 3
    assert not [line for line in shown.splitlines() if "expired" in line and "renew" in line]
    for command in (("cert", "renew"), ("user", "add", "bob")):
        refused = stopped.chatd(*command, check=False)
        assert "E612" in refused.stderr
        assert "otherwise make a new home" in refused.stderr


@pytest.mark.parametrize("late", [False, True])
def test_a_clock_before_the_release_is_noticed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], late: bool
) -> None:
    for name, value in FAST.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(setup, "RELEASED", NOW + timedelta(days=-1 if late else 1))
    main.main(["--home", str(tmp_path), "init", "--listen", "127.0.0.1:0"], standalone_mode=False)
    assert ("correct the clock" in capsys.readouterr().err) == (not late)


@pytest.mark.parametrize("filtered", ["cat", "sort -s -k 99", "sed s/$/\\\\r/"])
def test_an_identity_logs_in_through_a_pipe(daemon: Daemon, filtered: str) -> None:
    typed = (
        f"chatctl --identity <({filtered} < {shlex.quote(str(daemon.identity('alice', 'console')))}) users"
    )
    environ = daemon.environ | {"PATH": f"{BIN}:{daemon.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", typed], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert "bob" in done.stdout, done.stderr
