"""Exit codes, error messages, tables, durations, and commands that need no server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from chatctl import connecting
from chatctl.admin import held_commands
from chatd.codes import ALSO, CODES
from chatd.console import format as fmt
from chatd.console import output
from chatd.console.table_lines import table_lines, text_width
from chatd.errors import ChatdError
from chatd.proto.durations import parse_duration
from tests.support import preloaded


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("E404", 3), ("E405", 3), ("E410", 3), ("E412", 3), ("E300", 4), ("E304", 4), ("E207", 4),
        ("E201", 4), ("E607", 5), ("E611", 5), ("E106", 5), ("E400", 1), ("E500", 1), ("E608", 1),
        ("E503", 1), ("E603", 5), ("E615", 8),
    ],
)  # fmt: skip
def test_an_error_code_has_its_exit_code(code: str, expected: int) -> None:
    assert output.exit_code(ChatdError(code)) == expected


def test_no_error_code_exits_with_success() -> None:
    assert {output.exit_code(ChatdError(code)) for code in CODES} == {1, 3, 4, 5, 8}


def failing(error: BaseException | None, result: int | None = None) -> click.Command:
    @click.command()
    def command() -> int | None:
        if error is not None:
            raise error
        return result

    return command


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ChatdError("E405", "no user 'bob'"), 3, "error: no user 'bob' (E405). see /who or chatctl users\n"),
        (ChatdError("E300", "no\x1b[2J"), 4, "error: no\\x1b[2J (E300). ask an admin\n"),
        (ChatdError("E600", "a:\nb\nc", "d"), 1, "error: a: (E600)\n       b\n       c\n       d\n"),
        (click.UsageError("wrong"), 2, "Error: wrong\n"),
        (RuntimeError("oops"), 1, "; please report it\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
    ],
)  # fmt: skip
def test_a_failure_prints_a_message_and_sets_the_exit_code(
    error: BaseException,
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.delenv("CHATD_DEBUG", raising=False)
    assert output.run(failing(error), "x") == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(words)
    assert "Traceback" not in captured.err


def test_debug_mode_prints_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setenv("CHATD_DEBUG", "1")
    assert output.run(failing(RuntimeError("oops")), "x") == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_exit_code_of_a_refusal_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x"])
    refusal = failing(ChatdError("E305"))
    assert output.run(refusal, "x") == output.NOT_PERMITTED
    assert output.run(refusal, "x", not_permitted=output.FAILED) == output.FAILED


def test_the_exit_code_of_a_command_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x"])
    assert output.run(failing(None, 6), "x") == 6
    assert output.run(failing(None), "x") == 0


def test_table_columns_align_and_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"a": "漢字", "b": "x"},
        {"a": "k", "b": "\x1b]0;t\x07"},
        {"a": None, "b": ""},
    ]
    output.table(rows, {"a": output.plain, "b": output.plain})
    assert capsys.readouterr().out == "a     b\n漢字  x\nk     \\x1b]0;t\\x07\n-     -\n"


@pytest.mark.parametrize("width", [*range(20, 60), 200])
def test_a_table_on_a_narrow_terminal_keeps_its_columns_and_loses_nothing(width: int) -> None:
    texts = ["bob", "2026-11-28T10:46:28Z", "alice", "漢字 spammed the room", "x" * 50]
    rows = [["user", "until", "by", "why", "more"], texts]
    lines = list(table_lines(rows, width))
    assert max(map(text_width, lines)) <= max(width, 26)  # the widest cell that is not folded, indented
    assert "".join("".join(lines).split()) == "".join("".join(rows[0] + rows[1]).split())
    place = next(line.index("until") for line in lines if "until" in line)
    assert next(line.index("2026") for line in lines if "2026" in line) == place


def test_a_table_for_a_file_is_never_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    output.table([{"a": "x" * 60, "b": "y " * 60}], {"a": str, "b": str})
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_list_that_is_no_table_says_that_it_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    held_commands._print([])
    assert capsys.readouterr().out == "none\n"


def test_json_output_is_ascii_and_has_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    output.json_line({"body": "\x9bü\x1b"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {"schema": 1, "body": "\x9bü\x1b"}


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (None, "-"),
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000_999, "2023-11-14T22:13:20Z"),
        (2**53, "9007199254740992"),
    ],
)
def test_a_time_is_shown_in_utc(milliseconds: int | None, shown: str) -> None:
    assert output.moment(milliseconds) == shown


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("2h", 7200), ("7d", 604800), ("1h30m", 5400), ("1s", 1)]
)
def test_a_duration_is_parsed_and_formatted(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(fmt.duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "h", "2x", "-2h", "2h ", "1.5h", "0s", "٢h", "9" * 30 + "h", "2 h", "99999d"]
)
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|too long"):
        parse_duration(text)


def run(*arguments: str, home: Path, program: str = "chatctl") -> subprocess.CompletedProcess[str]:
    environ = {**preloaded.own_environment(), "HOME": str(home)}
    return preloaded.run([program, *arguments], environ, home)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["explain", "e204"], 0), (["explain", "405"], 0), (["explain", "E999"], 3), (["explain", "999"], 3),
        (["revoke", "bob/"], 2),
        (["revoke", "bob/phone"], 2), (["kick", "a", "b"], 1), (["ban", "bob", "--for", "soon"], 2),
        (["nonsense"], 2), (["kick", "bob"], 1),
    ],
)  # fmt: skip
def test_commands_without_a_server_exit_with_their_code(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    result = run(*arguments, home=tmp_path)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    if code == 1:
        assert "(E608)" in result.stderr
    if arguments == ["revoke", "bob/phone"]:
        assert "--yes" in result.stderr


def test_a_command_of_the_line_client_typed_in_the_shell_is_explained(tmp_path: Path) -> None:
    result = run("rooms", home=tmp_path, program="chat")
    assert result.returncode == 2
    assert "/rooms is a command of the line client: start chat, then type it." in result.stderr
    assert "Did you mean 'tail'?" in run("tial", home=tmp_path, program="chat").stderr


def test_explain_prints_json(tmp_path: Path) -> None:
    result = run("explain", "E204", "--json", home=tmp_path)
    assert json.loads(result.stdout)["fix"] == CODES["E204"].fix


def test_explain_tells_what_only_some_may_do(tmp_path: Path) -> None:
    shown = run("explain", "E400", home=tmp_path).stdout
    assert "rephrase the message" in shown
    assert "filter.override: /say!" in shown
    assert ALSO.keys() <= CODES.keys()


def test_room_names_may_omit_the_hash() -> None:
    assert [connecting.room_name(text) for text in ("war", "#war", "@bob")] == ["#war", "#war", "@bob"]


def test_prompt_toolkit_is_not_loaded_for_scripts(tmp_path: Path) -> None:
    code = "import sys, chatctl.cli, chatctl.chat; print('prompt_toolkit' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
