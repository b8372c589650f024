"""``chatd cluster lead``: let another node lead, before the machine that leads is taken down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import click

from chatd.config.cluster_section import ClusterSection
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.nats.nats_server import require_nats
from chatd.nats.node_status import NodeStatus

# A hand-over takes a second; a node that cannot claim leaves the lead to another within some more.
WAIT_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.3


@click.command("lead")
@click.argument("name")
@click.pass_obj
def lead(home: Home, name: str) -> None:
    """Let the node NAME lead, on any node that runs; clients go on, writing stops for about a second.

    The hub that leads ends in order and starts again as one that follows.
    """
    home.require_initialised()
    cluster = load_settings(home.path, {}).cluster
    if name not in cluster.members:
        known = ", ".join(cluster.members) or "none: it is no cluster of several"
        raise ChatdError("E404", f"the cluster has no node {name}", f"the nodes are {known}")
    require_nats(cluster)
    asked = hand_over(home, cluster, name)
    output.line(f"{name} leads" if asked else f"{name} leads already")


def hand_over(home: Home, cluster: ClusterSection, name: str) -> bool:
    """Let the node ``name`` lead, and wait until it does; return whether another one had to be asked.

    Raises E603, E607 if it does not answer or has no log, E611 if it does not lead in time.
    """
    from chatd.nats.cluster_view import ask_for_lead, view_cluster  # nats-py is an optional dependency

    deadline = time.monotonic() + WAIT_SECONDS
    asked = False
    try:
        while True:
            nodes = view_cluster(home.path, len(cluster.members)).nodes
            leader = leader_of(nodes)
            if leader == name:
                return asked
            if name not in nodes or not nodes[name].has_log:
                raise ChatdError("E607", f"node {name} does not answer, or has no log yet", "start it first")
            if time.monotonic() > deadline:
                break
            if leader and not asked:
                ask_for_lead(home.path, leader, name, nodes[leader].epoch)
                asked = True
            time.sleep(POLL_SECONDS)
    except OSError as error:
        raise ChatdError("E603", str(error), f"run: {chatd_command(home.path, 'start')}") from None
    status = chatd_command(home.path, "cluster", "status")
    raise ChatdError("E611", f"{name} does not lead after {WAIT_SECONDS:.0f} s", f"see: {status}")


def leader_of(nodes: Mapping[str, NodeStatus]) -> str:
    """Return the node that says of itself that it leads; "" if none does."""
    return next((name for name, node in nodes.items() if node.leader == name), "")
