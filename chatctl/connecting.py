"""Options, connections and confirmation prompts shared by all commands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from chatd.codes import NOTHING_LISTENS
from chatd.console import output
from chatd.console.arguments import ANY_NAME
from chatd.console.confirmation import Declined as Declined
from chatd.console.confirmation import confirm as confirm
from chatd.console.numbers import duration as duration
from chatd.console.numbers import number
from chatd.console.shell_completion import complete_files, complete_folders
from chatd.errors import ChatdError

if TYPE_CHECKING:
    from chatctl.client import Client
    from chatd.proto.frames import JsonObject

P = ParamSpec("P")
# A round of attempts over all addresses takes 10 s, a login on a busy server longer.
CONNECT_TIMEOUT = 15.0
# The same if every address refuses: longer than a restart of the server takes. Nothing has been sent until
# then, so that giving up loses nothing.
REFUSED_TIMEOUT = 4.0
MAX_TIMEOUT = 3600
# An outage shorter than this is not mentioned.
QUIET_SECONDS = 2.0


def wait_connected(client: Client, timeout: int | None) -> None:
    """Wait for the connection; mentions a failure that is tried again. Raises the error at the end."""
    quiet = min(QUIET_SECONDS, timeout or QUIET_SECONDS)
    try:
        client.wait_connected(quiet)
    except ChatdError as error:
        refused = error.fix == NOTHING_LISTENS
        seconds = timeout or (REFUSED_TIMEOUT if refused else CONNECT_TIMEOUT)
        # Nobody corrects a clock within seconds.
        if client.error is not None or seconds <= quiet or error.code == "E204":
            raise
        output.note(f"{error.reason}; trying for {seconds:.0f} seconds")
        client.wait_connected(seconds - quiet)


class App:
    """The connection and the output format of one command."""

    def __init__(
        self, identity: str | None, home: str | None, as_json: bool, timeout: int | None = None
    ) -> None:
        self._identity = identity
        self._home = home
        self._timeout = timeout
        self.as_json = as_json

    @contextmanager
    def client(
        self, *, live: bool = False, reconnect: bool = False, state: Path | None = None
    ) -> Iterator[Client]:
        """A connected client. Raises ChatdError if there is no identity or no connection."""
        from chatctl.client import Client, load_identity
        from chatctl.model.expiring import expiry_warning
        from chatd.proto.text import visible

        client = Client(
            load_identity(self._identity, self._home), live=live, reconnect=reconnect, state=state
        )
        try:
            client.start()
            wait_connected(client, self._timeout)
            if client.welcome is not None and client.welcome.isolated:
                output.note(f"warning: {visible(client.welcome.isolated, newlines=False)}")
            if warning := expiry_warning(client.identity, datetime.now(UTC)):
                output.note(f"warning: {warning}")
            yield client
        finally:
            client.close()

    def ask(self, kind: str, **fields: Any) -> JsonObject:
        """Send one request on a connection of its own; returns the result."""
        with self.client() as client:
            return client.request(kind, **fields)

    def ask_pages(self, kind: str, key: str, by: str, **fields: Any) -> JsonObject:
        """Fetch all pages of a list under ``key``, whose entries are ordered by their field ``by``."""
        from chatctl.model.paging import list_all

        with self.client() as client:
            return {key: list_all(client.request, kind, key, by, **fields)}

    def show(self, result: JsonObject, print_text: Callable[[], None]) -> None:
        """Print the result as JSON with --json, otherwise by ``print_text``."""
        if self.as_json:
            output.json_line(result)
        else:
            print_text()


def connecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --identity, --home, --timeout and --json to a command; pass them as an `App`, its first argument.

    --identity and --home also work before the command's name.
    """

    @functools.wraps(function)
    @root_options
    @click.option(
        "--timeout",
        type=number(1, MAX_TIMEOUT),
        metavar="SECONDS",
        help="Give up connecting after so long. Default: 15, or 4 if every address refuses.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON (with schema: 1) for programs.")
    @click.pass_context
    def with_app(
        context: click.Context,
        /,
        *args: Any,
        identity: str | None,
        home: str | None,
        as_json: bool,
        timeout: int | None,
        **options: Any,
    ) -> Any:
        if context.find_root().info_name == "chatctl":
            # Scripts call many of its commands in a row.
            output.name_command(context.command_path)
        root = context.find_root().params
        app = App(identity or root.get("identity"), home or root.get("home"), as_json, timeout)
        return function(app, *args, **options)

    return with_app


def time_option(function: Callable[P, Any]) -> Callable[P, Any]:
    """Add --time to a command that shows messages; pass it as ``times``, a value of `Times`."""
    return click.option(
        "--time",
        "times",
        type=click.Choice(["utc", "local", "both"]),
        default="utc",
        show_default=True,
        envvar="CHAT_TIME",
        show_envvar=True,
        help="The zone of times: UTC, this computer's, or that with UTC beside it.",
    )(function)


def root_options(function: Callable[P, Any]) -> Callable[P, Any]:
    """Add --identity and --home to a command."""
    home = click.option(
        "--home",
        metavar="DIR",
        type=ANY_NAME,
        shell_complete=complete_folders,
        help="Log in as the first admin of this server home (default: CHATD_HOME).",
    )
    identity = click.option(
        "--identity",
        metavar="FILE",
        type=ANY_NAME,
        shell_complete=complete_files,
        help="Log in with this identity file (default: CHATD_IDENTITY).",
    )
    return identity(home(function))


reason_option: Callable[[Callable[P, Any]], Callable[P, Any]] = click.option(
    "--reason", default="", metavar="TEXT", help="The reason, shown to those concerned."
)


dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what would happen.")


def room_name(text: str) -> str:
    """Complete a room's name: shells take its # for a comment, so it may be left out; @name is a user."""
    return text if text.startswith(("#", "@")) else f"#{text}"


def for_each_user(
    app: App,
    users: tuple[str, ...],
    ask: Callable[[Client, str], JsonObject],
    describe: Callable[[JsonObject], str],
    check: Callable[[Client], None] | None = None,
) -> int:
    """Send the request ``ask`` for each user and print the results with ``describe``.

    Returns the exit code: 0, that of the first failure, or 6 if only some requests succeeded. ``check``
    runs first and may raise, in which case nothing is done.
    """
    results: list[JsonObject] = []
    codes: list[int] = []
    with app.client() as client:
        if check is not None:
            check(client)
        for user in dict.fromkeys(users):
            try:
                result: JsonObject = {"user": user} | ask(client, user)
                codes.append(output.OK)
                if not app.as_json:
                    output.line(describe(result))
            except ChatdError as error:
                result = {"user": user, "error": output.error_object(error)}
                codes.append(output.exit_code(error))
                output.note(f"{output.error_head()}{user}: {error}")
            results.append(result)
    if app.as_json:
        output.json_line({"results": results})
    if not any(codes):
        return output.OK
    return output.PARTLY if output.OK in codes else codes[0]
