"""`chatctl filter test`: try the filter that the running server has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from chatctl.client import Client
from chatctl.connecting import App, connecting, room_name
from chatd.console import output
from chatd.console.found_words import NOTHING_FOUND, lines_of, show_found
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject, compact

# Lines are sent together up to so many bytes of JSON. A single line may have more, as in a message.
REQUEST_BYTES = 16 * 1024
MOST_BYTES = 60 * 1024


@click.command("test")
@click.argument("what", metavar="FILE|TEXT")
@click.option("--role", default="", metavar="ROLE", help="Of the writer. Default: roles.default.")
@click.option("--room", default="", metavar="ROOM", help="Where it is written. Default: in no room.")
@connecting
def test(app: App, what: str, role: str, room: str) -> int:
    """Say what the filter in force does about each line of FILE (- reads standard input) or about TEXT.

    Nothing is sent. Prints the number of each line in which a word is found, what is done, and the beginning
    of the line as it would be sent. The exit code is 1 if a line would be refused. A change of settings.json
    that is not in force yet is tried with `chatd filter test` on the server.
    """
    refused = found = False
    fields = {"role": role, "place": room_name(room) if room else ""}
    with app.client() as client:
        for begin, lines in _together(_lines(what)):
            for one in _judged(client, lines, fields):
                found, refused = True, refused or one["text"] is None
                show_found(begin + one["line"], one["found"], one["text"], as_json=app.as_json)
    if not found and not app.as_json:
        output.note(NOTHING_FOUND)
    return int(refused)


def _lines(what: str) -> Iterable[str]:
    if not what:
        raise click.UsageError("FILE|TEXT is empty.")
    path = Path(what)
    try:
        named = what == "-" or path.exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL
        named = False
    if named:
        return lines_of(path)
    # What the shell passes need not be UTF-8.
    return what.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split("\n")


def _together(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of a first line, and lines for one request."""
    begin, size, some = 1, 0, list[str]()
    for line in lines:
        cost = len(compact(line))
        if cost > MOST_BYTES:
            raise ChatdError("E401", f"line {begin + len(some)} does not fit one message", "make it shorter")
        if some and size + cost > REQUEST_BYTES:
            yield begin, some
            begin, size, some = begin + len(some), 0, []
        some.append(line)
        size += cost
    if some:
        yield begin, some


def _judged(client: Client, lines: list[str], fields: dict[str, str]) -> Iterator[JsonObject]:
    """Yield what was found in each line, by its index."""
    at: int | None = 0
    while at is not None:
        body = "\n".join(lines[at:])
        result = client.request("filter_test", body=body, role=fields["role"], place=fields["place"])
        for one in result["lines"]:
            yield one | {"line": at + one["line"]}
        at = None if result["next"] is None else at + result["next"]
