"""`chatctl top`: the server's figures again and again, on a terminal that is left as it was."""

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
from typing import NoReturn

import click

from chatctl.admin.top_format import ASCII_BARS, BARS, Gauges, Sample
from chatctl.client import Client
from chatctl.connecting import App, connecting
from chatd.console import output
from chatd.errors import ChatdError

# Between the two samples of a snapshot: rates need a time.
SNAPSHOT_SECONDS = 1.0
# q is not heard while an answer is waited for.
ANSWER_SECONDS = 3.0
# The server does not answer, or not now: shown, and tried again.
_PASSING = frozenset({"E106", "E502", "E503", "E607", "E611"})
# Alternate screen and no cursor; and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@click.command()
@click.option(
    "--every",
    type=click.FloatRange(0.5, 3600),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option(
    "--once", is_flag=True, help="Show one snapshot and end; without a terminal this is the default."
)
@connecting
def top(app: App, every: float, once: bool) -> None:
    """Watch connections, messages a second, latency, and every process, with sparklines; q quits.

    With --json one object a line, as `chatctl stats --json` with accepted_per_second,
    delivered_per_second and latency_ms; with --once just one.
    """
    watching = not once and sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    with app.client(reconnect=not once) as client:
        if app.as_json:
            _stream(client, every, once)
        elif watching:
            _watch(client, every)
        else:
            gauges = _snapshot(client, every)
            for line in gauges.lines(_columns(), 1_000, bars=_bars()):
                output.line(line)


def _sample(client: Client) -> Sample:
    began = time.monotonic()
    client.request("ping", timeout=ANSWER_SECONDS)
    answered = time.monotonic()
    stats = client.request("stats", timeout=ANSWER_SECONDS)
    return Sample(answered, (answered - began) * 1000, stats)


def _snapshot(client: Client, every: float) -> Gauges:
    gauges = Gauges()
    gauges.take(_sample(client))
    time.sleep(min(every, SNAPSHOT_SECONDS))
    gauges.take(_sample(client))
    return gauges


def _stream(client: Client, every: float, once: bool) -> None:
    gauges = Gauges()
    gauges.take(_sample(client))
    while True:
        time.sleep(min(every, SNAPSHOT_SECONDS) if once else every)
        output.json_line(gauges.take(_sample(client)).as_json())
        sys.stdout.flush()
        if once:
            return


def _watch(client: Client, every: float) -> None:
    gauges, note = Gauges(), ""
    with _screen():
        while True:
            began = time.monotonic()
            try:
                gauges.take(_sample(client))
                note = "q quits"
            except ChatdError as error:
                if client.error is not None or error.code not in _PASSING:
                    raise
                note = f"not connected: {error.reason} ({error.code})"
            _draw(gauges, note)
            if _quits(began + every):
                return


def _draw(gauges: Gauges, note: str) -> None:
    size = os.get_terminal_size(sys.stdout.fileno())
    lines = gauges.lines(size.columns, size.lines, bars=_bars(), note=note)
    if lines and not os.environ.get("NO_COLOR"):
        lines[0] = click.style(lines[0], bold=True)
    # From the top, erasing what was right of and below the new lines: no flicker.
    sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in lines[:-1]))
    sys.stdout.write(f"{''.join(lines[-1:])}\x1b[J")
    sys.stdout.flush()


def _quits(until: float) -> bool:
    """Wait for the next look; whether q was pressed."""
    while (left := until - time.monotonic()) > 0:
        if not select.select([sys.stdin], [], [], left)[0]:
            return False
        pressed = os.read(sys.stdin.fileno(), 64)
        if not pressed or b"q" in pressed.lower():
            return True
    return False


@contextmanager
def _screen() -> Iterator[None]:
    """The whole terminal, keys one by one; given back whatever happens."""

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(output.OK)

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    handlers = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    # Stopped by Ctrl-Z the terminal would be left in this state.
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
