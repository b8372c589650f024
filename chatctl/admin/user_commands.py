"""One user: everything about them on one screen, and their removal."""

from __future__ import annotations

import click

from chatctl.admin.device_commands import DEVICE_COLUMNS
from chatctl.admin.sanctions import outcome_text, yes_option
from chatctl.connecting import App, confirm, connecting, dry_run_option, reason_option
from chatd.console import output, sanction_text
from chatd.console.leaving_text import removals
from chatd.proto.frames import JsonObject


@click.command()
@click.argument("user")
@connecting
def show(app: App, user: str) -> None:
    """Show USER: role, state, rooms, sponsor, open invites, and devices with their certificates."""
    from chatctl.model.paging import list_all

    with app.client() as client:
        result = client.request("whois", user=user)
        own = user == client.identity.user
        kind, fields = ("devices", {}) if own else ("certificates", {"user": user})
        result["devices"] = list_all(client.request, kind, "certificates", "device", **fields)

    def print_text() -> None:
        for label, text in _facts(result):
            output.line(f"{label:<8} {text}")
        output.table(result["devices"], DEVICE_COLUMNS)

    app.show(result, print_text)


def _facts(result: JsonObject) -> list[tuple[str, str]]:
    """Return the lines above the table of devices."""
    fixed = "  (fixed in config/settings.json)" if result["pinned"] else ""
    marks = [word for word in ("removed", "banned") if result.get(word)]
    state = ", ".join([*marks, output.plain(result["state"])])
    facts = [
        ("user", f"{result['user']}  {result.get('display', '')}".rstrip()),
        ("role", f"{result['role']}{fixed}"),
        ("state", f"{state}  {result['text']}".rstrip()),
        ("rooms", output.joined(result["rooms"])),
    ]
    facts += [("muted", sanction_text.muted(mute)) for mute in result.get("muted") or ()]
    if guest := result.get("guest"):
        facts.append(("guest", f"until {output.moment(guest['ends'])}, sponsor {guest['sponsor']}"))
    if until := result.get("invited_until"):
        facts.append(("invited", f"until {output.moment(until)}: see chatctl invite list"))
    if invites := result.get("invites"):
        facts.append(("invites", f"{invites} open, made by {result['user']}"))
    if written := result.get("written"):
        limit = f" of {written['limit']:,}" if written["limit"] else ""
        facts.append(("written", f"{written['today']:,}{limit} bytes today"))
    return facts


@click.command()
@click.argument("user")
@reason_option
@dry_run_option
@yes_option
@connecting
def remove(app: App, user: str, reason: str, dry_run: bool, yes: bool) -> None:
    """Remove USER: end sessions and open invites, revoke all devices, leave all rooms.

    What USER wrote stays, and the name stays taken. Nobody can invite USER again; only the server's box
    brings the user back: chatd user add USER --device NEW.
    """
    confirm(f"Remove {user} with all devices for good?", yes=yes or dry_run)
    result = app.ask("user_remove", user=user, reason=reason, dry_run=dry_run)
    details = f"  devices {result['devices']}  open invites {result['invites']}"
    lines = [outcome_text("removed", result, details), *filter(None, [removals(result)])]
    app.show(result, lambda: output.line("; ".join(lines)))


@click.command()
@click.argument("user")
@click.argument("display", metavar="[TEXT]", default="")
@connecting
def rename_display(app: App, user: str, display: str) -> None:
    """Set the display name of USER, shown beside the name; without TEXT, remove it.

    The name itself stays: it is in the certificates, and people check it.
    """
    result = app.ask("display_name", user=user, display=display)
    shown = f"is shown as {user} ({result['display']})" if result["display"] else "has no display name now"
    app.show(result, lambda: output.line(f"{user} {shown}"))
