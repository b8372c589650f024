"""A hub that leads and one that follows it, with what they say to each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chatd.config.schema import Settings
from chatd.hub.links import Link
from chatd.hub.peers.peer_desk import PeerDesk
from chatd.hub.peers.remote_link import RemoteLink
from chatd.proto.frames import JsonObject
from tests.support.followed_hub import FollowedHarness, FollowerHub
from tests.support.hub_harness import WorkerEnd
from tests.support.memory_peers import MemoryPeers

EPOCH = 1


class TwoHubs(FollowedHarness):
    """The node ``alpha`` leads, ``beta`` follows. ``seconds`` is the time of their channels."""

    def __init__(self, data: Path, settings: Settings) -> None:
        self.seconds = 0.0
        # Whether beta gets what alpha has committed.
        self.streaming = True
        self.network = MemoryPeers("alpha", "beta")
        super().__init__(data, settings)
        assert self.follower is not None
        self.beta: FollowerHub = self.follower
        self.alpha_desk = PeerDesk(self.hub, self.network.link("alpha"), lambda: self.seconds)
        self.beta_desk = PeerDesk(self.beta.hub, self.network.link("beta"), lambda: self.seconds)
        self.alpha_desk.lead(EPOCH)
        self.beta_desk.follow("alpha", EPOCH)

    def exchange(self, rounds: int = 3) -> None:
        """Run so many iterations of both hubs' loops, which pass on what the hubs say."""
        for _ in range(rounds):
            for desk in (self.beta_desk, self.alpha_desk):
                desk.receive()
            self.run_iteration()
            for desk in (self.beta_desk, self.alpha_desk):
                desk.advance()
        self.run_iteration()

    def run_iteration(self) -> None:
        follower = self.follower
        if not self.streaming:
            self.follower = None
        super().run_iteration()
        self.follower = follower
        if follower is not None and not self.streaming:
            follower.run_iteration()
        for link in self.hub.links.values():
            if isinstance(link, RemoteLink):
                link.write()

    def open_at_beta(self, sid: int, user: str, device: str, serial: str) -> bool:
        """Log a device in at the follower; return whether it was admitted."""
        self._take(self.beta.worker.link, ["open", sid, user, device, serial, "127.0.0.1", False], b"")
        return sid in self.beta.worker.sessions

    def ask_beta(self, sid: int, kind: str, /, **fields: Any) -> JsonObject | None:
        """Send a request of a session of the follower; return its reply, or None if there was none."""
        return self._ask(self.beta.worker, sid, kind, fields)

    def ask_beta_as_operator(self, kind: str, /, **fields: Any) -> JsonObject | None:
        """Send a request of the operator on the follower's box."""
        return self._ask(self.beta.operator, 0, kind, fields)

    def request_at_beta(self, sid: int, request_id: int, kind: str, /, **fields: Any) -> None:
        """Send a request of a session of the follower, without waiting for anything."""
        request = json.dumps({"type": kind, "id": request_id} | fields).encode()
        self.beta.hub.take(self.beta.worker.link, [(["request", sid], request)])

    def _ask(self, end: WorkerEnd, sid: int, kind: str, fields: JsonObject) -> JsonObject | None:
        end.reply = None
        self._take(end.link, ["request", sid], json.dumps({"type": kind, "id": 1} | fields).encode())
        return end.reply

    def _take(self, link: Link, header: list[Any], payload: bytes) -> None:
        self.beta.hub.take(link, [(header, payload)])
        self.beta.run_iteration()
        self.beta_desk.advance()
        self.exchange()

    def close(self) -> None:
        super().close()
        self.network.close()
