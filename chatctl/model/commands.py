"""The commands of the chat: one table for all front ends, and how a typed line is read by it.

A line that begins with "/" is a command, "//" begins a message with a slash, everything else is a message.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from chatctl.model import actions, answers, message_actions, room_actions
from chatctl.model.grammar import (
    COUNT,
    COUNT_OR_SKIP,
    DURATION,
    FOCUS,
    GROUP,
    MARKED_ROOM,
    MODE,
    OPTIONS,
    REMOVE,
    ROLE,
    ROOM,
    ROOM_OPTIONS,
    SEQ,
    TEXT,
    USER,
    USERS,
    WORD,
    Arg,
    ChatCommand,
    CommandCall,
    Mistake,
    Say,
    first_word,
)
from chatctl.model.render import Line
from chatctl.model.surface import Surface
from chatctl.model.verifying import verify
from chatd.proto.text import visible

# Where the explanations begin in /help; only the longest usage lines reach beyond it.
HELP_COLUMN = 24


async def _help(surface: Surface, call: CommandCall) -> None:
    surface.show(help_lines(surface.model.permissions, call["command"]))
    if call["command"] is None:
        for hint in surface.help_hints:
            surface.note(hint)


_NAME = Arg("name", USER)
_REASON = Arg("reason", TEXT, optional=True)
_FOR = Arg("seconds", DURATION, optional=True)
_ROOM = Arg("room", ROOM)
_ANY_ROOM = Arg("room", ROOM, optional=True)
_ONLY_IN = Arg("room", MARKED_ROOM, optional=True)
_TOPIC = Arg("topic", TEXT, optional=True)
_TEXT = Arg("text", TEXT)
_ANY_TEXT = Arg("text", TEXT, optional=True)
_TO = Arg("to", WORD)

TABLE: tuple[ChatCommand, ...] = (
    ChatCommand(
        "help", (Arg("command", WORD, True),), "list the commands, or explain one", _help, aliases=("?",)
    ),
    ChatCommand(
        "join", (_ROOM,), "enter a room, or switch to it", actions.join, "room.join", ("j",), switches=True
    ),
    ChatCommand(
        "part",
        (_ANY_ROOM,),
        "leave this room, or the one named",
        actions.part,
        "room.join",
        ("leave",),
        switches=True,
    ),
    ChatCommand("rooms", (), "list the rooms you may know of", actions.rooms, "room.list"),
    ChatCommand(
        "create",
        (_ROOM, Arg("options", OPTIONS, True), _TOPIC),
        "create a room; /help create lists options",
        room_actions.create,
        "room.create",
        switches=True,
    ),
    ChatCommand("room", (_ANY_ROOM,), "show a room's mode and owners", room_actions.info, "room.list"),
    ChatCommand(
        "mode",
        (Arg("mode", MODE), _ANY_ROOM),
        "change who enters and writes, as an owner",
        room_actions.mode,
        "room.join",
        owners=True,
    ),
    ChatCommand("invite", (_NAME, _ANY_ROOM), "invite a user to this room", room_actions.invite, "room.join"),
    ChatCommand(
        "uninvite",
        (_NAME, _ANY_ROOM),
        "withdraw an invitation, or decline your own",
        room_actions.uninvite,
        "room.join",
    ),
    ChatCommand(
        "owner",
        (_NAME, Arg("remove", REMOVE, True), _ANY_ROOM),
        "make a member an owner of this room",
        room_actions.owner,
        "room.join",
        owners=True,
    ),
    ChatCommand(
        "remove",
        (_NAME, _ONLY_IN, _REASON),
        "remove a member from this room, as an owner",
        room_actions.remove,
        "room.join",
        owners=True,
    ),
    ChatCommand(
        "group",
        (Arg("names", GROUP),),
        "write to several users in a group",
        room_actions.group,
        "dm.send",
        switches=True,
    ),
    ChatCommand("topic", (_TOPIC,), "show or set this room's topic", actions.topic, "room.topic"),
    ChatCommand("who", (_ANY_ROOM,), "list the members of a room", actions.who, "presence.read"),
    ChatCommand("whois", (_NAME,), "show a user's role, devices and rooms", actions.whois, "presence.read"),
    ChatCommand(
        "verify", (_NAME,), "compare keys with a user: both see the same words", verify, "presence.read"
    ),
    ChatCommand(
        "msg",
        (Arg("names", USERS), _ANY_TEXT),
        "write to users; without text: switch to them",
        actions.msg,
        "dm.send",
        switches=True,
    ),
    ChatCommand(
        "reply",
        (_TO, _TEXT),
        "reply to NAME's last message, or to the one of a TIME",
        actions.reply,
        "message.send",
    ),
    ChatCommand(
        "edit",
        (_TEXT,),
        "change your last message, or /edit NUMBER TEXT",
        message_actions.edit,
        "message.send",
    ),
    ChatCommand(
        "delete",
        (Arg("number", SEQ, True), _REASON),
        "delete your message NUMBER, or list candidates",
        message_actions.delete,
        "message.delete",
    ),
    ChatCommand(
        "withdraw",
        (Arg("number", SEQ, True),),
        "take back your message that waits for a moderator",
        message_actions.withdraw,
        "message.send",
    ),
    ChatCommand(
        "react",
        (_TO, Arg("text", WORD)),
        "give a message a reaction, or take it back",
        message_actions.react,
        "message.send",
    ),
    ChatCommand(
        "reactions", (_TO,), "list who reacted to a message", message_actions.reactions, "message.read"
    ),
    ChatCommand(
        "ack",
        (_TO, _REASON),
        "say that you have seen an alert and look after it",
        message_actions.ack,
        "message.send",
    ),
    ChatCommand("me", (_TEXT,), "say what you are doing", actions.me, "message.send"),
    ChatCommand("paste", (), "write several lines as one message", actions.paste, "message.send"),
    ChatCommand(
        "history", (Arg("count", COUNT, True),), "show earlier messages", actions.history, "message.read"
    ),
    ChatCommand(
        "catchup",
        (Arg("count", COUNT_OR_SKIP, True),),
        "read on from the first unread message",
        actions.catchup,
        "message.read",
    ),
    ChatCommand(
        "say!",
        (_ANY_TEXT,),
        "send TEXT, or what was refused for a word, anyway",
        actions.say_anyway,
        "filter.override",
    ),
    ChatCommand("show", (Arg("number", SEQ),), "show message NUMBER whole", actions.show, "message.read"),
    ChatCommand(
        "search",
        (Arg("query", TEXT),),
        "find words; from:NAME in:#room in:@NAME narrow it",
        actions.search,
        "search",
    ),
    ChatCommand(
        "focus",
        (Arg("rooms", FOCUS, True),),
        "show only this room and those named, until /focus off",
        actions.focus,
    ),
    ChatCommand(
        "away", (_ANY_TEXT,), "say that you are away; without text: back again", actions.away, "away.set"
    ),
    ChatCommand(
        "kick",
        (_NAME, _ONLY_IN, _REASON),
        "end a user's sessions, or remove from one room",
        actions.kick,
        "moderate.kick",
    ),
    ChatCommand(
        "ban",
        (_NAME, _FOR, _REASON),
        "keep a user out, for a time or until /unban",
        actions.ban,
        "moderate.ban",
    ),
    ChatCommand("unban", (_NAME, _REASON), "end a ban", actions.unban, "moderate.ban"),
    ChatCommand("bans", (), "list the bans in force", actions.bans, "moderate.ban"),
    ChatCommand(
        "mute", (_NAME, _ONLY_IN, _FOR, _REASON), "refuse what a user sends", actions.mute, "moderate.mute"
    ),
    ChatCommand("mutes", (), "list the mutes in force", actions.mutes, "moderate.mute"),
    ChatCommand("unmute", (_NAME, _ONLY_IN, _REASON), "end a mute", actions.unmute, "moderate.mute"),
    ChatCommand(
        "redact",
        (_TO, _REASON),
        "delete message NUMBER; NAME or TIME lists candidates",
        actions.redact,
        "moderate.redact",
    ),
    ChatCommand("announce", (_TEXT,), "send a message to everybody", actions.announce, "announce"),
    ChatCommand(
        "role",
        (Arg("name", USER, True), Arg("role", ROLE, True), _REASON),
        "show or set roles",
        actions.role,
        "role.show",
    ),
    ChatCommand("reconnect", (), "connect now instead of waiting for the next attempt", actions.reconnect),
    ChatCommand("quit", (), "leave the chat", actions.leave, aliases=("exit",)),
)
COMMANDS: dict[str, ChatCommand] = {
    name: command for command in TABLE for name in (command.name, *command.aliases)
}


def parse(line: str, permissions: Collection[str] = ()) -> Say | CommandCall | Mistake:
    """Parse a typed line or a pasted block as a message, a command or a mistake.

    ``permissions``: those of the person, who is advised to use no other commands; none: all.
    """
    text = line.rstrip()
    if text.startswith("//"):
        return Say(text[1:])
    if not text.startswith("/"):
        return Say(text)
    word, arguments = first_word(text[1:])
    command = COMMANDS.get(word.lower())
    return command.read(arguments) if command else Mistake(_unknown(word, permissions))


def permitted(permissions: Collection[str]) -> list[ChatCommand]:
    """The commands that a role with these permissions can use, in the order of the table."""
    creates = "room.create" in permissions
    return [c for c in TABLE if c.permission in (None, *permissions) and (creates or not c.owners)]


def help_lines(permissions: Collection[str], about: str | None) -> list[Line]:
    """The commands of a role, or one command with its aliases."""
    if about is None:
        return [_help_line(command, HELP_COLUMN) for command in permitted(permissions)]
    command = COMMANDS.get(about.removeprefix("/").lower())
    if command is None:
        return [answers.note(f"there is no command /{about[:32]}; see /help")]
    aliases = ", ".join(f"/{alias}" for alias in command.aliases)
    lines = [_help_line(command, 0), *([answers.row("also", aliases)] if aliases else [])]
    if permissions and command.permission not in (None, *permissions):
        lines.append(answers.note("your role may not use it"))
    if any(arg.kind is OPTIONS for arg in command.args):
        lines += [answers.row(option, words) for option, (_, _, words) in ROOM_OPTIONS.items()]
    return lines


def _help_line(command: ChatCommand, width: int) -> Line:
    return [("class:command", command.usage.ljust(width)), ("", f"  {command.help}")]


def _unknown(word: str, permissions: Collection[str]) -> str:
    shown = visible(word[:32], newlines=False)
    # Without permissions nobody has been welcomed yet.
    usable = permitted(permissions) if permissions else TABLE
    names = [name for one in usable for name in (one.name, *one.aliases)]
    near = get_close_matches(word[:32].lower(), names, 1)
    advice = f"did you mean /{near[0]}?" if near else "see /help."
    return f"there is no command /{shown}; {advice} To send a line that begins with /, write //"
