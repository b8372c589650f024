"""The command table, and parsing typed lines as commands, mistakes or messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatctl.model.commands import TABLE, help_lines, parse, permitted
from chatctl.model.grammar import CommandCall, Mistake, Say
from chatctl.model.render import plain
from chatd.policy.roles import DEFAULT_ROLES, PERMISSIONS

COMMAND_LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "/join war": ("join", {"room": "#war"}),
    "/j #war": ("join", {"room": "#war"}),
    "/PART": ("part", {"room": None}),
    "/ban bob 2h spam and more": ("ban", {"name": "bob", "seconds": 7200, "reason": "spam and more"}),
    "/ban @bob spam": ("ban", {"name": "bob", "seconds": None, "reason": "spam"}),
    "/ban bob": ("ban", {"name": "bob", "seconds": None, "reason": None}),
    "/kick bob #war too loud": ("kick", {"name": "bob", "room": "#war", "reason": "too loud"}),
    "/kick bob too loud": ("kick", {"name": "bob", "room": None, "reason": "too loud"}),
    "/mute bob #war 30m x": ("mute", {"name": "bob", "room": "#war", "seconds": 1800, "reason": "x"}),
    "/mute bob 30m": ("mute", {"name": "bob", "room": None, "seconds": 1800, "reason": None}),
    "/msg bob hi  there\n  you": ("msg", {"names": "bob", "text": "hi  there\n  you"}),
    "/history": ("history", {"count": None}),
    "/history 100": ("history", {"count": 100}),
    "/role": ("role", {"name": None, "role": None, "reason": None}),
    "/role bob guest too loud": ("role", {"name": "bob", "role": "guest", "reason": "too loud"}),
    "/unban bob he said sorry": ("unban", {"name": "bob", "reason": "he said sorry"}),
    "/unmute bob #war it is over": ("unmute", {"name": "bob", "room": "#war", "reason": "it is over"}),
    "/role bob admin": ("role", {"name": "bob", "role": "admin", "reason": None}),
    "/reply 14:02:40Z yes": ("reply", {"to": "14:02:40Z", "text": "yes"}),
    "/create war": ("create", {"room": "#war", "options": None, "topic": None}),
    "/create war --guests a topic": (
        "create",
        {"room": "#war", "options": {"guests": True}, "topic": "a topic"},
    ),
    "/create war --members --since-join": (
        "create",
        {"room": "#war", "options": {"mode": "members", "history": "since_join"}, "topic": None},
    ),
    "/msg bob,@carol hi": ("msg", {"names": "bob,carol", "text": "hi"}),
    "/group bob, carol": ("group", {"names": "bob,carol"}),
    "/owner bob --remove war": ("owner", {"name": "bob", "remove": True, "room": "#war"}),
    "/create war guests welcome": ("create", {"room": "#war", "options": {}, "topic": "guests welcome"}),
    "/focus": ("focus", {"rooms": None}),
    "/focus off": ("focus", {"rooms": "off"}),
    "/focus war #ops": ("focus", {"rooms": frozenset({"#war", "#ops"})}),
    "/redact 812 a secret": ("redact", {"to": "812", "reason": "a secret"}),
    "/me  waves ": ("me", {"text": "waves"}),
    "/exit": ("quit", {}),
}
MISTAKES = {
    "/": "no command",
    "/nonsense": "/help",
    "/jion ops": "did you mean /join?",
    "/etc/passwd": "write //",
    "/\x1b[2J": r"\x1b",
    "/join": "#ROOM",
    "/join @bob": "to write to somebody: /msg bob",
    "/join War!": "contains '!'",
    # A typing error must not become a permanent ban or a mute in all rooms.
    "/ban bob 2hours spam": "duration",
    "/ban bob 0m": "duration",
    "/mute bob #Not!a!room": "a-z",
    "/ban": "NAME",
    "/create war --guest": "is not one of --guests",
    "/create war --members --read-only": "use either --members or --read-only",
    "/mode shut": "is not open, members or read-only",
    "/msg bob, carol hi": "without spaces",
    "/group a b c d e f g h": "give up to 7 users",
    "/focus No!room": "a-z",
    "/redact": "TO",
    "/history 0": "1 to 500",
    "/history ١": "1 to 500",
    "/who #war extra": "does not take",
    "/me": "TEXT",
    "/msg bob@evil hi": "contains '@'",
}


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_line_is_parsed_into_its_arguments(line: str) -> None:
    name, values = COMMAND_LINES[line]
    call = parse(line)
    assert isinstance(call, CommandCall)
    assert (call.command.name, call.values) == (name, values)


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_explained(line: str) -> None:
    mistake = parse(line)
    assert isinstance(mistake, Mistake)
    assert MISTAKES[line] in mistake.sentence
    assert mistake.sentence.isprintable()


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("hello", "hello"),
        ("//join us", "/join us"),
        ("a\n /b", "a\n /b"),
        (" /join", " /join"),
        ("x \n", "x"),
    ],
)
def test_any_other_line_is_a_message(line: str, body: str) -> None:
    assert parse(line) == Say(body)


def test_every_permission_of_the_table_exists() -> None:
    assert {command.permission for command in TABLE} - {None} <= set(PERMISSIONS)


def test_names_and_aliases_are_unique() -> None:
    names = [name for command in TABLE for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))


def test_a_guest_is_not_shown_what_owners_of_rooms_do() -> None:
    of_owners = {"mode", "owner", "remove"}
    for role, shown in (("guest", set()), ("user", of_owners)):
        assert {command.name for command in permitted(DEFAULT_ROLES[role])} & of_owners == shown
    assert "may not use it" not in plain(help_lines(DEFAULT_ROLES["guest"], "owner"))


def test_help_lists_only_permitted_commands() -> None:
    listed = {command.name for command in permitted({"message.send"})}
    assert {"help", "me", "quit"} <= listed
    assert not {"ban", "join"} & listed
    assert "/ban NAME [2h] [REASON...]" in plain(help_lines((), "/BAN"))
    assert "no command" in plain(help_lines((), "\x1b[2J"))


def test_every_command_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "chat.md").read_text(encoding="utf-8")
    missing = [command.usage for command in TABLE if f"`{command.usage}`" not in manual]
    assert not missing


def test_a_mistyped_command_brings_only_what_the_role_may_use() -> None:
    guest = DEFAULT_ROLES["guest"]
    anybody, refused, suggested = parse("/creat #a"), parse("/creat #a", guest), parse("/jion #a", guest)
    assert isinstance(anybody, Mistake) and isinstance(refused, Mistake) and isinstance(suggested, Mistake)
    assert "did you mean /create?" in anybody.sentence
    assert "/create" not in refused.sentence
    assert "did you mean /join?" in suggested.sentence


def test_help_says_that_a_role_may_not_use_a_command() -> None:
    assert "your role may not use it" in plain(help_lines(DEFAULT_ROLES["guest"], "say!"))
    assert "may not use it" not in plain(help_lines(DEFAULT_ROLES["user"], "say!"))
