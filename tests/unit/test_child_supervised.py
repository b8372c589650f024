"""A real child supervised by this process, the lines of its channel, and Unix sockets at long paths."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.child.json_channel import MAX_LINE, MAX_QUEUED, ChannelClosedError, JsonChannel
from chatd.child.supervised import EXIT_CONFIG, FDS_VARIABLE, Supervised
from chatd.child.unix_socket import MAX_PATH, connect_unix, listen_unix

CHILD = """
import select, sys
from chatd.child.supervised import Supervised
from chatd.errors import ChatdError
from chatd.logs import get_log
child = Supervised.attach()
child.ready()
timeout = child.settings.server.timeout
child.send({"type": "seen", "name": child.name, "home": str(child.home), "timeout": timeout})
while True:
    select.select([child], [], [])
    try:
        messages = child.receive()
    except ChatdError as error:
        sys.exit(9 if error.code == "E600" else 1)
    for message in messages:
        get_log("server").info("got", what=message["type"])
        if message["type"] == "echo":
            child.send({"type": "seen", "level": child.settings.logging.level})
        if message["type"] == "drain":
            sys.exit(7)
"""


# The exit code of the child above for E600.
E600_CAUGHT = 9


class Parent:
    """The supervisor's ends of channel, lifeline and log pipe."""

    def __init__(self, stderr: int | None = None) -> None:
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(30)
        lifeline_end, self.lifeline = os.pipe()
        self.log, log_end = os.pipe()
        fds = {"channel": theirs.fileno(), "lifeline": lifeline_end, "log": log_end}
        self.process = subprocess.Popen(
            (sys.executable, "-c", CHILD),
            pass_fds=tuple(fds.values()),
            env={**os.environ, FDS_VARIABLE: json.dumps(fds)},
            stderr=stderr,
        )
        theirs.close()
        os.close(lifeline_end)
        os.close(log_end)
        self.lines = self.channel.makefile("rb")

    def send(self, **message: object) -> None:
        self.channel.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, object]:
        message: dict[str, object] = json.loads(self.lines.readline())
        return message

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.lines.close()
        self.channel.close()
        os.close(self.log)
        if self.lifeline >= 0:
            os.close(self.lifeline)


@pytest.fixture
def parent() -> Iterator[Parent]:
    parent = Parent()
    parent.send(type="settings", name="worker-1", home="/srv/chat", settings={"server": {"timeout": 77}})
    assert parent.receive() == {"type": "ready", "sandbox": {}}
    yield parent
    parent.close()


def test_a_child_takes_settings_answers_pings_and_drains(parent: Parent) -> None:
    assert parent.receive() == {"type": "seen", "name": "worker-1", "home": "/srv/chat", "timeout": 77}
    parent.send(type="ping", n=5)
    pong = parent.receive()
    # stdin, stdout, stderr, channel, lifeline, log
    assert pong == {"type": "pong", "n": 5, "fds": pong["fds"]}
    assert isinstance(pong["fds"], int) and pong["fds"] >= 6
    parent.send(type="reload", settings={"logging": {"level": "ERROR"}})
    parent.send(type="echo")
    assert parent.receive() == {"type": "seen", "level": "ERROR"}
    parent.send(type="reload", settings={})
    parent.send(type="drain")
    assert parent.process.wait(30) == 7
    records = [json.loads(line) for line in os.read(parent.log, 65536).splitlines()]
    assert [(record["proc"], record["what"]) for record in records] == [
        ("worker-1", "reload"),
        ("worker-1", "drain"),
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"server": {"timeout": "x"}}, "server.timeout"), ({"future": 1}, "future"), (7, "settings: ")],
)
def test_a_child_with_invalid_settings_ends_with_exit_config(settings: object, words: str) -> None:
    parent = Parent(stderr=subprocess.PIPE)
    try:
        parent.send(type="settings", name="worker-1", home="/srv/chat", settings=settings)
        assert parent.process.wait(30) == EXIT_CONFIG
        assert parent.process.stderr is not None
        text = parent.process.stderr.read().decode()
    finally:
        parent.close()
    assert "E600" in text
    assert words in text
    assert "Traceback" not in text


def test_a_reload_with_invalid_settings_is_e600(parent: Parent) -> None:
    parent.send(type="reload", settings={"future": 1})
    assert parent.process.wait(30) == E600_CAUGHT


def test_an_idle_child_ends_when_its_lifeline_closes(parent: Parent) -> None:
    os.close(parent.lifeline)
    parent.lifeline = -1
    assert parent.process.wait(30) == 0


def test_a_child_ends_when_its_channel_closes(parent: Parent) -> None:
    parent.channel.shutdown(socket.SHUT_RDWR)
    assert parent.process.wait(30) == 0


def test_a_child_without_a_supervisor_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for value in ("", "nonsense", "[]", '{"channel": 3}', '{"channel": "x", "lifeline": 4}'):
        monkeypatch.setenv(FDS_VARIABLE, value)
        with pytest.raises(SystemExit) as ended:
            Supervised.attach()
        assert ended.value.code == EXIT_CONFIG
        assert "E609" in capfd.readouterr().err
        assert FDS_VARIABLE not in os.environ


@pytest.fixture
def pair() -> Iterator[tuple[JsonChannel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(30)
        yield JsonChannel(ours), theirs


def test_the_channel_reassembles_lines(pair: tuple[JsonChannel, socket.socket]) -> None:
    channel, peer = pair
    received = []
    for byte in b'{"type":"a"}\n{"type":"b","n":1}\n':
        peer.sendall(bytes([byte]))
        received += channel.receive()
    assert received == [{"type": "a"}, {"type": "b", "n": 1}]
    assert channel.receive() == []


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b'{"type":1}\n', b"\xff\n", b"[" * 60_000 + b"\n"])
def test_the_channel_closes_on_an_invalid_message(
    pair: tuple[JsonChannel, socket.socket], line: bytes
) -> None:
    channel, peer = pair
    peer.sendall(line)
    with pytest.raises(ChannelClosedError):
        channel.receive()


def test_the_channel_bounds_its_queue(pair: tuple[JsonChannel, socket.socket]) -> None:
    channel, peer = pair
    with pytest.raises(ValueError, match="over the channel"):
        channel.send({"type": "x", "text": "x" * MAX_LINE})
    big: dict[str, object] = {"type": "x", "text": "x" * (MAX_LINE - 100)}
    queued = 0
    while channel.send(big):
        queued += 1
    assert channel.dropped == 1
    assert queued * MAX_LINE < MAX_QUEUED + 4 * MAX_LINE
    received = 0
    while channel.wants_write:
        received += len(peer.recv(1_000_000))
        channel.flush()
    assert received > MAX_QUEUED / 2
    peer.close()
    with pytest.raises(ChannelClosedError):
        channel.receive()
        channel.receive()


def test_connecting_to_a_full_backlog_is_retried_until_the_timeout(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s", 0) as listener, connect_unix(tmp_path / "s", 30):
        with pytest.raises(TimeoutError):
            connect_unix(tmp_path / "s", 0.05)
        listener.accept()[0].close()
        connect_unix(tmp_path / "s", 30).close()


@pytest.mark.parametrize("length", [10, MAX_PATH - 1, MAX_PATH + 1, 150, 240])
def test_unix_sockets_work_at_paths_of_any_length(tmp_path: Path, length: int) -> None:
    deep = tmp_path
    while len(str(deep / "s")) < length:
        deep /= "d" * min(50, max(1, length - len(str(deep / "s")) - 1))
    deep.mkdir(parents=True, exist_ok=True)
    for _ in range(2):  # the second listener replaces the socket of the first
        with listen_unix(deep / "s", 1) as listener, connect_unix(deep / "s", 30) as client:
            assert (deep / "s").stat().st_mode & 0o777 == 0o600
            accepted, _ = listener.accept()
            with accepted:
                client.sendall(b"x")
                assert accepted.recv(1) == b"x"
    with pytest.raises(ConnectionRefusedError):
        connect_unix(deep / "s", 30)
