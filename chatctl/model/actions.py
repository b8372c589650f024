"""Carry out the commands of all front ends."""

from __future__ import annotations

from chatctl.model import answers, paging, room_text
from chatctl.model.chat_model import ChatModel
from chatctl.model.grammar import CommandCall
from chatctl.model.message_actions import CANDIDATES, is_number, unknown_message
from chatctl.model.render import safe, snippet
from chatctl.model.surface import Surface
from chatd.console import leaving_text, sanction_text
from chatd.console.format import duration
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.text import is_group

HISTORY_COUNT = 20
# About a screen: more would scroll away unread.
CATCHUP_COUNT = 50
# Conversations named after the last unread message of one.
ELSEWHERE = 5


async def join(surface: Surface, call: CommandCall) -> None:
    await surface.enter(call["room"])


async def part(surface: Surface, call: CommandCall) -> None:
    model = surface.model
    room = call["room"] or model.require_current()
    sure = model.parting.answered(room, model.clock())
    if not sure and (lost := leaving_text.losses(await _leaving_info(surface, room), model.me)):
        model.parting.ask(room, model.clock())
        surface.note(f"you are still in {room_text.place(room)}: {lost}. To leave it, repeat: /part {room}")
        return
    # The event that follows says so and moves on to another room.
    await surface.ask("part", room=room)


async def _leaving_info(surface: Surface, room: str) -> JsonObject:
    if room.startswith("@"):
        return leaving_text.GROUP if is_group(room) else {}
    try:
        return await surface.ask("room_info", room=room)
    except ChatdError:
        return {}  # leaving it says why


async def rooms(surface: Surface, call: CommandCall) -> None:
    surface.show(answers.rooms(await surface.ask_all("rooms", "rooms", "room")))


async def topic(surface: Surface, call: CommandCall) -> None:
    room = surface.model.require_current()
    if call["topic"] is not None:
        await surface.ask("topic", room=room, topic=call["topic"])
    elif known := surface.model.here.topic:
        surface.note(f"{surface.model.title(room)} has the topic: {known}")
    else:
        surface.note("there is no topic")


async def who(surface: Surface, call: CommandCall) -> None:
    model = surface.model
    room = call["room"] or model.require_current()
    since = model.request_members(room)
    members = await surface.ask_all("who", "members", "user", room=room)
    model.set_members(room, members, since)
    surface.show(answers.who(model.title(room), members))


async def whois(surface: Surface, call: CommandCall) -> None:
    surface.show(answers.whois(await surface.ask("whois", user=call["name"])))


async def msg(surface: Surface, call: CommandCall) -> None:
    address = f"@{call['names']}"
    if call["text"] is None:
        await surface.enter(address)
    else:
        surface.say(call["text"], to=surface.model.address(surface.model.resolve(address)))


async def reply(surface: Surface, call: CommandCall) -> None:
    here, to = surface.model.here, call["to"]
    found = here.matching(to, surface.model.times)
    numbered = here.message(int(to)) if is_number(to) and not found else None
    if numbered is None and not found:
        raise unknown_message(surface, to)
    surface.say(call["text"], reply_to=(numbered or found[-1]).seq)


async def me(surface: Surface, call: CommandCall) -> None:
    surface.say(call["text"], kind="action")


async def paste(surface: Surface, call: CommandCall) -> None:
    surface.paste()


async def history(surface: Surface, call: CommandCall) -> None:
    room = surface.model.require_current()
    shown, more = await surface.show_older(call["count"] or HISTORY_COUNT)
    if not more:
        surface.note(f"there is nothing earlier in {surface.model.title(room)}")
    elif shown:
        surface.note(f"{shown} earlier events shown; /history again goes further back")


async def catchup(surface: Surface, call: CommandCall) -> None:
    surface.model.require_current()
    count = call["count"]
    await surface.catch_up(CATCHUP_COUNT if count is None else count)


async def say_anyway(surface: Surface, call: CommandCall) -> None:
    if call["text"] is not None:
        surface.say(call["text"], kind="text!")
        return
    again = surface.model.take_overridable()
    surface.say(again.body, to=again.to, kind=f"{again.kind}!", reply_to=again.reply_to)
    if (room := surface.model.resolve(again.to)) != surface.model.current:
        surface.note(f"sent to {surface.model.title(room)}")


async def show(surface: Surface, call: CommandCall) -> None:
    seq, model = call["number"], surface.model
    room = next((one.name for one in model.conversations.values() if one.message(seq)), "")
    page = await surface.ask("history", room=room or model.require_current(), before=seq + 1, limit=1)
    event = next(iter(paging.typed(page.get("events"))), None)
    if not isinstance(event, ev.Message) or event.seq != seq:
        fix = "give the NUMBER that is shown below a message's beginning"
        raise ChatdError("E410", f"message {seq} is not known here", fix)
    surface.show_whole(event)


async def search(surface: Surface, call: CommandCall) -> None:
    await surface.search(call["query"])


async def focus(surface: Surface, call: CommandCall) -> None:
    surface.focus(None if call["rooms"] == "off" else call["rooms"] or frozenset())


async def away(surface: Surface, call: CommandCall) -> None:
    await surface.ask("away", text=call["text"] or "")
    surface.note("you are away; /away without text ends it" if call["text"] else "you are back")


async def kick(surface: Surface, call: CommandCall) -> None:
    result = await surface.ask("kick", user=call["name"], room=call["room"], reason=call["reason"])
    where = f" from {call['room']}" if call["room"] else ""
    done = answers.sanction(result, f"was removed{where}", lasting=False)
    surface.note(done + leaving_text.ownerless(result))


async def ban(surface: Surface, call: CommandCall) -> None:
    result = await surface.ask("ban", user=call["name"], seconds=call["seconds"], reason=call["reason"])
    surface.note(answers.sanction(result, "is banned", lasting=True))


async def unban(surface: Surface, call: CommandCall) -> None:
    await surface.ask("unban", user=call["name"], reason=call["reason"])
    surface.note(f"{call['name']} may connect again")


async def bans(surface: Surface, call: CommandCall) -> None:
    surface.show(answers.bans(await surface.ask_all("bans", "bans", "user")))


async def mute(surface: Surface, call: CommandCall) -> None:
    seconds = call["seconds"]
    fields = {"room": call["room"], "seconds": seconds, "reason": call["reason"]}
    result = await surface.ask("mute", user=call["name"], **fields)
    how_long = f"for {duration(seconds)}" if seconds else "until /unmute"
    surface.note(f"{call['name']} is muted {_scope(call)} {how_long}{sanction_text.replaced(result)}")


async def mutes(surface: Surface, call: CommandCall) -> None:
    surface.show(answers.mutes(await surface.ask_all("mutes", "mutes", "user")))


async def unmute(surface: Surface, call: CommandCall) -> None:
    await surface.ask("unmute", user=call["name"], room=call["room"], reason=call["reason"])
    surface.note(f"{call['name']} may write again {_scope(call)}")


async def redact(surface: Surface, call: CommandCall) -> None:
    to, room = call["to"], surface.model.require_current()
    if is_number(to):
        await surface.ask("redact", room=room, seq=int(to), reason=call["reason"])
        return
    # Redaction cannot be undone, so a name only lists candidates: the number has to be typed.
    found = surface.model.here.matching(to, surface.model.times)[-CANDIDATES:]
    if not found:
        raise unknown_message(surface, to, ", or a NUMBER as chat history prints it")
    for row in found:
        surface.note(f"/redact {row.seq} deletes {row.user}: {snippet(row.body)}")


async def announce(surface: Surface, call: CommandCall) -> None:
    await surface.ask("announce", body=call["text"])


async def role(surface: Surface, call: CommandCall) -> None:
    if call["role"] is None:
        surface.show(answers.roles(await surface.ask("role_show", user=call["name"])))
        return
    result = await surface.ask("role_set", user=call["name"], role=call["role"], reason=call["reason"])
    done = f"{result.get('user', '')} has the role {result.get('role', '')} now"
    surface.note("; ".join(filter(None, (done, leaving_text.removals(result)))))


async def reconnect(surface: Surface, call: CommandCall) -> None:
    if surface.model.connection == "connected":
        surface.note("you are connected")
    else:
        surface.reconnect()


async def leave(surface: Surface, call: CommandCall) -> None:
    surface.quit()


def caught_up_note(model: ChatModel) -> str:
    """Say that nothing is left to catch up on here, and where something is."""
    others = sorted((one for one in model.listed() if one.unread), key=lambda one: -one.unread)
    elsewhere = ", ".join(f"{model.title(one.name)} ({one.unread})" for one in others[:ELSEWHERE])
    more = f"; unread elsewhere: {elsewhere}" if elsewhere else ""
    return f"nothing more is unread in {model.title(model.current)}{more}"


def focus_note(rooms: frozenset[str]) -> str:
    besides = "".join(f", {safe(room)}" for room in sorted(rooms))
    return f"only the current room{besides} and announcements are shown; /focus off ends it"


def _scope(call: CommandCall) -> str:
    return f"in {call['room']}" if call["room"] else "everywhere"
