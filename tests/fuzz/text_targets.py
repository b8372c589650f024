"""Targets for texts that people write: escaping, names, the word filter, commands, search queries."""

from __future__ import annotations

import re
from functools import cache

import apsw

from chatctl.model.commands import TABLE
from chatctl.model.commands import parse as parse_line
from chatctl.model.grammar import CommandCall, Mistake, Say
from chatctl.model.wrapping import INDENT, _clusters, columns, wrap
from chatctl.terminal.cell_text import separate
from chatd.errors import ChatdError
from chatd.policy.filter import Mode, WordFilter, normalise
from chatd.proto.durations import MAX_SECONDS, parse_duration
from chatd.proto.search_query import MAX_TOKENS
from chatd.proto.search_query import parse as parse_query
from chatd.proto.text import (
    NAME,
    check_name,
    check_new_name,
    check_room,
    clean_body,
    dm_members,
    is_host_port,
    truncate,
    visible,
)
from chatd.store.search_plan import any_of
from tests.fuzz.byte_source import ByteSource, encode_text
from tests.fuzz.expected_refusals import refused
from tests.support.harmless import assert_harmless
from tests.support.hostile import TEXTS

# As long as a message may be; for the bound on the work.
_LONGEST = 16 * 1024
_NOW = 1_795_442_531_000


def texts(data: bytes) -> None:
    """Shown text has no control character, is its own escape, can be sent, and is cut at its limit."""
    source = ByteSource(data)
    limit = source.below(100)
    text = source.rest_of_text()
    for newlines in (False, True):
        shown = visible(text, newlines=newlines)
        assert_harmless(shown, newlines=newlines)
        assert visible(shown, newlines=newlines) == shown
        shown.encode()
    for character in separate(text):
        assert_harmless(character, newlines=True)
    cleaned = refused(lambda: clean_body(text), "E402")
    if cleaned is not None:
        assert cleaned[0].strip()
        assert clean_body(cleaned[0]) == (cleaned[0], False)
    short, cut = truncate(text, limit)
    assert len(short) <= limit
    assert cut == (len(text) > limit)


def names(data: bytes) -> None:
    """Names, rooms, addresses and durations are accepted by their rule or refused in harmless words."""
    text = ByteSource(data).rest_of_text()
    for check in (check_name, check_new_name):
        try:
            assert NAME.fullmatch(check(text))
        except ChatdError as error:
            assert error.code == "E403"
            assert_harmless(error.reason)
    if refused(lambda: check_room(text), "E403") is not None:
        assert NAME.fullmatch(text[1:])
    members = dm_members(text)
    assert members is None or text == f"@{members[0]},{members[1]}"
    if is_host_port(text):
        assert text.isascii()
        assert text.isprintable()
    try:
        assert 0 < parse_duration(text) <= MAX_SECONDS
    except ValueError as error:
        assert len(str(error)) < 400


def word_filter(data: bytes) -> None:
    """The filter finds what a plain search finds, in any number of words, and its work is bounded."""
    source = ByteSource(data)
    mode: Mode = source.choice(("words", "substring"))
    often = source.below(32) == 0
    words = [source.text(16) for _ in range(source.below(6))]
    text = source.rest_of_text()
    rules = WordFilter(words, mode)
    found = rules.find(text)
    assert found == WordFilter(list(reversed(words)), mode).find(text) or found in words
    if text.isascii() and text.isprintable():
        assert (found is not None) == _contains(normalise(text), words, mode)
    if often and text:
        # Whatever it is, a text of the greatest length takes no more than `WORK_SECONDS` (see run_target).
        rules.find((text * (_LONGEST // len(text) + 1))[:_LONGEST])


def _contains(text: str, words: list[str], mode: Mode) -> bool:
    for word in filter(None, map(normalise, words)):
        pattern = re.escape(word)
        if mode == "words":
            # The filter looks behind its first character and ahead of its last one.
            pattern = rf"(?<!\w){pattern}(?!\w)"
        if re.search(pattern, text, re.DOTALL):
            return True
    return False


def wrapping(data: bytes) -> None:
    """Rows of a terminal hold the whole text, are indented, and fit unless a URL or a character does not."""
    source = ByteSource(data)
    width = source.below(120) + 1
    text = visible(source.rest_of_text(), newlines=False)
    rows = ["".join(part for _, part in row) for row in wrap([("", text)], width)]
    assert "".join(text.split()) == "".join("".join(rows).split())
    assert all(row.startswith(" ") for row in rows[1:])
    for row in rows if width >= 20 else ():
        assert columns(row) <= width or _unbreakable(row, width)


def _unbreakable(row: str, width: int) -> bool:
    """Whether a row is too long because of a URL, or of a character with more marks than fit."""
    if "http://" in row or "https://" in row:
        return True
    return any(columns(character) > width - len(INDENT) for _, character in _clusters([("", row)]))


def typed_lines(data: bytes) -> None:
    """A typed line is a message, a command or a mistake in harmless words."""
    line = ByteSource(data).rest_of_text()
    read = parse_line(line)
    if isinstance(read, Mistake):
        assert_harmless(visible(read.sentence))
        assert len(read.sentence) < 1024
    elif isinstance(read, Say):
        assert read.text == line.rstrip().removeprefix("/" if line.startswith("//") else "")
    else:
        assert isinstance(read, CommandCall)


@cache
def _full_text() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE VIRTUAL TABLE texts USING fts5(body)")
    connection.execute("INSERT INTO texts VALUES ('hello near the café')")
    return connection


def search_queries(data: bytes) -> None:
    """A query is refused with E411 or gives words that FTS5 accepts in quotes."""
    text = ByteSource(data).rest_of_text()
    query = refused(lambda: parse_query(text, _NOW), "E411")
    if query is None:
        return
    assert 0 <= query.since <= 253_402_300_800_000
    assert len(query.phrases) <= MAX_TOKENS
    for phrase in query.phrases:
        match = any_of([(1, f"x{phrase.text}"), (22, f"x{phrase.text}")])
        _full_text().execute("SELECT count(*) FROM texts WHERE texts MATCH ?", (match,)).fetchall()


def text_seeds() -> list[bytes]:
    """The hostile texts of the tests, names, addresses, durations."""
    others = (
        "alice",
        "#war",
        "@alice,bob",
        "[::1]:5000",
        "1h30m",
        "a" * 33,
        "x " * 60,
        "https://x.example/" + "x" * 90,
    )
    return [b"\x14" + encode_text(text) for text in (*TEXTS.values(), *others)]


def line_seeds() -> list[bytes]:
    """Each command with arguments, and what tests type."""
    lines = [f"/{command.name} bob #war 2h why" for command in TABLE]
    return [
        encode_text(line) for line in (*lines, "//x", "/", "/help ban", "/ban bob 2hours", *TEXTS.values())
    ]


def query_seeds() -> list[bytes]:
    """Queries that tests name."""
    queries = (
        '"host 12" from:@bob in:#war since:2h',
        "NEAR(me) OR NOT a*",
        "since:2023-99-99 x",
        '"',
        "from:",
        "\0",
    )
    return [encode_text(query) for query in queries]
