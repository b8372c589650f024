"""The line client in a real terminal, against a real daemon."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.hostile import TEXTS
from tests.support.terminal import TMUX, Terminal

pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def terminal(tmp_path: Path, shared_daemon: Daemon) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, {**shared_daemon.environ, "XDG_STATE_HOME": str(tmp_path)})
    yield terminal
    terminal.close()


def add_user(daemon: Daemon, name: str, role: str = "user") -> str:
    """Add a user for one test; return the name."""
    daemon.add_user(name, role)
    return name


def open_chat(terminal: Terminal, daemon: Daemon, name: str, *options: str) -> None:
    command = (str(BIN / "chat"), "--identity", str(daemon.identity(name)), *options)
    terminal.open(name, command)
    terminal.wait(name, f"connected to lab as {name}")
    terminal.wait(name, "-- #lobby: ")
    terminal.wait(name, "· connected ·")


def say(terminal: Terminal, name: str, text: str) -> None:
    terminal.keys(name, "-l", text)
    terminal.keys(name, "Enter")


def bold(terminal: Terminal, name: str) -> set[str]:
    """Return the bold texts on the screen."""
    return {span.text for row in terminal.screen(name).rows for span in row if span.style.bold}


def test_incoming_text_never_breaks_the_input_line(terminal: Terminal, shared_daemon: Daemon) -> None:
    ann, ben = add_user(shared_daemon, "ann"), add_user(shared_daemon, "ben")
    open_chat(terminal, shared_daemon, ann)
    open_chat(terminal, shared_daemon, ben)
    terminal.keys(ben, "-l", "half a thought 日本")
    terminal.wait(ben, "#lobby> half a thought 日本")
    for number in range(5):
        say(terminal, ann, f"line {number} 👍")
    terminal.wait_for(ben, r"<ann> line 4 👍\n(.*\n)*?#lobby> half a thought 日本\n")
    terminal.resize(ben, 50, 20)
    terminal.keys(ben, "-l", "語")
    terminal.wait(ben, "#lobby> half a thought 日本語")
    terminal.keys(ben, "Enter")
    terminal.wait(ann, "<ben> half a thought 日本語")
    terminal.wait_for(ben, r"<ben> half a thought 日本語\n(.*\n)*?#lobby>\s*\n")
    assert terminal.text(ben).count("half a thought") == 1


def test_a_pasted_block_is_one_message(terminal: Terminal, shared_daemon: Daemon) -> None:
    cat, dan = add_user(shared_daemon, "cat"), add_user(shared_daemon, "dan")
    open_chat(terminal, shared_daemon, cat)
    open_chat(terminal, shared_daemon, dan)
    terminal.paste(cat, "one\n  two\n[00:00:00Z] <admin*> three\n")
    terminal.wait(cat, "[00:00:00Z] <admin*> three")
    terminal.keys(cat, "Enter")
    terminal.wait_for(dan, r"\] <cat> one\n      two\n    \[00:00:00Z\] <admin\*> three\n")
    say(terminal, cat, "/paste")
    terminal.wait(cat, "Ctrl-D sends")
    say(terminal, cat, "four")
    terminal.keys(cat, "-l", "five")
    terminal.keys(cat, "C-d")
    terminal.wait_for(dan, r"<cat> four\n    five\n")


def test_rooms_mentions_and_refusals_are_shown(terminal: Terminal, shared_daemon: Daemon) -> None:
    eve, fay = add_user(shared_daemon, "eve"), add_user(shared_daemon, "fay")
    open_chat(terminal, shared_daemon, eve)
    open_chat(terminal, shared_daemon, fay)
    # A line typed ahead goes to the room that the previous line enters.
    say(terminal, eve, "/create ops the topic")
    say(terminal, eve, "first")
    terminal.wait(eve, "<eve> first")
    say(terminal, fay, "/join ops")
    shown = terminal.wait(fay, "<eve> first")
    assert "-- #ops: the topic · 2 members --" in shown
    say(terminal, fay, "/join #lobby")
    terminal.wait(fay, "#lobby>")
    say(terminal, eve, "nothing for anybody")
    say(terminal, eve, "fay: look here")
    shown = terminal.wait(fay, "#ops <eve> fay: look here")
    assert "nothing for anybody" not in shown
    terminal.wait(fay, "· #ops 1")
    say(terminal, fay, "/msg eve psst")
    terminal.wait(eve, "@fay <fay> psst")
    say(terminal, fay, "/ban eve")
    terminal.wait(fay, "(E300)")
    say(terminal, fay, "please drop it")
    terminal.wait(fay, 'not sent: "please drop it"')
    terminal.wait(fay, "(E400)")


def test_refused_input_leaves_the_line_and_the_up_key_returns_it(
    terminal: Terminal, shared_daemon: Daemon
) -> None:
    jim, kay = add_user(shared_daemon, "jim"), add_user(shared_daemon, "kay")
    open_chat(terminal, shared_daemon, jim)
    open_chat(terminal, shared_daemon, kay)
    say(terminal, jim, "/jion #lobby")
    terminal.wait(jim, "there is no command /jion; did you mean /join?")
    terminal.wait_for(jim, r"#lobby>\s*\n")
    say(terminal, jim, "the next line")
    assert "jion" not in terminal.wait(kay, "<jim> the next line")
    terminal.keys(jim, "Up", "Up")
    terminal.wait(jim, "#lobby> /jion #lobby")
    terminal.keys(jim, "C-c")
    say(terminal, jim, "please drop it")
    terminal.wait(jim, "(E400)")
    say(terminal, jim, "kindly")
    terminal.wait(kay, "<jim> kindly")
    terminal.keys(jim, "Up", "Up")
    terminal.wait(jim, "#lobby> please drop it")


def test_a_kick_is_shown_to_others(terminal: Terminal, shared_daemon: Daemon) -> None:
    lea, max_ = add_user(shared_daemon, "lea"), add_user(shared_daemon, "max")
    open_chat(terminal, shared_daemon, lea)
    open_chat(terminal, shared_daemon, max_)
    shared_daemon.chatctl("kick", "max", "--reason", "cool down", "--yes")
    terminal.wait(lea, "-!- max was kicked by alice: cool down")
    terminal.wait(max_, "kicked")
    assert "max is offline" not in terminal.text(lea)


def test_a_reconnect_shows_missed_messages_and_sends_pending_ones(tmp_path: Path, daemon: Daemon) -> None:
    terminal = Terminal(tmp_path, {**daemon.environ, "XDG_STATE_HOME": str(tmp_path)})
    gil = add_user(daemon, "gil")
    try:
        open_chat(terminal, daemon, gil)
        say(terminal, gil, "before")
        terminal.wait(gil, "<gil> before")
        daemon.chatd("stop")
        terminal.wait_for(gil, r"· reconnecting( in \d+ s)? ·")
        say(terminal, gil, "meanwhile")
        terminal.wait(gil, "... #lobby meanwhile")
        wait_until(lambda: bold(terminal, gil) >= {"#lobby>"}, what="the prompt")
        assert "... #lobby meanwhile" not in bold(terminal, gil)
        terminal.wait_for(gil, r"reconnecting( in \d+ s)? (· /reconnect )?\(1 unsent\)")
        daemon.start()
        terminal.wait(gil, "-- connected again --")
        shown = terminal.wait(gil, "<gil> meanwhile")
        assert shown.count("<gil> before") == shown.count("meanwhile") == 1
        daemon.chatctl("ban", "gil", "--for", "2h", "--reason", "spam")
        assert terminal.wait_end(gil) == 4
        assert "spam (E207)" in terminal.text(gil)
        terminal.open("again", (str(BIN / "chat"), "--identity", str(daemon.identity(gil))))
        assert terminal.wait_end("again") == 4
        assert "spam (E207)" in terminal.text("again")
    finally:
        terminal.close()


def test_ctrl_c_twice_or_ctrl_d_quits(terminal: Terminal, shared_daemon: Daemon) -> None:
    hal, ida = add_user(shared_daemon, "hal"), add_user(shared_daemon, "ida")
    open_chat(terminal, shared_daemon, hal)
    open_chat(terminal, shared_daemon, ida)
    terminal.keys(hal, "-l", "not this")
    terminal.wait(hal, "#lobby> not this")
    terminal.keys(hal, "C-c")
    terminal.keys(hal, "C-c")
    shown = terminal.wait(hal, "Ctrl-C again quits")
    assert "not this" not in shown
    terminal.keys(hal, "C-c")
    assert terminal.wait_end(hal) == 0
    terminal.keys(ida, "C-d")
    assert terminal.wait_end(ida) == 0


def test_marked_up_text_is_styled_and_keeps_its_marks(shared_daemon: Daemon, tmp_path: Path) -> None:
    lia, mel = add_user(shared_daemon, "lia"), add_user(shared_daemon, "mel")
    terminal = Terminal(tmp_path, {**shared_daemon.environ, "NO_COLOR": ""})
    try:
        open_chat(terminal, shared_daemon, lia, "--theme", "dark")
        open_chat(terminal, shared_daemon, mel, "--theme", "plain")
        say(terminal, lia, "use **care** with `rm -rf`, see https://x.example/a.")
        for name in (lia, mel):
            terminal.wait(name, f"<{lia}> use **care** with `rm -rf`, see https://x.example/a.")
            spans = [span for row in terminal.screen(name).rows for span in row]
            assert "**care**" in bold(terminal, name)
            assert "https://x.example/a" in [span.text for span in spans if span.style.underline]
            coloured = [span.text for span in spans if span.style.foreground]
            assert ("`rm -rf`" in coloured) == (name == lia)
    finally:
        terminal.close()


def test_redaction_focus_and_themes_work_in_a_room_for_guests(
    terminal: Terminal, shared_daemon: Daemon
) -> None:
    jon, kim = add_user(shared_daemon, "jon", "admin"), add_user(shared_daemon, "kim", "guest")
    open_chat(terminal, shared_daemon, jon, "--theme", "plain")
    open_chat(terminal, shared_daemon, kim, "--theme", "light")
    say(terminal, jon, "/create visitors --guests welcome")
    terminal.wait(jon, "#visitors: welcome · 1 member")
    say(terminal, kim, "/join visitors")
    say(terminal, kim, "my password is hunter2")
    terminal.wait(jon, "<kim~> my password is hunter2")
    say(terminal, jon, "/redact kim")
    offered = terminal.wait(jon, "deletes kim: my password is hunter2")
    number = re.findall(r"/redact (\d+) deletes", offered)[-1]
    say(terminal, jon, f"/redact {number} oops")
    terminal.wait(kim, f"-!- jon deleted message {number} of kim: oops")
    say(terminal, kim, "/focus")
    terminal.wait(kim, "· focus")
    say(terminal, jon, "/join #lobby")
    say(terminal, jon, "kim: psst")
    shown = terminal.wait(kim, "· #lobby 1")
    assert "psst" not in shown


def test_hostile_text_cannot_control_the_terminal(terminal: Terminal) -> None:
    output = terminal._folder / "shown"
    script = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.hostile_screen", str(output))
    terminal.open("hostile", script, columns=200, rows=50)
    before = terminal.title("hostile")
    shown = terminal.wait("hostile", f"end {list(TEXTS)[-1]}")
    for name in TEXTS:
        assert f"begin {name}" in shown
    assert terminal.title("hostile") == before
    assert r"\x1b]0;OWNED\x07" in shown
    assert r"\x9b2J" in shown
    assert r"\u202egnp.exe" in shown
    assert "\n[00:00:00Z] <admin*> forged" not in shown
    raw = terminal.raw("hostile", f"end {list(TEXTS)[-1]}".encode())
    # prompt_toolkit only needs CSI: no OSC, DCS, APC, PM, SOS, charset or reset may appear.
    assert set(re.findall(rb"\x1b(.)", raw)) <= {b"["}
    assert not re.search(rb"[\x00-\x06\x0b\x0c\x0e-\x1a\x7f]", raw)
    text = raw.decode()
    assert not re.search("[\x80-\x9f\u202a-\u202e\u2066-\u2069\u200b\u2028\ufeff\U000e0000-\U000e007f]", text)
