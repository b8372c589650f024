"""`chatctl top`: the server's stats live on a full-screen terminal, or once, or as JSON Lines."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from chatctl.admin.top_format import ASCII_BARS, BARS, Sample, StatsHistory
from chatctl.connecting import App, connecting
from chatd.console import output
from chatd.console.numbers import number
from chatd.errors import ChatdError

if TYPE_CHECKING:
    from chatctl.client import Client

# Seconds between the two samples of a snapshot, from which the rates come.
SNAPSHOT_SECONDS = 1.0
# Short, because q is not read while a request waits for its reply.
REPLY_TIMEOUT = 3.0
# Errors that may pass: shown, and tried again.
_TEMPORARY = frozenset({"E106", "E502", "E503", "E607", "E611"})
# Switch to the alternate screen and hide the cursor; switch back and show it.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@click.command()
@click.option(
    "--every",
    type=number(0.5, 3600),
    default=2.0,
    show_default=True,
    help="Seconds between updates.",
)
@click.option("--once", is_flag=True, help="Print one snapshot and exit; the default without a terminal.")
@connecting
def top(app: App, every: float, once: bool) -> None:
    """Watch connections, message rates, latency and all processes, with sparklines; q quits.

    With --json, print one object per line: that of `chatctl stats --json` with accepted_per_second,
    delivered_per_second and latency_ms. With --once, print one only.
    """
    watching = not once and sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    with app.client(reconnect=not once) as client:
        if app.as_json:
            _stream(client, every, once)
        elif watching:
            _watch(client, every)
        else:
            history = _snapshot(client, every)
            for line in history.lines(_columns(), 1_000, bars=_bars()):
                output.line(line)


def _sample(client: Client) -> Sample:
    began = time.monotonic()
    client.request("ping", timeout=REPLY_TIMEOUT)
    answered = time.monotonic()
    stats = client.request("stats", timeout=REPLY_TIMEOUT)
    return Sample(answered, (answered - began) * 1000, stats)


def _snapshot(client: Client, every: float) -> StatsHistory:
    history = StatsHistory()
    history.add(_sample(client))
    time.sleep(min(every, SNAPSHOT_SECONDS))
    history.add(_sample(client))
    return history


def _stream(client: Client, every: float, once: bool) -> None:
    history = StatsHistory()
    history.add(_sample(client))
    while True:
        time.sleep(min(every, SNAPSHOT_SECONDS) if once else every)
        output.json_line(history.add(_sample(client)).as_json())
        output.flush()
        if once:
            return


def _watch(client: Client, every: float) -> None:
    history, note = StatsHistory(), ""
    with _screen():
        while True:
            began = time.monotonic()
            try:
                history.add(_sample(client))
                note = "q quits"
            except ChatdError as error:
                if client.error is not None or error.code not in _TEMPORARY:
                    raise
                note = f"not connected: {error.reason} ({error.code})"
            _draw(history, note)
            if _quits(began + every):
                return


def _draw(history: StatsHistory, note: str) -> None:
    size = os.get_terminal_size(sys.stdout.fileno())
    lines = history.lines(size.columns, size.lines, bars=_bars(), note=note)
    if lines and not os.environ.get("NO_COLOR"):
        lines[0] = click.style(lines[0], bold=True)
    # Overwrite line by line and erase only behind the new text, which avoids flicker.
    sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in lines[:-1]))
    sys.stdout.write(f"{''.join(lines[-1:])}\x1b[J")
    output.flush()


def _quits(until: float) -> bool:
    """Wait until the next update; returns whether q was pressed."""
    while (remaining := until - time.monotonic()) > 0:
        if not select.select([sys.stdin], [], [], remaining)[0]:
            return False
        pressed = os.read(sys.stdin.fileno(), 64)
        if not pressed or b"q" in pressed.lower():
            return True
    return False


@contextmanager
def _screen() -> Iterator[None]:
    """Take over the terminal, with keys unbuffered; restore it at the end, whatever happens."""

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(output.OK)

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    handlers = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    # Ctrl-Z would leave the shell with the terminal in this state.
    handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        tty.setcbreak(descriptor)
        sys.stdout.write(_ENTER)
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _columns() -> int:
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 100


def _bars() -> str:
    return BARS if "utf" in (sys.stdout.encoding or "").lower() else ASCII_BARS
