"""Format events as styled lines that are safe for any terminal. All functions are pure.

All text from the network passes `visible` here, the last place before the screen. A line is a list of
(style class, text) without line breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from chatctl.client import AnyEvent
from chatctl.model import guest_text, held_text, markup, room_text
from chatctl.model.folding import SNIPPET, Folded, fold_kind
from chatctl.model.times import Times
from chatd.proto import events as ev
from chatd.proto.key_words import words_of_key
from chatd.proto.request_bounds import REACTION_CHARS, REACTIONS_LIMIT
from chatd.proto.text import dm_members, visible

Fragment = tuple[str, str]
Line = list[Fragment]

# Begins the lines about events other than messages; announcements begin with `*** `. No line of a message
# begins with either: after the time it has a room, `<name` or `* name`, and further lines are indented.
EVENT_MARK = "-!- "
# The role of hooks, through which alerts come.
BOT = "bot"
ROLE_MARKS = {"admin": "*", "user": "", "guest": "~", BOT: "[bot]"}
OTHER_ROLE_MARK = "+"
# Behind the text of an edited message.
EDITED_MARK = " (edited)"
# The server's own name as the author of an event; no user can have it.
SERVER = "server"
NAME_STYLES = 6
QUOTE_CHARS = 32
# A text that is shown nowhere else.
BODY_CHARS = 80
UNKNOWN_QUOTE = "an earlier message"
GONE_QUOTE = "a deleted or unreadable message"


class Viewer(NamedTuple):
    """The user and view for which events are formatted.

    Events of ``room`` get no room label; ``dated`` adds the day to each time, ``numbered`` the seq.
    ``folded``: of a snippet only the beginning is shown.
    """

    me: str = ""
    room: str | None = None
    dated: bool = False
    numbered: bool = False
    times: Times = Times.UTC
    folded: bool = False


ISOLATED_NO_LONGER = "this server is up to date again"


class Quote(NamedTuple):
    """The message that an event is about; without a ``user`` it was deleted or cannot be read."""

    user: str
    body: str = ""

    @property
    def text(self) -> str:
        """The quote on one line, safe to show."""
        return f"{safe(self.user)}: {snippet(self.body)}" if self.user else GONE_QUOTE


def render(event: AnyEvent, viewer: Viewer, quote: Quote | None = None) -> list[Line]:
    """The lines of an event; none for an event that is not shown.

    ``quote``: the message that it is about, as in `ChatModel.quote`.
    """
    if isinstance(event, ev.Message):
        return _message(event, viewer, quote)
    if isinstance(event, ev.Edited):
        return _edited(event, viewer, quote)
    if isinstance(event, ev.Announcement):
        head: Line = [
            *_clock(event, viewer),
            ("class:announcement", f"*** {safe(event.author)} announces: "),
        ]
        return _hanging(head, event.body, "class:announcement")
    if isinstance(event, ev.Presence):
        style = "class:event" if event.cause else "class:quiet"
        return [[(style, EVENT_MARK + describe_presence(event, viewer.me))]]
    words = _reacted(event, viewer, quote) if isinstance(event, ev.Reacted) else describe(event, quote)
    if words is None:
        return []
    stamp = _clock(event, viewer) if isinstance(event, ev.Logged) else []
    return [[*stamp, ("class:event", EVENT_MARK + words)]]


def plain(lines: Iterable[Line]) -> str:
    """Lines as text."""
    return "\n".join("".join(text for _, text in line) for line in lines)


def describe(event: AnyEvent, quote: Quote | None = None) -> str | None:
    """A sentence about an event; None for messages, presence and events that are not shown."""
    match event:
        case ev.Joined():
            known = [*([safe(event.role)] if event.role != "user" else []), *_via(event.by, event.user)]
            about = f" ({', '.join(known)})" if known else ""
            return f"{safe(event.user)}{about} joined {room_text.place(event.room)}"
        case ev.Parted():
            return _parted(event)
        case ev.Redacted():
            whose = f" of {safe(event.user)}" if event.user and not event.own else ""
            return f"{safe(event.author)} deleted message {event.target}{whose}{_because(event.reason)}"
        case ev.Expired():
            if not event.count:
                return None  # reactions only
            what, how = (
                ("message", "its age limit and was")
                if event.count == 1
                else ("messages", "their age limit and were")
            )
            return f"{event.count} {what} of {safe(event.room)} reached {how} deleted"
        case ev.Standing():
            return _standing(event)
        case ev.GuestReminded() | ev.MessageRefused() | ev.Attention():
            return _for_me(event, quote)
        case ev.Isolated():
            return safe(event.reason) or ISOLATED_NO_LONGER
        case ev.Slowed():
            return f"too fast: your messages are held back for {event.seconds} s; nothing is lost"
    return _describe_room(event)


def _for_me(event: ev.GuestReminded | ev.MessageRefused | ev.Attention, quote: Quote | None) -> str:
    """A sentence about an event that this user alone receives."""
    if isinstance(event, ev.GuestReminded):
        return guest_text.reminder(event)
    if isinstance(event, ev.Attention):
        return held_text.attention(event)
    return held_text.refused(event, snippet(quote.body, BODY_CHARS) if quote else "")


def _describe_room(event: AnyEvent) -> str | None:
    """A sentence about what was done to a room."""
    match event:
        case ev.RoomCreated():
            closed = "" if event.guests else ", closed to guests"
            closed += "".join(f", {words}" for words in room_text.rules(event.mode, event.history))
            topic = f": {safe(event.topic)}" if event.topic else ""
            return f"{safe(event.author)} created {safe(event.room)}{closed}{topic}"
        case ev.TopicSet():
            verb = "set" if event.topic else "removed"
            return f"{safe(event.author)} {verb} the topic of {safe(event.room)}{_because(event.topic)}"
        case ev.Held():
            says = f"says {safe(event.author)}{_because(event.reason)}"
            return f"the messages of {safe(event.room)} {'are' if event.on else 'are no longer'} held, {says}"
        case ev.Archived():
            archived = "is archived and can only be read" if event.on else "is no longer archived"
            return f"{safe(event.room)} {archived}, says {safe(event.author)}{_because(event.reason)}"
        case ev.RoomModeSet() | ev.OwnerSet() | ev.Invited() | ev.Uninvited():
            return room_text.describe(event)
        case ev.RoomRemoved():
            return f"{safe(event.room)} was removed by {safe(event.author)}{_because(event.reason)}"
    return None


def describe_presence(event: ev.Presence, me: str) -> str:
    """A sentence about a change of presence, for the user ``me``."""
    who = safe(event.user)
    if event.cause == "new device":
        return _new_device(event, mine=event.user == me)
    if event.cause:
        by = safe(ev.author_text(event.by or SERVER, event.by_login))
        return f"{who} was {safe(event.cause)} by {by}{_because(event.reason or '')}"
    if event.state == "away":
        return f"{who} is away{_because(event.text)}"
    return f"{who} is here" if event.state == "online" else f"{who} is offline"


def _new_device(event: ev.Presence, *, mine: bool) -> str:
    by = safe(ev.author_text(event.by or SERVER, event.by_login))
    sponsor = f", guest of {safe(event.sponsor)}" if event.sponsor else ""
    try:
        words = words_of_key(event.key or "")
    except ValueError:
        words = "unknown"
    device = safe(event.device or "")
    if mine:
        told = f"your new device {device} is here, let in by {by}; key: {words}"
        return (
            f"{told}; if that is not you, tell an admin at once: chatctl revoke {safe(event.user)}/{device}"
        )
    return f"{safe(event.user)} is here with the new device {device}, let in by {by}{sponsor}; key: {words}"


def _standing(event: ev.Standing) -> str | None:
    where = f"in {safe(event.room)}" if event.room else "everywhere"
    until = (
        f"until {day_of(event.until)} {clock_of(event.until)}Z" if event.until else "until an admin ends it"
    )
    changes = {
        "role_set": f"gave you the role {safe(event.role)}",
        "muted": f"muted you {where} {until}",
        "invited": f"invited you to {safe(event.room or '')}: /join {safe(event.room or '')}",
        "uninvited": f"ended your invitation to {safe(event.room or '')}",
        "unmuted": f"ended your mute {where}" if event.room else "ended your mute",
    }
    change = changes.get(event.change)
    return (
        f"{safe(ev.author_text(event.by, event.by_login))} {change}{_because(event.reason)}"
        if change
        else None
    )


def _because(reason: str) -> str:
    return f": {safe(reason)}" if reason else ""


def title(room: str, me: str = "") -> str:
    """Return the title of a conversation: "#war", "@bob" with bob, "bob, carol" for a group."""
    members = dm_members(room)
    if members is None or me not in members:
        return safe(room)
    others = [user for user in members if user != me]
    return ", ".join(others) if len(others) > 1 else f"@{(others or members)[0]}"


def mentions(body: str, user: str) -> bool:
    """Whether a text contains a user's name as a whole word."""
    if not user:
        return False
    return re.search(rf"(?<![\w.-]){re.escape(user)}(?![\w-])", body, re.IGNORECASE) is not None


def day_of(at: int) -> str:
    """The UTC day of a time in ms since 1970: "2026-11-23"."""
    return Times.UTC.day(at)


def clock_of(at: int) -> str:
    """The UTC time of day of a time in ms since 1970: "14:02:11"."""
    return Times.UTC.clock(at)[:-1]


def safe(text: str) -> str:
    """Text from the network, on one line and safe to show."""
    return visible(text, newlines=False)


def name_style(user: str, me: str) -> str:
    """The style of a user's name: "me", or "name0" to "name5", the same in every client."""
    return "me" if user == me else f"name{crc32(user.encode('utf-8', 'replace')) % NAME_STYLES}"


def marked(user: str, role: str) -> str:
    """A user name with the mark of the role: "bob*" for an admin."""
    return safe(user) + ROLE_MARKS.get(role, OTHER_ROLE_MARK)


def short_count(number: int) -> str:
    """A count in at most five characters: "999", "1.2k", "28k", "999k+"."""
    if number < 1_000:
        return str(number)
    if number < 10_000:
        return f"{number // 100 / 10:g}k"
    return f"{number // 1_000}k" if number < 1_000_000 else "999k+"


def safe_reactions(reactions: Iterable[ev.Reaction]) -> tuple[ev.Reaction, ...]:
    """Reactions from the network, safe to show; no more than a server may send."""
    found = [one.model_copy(update={"text": safe(one.text)[:REACTION_CHARS]}) for one in reactions]
    return tuple(found[:REACTIONS_LIMIT])


def reactions_text(reactions: Iterable[ev.Reaction]) -> str:
    """The reactions below a message: "+1 ×3  thanks ×1"."""
    return "  ".join(f"{one.text} ×{short_count(one.count)}" for one in reactions)


def snippet(body: str, limit: int = QUOTE_CHARS) -> str:
    """The beginning of a body, on one line and safe to show."""
    text = " ".join(visible(body[: 4 * limit]).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _message(event: ev.Message, viewer: Viewer, quote: Quote | None) -> list[Line]:
    head = [*_clock(event, viewer), *_label(event.room, viewer)]
    who = (f"class:{name_style(event.user, viewer.me)}", marked(event.user, event.role))
    if event.kind == "action":
        head += [("", "* "), who, ("", " ")]
    else:
        head += [("class:quiet", "<"), who, ("class:quiet", "> ")]
    if event.reply_to is not None:
        head.append(("class:quote", _reply_mark(quote)))
    mentioned = event.user != viewer.me and mentions(event.body, viewer.me)
    lines = _text(head, event, event.seq, "class:mention" if mentioned else "", viewer)
    if event.edited:
        lines[-1].append(("class:quiet", EDITED_MARK))
    if event.reactions:
        lines.append([("class:quiet", f"    {reactions_text(safe_reactions(event.reactions))}")])
    return lines


def _edited(event: ev.Edited, viewer: Viewer, quote: Quote | None) -> list[Line]:
    """The new text after the beginning of the former one; after its number if that is not known."""
    former = f'"{snippet(quote.body)}"' if quote and quote.user else f"message {event.target}"
    about = f"{EVENT_MARK}{safe(event.user)} edited {former}: "
    head = [*_clock(event, viewer), *_label(event.room, viewer), ("class:event", about)]
    return _text(head, event, event.target, "", viewer)


def _reacted(event: ev.Reacted, viewer: Viewer, quote: Quote | None) -> str:
    """A sentence with the beginning of the message; its number, and how to see it, if that is not known."""
    known = quote is not None and quote.user
    about = f'{safe(quote.user)}: "{snippet(quote.body)}"' if quote and known else f"message {event.target}"
    verb = "reacted" if event.on else "took back"
    counted = f" ({short_count(event.count)} now)" if event.count else ""
    see = f" \u00b7 /show {event.target}" if viewer.folded and quote is None else ""
    return f"{safe(event.user)} {verb} {safe(event.text)} to {about}{counted}{see}"


def _text(head: Line, event: ev.Message | ev.Edited, seq: int, style: str, viewer: Viewer) -> list[Line]:
    """The text of message ``seq`` after the head."""
    body = visible(event.body)
    text, more = fold_kind(body, event.kind) if viewer.folded else Folded(body)
    lines = _hanging(head, text, style, marked_up=event.kind != SNIPPET)
    if more:
        lines.append([("class:quiet", f"    \u2026 {more} \u00b7 /show {seq}")])
    return lines


def _reply_mark(quote: Quote | None) -> str:
    if quote is None:
        return f"(re {UNKNOWN_QUOTE}) "
    if not quote.user:
        return f"(re {GONE_QUOTE}) "
    return f'(re {safe(quote.user)}: "{snippet(quote.body)}") '


def _parted(event: ev.Parted) -> str:
    if event.by == event.user:
        return f"{safe(event.user)} left {room_text.place(event.room)}{_because(event.reason)}"
    by = safe(event.author)
    return (
        f"{safe(event.user)} was removed from {room_text.place(event.room)} by {by}{_because(event.reason)}"
    )


def _via(by: str, user: str) -> list[str]:
    return [] if by in (user, SERVER) else [f"via {safe(by)}"]


def _hanging(head: Line, body: str, style: str, *, marked_up: bool = True) -> list[Line]:
    """The body after the head. Further lines are indented, so that none looks like another message."""
    body, lines = visible(body), [[*head]]
    for span in markup.spans(body) if marked_up else [markup.Span(body)]:
        looks = " ".join(filter(None, (style, *(f"class:{look}" for look in span.looks))))
        first, *others = span.text.split("\n")
        lines[-1].append((looks, first))
        lines += ([("", "    "), (looks, text)] for text in others)
    return lines


def _clock(event: ev.Logged, viewer: Viewer) -> Line:
    time = viewer.times.when(event.at) if viewer.dated else viewer.times.clock(event.at)
    seq = f" {event.seq}" if viewer.numbered else ""
    return [("class:time", f"[{time}{seq}] ")]


def _label(room: str, viewer: Viewer) -> Line:
    if not room or room == viewer.room:
        return []
    return [("class:room", f"{title(room, viewer.me)} ")]
