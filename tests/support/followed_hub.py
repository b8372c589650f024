"""A hub that leads and one that follows it over a stream in memory, both in this process."""

from __future__ import annotations

import json
import shutil
from collections import deque
from pathlib import Path
from typing import Any

from chatd.cluster.follow_stream import lead_stream, take_messages
from chatd.cluster.stream_backend import StreamBackend
from chatd.cluster.stream_place import stored_place
from chatd.cluster.tail_keys import TailKeys
from chatd.config.schema import Settings
from chatd.hub.hub import Hub
from chatd.hub.leadership import Leadership
from chatd.hub.query_threads import QueryThreads
from chatd.hub.recovery import recover
from chatd.hub.state.context import OPERATOR
from chatd.proto.frames import JsonObject
from chatd.store.event_log import EventLog
from tests.support.hub_harness import START, HubHarness, WorkerEnd
from tests.support.memory_stream import MemoryStream

SECONDS = 1.0


class FollowerHub:
    """A hub that follows, on a copy of a leader's data, and a worker of it."""

    def __init__(self, data: Path, settings: Settings, stream: MemoryStream, keys: TailKeys) -> None:
        self.now = START
        self.log = EventLog.open(data, now=START)
        self.keys = keys
        self.stream = stream
        self.place = stored_place(self.log)
        self.reader = QueryThreads(data)
        self.leadership = Leadership(leads=False, leader="alpha")
        self.hub = Hub(
            self.log,
            recover(self.log),
            settings,
            self.reader,
            lambda: self.now,
            leadership=self.leadership,
        )
        self.worker = WorkerEnd()
        self.operator = WorkerEnd()
        self.operator.link.operator = OPERATOR
        self.hub.links |= {end.link.number: end.link for end in (self.worker, self.operator)}

    def pull(self) -> None:
        """Apply what the stream has more than the log."""
        while (data := self.stream.read(self.place.seq + 1)) is not None:
            taken = take_messages(self.log, self.keys, self.place, deque([data]))
            self.place = taken.place
            if taken.batch is not None:
                self.hub.apply(taken.batch.entries, taken.batch.redact)
        self.run_iteration()

    def run_iteration(self) -> None:
        self.hub.before_commit()
        self.hub.recorder.commit()
        for end in (self.worker, self.operator):
            end.receive()

    def ask(self, sid: int, kind: str, /, **fields: Any) -> JsonObject | None:
        """Send a request of a session; return its reply, or None if there was none."""
        self.worker.reply = None
        request = json.dumps({"type": kind, "id": 1} | fields).encode()
        self.hub.take(self.worker.link, [(["request", sid], request)])
        self.run_iteration()
        return self.worker.reply

    def close(self) -> None:
        self.reader.close()
        self.log.close()
        self.worker.close()
        self.operator.close()


class FollowedHarness(HubHarness):
    """A hub that leads, with a ``follower``, which applies at the end of each iteration."""

    follower: FollowerHub | None = None

    def __init__(self, data: Path, settings: Settings) -> None:
        self.stream = MemoryStream()
        self._settings = settings
        super().__init__(data / "leader", settings)

    def make_backend(self) -> StreamBackend:
        self.keys = TailKeys(self.log)
        place = lead_stream(self.log, self.stream, self.keys, "alpha", SECONDS)
        self.log.checkpoint()
        copy = self._data.parent / "follower"
        shutil.copytree(self._data, copy)
        self.follower = FollowerHub(copy, self._settings, self.stream, self.keys)
        return StreamBackend(self.log, self.stream, self.keys, place, SECONDS, applied=self._applied)

    def _applied(self) -> dict[str, int]:
        return {"beta": self.follower.place.seq} if self.follower is not None else {}

    def run_iteration(self) -> None:
        super().run_iteration()
        if self.follower is not None:
            self.follower.now = self.now
            self.follower.pull()

    def close(self) -> None:
        super().close()
        if self.follower is not None:
            self.follower.close()
