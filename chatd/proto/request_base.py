"""The parts that all requests share: kinds of fields, the columns of the request table, the base model."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from chatd.proto.durations import MAX_SECONDS
from chatd.proto.frames import INTEGER_LIMIT, STRING_LIMIT
from chatd.proto.request_bounds import PAGE_LIMIT
from chatd.proto.text import GROUP_MEMBERS, NAME_CHARS

Count = Annotated[int, Field(ge=0, le=INTEGER_LIMIT)]
RequestId = Annotated[int, Field(ge=1, le=INTEGER_LIMIT)]
# Only the lengths are checked here; `chatd.proto.text` has the rules for names.
NameText = Annotated[str, Field(max_length=NAME_CHARS)]
# The longest is a group, "@name,name,name".
ROOM_CHARS = GROUP_MEMBERS * (NAME_CHARS + 1)
RoomText = Annotated[str, Field(max_length=ROOM_CHARS)]
ReasonText = Annotated[str, Field(max_length=256)]
BodyText = Annotated[str, Field(max_length=STRING_LIMIT)]
Sha256Text = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MsgId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
PageSize = Annotated[int, Field(ge=1, le=PAGE_LIMIT)]
Seconds = Annotated[int, Field(ge=1, le=MAX_SECONDS)]
# Bytes of a text, in UTF-8, that cost a token: any line of the chat costs one, and a long text as much as the
# lines would that it replaces.
BYTES_PER_TOKEN = 2048


class RequestKind(Enum):
    """The way in which a request is answered."""

    WORKER = "worker"
    """By the worker; the hub never sees it."""
    SEND = "send"
    """By the hub: append a message once per (device, msg_id)."""
    EVENT = "event"
    """By the hub's state machine, which emits events."""
    STATE = "state"
    """By the hub from its state, or from what its sessions do; no event comes of it."""
    READ = "read"
    """With a page of events from the log. A session may have one such request under way."""
    STATS = "stats"
    """With the counters of all processes."""


class Spec(NamedTuple):
    """One row of the request table.

    ``permission``: required of the role; None admits every session. ``repeatable``: repeating the
    request has no further effect, so it may be sent again when a hub died under it. ``cost``: tokens
    taken from the user's rate bucket; a message costs at least 1. ``urgent``: moderation, which may use
    a reserve on a full disk.
    """

    permission: str | None
    repeatable: bool
    cost: float
    kind: RequestKind = RequestKind.EVENT
    urgent: bool = False

    @property
    def decides(self) -> bool:
        """Whether the request may become events, so that only the hub that orders them can answer it."""
        return self.kind in (RequestKind.SEND, RequestKind.EVENT)


class Request(BaseModel):
    """Base of all requests. The client chooses ``id``, and the reply repeats it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    spec: ClassVar[Spec]
    type: str
    id: RequestId

    @property
    def cost(self) -> float:
        """The tokens taken from the user's rate bucket."""
        return self.spec.cost


class TextRequest(Request):
    """Base of the requests with a text that may be long, which costs by its size."""

    body: BodyText

    @property
    def cost(self) -> float:
        size = len(self.body)
        if size > BYTES_PER_TOKEN // 4:
            size = len(self.body.encode())
        return max(self.spec.cost, size / BYTES_PER_TOKEN)
