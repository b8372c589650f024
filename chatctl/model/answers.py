"""Format the results of requests as styled lines. All functions are pure."""

from __future__ import annotations

from typing import Any

from chatctl.model import room_text
from chatctl.model.hits import wider
from chatctl.model.render import BODY_CHARS, Line, marked, safe, snippet
from chatd.console import sanction_text
from chatd.console.output import moment
from chatd.proto.frames import JsonObject

Entries = list[JsonObject]
_STATES = {"online": 0, "away": 1}


def note(text: str) -> Line:
    """A line of the client's own."""
    return [("class:quiet", f"-- {safe(text)} --")]


def found(count: int, result: JsonObject, query: str = "") -> str:
    """Say how many messages a search has found, what it has not seen, and how ``query`` would find more."""
    return "; ".join(
        filter(None, (f"{count} found", unseen(result), "" if count or unseen(result) else wider(query)))
    )


def unseen(result: JsonObject) -> str:
    """Say that a search is incomplete, and how to narrow it; "" for a complete one."""
    if result.get("partial") is True:
        return "not all messages were searched: narrow the search, or try again later"
    return "there are older ones: narrow the search" if result.get("more") is True else ""


def who(room: str, members: Entries) -> list[Line]:
    """The members of a room: online ones first, then those away."""
    ordered = sorted(members, key=lambda m: (_STATES.get(_text(m, "state"), 2), _text(m, "user")))
    here = sum(m.get("state") == "online" for m in members)
    lines = [note(f"{room}: {_count(len(members), 'member')}, {here} online")]
    for member in ordered:
        text = _text(member, "text")
        state = _text(member, "state") + (f": {text}" if text else "")
        display = _text(member, "display")
        name = marked(_text(member, "user"), _text(member, "role"))
        lines.append(row(name, state + (f"  {display}" if display else "")))
    return lines


def rooms(entries: Entries) -> list[Line]:
    """A list of rooms."""
    lines = [note(_count(len(entries), "room"))]
    for room in entries:
        words = [_count(_number(room, "members"), "member")]
        words += ["you are in it"] if room.get("joined") is True else []
        words += ["you are invited"] if room.get("invited") is True and room.get("joined") is not True else []
        words += [] if room.get("guests") is True else ["no guests"]
        words += _rules(room)
        topic = _text(room, "topic")
        lines.append(row(_text(room, "room"), ", ".join(words) + (f" - {topic}" if topic else "")))
    return lines


def whois(user: JsonObject) -> list[Line]:
    """One user: role, presence, devices and rooms."""
    text = _text(user, "text")
    facts = [
        f"role {_text(user, 'role')}{_pinned(user)}",
        _text(user, "state") + (f": {text}" if text else ""),
        *(["banned"] if user.get("banned") is True else []),
    ]
    devices = ", ".join(_device(device) for device in _entries(user, "devices"))
    shared = ", ".join(_words(user.get("rooms")))
    return [
        note(f"{_named(user)}: {', '.join(facts)}"),
        row("devices", devices or "none"),
        row("rooms", shared or "none"),
        *(row("muted", sanction_text.muted(mute)) for mute in _entries(user, "muted")),
        *_written(user.get("written")),
    ]


def _named(user: JsonObject) -> str:
    """Return a user's name, with the display name in brackets."""
    name, display = _text(user, "user"), _text(user, "display")
    return f"{name} ({display})" if display else name


def reactions(seq: int, result: JsonObject) -> list[Line]:
    """The reactions to a message, and who gave them."""
    entries = _entries(result, "reactions")
    lines = [note(f"message {seq}: {_count(len(entries), 'reaction')}")]
    for one in entries:
        users, count = _words(one.get("users")), _number(one, "count")
        more = f" and {count - len(users)} more" if count > len(users) else ""
        lines.append(row(f"{_text(one, 'text')} ×{count}", ", ".join(users) + more))
    return lines


def mutes(entries: Entries) -> list[Line]:
    """The mutes in force."""
    lines = [note(_count(len(entries), "mute"))]
    return lines + [
        row(_text(mute, "user"), f"{sanction_text.muted(mute)} (by {_text(mute, 'by')})") for mute in entries
    ]


def bans(entries: Entries) -> list[Line]:
    """The bans in force."""
    lines = [note(_count(len(entries), "ban"))]
    for ban in entries:
        reason = _text(ban, "reason")
        words = f"{_until(ban)}, by {_text(ban, 'by')}" + (f": {reason}" if reason else "")
        lines.append(row(_text(ban, "user"), words))
    return lines


def roles(result: JsonObject) -> list[Line]:
    """All roles with their permissions, or one user's role."""
    if "user" in result:
        return [note(f"{_text(result, 'user')} has the role {_text(result, 'role')}{_pinned(result)}")]
    table = result.get("roles")
    rows = table.items() if isinstance(table, dict) else ()
    lines = [row(role, ", ".join(_words(may))) for role, may in rows]
    return [note(f"new users have the role {_text(result, 'default')}"), *lines]


def sanction(result: JsonObject, done: str, *, lasting: bool) -> str:
    """The result of a kick or ban."""
    until = f" {_until(result)}" if lasting else ""
    closed = _count(_number(result, "sessions"), "session")
    return f"{_text(result, 'user')} {done}{until}; {closed} closed{sanction_text.replaced(result)}"


def room_head(result: JsonObject, title: str, unread: int) -> str:
    """A room's title, topic and members, and how much is unread."""
    words = [title + (f": {topic}" if (topic := _text(result, "topic")) else "")]
    if "members" in result:
        words.append(_count(_number(result, "members"), "member"))
    words += _rules(result)
    return " · ".join([*words, *([f"{unread} new"] if unread else [])])


def room_info(result: JsonObject) -> list[Line]:
    """A room: its members, rules, owners and invitations."""
    head = [_text(result, "room"), _count(_number(result, "members"), "member")]
    head += [] if result.get("guests") is True else ["no guests"]
    head += ["archived"] if result.get("archived") is True else []
    lines = [note(", ".join([*head, *(_rules(result) or ["open"])]))]
    lines += [row("topic", topic)] if (topic := _text(result, "topic")) else []
    for name in ("owners", "invitations"):
        lines += [row(name, ", ".join(users))] if (users := _words(result.get(name))) else []
    return lines


def room_rules(result: JsonObject) -> str:
    """What is special about a room; "" for an open one with its whole history."""
    return ", ".join(_rules(result))


def sent_note(changed: JsonObject, body: str, seq: int) -> str:
    """A note of the server on message ``seq``. A held one appears nowhere else: quote it, with its number."""
    rule, text = changed.get("rule"), _text(changed, "text") or _text(changed, "rule")
    if rule == "held":
        return f'held as {seq}: "{snippet(body, BODY_CHARS)}"; {text}; /withdraw {seq} takes it back'
    return text if rule in ("absent", "left", "warned") else f"your message was changed: {text}"


def row(head: str, text: str) -> Line:
    """A line of a listing."""
    return [("class:command", f"  {safe(head).ljust(12)}  "), ("", safe(text))]


def _pinned(user: JsonObject) -> str:
    return " (fixed in the settings)" if user.get("pinned") is True else ""


def _device(device: JsonObject) -> str:
    state = "revoked" if device.get("revoked") is True else "online" if device.get("online") is True else ""
    return _text(device, "device") + (f" ({state})" if state else "")


def _written(bytes_written: Any) -> list[Line]:
    """Say how much a user has written today; the server tells only that user and admins."""
    if not isinstance(bytes_written, dict):
        return []
    limit = _number(bytes_written, "limit")
    most = f" of {limit:,}" if limit else ""
    return [row("written", f"{_number(bytes_written, 'today'):,}{most} bytes today")]


def _rules(room: JsonObject) -> list[str]:
    return room_text.rules(_text(room, "mode") or "open", _text(room, "history"))


def _until(entry: JsonObject) -> str:
    until = entry.get("until")
    return f"until {moment(until)}" if isinstance(until, int) else "until unbanned"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _text(entry: JsonObject, key: str) -> str:
    value: Any = entry.get(key)
    return value if isinstance(value, str) else ""


def _number(entry: JsonObject, key: str) -> int:
    value: Any = entry.get(key)
    return value if isinstance(value, int) else 0


def _words(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _entries(entry: JsonObject, key: str) -> Entries:
    value: Any = entry.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
