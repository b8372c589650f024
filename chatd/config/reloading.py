"""What differs between two settings, and what of it needs a restart."""

from __future__ import annotations

from typing import Any, NamedTuple

from chatd.config.schema import Settings

# Bound, made or counted once when a process starts. Everything else is put in force by a reload.
NEEDS_RESTART = (
    "server.name",
    "server.host",
    "server.port",
    "security.encryption_enabled",
    "workers.count",
)
_SECTIONS_WITH_KEYS = frozenset(Settings.model_fields) - {"rooms"}


class Changes(NamedTuple):
    """Key paths: those a reload puts in force, and those that wait for a restart."""

    applied: list[str]
    needs_restart: list[str]


def compare(old: Settings, new: Settings) -> Changes:
    """The keys that differ."""
    before, after = _flat(old), _flat(new)
    changed = [key for key in after if before.get(key) != after[key]]
    return Changes(
        [key for key in changed if key not in NEEDS_RESTART],
        [key for key in changed if key in NEEDS_RESTART],
    )


def in_force(old: Settings, new: Settings) -> Settings:
    """The settings after a reload: the new ones, but what needs a restart as it was.

    A process that is replaced between reload and restart must agree with the others.
    """
    tree = new.model_dump()
    for key in NEEDS_RESTART:
        section, name = key.split(".")
        tree[section][name] = getattr(getattr(old, section), name)
    return Settings.model_validate(tree)


def _flat(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, value in settings.model_dump(mode="json").items():
        if section in _SECTIONS_WITH_KEYS:
            flat |= {f"{section}.{key}": item for key, item in value.items()}
        else:
            flat[section] = value
    return flat
