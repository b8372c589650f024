"""What can be typed: one table of the line client's commands, and the reading of a line by it.

A line that begins with "/" is a command, "//" begins a message with a slash, everything else is a
message. The server decides what a role may do; the permission in the table only shapes /help.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

from chatd.errors import ChatdError
from chatd.proto.durations import parse_duration
from chatd.proto.text import check_name, check_room, visible


class ArgumentKind(NamedTuple):
    """What an argument is: how it is read from one word, and which words are meant to be one.

    An optional argument takes a word that ``looks`` like its kind, and that word then has to read well:
    "/ban bob 2hours" must be a mistake, not a ban for ever with the reason "2hours".
    """

    name: str
    read: Callable[[str], Any]
    looks: Callable[[str], bool] = bool
    rest: bool = False


def _read_user(word: str) -> str:
    return check_name(word.removeprefix("@"), "user")


def _read_room(word: str) -> str:
    return check_room(word if word[:1] in "#@&" else f"#{word}")


def _read_role(word: str) -> str:
    return check_name(word, "role")


def _read_number(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 3 and 1 <= int(word) <= 500):
        raise ValueError(f"{word[:32]!r} is not a number from 1 to 500")
    return int(word)


def _read_guests(word: str) -> bool:
    if word != "--guests":
        raise ValueError(f"{word[:32]!r} is not --guests")
    return True


def _read_focus(text: str) -> str | frozenset[str]:
    """ "off", or the rooms besides the current one."""
    return "off" if text == "off" else frozenset(_read_room(word) for word in text.split())


def _starts_with_digit(word: str) -> bool:
    return word[:1].isdigit()


USER = ArgumentKind("user", _read_user)
ROOM = ArgumentKind("room", _read_room)
# Before a free text, only "#name" is a room.
MARKED_ROOM = ArgumentKind("room", check_room, lambda word: word.startswith("#"))
ROLE = ArgumentKind("role", _read_role)
DURATION = ArgumentKind("duration", parse_duration, _starts_with_digit)
NUMBER = ArgumentKind("number", _read_number)
GUESTS = ArgumentKind("--guests", _read_guests, lambda word: word.startswith("--"))
FOCUS = ArgumentKind("focus", _read_focus, rest=True)
WORD = ArgumentKind("word", str)
TEXT = ArgumentKind("text", str, rest=True)


class Arg(NamedTuple):
    """One argument, read in the order of the table."""

    name: str
    kind: ArgumentKind
    optional: bool = False

    @property
    def shown(self) -> str:
        """How usage lines name it."""
        known = {"duration": "2h", "room": "#ROOM", "--guests": "--guests", "focus": "#ROOM"}
        word = known.get(self.kind.name, self.name.upper())
        word += "..." if self.kind.rest else ""
        return f"[{word}]" if self.optional else word


@dataclass(frozen=True)
class ChatCommand:
    """A row of the table. ``permission``: what the role needs for it to be listed by /help."""

    name: str
    args: tuple[Arg, ...]
    help: str
    permission: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The command with its arguments."""
        return " ".join([f"/{self.name}", *(arg.shown for arg in self.args)])


@dataclass(frozen=True)
class CommandCall:
    """A command as typed, with its arguments read; missing optional ones are None."""

    command: ChatCommand
    values: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


class Say(NamedTuple):
    """A message for the current room."""

    text: str


class Mistake(NamedTuple):
    """Why a line cannot be carried out, and what to type instead."""

    sentence: str


_WHO = Arg("name", USER)
_WHY = Arg("reason", TEXT, optional=True)
_FOR = Arg("seconds", DURATION, optional=True)
_ROOM = Arg("room", ROOM, optional=True)
_NEW = Arg("room", ROOM)
_TOPIC = Arg("topic", TEXT, optional=True)
_TEXT = Arg("text", TEXT)
_ANY_TEXT = Arg("text", TEXT, optional=True)
_ONLY_IN = Arg("room", MARKED_ROOM, optional=True)

TABLE: tuple[ChatCommand, ...] = (
    ChatCommand("help", (Arg("command", WORD, True),), "list the commands, or explain one", aliases=("?",)),
    ChatCommand("join", (_NEW,), "enter a room, or switch to it", "room.join", ("j",)),
    ChatCommand("part", (_ROOM,), "leave this room, or the one named", "room.join", ("leave",)),
    ChatCommand("rooms", (), "list the rooms there are", "room.list"),
    ChatCommand(
        "create",
        (_NEW, Arg("guests", GUESTS, True), _TOPIC),
        "make a room, for guests too, and enter it",
        "room.create",
    ),
    ChatCommand("topic", (_TOPIC,), "show or set this room's topic", "room.topic"),
    ChatCommand("who", (_ROOM,), "list the members of a room", "presence.read"),
    ChatCommand("whois", (_WHO,), "tell role, devices and rooms of a user", "presence.read"),
    ChatCommand("msg", (_WHO, _ANY_TEXT), "write to one user; without text: switch to them", "dm.send"),
    ChatCommand(
        "reply", (Arg("to", WORD), _TEXT), "answer NAME's last message, or that of a TIME", "message.send"
    ),
    ChatCommand("me", (_TEXT,), "say what you are doing", "message.send"),
    ChatCommand("paste", (), "write several lines as one message; Ctrl-D sends it", "message.send"),
    ChatCommand("history", (Arg("count", NUMBER, True),), "page further back here", "message.read"),
    ChatCommand(
        "search", (Arg("query", TEXT),), "find words; from:NAME in:#room since:2h narrow it", "search"
    ),
    ChatCommand("focus", (Arg("rooms", FOCUS, True),), "show only this room and those named, until off"),
    ChatCommand("away", (_ANY_TEXT,), "say that you are away; without text: back again", "away.set"),
    ChatCommand(
        "kick", (_WHO, _ONLY_IN, _WHY), "end a user's sessions, or put out of one room", "moderate.kick"
    ),
    ChatCommand("ban", (_WHO, _FOR, _WHY), "keep a user out, for a time or until /unban", "moderate.ban"),
    ChatCommand("unban", (_WHO,), "end a ban", "moderate.ban"),
    ChatCommand("bans", (), "list the bans in force", "moderate.ban"),
    ChatCommand("mute", (_WHO, _ONLY_IN, _FOR, _WHY), "refuse what a user sends", "moderate.mute"),
    ChatCommand("unmute", (_WHO, _ONLY_IN), "end a mute", "moderate.mute"),
    ChatCommand(
        "redact",
        (Arg("to", WORD), _WHY),
        "erase a message by NUMBER; tell those of NAME or TIME",
        "moderate.redact",
    ),
    ChatCommand("announce", (_TEXT,), "say something to everybody", "announce"),
    ChatCommand("role", (Arg("name", USER, True), Arg("role", ROLE, True)), "show or set roles", "role.show"),
    ChatCommand("quit", (), "leave the chat (Ctrl-D does, too)", aliases=("exit",)),
)
COMMANDS: dict[str, ChatCommand] = {
    name: command for command in TABLE for name in (command.name, *command.aliases)
}


def parse(line: str) -> Say | CommandCall | Mistake:
    """What a typed line (or a pasted block) means."""
    text = line.rstrip()
    if text.startswith("//"):
        return Say(text[1:])
    if not text.startswith("/"):
        return Say(text)
    word, rest = _first_word(text[1:])
    command = COMMANDS.get(word.lower())
    if command is None:
        return Mistake(_unknown(word))
    try:
        values = _read_arguments(command, rest)
    except ChatdError as error:
        return Mistake(f"{error.reason}; {error.fix}. Usage: {command.usage}")
    except ValueError as error:
        return Mistake(f"{error}. Usage: {command.usage}")
    return CommandCall(command, values)


def permitted(permissions: Collection[str]) -> list[ChatCommand]:
    """The commands that a role with these permissions can use, in the order of the table."""
    return [c for c in TABLE if c.permission is None or c.permission in permissions]


def _unknown(word: str) -> str:
    shown = visible(word[:32], newlines=False)
    near = get_close_matches(word[:32].lower(), COMMANDS, 1)
    what_to_do = f"did you mean /{near[0]}?" if near else "see /help."
    return f"there is no command /{shown}; {what_to_do} To say a line that begins with /, write //"


def _read_arguments(command: ChatCommand, rest: str) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(arg.name for arg in command.args)
    for arg in command.args:
        if not rest:
            if not arg.optional:
                raise ValueError(f"/{command.name} needs {arg.shown}")
        elif arg.kind.rest:
            values[arg.name], rest = arg.kind.read(rest), ""
        else:
            word, after = _first_word(rest)
            if not arg.optional or arg.kind.looks(word):
                values[arg.name], rest = arg.kind.read(word), after
    if rest:
        raise ValueError(f"/{command.name} does not take {visible(rest[:32], newlines=False)!r}")
    return values


def _first_word(text: str) -> tuple[str, str]:
    """The first word and what follows it, with its inner line breaks kept."""
    if not text or text[0].isspace():
        return "", text.lstrip()
    word, *after = text.split(maxsplit=1)
    return word, after[0] if after else ""
