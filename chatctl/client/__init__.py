"""The chatd client: a library for programs (`Client`), and what `chat` is made of."""

from __future__ import annotations

from chatctl.client.library import Client
from chatctl.client.local import (
    Acknowledged,
    AnyEvent,
    CaughtUp,
    Connected,
    Disconnected,
    Refused,
    Sent,
    SentResult,
)

__all__ = [
    "Acknowledged",
    "AnyEvent",
    "CaughtUp",
    "Client",
    "Connected",
    "Disconnected",
    "Refused",
    "Sent",
    "SentResult",
]
