"""Stopping a server under load: every acknowledged message is in the log, in the same order."""

from __future__ import annotations

import threading
from pathlib import Path

from chatd.proto.frames import decode
from chatd.store.log_reader import LogReader
from tests.bench.hubflow import HubFlow
from tests.support.daemon import Daemon

MESSAGES = 3_000


def test_a_stop_during_commits_keeps_every_acknowledged_message(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "home")
    daemon.init()
    flow = HubFlow(daemon)
    acknowledged: dict[str, int] = {}
    first = threading.Event()

    def read_replies() -> None:
        try:
            while True:
                for reply in map(decode, flow.replies()):
                    acknowledged[f"{reply['id'] - 1:032x}"] = reply["result"]["seq"]
                    first.set()
        except EOFError:
            pass

    reply_reader = threading.Thread(target=read_replies)
    reply_reader.start()
    flow.say(MESSAGES)
    assert first.wait(30)
    flow.stop()
    reply_reader.join(30)
    flow.close()
    daemon.chatd("verify")
    reader = LogReader(daemon.home / "data")
    entries = [entry for seq in range(1, reader.head() + 1) if (entry := reader.entry(seq))]
    logged = {entry.msg_id.hex(): entry.seq for entry in entries if entry.msg_id}
    assert acknowledged.items() <= logged.items()
    assert list(acknowledged.values()) == sorted(acknowledged.values())
    reader.close()
