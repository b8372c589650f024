"""The settings that decisions depend on, prepared for use."""

from __future__ import annotations

from dataclasses import dataclass

from chatd.config.schema import Settings
from chatd.config.sections import FilterSection
from chatd.hub.state.model import Room, State
from chatd.hub.state.names import SortedNames
from chatd.policy.filter import WordFilter
from chatd.policy.filter_rules import FilterAction, FilterRule, FilterRules
from chatd.policy.roles import BOT, Roles
from chatd.proto.frames import MAP_LIMIT


@dataclass(frozen=True, slots=True)
class RoomRule:
    """A room in the settings."""

    topic: str
    guests: bool
    autojoin: bool
    mode: str


def filter_rules(section: FilterSection) -> FilterRules:
    """Prepare the word filter: `filter.words`, which are blocked, then `filter.rules` in their order."""
    mode, exempt = section.mode, frozenset(section.exempt_roles)
    rules = [FilterRule(WordFilter(section.words, mode), FilterAction.BLOCK, exempt=exempt)]
    rules += [
        FilterRule(
            WordFilter(rule.words, mode),
            FilterAction(rule.action),
            frozenset(rule.roles),
            frozenset(rule.rooms),
            exempt,
        )
        for rule in section.rules
    ]
    return FilterRules(rules)


@dataclass(frozen=True, slots=True)
class Rules:
    """Built from the settings at start and at every reload, and replaced as a whole."""

    settings: Settings
    roles: Roles
    filter: FilterRules
    rooms: dict[str, RoomRule]
    # Rooms that the settings open to guests.
    open_rooms: SortedNames
    # Users with a pinned role and that role, as many as fit a frame's map.
    pinned_roles: dict[str, str]

    @classmethod
    def from_settings(cls, settings: Settings) -> Rules:
        """Raises ChatdError E600 for unknown permissions or roles."""
        pinned = sorted(settings.roles.assigned.items())
        return cls(
            settings=settings,
            roles=Roles(settings.roles.permissions),
            filter=filter_rules(settings.filter),
            rooms={r.name: RoomRule(r.topic, r.guests, r.autojoin, r.mode) for r in settings.rooms},
            open_rooms=SortedNames(room.name for room in settings.rooms if room.guests),
            pinned_roles=dict(pinned[:MAP_LIMIT]),
        )

    def role_of(self, state: State, user: str) -> str:
        """Return a user's role: pinned in the settings, else given by an admin, else the default."""
        pinned = self.settings.roles.assigned.get(user)
        if pinned is not None:
            return pinned
        known = state.users.get(user)
        if known is not None and known.bot:
            return BOT
        given = known.role if known else None
        # A role that a reload removed from the settings falls back to the default.
        return given if given in self.roles.names else self.settings.roles.default

    def future_role(self, user: str, role: str | None) -> str:
        """Return the role of a user who is registered with ``role``."""
        return self.settings.roles.assigned.get(user) or role or self.settings.roles.default

    def pinned(self, user: str) -> bool:
        """Whether the settings fix this user's role."""
        return user in self.settings.roles.assigned

    def admits_guests(self, name: str, room: Room) -> bool:
        """Whether roles without ``room.closed`` may enter. The settings win over the room's own flag."""
        rule = self.rooms.get(name)
        return rule.guests if rule else room.guests

    def may_enter(self, state: State, user: str, name: str) -> bool:
        """Whether the user's role may be in this room at all."""
        return self.admits_role(state, self.role_of(state, user), name)

    def admits_role(self, state: State, role: str, name: str) -> bool:
        """Whether users with this role may be in this room at all."""
        if name.startswith("@"):
            return self.roles.allows(role, "dm.send")
        return self.roles.allows(role, "room.closed") or self.admits_guests(name, state.rooms[name])
