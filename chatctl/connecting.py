"""What every command needs: its options, a connection, and asking before it destroys something."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec

import click

from chatctl.client import Client, load_identity
from chatctl.model.paging import list_all
from chatd.console import output
from chatd.console.shell_completion import complete_files, complete_folders
from chatd.errors import ChatdError
from chatd.proto.durations import parse_duration
from chatd.proto.frames import JsonObject

P = ParamSpec("P")
CONNECT_TIMEOUT = 10.0
# Nobody is told of a server that is back by then.
QUIET_SECONDS = 2.0


def _wait(client: Client) -> None:
    """Until it is connected. Raises what keeps it from that; says in time that it goes on trying."""
    patience = CONNECT_TIMEOUT * len(client.identity.servers)
    try:
        client.wait_connected(QUIET_SECONDS)
    except ChatdError as error:
        if client.error is not None:
            raise
        output.note(f"{error.reason}; trying for {patience:.0f} seconds")
        client.wait_connected(patience - QUIET_SECONDS)


class App:
    """How one command reaches its server and shows its result."""

    def __init__(self, identity: str | None, home: str | None, as_json: bool) -> None:
        self._identity = identity
        self._home = home
        self.as_json = as_json

    @contextmanager
    def client(
        self, *, live: bool = False, reconnect: bool = False, state: Path | None = None
    ) -> Iterator[Client]:
        """A connected client. Raises ChatdError when there is no identity or no connection."""
        client = Client(
            load_identity(self._identity, self._home), live=live, reconnect=reconnect, state=state
        )
        try:
            client.start()
            _wait(client)
            yield client
        finally:
            client.close()

    def ask(self, kind: str, **fields: Any) -> JsonObject:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.request(kind, **fields)

    def ask_pages(self, kind: str, key: str, by: str, **fields: Any) -> JsonObject:
        """A whole paged list: entries under ``key``, each named by its field ``by``."""
        with self.client() as client:
            return {key: list_all(client.request, kind, key, by, **fields)}

    def show(self, result: JsonObject, in_words: Callable[[], None]) -> None:
        """The result as JSON if that was asked for, else by ``in_words``."""
        if self.as_json:
            output.json_line(result)
        else:
            in_words()


def connecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --identity, --home and --json and, as first argument, an `App` made of them.

    The first two may also stand before the command's name.
    """

    @functools.wraps(function)
    @root_options
    @click.option("--json", "as_json", is_flag=True, help="Print JSON (with schema: 1) for programs.")
    @click.pass_context
    def with_app(
        context: click.Context,
        /,
        *args: Any,
        identity: str | None,
        home: str | None,
        as_json: bool,
        **rest: Any,
    ) -> Any:
        before = context.find_root().params
        app = App(identity or before.get("identity"), home or before.get("home"), as_json)
        return function(app, *args, **rest)

    return with_app


def root_options(function: Callable[P, Any]) -> Callable[P, Any]:
    """--identity and --home."""
    home = click.option(
        "--home",
        metavar="DIR",
        shell_complete=complete_folders,
        help="Home whose first admin to log in as (else CHATD_HOME).",
    )
    identity = click.option(
        "--identity",
        metavar="FILE",
        shell_complete=complete_files,
        help="Identity file to log in with (else CHATD_IDENTITY).",
    )
    return identity(home(function))


def duration(text: str) -> int:
    """A DURATION of the command line: 30m, 2h, 7d."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def room_name(text: str) -> str:
    """A room with or without its #, which shells take for a comment; or @name for one user."""
    return text if text.startswith(("#", "@")) else f"#{text}"


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the person agrees: on the terminal, or with --yes.

    Without a terminal nobody can be asked, and going ahead would turn a script's slip into damage.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{question} There is no terminal to ask on: add --yes.")
    click.confirm(question, abort=True, err=True)


def each_user(
    app: App,
    users: tuple[str, ...],
    ask: Callable[[Client, str], JsonObject],
    words: Callable[[JsonObject], str],
    before: Callable[[Client], None] | None = None,
) -> int:
    """Do the same to several users; the exit code: 0, the failure's, or 6 when only some worked.

    ``before`` is called on the connection first; when it raises, nothing is done.
    """
    results: list[JsonObject] = []
    codes: list[int] = []
    with app.client() as client:
        if before is not None:
            before(client)
        for user in dict.fromkeys(users):
            try:
                result: JsonObject = {"user": user} | ask(client, user)
                codes.append(output.OK)
                if not app.as_json:
                    output.line(words(result))
            except ChatdError as error:
                result = {"user": user, "error": output.error_object(error)}
                codes.append(output.exit_code(error))
                output.note(f"error: {user}: {error}")
            results.append(result)
    if app.as_json:
        output.json_line({"results": results})
    if not any(codes):
        return output.OK
    return output.PARTLY if output.OK in codes else codes[0]
