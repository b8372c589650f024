"""Numbers that no request can carry: options of every command, and the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from chatctl.client import ChatdError, Client, read_identity
from tests.support import preloaded
from tests.support.daemon import Daemon
from tests.tools.manpages import PROGRAMS, runnable

ABSURD = ("nan", "inf", "-inf", "-1", "1e400", "99999999999999999999", "", "9" * 5000)
PARAMETERS = [
    (path, parameter)
    for name, root in PROGRAMS.items()
    for path, command in runnable(name, root)
    for parameter in command.params
    if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
]
IDS = [f"{path} {parameter.name}" for path, parameter in PARAMETERS]


def test_number_options_are_found() -> None:
    assert {"chat tail since", "chatctl top every", "chatd start seconds", "chatctl redact seq"} <= set(IDS)


@pytest.mark.parametrize("text", ABSURD, ids=[text[:22] or "empty" for text in ABSURD])
@pytest.mark.parametrize(("path", "parameter"), PARAMETERS, ids=IDS)
def test_an_absurd_number_is_refused(path: str, parameter: click.Parameter, text: str) -> None:
    with pytest.raises(click.BadParameter):
        parameter.type.convert(text, parameter, None)


@pytest.mark.parametrize(("path", "parameter"), PARAMETERS, ids=IDS)
def test_an_absurd_number_is_a_wrong_command_line(
    path: str, parameter: click.Parameter, tmp_path: Path
) -> None:
    program, *words = path.split()
    word = (
        [f"{parameter.opts[-1]}=nan"] if isinstance(parameter, click.Option) else _arguments(path, parameter)
    )
    environ = {**preloaded.own_environment(), "HOME": str(tmp_path)}
    done = preloaded.run([program, *words, *word], environ, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "nan" in done.stderr


def _arguments(path: str, parameter: click.Parameter) -> list[str]:
    """Return arguments for a command, of which the number is wrong; the ones before it are rooms."""
    name = path.split()[0]
    command = dict(runnable(name, PROGRAMS[name]))[path]
    names = [one.name for one in command.params if isinstance(one, click.Argument)]
    return ["lobby"] * names.index(parameter.name) + ["nan"]


@pytest.mark.parametrize(
    ("kind", "fields", "code", "words"),
    [
        ("history", {"room": "#lobby", "before": 10**20}, "E102", "history: field before"),
        ("history", {"room": "#lobby", "after": 2**53 + 1}, "E102", "history: field after"),
        ("history", {"room": "#lobby", "limit": -1}, "E102", "field limit"),
        ("history", {"room": "#lobby", "after": float("nan")}, "E102", "history: field after"),
        ("history", {"room": b"#lobby"}, "E102", "history: field room"),
        ("ban", {"user": "bob", "seconds": 10**400}, "E102", "ban: field seconds"),
        ("kick", {"user": "bob", "reason": "\ud800"}, "E402", "not valid Unicode"),
        ("nonsense", {}, "E103", "no request 'nonsense'"),
    ],
)
def test_a_request_that_cannot_be_sent_ends_at_once(
    shared_daemon: Daemon, kind: str, fields: dict[str, Any], code: str, words: str
) -> None:
    identity = read_identity(shared_daemon.identity("alice", "console"))
    with Client(identity, live=False, reconnect=False) as client:
        client.wait_connected(30)
        with pytest.raises(ChatdError) as refused:
            client.request(kind, timeout=600, **fields)
        assert (refused.value.code, words in refused.value.reason) == (code, True)
        # The session has not noticed.
        assert client.request("ping")["time"]


@pytest.mark.parametrize("field", [{"reply_to": 10**20}, {"reply_to": -1}, {"kind": "shout"}])
def test_a_message_that_cannot_be_sent_is_refused_at_once(
    shared_daemon: Daemon, field: dict[str, Any]
) -> None:
    with Client(read_identity(shared_daemon.identity("alice", "console")), live=False) as client:
        with pytest.raises(ChatdError, match="E102"):
            client.send("#lobby", "text", **field)
        assert client.unsent == 0
