"""Serve the other nodes: tell them the status of this one, and copy logs to them and from them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chatd.child.supervised import Supervised
from chatd.cluster.joining_note import joining_of
from chatd.cluster.nats_address import read_address
from chatd.cluster.nats_thread import NatsThread
from chatd.errors import ChatdError
from chatd.nats.former_servers import FormerServers
from chatd.nats.node_desk import NodeDesk

if TYPE_CHECKING:
    from chatd.nats.log_fetch import LogFetch


class AmongOthers:
    """The part of the nats process of a cluster of several."""

    def __init__(self, child: Supervised) -> None:
        cluster = child.settings.cluster
        self._home, self._node = child.home, cluster.node
        self._address = partial(read_address, child.home)
        link = NatsThread(self._address)
        self._former: FormerServers | None = None
        if not cluster.nats:  # servers of one's own come and go as their owner says
            self._former = FormerServers(self._node, frozenset(cluster.members), self._address, link)
        self._desk = NodeDesk(self._home, self._node, link, self._take_members)
        self._fetch: LogFetch | None = None

    def _take_members(self, members: frozenset[str]) -> None:
        if self._former is not None:
            self._former.members = members

    def tick(self) -> None:
        """Begin to copy the log if the home waits for it. Raises E606, E623."""
        if self._former is not None:
            self._former.tick()
        if self._fetch is not None and self._fetch.is_running():
            return
        if self._fetch is not None and self._fetch.refusal is not None:
            raise self._fetch.refusal
        try:
            joining = joining_of(self._home)
        except OSError as error:
            raise ChatdError("E606", str(error)) from None
        self._fetch = None
        if joining is not None:
            from chatd.nats.log_fetch import LogFetch  # loaded when needed: most starts need none

            self._fetch = LogFetch(self._home, self._node, joining, self._address)
