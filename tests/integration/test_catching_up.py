"""Catching up in the line client, in a real terminal: first unread, /catchup, /history, two devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chat_program import admin_client, run_chat
from tests.support.daemon import BIN, Daemon
from tests.support.terminal import TMUX, Terminal

pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")

# As many as one page of the protocol cannot hold, and fewer than the terminal's scrollback.
MESSAGES = 303
SHOWN = 20
FILLER = "x" * 150


@pytest.fixture
def terminal(tmp_path: Path, shared_daemon: Daemon) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, {**shared_daemon.environ, "XDG_STATE_HOME": str(tmp_path)})
    yield terminal
    terminal.close()


@pytest.fixture
def again(tmp_path: Path, shared_daemon: Daemon) -> Iterator[Terminal]:
    """A second terminal on the same state, for the next run of a client."""
    folder = tmp_path / "again"
    folder.mkdir()
    terminal = Terminal(folder, {**shared_daemon.environ, "XDG_STATE_HOME": str(tmp_path)})
    yield terminal
    terminal.close()


def open_chat(terminal: Terminal, daemon: Daemon, name: str, room: str, device: str = "laptop") -> str:
    """Open the line client of a device in a room; return the terminal's name for it."""
    identity = str(daemon.identity(name, device))
    window = f"{name}-{device}"
    terminal.open(window, (str(BIN / "chat"), "--identity", identity, "--room", room), columns=200)
    terminal.wait(window, f"-- {room}")
    terminal.wait(window, "· connected ·")
    return window


def type_line(terminal: Terminal, window: str, line: str) -> None:
    terminal.keys(window, "-l", line)
    terminal.keys(window, "Enter")


def leave(terminal: Terminal, window: str) -> None:
    type_line(terminal, window, "/quit")
    assert terminal.wait_end(window) == 0


def numbers_after(shown: str, mark: str) -> list[int]:
    """Return the numbers of the messages below the last line that has ``mark``, in the order shown."""
    return [int(number) for number in re.findall(r"> n(\d+)x", shown.rpartition(mark)[2])]


def prepare(terminal: Terminal, daemon: Daemon, name: str) -> str:
    """Let a user be in a new room and leave; then say `MESSAGES` there. Return the room."""
    room = f"#{name}-room"
    with admin_client(daemon) as alice:
        alice.request("create", room=room, guests=True)
        daemon.add_user(name)
        window = open_chat(terminal, daemon, name, room)
        alice.send(room, "hello").wait(30)
        terminal.wait(window, "hello")
        leave(terminal, window)
        sent = [alice.send(room, f"n{number}{FILLER}") for number in range(MESSAGES)]
        for one in sent:
            one.wait(60)
    return room


def test_the_first_unread_line_and_catchup(
    terminal: Terminal, again: Terminal, shared_daemon: Daemon
) -> None:
    room = prepare(terminal, shared_daemon, "cora")
    window = open_chat(again, shared_daemon, "cora", room)
    shown = again.wait(window, f"n{MESSAGES - 1}x")
    assert f"{MESSAGES} new" in shown
    first = f"first unread: {MESSAGES - SHOWN} new before these are not shown; /catchup reads from there"
    assert first in shown
    assert numbers_after(shown, first) == list(range(MESSAGES - SHOWN, MESSAGES))

    type_line(again, window, "/catchup 100")
    shown = again.wait(window, "/catchup reads on --")
    assert re.search(rf"-- unread in {room}, from \d{{4}}-\d\d-\d\d [\d:]+Z to ", shown)
    assert numbers_after(shown, "-- unread in")[:99] == list(range(99))

    type_line(again, window, "/catchup 500")
    shown = again.wait(window, f"nothing more is unread in {room}")
    found = numbers_after(shown, "-- unread in")
    assert found[0] in (99, 100)
    assert found == list(range(found[0], MESSAGES)), "forward, in order, up to the newest"
    type_line(again, window, "/catchup")
    again.wait_for(window, rf"(?s)nothing more is unread in {room}.*nothing more is unread in {room}")


def test_history_prints_its_pages_merged_below_a_heading(terminal: Terminal, shared_daemon: Daemon) -> None:
    room = prepare(terminal, shared_daemon, "hana")
    shared_daemon.add_user("hana", device="phone")
    window = open_chat(terminal, shared_daemon, "hana", room, "phone")
    terminal.wait(window, f"n{MESSAGES - 1}x")
    type_line(terminal, window, "/history 250")
    shown = terminal.wait(window, "250 earlier events shown; /history again goes further back")
    assert re.search(rf"-- earlier in {room}, from \d{{4}}-\d\d-\d\d [\d:]+Z to ", shown)
    newest = MESSAGES - SHOWN
    assert numbers_after(shown, "-- earlier in") == list(range(newest - 250, newest))
    type_line(terminal, window, "/history 500")
    shown = terminal.wait(window, f"there is nothing earlier in {room}")
    assert numbers_after(shown, "-- earlier in") == list(range(newest - 250))


def test_what_one_device_has_shown_is_read_on_the_other(
    terminal: Terminal, again: Terminal, shared_daemon: Daemon
) -> None:
    room = prepare(terminal, shared_daemon, "rita")
    shared_daemon.add_user("rita", device="phone")
    phone = open_chat(terminal, shared_daemon, "rita", "#lobby", "phone")
    # The phone has no cursor of its own: it counts from the marker that the laptop has left.
    terminal.wait(phone, f"{room} {MESSAGES}")
    laptop = open_chat(again, shared_daemon, "rita", room)
    again.wait(laptop, f"{MESSAGES} new")
    type_line(again, laptop, "/catchup 500")
    terminal.wait_for(phone, rf"(?m)^ #lobby · connected(?!.*{room})")


def test_what_was_on_no_screen_is_unread_on_the_next_start(
    terminal: Terminal, again: Terminal, shared_daemon: Daemon, tmp_path: Path
) -> None:
    room = prepare(terminal, shared_daemon, "nora")
    folder = tmp_path / "third"
    folder.mkdir()
    third = Terminal(folder, {**shared_daemon.environ, "XDG_STATE_HOME": str(tmp_path)})
    try:
        for one in (again, third):
            window = open_chat(one, shared_daemon, "nora", room)
            one.wait(window, f"first unread: {MESSAGES - SHOWN} new before these are not shown")
            leave(one, window)
    finally:
        third.close()


def test_replies_show_what_they_answer_although_that_is_not_on_the_page(
    terminal: Terminal, shared_daemon: Daemon
) -> None:
    room = prepare(terminal, shared_daemon, "quin")
    shared_daemon.add_user("quin", device="phone")
    with admin_client(shared_daemon) as alice:
        pages = alice.request("history", room=room, limit=500)
        seqs = [event["seq"] for event in pages["events"] if event["type"] == "message"]
        kept, gone = seqs[0], seqs[1]
        alice.request("redact", room=room, seq=gone)
        alice.send(room, "answer one", reply_to=kept).wait(30)
        alice.send(room, "answer two", reply_to=gone).wait(30)
        window = open_chat(terminal, shared_daemon, "quin", room, "phone")
        shown = terminal.wait(window, "answer two")
        quoted = re.search(r'\(re alice: "(n\d+)x+…"\) answer one', shown)
        assert quoted, shown
        assert "(re a deleted or unreadable message) answer two" in shown
        alice.send(room, "answer three", reply_to=kept + 2).wait(30)
        terminal.wait_for(window, r'\(re alice: "n\d+x+…"\) answer three')
    done = run_chat(shared_daemon, "history", room[1:], "-n", "3", user="quin")
    assert f'(re alice: "{quoted[1]}x' in done.stdout
    assert "(re a deleted or unreadable message) answer two" in done.stdout
