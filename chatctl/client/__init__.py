"""The client library: everything that programs may use is exported here (docs/api.md, docs/bots.md)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chatctl.client._client import Client
from chatctl.client._left_behind import left_behind
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
from chatctl.client._patience import Patience
from chatctl.client._profile import identity_to_write, load_identity, state_folder
from chatctl.client._renewing import renew_expired
from chatd.errors import ChatdError
from chatd.pki.identity import Identity, read_identity
from chatd.proto.events import (
    Announcement,
    Archived,
    Attention,
    Bye,
    DmOpened,
    Edited,
    Expired,
    GuestReminded,
    Held,
    Invited,
    Isolated,
    Joined,
    Lagged,
    Logged,
    Message,
    MessageApproved,
    MessageHeld,
    MessageRefused,
    OwnerSet,
    Parted,
    Presence,
    Reacted,
    Reaction,
    ReadMarker,
    Redacted,
    RoomCreated,
    RoomModeSet,
    RoomRemoved,
    SessionLimits,
    Slowed,
    Standing,
    TopicSet,
    Uninvited,
    Welcome,
    parse_from_server,
)

if TYPE_CHECKING:
    from chatctl.client._asking import ask
    from chatctl.client._joining import InviteResult, join
    from chatctl.client._probing import addresses_of, authority_of, reach

# What few programs need, and takes as long to load as all else.
_LATER = {
    "InviteResult": "_joining",
    "addresses_of": "_probing",
    "ask": "_asking",
    "authority_of": "_probing",
    "join": "_joining",
    "reach": "_probing",
}

__all__ = [
    "Acknowledged",
    "Announcement",
    "AnyEvent",
    "Archived",
    "Attention",
    "Bye",
    "CaughtUp",
    "ChatdError",
    "Client",
    "Connected",
    "Disconnected",
    "DmOpened",
    "Edited",
    "Expired",
    "GuestReminded",
    "Held",
    "Identity",
    "InviteResult",
    "Invited",
    "Isolated",
    "Joined",
    "Lagged",
    "Logged",
    "Message",
    "MessageApproved",
    "MessageHeld",
    "MessageRefused",
    "OwnerSet",
    "Parted",
    "Patience",
    "Presence",
    "Reacted",
    "Reaction",
    "ReadMarker",
    "Redacted",
    "Refused",
    "Restored",
    "RoomCreated",
    "RoomModeSet",
    "RoomRemoved",
    "Sent",
    "SentResult",
    "SessionLimits",
    "Slowed",
    "Standing",
    "TopicSet",
    "Uninvited",
    "Welcome",
    "addresses_of",
    "ask",
    "authority_of",
    "identity_to_write",
    "join",
    "left_behind",
    "load_identity",
    "parse_from_server",
    "reach",
    "read_identity",
    "renew_expired",
    "state_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
