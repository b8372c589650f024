"""Records in systemd's journal: a real datagram socket takes its place."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.config.sections import LoggingSection
from chatd.logs import logfiles, systemd_journal
from chatd.logs.logfiles import LogFiles
from chatd.logs.systemd_journal import Journal, open_journal


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.setblocking(False)
        monkeypatch.setattr(systemd_journal, "JOURNAL_SOCKET", path)
        monkeypatch.setattr(Journal.__init__, "__defaults__", (path,))
        yield sock


def fields(sock: socket.socket) -> dict[str, str]:
    text = sock.recv(1 << 20).decode()
    assert text.endswith("\n")
    return dict(line.split("=", 1) for line in text.splitlines())


@pytest.mark.parametrize(
    ("level", "priority"), [("error", "3"), ("warning", "4"), ("info", "6"), ("new", "6")]
)
def test_a_record_has_its_priority_and_category(receiver: socket.socket, level: str, priority: str) -> None:
    found = Journal()
    found.send('{"event":"started"}', level, "audit")
    assert fields(receiver) == {
        "MESSAGE": '{"event":"started"}',
        "PRIORITY": priority,
        "SYSLOG_IDENTIFIER": "chatd",
        "CHATD_CATEGORY": "audit",
    }
    found.close()


def test_a_journal_that_is_full_or_gone_does_not_block(receiver: socket.socket) -> None:
    found = Journal()
    for _ in range(10_000):
        found.send("x" * 1000, "info", "server")
    assert found.dropped > 0
    receiver.close()
    before = found.dropped
    found.send("x", "info", "server")
    assert found.dropped == before + 1
    found.close()


@pytest.mark.parametrize(
    ("wanted", "environ", "opened"),
    [
        ("off", {"JOURNAL_STREAM": "8:1"}, False),
        ("auto", {}, False),
        ("auto", {"JOURNAL_STREAM": "8:1"}, True),
        ("on", {}, True),
    ],
)
def test_when_there_is_a_journal(
    receiver: socket.socket, wanted: str, environ: dict[str, str], opened: bool
) -> None:
    found = open_journal(wanted, environ)  # type: ignore[arg-type]
    assert (found is not None) == opened
    if found is not None:
        found.close()


def test_the_daemons_records_are_in_files_and_journal(receiver: socket.socket, tmp_path: Path) -> None:
    files = LogFiles(tmp_path, LoggingSection(journal="on"))
    files.write('{"event":"up"}', "info", "server")
    assert json.loads(fields(receiver)["MESSAGE"]) == {"event": "up"}
    assert (tmp_path / "logs" / "server.log").read_text() == '{"event":"up"}\n'
    files.configure(LoggingSection(journal="off"))
    files.write('{"event":"down"}', "info", "server")
    with pytest.raises(BlockingIOError):
        receiver.recv(1000)
    files.close()
    command = logfiles.LogFiles(tmp_path, LoggingSection(journal="on"), "chatd")
    command.write('{"event":"act"}', "info", "audit")
    with pytest.raises(BlockingIOError):
        receiver.recv(1000)
    command.close()
