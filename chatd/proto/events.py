"""What the server sends: replies, logged events (with a sequence number) and passing notices.

The server builds these as plain objects (it encodes each once); clients read them through the typed
models here, which ignore fields they do not know so that newer servers can say more.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.lineage import LINEAGE_LIMIT, Branch
from chatd.proto.text import visible


class FromServer(BaseModel):
    """Common to everything a client receives."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    type: str


class SessionLimits(BaseModel):
    """What this session may do, told at the welcome. Lengths in characters, times in seconds."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    message_chars: int
    topic_chars: int
    rooms: int
    history_on_join: int
    idle_seconds: int
    messages_per_minute: int
    burst: int


class Welcome(FromServer):
    """First frame of an admitted session: connected means this was received."""

    type: Literal["welcome"]
    protocol: int
    server: str
    version: str
    instance: str
    user: str
    device: str
    role: str
    permissions: list[str]
    rooms: list[str]
    head: int
    lineage: list[Branch] = Field(default=[], max_length=LINEAGE_LIMIT)
    time: int
    envelope: bool
    limits: SessionLimits


class Ok(FromServer):
    """The request with this label was carried out; ``result`` depends on the request."""

    type: Literal["ok"]
    id: int
    result: dict[str, Any]


class Error(FromServer):
    """The request with this label (0: no usable label) was refused."""

    type: Literal["error"]
    id: int
    code: str
    reason: str
    fix: str


class Logged(FromServer):
    """An event of the log: ``seq`` orders it, ``at`` is the server's time in ms since 1970 UTC."""

    seq: int
    at: int


class Message(Logged):
    """What a person wrote, as ``user`` on ``device`` with the role held at that moment."""

    type: Literal["message"]
    room: str
    user: str
    device: str
    role: str
    msg_id: str
    kind: str
    body: str
    reply_to: int | None = None


class Joined(Logged):
    """A user became a member of a room, by their own wish or ``by`` another's."""

    type: Literal["joined"]
    room: str
    user: str
    role: str
    by: str


class Parted(Logged):
    """A user stopped being a member; ``by`` another user means that they were put out."""

    type: Literal["parted"]
    room: str
    user: str
    by: str
    reason: str = ""


class RoomCreated(Logged):
    """A room came into being."""

    type: Literal["room_created"]
    room: str
    topic: str
    guests: bool
    by: str


class DmOpened(Logged):
    """Two users wrote to each other for the first time."""

    type: Literal["dm_opened"]
    room: str


class TopicSet(Logged):
    """A room's topic changed."""

    type: Literal["topic"]
    room: str
    topic: str
    by: str


class Redacted(Logged):
    """The message ``target`` has been erased: forget its text."""

    type: Literal["redacted"]
    room: str
    target: int
    by: str
    reason: str = ""


class Expired(Logged):
    """The room's messages up to ``upto`` have been erased by its retention time."""

    type: Literal["expired"]
    room: str
    upto: int
    count: int


class Held(Logged):
    """The room's messages are held (``on``) or no longer held."""

    type: Literal["held"]
    room: str
    on: bool
    by: str
    reason: str = ""


class Announcement(Logged):
    """Said to everybody."""

    type: Literal["announcement"]
    body: str
    by: str


class Presence(FromServer):
    """Somebody in a shared room came (online), left (offline) or is away with a text.

    Whom an admin put out has a ``cause``, "kicked" or "banned", ``by`` whom and perhaps for a ``reason``;
    they may have been offline before.
    """

    type: Literal["presence"]
    room: str
    user: str
    state: Literal["online", "offline", "away"]
    text: str = ""
    # Not a Literal: a newer server may know more of them.
    cause: str | None = None
    by: str | None = None
    reason: str | None = None


class PingEvent(FromServer):
    """The server heard nothing for half the idle time; answer with a ping request."""

    type: Literal["ping"]


class Lagged(FromServer):
    """Live events stopped (the hub restarted, or this client was too slow): send resume."""

    type: Literal["lagged"]


class Slowed(FromServer):
    """The rate limit holds this session's requests back; nothing is lost."""

    type: Literal["slowed"]
    seconds: int


class Bye(FromServer):
    """The server ends the session. ``retry`` says whether connecting again can help."""

    type: Literal["bye"]
    code: str
    reason: str
    fix: str
    retry: bool


AnyFromServer = (
    Welcome | Ok | Error | Message | Joined | Parted | RoomCreated | DmOpened | TopicSet | Redacted
    | Expired | Held | Announcement
    | Presence | PingEvent | Lagged | Slowed | Bye
)  # fmt: skip
EVENTS: dict[str, type[FromServer]] = {
    model.model_fields["type"].annotation.__args__[0]: model for model in AnyFromServer.__args__
}
_VALIDATE: dict[str, Any] = {name: TypeAdapter(model).validate_python for name, model in EVENTS.items()}


def parse_from_server(message: JsonObject) -> AnyFromServer | None:
    """The typed form of a decoded frame; None for a type this client does not know (a newer server).

    Raises E100 when a known type does not have its shape.
    """
    validate = _VALIDATE.get(kind) if isinstance(kind := message.get("type"), str) else None
    if validate is None:
        return None
    try:
        event: AnyFromServer = validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ChatdError("E100", f"the server sent a malformed {kind}: {first['loc']}") from None
    return event


def error_frame(label: int, error: ChatdError) -> JsonObject:
    """The refusal of one request. A reason often quotes what was asked for, in whatever characters."""
    reason = visible(error.reason, newlines=False)
    return {"type": "error", "id": label, "code": error.code, "reason": reason, "fix": error.fix}


def bye_frame(error: ChatdError, *, retry: bool) -> JsonObject:
    """The end of a session, in words."""
    return {"type": "bye", "code": error.code, "reason": error.reason, "fix": error.fix, "retry": retry}
