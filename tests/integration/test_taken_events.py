"""A bot that is killed continues with the event it was working on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from chatctl.client import CaughtUp, Client, Message
from chatd.pki.identity import read_identity
from tests.support.daemon import running

_BOT = """import os, signal, sys
from pathlib import Path
from chatctl.client import Client, Message, read_identity

with Client(read_identity(Path(sys.argv[1])), state=Path(sys.argv[2])) as client:
    for event in client.events():
        if isinstance(event, Message) and event.body == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_bot_gets_only_the_event_again_that_it_was_working_on(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        bot, state = daemon.add_user("bot"), tmp_path / "state"
        with Client(read_identity(bot), state=state) as client:
            while not isinstance(client.next_event(30), CaughtUp):
                pass
        with Client(read_identity(daemon.add_user("bob"))) as sender:
            for number in range(10):
                sender.send("#lobby", f"number {number}").wait(30)
        for number in (6, 8):
            command = [sys.executable, "-c", _BOT, str(bot), str(state), f"number {number}"]
            done = subprocess.run(command, timeout=60, check=False)
            assert done.returncode == -signal.SIGKILL
        with Client(read_identity(bot), state=state) as client:
            event = client.next_event(30)
            while not isinstance(event, Message):
                event = client.next_event(30)
            assert event.body == "number 8"
