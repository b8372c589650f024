"""Log files: routing, rotation, full disks; capture of children's output; the log pipe."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatd.config.sections import LoggingSection
from chatd.errors import ChatdError
from chatd.logs.capture import KEPT_LINES, ChildCapture
from chatd.logs.line_buffer import LineBuffer
from chatd.logs.log_pipe import PipeHandler
from chatd.logs.logfiles import LogFile, LogFiles


def settings(**names: Any) -> LoggingSection:
    return LoggingSection(max_bytes=10_000, backups=2, **names)


def notice(count: int) -> bytes:
    return f"dropped {count}\n".encode()


def content(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (home / "logs").iterdir()}


@pytest.mark.parametrize(
    ("level", "category", "names"),
    [
        ("info", "server", {"server.log"}),
        ("info", "connections", {"server.log", "connections.log"}),
        ("warning", "security", {"server.log", "security.log"}),
        ("info", "audit", {"server.log", "audit.log"}),
        ("error", "security", {"server.log", "security.log", "errors.log"}),
        ("info", "errors", {"server.log", "errors.log"}),
    ],
)
def test_a_record_goes_to_the_files_of_its_category_and_level(
    tmp_path: Path, level: str, category: str, names: set[str]
) -> None:
    files = LogFiles(tmp_path, settings())
    files.write("line", level, category)
    files.close()
    assert content(tmp_path) == dict.fromkeys(names, "line\n")


def test_a_file_configured_twice_gets_a_record_once(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, settings(errors_file="server.log"))
    files.write("line", "error", "server")
    files.configure(settings(file="other.log"))
    files.write("line", "info", "server")
    files.close()
    assert content(tmp_path) == {"server.log": "line\n", "other.log": "line\n"}


def test_a_log_directory_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(ChatdError, match="E606"):
        LogFiles(tmp_path, settings())


@pytest.mark.parametrize(
    ("backups", "expected"),
    [
        (2, {"log": "5\n", "log.1": "3\n4\n", "log.2": "1\n2\n"}),
        (1, {"log": "5\n", "log.1": "3\n4\n"}),
        (0, {"log": "5\n"}),
    ],
)
def test_a_full_file_is_rotated_to_numbered_backups(
    tmp_path: Path, backups: int, expected: dict[str, str]
) -> None:
    file = LogFile(tmp_path / "log", 4, backups, notice)
    for n in range(-1, 6):
        file.write(b"%d\n" % n if n > 0 else b"0\n")
    file.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == expected


def test_reopen_writes_to_the_new_file(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", 100, 1, notice)
    file.write(b"old\n")
    (tmp_path / "log").rename(tmp_path / "moved")
    file.reopen()
    file.write(b"new\n")
    file.close()
    assert (tmp_path / "moved").read_text() == "old\n"
    assert (tmp_path / "log").read_text() == "new\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_drops_records_and_reports_their_number(tmp_path: Path) -> None:
    now = [0.0]
    (tmp_path / "log").symlink_to("/dev/full")
    file = LogFile(tmp_path / "log", 100, 1, notice, lambda: now[0])
    for _ in range(3):
        file.write(b"lost\n")
    (tmp_path / "log").unlink()
    file.close()
    file.write(b"still waiting\n")
    now[0] = 2.0
    file.write(b"kept\n")
    file.close()
    assert file.dropped == 4
    assert (tmp_path / "log").read_text() == "dropped 4\nkept\n"


def test_a_partial_line_is_removed(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from chatd.logs.logfiles import LogFile
resource.setrlimit(resource.RLIMIT_FSIZE, (25, 25))
file = LogFile(Path(sys.argv[1]), 1000, 1, lambda count: b"")
for _ in range(3):
    file.write(b"123456789\\n")
print(file.dropped)
"""
    result = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "log"], capture_output=True, check=True
    )
    assert result.stdout == b"1\n"
    assert (tmp_path / "log").read_text() == "123456789\n" * 2


def test_the_line_buffer_reassembles_lines_of_bounded_length() -> None:
    buffer = LineBuffer(4)
    assert buffer.feed(b"ab") == []
    assert buffer.feed(b"c\nd\n\nef") == [b"abc", b"d", b""]
    assert buffer.feed(b"ghij") == [b"efgh"]
    assert buffer.take_partial() == b"ij"
    assert buffer.take_partial() == b""


def record(**changes: object) -> bytes:
    fields = {"n": 1, "proc": "worker-1", "level": "info", "cat": "security", "event": "x"} | changes
    return json.dumps(fields).encode() + b"\n"


@pytest.fixture
def captured(tmp_path: Path) -> tuple[ChildCapture, Path]:
    return ChildCapture("worker-1", LogFiles(tmp_path, settings())), tmp_path


def test_records_that_arrive_in_pieces_are_reassembled(captured: tuple[ChildCapture, Path]) -> None:
    capture, home = captured
    for byte in record() + record(n=2)[:-1]:
        capture.log_data(bytes([byte]))
    capture.log_data(b"")
    assert content(home)["security.log"].encode() == record() + record(n=2)
    assert not capture.last_stderr


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[1]\n",
        record(proc="hub"),
        record(cat="other"),
        b"[" * 4000 + b"\n",
        b'{"a":"\x1b[2J"}\n',
        b"\xff\xfe\n",
    ],
)
def test_lines_that_are_not_records_are_logged_as_text(
    captured: tuple[ChildCapture, Path], line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    capture, home = captured
    capture.log_data(line)
    assert content(home) == {}
    assert len(capture.last_stderr) >= 1
    assert all(shown.isprintable() for shown in capture.last_stderr)
    assert caplog.records[0].getMessage() == "stderr"


def test_the_last_lines_of_stderr_are_kept(captured: tuple[ChildCapture, Path]) -> None:
    capture, _ = captured
    capture.stderr_data(b"".join(b"%d\n" % n for n in range(100)) + b"end without newline")
    capture.stderr_data(b"")
    assert len(capture.last_stderr) == KEPT_LINES
    assert capture.last_stderr[-1] == "end without newline"


def test_a_full_pipe_drops_records_and_reports_their_number() -> None:
    reader, writer = os.pipe()
    handler = PipeHandler(writer, "worker-1")
    log_record = logging.LogRecord("chatd.server", logging.INFO, "", 0, "text", (), None)
    while not handler.dropped:
        handler.handle(log_record)
    handler.handle(log_record)
    assert handler.dropped == 2
    before = [json.loads(line) for line in os.read(reader, 1_000_000).splitlines()]
    handler.handle(log_record)
    after: list[dict[str, Any]] = [json.loads(line) for line in os.read(reader, 1_000_000).splitlines()]
    assert [entry["n"] for entry in before] == list(range(1, len(before) + 1))
    assert [entry["event"] for entry in after] == ["log_dropped", "library"]
    assert after[0]["count"] == 2
    assert after[1]["n"] > len(before) + 1
    assert handler.dropped == 0
    os.close(reader)
    handler.handle(log_record)
    assert handler.dropped == 1
    os.close(writer)
