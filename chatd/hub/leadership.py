"""Whether this hub decides: one hub of a cluster does, the others follow it."""

from __future__ import annotations

from chatd.cluster.stream_message import NEWEST_FORMAT


class Leadership:
    """Whether this hub decides. Without a cluster it always does.

    While ``leads`` is False, nothing becomes an event here: `Context.emit` refuses it, and admission, upkeep,
    settings and acts of operators leave out what they would record, unless the leader is asked
    (`chatd.hub.peers`). The hub that begins to lead makes up for it (`Hub.take_lead`). ``leader`` is the node
    that decides as far as this one knows, ``format`` the newest format of the stream that all nodes read.
    """

    def __init__(self, *, leads: bool = True, leader: str = "", written: int = NEWEST_FORMAT) -> None:
        self.leads = leads
        self.leader = leader
        self.format = written
        # Why what this node shows may be old, "" if it is not; None if there is no other node.
        self.isolated: str | None = None
