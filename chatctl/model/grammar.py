"""The grammar of commands: kinds of arguments, and how a typed line is read by a row of the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

from chatctl.model.surface import Surface
from chatd.errors import ChatdError
from chatd.proto.durations import parse_duration
from chatd.proto.request_bounds import PAGE_LIMIT, Mode
from chatd.proto.text import GROUP_MEMBERS, check_name, check_room, visible

MODE_NAMES: tuple[str, ...] = get_args(Mode)
# Options of /create -> the field of the request, its value, and what it means.
ROOM_OPTIONS: dict[str, tuple[str, Any, str]] = {
    "--guests": ("guests", True, "guests may enter"),
    "--members": ("mode", "members", "entered by invitation, unknown to others"),
    "--read-only": ("mode", "read-only", "only its owners write"),
    "--since-join": ("history", "since_join", "members read what follows their joining"),
}


class ArgumentKind(NamedTuple):
    """The parser of one kind of argument, which takes one word (``rest``: the rest of the line).

    An optional argument takes a word that ``looks`` like its kind, and that word must then be valid:
    "/ban bob 2hours" must be a mistake, not a permanent ban with the reason "2hours".
    """

    name: str
    read: Callable[[Any], Any]
    looks: Callable[[str], bool] = bool
    rest: bool = False
    # Takes all words in a row that look like it; ``read`` gets a list of them.
    many: bool = False


def _read_user(word: str) -> str:
    return check_name(word.removeprefix("@"), "user")


def _read_room(word: str) -> str:
    if word.startswith("@"):
        raise ValueError(f"{word[:64]!r} is no room; to write to somebody: /msg {word[1:64]}")
    return check_room(word if word[:1] in "#@&" else f"#{word}")


def _read_role(word: str) -> str:
    return check_name(word, "role")


def _read_count(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 3 and 1 <= int(word) <= PAGE_LIMIT):
        raise ValueError(f"{word[:32]!r} is not a number from 1 to {PAGE_LIMIT}")
    return int(word)


def _read_count_or_skip(word: str) -> int:
    return 0 if word == "skip" else _read_count(word)


def _read_seq(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 16):
        raise ValueError(f"{word[:32]!r} is not the number of a message")
    return int(word)


def _read_addressees(word: str) -> str:
    if word.endswith(","):
        # "/msg bob, carol hi" would send "carol hi" to bob alone.
        raise ValueError("write several names without spaces: bob,carol")
    return _read_users(word)


def _read_users(text: str) -> str:
    """Read "bob,carol" or "bob carol"; return "bob,carol"."""
    names = [_read_user(word) for word in text.replace(",", " ").split()]
    if not 1 <= len(names) < GROUP_MEMBERS:
        raise ValueError(f"give up to {GROUP_MEMBERS - 1} users")
    return ",".join(dict.fromkeys(names))


def _read_mode(word: str) -> str:
    if word not in MODE_NAMES:
        raise ValueError(f"{word[:32]!r} is not {', '.join(MODE_NAMES[:-1])} or {MODE_NAMES[-1]}")
    return word


def _read_options(words: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    chosen: dict[str, str] = {}
    for word in words:
        if word not in ROOM_OPTIONS:
            raise ValueError(f"{word[:32]!r} is not one of {', '.join(ROOM_OPTIONS)}")
        name, value, _ = ROOM_OPTIONS[word]
        other = chosen.setdefault(name, word)
        if name in fields:
            raise ValueError(f"{word} is there twice" if other == word else f"use either {other} or {word}")
        fields[name] = value
    return fields


def _read_remove(word: str) -> bool:
    if word != "--remove":
        raise ValueError(f"{word[:32]!r} is not --remove")
    return True


def _read_focus(text: str) -> str | frozenset[str]:
    return "off" if text == "off" else frozenset(_read_room(word) for word in text.split())


def _is_option(word: str) -> bool:
    return word.startswith("--")


def _starts_with_digit(word: str) -> bool:
    return word[:1].isdigit()


USER = ArgumentKind("user", _read_user)
ROOM = ArgumentKind("room", _read_room)
# Before a free text, only a word with # is a room.
MARKED_ROOM = ArgumentKind("room", check_room, lambda word: word.startswith("#"))
ROLE = ArgumentKind("role", _read_role)
DURATION = ArgumentKind("duration", parse_duration, _starts_with_digit)
COUNT = ArgumentKind("count", _read_count)
COUNT_OR_SKIP = ArgumentKind("count or skip", _read_count_or_skip)
SEQ = ArgumentKind("number", _read_seq)
USERS = ArgumentKind("user,user", _read_addressees)
GROUP = ArgumentKind("user user", _read_users, rest=True)
OPTIONS = ArgumentKind("options", _read_options, _is_option, many=True)
REMOVE = ArgumentKind("--remove", _read_remove, _is_option)
MODE = ArgumentKind("mode", _read_mode)
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
        """The argument in a usage line: "USER", "[2h]"."""
        names = {"duration": "2h", "room": "#ROOM", "--remove": "--remove", "focus": "#ROOM"}
        names |= {
            "options": "--OPTIONS",
            "count or skip": "COUNT|skip",
            "user,user": "NAME[,NAME]",
            "mode": "|".join(MODE_NAMES),
        }
        word = names.get(self.kind.name, self.name.upper()) + ("..." if self.kind.rest else "")
        return f"[{word}]" if self.optional else word


@dataclass(frozen=True)
class ChatCommand:
    """A row of the table.

    ``permission``: what a role needs for /help to list it; the server decides about each request.
    ``owners``: it is of use to owners of rooms only, and listed for roles that create some.
    ``switches``: it can change the current conversation, so lines typed after it have to wait for it.
    """

    name: str
    args: tuple[Arg, ...]
    help: str
    action: Callable[[Surface, CommandCall], Awaitable[None]]
    permission: str | None = None
    aliases: tuple[str, ...] = ()
    switches: bool = False
    owners: bool = False

    @property
    def usage(self) -> str:
        """The command with its arguments."""
        return " ".join([f"/{self.name}", *(arg.shown for arg in self.args)])

    def read(self, arguments: str) -> CommandCall | Mistake:
        """The call, or what is wrong with its arguments."""
        try:
            return CommandCall(self, self._values(arguments))
        except ChatdError as error:
            return Mistake(f"{error.reason}; {error.fix}. Usage: {self.usage}")
        except ValueError as error:
            return Mistake(f"{error}. Usage: {self.usage}")

    def _values(self, rest: str) -> dict[str, Any]:
        values: dict[str, Any] = dict.fromkeys(arg.name for arg in self.args)
        for arg in self.args:
            if not rest:
                if not arg.optional:
                    raise ValueError(f"/{self.name} needs {arg.shown.rstrip('.')}")
            elif arg.kind.many:
                values[arg.name], rest = _many(arg.kind, rest)
            elif arg.kind.rest:
                values[arg.name], rest = arg.kind.read(rest), ""
            else:
                word, after = first_word(rest)
                if not arg.optional or arg.kind.looks(word):
                    values[arg.name], rest = arg.kind.read(word), after
        if rest:
            raise ValueError(f"/{self.name} does not take {visible(rest[:32], newlines=False)!r}")
        return values


@dataclass(frozen=True)
class CommandCall:
    """A command as typed, with its arguments read; missing optional ones are None."""

    command: ChatCommand
    values: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    async def carry_out(self, surface: Surface) -> None:
        """Do it. Raises the server's refusal as ChatdError."""
        await self.command.action(surface, self)


def _many(kind: ArgumentKind, rest: str) -> tuple[Any, str]:
    words: list[str] = []
    while kind.looks(first_word(rest)[0]):
        word, rest = first_word(rest)
        words.append(word)
    return kind.read(words), rest


class Say(NamedTuple):
    """A message for the current conversation."""

    text: str


class Mistake(NamedTuple):
    """Why a line cannot be carried out, and what to type instead."""

    sentence: str


def first_word(text: str) -> tuple[str, str]:
    """The first word and what follows it, with its line breaks kept."""
    if not text or text[0].isspace():
        return "", text.lstrip()
    word, *after = text.split(maxsplit=1)
    return word, after[0] if after else ""
