"""Ask all nodes how they are, and NATS about its stream."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from chatd.cluster.jetstream import STREAM
from chatd.cluster.nats_address import read_address
from chatd.cluster.nats_peers import PEER_SUBJECT
from chatd.cluster.nats_thread import NatsThread
from chatd.cluster.peer_link import PeerMessage, pack_message
from chatd.nats.node_status import STATUS_SUBJECT, NodeStatus
from chatd.nats.told_members import MEMBERS_SUBJECT

# A node that is there answers in milliseconds, on a busy machine later.
ANSWERS_SECONDS: Final = 2.0


class StreamView(NamedTuple):
    """``quorum``: the stream answers. ``replicas`` tells of each NATS server whether it has all messages."""

    quorum: bool
    replicas: dict[str, bool]
    leader: str = ""
    last: int = 0


class ClusterView(NamedTuple):
    """The answers by node; ``chains`` are the hashes after the last entry that all of them have.

    ``skews``: seconds by which a node's clock was ahead of this one when its answer arrived.
    """

    nodes: dict[str, NodeStatus]
    chains: dict[str, str]
    stream: StreamView
    skews: dict[str, float]


def view_cluster(home: Path, members: int) -> ClusterView:
    """Ask this node's NATS server. Raises OSError if it does not answer."""
    link = NatsThread(lambda: read_address(home))
    try:
        return link.run(_view(link, members))
    finally:
        link.close()


def tell_members(home: Path, node: str, members: bytes) -> str:
    """Tell a node the members; return its problem, "" if it has taken them. Raises OSError."""

    async def ask() -> str:
        client = await link.connected()
        reply = await client.request(MEMBERS_SUBJECT + node, members, timeout=ANSWERS_SECONDS)
        return str(json.loads(reply.data)["problem"])

    link = NatsThread(lambda: read_address(home))
    try:
        return link.run(ask())
    finally:
        link.close()


def ask_for_lead(home: Path, leader: str, name: str, epoch: int) -> None:
    """Ask the leading hub to hand over to the node ``name``. Raises OSError."""

    async def ask() -> None:
        client = await link.connected()
        await client.publish(PEER_SUBJECT + leader, pack_message(PeerMessage(name, "lead", [epoch], b"")))
        await client.flush()

    link = NatsThread(lambda: read_address(home))
    try:
        link.run(ask())
    finally:
        link.close()


async def _view(link: NatsThread, members: int) -> ClusterView:
    client = await link.connected()
    skews: dict[str, float] = {}
    nodes = await _ask_nodes(client, 0, members, skews)
    common = min((node.head for node in nodes.values() if node.has_log), default=0)
    chains: dict[str, str] = {}
    if common:
        again = await _ask_nodes(client, common, len(nodes), {})
        chains = {name: node.chain for name, node in again.items() if node.chain}
    return ClusterView(nodes, chains, await _stream(client), skews)


async def _ask_nodes(client: Client, at: int, members: int, skews: dict[str, float]) -> dict[str, NodeStatus]:
    found: dict[str, NodeStatus] = {}
    complete = asyncio.Event()

    async def take(message: Msg) -> None:
        try:
            status = NodeStatus(**json.loads(message.data))
        except (ValueError, TypeError):
            return  # of another version
        found[status.node] = status
        skews[status.node] = round(status.clock - time.time(), 1)
        if len(found) >= members:
            complete.set()

    reply = client.new_inbox()
    inbox = await client.subscribe(reply, cb=take)
    await client.publish(STATUS_SUBJECT, json.dumps({"at": at}).encode(), reply=reply)
    try:
        await asyncio.wait_for(complete.wait(), ANSWERS_SECONDS)
    except TimeoutError:
        pass
    await inbox.unsubscribe()
    return found


async def _stream(client: Client) -> StreamView:
    try:
        reply = await client.request(f"$JS.API.STREAM.INFO.{STREAM}", b"", timeout=ANSWERS_SECONDS)
    except (nats.errors.Error, TimeoutError):
        return StreamView(False, {})
    answer: dict[str, Any] = json.loads(reply.data)
    if "state" not in answer:
        return StreamView(False, {})
    group = answer.get("cluster") or {}
    leader = str(group.get("leader") or "")
    replicas = {
        str(one["name"]): bool(one.get("current")) and not one.get("offline")
        for one in group.get("replicas") or []
    }
    # An answer of a leader that has lost the others may be old; it says so of them.
    current = 1 + sum(replicas.values())
    return StreamView(
        current > (1 + len(replicas)) // 2,
        {leader: True} | replicas,
        leader,
        int(answer["state"]["last_seq"]),
    )
