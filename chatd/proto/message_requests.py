"""The requests that concern one message: change it, delete it, react to it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chatd.proto.request_base import (
    Count,
    MsgId,
    ReasonText,
    Request,
    RequestKind,
    RoomText,
    Spec,
    TextRequest,
)
from chatd.proto.request_bounds import REACTION_CHARS

ReactionText = Annotated[str, Field(min_length=1, max_length=REACTION_CHARS)]


class Edit(TextRequest):
    """Replace the text of one's own message `seq`; `msg_id` is new, as for a message."""

    spec = Spec("message.send", True, 1, RequestKind.SEND)
    type: Literal["edit"]
    msg_id: MsgId
    room: RoomText
    seq: Count


class Delete(Request):
    """Remove the text of one's own message for everybody, permanently."""

    spec = Spec("message.delete", False, 1)
    type: Literal["delete"]
    room: RoomText
    seq: Count
    reason: ReasonText = ""


class React(Request):
    """Add a reaction to a message, or take back one's own (`on` false)."""

    spec = Spec("message.send", True, 1)
    type: Literal["react"]
    room: RoomText
    seq: Count
    text: ReactionText
    on: bool = True


class Reactions(Request):
    """List the reactions to a message and who gave them."""

    spec = Spec("message.read", True, 1, RequestKind.READ)
    type: Literal["reactions"]
    room: RoomText
    seq: Count
