"""Record in the log who may do what under which limits by the settings, whenever that changes.

Roles and bans are in the log, but the settings say what a role may do and pin roles of users. With these
events the log has the whole history of power.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chatd.config.schema import Settings
from chatd.hub.state.context import Context
from chatd.hub.state.model import SERVER
from chatd.proto.frames import JsonObject, compact

# The sections that are recorded. None of them holds a secret.
SECTIONS = ("roles", "limits", "retention")
# Bounds of one event: with either more follow in the next event. Its line in audit.log (4 KiB) stays whole,
# and a reply's arrays have at most 1024 items.
EVENT_CHANGES = 50
EVENT_BYTES = 3000


def recorded_settings(settings: Settings) -> dict[str, Any]:
    """Return the recorded settings by their paths, such as "roles.assigned.bob"."""
    found: dict[str, Any] = {}
    for section in SECTIONS:
        found |= _leaves(section, getattr(settings, section).model_dump(mode="json"))
    return found


def record_changes(context: Context, cause: str, by: JsonObject) -> None:
    """Emit what differs from the last recorded settings. ``by``: the fields that tell which operator acts."""
    for changes in _portions(_changes(context.state.settings, recorded_settings(context.rules.settings))):
        context.emit("settings_changed", cause=cause, changes=changes, **{"by": SERVER} | by)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{path}.{key}", item)
    else:
        # Permissions are a set: their order and repetitions mean nothing.
        yield path, sorted(set(value)) if isinstance(value, list) else value


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[JsonObject]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield {"setting": name, "before": before.get(name), "after": after.get(name)}


def _portions(changes: Iterator[JsonObject]) -> Iterator[list[JsonObject]]:
    portion: list[JsonObject] = []
    size = 0
    for change in changes:
        length = len(compact(change))
        if portion and (len(portion) == EVENT_CHANGES or size + length > EVENT_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(change)
        size += length
    if portion:
        yield portion
