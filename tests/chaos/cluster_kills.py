"""Kill and suspend processes and whole nodes of a cluster of three under load; then judge the logs."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL
from typing import Any

from tests.chaos.checker import Verdict, incidents, judge, read_runs
from tests.chaos.clients import Clients
from tests.chaos.journal import Journal, read_journal
from tests.chaos.kills import add_unfinished, client_specs, conduct, make_admin
from tests.chaos.log_chain import read_log
from tests.chaos.stream_checker import judge_stream
from tests.chaos.stream_record import read_record, recording
from tests.chaos.summary import INCIDENT_SECONDS, server_log, summary
from tests.chaos.trial_server import SETTINGS, TrialServer
from tests.support.cluster import NAMES, Cluster, clustered
from tests.support.daemon import wait_until
from tests.support.small_disks import SmallDisks

SETTLE_SECONDS = 300.0
# The end of nats's parent ends nats-server, too; suspended are both.
KILLED = ("hub", "nats", "worker-1", "supervisor")
SUSPENDED = (*KILLED, "nats-server")


class ClusterFaults:
    """Inject random faults into the nodes, one at a time, and wait until all nodes run again."""

    def __init__(self, nodes: dict[str, TrialServer], rng: random.Random) -> None:
        self.kills = 0
        self._nodes = nodes
        self._rng = rng
        self._choices: list[tuple[int, Callable[[], None]]] = [
            (40, self._kill_process),
            (15, self._kill_node),
            (10, self._kill_hubs),
            (15, self._suspend_process),
            (10, self._suspend_node),
        ]

    def inject(self) -> None:
        weights = [weight for weight, _ in self._choices]
        self._rng.choices([fault for _, fault in self._choices], weights)[0]()

    def _node(self) -> TrialServer:
        return self._nodes[self._rng.choice(NAMES)]

    def _kill_process(self) -> None:
        self._kill({self._node(): [self._rng.choice(KILLED)]})

    def _kill_node(self) -> None:
        node = self._node()
        self._kill({node: [name for name in node.pids() if name != "nats-server"]})

    def _kill_hubs(self) -> None:
        """Kill all hubs at once: the next leader begins with what the stream has."""
        self._kill({node: ["hub"] for node in self._nodes.values()})

    def _kill(self, victims: dict[TrialServer, list[str]]) -> None:
        struck = {node: node.strike(names, SIGKILL) for node, names in victims.items()}
        self.kills += sum(map(len, struck.values()))
        for node, pids in struck.items():
            node.wait_until_replaced(pids)

    def _suspend_process(self) -> None:
        node = self._node()
        with node.suspended(self._rng.choice(SUSPENDED)):
            time.sleep(self._rng.uniform(0.5, 6.0))
        node.wait_until_running()

    def _suspend_node(self) -> None:
        """Suspend the hub and the server of a node together: the others hear nothing of it."""
        node = self._node()
        with node.suspended("hub"), node.suspended("nats-server"):
            time.sleep(self._rng.uniform(1.0, 8.0))
        node.wait_until_running()


def run(
    folder: Path, *, kills: int, seed: int, minutes: float, talkers: int, window: int, pause: float
) -> dict[str, Any]:
    """Run the trial until ``kills`` processes were killed or ``minutes`` have passed; see `kills.run`."""
    rng = random.Random(seed)
    began = time.monotonic()
    with ExitStack() as stack:
        cluster = stack.enter_context(clustered(folder, **SETTINGS))
        cluster.wait_for_hubs()
        recorders = stack.enter_context(recording(cluster, folder))
        nodes = {name: kept(cluster, name, folder) for name in NAMES}
        clients = Clients(nodes["a"], folder, client_specs(talkers, window, 0.01))
        admin = make_admin(cluster.identity(), folder, seed)
        faults = ClusterFaults(nodes, rng)
        try:
            unfinished = conduct(
                admin, clients, faults, rng, kills=kills, until=began + minutes * 60, pause=pause
            )
            wait_until(lambda: agree(cluster), SETTLE_SECONDS, "equal logs")
            recorders.finish()
        finally:
            admin.close()
            clients.close()
            for node in nodes.values():
                node.stop()
    verdict = judge_nodes(folder, cluster)
    add_unfinished(verdict, unfinished)
    struck: Counter[str] = sum((node.struck for node in nodes.values()), Counter())
    minutes = round((time.monotonic() - began) / 60, 1)
    return summary(verdict, trial="cluster", seed=seed, minutes=minutes, struck=dict(sorted(struck.items())))


def kept(cluster: Cluster, name: str, folder: Path, disks: SmallDisks | None = None) -> TrialServer:
    """Keep a node running from now on, whatever ends its supervisor; with ``disks`` on a disk of its own."""
    node = cluster.nodes[name]
    server = TrialServer(node.home, Journal(folder / f"faults-{name}.jsonl"))
    node.environ |= server.daemon.environ | {"CHATD_WORKERS__COUNT": "1"}
    server.daemon = node
    node.stop()
    if disks is not None and not disks.mount(node.home):
        raise OSError("no file system can be mounted here")
    server.keep_running()
    return server


def agree(cluster: Cluster) -> bool:
    chains = cluster.chains()
    return len(chains) == len(NAMES) and len({max(chain.items()) for chain in chains.values()}) == 1


def judge_nodes(folder: Path, cluster: Cluster) -> Verdict:
    """Judge the journals by the log of each node, the logs by one another (C4) and by the stream."""
    verdict = Verdict()
    chains = cluster.chains()
    if any(chain != chains["a"] for chain in chains.values()):
        verdict.add("C4", "differ", f"the logs end at {[max(chain, default=0) for chain in chains.values()]}")
    runs = read_runs(folder)
    for name, node in cluster.nodes.items():
        log = read_log(node.home / "data", folder / f"copy-{name}")
        one = judge(log, runs, read_journal(folder / "admin.jsonl"))
        incidents(one, read_journal(folder / f"faults-{name}.jsonl"), server_log(node.home), INCIDENT_SECONDS)
        verdict.findings += one.findings
        verdict.counts |= one.counts
    judge_stream(verdict, read_record(folder), chains, (line for run in runs for line in run.of("ack")))
    return verdict
