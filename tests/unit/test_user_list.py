"""The list of users in a file: columns, header, mistakes with their lines; replies of the operator's link."""

from __future__ import annotations

import io
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from chatd.cli import operator
from chatd.config.schema import Settings
from chatd.console import user_list
from chatd.console.user_list import read_list
from chatd.errors import ChatdError
from chatd.link.wire import LinkBuffer, pack
from chatd.proto.frames import JsonObject, encode


def read(path: Path, text: str | bytes) -> list[tuple[str, str | None, str]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(new.user, new.role, new.device) for new in read_list(path, "guest", "laptop")]


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("ann\nben\n", [("ann", "guest", "laptop"), ("ben", "guest", "laptop")]),
        ("ann,admin,phone\nann,,laptop", [("ann", "admin", "phone"), ("ann", "guest", "laptop")]),
        ("name,role,device\r\nann,user,phone\r\n", [("ann", "user", "phone")]),
        ("device,name\nphone,ann\n", [("ann", "guest", "phone")]),
        ("name\nann\n", [("ann", "guest", "laptop")]),
        ("\ufeffname\nann\n", [("ann", "guest", "laptop")]),
        ('# the team\n\n "ann", user\n', [("ann", "user", "laptop")]),
    ],
)
def test_columns(tmp_path: Path, text: str, devices: list[tuple[str, str, str]]) -> None:
    assert read(tmp_path / "list.csv", text) == devices


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("ann\nBen\n", "E403", ["line 2", "'Ben'"]),
        ("ann\n\nann,user\n", "E403", ["line 3: ann/laptop is also in", "line 1"]),
        ("a,b,c,d\n", "E403", ["line 1", "4 columns"]),
        ("ann,,two words\n", "E403", ["line 1", "device"]),
        ("ann,the king\n", "E403", ["line 1", "role"]),
        ("name,roll\nann,user\n", "E403", ["no column 'roll'"]),
        ("name,name\nann,user\n", "E403", ["named twice"]),
        (",user\n", "E403", ["line 1", "user"]),
        ("# nobody\n", "E403", ["names no user"]),
        ("", "E403", ["names no user"]),
        (b"ann\nb\xffn\n", "E606", ["line 2", "UTF-8"]),
    ],
)
def test_mistakes_name_their_line(tmp_path: Path, text: str | bytes, code: str, words: list[str]) -> None:
    with pytest.raises(ChatdError) as caught:
        read(tmp_path / "list.csv", text)
    assert caught.value.code == code
    assert all(word in caught.value.reason for word in words), caught.value.reason


def test_all_mistakes_are_counted_and_the_first_ones_shown(tmp_path: Path) -> None:
    with pytest.raises(ChatdError) as caught:
        read(tmp_path / "list.csv", "A\n" * 25)
    assert "25 lines are wrong" in caught.value.reason
    assert "and 15 more" in caught.value.reason


def test_a_large_or_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChatdError, match="cannot be read"):
        read_list(tmp_path / "absent", None, "laptop")
    monkeypatch.setattr(user_list, "LIST_LIMIT", 10)
    with pytest.raises(ChatdError, match="larger than"):
        read(tmp_path / "list.csv", "a\n" * 6)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"ann\nBEN\n")))
    with pytest.raises(ChatdError, match="standard input, line 2"):
        read_list(Path("-"), None, "laptop")


def answer(listener: socket.socket, replies: int) -> None:
    """Answer so many requests of one link, then end it."""
    link, _ = listener.accept()
    buffer = LinkBuffer()
    with link, suppress(OSError):
        while replies:
            for _ in buffer.feed(link.recv(65536)):
                if replies:
                    replies -= 1
                    link.sendall(pack(["reply", 0, 1], encode({"type": "ok", "id": 1, "result": {}})))


def outcomes(home: Path, requests: int, replies: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(operator, "ask", lambda *_: {})
    (home / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "run" / "operator.sock"))
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener, replies), daemon=True)
        thread.start()
        done: list[int] = []
        items: list[JsonObject] = [{"type": "user_add", "user": f"u{n}"} for n in range(requests)]
        found = operator.operate_all(
            home, Settings.model_validate({"server": {"name": "lab"}}), items, done.append
        )
        thread.join()
    codes = [item.code if isinstance(item, ChatdError) else "ok" for item in found]
    assert done == list(range(1, codes.count("ok") + 1))
    return codes


def test_more_requests_than_a_window_are_all_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outcomes(tmp_path, 200, 200, monkeypatch) == ["ok"] * 200


def test_a_lost_link_tells_unknown_outcomes_from_requests_never_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = outcomes(tmp_path, 200, 10, monkeypatch)
    # A reply that has arrived is lost if the link breaks before it is read.
    answered = found.count("ok")
    assert answered <= 10
    assert set(found[answered:]) <= {"E503", "E611"}
    assert operator.WINDOW <= len(found) <= 10 + operator.WINDOW
