"""One connection's state in its worker."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Protocol

from chatd.child.tls import TlsChannel
from chatd.pki.profiles import DeviceName
from chatd.policy.ratelimit import TokenBucket
from chatd.proto.requests import RequestKind


class SendingHalf(Protocol):
    """The sending half of a record layer: the envelope's, or the unsealed one."""

    def seal(self, payload: bytes) -> bytes: ...

    def close(self) -> bytes: ...


class ReceivingHalf(Protocol):
    """The receiving half of a record layer."""

    closed: bool

    @property
    def parts(self) -> int:
        """Frames of a WebSocket that have arrived, whatever they contain; 0 for other record layers."""

    def feed(self, data: bytes) -> list[bytes]: ...


class SessionPhase(Enum):
    """A session's phases; it only moves forward."""

    OPENING = 1  # authenticated, not yet admitted by the hub
    OPEN = 2
    CLOSING = 3  # the bye frame is queued; nothing else is accepted or delivered
    GONE = 4


class Due(IntEnum):
    """When an outbox must be flushed; a higher value is more urgent."""

    NOTHING = 0
    DEFERRED = 1  # at the end of the gather time
    NOW = 2  # at the end of this loop iteration


@dataclass(slots=True)
class ForwardedRequest:
    """A request that the hub has not answered. ``sends_left``: how often it may still be sent."""

    payload: bytes
    kind: RequestKind
    sends_left: int


class EndFlag:
    """Whether a session has ended: a `threading.Event` of a fifth of the size, which one thread sets."""

    __slots__ = ("_is_set", "_until_set")

    def __init__(self) -> None:
        self._is_set = False
        self._until_set = threading.Lock()
        self._until_set.acquire()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Note the end, and wake those who wait for it."""
        if not self._is_set:
            self._is_set = True
            self._until_set.release()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; return whether the session has ended."""
        if not self._is_set and self._until_set.acquire(timeout=seconds):
            self._until_set.release()  # for others who wait
        return self._is_set


class WorkerSession:
    """An authenticated connection.

    ``last_heard``, ``bucket`` and ``unreported_cost`` belong to the reader thread. ``pending``,
    ``pending_bytes`` and ``read_request_id`` are guarded by the hub link's lock. Everything else that changes
    belongs to the worker's loop.
    """

    __slots__ = (
        "address",
        "admit_by",
        "blocked",
        "bucket",
        "channel",
        "close_by",
        "due",
        "ended",
        "key",
        "last_heard",
        "opener",
        "outbox",
        "outbox_bytes",
        "pending",
        "pending_bytes",
        "phase",
        "read_request_id",
        "rooms",
        "sealer",
        "sees_presence",
        "serial",
        "sid",
        "sock",
        "told_slowed",
        "unreported_cost",
        "unsent",
        "valid_until",
        "who",
    )

    def __init__(
        self,
        sid: int,
        sock: socket.socket,
        channel: TlsChannel,
        sealer: SendingHalf,
        opener: ReceivingHalf,
        who: DeviceName,
        serial: str,
        valid_until: float,
        key: str,
        address: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sid = sid
        self.sock = sock
        self.channel = channel
        self.sealer = sealer
        self.opener = opener
        self.who = who
        self.serial = serial
        # End of the certificate's validity, in Unix time.
        self.valid_until = valid_until
        # The SHA-256 of its SubjectPublicKeyInfo in hex.
        self.key = key
        self.address = address
        self.phase = SessionPhase.OPENING
        self.rooms: set[str] = set()
        # Whether the role may read presence; set by the hub.
        self.sees_presence = False
        # Frames that wait to be sealed, and sealed bytes that the socket has not taken yet.
        self.outbox: list[bytes] = []
        self.outbox_bytes = 0
        self.unsent = b""
        self.due = Due.NOTHING
        # Whether the loop waits for the socket to become writable.
        self.blocked = False
        # request_id -> request, in the order of sending.
        self.pending: dict[int, ForwardedRequest] = {}
        self.pending_bytes = 0
        # The request for a page that is under way; 0 if there is none.
        self.read_request_id = 0
        self.bucket = TokenBucket(rate=1.0, burst=1)
        # Tokens for what the worker answered itself, which the hub has not been told of.
        self.unreported_cost = 0.0
        self.last_heard = clock()
        # Whether the client was told that it is being slowed down.
        self.told_slowed = False
        self.admit_by = 0.0
        self.close_by = 0.0
        self.ended = EndFlag()
