"""Say how long bans and mutes last. All functions are pure."""

from __future__ import annotations

from chatd.console.output import moment
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible


def ends(sanction: JsonObject) -> str:
    """Return "until 2026-01-31T08:00:00Z", or that it has no end."""
    until = sanction.get("until")
    return f"until {moment(until)}" if isinstance(until, int) else "until an admin ends it"


def replaced(result: JsonObject) -> str:
    """Return "; before, it was until ..." for a sanction that has taken the place of another; else ""."""
    former = result.get("replaced")
    if not isinstance(former, dict):
        return ""
    verb = "would replace" if result.get("dry_run") is True else "replaces"
    return f"; that {verb} one {ends(former)}"


def muted(mute: JsonObject) -> str:
    """Return "in #war until ...: loud"; without a room "everywhere ..."."""
    reason = f": {mute['reason']}" if mute.get("reason") else ""
    where = f"in {mute['room']}" if mute.get("room") else "everywhere"
    return visible(f"{where} {ends(mute)}{reason}", newlines=False)
