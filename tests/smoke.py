"""`make smoke`: the installed commands, a fresh home, two people, one message each way, stop.

A script and not a test, so that it can be run against any installation: it uses only the three
commands, as a person would.
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
    """Exit code 0 when everything went as it should; the first thing that did not is an AssertionError."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "home") as daemon:
        say(f"chatd runs on port {daemon.port}")
        bob = daemon.add_user("bob")
        listening = tail(daemon, bob)
        try:
            daemon.run(
                "chat", "--identity", str(daemon.identity("alice", "console")), "send", "#lobby", "hello bob"
            )
            expect(listening, "alice", "hello bob")
            daemon.run("chat", "--identity", str(bob), "send", "#lobby", "hello alice")
            expect(listening, "bob", "hello alice")
        finally:
            listening.terminate()
            listening.communicate(timeout=10)
        stats = json.loads(daemon.chatctl("stats", "--json").stdout)
        assert stats["messages"]["accepted"] == 2, stats
        say("two people talked; both messages are in the log")
        daemon.stop()
        assert not daemon.status(), "chatd should be down"
    say("stopped")
    return 0


def tail(daemon: Daemon, identity: Path) -> subprocess.Popen[str]:
    """`chat tail`; it begins with the last messages, so that it need not be there first."""
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "chat"), "--identity", str(identity), "tail", "#lobby", "--json"],
        env=daemon.environ,
        stdout=subprocess.PIPE,
        text=True,
    )


def expect(process: subprocess.Popen[str], user: str, body: str) -> None:
    """Read until the message comes."""
    event = {"type": ""}
    while event["type"] != "message":
        event = json.loads(next_line(process, f"{body!r} of {user}"))
    assert (event["user"], event["body"]) == (user, body), event


def say(text: str) -> None:
    """Progress."""
    print(f"smoke: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
