"""Cut the wires between three nodes in network namespaces under load; then judge the logs."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chatd.config.loading import load_settings
from tests.chaos.checker import Verdict, read_runs
from tests.chaos.clients import Clients, ClientSpec
from tests.chaos.cluster_kills import SETTLE_SECONDS, ClusterFaults, agree, judge_nodes, kept
from tests.chaos.journal import Journal, Line, read_journal
from tests.chaos.kills import add_unfinished, client_specs, conduct, make_admin
from tests.chaos.node_faults import NodeFaults
from tests.chaos.secret_search import Redactor, look_for_secrets
from tests.chaos.session_cuts import check_cuts
from tests.chaos.stream_record import recording
from tests.chaos.summary import summary
from tests.chaos.trial_server import SETTINGS
from tests.chaos.wires import CLIENTS, WireFaults
from tests.support.cluster import NAMES, Cluster, running_nodes
from tests.support.daemon import Daemon, wait_until
from tests.support.slow_routes import SlowRoutes
from tests.support.small_disks import SmallDisks
from tests.support.wired_network import Network

SLOW_KINDS = {"delay", "loss"}
# Of each node's data: its log, the copy that it gives to another node, the stream.
DISK_BYTES = 512 * 1024 * 1024


class CountedFaults:
    """The wire faults and the kills, until ``count`` faults were injected; for `conduct`."""

    def __init__(self, wires: WireFaults) -> None:
        self.kills = 0
        self._wires = wires

    def inject(self) -> None:
        self._wires.inject()
        self.kills += 1


def run(
    folder: Path,
    *,
    faults: int,
    kinds: Sequence[str],
    seed: int,
    minutes: float,
    talkers: int,
    longest: float = 15.0,
    pause: float = 1.0,
    breath: float = 0.05,
    cut_seconds: float = 1.0,
) -> dict[str, Any]:
    """Run the trial until ``faults`` were injected or ``minutes`` have passed.

    ``longest``: the most seconds of one fault; ``pause``: mean seconds between two; ``breath``: seconds
    between two messages of a talker; ``cut_seconds``: how long a session may outlive a ban (C5).
    """
    rng = random.Random(seed)
    began = time.monotonic()
    with ExitStack() as stack:
        network = stack.enter_context(Network([*NAMES, CLIENTS]))
        cluster = Cluster(folder, **SETTINGS)
        for name, node in cluster.nodes.items():
            node.host, node.enter = network.addresses[name], network.enter(name)
        stack.enter_context(running_nodes(cluster))
        cluster.wait_for_hubs()
        recorders = stack.enter_context(recording(cluster, folder))
        routes = _slow_routes(stack, network, cluster) if SLOW_KINDS & set(kinds) else None
        disks = SmallDisks(DISK_BYTES) if "full" in kinds else None
        if disks is not None:
            stack.callback(disks.unmount)
        nodes = {name: kept(cluster, name, folder, disks) for name in NAMES}
        for server in nodes.values():
            stack.callback(server.stop)
        cluster.wait_for_hubs()
        wait_until(lambda: _can_write(cluster), SETTLE_SECONDS, "writes")
        specs = client_specs(talkers, 4, breath)
        _spread_out(cluster, specs, folder)
        stack.enter_context(network.inside(CLIENTS))
        clients = Clients(nodes["a"], folder, specs, lambda user, device: folder / f"{user}-{device}.pem")
        stack.callback(clients.close)
        admin = make_admin(cluster.identity(), folder, seed)
        stack.callback(admin.close)
        homes = {name: node.home for name, node in nodes.items()}
        redactor = Redactor(cluster.identity(), homes, random.Random(seed + 2))
        stack.callback(redactor.close)
        processes = ClusterFaults(nodes, rng)
        journal = Journal(folder / "wires.jsonl")
        whole = NodeFaults(cluster, nodes, rng, journal, longest)
        wires = WireFaults(
            network,
            cluster,
            rng,
            journal,
            kinds=kinds,
            longest=longest,
            routes=routes,
            others={"kills": processes.inject, **whole.kinds},
        )
        redactor.begin()
        until = time.monotonic() + minutes * 60
        unfinished = conduct(
            admin,
            clients,
            CountedFaults(wires),
            rng,
            kills=faults,
            until=until,
            pause=pause,
            before_end=redactor.end,
        )
        wait_until(lambda: agree(cluster), SETTLE_SECONDS, "equal logs")
        recorders.finish()
        verdict = Verdict()
        look_for_secrets(verdict, redactor, homes)
    judged = judge_nodes(folder, cluster)
    verdict.findings += judged.findings
    verdict.counts |= judged.counts
    add_unfinished(verdict, unfinished)
    cuts = _check_cuts(verdict, folder, cluster, cut_seconds)
    struck: Counter[str] = sum((node.struck for node in nodes.values()), Counter())
    return summary(
        verdict,
        trial="partitions",
        seed=seed,
        minutes=round((time.monotonic() - began) / 60, 1),
        faults=dict(sorted(wires.injected.items())),
        struck=dict(sorted(struck.items())),
        cuts=cuts,
    )


def _slow_routes(stack: ExitStack, network: Network, cluster: Cluster) -> SlowRoutes:
    members = load_settings(cluster.first.home, {}).cluster.members
    ports = [int(address.rpartition(":")[2]) for address in members.values()]
    routes = SlowRoutes(network, NAMES, ports)
    stack.callback(routes.close)
    return routes


def _can_write(cluster: Cluster) -> bool:
    return cluster.first.chatctl("announce", "the trial begins", check=False).returncode == 0


def _spread_out(cluster: Cluster, specs: list[ClientSpec], folder: Path) -> None:
    """Make the identities of the clients, each with the address of another node first.

    They are not in a home: one that is there uses the addresses of that home in their order.
    """
    here = Daemon(cluster.first.home, **SETTINGS)
    for number, spec in enumerate(specs):
        path = here.add_user(spec.user, device=spec.device)
        lines = path.read_text().splitlines(keepends=True)
        servers = [line for line in lines if line.startswith("server:")]
        first = number % len(servers)
        turned = iter(servers[first:] + servers[:first])
        moved = path.rename(folder / path.name)
        moved.write_text("".join(next(turned) if line in servers else line for line in lines))


def _check_cuts(verdict: Verdict, folder: Path, cluster: Cluster, seconds: float) -> dict[str, float]:
    wires = list(read_journal(folder / "wires.jsonl"))
    addresses = {cluster.address(name): name for name in NAMES}
    faults: dict[str, list[Line]] = {
        name: sorted(
            [
                *(line for line in wires if name in line["nodes"]),
                *read_journal(folder / f"faults-{name}.jsonl"),
            ],
            key=lambda line: float(line["t"]),
        )
        for name in NAMES
    }
    admin = read_journal(folder / "admin.jsonl")
    return check_cuts(verdict, read_runs(folder), admin, addresses, faults, seconds)
