"""One connection's state in its worker."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Protocol

from chatd.pki.profiles import DeviceName
from chatd.worker.ratelimit import TokenBucket
from chatd.worker.tls import TlsChannel


class Sealing(Protocol):
    """The sending half of a record layer: the envelope's, or the plain one."""

    def seal(self, payload: bytes) -> bytes: ...

    def close(self) -> bytes: ...


class Opening(Protocol):
    """The receiving half."""

    closed: bool

    def feed(self, data: bytes) -> list[bytes]: ...


class Phase(Enum):
    """A session's life; it only moves forward."""

    OPENING = 1  # authenticated, the hub has not admitted it yet
    OPEN = 2
    CLOSING = 3  # the bye is queued; nothing else is accepted or delivered
    GONE = 4


class Due(IntEnum):
    """What an outbox waits for, the more urgent the higher."""

    NOTHING = 0
    LATER = 1  # the end of the gathering
    NOW = 2  # the end of this turn of the loop


class Session:
    """Who owns what: ``heard`` and ``bucket`` belong to the connection's reader thread; ``pending``,
    ``pending_bytes`` and ``reading`` are guarded by the hub link's lock; everything that changes
    besides belongs to the worker's loop."""

    __slots__ = (
        "address",
        "admit_by",
        "blocked",
        "bucket",
        "channel",
        "close_by",
        "due",
        "ends",
        "gone",
        "heard",
        "name",
        "opener",
        "outbox",
        "outbox_bytes",
        "pending",
        "pending_bytes",
        "phase",
        "reading",
        "rooms",
        "sealer",
        "sees_presence",
        "serial",
        "sid",
        "slowed",
        "sock",
        "unsent",
    )

    def __init__(
        self,
        sid: int,
        sock: socket.socket,
        channel: TlsChannel,
        sealer: Sealing,
        opener: Opening,
        name: DeviceName,
        serial: str,
        ends: float,
        address: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sid = sid
        self.sock = sock
        self.channel = channel
        self.sealer = sealer
        self.opener = opener
        self.name = name
        self.serial = serial
        # Unix time at which the certificate's validity ends.
        self.ends = ends
        self.address = address
        self.phase = Phase.OPENING
        self.rooms: set[str] = set()
        # Whether the role may read presence; the hub tells it.
        self.sees_presence = False
        # Frames that wait to be sealed, and sealed bytes that the socket did not take yet.
        self.outbox: list[bytes] = []
        self.outbox_bytes = 0
        self.unsent = b""
        self.due = Due.NOTHING
        # The socket took less than it was given; it is watched until it takes more.
        self.blocked = False
        # label -> (request, may be sent again), in the order of sending
        self.pending: dict[int, tuple[bytes, bool]] = {}
        self.pending_bytes = 0
        # Label of the request for a page that is under way; 0 if there is none.
        self.reading = 0
        self.bucket = TokenBucket(rate=1.0, burst=1)
        self.heard = clock()
        self.slowed = False
        self.admit_by = 0.0
        self.close_by = 0.0
        self.gone = threading.Event()
