"""Closed, full and abandoned standard streams: every command of the three programs, in real processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.support import preloaded
from tests.support.chat_program import create_room, run_chat
from tests.support.daemon import BIN, Daemon
from tests.support.under_attack import update_section
from tests.tools.manpages import PROGRAMS, runnable

NOT_SHOWN = 8
PASSPHRASE = "correct horse battery"
# What each command needs. {new} is a path that does not exist yet, {room} a room with one message.
ARGUMENTS: dict[str, str] = {
    "chat send": "{room} hello --json",
    "chat tail": "{room}",
    "chat history": "{room}",
    "chat search": "hello",
    "chat completion": "bash",
    "chatctl kick": "bob --dry-run",
    "chatctl ban": "bob --dry-run",
    "chatctl unban": "banned",
    "chatctl mute": "bob --dry-run",
    "chatctl unmute": "muted",
    "chatctl revoke": "bob/laptop --dry-run",
    "chatctl redact": "{room} {seq} --yes",
    "chatctl hold": "{room}",
    "chatctl who": "{room}",
    "chatctl whois": "bob",
    "chatctl top": "--json",
    "chatctl stats": "--watch",
    "chatctl announce": "hello",
    "chatctl search": "hello",
    "chatctl explain": "E404",
    "chatctl completion": "bash",
    "chatctl role set": "bob user",
    "chatctl user show": "bob",
    "chatctl user remove": "{invited} --yes",
    "chatctl user rename-display": "bob Robert",
    "chatctl room create": "{name}",
    "chatctl room archive": "{room}",
    "chatctl room unarchive": "{room}",
    "chatctl room remove": "{room} --yes",
    "chatctl room info": "{room}",
    "chatctl invite create": "{name} --server 127.0.0.1:1",
    "chatctl invite cancel": "{invited}",
    "chat join": "{code} --no-chat --identity {new}",
    "chatctl room mode": "{room} read-only",
    "chatctl room owner": "{room} bob",
    "chatctl room invite": "{room} bob",
    "chatctl room uninvite": "{room} bob",
    "chatctl room remove-member": "{room} bob",
    "chatctl guest extend": "{invited} 1h",
    "chatctl guest end": "{invited}",
    "chatctl hook create": "{room} --kind text --name {name}",
    "chatctl hook rotate": "{invited}",
    "chatctl hook remove": "{invited}",
    "chatd init": "--listen 127.0.0.1:1",
    "chatd verify": "",
    "chatd export": "-o {new}",
    "chatd restore": "{backup} --listen 127.0.0.1:1 --passphrase-file {passphrase}",
    "chatd completion": "bash",
    "chat edit": "{room} {seq} again",
    "chat delete": "{room} {seq}",
    "chat device add": "{name} --server 127.0.0.1:1",
    "chatd filter test": "/dev/null",
    "chatctl filter test": "hello",
    "chatd user add": "{name}",
    "chatd client-bundle": "{new}",
    "chatd ca export": "{new} --passphrase-file {passphrase}",
    "chatd ca import": "{exported} --passphrase-file {passphrase}",
    "chatd crl": "",
    "chatd user revoke": "{invited} --yes",
    "chatd backup create": "{new} --passphrase-file {passphrase}",
    "chatd backup show": "{backup} --passphrase-file {passphrase}",
}
# Without a command to answer, the bot may end before it has written anything.
INPUT = {"chat bot": '{"do": "whois", "user": "bob", "ref": 1}\n'}
TO_UNDO = {"chatctl unban": ("ban", "banned"), "chatctl unmute": ("mute", "muted")}
COMMANDS = [item for name, root in PROGRAMS.items() for item in runnable(name, root)]
# These end when nobody reads them, without end otherwise; the window needs a display; the server is shared.
ENDLESS = {"chat tail", "chatctl top", "chatctl stats"}
LEFT_OUT = {"chat window", "chatd start", "chatd stop", "chatd restart"}
# A stranger and an admin have to be there at once: tests/integration/test_asking_live.py.
LEFT_OUT |= {"chat ask", "chatctl approve", "chatctl deny"}
# A message has to wait: tests/integration/test_held_live.py.
LEFT_OUT |= {"chatctl held approve", "chatctl held refuse", "chatctl held withdraw"}
# They give the shared server another CA: tests/integration/test_new_ca.py.
LEFT_OUT |= {"chatd ca rotate", "chatd ca retire"}
# They change the settings, or need a stopped server: test_cluster_live.py, test_cluster_made.py.
_ON_CLUSTERS = ("init", "join", "lead", "leave", "replace", "reseed", "dissolve")
LEFT_OUT |= {f"chatd cluster {name}" for name in _ON_CLUSTERS}
TRIED = [(path, command) for path, command in COMMANDS if path not in LEFT_OUT]
IDS = [path for path, _ in TRIED]


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    # Each test makes a room.
    shared_daemon.write_settings(lambda tree: update_section(tree, "limits", rooms_per_user=1000))
    shared_daemon.chatd("reload")
    for user in ("bob", "banned", "muted"):
        shared_daemon.add_user(user)
    folder = tmp_path_factory.mktemp("backup")
    (folder / "passphrase").write_text(PASSPHRASE)
    shared_daemon.chatd(
        "backup", "create", str(folder / "b"), "--passphrase-file", str(folder / "passphrase")
    )
    shared_daemon.chatd("ca", "export", str(folder / "ca"), "--passphrase-file", str(folder / "passphrase"))
    shared_daemon.environ["TEST_BACKUPS"] = str(folder)
    return shared_daemon


class Place:
    """The words of one command line and the folder it runs in."""

    def __init__(self, daemon: Daemon, folder: Path, path: str) -> None:
        self._daemon = daemon
        room = create_room(daemon, f"r{os.urandom(6).hex()}")
        sent = run_chat(daemon, "send", room, "hello", "--json", user="alice").stdout
        if path in TO_UNDO:
            daemon.chatctl(*TO_UNDO[path])
        if path == "chatctl room unarchive":
            daemon.chatctl("room", "archive", room)
        if path in ("chatctl room owner", "chatctl room remove-member"):
            run_chat(daemon, "send", room, "hello", user="bob")
        if path == "chatctl room uninvite":
            daemon.chatctl("room", "invite", room, "bob")
        invited, code = f"i{os.urandom(6).hex()}", ""
        if path in ("chatctl guest extend", "chatctl guest end"):
            ends = ("--ends", "2h", "--sponsor", "alice")
            daemon.chatd("user", "add", invited, "--role", "guest", *ends)
        if path in ("chatctl hook rotate", "chatctl hook remove"):
            daemon.chatctl("hook", "create", room, "--kind", "text", "--name", invited)
        if path in ("chatd user revoke", "chatctl user remove"):
            daemon.chatd("user", "add", invited)
        if path in ("chatctl invite cancel", "chat join"):
            code = daemon.chatctl("invite", "create", invited).stdout.split()[-1]
        backups = Path(daemon.environ["TEST_BACKUPS"])
        words = ARGUMENTS.get(path, "").format(
            room=room,
            seq=sent.partition('"seq": ')[2].partition(",")[0],
            new=folder / "new",
            name=f"u{os.urandom(6).hex()}",
            invited=invited,
            code=code,
            backup=backups / "b",
            exported=backups / "ca",
            passphrase=backups / "passphrase",
        )
        program, *command = path.split()
        home = folder / "home" if path in ("chatd init", "chatd restore") else daemon.home
        self._input = INPUT.get(path, "")
        self.argv = [str(BIN / program), "--home", str(home), *command, *words.split()]

    def run_forked(self, *, out: str = "", closed: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the command with its standard output going to the file ``out``, or without streams."""
        folder = self._daemon.home.parent
        program = Path(self.argv[0]).name
        return preloaded.run(
            [program, *self.argv[1:]], self._daemon.environ, folder, text=self._input, out=out, closed=closed
        )

    def run(self, redirections: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a shell with ``redirections``."""
        return subprocess.run(
            ["/bin/bash", "-c", f'exec "$@" {redirections}', "bash", *self.argv],
            env=self._daemon.environ,
            input=self._input,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def place(daemon: Daemon, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    yield Place(daemon, tmp_path, request.param[0])


def every_command(commands: list[tuple[str, click.Command]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", commands, indirect=True, ids=[path for path, _ in commands])


def test_every_command_is_tried() -> None:
    needy = {path for path, command in TRIED if any(p.required for p in command.params)}
    assert needy <= ARGUMENTS.keys() <= set(IDS)


@every_command(TRIED)
def test_a_full_disk_is_named_and_the_request_is_not_called_failed(place: Place) -> None:
    done = place.run_forked(out="/dev/full")
    silent = done.returncode == 0 and not place.run_forked().stdout
    assert silent or done.returncode == NOT_SHOWN, done.stderr
    if not silent:
        assert "error: standard output: No space left on device (E615)" in done.stderr
        assert "it was done" in done.stderr
    assert "bug" not in done.stderr and "Traceback" not in done.stderr


@every_command([item for item in TRIED if item[0] not in ENDLESS])
def test_closed_streams_are_empty_ones(place: Place) -> None:
    assert place.run_forked(closed=True).returncode == 0


@every_command(
    [item for item in TRIED if item[0] in {"chat send", "chat bot", "chatctl users", "chatd config show"}]
)
def test_streams_that_the_shell_has_closed_are_empty_ones(place: Place) -> None:
    assert place.run("<&- >&- 2>&-").returncode == 0


@every_command(
    [item for item in TRIED if item[0] in {*ENDLESS, "chat bot", "chatctl users", "chatd config show"}]
)
def test_a_reader_that_ends_early_is_no_error(place: Place) -> None:
    done = place.run("> >(exec <&-; exit)")
    assert (done.returncode, done.stderr) in ((NOT_SHOWN, ""), (0, ""))
