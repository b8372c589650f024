"""The acts of admins and operators, from the server's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from chatctl.connecting import App, connecting
from chatd.console import output
from chatd.console.moments import Moment
from chatd.console.numbers import number
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import PAGE_LIMIT

if TYPE_CHECKING:
    from chatctl.client import Client

# Bounds the memory of the command.
LIST_LIMIT = 10_000
# Changed settings that a row of the table shows; --json has all of them.
SHOWN_CHANGES = 3
# Numbers that can only be a time in ms since 1970: from 2001 to 2286.
_TIMES = range(10**12, 10**13)
# Fields that have columns of their own, or none.
_COLUMNS = frozenset(("type", "seq", "at", "by", "by_uid", "by_login", "user", "device", "room", "reason"))


@click.command()
@click.option("--since", metavar="T", type=Moment(), help="Only from T on: RFC 3339, a date, or an age (2h).")
@click.option("--until", metavar="T", type=Moment(), help="Only before T.")
@click.option("--actor", metavar="NAME", help="Only acts of this user, or of this login name on the box.")
@click.option("--target", metavar="NAME", help="Only acts that concern this user or #room.")
@click.option("--type", "event", metavar="TYPE", help="Only this type, such as banned, role_set, redacted.")
@click.option(
    "--limit",
    type=number(1, LIST_LIMIT),
    default=50,
    show_default=True,
    help="How many of the newest.",
)
@connecting
def audit(
    app: App,
    since: int | None,
    until: int | None,
    actor: str | None,
    target: str | None,
    event: str | None,
    limit: int,
) -> None:
    """Show what admins and operators did, oldest first; with --json, one object per line.

    Sanctions, roles, users and devices, redactions, holds, rooms, announcements (without their text),
    exports, backups, changes of the settings.
    """
    event = event and event.replace(" ", "_")  # as the table shows it
    filters = {"since": since, "until": until, "actor": actor, "target": target, "event": event}
    with app.client() as client:
        events, more = newest(client, limit, filters)
    if app.as_json:
        for row in events:
            output.json_line(row)
    else:
        columns: output.Columns = dict.fromkeys(("at", "by", "event", "target", "details"), output.plain)
        output.table([_row(found) for found in events], columns)
    if more:
        output.note("there are more: raise --limit, or narrow with --since, --actor, --target or --type")


def newest(client: Client, limit: int, filters: dict[str, Any]) -> tuple[list[JsonObject], bool]:
    """Return the newest audited events, oldest first, and whether there are more."""
    found: list[JsonObject] = []
    before: int | None = None
    more = True
    while more and len(found) < limit:
        page = client.request("audit", before=before, limit=min(PAGE_LIMIT, limit - len(found)), **filters)
        found += [event for event in page["events"] if isinstance(event, dict)]
        # A page may be empty although more follow; a cursor that does not fall would repeat it forever.
        more = page["more"] is True and (before is None or page["cursor"] < before)
        before = page["cursor"]
    return found[::-1], more


def _row(event: JsonObject) -> JsonObject:
    login = event.get("by_login")
    return {
        "at": output.moment(event.get("at")),
        "by": f"{event.get('by')} ({login})" if login else event.get("by"),
        "event": _words(event.get("type")),
        "target": _target(event),
        "details": _details(event),
    }


def _target(event: JsonObject) -> str:
    user, device, room = (event.get(name) for name in ("user", "device", "room"))
    whom = f"{user}/{device}" if user and device else str(user or "")
    if not room or room == "*":
        return whom
    return f"{whom} in {room}" if whom else str(room)


def _details(event: JsonObject) -> str:
    words = [
        f"{_words(name)} {_value(name, value)}"
        for name, value in event.items()
        if name not in _COLUMNS and value not in (None, "", [])
    ]
    reason = event.get("reason")
    return ", ".join(words) + (f": {reason}" if words and reason else str(reason or ""))


def _value(name: str, value: Any) -> str:
    if name == "changes" and isinstance(value, list):
        shown = [_change(item) for item in value[:SHOWN_CHANGES] if isinstance(item, dict)]
        rest = len(value) - len(shown)
        return "; ".join([*shown, *([f"{rest} more"] if rest > 0 else [])])
    if isinstance(value, bool):
        return output.yes_no(value)
    if isinstance(value, int) and value in _TIMES:
        return output.moment(value)
    if isinstance(value, list):
        return output.joined(value)
    return str(value)


def _words(name: Any) -> str:
    return str(name).replace("_", " ")


def _change(item: JsonObject) -> str:
    before, after = (output.plain(item.get(name)) for name in ("before", "after"))
    return f"{item.get('setting')} {before} -> {after}"
