"""sd_notify(3) without its library: one datagram to the socket named in $NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
import time


def notify(text: str) -> None:
    """Send ``text``, such as READY=1, to systemd. Does nothing if systemd did not start this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address[0] == "@":  # an abstract address starts with a NUL byte
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), address)
    except OSError:
        return


def notify_reloading() -> None:
    """Announce a reload; the time tells it from the next one."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Return the interval of WATCHDOG=1, half of what systemd allows; None without a watchdog."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or watched != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000
