"""Events about messages that the filter holds. Only sessions of the message's writer receive them."""

from typing import Literal

from chatd.proto.event_base import Caused, FromServer, Logged


class MessageHeld(Logged):
    """This session's user wrote a message that waits for a moderator; nobody else in `room` sees it."""

    type: Literal["message_held"]
    room: str
    user: str
    device: str
    role: str
    msg_id: str
    kind: str
    body: str
    word: str
    reply_to: int | None = None
    digest: str = ""


class MessageApproved(Caused):
    """The message held as seq `target` was approved. It is the message with seq `published`."""

    type: Literal["message_approved"]
    room: str
    user: str
    device: str
    msg_id: str
    target: int
    published: int


class MessageRefused(Caused):
    """The message held as seq `target` was refused, or nobody decided in time (`by` "server").

    `by` is the writer's own name if the writer withdrew it.
    """

    type: Literal["message_refused"]
    room: str
    user: str
    device: str
    msg_id: str
    target: int
    reason: str = ""


class Attention(FromServer):
    """Something waits for a decision of this session's user; sent to those who may decide, now and then.

    `what`: "held" for messages, "ask" for people who ask to be let in, "withdrawn" for a message that waits
    no longer. `count` wait in all; the newest is from `user`, in the room or from the address `place`.
    """

    type: Literal["attention"]
    # Not a Literal: newer servers may send others.
    what: str
    count: int
    user: str
    place: str
