"""What each logged event changes in the state. The rows of `chatd.hub.state.model.KINDS` name these."""

from __future__ import annotations

from collections.abc import Iterable

from chatd.hub.state.entities import DAY_MS, SINCE_JOIN, Device, Room, Sanction, User
from chatd.hub.state.names import SortedNames
from chatd.hub.state.state_tables import StateTables
from chatd.proto.frames import JsonObject
from chatd.proto.text import dm_members, is_group

# Mutes of a server; ended ones make room for others. Limits of users and rooms bound only their product.
MUTES_LIMIT = 10_000


def nothing(state: StateTables, event: JsonObject) -> None:
    """Messages, what is done to them, and announcements do not change the state."""


def message_held(state: StateTables, event: JsonObject) -> None:
    state.held.add(event)


def message_decided(state: StateTables, event: JsonObject) -> None:
    state.held.remove(event)


def user_added(state: StateTables, event: JsonObject) -> None:
    state.users[event["user"]] = User(role=event["role"])
    state.user_names.add(event["user"])


def device_added(state: StateTables, event: JsonObject) -> None:
    # A certificate that is made on the box is registered at once.
    issued = event["issued"] if "issued" in event else event["at"]
    user = state.users[event["user"]]
    user.removed, user.why = False, ""
    user.devices[event["device"]] = Device(
        event["serial"], ends=event.get("ends"), issued=issued, by=event["by"], key=event.get("key", "")
    )


def device_renewed(state: StateTables, event: JsonObject) -> None:
    device = state.users[event["user"]].devices[event["device"]]
    device.serial, device.previous = event["serial"], event["replaces"]
    device.issued, device.ends = event["issued"], event["ends"]
    device.key = event["key"]


def device_seen(state: StateTables, event: JsonObject) -> None:
    state.users[event["user"]].devices[event["device"]].seen = True


def device_revoked(state: StateTables, event: JsonObject) -> None:
    state.users[event["user"]].devices[event["device"]].revoke(event["reason"])
    # Whoever had the device may have made invites with it.
    state.invites.withdraw(event["user"], event["at"])


def user_removed(state: StateTables, event: JsonObject) -> None:
    name, now = event["user"], event["at"]
    user = state.users[name]
    user.removed, user.why = True, event["reason"]
    for device in user.devices.values():
        device.revoke(event["reason"])
    for room in list(user.invites):
        _withdraw_invites(state, room, {name})
    state.invites.withdraw(name, now)
    state.invites.withdraw_for(name, now)
    state.guests.forget(name)
    state.hooks.forget(name)


def display_named(state: StateTables, event: JsonObject) -> None:
    state.users[event["user"]].display = event["display"]


def role_set(state: StateTables, event: JsonObject) -> None:
    state.users[event["user"]].role = event["role"]


def room_created(state: StateTables, event: JsonObject) -> None:
    name = event["room"]
    room = Room(event["topic"], event["guests"], born=event["seq"])
    creator = state.users.get(event["by"])
    # Rooms created before 0.1.0 are open and have no owner.
    if "mode" in event:
        room.mode, room.history = event["mode"], event["history"]
        room.owners = {event["by"]} if creator is not None else set()
    state.rooms[name] = room
    state.listed[False, room.door].add(name)
    state.empty[name] = event["at"]
    _count_creation(creator, event)


def _count_creation(creator: User | None, event: JsonObject) -> None:
    if creator is not None:
        creator.created = creator.created_on(event["at"]) + 1
        creator.created_day = event["at"] // DAY_MS


def dm_opened(state: StateTables, event: JsonObject) -> None:
    members = SortedNames(dm_members(event["room"]) or ())
    room = state.rooms[event["room"]] = Room(members=members, born=event["seq"])
    for name in members:
        state.users[name].rooms.add(event["room"])
    if is_group(event["room"]):
        # Whoever comes back to a group reads nothing of what was written meanwhile.
        room.history = SINCE_JOIN
        _count_creation(state.users.get(event["by"]), event)


def joined(state: StateTables, event: JsonObject) -> None:
    name, user, room = event["room"], state.users[event["user"]], state.rooms[event["room"]]
    user.rooms.add(name)
    user.left.discard(name)
    room.enter(event["user"], event["seq"])
    _withdraw_invites(state, name, {event["user"]})
    state.empty.pop(name, None)


def parted(state: StateTables, event: JsonObject) -> None:
    name, user, room = event["room"], state.users[event["user"]], state.rooms[event["room"]]
    user.rooms.discard(name)
    user.markers.pop(name, None)
    # Logs begun before 0.1.0 do not say it.
    if event.get("remember", True):
        user.left.add(name)
    room.leave(event["user"])
    if not room.members:
        state.empty[name] = event["at"]
        _withdraw_invites(state, name, room.invited)


def invited(state: StateTables, event: JsonObject) -> None:
    name, user, now = event["room"], event["user"], event["at"]
    invites, room = state.users[user].invites, state.rooms[name]
    for ended in [one for one, until in invites.items() if until <= now]:
        _withdraw_invites(state, ended, {user})
    _withdraw_invites(state, name, {one for one in room.invited if state.users[one].invites[name] <= now})
    invites[name] = event["until"]
    room.invited.add(user)


def uninvited(state: StateTables, event: JsonObject) -> None:
    _withdraw_invites(state, event["room"], {event["user"]})


def _withdraw_invites(state: StateTables, name: str, users: Iterable[str]) -> None:
    for user in list(users):
        state.users[user].invites.pop(name, None)
        state.rooms[name].invited.discard(user)


def owner_set(state: StateTables, event: JsonObject) -> None:
    owners = state.rooms[event["room"]].owners
    if event["on"]:
        owners.add(event["user"])
    else:
        owners.discard(event["user"])


def room_mode(state: StateTables, event: JsonObject) -> None:
    name, room = event["room"], state.rooms[event["room"]]
    state.listed[room.archived, room.door].discard(name)
    room.set_mode(event["mode"], event["seq"])
    state.listed[room.archived, room.door].add(name)


def archived(state: StateTables, event: JsonObject) -> None:
    name, room = event["room"], state.rooms[event["room"]]
    state.listed[room.archived, room.door].discard(name)
    room.archived = event["on"]
    state.listed[room.archived, room.door].add(name)


def room_removed(state: StateTables, event: JsonObject) -> None:
    name = event["room"]
    room = state.rooms[name]
    _withdraw_invites(state, name, room.invited)
    state.removing[name] = state.rooms.pop(name)
    room.ended = event["seq"]
    state.listed[room.archived, room.door].discard(name)
    state.empty.pop(name, None)
    for member in room.members:
        state.users[member].rooms.discard(name)
        state.users[member].markers.pop(name, None)
    for hook in state.hooks.of_room(name):
        state.hooks.forget(hook)
        state.users[hook].removed = True


def room_freed(state: StateTables, event: JsonObject) -> None:
    name = event["room"]
    del state.removing[name]
    for key in [key for key in state.mutes if key[1] == name]:
        del state.mutes[key]


def topic(state: StateTables, event: JsonObject) -> None:
    state.rooms[event["room"]].topic = event["topic"]


def expired(state: StateTables, event: JsonObject) -> None:
    name = event["room"]
    (state.rooms.get(name) or state.removing[name]).expired = event["upto"]


def held(state: StateTables, event: JsonObject) -> None:
    state.rooms[event["room"]].held = event["on"]


def _sanction(event: JsonObject) -> Sanction:
    return Sanction(event["until"], event["reason"], event["by"], event["at"])


def banned(state: StateTables, event: JsonObject) -> None:
    state.bans[event["user"]] = _sanction(event)
    state.banned.put(event["user"], event["until"])


def unbanned(state: StateTables, event: JsonObject) -> None:
    state.bans.pop(event["user"], None)
    state.kicks.pop(event["user"], None)
    state.banned.discard(event["user"])


def kicked(state: StateTables, event: JsonObject) -> None:
    state.kicks[event["user"]] = _sanction(event)


def muted(state: StateTables, event: JsonObject) -> None:
    if len(state.mutes) >= MUTES_LIMIT:
        for key in [key for key, mute in state.mutes.items() if not mute.holds(event["at"])]:
            del state.mutes[key]
    state.mutes[event["user"], event["room"] or ""] = _sanction(event)


def unmuted(state: StateTables, event: JsonObject) -> None:
    state.mutes.pop((event["user"], event["room"] or ""), None)


def read(state: StateTables, event: JsonObject) -> None:
    state.users[event["user"]].markers[event["room"]] = event["upto"]


def invite_created(state: StateTables, event: JsonObject) -> None:
    state.invites.created(event)


def invite_cancelled(state: StateTables, event: JsonObject) -> None:
    state.invites.cancelled(event)


def invite_redeemed(state: StateTables, event: JsonObject) -> None:
    state.invites.redeemed(event)


def guest_set(state: StateTables, event: JsonObject) -> None:
    state.guests.set(event)


def guest_reminded(state: StateTables, event: JsonObject) -> None:
    state.guests.reminded(event)


def guest_ended(state: StateTables, event: JsonObject) -> None:
    state.guests.ended(event, state.users[event["user"]])


def hook_created(state: StateTables, event: JsonObject) -> None:
    user = state.users.setdefault(event["user"], User(bot=True))
    user.removed = False
    state.user_names.add(event["user"])
    state.hooks.created(event)


def hook_rotated(state: StateTables, event: JsonObject) -> None:
    state.hooks.rotated(event)


def hook_removed(state: StateTables, event: JsonObject) -> None:
    state.hooks.forget(event["user"])
    state.users[event["user"]].removed = True


def settings_changed(state: StateTables, event: JsonObject) -> None:
    for change in event["changes"]:
        if change["after"] is None:
            state.settings.pop(change["setting"], None)
        else:
            state.settings[change["setting"]] = change["after"]
