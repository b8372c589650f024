"""`chatctl`: administration over the server's port, with the identity of a user whose role permits it."""

from __future__ import annotations

import sys

import click

from chatctl.connecting import root_options
from chatctl.shared_commands import SEARCH, WHOAMI
from chatd import __version__
from chatd.console import output, streams
from chatd.console.command_table import TableEntry, TableGroup
from chatd.console.shell_completion import completion_command

_ADMIN = "chatctl.admin"
_REVOKE = TableEntry(
    f"{_ADMIN}.revoke_command:revoke", "Revoke a device's certificate for good and end its sessions."
)
# Under their group and, for short, at the top.
USER = {
    "kick": TableEntry(f"{_ADMIN}.sanctions:kick", "End the sessions of USER, or remove USER from one room."),
    "ban": TableEntry(f"{_ADMIN}.sanctions:ban", "End the sessions of USER and refuse new ones."),
    "unban": TableEntry(
        f"{_ADMIN}.sanctions:unban",
        "End a ban of USER, or the time after a kick in which USER cannot come back.",
    ),
    "bans": TableEntry(f"{_ADMIN}.sanctions:bans", "List the current bans."),
    "mute": TableEntry(f"{_ADMIN}.sanctions:mute", "Refuse messages of USER, everywhere or in one room."),
    "mutes": TableEntry(f"{_ADMIN}.sanctions:mutes", "List the current mutes."),
    "unmute": TableEntry(
        f"{_ADMIN}.sanctions:unmute",
        "End a mute of USER: the one everywhere, or with --room the one in that room.",
    ),
    "revoke": _REVOKE,
}
_HOLD = TableEntry(
    f"{_ADMIN}.sanctions:hold", "Hold ROOM: neither retention nor redact deletes its messages."
)
ROOM = {
    "redact": TableEntry(
        f"{_ADMIN}.sanctions:redact",
        "Redact message SEQ of ROOM: delete its text for everybody and for good.",
    ),
    "hold": _HOLD,
    "freeze": TableEntry(f"{_ADMIN}.sanctions:freeze", _HOLD.summary, hidden=True),
    "who": TableEntry(f"{_ADMIN}.people:who", "List the members of ROOM (the # may be left out)."),
}
# Under their group only.
ROOM_LIFE = {
    "create": TableEntry(f"{_ADMIN}.room_commands:create", "Create ROOM, enter it and own it."),
    "info": TableEntry(
        f"{_ADMIN}.room_people:info",
        "Show ROOM: its mode, what new members read, its owners and invitations.",
    ),
    "mode": TableEntry(f"{_ADMIN}.room_people:mode", "Set the mode of ROOM; its members stay."),
    "owner": TableEntry(f"{_ADMIN}.room_people:owner", "Make USER, a member of ROOM, an owner of it."),
    "invite": TableEntry(f"{_ADMIN}.room_people:invite", "Invite USER to ROOM, as one of its owners."),
    "uninvite": TableEntry(
        f"{_ADMIN}.room_people:uninvite",
        "Withdraw the invitation of USER to ROOM; with your own name decline yours.",
    ),
    "remove-member": TableEntry(
        f"{_ADMIN}.room_people:remove_member", "Remove USER from ROOM, as one of its owners."
    ),
    "archive": TableEntry(
        f"{_ADMIN}.room_commands:archive",
        "Archive ROOM: its members read and search it, nobody writes there or enters.",
    ),
    "unarchive": TableEntry(
        f"{_ADMIN}.room_commands:unarchive",
        "End the archiving of ROOM: members write, and others enter, as before.",
    ),
    "remove": TableEntry(
        f"{_ADMIN}.room_commands:remove",
        "Remove ROOM for everybody and for good, with the texts of all its messages.",
    ),
}
SERVER = {
    "stats": TableEntry(
        f"{_ADMIN}.server:stats", "Show connections, messages and all processes of the server."
    ),
    "check": TableEntry(
        f"{_ADMIN}.checking:check", "Find problems of the server, now and soon, and say how to fix them."
    ),
    "top": TableEntry(
        f"{_ADMIN}.top:top",
        "Watch connections, message rates, latency and all processes, with sparklines; q quits.",
    ),
    "announce": TableEntry(f"{_ADMIN}.server:announce", "Announce TEXT to everybody on the server."),
    "audit": TableEntry(
        f"{_ADMIN}.audit:audit",
        "Show what admins and operators did, oldest first; with --json, one object per line.",
    ),
}
WHOIS = TableEntry(
    f"{_ADMIN}.people:whois", "Show USER with role, presence, devices, and the rooms that you may know of."
)
USERS = TableEntry(f"{_ADMIN}.people:users", "List all users with role, presence and number of devices.")
USER_LIFE = {
    "show": TableEntry(
        f"{_ADMIN}.user_commands:show",
        "Show USER: role, state, rooms, sponsor, open invites, and devices with their certificates.",
    ),
    "remove": TableEntry(
        f"{_ADMIN}.user_commands:remove",
        "Remove USER: end sessions and open invites, revoke all devices, leave all rooms.",
    ),
    "rename-display": TableEntry(
        f"{_ADMIN}.user_commands:rename_display",
        "Set the display name of USER, shown beside the name; without TEXT, remove it.",
    ),
}
ROOMS = TableEntry(f"{_ADMIN}.people:rooms", "List the rooms you may see.")
INVITE = {
    "create": TableEntry(
        f"{_ADMIN}.invite_commands:create",
        "Invite a new user NAME: print the line to send to them, which works once.",
    ),
    "list": TableEntry(
        f"{_ADMIN}.invite_commands:list_invites",
        "List the open invites, then those that have ended lately.",
    ),
    "cancel": TableEntry(
        f"{_ADMIN}.invite_commands:cancel", "Cancel the open invite for NAME: its line no longer works."
    ),
}
ASKS = {
    "asks": TableEntry(
        f"{_ADMIN}.ask_commands:list_asks",
        "List who asks to be let in (`chat ask`), with the words to compare by telephone.",
    ),
    "approve": TableEntry(
        f"{_ADMIN}.ask_commands:approve",
        "Let in whoever asks as NAME, once you have compared the words.",
    ),
    "deny": TableEntry(f"{_ADMIN}.ask_commands:deny", "Send away whoever asks as NAME."),
}
FILTER = {
    "test": TableEntry(
        f"{_ADMIN}.filter_command:test",
        "Say what the filter in force does about each line of FILE (- reads standard input) or about TEXT.",
    ),
}
HELD = {
    "list": TableEntry(
        f"{_ADMIN}.held_commands:list_held",
        "List the messages that wait for a moderator, with their texts, the oldest first.",
    ),
    "approve": TableEntry(
        f"{_ADMIN}.held_commands:approve",
        "Publish the held message ID under its writer's name, if the writer may still send it.",
    ),
    "refuse": TableEntry(
        f"{_ADMIN}.held_commands:refuse",
        "Refuse the held message ID: its text is removed, and its writer is told.",
    ),
    "withdraw": TableEntry(
        f"{_ADMIN}.held_commands:withdraw",
        "Take back your own held message ID: its text is removed, and moderators are told.",
    ),
}
HOOK = {
    "create": TableEntry(
        f"{_ADMIN}.hook_commands:create",
        "Make a hook, through which a program posts to ROOM: print its URL, and its token or secret.",
    ),
    "list": TableEntry(f"{_ADMIN}.hook_commands:list_hooks", "List the hooks, with the rooms they post to."),
    "rotate": TableEntry(
        f"{_ADMIN}.hook_commands:rotate",
        "Give the hook NAME another token or secret and print it; the former one ends at once.",
    ),
    "remove": TableEntry(
        f"{_ADMIN}.hook_commands:remove",
        "Remove the hook NAME: it posts no more. What it has posted stays.",
    ),
}
GUEST = {
    "list": TableEntry(
        f"{_ADMIN}.guest_commands:list_guests",
        "List your guests, or all if your role permits it, with the times when they end.",
    ),
    "extend": TableEntry(
        f"{_ADMIN}.guest_commands:extend", "Let your guest NAME stay longer by DURATION, such as 24h."
    ),
    "end": TableEntry(
        f"{_ADMIN}.guest_commands:end",
        "End the time of your guest NAME now: sessions, memberships and certificates.",
    ),
}
DEVICE = {
    "list": TableEntry(
        f"{_ADMIN}.device_commands:list_devices",
        "List your own devices, or those of USER, with their certificates.",
    ),
    "revoke": _REVOKE,
}
CERT = {
    "list": TableEntry(
        f"{_ADMIN}.device_commands:list_certificates",
        "List the certificates of all devices, or of those of USER: serial number, dates, who let them in.",
    ),
}
ROLE = {
    "list": TableEntry(
        f"{_ADMIN}.people:role_list",
        "List the roles with their permissions, and the users whose role is fixed.",
    ),
    "set": TableEntry(
        f"{_ADMIN}.people:role_set", "Give USER the role ROLE, immediately and on all devices."
    ),
    "show": TableEntry(
        f"{_ADMIN}.people:role_show", "Show the permissions of all roles, or the role of USER."
    ),
}
TOP = {
    **USER,
    **ROOM,
    **SERVER,
    **ASKS,
    "users": USERS,
    "whois": WHOIS,
    "rooms": ROOMS,
    "search": SEARCH,
    "whoami": WHOAMI,
    "explain": TableEntry(
        f"{_ADMIN}.server:explain", "Explain an error or warning CODE such as E204 and what to do."
    ),
}


@click.group(
    cls=TableGroup,
    table=TOP,
    sisters={"chat": "chatctl.chat:cli", "chatd": "chatd.cli.root:main"},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@root_options
@click.version_option(__version__, prog_name="chatctl")
def cli(identity: str | None, home: str | None) -> None:
    """Administer a chatd server from any machine that reaches its port.

    Logs in with the identity file of a user whose role permits the command (--identity, CHATD_IDENTITY,
    the home's first admin, or ~/.config/chatd/identity.pem). Data goes to stdout, everything else to
    stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 not permitted, 5 server unreachable,
    6 partly done, 7 warnings only (check), 8 done but its output not written, 130 interrupted.
    """


@cli.group(cls=TableGroup, table={**USER, **USER_LIFE, "list": USERS, "whois": WHOIS})
def user() -> None:
    """Users: list, show, name, remove, kick, ban and mute them, revoke their devices."""


@cli.group(cls=TableGroup, table={**ROOM, **ROOM_LIFE, "list": ROOMS})
def room() -> None:
    """Rooms: list, create, archive and remove them, their modes, owners and members, redact messages."""


@cli.group(cls=TableGroup, table=ROLE)
def role() -> None:
    """Roles: show their permissions, give a user a role."""


@cli.group(cls=TableGroup, table=INVITE)
def invite() -> None:
    """Invites: let new users in, who make their own keys."""


@cli.group(cls=TableGroup, table=HELD)
def held() -> None:
    """Decide about the messages that the filter holds."""


@cli.group("filter", cls=TableGroup, table=FILTER)
def filter_group() -> None:
    """The word filter in force on the server."""


@cli.group(cls=TableGroup, table=HOOK)
def hook() -> None:
    """Hooks: bots through which alerts and other programs post to a room."""


@cli.group(cls=TableGroup, table=GUEST)
def guest() -> None:
    """Guests: users whose time ends by itself, and who answers for them."""


@cli.group(cls=TableGroup, table=DEVICE)
def device() -> None:
    """Devices: list them with their certificates, revoke them."""


@cli.group(cls=TableGroup, table=CERT)
def cert() -> None:
    """Certificates of devices: list them, such as those that expire soon."""


@cli.group("server", cls=TableGroup, table=SERVER)
def server_group() -> None:
    """The server: stats, once or live, acts of admins, and announcements."""


cli.add_command(completion_command("chatctl"))


def main() -> None:
    """Run the program."""
    streams.prepare()
    sys.exit(output.run(cli, "chatctl"))
