"""`chat`: the line client on a terminal, a pipe without one, and commands for scripts."""

from __future__ import annotations

import os
import sys

import click

from chatctl.client import load_identity, state_folder
from chatctl.connecting import room_name, root_options
from chatctl.model.commands import COMMANDS
from chatctl.scripts.bot import bot
from chatctl.scripts.one_shot import history, search, send, whoami
from chatctl.scripts.tail import tail
from chatctl.window.cli import window
from chatd import __version__
from chatd.console import output, streams
from chatd.console.shell_completion import completion_command


class ChatCommands(click.Group):
    """Explains where the line client's commands are to those who try them on the command line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word in COMMANDS and word not in self.commands:
            raise click.UsageError(f"/{word} is a command of the line client: start chat, then type it.", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=ChatCommands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
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
@click.version_option(__version__, prog_name="chat")
@click.pass_context
def cli(
    context: click.Context, identity: str | None, home: str | None, room: str, plain: bool, theme: str
) -> int:
    """Chat. On a terminal, open the line client, in which /help lists the commands.

    Without a terminal (or with --plain), send each line of standard input to the room and print the
    room's messages until the end of input. The identity is --identity, CHATD_IDENTITY, the home's first
    admin, or ~/.config/chatd/identity.pem. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 not
    permitted, 5 server unreachable, 6 partly done, 8 done but its output
    not written, 130 interrupted.
    """
    if context.invoked_subcommand is not None:
        return output.OK
    capable = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    interactive = capable and sys.stdin.isatty() and sys.stdout.isatty()
    if plain or not interactive:
        return _plain(identity, home, room)
    return _line(identity, home, room, theme)


def _plain(identity: str | None, home: str | None, room: str) -> int:
    from chatctl.client import Client
    from chatctl.scripts.pipe import run

    with Client(load_identity(identity, home)) as client:
        return run(client, room)


def _line(identity: str | None, home: str | None, room: str, theme: str) -> int:
    from chatctl.client import Client
    from chatctl.terminal.line_client import run

    loaded = load_identity(identity, home)
    with Client(loaded, state=state_folder(loaded, os.environ)) as client:
        return run(client, room, theme)


for command in (send, tail, history, search, whoami, bot, window):
    cli.add_command(command)
cli.add_command(completion_command("chat"))


def main() -> None:
    """Run the program."""
    streams.prepare()
    sys.exit(output.run(cli, "chat"))
