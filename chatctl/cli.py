"""`chatctl`: administration over the server's port, with the identity of a user whose role permits it."""

from __future__ import annotations

import sys

import click

from chatctl.admin import people, room_commands, sanctions, server
from chatctl.admin.audit import audit
from chatctl.admin.top import top
from chatctl.connecting import root_options
from chatctl.scripts.one_shot import search, whoami
from chatd import __version__
from chatd.console import output, streams
from chatd.console.shell_completion import completion_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@root_options
@click.version_option(__version__, prog_name="chatctl")
def cli(identity: str | None, home: str | None) -> None:
    """Administer a chatd server from any machine that reaches its port.

    Logs in with the identity file of a user whose role permits the command (--identity, CHATD_IDENTITY,
    the home's first admin, or ~/.config/chatd/identity.pem). Data goes to stdout, everything else to
    stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 not permitted, 5 server unreachable,
    6 partly done, 8 done but its output not written, 130 interrupted.
    """


@cli.group()
def user() -> None:
    """Users: list, kick, ban and mute them, revoke their devices."""


@cli.group()
def room() -> None:
    """Rooms: list, create, archive, hold and remove them, list members, redact messages."""


@cli.group()
def role() -> None:
    """Roles: show their permissions, give a user a role."""


@cli.group("server")
def server_group() -> None:
    """The server: stats, once or live, acts of admins, and announcements."""


for command in (
    sanctions.kick,
    sanctions.ban,
    sanctions.unban,
    sanctions.bans,
    sanctions.mute,
    sanctions.unmute,
    sanctions.revoke,
):
    cli.add_command(command)
    user.add_command(command)
for command in (sanctions.redact, sanctions.hold, sanctions.freeze):
    cli.add_command(command)
    room.add_command(command)
cli.add_command(people.users)
user.add_command(people.users, "list")
cli.add_command(people.whois)
user.add_command(people.whois)
cli.add_command(people.rooms)
room.add_command(people.rooms, "list")
for command in (room_commands.create, room_commands.archive, room_commands.unarchive, room_commands.remove):
    room.add_command(command)
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
cli.add_command(audit)
server_group.add_command(audit)
cli.add_command(search)
cli.add_command(whoami)
cli.add_command(server.explain)
cli.add_command(completion_command("chatctl"))


def main() -> None:
    """Run the program."""
    streams.prepare()
    sys.exit(output.run(cli, "chatctl"))
