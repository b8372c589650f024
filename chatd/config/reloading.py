"""Compare two settings: which changes a reload applies, and which need a restart."""

from __future__ import annotations

from typing import Any, NamedTuple

from chatd.config.schema import Settings

# Keys that only take effect when a process starts; a reload applies all others.
NEEDS_RESTART = (
    "server.name",
    "server.host",
    "server.port",
    "server.enrol",
    "security.encryption_enabled",
    "workers.count",
    "gateway.listen",
    "gateway.certificate_file",
    "gateway.key_file",
    "shipping.syslog",
    "shipping.ca_file",
    "shipping.identity_file",
    "shipping.host_name",
    "cluster.node",
    "cluster.members",
    "cluster.listen",
    "cluster.nats",
    "cluster.nats_syncs",
    "cluster.copies",
    "cluster.lead_seconds",
    "cluster.stall_seconds",
    "cluster.isolated_seconds",
    "cluster.isolated",
)
_SECTIONS_WITH_KEYS = frozenset(Settings.model_fields) - {"rooms"}


class Changes(NamedTuple):
    """Paths of changed keys: those that a reload applies, and those that need a restart."""

    applied: list[str]
    needs_restart: list[str]


def compare(old: Settings, new: Settings) -> Changes:
    before, after = _flat(old), _flat(new)
    changed = [key for key in after if before.get(key) != after[key]]
    return Changes(
        [key for key in changed if key not in NEEDS_RESTART],
        [key for key in changed if key in NEEDS_RESTART],
    )


def in_force(old: Settings, new: Settings) -> Settings:
    """Return ``new``, but keep ``old``'s values for the keys that need a restart.

    Until then a replaced process must run with the same values as the others.
    """
    for key in NEEDS_RESTART:
        section, name = key.split(".")
        kept = {name: getattr(getattr(old, section), name)}
        new = new.model_copy(update={section: getattr(new, section).model_copy(update=kept)})
    return new


def _flat(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, value in settings.model_dump(mode="json").items():
        if section in _SECTIONS_WITH_KEYS:
            flat |= {f"{section}.{key}": item for key, item in value.items()}
        else:
            flat[section] = value
    return flat
