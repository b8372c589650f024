"""`chat`: the line client on a terminal, a pipe without one, and commands for scripts."""

from __future__ import annotations

import os
import sys

import click

from chatctl.connecting import room_name, root_options, time_option
from chatctl.shared_commands import SEARCH, WHOAMI
from chatd import __version__
from chatd.console import output, streams
from chatd.console.command_table import TableEntry, TableGroup
from chatd.console.shell_completion import completion_command

COMMANDS = {
    "join": TableEntry(
        "chatctl.scripts.join_command:join",
        "Redeem the invite HOST:PORT/CODE that an admin gave you, and open the chat.",
    ),
    "ask": TableEntry(
        "chatctl.scripts.ask_command:ask",
        "Ask the server at HOST:PORT to let you in, wait for an admin, and open the chat.",
    ),
    "device": TableEntry("chatctl.scripts.device_command:device", "Add a device of your own."),
    "send": TableEntry(
        "chatctl.scripts.send_command:send",
        "Send TEXT, or standard input as one message, to ROOM and wait until the server has it.",
    ),
    "edit": TableEntry(
        "chatctl.scripts.own_messages:edit",
        "Replace the text of your message NUMBER in ROOM by TEXT, or by standard input.",
    ),
    "delete": TableEntry(
        "chatctl.scripts.own_messages:delete",
        "Delete your message NUMBER in ROOM: nobody can read its text any more.",
    ),
    "tail": TableEntry(
        "chatctl.scripts.tail:tail",
        "Print the messages in ROOM (the # may be left out, @name is one user) until Ctrl-C.",
    ),
    "history": TableEntry(
        "chatctl.scripts.history_command:history",
        "Print the last events of ROOM, oldest first; with --json, one object per line.",
    ),
    "search": SEARCH,
    "whoami": WHOAMI,
    "bot": TableEntry(
        "chatctl.scripts.bot:bot",
        "Chat as JSON Lines: commands on standard input, events and replies on standard output.",
    ),
    "doctor": TableEntry(
        "chatctl.scripts.doctor:doctor",
        "Check identity, network, server, clock and terminal, and say how to mend what is wrong.",
    ),
    "window": TableEntry("chatctl.window.cli:window", "Chat in a desktop window (needs Tk and a display)."),
}


class ChatCommands(TableGroup):
    """Explains where the line client's commands are to those who try them on the command line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in self.commands:
            self._explain(ctx, word)
        return super().resolve_command(ctx, args)

    def _explain(self, ctx: click.Context, word: str) -> None:
        from chatctl.model.commands import COMMANDS as LINE_COMMANDS

        if word in LINE_COMMANDS:
            raise click.UsageError(f"/{word} is a command of the line client: start chat, then type it.", ctx)


@click.group(
    cls=ChatCommands,
    table=COMMANDS,
    sisters={"chatctl": "chatctl.cli:cli"},
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@root_options
@click.option(
    "--room",
    metavar="ROOM",
    type=room_name,
    default="#lobby",
    show_default=True,
    help="The room to open (the # may be left out).",
)
@click.option("--plain", is_flag=True, help="Send the lines of standard input and print the room's messages.")
@click.option(
    "--theme",
    type=click.Choice(["dark", "light", "plain"]),
    default="dark",
    show_default=True,
    envvar="CHAT_THEME",
    show_envvar=True,
    help="Colours of the line client, by the terminal's background.",
)
@time_option
@click.version_option(__version__, prog_name="chat")
@click.pass_context
def cli(
    context: click.Context,
    identity: str | None,
    home: str | None,
    room: str,
    plain: bool,
    theme: str,
    times: str,
) -> int:
    """Chat. On a terminal, open the line client, in which /help lists the commands.

    Without a terminal (or with --plain), send each line of standard input to the room and print the
    room's messages until the end of input. The identity is --identity, CHATD_IDENTITY, the home's first
    admin, or ~/.config/chatd/identity.pem. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 not
    permitted, 5 server unreachable, 6 partly done, 7 warnings only (doctor),
    8 done but its output not written, 9 a message waits for a moderator, 130 interrupted.
    """
    if context.invoked_subcommand is not None:
        return output.OK
    capable = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    interactive = capable and sys.stdin.isatty() and sys.stdout.isatty()
    if plain or not interactive:
        return _plain(identity, home, room, times)
    return _line(identity, home, room, theme, times)


def _plain(identity: str | None, home: str | None, room: str, times: str) -> int:
    from chatctl.client import Client, load_identity
    from chatctl.model.times import Times
    from chatctl.scripts.pipe import run

    with Client(load_identity(identity, home)) as client:
        return run(client, room, Times(times))


def _line(identity: str | None, home: str | None, room: str, theme: str, times: str) -> int:
    from chatctl.client import Client, load_identity, state_folder
    from chatctl.model.times import Times
    from chatctl.terminal.line_client import run

    loaded = load_identity(identity, home)
    with Client(loaded, state=state_folder(loaded, os.environ), wait_out=True) as client:
        return run(client, room, theme, Times(times))


cli.add_command(completion_command("chat"))


def main() -> None:
    """Run the program."""
    streams.prepare()
    sys.exit(output.run(cli, "chat"))
