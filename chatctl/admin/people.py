"""Users, rooms, members and roles."""

from __future__ import annotations

import click

from chatctl.connecting import App, connecting, dry_run_option, reason_option, room_name
from chatd.console import output, sanction_text
from chatd.console.leaving_text import removals
from chatd.proto.frames import JsonObject


@click.command()
@click.option("--devices", is_flag=True, help="List each device: revoked, online or not.")
@connecting
def users(app: App, devices: bool) -> None:
    """List all users with role, presence and number of devices."""
    # A server of an older version does not know the field.
    result = app.ask_pages("users", "users", "user", **({"devices": True} if devices else {}))
    if devices:
        app.show(result, lambda: output.table(_device_rows(result), _DEVICE_COLUMNS))
        return
    columns: output.Columns = {
        "user": str,
        "display": output.plain,
        "role": str,
        "state": output.plain,
        "devices": str,
        "pinned": output.yes_no,
        "banned": output.yes_no,
        "removed": output.yes_no,
    }
    app.show(result, lambda: output.table(result["users"], columns))


_PERSON_COLUMNS: output.Columns = {
    "user": str,
    "display": output.plain,
    "role": str,
    "state": str,
    "text": output.plain,
}
_DEVICE_COLUMNS: output.Columns = {
    "user": str,
    "role": str,
    "device": str,
    "revoked": output.yes_no,
    "online": output.yes_no,
}


def _device_rows(result: JsonObject) -> list[JsonObject]:
    """A row for each device; a user without one has a row, too."""
    none = {"device": "-"}
    return [
        {"user": user["user"], "role": user["role"], **device}
        for user in result["users"]
        for device in user.get("device_list") or [none]
    ]


@click.command()
@click.option("--archived", is_flag=True, help="List the archived rooms instead.")
@connecting
def rooms(app: App, archived: bool) -> None:
    """List the rooms you may see."""
    # A server of an older version does not know the field.
    fields = {"archived": True} if archived else {}
    result = app.ask_pages("rooms", "rooms", "room", **fields)
    columns: output.Columns = {
        "room": str,
        "members": str,
        "mode": output.plain,
        "guests": output.yes_no,
        "joined": output.yes_no,
        "topic": output.plain,
    }
    app.show(result, lambda: output.table(result["rooms"], columns))


@click.command()
@click.argument("room", metavar="ROOM", type=room_name)
@connecting
def who(app: App, room: str) -> None:
    """List the members of ROOM (the # may be left out)."""
    result: JsonObject = {"room": room} | app.ask_pages("who", "members", "user", room=room)
    app.show(result, lambda: output.table(result["members"], _PERSON_COLUMNS))


@click.command()
@click.argument("user")
@connecting
def whois(app: App, user: str) -> None:
    """Show USER with role, presence, devices, and the rooms that you may know of."""
    result = app.ask("whois", user=user)

    def print_text() -> None:
        marks = ("pinned", "banned", *(["removed"] if result.get("removed") else []))
        output.table([result], {**_PERSON_COLUMNS, **dict.fromkeys(marks, output.yes_no)})
        output.line(f"rooms    {output.joined(result['rooms'])}")
        for mute in result.get("muted") or ():
            output.line(f"muted    {sanction_text.muted(mute)}")
        if written := result.get("written"):
            limit = f" of {written['limit']:,}" if written["limit"] else ""
            output.line(f"written  {written['today']:,}{limit} bytes today")
        output.table(result["devices"], {"device": str, "revoked": output.yes_no, "online": output.yes_no})

    app.show(result, print_text)


@click.command("set")
@click.argument("user")
@click.argument("role")
@reason_option
@dry_run_option
@connecting
def role_set(app: App, user: str, role: str, reason: str, dry_run: bool) -> None:
    """Give USER the role ROLE, immediately and on all devices.

    USER leaves the rooms and groups that ROLE may not be in, such as all that are closed to guests, and
    does not return to them with another role. --dry-run shows which. A role that is fixed under
    roles.assigned in config/settings.json can only be changed there.
    """
    # A server of an older version does not know the field.
    trial = {"dry_run": True} if dry_run else {}
    result = app.ask("role_set", user=user, role=role, reason=reason or None, **trial)
    head = f"{result['user']} {'would be' if dry_run else 'is now'} {result['role']}"
    app.show(result, lambda: output.line("; ".join(filter(None, (head, removals(result))))))


@click.command("list")
@connecting
def role_list(app: App) -> None:
    """List the roles with their permissions, and the users whose role is fixed."""
    result = app.ask("role_show", user=None)
    app.show(result, lambda: _print_roles(result))


@click.command("show")
@click.argument("user", required=False)
@connecting
def role_show(app: App, user: str | None) -> None:
    """Show the permissions of all roles, or the role of USER."""
    result = app.ask("role_show", user=user)

    def print_text() -> None:
        if user is None:
            _print_roles(result)
            return
        fixed = "  (fixed in config/settings.json)" if result["pinned"] else ""
        output.line(f"{result['user']}  {result['role']}{fixed}")

    app.show(result, print_text)


def _print_roles(result: JsonObject) -> None:
    for role, permissions in result["roles"].items():
        default = "  (default)" if role == result["default"] else ""
        output.line(f"{role}{default}: {output.joined(permissions)}")
    for name, role in result["pinned"].items():
        output.line(f"fixed in config/settings.json: {name} is {role}")
