"""What the advice of errors names exists: commands with their options, settings, pages and their sections."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from chatctl import chat
from chatctl import cli as chatctl
from chatctl.model.commands import COMMANDS
from chatd.cli.root import main as chatd
from chatd.config.schema import Settings

ROOT = Path(__file__).parents[2]
PROGRAMS: dict[str, click.Command] = {"chatd": chatd, "chatctl": chatctl.cli, "chat": chat.cli}
# Call -> the position of its argument with advice.
ADVICE = {
    "ChatdError": 2,
    "UnusableError": 1,
    "damaged": 1,
    "unusable": 1,
    "lock_file": 2,
    "Finding": 4,
    "_warn": 3,
    "Code": 2,
}
# The words after "chatd" in sentences about the program.
PROSE = {"and", "runs", "looks"}


def text_of(node: ast.AST) -> str:
    """Return the text of an expression, with X for what only running it can tell."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(text_of, parts))
        case ast.FormattedValue(value=value):
            return text_of(value) or "X"
        case ast.Call(func=ast.Name(id="chatd_command"), args=[_, *words]):
            return " ".join(["chatd", *(text_of(word) or "X" for word in words)])
        case ast.Call(func=ast.Name(id="pasteable"), args=words):
            return " ".join(text_of(word) or "X" for word in words)
        case ast.BinOp(left=left, right=right):
            return text_of(left) + text_of(right)
        case ast.IfExp(body=body, orelse=other):
            return f"{text_of(body)} ; {text_of(other)}"
    return ""


def advice_in(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every expression that becomes advice: an argument, ``fix``, or a constant in capitals."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=keywords):
                place = ADVICE.get(name, len(args))
                yield from args[place : place + 1]
                yield from (keyword.value for keyword in keywords if keyword.arg == "fix")
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == "fix" or name.isupper():
                yield value


def collect() -> dict[str, str]:
    """Return each advice of both packages, and the first place of it."""
    found: dict[str, str] = {}
    for folder in ("chatd", "chatctl"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in advice_in(ast.parse(file.read_text("utf-8"))):
                if text := text_of(node).strip():
                    found.setdefault(text, f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    return found


ALL = collect()
MENTION = re.compile(r"(?<![\w/.-])(chatd|chatctl|chat) ((?:--home X )?-{0,2}[a-z][^;,()`]*)")
TYPED = re.compile(r"(?<![\w/~.])/([a-z]+\b!?)(?!/)")
SETTING = re.compile(r"(?<![\w/.])([a-z]+)\.([a-z_]+)\b(?!\.?/)")
PAGE = re.compile(r"(docs/[\w.-]+\.md)(?:, ([A-Z]\w+))?")


def mentions(pattern: re.Pattern[str]) -> list[Any]:
    return [
        pytest.param(match, id=f"{place} {match[0].strip()}")
        for text, place in ALL.items()
        for match in pattern.finditer(text)
        if not (pattern is MENTION and match[2].split()[0] in PROSE)
    ]


def words_of(command: str) -> list[str]:
    """The words of a command line in a sentence: up to a colon, or the first word that cannot be one."""
    words: list[str] = []
    for word in command.split(":")[0].split():
        if words and word in {"while", "begins", "or", "and", "at"}:
            break
        words.append(word.rstrip("."))
    return words


@pytest.mark.parametrize("mention", mentions(MENTION))
def test_a_command_in_advice_exists_and_takes_these_words(mention: re.Match[str]) -> None:
    command, words = PROGRAMS[mention[1]], words_of(mention[2])
    while isinstance(command, click.Group):
        options = {option: one for one in command.params for option in one.opts} | {"--help": None}
        while words and words[0].startswith("-"):
            option = options[words[0]]
            words = words[2:] if option is not None else words[1:]
        if not words:
            return  # such as chatd --help
        command, words = command.commands[words[0]], words[1:]
    # Without words it is the name of a command, not a line to type.
    if words or not any(isinstance(one, click.Argument) and one.required for one in command.params):
        command.make_context(command.name, words)


@pytest.mark.parametrize("mention", mentions(TYPED))
def test_a_command_of_the_chat_exists(mention: re.Match[str]) -> None:
    assert mention[1] in {*COMMANDS, "proc"}


@pytest.mark.parametrize("mention", mentions(PAGE))
def test_a_page_and_its_section_exist(mention: re.Match[str]) -> None:
    page = (ROOT / mention[1]).read_text("utf-8")
    assert mention[2] is None or re.search(rf"^#+ .*{mention[2]}", page, re.MULTILINE)


@pytest.mark.parametrize("mention", mentions(SETTING))
def test_a_setting_exists(mention: re.Match[str]) -> None:
    section = Settings.model_fields.get(mention[1])
    if section is None:
        return
    kind = section.annotation
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    assert mention[2] in kind.model_fields


def test_advice_is_found() -> None:
    """The tests above would pass if nothing was found."""
    assert len(ALL) > 100
    assert len(mentions(MENTION)) > 30
    assert {match.values[0][1] for match in mentions(MENTION)} == set(PROGRAMS)
