"""The sessions at the other nodes of a cluster, as those tell them. Owned by the hub's loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

# Of one node; more than its sessions cannot be.
USERS_LIMIT = 100_000


class AwayText(NamedTuple):
    """An away text, and when it was set (ms since 1970); "" says that the user is back."""

    at: int = 0
    text: str = ""


class Elsewhere(NamedTuple):
    """A user's sessions at one node: device -> how many, and the workers they are on."""

    devices: Mapping[str, int]
    links: int
    away: AwayText


@dataclass(slots=True)
class _Node:
    users: dict[str, Elsewhere] = field(default_factory=dict)
    # Users who have not been told of since the node's hub began.
    unconfirmed: set[str] = field(default_factory=set)


class RemoteSessions:
    """What is known of the other nodes."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def of_user(self, user: str) -> list[Elsewhere]:
        """Return a user's sessions at each node that has some."""
        return [node.users[user] for node in self._nodes.values() if user in node.users]

    def note(self, node: str, user: str, elsewhere: Elsewhere) -> None:
        """Note a user's sessions at a node; none if it has no devices."""
        known = self._nodes.setdefault(node, _Node())
        known.unconfirmed.discard(user)
        if not elsewhere.devices:
            known.users.pop(user, None)
        elif user in known.users or len(known.users) < USERS_LIMIT:
            known.users[user] = elsewhere

    def between(self, node: str, first: str, last: str | None) -> Iterator[str]:
        """Yield the users of a node whose names are from ``first`` up to before ``last``."""
        known = self._nodes.get(node)
        for user in list(known.users) if known else ():
            if first <= user and (last is None or user < last):
                yield user

    def doubt(self, node: str) -> None:
        """Note that a node's hub has begun anew: what it does not tell again is no more."""
        known = self._nodes.setdefault(node, _Node())
        known.unconfirmed = set(known.users)

    def unconfirmed(self, node: str) -> Iterable[str]:
        """Return the users that a node has not told again."""
        known = self._nodes.get(node)
        return list(known.unconfirmed) if known else []

    def forget(self, user: str, device: str | None) -> None:
        """Forget the sessions of a user or of one device: every node ends them."""
        for known in self._nodes.values():
            elsewhere = known.users.get(user)
            if elsewhere is None:
                continue
            devices = {name: count for name, count in elsewhere.devices.items() if device not in (None, name)}
            if devices:
                known.users[user] = elsewhere._replace(devices=devices)
            else:
                del known.users[user]
