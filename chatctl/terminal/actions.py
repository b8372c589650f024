"""What the commands of the line client do. The table of the commands is in `grammar`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chatctl.model import answers
from chatctl.model.grammar import CommandCall
from chatctl.model.render import name, snippet, title
from chatctl.terminal.talk import Talk, typed
from chatd.console.format import duration
from chatd.errors import ChatdError

HISTORY_PAGE = 20
SEARCH_PAGE = 20
# Messages that /redact NAME offers, the last ones.
REDACT_CHOICES = 5
LONGEST_SEQ = 16
# After these, what is typed next is meant for another room: they are waited for.
SWITCHING = frozenset({"join", "create", "part", "msg"})


async def carry_out(talk: Talk, call: CommandCall) -> None:
    """Do what a command asks. Raises the refusal as ChatdError."""
    await HANDLERS[call.command.name](talk, call)


async def _help(talk: Talk, call: CommandCall) -> None:
    welcome = talk.client.welcome
    talk.show(answers.help_lines(welcome.permissions if welcome else (), call["command"]))


async def _join(talk: Talk, call: CommandCall) -> None:
    await talk.enter(call["room"])


async def _create(talk: Talk, call: CommandCall) -> None:
    await talk.enter(call["room"], create={"topic": call["topic"], "guests": call["guests"]})


async def _part(talk: Talk, call: CommandCall) -> None:
    # The event that follows tells it and moves on to another room.
    await talk.ask("part", room=call["room"] or _here(talk))


async def _rooms(talk: Talk, call: CommandCall) -> None:
    talk.show(answers.rooms(await talk.ask_all("rooms", "rooms", "room")))


async def _topic(talk: Talk, call: CommandCall) -> None:
    room = _here(talk)
    if call["topic"] is not None:
        await talk.ask("topic", room=room, topic=call["topic"])
        return
    entries = await talk.ask_all("rooms", "rooms", "room")
    topic = next((entry.get("topic") for entry in entries if entry.get("room") == room), "")
    talk.note(f"{title(room, talk.rooms.me)} has the topic: {topic}" if topic else "there is no topic")


async def _who(talk: Talk, call: CommandCall) -> None:
    room = call["room"] or _here(talk)
    members = await talk.ask_all("who", "members", "user", room=room)
    for member in members:
        talk.rooms[room].add_name(str(member.get("user", "")))
    talk.show(answers.who(title(room, talk.rooms.me), members))


async def _whois(talk: Talk, call: CommandCall) -> None:
    talk.show(answers.whois(await talk.ask("whois", user=call["name"])))


async def _msg(talk: Talk, call: CommandCall) -> None:
    if call["text"] is not None:
        talk.say(call["text"], to=f"@{call['name']}")
        return
    await talk.ask("whois", user=call["name"])  # nobody is switched to a user that is not there
    await talk.enter(talk.rooms.direct(call["name"]))


async def _reply(talk: Talk, call: CommandCall) -> None:
    answered = talk.rooms.here.answered(call["to"])
    if answered is None:
        raise ChatdError(
            "E410", f"no message of {call['to']!r} is known here", "give a NAME, or a TIME as it is shown"
        )
    talk.say(call["text"], reply_to=answered.seq)


async def _me(talk: Talk, call: CommandCall) -> None:
    talk.say(call["text"], kind="action")


async def _paste(talk: Talk, call: CommandCall) -> None:
    talk.screen.paste()


async def _history(talk: Talk, call: CommandCall) -> None:
    room = _here(talk)
    before = talk.rooms.here.oldest or None
    result = await talk.ask("history", room=room, before=before, limit=call["count"] or HISTORY_PAGE)
    events = typed(result)
    for event in events:
        talk.rooms[room].shown(event.seq)
        talk.show_event(event, dated=True)  # type: ignore[arg-type]  # Logged is abstract; all others fit
    if not result.get("more"):
        talk.note(f"there is nothing earlier in {title(room, talk.rooms.me)}")
    if events:
        talk.note(f"{len(events)} earlier; /history again goes further back")


async def _search(talk: Talk, call: CommandCall) -> None:
    result = await talk.ask("search", query=call["query"], limit=SEARCH_PAGE)
    events = sorted(typed(result), key=lambda event: event.seq)
    for event in events:
        talk.show_event(event, dated=True, here=False)  # type: ignore[arg-type]  # as above
    more = "; there are older ones, narrow the search" if result.get("more") else ""
    talk.note(f"{len(events)} found{more}" if events else "nothing was found")


async def _focus(talk: Talk, call: CommandCall) -> None:
    if call["rooms"] == "off":
        talk.rooms.focus = None
        talk.note("calls from all rooms are shown again")
        return
    talk.rooms.focus = call["rooms"] or frozenset()
    besides = "".join(f", {name(room)}" for room in sorted(talk.rooms.focus))
    talk.note(f"only the current room{besides} and announcements are shown; /focus off ends it")


async def _away(talk: Talk, call: CommandCall) -> None:
    await talk.ask("away", text=call["text"] or "")
    talk.note("you are away; /away without text ends it" if call["text"] else "you are back")


async def _kick(talk: Talk, call: CommandCall) -> None:
    result = await talk.ask("kick", user=call["name"], room=call["room"], reason=call["reason"])
    where = f" of {call['room']}" if call["room"] else ""
    talk.show([answers.sanction(result, f"was put out{where}", lasting=False)])


async def _ban(talk: Talk, call: CommandCall) -> None:
    result = await talk.ask("ban", user=call["name"], seconds=call["seconds"], reason=call["reason"])
    talk.show([answers.sanction(result, "is banned", lasting=True)])


async def _unban(talk: Talk, call: CommandCall) -> None:
    await talk.ask("unban", user=call["name"])
    talk.note(f"{call['name']} may connect again")


async def _bans(talk: Talk, call: CommandCall) -> None:
    talk.show(answers.bans(await talk.ask_all("bans", "bans", "user")))


async def _mute(talk: Talk, call: CommandCall) -> None:
    fields = {"user": call["name"], "room": call["room"], "seconds": call["seconds"]}
    await talk.ask("mute", **fields, reason=call["reason"])
    how_long = f"for {duration(call['seconds'])}" if call["seconds"] else "until /unmute"
    talk.note(f"{call['name']} is muted {_scope(call)} {how_long}")


async def _unmute(talk: Talk, call: CommandCall) -> None:
    await talk.ask("unmute", user=call["name"], room=call["room"])
    talk.note(f"{call['name']} may write again {_scope(call)}")


async def _redact(talk: Talk, call: CommandCall) -> None:
    to, room = call["to"], _here(talk)
    if to.isascii() and to.isdigit() and len(to) <= LONGEST_SEQ:
        await talk.ask("redact", room=room, seq=int(to), reason=call["reason"])
        return
    # Erased for good: what was meant is shown before, and its number has to be typed.
    found = talk.rooms.here.matching(to)[-REDACT_CHOICES:]
    if not found:
        raise ChatdError(
            "E410", f"no message of {to!r} is known here", "give a NAME, a TIME as it is shown, or a NUMBER"
        )
    for message in found:
        talk.note(f"/redact {message.seq} erases {message.user}: {snippet(message.body)}")


async def _announce(talk: Talk, call: CommandCall) -> None:
    await talk.ask("announce", body=call["text"])


async def _role(talk: Talk, call: CommandCall) -> None:
    if call["role"] is None:
        talk.show(answers.roles(await talk.ask("role_show", user=call["name"])))
        return
    result = await talk.ask("role_set", user=call["name"], role=call["role"])
    talk.note(f"{result.get('user', '')} has the role {result.get('role', '')} now")


async def _quit(talk: Talk, call: CommandCall) -> None:
    talk.screen.close()


def _here(talk: Talk) -> str:
    if not talk.rooms.current:
        raise ChatdError("E301", "you are in no room", "see /rooms, then /join one")
    return talk.rooms.current


def _scope(call: CommandCall) -> str:
    return f"in {call['room']}" if call["room"] else "everywhere"


HANDLERS: dict[str, Callable[[Talk, CommandCall], Awaitable[None]]] = {
    "help": _help,
    "join": _join,
    "part": _part,
    "rooms": _rooms,
    "create": _create,
    "topic": _topic,
    "who": _who,
    "whois": _whois,
    "msg": _msg,
    "reply": _reply,
    "me": _me,
    "paste": _paste,
    "history": _history,
    "search": _search,
    "focus": _focus,
    "away": _away,
    "kick": _kick,
    "ban": _ban,
    "unban": _unban,
    "bans": _bans,
    "mute": _mute,
    "unmute": _unmute,
    "redact": _redact,
    "announce": _announce,
    "role": _role,
    "quit": _quit,
}
