"""Requests of somebody who catches up: messages by their seqs, unread counts, and the read marker."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chatd.proto.request_base import Count, Request, RequestKind, RoomText, Spec
from chatd.proto.request_bounds import SEQS_LIMIT


class Messages(Request):
    """Fetch the messages of a room with these `seqs`, such as those that others reply to.

    Redacted ones, and those of other rooms, are left out.
    """

    spec = Spec("message.read", True, 0.1, RequestKind.READ)
    type: Literal["messages"]
    room: RoomText
    seqs: Annotated[list[Count], Field(min_length=1, max_length=SEQS_LIMIT)]


class MoveMarker(Request):
    """Move the own read marker of a room to `seq`, for all devices. It never moves back."""

    spec = Spec("message.read", True, 1)
    type: Literal["read"]
    room: RoomText
    seq: Count


class Unread(Request):
    """List the own read markers, and how many messages of others follow each, up to `cursor`."""

    spec = Spec("message.read", True, 1, RequestKind.READ)
    type: Literal["unread"]
    after: RoomText = ""
