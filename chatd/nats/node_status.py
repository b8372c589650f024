"""A node's status, for the other nodes: how far its log is, and which leader it follows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from chatd import __version__
from chatd.cluster.stream_message import StreamSettings
from chatd.cluster.stream_place import StreamPlace, stored_place, stored_settings
from chatd.config.shared_file import Drift
from chatd.errors import ChatdError
from chatd.nats.nats_config import syncs_always
from chatd.store.chain import point_at
from chatd.store.database import DATABASE_NAME, connect_reader, head_seq, storage_errors

STATUS_SUBJECT: Final = "chatd.node"


class NodeStatus(NamedTuple):
    """``chain`` is the hash after the entry ``at``, which was asked for; "" if the log does not reach it.

    ``clock`` is Unix time. ``has_log`` is false for a node that waits for a copy. ``settings`` is the number
    of the shared settings, and ``differs`` has the keys in which the node's settings file differs from them.
    ``syncs``: whether the settings of its NATS server make it sync before it acknowledges; None if unknown.
    """

    node: str
    version: str
    clock: float
    has_log: bool
    head: int
    at: int
    chain: str
    seq: int
    generation: int
    epoch: int
    leader: str
    settings: int = 0
    differs: Sequence[str] = ()
    syncs: bool | None = None


def node_status(home: Path, node: str, at: int, drift: Drift) -> NodeStatus:
    """Return the status of the node in ``home``; a log that cannot be read counts as none."""
    head, chain, place = 0, "", StreamPlace()
    settings: StreamSettings | None = None
    has_log = (home / "data" / DATABASE_NAME).exists()
    if has_log:
        try:
            head, chain, place, settings = _read(home, at)
        except ChatdError:
            has_log = False
    differs = drift.keys(settings.shared) if settings is not None else []
    syncs = syncs_always(home)
    return NodeStatus(node, __version__, time.time(), has_log, head, at, chain, *place, differs, syncs)


def _read(home: Path, at: int) -> tuple[int, str, StreamPlace, StreamSettings | None]:
    with storage_errors("read the event log"):
        connection = connect_reader(home / "data")
        try:
            # One transaction: the place and the head are of one moment.
            connection.execute("BEGIN")
            head = head_seq(connection)
            chain = point_at(connection, at).chain_hash.hex() if 0 < at <= head else ""
            return head, chain, stored_place(connection), stored_settings(connection)
        finally:
            connection.close()
