"""Clients' sockets that one child hands to another, with the bytes that it has read from them.

They travel in packets of a SOCK_SEQPACKET pair that the supervisor makes (SCM_RIGHTS in unix(7)), so that
no other process can hand anything over. Each packet also has the end of a pipe, into which the receiver
writes when it has taken the socket.
"""

from __future__ import annotations

import os
import select
import socket
from enum import Enum
from typing import Final, NamedTuple

# What a worker reads at once, and the client's address before it.
_PACKET_LIMIT: Final = 64 * 1024
_TAKEN: Final = b"\1"


class Speaker(Enum):
    """The speaker on a socket that is handed over; its value comes before the address."""

    TLS_CLIENT = b"T"  # a client, in TLS
    CLIENT = b"C"  # a client whose TLS the gateway ends
    GATEWAY = b"G"  # the gateway for a client whose TLS certificate it has verified


class HandedSocket(NamedTuple):
    """A client's connection, and the first bytes that the client has sent.

    It is one end of a pair unless the ``speaker`` is a client in TLS.
    """

    sock: socket.socket
    address: str
    first: bytes
    speaker: Speaker


def hand_over_socket(
    door: socket.socket,
    sock: socket.socket,
    address: str,
    first: bytes,
    wait: float,
    speaker: Speaker = Speaker.TLS_CLIENT,
) -> bool:
    """Hand a client's socket over; return whether it was taken within ``wait`` seconds.

    The caller closes its own copy. If it shuts the connection down after a False, a receiver that takes it
    later finds it ended.
    """
    reader, writer = os.pipe()
    try:
        try:
            door.setblocking(False)
            socket.send_fds(door, [speaker.value + address.encode() + b"\0" + first], [sock.fileno(), writer])
        except OSError:
            return False  # the queue is full: nobody takes anything
        finally:
            os.close(writer)
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        # The pipe hangs up if the receiver dies.
        return bool(poll.poll(int(wait * 1000))) and os.read(reader, 1) == _TAKEN
    finally:
        os.close(reader)


def take_socket(door: socket.socket) -> HandedSocket | None:
    """Take the next socket and say so; None if there is none. ``door`` must not block."""
    try:
        packet, fds, _, _ = socket.recv_fds(door, _PACKET_LIMIT, 2)
    except BlockingIOError:
        return None
    if len(fds) != 2:
        for fd in fds:
            os.close(fd)
        return None
    sock, writer = socket.socket(fileno=fds[0]), fds[1]
    try:
        os.write(writer, _TAKEN)
    except OSError:
        sock.close()  # the sender has given up
        return None
    finally:
        os.close(writer)
    address, _, first = packet.partition(b"\0")
    return HandedSocket(sock, address[1:].decode(), first, Speaker(address[:1]))
