"""One request's turn: what a decision may look at, and the only way to make something happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from chatd.errors import ChatdError
from chatd.hub.state.model import EVERYONE, Room, Sanction, State, User
from chatd.hub.state.rules import Rules
from chatd.proto.durations import UNITS
from chatd.proto.frames import JsonObject

# Stands for the box itself: settings, start-up, `chatd user add`. A reserved name no user can have.
SERVER = "server"


class Principal(NamedTuple):
    """Who asks, as authenticated. ``operator`` is set for the box's own socket only."""

    user: str
    device: str
    operator: bool = False

    @property
    def device_id(self) -> str:
        """ "user/device", the form used in the log."""
        return f"{self.user}/{self.device}"


OPERATOR = Principal(SERVER, "box", operator=True)


class PresenceView(Protocol):
    """What is known of live sessions; not part of the log, hence passed in."""

    def state_of(self, user: str) -> tuple[str, str]:
        """ "online", "offline" or "away", and the away text."""

    def sessions_of(self, user: str, device: str | None = None) -> tuple[int, int]:
        """How many live sessions, on how many workers."""

    def set_away(self, user: str, text: str) -> None:
        """Remember that a user is away (an empty text: is back)."""


class Cut(NamedTuple):
    """Sessions that must end now: all of ``user``'s, or those of one ``device``.

    ``told``: what is added to the notice that the user is offline, see `Presence` in chatd.proto.events;
    with it there is one even if no session ends.
    """

    user: str
    device: str | None
    error: ChatdError
    told: JsonObject | None = None


@dataclass(slots=True)
class Context:
    """The context of one decision. ``now`` is ms since 1970; ``events`` are what it made happen."""

    state: State
    rules: Rules
    who: Principal
    now: int
    presence: PresenceView
    # False while the log's disk is full: nothing can happen then.
    writable: bool = True
    events: list[JsonObject] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    # What the log has at the sequence number a request names: (kind, room); None if nothing.
    target: tuple[str, str | None] | None = None
    # Messages whose bodies go, and the sequence number of the event that says so.
    redacted: dict[int, int] = field(default_factory=dict)

    def emit(self, kind: str, /, **fields: Any) -> JsonObject:
        """Make something happen: number it, apply it, and hand it to the log. Raises E504."""
        if not self.writable:
            # Here, so that no way to change something can be forgotten; nothing has been changed yet.
            raise ChatdError("E504", "the server's disk is full, so that nothing can be written")
        event = {"type": kind, "seq": self.state.head + 1, "at": self.now, **fields}
        self.state.apply(event)
        self.events.append(event)
        return event

    @property
    def role(self) -> str:
        """The role of the one who asks, as it is now."""
        return self.rules.role_of(self.state, self.who.user)

    def allows(self, permission: str, user: str | None = None) -> bool:
        """Whether the asker (or ``user``) has a permission."""
        if user is None and self.who.operator:
            return True
        role = self.role if user is None else self.rules.role_of(self.state, user)
        return self.rules.roles.allows(role, permission)

    def user(self, name: str) -> User:
        """A known user, or E405."""
        user = self.state.users.get(name)
        if user is None:
            raise unknown_user(name)
        return user

    def acquaintance(self, name: str) -> User:
        """A user that the asker may know of, or E405 (the same whether hidden or not there).

        Those are the asker, who shares a room, and everybody for those who list users.
        """
        user, mine = self.user(name), self.state.users.get(self.who.user)
        meets = mine is not None and (mine is user or not mine.rooms.isdisjoint(user.rooms))
        if not meets and not self.allows("user.list"):
            raise unknown_user(name)
        return user

    def room(self, name: str) -> Room:
        """A room that the asker may know of, or E404 (the same whether it is closed or not there)."""
        room = self.state.rooms.get(name)
        hidden = room is not None and not self._may_know(name, room)
        if room is None or hidden:
            raise ChatdError("E404", f"there is no room {name!r}")
        return room

    def _may_know(self, name: str, room: Room) -> bool:
        if self.who.user in room.members:
            return True
        if name.startswith("@"):
            return False
        return self.who.operator or self.rules.may_enter(self.state, self.who.user, name)

    def member(self, name: str) -> Room:
        """A room that the asker is in, or E404 / E301."""
        room = self.room(name)
        if self.who.user not in room.members:
            raise ChatdError("E301", f"you are not in {name}", f"join it first: /join {name}")
        return room

    def refuse_muted(self, room: str = "") -> None:
        """E302 for an asker who is muted everywhere or in this room."""
        for scope in ("", room):
            sanction = self.state.mutes.get((self.who.user, scope))
            if sanction is not None and sanction.holds(self.now):
                where = f" in {scope}" if scope else ""
                reason = f": {sanction.reason}" if sanction.reason else ""
                raise ChatdError("E302", f"you are muted{where} {until_text(sanction, self.now)}{reason}")

    def refuse_words(self, text: str, what: str) -> None:
        """E400 for a text with a forbidden word, unless the asker's role is exempt."""
        word = self.rules.words.find(text)
        if word is not None and self.role not in self.rules.settings.filter.exempt_roles:
            raise ChatdError("E400", f"the {what} contains the forbidden word {word!r}")

    def readable(self) -> list[str]:
        """Every room whose events the asker may read now."""
        user = self.state.users.get(self.who.user)
        return [EVERYONE, *sorted(user.rooms)] if user else [EVERYONE]


def unknown_user(name: str) -> ChatdError:
    """One wording for users that do not exist and for those the asker may not know of."""
    return ChatdError("E405", f"there is no user {name!r}")


def until_text(sanction: Sanction, now: int) -> str:
    """How much longer, for people: "for 2h", later "for another 1h 12m"."""
    if sanction.until is None:
        return "until an admin ends it"
    left = max(1, -((now - sanction.until) // 1000))
    parts: list[str] = []
    for unit, size in UNITS.items():
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size}{unit}")
            left %= size
    return ("for " if now <= sanction.at else "for another ") + " ".join(parts)


def sanction_text(user: str, word: str, sanction: Sanction, now: int) -> str:
    """ "bob is banned for 2h: spam"."""
    reason = f": {sanction.reason}" if sanction.reason else ""
    return f"{user} is {word} {until_text(sanction, now)}{reason}"
