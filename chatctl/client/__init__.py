"""The client library: everything that programs may use is exported here (docs/api.md, docs/bots.md)."""

from __future__ import annotations

from chatctl.client._client import Client
from chatctl.client._notices import (
    Acknowledged,
    AnyEvent,
    CaughtUp,
    Connected,
    Disconnected,
    Refused,
    Restored,
    Sent,
    SentResult,
)
from chatctl.client._profile import load_identity, state_folder
from chatd.errors import ChatdError
from chatd.pki.identity import Identity, read_identity
from chatd.proto.events import (
    Announcement,
    Bye,
    DmOpened,
    Expired,
    Held,
    Joined,
    Lagged,
    Logged,
    Message,
    Parted,
    Presence,
    Redacted,
    RoomCreated,
    SessionLimits,
    Slowed,
    Standing,
    TopicSet,
    Welcome,
    parse_from_server,
)

__all__ = [
    "Acknowledged",
    "Announcement",
    "AnyEvent",
    "Bye",
    "CaughtUp",
    "ChatdError",
    "Client",
    "Connected",
    "Disconnected",
    "DmOpened",
    "Expired",
    "Held",
    "Identity",
    "Joined",
    "Lagged",
    "Logged",
    "Message",
    "Parted",
    "Presence",
    "Redacted",
    "Refused",
    "Restored",
    "RoomCreated",
    "Sent",
    "SentResult",
    "SessionLimits",
    "Slowed",
    "Standing",
    "TopicSet",
    "Welcome",
    "load_identity",
    "parse_from_server",
    "read_identity",
    "state_folder",
]
