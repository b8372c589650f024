"""`chatd init` and `restore` with port 0, and a start that finds no settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from chatd.cli.setup import EVERY_ADDRESS
from chatd.errors import ChatdError
from chatd.supervisor.main import start_daemon
from tests.support.daemon import TIMEOUT_SECONDS, Daemon, free_port


def _empty(home: Path) -> Daemon:
    home.mkdir()
    return Daemon(home)


def _server(daemon: Daemon) -> dict[str, object]:
    server: dict[str, object] = json.loads((daemon.home / "config" / "settings.json").read_text())["server"]
    return server


@pytest.mark.parametrize(("listen", "host"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")])
def test_port_0_is_a_free_port_that_identities_name(tmp_path: Path, listen: str, host: str) -> None:
    daemon = _empty(tmp_path / "home")
    daemon.chatd("init", "--listen", listen, "--admin", "alice")
    port = _server(daemon)["port"]
    assert isinstance(port, int)
    assert port > 0
    assert _server(daemon)["addresses"] == [host]
    assert f"server: {host}:{port}\n" in daemon.identity("alice", "console").read_text()


@pytest.mark.parametrize("option", ["--listen", "--web"])
def test_a_number_alone_is_a_port(tmp_path: Path, option: str) -> None:
    daemon, port = _empty(tmp_path / "home"), free_port()
    assert "is not HOST[:PORT]" in daemon.chatd("init", option, "65536", check=False).stderr
    other = ("--web", "off") if option == "--listen" else ("--listen", "127.0.0.1:0")
    daemon.chatd("init", option, str(port), *other)
    settings = json.loads((daemon.home / "config" / "settings.json").read_text())
    place = (settings["server"]["host"], settings["server"]["port"])
    if option == "--listen":
        assert place == (EVERY_ADDRESS, port)
    else:
        assert settings["gateway"]["listen"] == f"127.0.0.1:{port}"


def test_the_environments_address_is_in_settings_and_identities(tmp_path: Path) -> None:
    """Without the variables the next start would listen elsewhere."""
    daemon = _empty(tmp_path / "home")
    port = free_port()
    daemon.environ |= {"CHATD_SERVER__HOST": "127.0.0.1", "CHATD_SERVER__PORT": str(port)}
    daemon.chatd("init", "--admin", "alice")
    server = _server(daemon)
    assert (server["host"], server["port"]) == ("127.0.0.1", port)
    assert server["addresses"] == ["127.0.0.1"]
    assert f"server: 127.0.0.1:{port}\n" in daemon.identity("alice", "console").read_text()


def test_a_restored_server_on_port_0_gets_a_free_port(tmp_path: Path) -> None:
    daemon = _empty(tmp_path / "home")
    daemon.chatd("init", "--listen", "127.0.0.1:0", "--admin", "alice")
    (tmp_path / "words").write_text("correct horse battery staple\n")
    words = ("--passphrase-file", str(tmp_path / "words"))
    daemon.chatd("backup", "create", str(tmp_path / "backup"), *words)
    copy = _empty(tmp_path / "copy")
    copy.chatd("restore", str(tmp_path / "backup"), *words, "--listen", "127.0.0.1:0")
    assert _server(copy)["port"] != 0


def test_a_host_that_is_not_this_machine_is_e605(tmp_path: Path) -> None:
    daemon = _empty(tmp_path / "home")
    ended = daemon.chatd("init", "--listen", "192.0.2.1:0", check=False)
    assert "E605" in ended.stderr
    assert not list((tmp_path / "home").iterdir())


def test_only_the_daemon_loads_the_settings(tmp_path: Path) -> None:
    # The daemon reports its own errors. A second load before it would only cost time.
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.json").write_text("{")
    with pytest.raises(ChatdError, match="E609"):
        start_daemon(tmp_path, TIMEOUT_SECONDS, (sys.executable, "-c", "raise SystemExit(1)"))
