"""Faults of the network between the nodes of a cluster and their clients."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from tests.chaos.journal import Journal
from tests.support.cluster import NAMES, Cluster
from tests.support.slow_routes import SlowRoutes
from tests.support.wired_network import Network, both_ways

CLIENTS = "clients"
CUT_SECONDS = (1.0, 15.0)
FLAP_SECONDS = (1.0, 5.0)
DELAYS = (0.05, 0.2, 1.0)
LOSS = 0.05

Pairs = list[tuple[str, str]]


class WireFaults:
    """Inject faults of the chosen kinds, one at a time, each with a line in the journal before and after.

    ``longest`` is the most seconds of one fault. ``others`` injects the faults of other kinds by their names.
    """

    def __init__(
        self,
        network: Network,
        cluster: Cluster,
        rng: random.Random,
        journal: Journal,
        *,
        kinds: Sequence[str],
        longest: float,
        routes: SlowRoutes | None,
        others: Mapping[str, Callable[[], None]],
    ) -> None:
        self.injected: dict[str, int] = {}
        self._network = network
        self._cluster = cluster
        self._rng = rng
        self._journal = journal
        self._kinds = list(kinds)
        self._longest = longest
        self._routes = routes
        self._others = others

    def inject(self) -> None:
        """Inject one fault and undo it."""
        (kind,) = self._rng.choices(self._kinds, [WEIGHTS.get(kind, 1) for kind in self._kinds])
        self.injected[kind] = self.injected.get(kind, 0) + 1
        if kind in self._others:
            self._others[kind]()
        elif kind == "mixed":
            self._mixed()
        else:
            with ExitStack() as undo:
                KINDS[kind](self, undo)

    # --- kinds: begin a fault, wait, and leave it to ``undo`` to end it ---------------------------------

    def _alone(self, undo: ExitStack) -> None:
        """A node hears no other node, but its clients."""
        name = self._rng.choice(NAMES)
        self._cut(undo, both_ways([name], _others(name)), [name])
        self._wait()

    def _lost(self, undo: ExitStack) -> None:
        """A node hears nobody."""
        name = self._rng.choice(NAMES)
        self._cut(undo, both_ways([name], [*_others(name), CLIENTS]), [name])
        self._wait()

    def _leader(self, undo: ExitStack) -> None:
        """The node that leads hears no other node, but its clients."""
        name = self._find_leader()
        self._cut(undo, both_ways([name], _others(name)), [name])
        self._wait()

    def _deaf(self, undo: ExitStack) -> None:
        """One node hears another, and is not heard by it."""
        one, other = self._rng.sample(NAMES, 2)
        self._cut(undo, [(one, other)], [one, other])
        self._wait()

    def _mute(self, undo: ExitStack) -> None:
        """A node hears the others, and neither hears it."""
        name = self._rng.choice(NAMES)
        self._cut(undo, [(name, other) for other in _others(name)], [name])
        self._wait()

    def _apart(self, undo: ExitStack) -> None:
        """No node hears another: nobody can write."""
        pairs = [
            pair for one, other in (("a", "b"), ("a", "c"), ("b", "c")) for pair in both_ways(one, other)
        ]
        self._cut(undo, pairs, list(NAMES))
        self._wait()

    def _flapping(self, undo: ExitStack) -> None:
        """A node is cut off and back every few seconds."""
        name = self._rng.choice(NAMES)
        pairs = both_ways([name], _others(name))
        end = time.monotonic() + self._seconds(CUT_SECONDS) * 2
        while time.monotonic() < end:
            with ExitStack() as flap:
                self._cut(flap, pairs, [name])
                time.sleep(self._seconds(FLAP_SECONDS))
            time.sleep(self._seconds(FLAP_SECONDS))

    def _delay(self, undo: ExitStack) -> None:
        """What the NATS servers send one another comes late."""
        self._slow(undo, self._rng.choice(DELAYS), 0.0)
        self._wait()

    def _loss(self, undo: ExitStack) -> None:
        """Some of what the NATS servers send must be sent again."""
        self._slow(undo, 0.001, LOSS)
        self._wait()

    def _mixed(self) -> None:
        """Kill or suspend while a node is cut off; a hub that cannot start alone starts afterwards."""
        name = self._rng.choice(NAMES)
        seconds = self._seconds(CUT_SECONDS)
        with ThreadPoolExecutor(1) as pool:
            with ExitStack() as undo:
                self._cut(undo, both_ways([name], _others(name)), [name])
                recovery = pool.submit(self._others["kills"])
                time.sleep(seconds)
            recovery.result()

    # --- what they share --------------------------------------------------------------------------------

    def _find_leader(self) -> str:
        for name in self._rng.sample(NAMES, len(NAMES)):
            if leader := self._cluster.status(name).get("leader"):
                return str(leader)
        return self._rng.choice(NAMES)

    def _cut(self, undo: ExitStack, pairs: Pairs, nodes: list[str]) -> None:
        self._begin(undo, "cut", nodes=nodes, pairs=[f"{one}>{other}" for one, other in pairs])
        self._network.cut(pairs)
        undo.callback(self._network.mend, pairs)

    def _slow(self, undo: ExitStack, delay: float, loss: float) -> None:
        assert self._routes is not None
        self._begin(undo, "slow", nodes=list(NAMES), delay=delay, loss=loss)
        self._routes.set(delay, loss)
        undo.callback(self._routes.set, 0.0, 0.0)

    def _begin(self, undo: ExitStack, kind: str, **what: Any) -> None:
        self._journal.write(kind, **what)
        undo.callback(self._journal.write, "mended", nodes=what["nodes"])

    def _wait(self) -> None:
        time.sleep(self._seconds(CUT_SECONDS))

    def _seconds(self, span: tuple[float, float]) -> float:
        return min(self._longest, self._rng.uniform(*span))


def _others(name: str) -> list[str]:
    return [other for other in NAMES if other != name]


KINDS: dict[str, Any] = {
    "alone": WireFaults._alone,
    "leader": WireFaults._leader,
    "lost": WireFaults._lost,
    "deaf": WireFaults._deaf,
    "mute": WireFaults._mute,
    "apart": WireFaults._apart,
    "flapping": WireFaults._flapping,
    "delay": WireFaults._delay,
    "loss": WireFaults._loss,
    "mixed": None,
    **dict.fromkeys(("kills", "away", "asleep", "full", "bits", "reseed")),
}
# There are many kinds of kills.
WEIGHTS = {"kills": 4}
