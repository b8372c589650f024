"""Frames from the server: replies, logged events (with a sequence number) and notices that are not logged.

The server builds them as plain dicts and encodes each once. Clients read them through these models, which
ignore unknown fields, so newer servers may add some. The docstrings appear in docs/protocol.md.
"""

from typing import Any, Literal, get_args

from chatd.errors import ChatdError
from chatd.proto.authority_event import AuthorityChanged as AuthorityChanged
from chatd.proto.event_base import Caused as Caused
from chatd.proto.event_base import FromServer as FromServer
from chatd.proto.event_base import Logged as Logged
from chatd.proto.event_base import author_text as author_text
from chatd.proto.frames import JsonObject
from chatd.proto.guest_events import GuestReminded as GuestReminded
from chatd.proto.held_events import Attention as Attention
from chatd.proto.held_events import MessageApproved as MessageApproved
from chatd.proto.held_events import MessageHeld as MessageHeld
from chatd.proto.held_events import MessageRefused as MessageRefused
from chatd.proto.lineage import Lineage
from chatd.proto.plain_model import EMPTY, PlainModel, Unfit
from chatd.proto.room_events import Invited as Invited
from chatd.proto.room_events import OwnerSet as OwnerSet
from chatd.proto.room_events import RoomModeSet as RoomModeSet
from chatd.proto.room_events import Uninvited as Uninvited
from chatd.proto.text import visible


class SessionLimits(PlainModel):
    """The limits of a session, sent in `welcome`. Lengths are in characters, times in seconds."""

    message_chars: int
    # A server before snippets does not send it.
    snippet_bytes: int = 0
    topic_chars: int
    rooms: int
    history_on_join: int
    idle_seconds: int
    messages_per_minute: int
    burst: int


class Welcome(FromServer):
    """The session is admitted. Always the first frame; a client is connected once it has received it."""

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
    # Rooms with an invitation to this user.
    invites: list[str] = EMPTY
    head: int
    lineage: Lineage = EMPTY
    time: int
    envelope: bool
    # Not a Literal: newer servers may do something else. A server before snippets does not send it.
    long_text: str = "truncate"
    # Where browsers find the server; "" if it has no web page.
    page: str = ""
    # Why what the server shows may be old; see `Isolated`.
    isolated: str = ""
    # Whether this is a node of a cluster: its log may end before that of the node before.
    clustered: bool = False
    limits: SessionLimits

    def with_standing(self, standing: "Standing") -> "Welcome":
        """Return this welcome with the present role and permissions."""
        return self.model_copy(update={"role": standing.role, "permissions": standing.permissions})

    def with_mark(self, event: "Isolated") -> "Welcome":
        """Return this welcome with why what the server shows may be old."""
        return self.model_copy(update={"isolated": event.reason})


class Ok(FromServer):
    """The request `id` succeeded; `result` depends on the request."""

    type: Literal["ok"]
    id: int
    result: dict[str, Any]


class Error(FromServer):
    """The request `id` was refused; 0 if it had no usable `id`."""

    type: Literal["error"]
    id: int
    code: str
    reason: str
    fix: str


class Reaction(PlainModel):
    """A reaction to a message in a page: how many users gave it, and whether this user is one of them."""

    text: str
    count: int
    mine: bool = False


class Message(Logged):
    """A person wrote a message. `role` is the sender's role at that moment.

    `kind`: "text", "action" for "/me", "snippet" for a long text or lines of a file. In pages the text is the
    present one: `edited` is the seq of the last edit. `reactions` are those when the page is made.
    """

    type: Literal["message"]
    room: str
    user: str
    device: str
    role: str
    msg_id: str
    kind: str
    body: str
    reply_to: int | None = None
    edited: int | None = None
    edited_at: int | None = None
    reactions: list[Reaction] = EMPTY


class Edited(Logged):
    """The author replaced the text of the message with seq `target`. `msg_id` is the edit's own.

    `replaces`: the seqs of the message and earlier edits if the log keeps their texts no longer.
    """

    type: Literal["edited"]
    room: str
    target: int
    user: str
    device: str
    role: str
    msg_id: str
    kind: str
    body: str
    reply_to: int | None = None
    replaces: list[int] = EMPTY


class Reacted(Logged):
    """A user gave a reaction to the message with seq `target`, or took it back (`on` false).

    `count`: the users who have given it now.
    """

    type: Literal["reacted"]
    room: str
    target: int
    user: str
    text: str
    on: bool
    count: int


class Joined(Caused):
    """A user became a member of a room. `by` differs from `user` if somebody else did it."""

    type: Literal["joined"]
    room: str
    user: str
    role: str


class Parted(Caused):
    """A user left a room, or was removed from it if `by` is another user.

    `remember`: automatic joins leave out this room for the user from now on.
    """

    type: Literal["parted"]
    room: str
    user: str
    reason: str = ""
    remember: bool = True


class RoomCreated(Caused):
    """A room was created. `mode` and `history` say who enters and writes, and what new members read."""

    type: Literal["room_created"]
    room: str
    topic: str
    guests: bool
    mode: str = "open"
    history: str = "all"


class DmOpened(Logged):
    """Two users started a direct conversation, or `by` one of more users, a group."""

    type: Literal["dm_opened"]
    room: str
    by: str | None = None


class TopicSet(Caused):
    """A room's topic changed."""

    type: Literal["topic"]
    room: str
    topic: str


class Redacted(Caused):
    """The message with seq `target`, which `user` wrote, was redacted: delete its text and reactions.

    `edits`: the seqs of its edits, whose texts are redacted as well. `own`: its author deleted it.
    """

    type: Literal["redacted"]
    room: str
    target: int
    user: str | None = None
    edits: list[int] = EMPTY
    own: bool = False
    reason: str = ""


class Expired(Logged):
    """The room's `count` messages up to seq `upto` passed the retention time: delete their texts."""

    type: Literal["expired"]
    room: str
    upto: int
    count: int


class Held(Caused):
    """The room is on hold (`on` true), or the hold has ended."""

    type: Literal["held"]
    room: str
    on: bool
    reason: str = ""


class Archived(Caused):
    """The room is archived (`on` true): it can only be read and left. Or it no longer is."""

    type: Literal["archived"]
    room: str
    on: bool
    reason: str = ""


class RoomRemoved(Caused):
    """The room was removed: nobody is in it any more. Delete the texts of its messages."""

    type: Literal["room_removed"]
    room: str
    reason: str = ""


class ReadMarker(Logged):
    """This session's user has read `room` up to seq `upto`, on whichever device. Nobody else receives it."""

    type: Literal["read"]
    room: str
    user: str
    upto: int


class Announcement(Caused):
    """An announcement to everybody."""

    type: Literal["announcement"]
    body: str


class Presence(FromServer):
    """A user in a shared room came online, went offline or set or ended an away text.

    If a kick or ban ended the presence, `cause` is "kicked" or "banned", with `by` and perhaps `reason`; such
    a user may already have been offline. "unbanned": the user may come back. "muted" and "unmuted": in this
    room or everywhere. "made ROLE": the user got another role. "new device": `device` has logged in for the
    first time; `key` is the SHA-256 of its key in hex, `by` let it in, `sponsor` answers for a guest.
    """

    type: Literal["presence"]
    room: str
    user: str
    state: Literal["online", "offline", "away"]
    text: str = ""
    # Not a Literal: newer servers may send other causes.
    cause: str | None = None
    by: str | None = None
    by_login: str | None = None
    reason: str | None = None
    device: str | None = None
    key: str | None = None
    sponsor: str | None = None


class Standing(FromServer):
    """This session's user got a role (`change` "role_set"), a mute ("muted") or the end of one ("unmuted").

    Or an invitation to a `room` ("invited") or its end ("uninvited"). `role` and `permissions` are the
    present ones. A mute is for one `room`, or everywhere; without `until` (ms since 1970) somebody has to
    end it. "resumed" comes with `lagged`, in case a change was not told.
    """

    type: Literal["standing"]
    # Not a Literal: newer servers may send other changes.
    change: str
    role: str
    permissions: list[str]
    by: str
    by_login: str | None = None
    reason: str = ""
    room: str | None = None
    until: int | None = None


class PingEvent(FromServer):
    """The server received nothing for half the idle time: answer with a `ping` request."""

    type: Literal["ping"]


class Lagged(FromServer):
    """Live events stopped because the hub restarted: send `resume`."""

    type: Literal["lagged"]


class Slowed(FromServer):
    """The rate limit delays this session's requests; none is lost."""

    type: Literal["slowed"]
    seconds: int


class Isolated(FromServer):
    """What this machine shows may be old: `reason` says why. It can be read, not written to.

    With an empty `reason` that is over. A machine that is no node of a cluster never sends it.
    """

    type: Literal["isolated"]
    reason: str


class Bye(FromServer):
    """The session ends. `retry` says whether connecting again can help.

    Without `retry`, a kick or ban that ends in `retry_after` seconds may be waited for.
    """

    type: Literal["bye"]
    code: str
    reason: str
    fix: str
    retry: bool
    retry_after: int | None = None


AnyFromServer = (
    Welcome | Ok | Error | Message | Edited | Reacted | Joined | Parted | RoomCreated | DmOpened | TopicSet
    | Redacted | Expired | Held | Archived | RoomRemoved | RoomModeSet | OwnerSet | Invited | Uninvited
    | Announcement | ReadMarker | GuestReminded
    | MessageHeld | MessageApproved | MessageRefused | Attention
    | Presence | Standing | PingEvent | Lagged | Slowed | Isolated | AuthorityChanged | Bye
)  # fmt: skip
EVENTS: dict[str, type[FromServer]] = {
    get_args(model.fields()["type"].annotation)[0]: model for model in get_args(AnyFromServer)
}


def parse_from_server(message: "JsonObject") -> "AnyFromServer | None":
    """Parse a decoded frame. Return None for an unknown type, which a newer server may send.

    Raises E100 if a frame of a known type is malformed.
    """
    model = EVENTS.get(kind) if isinstance(kind := message.get("type"), str) else None
    if model is None:
        return None
    try:
        event: AnyFromServer = model.model_validate(message)  # type: ignore[assignment]  # see EVENTS
    except Unfit as error:
        raise ChatdError("E100", f"the server sent a malformed {kind}: {error.place}") from None
    return event


def error_frame(request_id: int, error: ChatdError) -> JsonObject:
    """Build the reply to a refused request. Reasons may quote the request, so escape what cannot be shown."""
    reason = visible(error.reason, newlines=False)
    return {"type": "error", "id": request_id, "code": error.code, "reason": reason, "fix": error.fix}


def bye_frame(error: ChatdError, *, retry: bool, retry_after: int | None = None) -> JsonObject:
    """Build the last frame of a session."""
    frame: JsonObject = {"type": "bye", "code": error.code, "reason": error.reason, "fix": error.fix}
    frame["retry"] = retry
    return frame if retry_after is None else frame | {"retry_after": retry_after}
