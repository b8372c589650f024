"""Which settings the nodes of a cluster share, and how they are put together with a machine's own.

The shared ones are a flat map, such as ``{"limits.message_chars": 500, "rooms": [...]}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from chatd.config.schema import Settings
from chatd.errors import ChatdError

# Values by their paths.
Shared = dict[str, Any]
_WHOLE: Final = "rooms"


class Scope(NamedTuple):
    """Whether the keys of a section are shared, ``but`` those that are named."""

    shared: bool
    but: frozenset[str] = frozenset()


# Shared: what the hub that leads decides by, whichever that is, and what devices are told of it. Local: what
# a machine, its network and its load ask for. Nothing shared needs a restart.
SCOPES: Final[Mapping[str, Scope]] = {
    "roles": Scope(True),
    "limits": Scope(
        True, frozenset(("outbox_bytes", "handshakes", "handshakes_per_address", "attempts_per_address"))
    ),
    "filter": Scope(True),
    "rooms": Scope(True),
    "retention": Scope(True),
    "server": Scope(False, frozenset(("ask",))),
    "security": Scope(False, frozenset(("certificate_days", "renewal_grace_days"))),
    "logging": Scope(False),
    "workers": Scope(False),
    "monitor": Scope(False),
    "gateway": Scope(False),
    "shipping": Scope(False),
    "cluster": Scope(False),
}


def is_shared(path: str) -> bool:
    """Return whether a key, such as "limits.rooms", is shared; a section that is unknown is not."""
    section, _, key = path.partition(".")
    scope = SCOPES.get(section, Scope(False))
    return scope.shared != (key in scope.but)


def shared_of(settings: Settings) -> Shared:
    """Return the shared part of settings."""
    found: Shared = {}
    for section, value in settings.model_dump(mode="json").items():
        if section == _WHOLE:
            found[section] = value
        else:
            found |= {path: item for key, item in value.items() if is_shared(path := f"{section}.{key}")}
    return found


KNOWN: Final = frozenset(shared_of(Settings()))


def unknown_keys(shared: Shared) -> list[str]:
    """Return the keys that this version of chatd does not share: another version has sent them."""
    return sorted(shared.keys() - KNOWN)


def with_shared(settings: Settings, shared: Shared) -> Settings:
    """Return settings with another shared part, keys that are missing there with their defaults.

    Keys that this version does not know are left out. Raises E600.
    """
    tree = settings.model_dump(mode="json")
    for path, value in (shared_of(Settings()) | shared).items():
        if path in KNOWN:
            put(tree, path, value)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise ChatdError("E600", f"{place}: {reason}" if place else reason) from None


def put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set a key of the tree of a settings file."""
    section, _, key = path.partition(".")
    if key:
        tree.setdefault(section, {})[key] = value
    else:
        tree[section] = value


def differing(one: Shared, other: Shared) -> list[str]:
    """Return the keys in which two shared parts differ."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
