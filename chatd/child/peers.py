"""Who is at the other end of a Unix socket, as the kernel tells (SO_PEERCRED in unix(7)).

The credentials are those of the process that called connect(); they stay with the connection if it is passed
to another process.
"""

from __future__ import annotations

import os
import pwd
import select
import socket
import struct
from functools import cache
from typing import Final, NamedTuple

from chatd.child.proc_stat import PARENT, stat_field
from chatd.proto.text import visible

ROOT: Final = 0
_UCRED: Final = struct.Struct("iII")
_MAX_ANCESTORS: Final = 64
_MAX_LOGIN_CHARS: Final = 64


class Peer(NamedTuple):
    """The process that connected."""

    pid: int
    uid: int


def peer_of(sock: socket.socket) -> Peer:
    """Return the process at the other end of a connected Unix socket."""
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid)


def why_not_operator(peer: Peer, supervisor: int) -> str:
    """Return why a peer may not operate the server of ``supervisor`` (a pid); "" if it may.

    Its own user and root may. The server's own processes run as that user, too, and may not: whoever has
    taken over a worker would be the operator. Their orphans stay descendants of the supervisor, because it
    is the subreaper (prctl(2)).
    """
    own = os.geteuid()
    if peer.uid not in (own, ROOT):
        return "another user"
    if peer.uid != own:
        return ""  # root, while the server is not: no process of the server can become that
    parent = _parent(peer.pid)
    if parent is None:
        return "a process that has ended"
    if _is_or_descends_from(parent, supervisor):
        return "a process of the server itself"
    return ""


@cache
def login_name(uid: int) -> str:
    """Return the login name of a uid; "uid 1000" if the system does not know one."""
    try:
        return visible(pwd.getpwuid(uid).pw_name, newlines=False)[:_MAX_LOGIN_CHARS]
    except (KeyError, OSError):
        return f"uid {uid}"


def has_hung_up(sock: socket.socket) -> bool:
    """Whether the peer has closed its end."""
    poll = select.poll()
    poll.register(sock, select.POLLHUP)
    return bool(poll.poll(0))


def _is_or_descends_from(pid: int, ancestor: int) -> bool:
    """Whether ``ancestor`` is ``pid`` or above it, as far as /proc shows."""
    current: int | None = pid
    for _ in range(_MAX_ANCESTORS):
        if current == ancestor:
            return True
        if not current:
            return False
        current = _parent(current)
    return True  # nobody needs such a chain, except to hide


def _parent(pid: int) -> int | None:
    """Return the parent's pid (0 above the first process); None if /proc does not show it."""
    return stat_field(pid, PARENT)
