"""`make smoke`: start the installed daemon in a fresh home, exchange two messages, stop.

It only runs the three commands, as a person would, so it can check any installation.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.daemon import Daemon, running
from tests.support.lines import next_line


def main() -> int:
    """Return 0. Raises AssertionError at the first failure."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "home") as daemon:
        say(f"chatd is running on port {daemon.port}")
        bob = daemon.add_user("bob")
        listener = tail(daemon, bob)
        try:
            daemon.run(
                "chat", "--identity", str(daemon.identity("alice", "console")), "send", "#lobby", "hello bob"
            )
            expect(listener, "alice", "hello bob")
            daemon.run("chat", "--identity", str(bob), "send", "#lobby", "hello alice")
            expect(listener, "bob", "hello alice")
        finally:
            listener.terminate()
            listener.communicate(timeout=10)
        stats = json.loads(daemon.chatctl("stats", "--json").stdout)
        assert stats["messages"]["accepted"] == 2, stats
        say("two people exchanged messages; both are in the log")
        daemon.stop()
        assert not daemon.status(), "chatd is still running"
    say("stopped")
    return 0


def tail(daemon: Daemon, identity: Path) -> subprocess.Popen[str]:
    """Start `chat tail`. It begins with past messages, so it need not be ready before they are sent."""
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "chat"), "--identity", str(identity), "tail", "#lobby", "--json"],
        env=daemon.environ,
        stdout=subprocess.PIPE,
        text=True,
    )


def expect(process: subprocess.Popen[str], user: str, body: str) -> None:
    """Read events up to the first message, and check that it is this one."""
    event = {"type": ""}
    while event["type"] != "message":
        event = json.loads(next_line(process, f"{body!r} from {user}"))
    assert (event["user"], event["body"]) == (user, body), event


def say(text: str) -> None:
    """Print progress."""
    print(f"smoke: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
