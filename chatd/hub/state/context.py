"""The context of one decision: what it may look at, and the only way to emit events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from chatd.cluster.stream_message import NEWEST_FORMAT
from chatd.errors import ChatdError
from chatd.hub.state.ask_book import AskBook
from chatd.hub.state.cuts import Cut, cut_of, duration_text, sanction_error, sanction_fix, until_text
from chatd.hub.state.entities import MEMBERS, READ_ONLY
from chatd.hub.state.model import DAY_MS, EVERYONE, KINDS, SERVER, Room, State, User, own_room
from chatd.hub.state.rules import Rules
from chatd.policy.filter_rules import FilterAction, Filtered, FoundWord
from chatd.proto.advice import SEND_ANYWAY
from chatd.proto.frames import JsonObject
from chatd.store.entry import Given, StoredMessage

# The part of the rooms and of the conversations of a server that is kept for admins: one in so many.
KEPT_SHARE = 10
# Each client adds its own way (chatd.proto.advice).
OVERRIDE_FIX = f"rephrase it, or {SEND_ANYWAY}"
_NOT_HELD_FIX = "rephrase it; in a room a moderator would decide, but none reads direct conversations"
# The advice to an admin outside a room that is entered by invitation.
TAKE_OVER = "ask an owner to invite you; an admin can take it over: chatctl room owner ROOM NAME"


class Principal(NamedTuple):
    """The authenticated asker. ``operator`` is set for the box's own socket only.

    ``uid`` and ``login`` are those of the person at that socket; no uid means the server by itself.
    """

    user: str
    device: str
    operator: bool = False
    uid: int | None = None
    login: str = ""

    @property
    def device_id(self) -> str:
        """Return "user/device", as the log stores it."""
        return f"{self.user}/{self.device}"

    @property
    def identity(self) -> JsonObject:
        """Return the fields that tell which operator acts; none for everybody else."""
        return {} if self.uid is None else {"by_uid": self.uid, "by_login": self.login}


OPERATOR = Principal(SERVER, "box", operator=True)


def operator(uid: int, login: str) -> Principal:
    """Return the operator with this uid and login name."""
    return OPERATOR._replace(uid=uid, login=login)


class PresenceView(Protocol):
    """The live sessions. They are not in the log, hence passed in."""

    def state_of(self, user: str) -> tuple[str, str]:
        """Return "online", "offline" or "away", and the away text."""

    def sessions_of(self, user: str, device: str | None = None) -> tuple[int, int]:
        """Return the number of live sessions and of workers they are on."""

    def last_seen(self, user: str, device: str) -> int | None:
        """Return when a device's last session ended; None if it had none since the hub's start."""

    def set_away(self, user: str, text: str) -> None:
        """Mark a user as away; an empty text marks them as back."""


class EntryView(Protocol):
    """What the log and the events that are not in it yet say about messages, hence passed in.

    A look-up costs the hub's loop a query, so handlers make it once everything else was judged. Otherwise a
    refusal would cost as much as what it refuses, and its time would tell of the entry.
    """

    def message(self, room: str, seq: int) -> StoredMessage | None:
        """Return an entry of a room; None if it is missing or redacted."""

    def given(self, seq: int, text: str, user: str) -> Given:
        """Return how a message stands with one reaction."""


@dataclass(slots=True)
class Context:
    """The context of one decision. ``now`` is ms since 1970; ``events`` collects what it emits."""

    state: State
    rules: Rules
    who: Principal
    now: int
    presence: PresenceView
    # Who asks to be let in; not in the log either.
    asks: AskBook = field(default_factory=AskBook)
    # False while the log's disk is full; `emit` then refuses.
    writable: bool = True
    # False in a hub that follows another one.
    leads: bool = True
    # The format of the cluster's stream that all nodes read.
    format: int = NEWEST_FORMAT
    # Returns the key from which the secrets of signing hooks are derived; raises E606.
    hook_key: Callable[[], bytes] = bytes
    # Whether a request is carried out, whose events count against the asker's bytes of the day.
    metered: bool = False
    # Frees space of moderation's reserve for the events of a request, or returns False.
    spend: Callable[[], bool] | None = None
    # Whether a request was refused although its kind may use the reserve.
    reserve_used_up: bool = False
    # The forbidden word that the asker has sent on purpose; "" for none.
    overridden: str = ""
    # What the filter has found in a message that was sent.
    filtered: tuple[FoundWord, ...] = ()
    # The word for which a message waits for a moderator; "" for none.
    held: str = ""
    events: list[JsonObject] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    # What the log says about messages; None where no request names one.
    entries: EntryView | None = None
    # seq of a body to remove -> seq of the event that orders it.
    redacted: dict[int, int] = field(default_factory=dict)
    # The last edit before a new one, whether the log keeps its text or not; earlier ones were noted then.
    outdated: list[int] = field(default_factory=list)
    # Users whose away text changed.
    presence_changed: list[str] = field(default_factory=list)

    def emit(self, kind: str, /, **fields: Any) -> JsonObject:
        """Number an event, apply it to the state and collect it for the log. Raises E503, E504, E413."""
        if not self.leads:
            raise decided_elsewhere()
        if KINDS[kind].since > self.format:
            raise not_everywhere()
        if not self.writable:
            self._need_space()
        if self.metered:
            self._refuse_over_daily_bytes()
        event = {"type": kind, "seq": self.state.head + 1, "at": self.now, **fields}
        if fields.get("by") == self.who.user:
            event |= self.who.identity
        self.state.apply(event)
        self.events.append(event)
        cut = cut_of(self.state, event)
        if cut is not None:
            self.cuts.append(cut)
        return event

    def _need_space(self) -> None:
        """Use moderation's reserve for all events of a request, or raise E504.

        Every change of the state passes here, and none has been made yet.
        """
        if self.spend is not None and self.spend():
            self.writable = True
            return
        self.reserve_used_up = self.spend is not None
        raise ChatdError("E504", "the server's disk is full, so that nothing can be written")

    def written_today(self, user: str) -> int:
        """Return the bytes of the entries that a user has added today."""
        day, size = self.state.written.get(user, (0, 0))
        return size if day >= self.now // DAY_MS else 0

    def _refuse_over_daily_bytes(self) -> None:
        """Raise E413 if the asker has used up the bytes of the day.

        Bytes are counted once a request is done. Hence all events of one are refused, or none.
        """
        day, size = self.state.written.get(self.who.user, (0, 0))
        if day < self.now // DAY_MS:
            return
        limit = self.rules.settings.limits.for_role(self.role).bytes_per_day
        if limit and size >= limit:
            wait = duration_text(self.now, (day + 1) * DAY_MS)
            raise ChatdError(
                "E413",
                f"the role {self.role} may write {limit} bytes a day, and you have written {size}",
                f"write again in {wait}, after 00:00 UTC, or ask an admin for another role",
            )

    @property
    def role(self) -> str:
        """The asker's present role."""
        return self.rules.role_of(self.state, self.who.user)

    def allows(self, permission: str, user: str | None = None) -> bool:
        """Whether the asker, or ``user``, has a permission."""
        if user is None and self.who.operator:
            return True
        role = self.role if user is None else self.rules.role_of(self.state, user)
        return self.rules.roles.allows(role, permission)

    def acquaintance(self, name: str) -> User:
        """Return a user that the asker may know of. Raises E405 for hidden and missing users alike.

        The asker may know users in a common room, and everybody with the permission ``user.list``.
        """
        if not self.knows_user(name):
            raise unknown_user(name)
        return self.state.users[name]

    def knows_user(self, name: str) -> bool:
        """Whether there is a user whom the asker may know of, see `acquaintance`."""
        user, mine = self.state.users.get(name), self.state.users.get(self.who.user)
        if user is None:
            return False
        meets = mine is not None and (mine is user or not mine.rooms.isdisjoint(user.rooms))
        return meets or self.allows("user.list")

    def roster(self, name: str) -> Room:
        """Return a room whose members the asker may know. Raises E404, E301.

        The asker may know those of their own rooms, and with the permission ``user.list`` of every room.
        """
        return self.room(name) if self.allows("user.list") else self.member(name)

    def room(self, name: str) -> Room:
        """Return a room that the asker may know of. Raises E404 for closed and missing rooms alike."""
        if not self.knows_room(name):
            raise ChatdError("E404", f"there is no room {name!r}")
        return self.state.rooms[name]

    def knows_room(self, name: str) -> bool:
        """Whether a room exists that the asker is in or may enter."""
        room = self.state.rooms.get(name)
        if room is None:
            return False
        if self.who.user in room.members:
            return True
        if name.startswith("@"):
            return False
        if self.who.operator:
            return True
        if room.mode == MEMBERS and not (self.is_invited(name) or self.allows("room.manage")):
            return False
        return self.rules.may_enter(self.state, self.who.user, name)

    def is_invited(self, name: str, user: str | None = None) -> bool:
        """Whether the asker, or ``user``, has an invitation to a room that has not ended."""
        known = self.state.users.get(self.who.user if user is None else user)
        return known is not None and known.invites.get(name, 0) > self.now

    def member(self, name: str) -> Room:
        """Return a room that the asker is in. Raises E404, E301."""
        room = self.room(name)
        if self.who.user not in room.members:
            fix = f"join it first: /join {name}"
            if room.mode == MEMBERS and not self.is_invited(name):
                fix = TAKE_OVER
            raise ChatdError("E301", f"you are not in {name}", fix)
        return room

    def owned(self, name: str) -> Room:
        """Return a room whose owner the asker is, or acts as with ``room.manage``. Raises E404, E311."""
        room = self.room(name)
        if name.startswith("@"):
            raise ChatdError("E404", "a direct conversation has no owners")
        if self.who.user not in room.owners and not self.allows("room.manage"):
            raise ChatdError("E311", f"only the owners of {name} may do this")
        return room

    def refuse_muted(self, room: str = "") -> None:
        """Raise E302 if the asker is muted everywhere or in this room."""
        for scope in ("", room):
            sanction = self.state.mutes.get((self.who.user, scope))
            if sanction is not None and sanction.holds(self.now):
                where = f" in {scope}" if scope else ""
                reason = f": {sanction.reason}" if sanction.reason else ""
                text = f"you are muted{where} {until_text(sanction, self.now)}{reason}"
                raise ChatdError("E302", text, sanction_fix(sanction))

    def is_out(self, user: str) -> bool:
        """Whether a user was removed, or was a guest whose time has ended."""
        return self.state.users[user].removed or self.state.guests.has_ended(user, self.now)

    def refuse_sanctioned(self, user: str) -> None:
        """Raise E207 or E208 while a user is banned or kicked."""
        state = self.state
        for code, word, sanctions in (("E207", "banned", state.bans), ("E208", "kicked", state.kicks)):
            sanction = sanctions.get(user)
            if sanction is not None and sanction.holds(self.now):
                raise sanction_error(code, user, word, sanction, self.now)

    def refuse_archived(self, name: str) -> None:
        """Raise E307 while a room is archived."""
        if self.state.rooms[name].archived:
            raise ChatdError("E307", f"{name} is archived: it can only be read")

    def refuse_unwritable(self, name: str) -> None:
        """Raise E307 while a room is archived, E313 if it is read-only and the asker does not own it."""
        self.refuse_archived(name)
        room = self.state.rooms[name]
        may = self.who.user in room.owners or self.who.user in self.state.hooks.by_name
        if room.mode == READ_ONLY and not may and not self.allows("room.manage"):
            raise ChatdError("E313", f"only the owners of {name} write in it")

    def refuse_full(self, count: int, limit: int, what: str) -> None:
        """Raise E409 when there are too many of something.

        A share is kept for those who may remove rooms, so that a full server can still be administered.
        """
        if not self.allows("room.remove"):
            limit -= limit // KEPT_SHARE
        if count >= limit:
            raise ChatdError("E409", f"there are {count} {what}, the most there may be", "ask an admin")

    def refuse_words(self, text: str, what: str, room: str = "") -> None:
        """Raise E400 for a text with a forbidden word, which can be neither masked nor held in a ``what``."""
        word = self.rules.filter.judge(text, self.role, room).refusing()
        if word is not None:
            raise ChatdError("E400", f"the {what} contains the forbidden word {word!r}")

    def filter_message(self, text: str, room: str, *, anyway: bool | None = None) -> Filtered:
        """Judge the words of a message; return it as it may be sent. Raises E400.

        ``anyway``: whether the asker knows of the word and wants it sent, which takes the permission
        ``filter.override`` and does not help against rules that name roles; None for texts that have no such
        choice. Such texts are not held but refused, and so are those of direct conversations, which no
        moderator reads.
        """
        filtered = self.rules.filter.judge(text, self.role, room)
        self.filtered, self.held, self.overridden = filtered.found, "", ""
        if not filtered.found:
            return filtered
        may, firm = anyway is not None and self.allows("filter.override"), filtered.firm()
        applied = firm if may and anyway else filtered
        blocked, word = applied.word(FilterAction.BLOCK), applied.stopping()
        if word is None or (blocked is None and anyway is not None and room.startswith("#")):
            self.held = word or ""
            self.overridden = (word is None and filtered.stopping()) or ""
            return filtered
        passes = firm.word(FilterAction.BLOCK) is None and (room.startswith("#") or firm.stopping() is None)
        fix = OVERRIDE_FIX if may and passes else ""
        if not fix and blocked is None and anyway is not None:
            fix = _NOT_HELD_FIX
        raise ChatdError("E400", f"the message contains the forbidden word {word!r}", fix)

    def refuse_reason(self, room: str, reason: str) -> None:
        """Refuse a reason that a room reads as it refuses a message there. Raises E302, E400."""
        self.refuse_muted(room)
        self.refuse_words(reason, "reason", room)

    def readable(self) -> dict[str, int]:
        """Return every room whose events the asker may read now, with the seq after which they begin."""
        user = self.state.users.get(self.who.user)
        if user is None:
            return {EVERYONE: 0}
        begins = {name: self.state.rooms[name].begin(self.who.user) for name in user.rooms}
        return {EVERYONE: 0, own_room(self.who.user): 0, **begins}

    def floors(self) -> dict[str, int]:
        """Return the rooms of which the asker reads only a part, with the seq after which it begins."""
        me = self.who.user
        user, rooms = self.state.users.get(me), self.state.rooms
        return (
            {name: rooms[name].floors[me] for name in user.rooms if me in rooms[name].floors} if user else {}
        )


def decided_elsewhere(leader: str = "") -> ChatdError:
    """Return the refusal of what only the leader of the cluster may decide."""
    where = f"the node {leader}" if leader else "another node"
    return ChatdError("E503", f"{where} leads the cluster, and this one could not ask it", "try again")


def not_everywhere() -> ChatdError:
    """Return the refusal of what some nodes of the cluster could not read."""
    reason = "not all nodes of the cluster run a version of chatd that has this"
    return ChatdError("E506", reason, "update the other nodes; for their versions run: chatd cluster status")


def unknown_user(name: str) -> ChatdError:
    """Return one wording for missing users and for those the asker may not know of."""
    return ChatdError("E405", f"there is no user {name!r}")


def seconds_out(context: Context, user: str, code: str) -> int | None:
    """Return the seconds after which a user whom E207 or E208 keeps out may come back; None if not known."""
    state = context.state
    sanction = {"E207": state.bans, "E208": state.kicks}.get(code, {}).get(user)
    if sanction is None or sanction.until is None:
        return None
    return max(0, -((context.now - sanction.until) // 1000))
