"""Three hubs with their logs in one process, over streams and links in memory and a clock of the test."""

from __future__ import annotations

import json
import selectors
import shutil
from pathlib import Path
from typing import Any

from chatd.cluster.follow_stream import found_stream
from chatd.cluster.stream_place import stored_place, stored_settings
from chatd.cluster.tail_keys import TailKeys
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.following import ClusterSeat
from chatd.hub.hub import Hub
from chatd.hub.peers.peer_desk import PeerDesk
from chatd.hub.peers.remote_link import RemoteLink
from chatd.hub.query_threads import QueryThreads
from chatd.hub.recovery import recover
from chatd.hub.settings_desk import SettingsDesk
from chatd.hub.state.context import OPERATOR
from chatd.proto.frames import JsonObject
from chatd.store.event_log import EventLog
from tests.support.hub_harness import START, WorkerEnd
from tests.support.memory_peers import MemoryPeers
from tests.support.memory_stream import MemoryStream

NAMES = ("alpha", "beta", "gamma")
LEAD_SECONDS = 2.0
MEMBERS = {name: f"127.0.0.1:{7500 + number}" for number, name in enumerate(NAMES)}


class MemoryNode:
    """A node's hub. ``ended``: the code of the error that has ended it."""

    def __init__(self, cluster: MemoryCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.ended = ""
        self.stepping = False
        self.start()

    def start(self) -> None:
        """Begin a hub on what the disk has, as one that follows."""
        self.ended = ""
        self.log = EventLog.open(self.cluster.folder / self.name, now=START)
        keys = TailKeys(self.log)
        # What the hub has told the supervisor.
        self.told: list[dict[str, Any]] = []
        settings = self.cluster.settings(self.name)
        self.peers = self.cluster.network.link(self.name)
        self.following = ClusterSeat(
            settings.cluster,
            self.log,
            self.cluster.stream,
            keys,
            self.peers,
            stored_place(self.log),
            SettingsDesk(
                settings, stored_settings(self.log), stored_place(self.log).settings, self.told.append
            ),
            lambda: self.cluster.now,
        )
        self.following._copies._pump = self._pass_time
        self.reader = QueryThreads(self.cluster.folder / self.name)
        self.hub = Hub(
            self.log,
            recover(self.log),
            self.following.settings.in_force,
            self.reader,
            lambda: START + int(self.cluster.now * 1000),
            backend=self.following.backend,
            leadership=self.following.leadership,
        )
        self.operator = WorkerEnd()
        self.operator.link.operator = OPERATOR
        self.hub.links[self.operator.link.number] = self.operator.link
        self.selector = selectors.DefaultSelector()
        self.desk = PeerDesk(self.hub, self.following.peers, lambda: self.cluster.now)
        self.following.serve(self.hub, self.desk)
        self.following.begin(self.selector)

    def _pass_time(self, _: float) -> None:
        """Let the others take their turns while this node waits for copies."""
        self.cluster.now += 0.1
        self.following._pump(0)
        for node in self.cluster.nodes.values():
            if not node.stepping:
                node.step()

    @property
    def leads(self) -> bool:
        return not self.ended and self.following.leadership.leads

    def step(self) -> None:
        """Do what one iteration of the loop does; note the error that ends it."""
        if self.ended:
            return
        self.stepping = True
        try:
            self.following.tick(committing=False)
            self.hub.before_commit()
            self.hub.recorder.commit()
            self.operator.receive()
            for link in self.hub.links.values():
                if isinstance(link, RemoteLink):
                    link.write()
        except ChatdError as error:
            self.end(error.code)
        self.stepping = False
        claiming = self.following._claiming
        if claiming is not None:
            claiming.join()

    def ask(self, kind: str, /, **fields: Any) -> JsonObject | None:
        """Make a request as the operator; return the reply, None if the hub ended before it."""
        self.operator.reply = None
        request = json.dumps({"type": kind, "id": 1} | fields).encode()
        self.hub.take(self.operator.link, [(["request", 0], request)])
        self.step()
        return self.operator.reply

    def end_in_order(self) -> None:
        """End as a hub that is drained; the streams and links of the others stay."""
        for part in ("_link", "_copies"):
            setattr(self.following, part, self.cluster.stream)
        self.following.peers.close = lambda: None  # type: ignore[method-assign]
        self.following.close()
        self.end("drained")

    def end(self, code: str) -> None:
        """End without closing anything in order."""
        self.ended = code
        self.log._failure = "crashed"
        self.selector.close()
        self.reader.close()
        self.log.close()
        self.operator.close()
        self.peers.receive()


class MemoryCluster:
    """The nodes. Nothing happens but in `run`."""

    def __init__(self, folder: Path, copies: int = 1) -> None:
        self.folder = folder
        self.now = 0.0
        self.copies = copies
        self.stream = MemoryStream()
        self.network = MemoryPeers(*NAMES)
        self._found()
        self.nodes = {name: MemoryNode(self, name) for name in NAMES}

    def settings(self, name: str) -> Settings:
        cluster = {"node": name, "members": MEMBERS, "copies": self.copies, "lead_seconds": LEAD_SECONDS}
        cluster["stall_seconds"] = 0.5
        return Settings.model_validate({"cluster": cluster})

    def _found(self) -> None:
        """Make the stream from the first node's log, and copy that to the others."""
        first = self.folder / NAMES[0]
        log = EventLog.open(first, now=START)
        found_stream(log, self.stream, TailKeys(log), NAMES[0], 1.0)
        log.close()
        for name in NAMES[1:]:
            shutil.copytree(first, self.folder / name)

    def run(self, seconds: float = 1.0) -> None:
        """Let time pass, with a turn for every hub each tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            for node in self.nodes.values():
                node.step()

    def elect(self) -> MemoryNode:
        """Let time pass until one node leads, and that for a while; return it."""
        for _ in range(20):
            self.run()
            if self.leader is not None:
                self.run()
                break
        leader = self.leader
        assert leader is not None
        return leader

    @property
    def leader(self) -> MemoryNode | None:
        """The one node that leads in the newest epoch."""
        leaders = [node for node in self.nodes.values() if node.leads]
        return max(leaders, key=lambda node: node.following.backend.place.epoch, default=None)

    def followers(self) -> list[MemoryNode]:
        return [node for node in self.nodes.values() if not node.ended and not node.leads]

    def close(self) -> None:
        for node in self.nodes.values():
            if not node.ended:
                node.end("closed")
        self.network.close()
