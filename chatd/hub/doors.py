"""The hub's two listeners, for workers and for the operator: each link is known by its process."""

from __future__ import annotations

import os
import socket

from chatd.child.peers import ROOT, Peer, has_hung_up, login_name, peer_of, why_not_operator
from chatd.child.supervised import Supervised
from chatd.errors import ChatdError
from chatd.hub.links import Link
from chatd.hub.state.context import operator
from chatd.link.wire import pack
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.proto.events import error_frame
from chatd.proto.frames import encode

log_audit = get_log("audit")


OPERATORS = (ROOT, os.geteuid())
"""The uids that may operate: root and the server's own user."""


class Doors:
    """Accepts links. Refusals go to audit.log through ``repeats``: a process can cause any number."""

    def __init__(
        self, workers: socket.socket, operators: socket.socket, child: Supervised, repeats: Repeats
    ) -> None:
        self.workers = workers
        self.operators = operators
        self._child = child
        self._repeats = repeats
        for listener in (workers, operators):
            listener.setblocking(False)

    def next_worker(self) -> tuple[socket.socket, Peer] | None:
        """Accept a connection on the workers' socket; None if there is none."""
        return _accept(self.workers)

    def worker_name(self, peer: Peer) -> str:
        """Return the name of the worker that the supervisor has started with this pid; "" if it has not."""
        names = (name for name, pid in self._child.workers.items() if pid == peer.pid)
        return next(names, "") if peer.uid == os.geteuid() else ""

    def refuse_worker(self, sock: socket.socket, peer: Peer) -> None:
        """Close a link that is no worker's."""
        # A worker that has died before this hub accepted its link is no longer known, and harmless.
        if not has_hung_up(sock):
            self._note("link_refused", peer, "no worker")
        sock.close()

    def next_operator(self) -> Link | None:
        """Accept an operator's link; None if there is none or its process may not operate."""
        accepted = _accept(self.operators)
        if accepted is None:
            return None
        sock, peer = accepted
        if why := why_not_operator(peer, self._child.supervisor):
            self._note("operator_refused", peer, why)
            error = ChatdError("E606", f"the server does not accept commands from {why}")
            _close_with(sock, pack(["reply", 0, 0], encode(error_frame(0, error))))
            return None
        return Link(sock, operator=operator(peer.uid, login_name(peer.uid)))

    def _note(self, event: str, peer: Peer, why: str) -> None:
        details: dict[str, object] = {"pid": peer.pid, "uid": peer.uid}
        self._repeats.note(log_audit.warning, event, f"uid {peer.uid}", details, why=why)


def _accept(listener: socket.socket) -> tuple[socket.socket, Peer] | None:
    try:
        sock, _ = listener.accept()
    except OSError:  # the peer has gone, or no descriptor is left: the next iteration tries again
        return None
    return sock, peer_of(sock)


def _close_with(sock: socket.socket, last: bytes) -> None:
    sock.setblocking(False)
    try:
        sock.send(last)
    except OSError:
        pass
    sock.close()
