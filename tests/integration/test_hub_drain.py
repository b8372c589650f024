"""A server that is stopped under load keeps what it has told, in the order in which it was told."""

from __future__ import annotations

import threading
from pathlib import Path

from chatd.proto.frames import decode
from chatd.store.log_reader import LogReader
from tests.bench.hubflow import HubFlow
from tests.support.daemon import running

MESSAGES = 3_000


def test_stopped_with_batches_under_way(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        flow = HubFlow(daemon)
        told: dict[str, int] = {}
        first = threading.Event()

        def listen() -> None:
            try:
                while True:
                    for reply in map(decode, flow.replies()):
                        told[f"{reply['id'] - 1:032x}"] = reply["result"]["seq"]
                        first.set()
            except EOFError:
                pass

        listener = threading.Thread(target=listen)
        listener.start()
        flow.say(MESSAGES)
        assert first.wait(30)
        daemon.chatd("stop")
        listener.join(30)
        flow.close()
        daemon.chatd("verify")
        reader = LogReader(daemon.home / "data")
        entries = [entry for seq in range(1, reader.head() + 1) if (entry := reader.entry(seq))]
        kept = {entry.msg_id.hex(): entry.seq for entry in entries if entry.msg_id}
        assert told.items() <= kept.items()
        assert list(told.values()) == sorted(told.values())
        reader.close()
