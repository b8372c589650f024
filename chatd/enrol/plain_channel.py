"""The transport of an enrolment whose TLS ends in the gateway: bytes as they are."""

from __future__ import annotations

import secrets
from typing import Protocol

BINDING_BYTES = 32


class Channel(Protocol):
    """What an enrolment needs of its transport: `chatd.child.tls.TlsChannel`, or a `PlainChannel`."""

    def handshake(self, data: bytes) -> bool: ...
    def receive(self, data: bytes) -> bytes: ...
    def protect(self, plain: bytes) -> bytes: ...
    def take_outgoing(self) -> bytes: ...
    def close_notify(self) -> bytes: ...
    def binding(self) -> bytes: ...


class PlainChannel:
    """A `Channel` without TLS. A page cannot see the TLS binding, so a random number takes its place."""

    def __init__(self) -> None:
        self._binding = secrets.token_bytes(BINDING_BYTES)

    def handshake(self, data: bytes) -> bool:
        """Return True: there is nothing to shake hands about. ``data`` is passed to `receive` next."""
        return True

    def receive(self, data: bytes) -> bytes:
        return data

    def protect(self, plain: bytes) -> bytes:
        return plain

    def take_outgoing(self) -> bytes:
        return b""

    def close_notify(self) -> bytes:
        """Return b"": the end of the stream says that it is complete."""
        return b""

    def binding(self) -> bytes:
        """Return the number that the proof of a renewal is signed over."""
        return self._binding
