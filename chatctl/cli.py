"""`chatctl`: what admins do, over the ordinary port with an ordinary identity whose role permits it."""

from __future__ import annotations

import sys

import click

from chatctl import output
from chatctl.client.scripts import search
from chatctl.commands import moderation, people, server
from chatctl.commands.common import root_options
from chatctl.commands.top import top
from chatd import __version__
from chatd.completion import completion_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@root_options
@click.version_option(__version__, prog_name="chatctl")
def cli(identity: str | None, home: str | None) -> None:
    """Administer a chatd server from anywhere its port can be reached.

    Log in with the identity file of a user whose role permits it (--identity, CHATD_IDENTITY, the home's
    first admin, or ~/.config/chatd/identity.pem). Data goes to stdout, all else to stderr. Exit codes: 0 ok,
    1 failed, 2 usage, 3 not found, 4 not permitted, 5 server unreachable, 6 partly done.
    """


@cli.group()
def user() -> None:
    """Users: list, kick, ban, mute, revoke their devices."""


@cli.group()
def room() -> None:
    """Rooms: list them and their members, hold and erase messages."""


@cli.group()
def role() -> None:
    """Roles: show what they may do, give a user another one."""


@cli.group("server")
def server_group() -> None:
    """The server: its numbers, once or live, and announcements."""


for command in (
    moderation.kick,
    moderation.ban,
    moderation.unban,
    moderation.bans,
    moderation.mute,
    moderation.unmute,
    moderation.revoke,
):
    cli.add_command(command)
    user.add_command(command)
for command in (moderation.redact, moderation.freeze):
    cli.add_command(command)
    room.add_command(command)
cli.add_command(people.users)
user.add_command(people.users, "list")
cli.add_command(people.rooms)
room.add_command(people.rooms, "list")
cli.add_command(people.who)
room.add_command(people.who)
role.add_command(people.role_set)
role.add_command(people.role_show)
cli.add_command(server.stats)
server_group.add_command(server.stats)
cli.add_command(top)
server_group.add_command(top)
cli.add_command(server.announce)
server_group.add_command(server.announce)
cli.add_command(search)
cli.add_command(server.explain)
cli.add_command(completion_command("chatctl"))


def main() -> None:
    """The console script."""
    sys.exit(output.run(cli, "chatctl"))
