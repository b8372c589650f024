"""How fast people get in, and what those who talk notice of it.

python -m tests.bench.joining_speed [COUNT]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chatctl.client import Client, Patience, read_identity
from chatctl.client import join as redeem
from chatd.proto.invite_code import parse_code
from tests.support.daemon import BIN, Daemon, running
from tests.support.joining import invite

INVITES = 1000
TALK_SECONDS = 0.02


def invites(daemon: Daemon, folder: Path, count: int) -> tuple[list[str], float]:
    """Make invites for many people with one command; return their codes and the seconds that it took."""
    names = folder / "names.csv"
    names.write_text("".join(f"u{number}\n" for number in range(count)))
    began = time.monotonic()
    lines = daemon.chatctl("invite", "create", "--file", str(names)).stdout.splitlines()
    return [line.split()[-1] for line in lines], time.monotonic() - began


def users(daemon: Daemon, folder: Path, count: int) -> float:
    """Make identities for many people on the box with one command; return the seconds."""
    names = folder / "box.csv"
    names.write_text("".join(f"b{number},,console\n" for number in range(count)))
    began = time.monotonic()
    daemon.chatd("user", "add", "--file", str(names), "--device", "console")
    return time.monotonic() - began


def enrol(folder: Path, code: str) -> int:
    """Join as `chat join` does, all from one address; return 1 if the server was too busy at first."""
    told: list[str] = []
    redeem(parse_code(code), folder / f"{code[-6:]}.pem", patience=Patience(told=told.append))
    return len(told)


def storm(daemon: Daemon, folder: Path, codes: list[str]) -> tuple[int, float, list[float]]:
    """Enrol everybody at once; return how many were turned away, the seconds, and each talker's wait."""
    waits: list[float] = []
    done = threading.Event()
    with Client(read_identity(daemon.identity("alice", "console"))) as talker:
        talker.send("#lobby", "warm").wait(30)

        def talk() -> None:
            while not done.wait(TALK_SECONDS):
                began = time.monotonic()
                talker.send("#lobby", "still talking").wait(30)
                waits.append(time.monotonic() - began)

        thread = threading.Thread(target=talk)
        thread.start()
        began = time.monotonic()
        with ThreadPoolExecutor(len(codes)) as pool:
            turned_away = sum(pool.map(lambda code: enrol(folder, code), codes))
        took = time.monotonic() - began
        done.set()
        thread.join()
    return turned_away, took, waits


def first_line(daemon: Daemon, folder: Path, number: int) -> float:
    """Return the seconds for `chat join` and the room's first line, as two commands without a terminal."""
    identity = ["--identity", str(folder / f"new{number}.pem")]
    code = invite(daemon, f"late{number}")
    began = time.monotonic()
    subprocess.run([str(BIN / "chat"), "join", code, "--no-chat", *identity], env=daemon.environ, check=True)
    subprocess.run([str(BIN / "chat"), "history", "lobby", *identity], env=daemon.environ, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    return time.monotonic() - began


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name, running(Path(name) / "home") as daemon:
        folder = Path(name)
        codes, seconds = invites(daemon, folder, INVITES)
        print(f"{INVITES} invites with one command: {seconds:.1f} s")
        print(f"{INVITES} users with one command on the box: {users(daemon, folder, INVITES):.1f} s")
        turned_away, took, waits = storm(daemon, folder, codes[:count])
        print(f"{count} enrolments at once: {took:.1f} s, {turned_away} of them turned away first")
        print(f"longest wait of somebody who talked meanwhile: {max(waits, default=0.0):.2f} s")
        times = [first_line(daemon, folder, number) for number in range(5)]
        print(f"from Enter to the room's first line: median {statistics.median(times):.2f} s of {len(times)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
