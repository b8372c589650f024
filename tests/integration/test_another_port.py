"""A port that is taken or changes: what clients on the server's box read follows the running server."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatctl.client import Client, read_identity
from chatd.cli import setup
from chatd.cli.addresses import UNNAMED
from tests.support.daemon import TIMEOUT_SECONDS, Daemon, free_port, running, wait_until


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("port") / "home") as found:
        yield found


def _listen_port(daemon: Daemon) -> int:
    return int(daemon.status()["address"].rpartition(":")[2])


def test_a_named_port_that_is_taken_is_refused_before_anything_is_made(tmp_path: Path, taken: int) -> None:
    new = Daemon(tmp_path / "home", CHATD_SERVER__HOST="127.0.0.1")
    new.home.mkdir()
    refused = new.chatd("init", "--listen", f"127.0.0.1:{taken}", "--start", check=False)
    assert (refused.returncode, f"port {taken}" in refused.stderr) == (1, True)
    new.environ["CHATD_SERVER__PORT"] = str(taken)
    refused = new.chatd("init", "--start", check=False)
    assert "E605" in refused.stderr
    assert list(new.home.iterdir()) == []
    new.environ["CHATD_SERVER__PORT"] = refused.stderr.partition("CHATD_SERVER__PORT=")[2].split()[0]
    try:
        assert "listens on" in new.chatd("init", "--start").stdout
        assert new.run("chat", "--home", str(new.home), "whoami").returncode == 0
    finally:
        new.stop()


def test_a_port_that_is_only_taken_now_is_named_in_a_warning(tmp_path: Path, taken: int) -> None:
    new = Daemon(tmp_path)
    made = new.chatd("init", "--listen", f"127.0.0.1:{taken}")
    assert f"port {taken}" in made.stderr.partition("warning: ")[2]


def test_the_pages_port_that_is_taken_is_told_like_the_chats(tmp_path: Path, taken: int) -> None:
    new = Daemon(tmp_path / "home")
    new.home.mkdir()
    words = ("init", "--listen", f"127.0.0.1:{free_port()}", "--web", str(taken))
    assert "E605" in new.chatd(*words, "--start", check=False).stderr
    assert list(new.home.iterdir()) == []
    assert f"port {taken}" in new.chatd(*words).stderr.partition("warning: ")[2]


def test_check_names_what_would_keep_a_stopped_server_from_starting(tmp_path: Path, taken: int) -> None:
    new = Daemon(tmp_path / "home")
    new.init(taken)
    checked = new.chatd("check", check=False)
    assert checked.returncode == 7
    assert f"port {taken}" in checked.stdout.partition("warn  port")[2]
    assert f"pid {os.getpid()}" in checked.stdout
    new.environ |= {"CHATD_SERVER__PORT": "0", "CHATD_GATEWAY__LISTEN": f"127.0.0.1:{taken}"}
    assert "gateway.listen: " in new.chatd("check", check=False).stdout.partition("warn  port")[2]
    new.environ["CHATD_GATEWAY__LISTEN"] = ""
    assert new.chatd("check").returncode == 0


def test_check_tells_a_server_that_was_killed_from_one_that_was_stopped(tmp_path: Path) -> None:
    with running(tmp_path / "home") as found:
        found.kill()
        checked = found.chatd("check", check=False)
        assert checked.returncode == 7
        assert "nobody stopped it" in checked.stdout
        assert "E603" in checked.stdout
        found.start()
        found.chatd("stop")
        assert "nobody stopped it" not in found.chatd("check", check=False).stdout


def test_the_default_port_gives_way_to_the_next_free_one(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "DEFAULT_PORT", taken)
    chosen = setup._port_to_use("127.0.0.1", UNNAMED, True)
    assert chosen != taken
    assert f"port {taken} is taken; this server gets port {chosen}" in capsys.readouterr().err
    assert setup._port_to_use("127.0.0.1", chosen, True) == chosen


def test_after_a_change_of_one_number_all_on_the_box_find_the_server(daemon: Daemon, tmp_path: Path) -> None:
    port = free_port()
    with Client(read_identity(daemon.identity("alice", "console")), state=tmp_path / "state") as client:
        client.wait_connected(TIMEOUT_SECONDS)
        daemon.write_settings(lambda tree: tree["server"].update(port=port))
        assert f"server.port is {port}" in daemon.chatd("check", check=False).stdout
        daemon.chatd("restart")
        assert _listen_port(daemon) == port
        wait_until(lambda: client.request("stats", timeout=TIMEOUT_SECONDS), what="a client that runs on")
    servers = json.loads(daemon.chatctl("whoami", "--json").stdout)["servers"]
    assert servers[0] == f"127.0.0.1:{port}"
    assert f"chat join 127.0.0.1:{port}/" in daemon.chatctl("invite", "create", "bob").stdout
    assert f"server: 127.0.0.1:{port}\n" in daemon.add_user("carol").read_text()
    daemon.run("chat", "--home", str(daemon.home), "doctor", check=False)
    assert "server.port" not in daemon.chatd("check", check=False).stdout


def test_another_name_is_refused_before_it_locks_everybody_out(daemon: Daemon) -> None:
    before = daemon.status()["pid"]
    daemon.write_settings(lambda tree: tree["server"].update(name="lab2"))
    for words in (("config", "check"), ("reload",), ("restart",), ("check",)):
        refused = daemon.chatd(*words, check=False)
        assert refused.returncode == 1
        assert "server.name is 'lab2'" in refused.stdout + refused.stderr
    assert daemon.status()["pid"] == before
    daemon.chatd("stop")
    assert "E600" in daemon.chatd("start", check=False).stderr
    daemon.write_settings(lambda tree: tree["server"].update(name="lab"))
    daemon.chatd("start")


def test_addresses_that_browsers_would_refuse_are_told(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(daemon.environ, "CHATD_GATEWAY__LISTEN", "127.0.0.1:5443")

    def listed(*addresses: str) -> str:
        daemon.write_settings(lambda tree: tree["server"].update(addresses=[*addresses]))
        reloaded = daemon.chatd("reload").stderr
        assert "cert renew" in reloaded
        return daemon.chatd("check", check=False).stdout

    port = _listen_port(daemon)
    text = "browsers refuse the server's certificate at 192.0.2.9, which it does not name"
    assert text in listed(f"127.0.0.1:{port}", f"192.0.2.9:{port}")
    daemon.chatd("cert", "renew")
    assert "which it does not name" not in daemon.chatd("check", check=False).stdout
    assert "which it does not name" not in listed(f"127.0.0.1:{port}")


def test_a_restart_does_not_stop_the_server_for_a_port_that_is_taken(daemon: Daemon, taken: int) -> None:
    before = daemon.status()
    daemon.write_settings(lambda tree: tree["server"].update(port=taken))
    refused = daemon.chatd("restart", check=False)
    assert "E605" in refused.stderr
    assert (daemon.status()["pid"], daemon.status()["address"]) == (before["pid"], before["address"])
    daemon.write_settings(lambda tree: tree["server"].update(port=_listen_port(daemon)))


def test_check_warns_if_no_address_names_the_port(daemon: Daemon) -> None:
    def set_addresses(*addresses: str) -> str:
        daemon.write_settings(lambda tree: tree["server"].update(addresses=list(addresses)))
        return daemon.chatd("check", check=False).stdout

    warning = "which no address in server.addresses names"
    assert warning in set_addresses("chat.example:443", "127.0.0.1:1")
    assert warning not in set_addresses("chat.example:443", f"127.0.0.1:{_listen_port(daemon)}")
    assert warning not in set_addresses("chat.example")


def test_a_reload_tells_new_addresses(daemon: Daemon) -> None:
    daemon.write_settings(lambda tree: tree["server"].update(addresses=["chat.example"]))
    daemon.chatd("reload")
    invite = daemon.chatctl("invite", "create", "dave").stdout
    assert f"chat join chat.example:{_listen_port(daemon)}/" in invite


def test_a_stopped_server_leaves_no_address(tmp_path: Path) -> None:
    with running(tmp_path / "home") as found:
        file = found.home / "run" / "addresses"
        assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o600, os.geteuid())
        found.chatd("stop")
        assert not file.exists()
