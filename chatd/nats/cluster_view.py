"""Ask all nodes how they are, and NATS about its stream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import nats.errors
from nats.aio.client import Client

from chatd.cluster.log_link import StreamState
from chatd.cluster.nats_address import read_address
from chatd.cluster.nats_peers import PEER_SUBJECT
from chatd.cluster.nats_thread import NatsThread, Result, ask, ask_all
from chatd.cluster.peer_link import PeerMessage, pack_message
from chatd.cluster.stream_state import NO_QUORUM, STREAM, read_stream_state
from chatd.nats.answer_fields import read_answer
from chatd.nats.node_status import STATUS_SUBJECT, NodeStatus
from chatd.nats.told_members import MEMBERS_SUBJECT, Members

# A node that is there answers in milliseconds, on a busy machine later.
ANSWERS_SECONDS: Final = 2.0


class ClusterView(NamedTuple):
    """The answers by node; ``chains`` are the hashes after the last entry that all of them have.

    ``skews``: seconds by which a node's clock was ahead of this one when its answer arrived.
    """

    nodes: dict[str, NodeStatus]
    chains: dict[str, str]
    stream: StreamState
    skews: dict[str, float]


def view_cluster(home: Path, members: int) -> ClusterView:
    """Ask this node's NATS server. Raises OSError if it does not answer."""
    return _run(home, partial(_view, members=members))


def tell_members(home: Path, node: str, members: Members) -> str:
    """Tell a node the members; return its problem, "" if it has taken them. Raises OSError."""
    subject = MEMBERS_SUBJECT + node
    answer = _run(home, lambda client: ask(client, subject, members._asdict(), ANSWERS_SECONDS))
    return str(json.loads(answer)["problem"])


def ask_for_lead(home: Path, leader: str, name: str, epoch: int) -> None:
    """Ask the leading hub to hand over to the node ``name``. Raises OSError."""
    message = pack_message(PeerMessage(name, "lead", [epoch], b""))

    async def publish(client: Client) -> None:
        await client.publish(PEER_SUBJECT + leader, message)
        await client.flush()

    _run(home, publish)


def _run(home: Path, work: Callable[[Client], Coroutine[Any, Any, Result]]) -> Result:
    """Work with a connection to this node's NATS server. Raises OSError."""
    link = NatsThread(partial(read_address, home))

    async def connected() -> Result:
        return await work(await link.connected())

    try:
        return link.run(connected())
    finally:
        link.close()


async def _view(client: Client, members: int) -> ClusterView:
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

    def take(data: bytes) -> bool:
        try:
            status = read_answer(NodeStatus, data)
        except (ValueError, TypeError):
            return False  # not of a node
        found[status.node] = status
        skews[status.node] = round(status.clock - time.time(), 1)
        return len(found) >= members

    await ask_all(client, STATUS_SUBJECT, {"at": at}, take, ANSWERS_SECONDS)
    return found


async def _stream(client: Client) -> StreamState:
    try:
        data = await ask(client, f"$JS.API.STREAM.INFO.{STREAM}", seconds=ANSWERS_SECONDS)
    except (nats.errors.Error, TimeoutError):
        return NO_QUORUM
    answer: dict[str, Any] = json.loads(data)
    return read_stream_state(answer)
