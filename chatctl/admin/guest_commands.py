"""Guests: list those whose time ends, extend it, end it."""

from __future__ import annotations

import click

from chatctl.admin.sanctions import needless_yes_option
from chatctl.connecting import App, connecting, dry_run_option, duration, reason_option
from chatd.console import output
from chatd.console.leaving_text import removals

name_argument = click.argument("user", metavar="NAME")


@click.command("list")
@connecting
def list_guests(app: App) -> None:
    """List your guests, or all if your role permits it, with the times when they end."""
    result = app.ask_pages("guest_list", "guests", "user")
    columns: output.Columns = {"user": str, "state": str, "ends": output.moment, "sponsor": str}
    app.show(result, lambda: output.table(result["guests"], columns))


@click.command()
@name_argument
@click.argument("seconds", metavar="DURATION", type=duration)
@connecting
def extend(app: App, user: str, seconds: int) -> None:
    """Let your guest NAME stay longer by DURATION, such as 24h."""
    result = app.ask("guest_extend", user=user, seconds=seconds)
    app.show(result, lambda: output.line(f"{user} is a guest until {output.moment(result['ends'])}"))


@click.command()
@name_argument
@reason_option
@dry_run_option
@needless_yes_option
@connecting
def end(app: App, user: str, reason: str, dry_run: bool) -> None:
    """End the time of your guest NAME now: sessions, memberships and certificates."""
    result = app.ask("guest_end", user=user, reason=reason, dry_run=dry_run)
    done = "would end" if dry_run else "ended"
    sessions = f"{result['sessions']} live sessions on {result['workers']} workers"
    line = "; ".join(filter(None, (f"{done} {user}: {sessions}", removals(result))))
    app.show(result, lambda: output.line(line))
