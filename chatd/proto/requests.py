"""Every request a client can make, as one table: its fields, the permission it needs, how it is handled.

The permission is a column here and is checked in one place (`chatd.hub.state.authorize`), never in a handler.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatd.errors import ChatdError
from chatd.proto.frames import INTEGER_LIMIT, STRING_LIMIT, JsonObject
from chatd.proto.text import visible

Count = Annotated[int, Field(ge=0, le=INTEGER_LIMIT)]
Label = Annotated[int, Field(ge=1, le=INTEGER_LIMIT)]
# A name is at most 32 characters; a direct conversation "@name,name" at most 66. The rules are in text.py.
NameText = Annotated[str, Field(max_length=32)]
RoomText = Annotated[str, Field(max_length=66)]
ReasonText = Annotated[str, Field(max_length=256)]
BodyText = Annotated[str, Field(max_length=STRING_LIMIT)]
MsgId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
# Events in one page of resume, history and search.
PAGE_LIMIT = 500
PageSize = Annotated[int, Field(ge=1, le=PAGE_LIMIT)]
Seconds = Annotated[int, Field(ge=1, le=10 * 366 * 86_400)]


class RequestKind(Enum):
    """How a request is answered."""

    WORKER = "worker"
    """By the worker; the hub never sees it."""
    SEND = "send"
    """By the hub: append a message once per (device, msg_id)."""
    EVENT = "event"
    """By the hub's state machine, which emits events."""
    READ = "read"
    """With a page of events from the log. A session may have one such request under way."""
    STATS = "stats"
    """With the counters of all processes."""


class Spec(NamedTuple):
    """One row of the request table.

    ``permission``: required of the role; None admits every session. ``repeatable``: repeating the
    request has no further effect, so it may be sent again when a hub died under it. ``cost``: tokens
    taken from the session's rate bucket; a message costs 1. ``names_entry``: the request's ``seq``
    names a log entry, which the hub looks up before it decides.
    """

    permission: str | None
    repeatable: bool
    cost: float
    kind: RequestKind = RequestKind.EVENT
    names_entry: bool = False


class Request(BaseModel):
    """Common to all requests: ``id`` is the client's label, repeated in the reply."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    spec: ClassVar[Spec]
    type: str
    id: Label


class Ping(Request):
    """Ask for a sign of life; also the answer to the server's ping event."""

    spec = Spec(None, True, 0.1, RequestKind.WORKER)
    type: Literal["ping"]


class Resume(Request):
    """Fetch what was missed after ``after`` and, when nothing more is missing, go live.

    Without ``after`` the session goes live at the present head of the log.
    """

    spec = Spec(None, True, 0.1, RequestKind.READ)
    type: Literal["resume"]
    after: Count | None = None


class Send(Request):
    """Say something in a room ("#name") or to a user ("@name")."""

    spec = Spec("message.send", True, 1, RequestKind.SEND)
    type: Literal["send"]
    msg_id: MsgId
    to: RoomText
    body: BodyText
    kind: Literal["text", "action"] = "text"
    reply_to: Count | None = None


class History(Request):
    """A page of a room's events, oldest first, before or after a sequence number."""

    spec = Spec("message.read", True, 0.1, RequestKind.READ)
    type: Literal["history"]
    room: RoomText
    before: Count | None = None
    after: Count | None = None
    limit: PageSize = 50


class Search(Request):
    """Messages with all words of ``query``; from:NAME in:#room since:2h narrow it."""

    spec = Spec("search", True, 1, RequestKind.READ)
    type: Literal["search"]
    query: Annotated[str, Field(max_length=500)]
    before: Count | None = None
    limit: PageSize = 50


class Create(Request):
    """Make a room and join it."""

    spec = Spec("room.create", False, 1)
    type: Literal["create"]
    room: RoomText
    topic: ReasonText = ""
    guests: bool = False


class Join(Request):
    """Become a member of a room."""

    spec = Spec("room.join", True, 1)
    type: Literal["join"]
    room: RoomText


class Part(Request):
    """Stop being a member of a room."""

    spec = Spec("room.join", True, 1)
    type: Literal["part"]
    room: RoomText


class Rooms(Request):
    """The rooms this user may see."""

    spec = Spec("room.list", True, 1)
    type: Literal["rooms"]
    after: RoomText = ""


class Who(Request):
    """The members of a room the asker is in."""

    spec = Spec("presence.read", True, 1)
    type: Literal["who"]
    room: RoomText
    after: NameText = ""


class Whois(Request):
    """One user: role, devices, presence, shared rooms."""

    spec = Spec("presence.read", True, 1)
    type: Literal["whois"]
    user: NameText


class Topic(Request):
    """Set a room's topic."""

    spec = Spec("room.topic", True, 1)
    type: Literal["topic"]
    room: RoomText
    topic: ReasonText


class Away(Request):
    """Say that one is away and why; an empty text says that one is back."""

    spec = Spec("away.set", True, 1)
    type: Literal["away"]
    text: ReasonText = ""


class Kick(Request):
    """End a user's sessions now, or take them out of one room."""

    spec = Spec("moderate.kick", False, 1)
    type: Literal["kick"]
    user: NameText
    room: RoomText | None = None
    reason: ReasonText = ""
    dry_run: bool = False


class Ban(Request):
    """End a user's sessions and refuse new ones, for ``seconds`` or until unbanned."""

    spec = Spec("moderate.ban", False, 1)
    type: Literal["ban"]
    user: NameText
    seconds: Seconds | None = None
    reason: ReasonText = ""
    dry_run: bool = False


class Unban(Request):
    """End a ban."""

    spec = Spec("moderate.ban", False, 1)
    type: Literal["unban"]
    user: NameText


class Bans(Request):
    """The bans in force."""

    spec = Spec("moderate.ban", True, 1)
    type: Literal["bans"]
    after: NameText = ""


class Mute(Request):
    """Refuse what a user sends, in one room or everywhere."""

    spec = Spec("moderate.mute", False, 1)
    type: Literal["mute"]
    user: NameText
    room: RoomText | None = None
    seconds: Seconds | None = None
    reason: ReasonText = ""
    dry_run: bool = False


class Unmute(Request):
    """End a mute."""

    spec = Spec("moderate.mute", False, 1)
    type: Literal["unmute"]
    user: NameText
    room: RoomText | None = None


class Redact(Request):
    """Erase a message's text for everybody and for good; that it was there stays in the log."""

    spec = Spec("moderate.redact", False, 1, names_entry=True)
    type: Literal["redact"]
    room: RoomText
    seq: Count
    reason: ReasonText = ""


class Hold(Request):
    """Hold a room (or let it go): while it is held, neither retention nor redact erases there."""

    spec = Spec("room.hold", True, 1)
    type: Literal["hold"]
    room: RoomText
    on: bool = True
    reason: ReasonText = ""


class Announce(Request):
    """Say something to everybody, in no room."""

    spec = Spec("announce", False, 1)
    type: Literal["announce"]
    body: BodyText


class RoleSet(Request):
    """Give a user another role."""

    spec = Spec("role.set", False, 1)
    type: Literal["role_set"]
    user: NameText
    role: NameText


class RoleShow(Request):
    """The permissions of every role, or the role of one user."""

    spec = Spec("role.show", True, 1)
    type: Literal["role_show"]
    user: NameText | None = None


class Users(Request):
    """Every user with role, devices and presence."""

    spec = Spec("user.list", True, 1)
    type: Literal["users"]
    after: NameText = ""


class Revoke(Request):
    """End a device's certificate and its sessions, for good."""

    spec = Spec("device.revoke", False, 1)
    type: Literal["revoke"]
    user: NameText
    device: NameText
    reason: ReasonText = ""
    dry_run: bool = False


class Stats(Request):
    """Counters and the state of every process."""

    spec = Spec("stats.read", True, 1, RequestKind.STATS)
    type: Literal["stats"]


class UserAdd(Request):
    """Register a user's new device by its certificate's serial. Only on the box (chatd user add)."""

    spec = Spec("operate", False, 1)
    type: Literal["user_add"]
    user: NameText
    device: NameText
    serial: Annotated[str, Field(pattern=r"^[0-9a-f]{1,40}$")]
    role: NameText | None = None


AnyRequest = (
    Ping | Resume | Send | History | Search | Create | Join | Part | Rooms | Who | Whois | Topic | Away
    | Kick | Ban | Unban | Bans | Mute | Unmute | Redact | Hold | Announce | RoleSet | RoleShow
    | Users | Revoke | Stats | UserAdd
)  # fmt: skip
REQUESTS: dict[str, type[Request]] = {
    model.model_fields["type"].annotation.__args__[0]: model for model in AnyRequest.__args__
}
# What `model_validate` calls, without the call.
_VALIDATE: dict[str, Any] = {
    name: model.__pydantic_validator__.validate_python for name, model in REQUESTS.items()
}


def parse_request(message: JsonObject) -> AnyRequest:
    """The typed request in a decoded frame. Raises E102 naming the field, E103 for an unknown type."""
    validate = _VALIDATE.get(kind) if isinstance(kind := message.get("type"), str) else None
    if validate is None:
        raise ChatdError("E103", f"there is no request {str(kind)[:40]!r}")
    try:
        request: AnyRequest = validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        # A field that should not be there is named by the peer.
        field = visible(".".join(str(part) for part in first["loc"])[:80], newlines=False)
        raise ChatdError("E102", f"{kind}: field {field}: {first['msg']}") from None
    return request


def label_of(message: JsonObject) -> int:
    """The label to answer a bad request with: its ``id`` where that is usable, else 0."""
    label = message.get("id")
    return label if isinstance(label, int) and not isinstance(label, bool) and label > 0 else 0
