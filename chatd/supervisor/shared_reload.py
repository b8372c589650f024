"""The supervisor's end of the settings that the nodes of a cluster share.

A reload that changes some of them waits for the hub, which has the leader judge and share them. What the
cluster shares, whoever has changed it, comes from the hub, and is put in force and written to the file here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from chatd.config.reloading import Changes
from chatd.config.schema import Settings
from chatd.config.shared import Shared, differing, shared_of, with_shared
from chatd.config.shared_file import bring_in_line
from chatd.errors import ChatdError
from chatd.logs import get_log
from chatd.supervisor.control import Reply

# Less than what `chatd reload` waits for, so that it can say what has happened.
ANSWER_SECONDS: Final = 8.0
PENDING_LIMIT: Final = 16

log = get_log("server")
errors = get_log("errors")


@dataclass
class PendingReload:
    """A reload that the cluster has not answered.

    ``changes`` are those of all its settings, ``shared`` has what it changes for all nodes.
    """

    settings: Settings
    changes: Changes
    by: dict[str, object]
    reply: Reply
    until: float
    shared: Shared = field(default_factory=dict)
    refusal: ChatdError | None = None


class SharedReload:
    """The reloads that wait, and what the cluster shares. ``send`` sends to the hub if that runs."""

    def __init__(self, home: Path, send: Callable[[dict[str, object]], bool]) -> None:
        self._home = home
        self._send = send
        self._shared: Shared = {}
        self._pending: dict[int, PendingReload] = {}
        self._number = 0

    @property
    def waits(self) -> bool:
        return bool(self._pending)

    def bring_file_in_line(self) -> None:
        """Write what the cluster shares to the file, should an earlier try have failed. Raises E600, E606."""
        if self._shared:
            bring_in_line(self._home, self._shared)

    def begin(self, current: Settings, pending: PendingReload) -> bool:
        """Have the cluster judge a reload; return False if it changes nothing that is shared.

        Raises E506 if there is nobody to ask.
        """
        before, after = shared_of(current), shared_of(pending.settings)
        changed = {path: after[path] for path in differing(before, after)}
        if not changed or not current.cluster.others:
            return False
        self._number += 1
        message = {"type": "share", "number": self._number, "shared": changed, "by": pending.by}
        if len(self._pending) >= PENDING_LIMIT or not self._send(message):
            raise ChatdError(
                "E506", "the hub, which asks the other nodes, does not run yet", "try again in a moment"
            )
        pending.shared = changed
        self._pending[self._number] = pending
        return True

    def take(self, current: Settings, shared: Shared, *, fresh: bool) -> Settings:
        """Take what the cluster shares; return the settings that are in force with it.

        A hub that says so at its start (not ``fresh``) knows of no reload that the former one was asked.
        """
        self._shared = shared
        for pending in self._pending.values():
            if not fresh and self._holds(pending):
                pending.until = 0.0
        try:
            bring_in_line(self._home, shared)
        except ChatdError as error:
            errors.error("settings_not_written", code=error.code, why=error.reason, fix=error.fix)
        return self.over(current)

    def over(self, settings: Settings) -> Settings:
        """Return settings with what the cluster shares instead of their own; as they are if it is unknown."""
        if not self._shared:
            return settings
        try:
            return with_shared(settings, self._shared)
        except ChatdError:
            return settings  # the hub has logged it

    def answered(self, outcome: dict[str, Any]) -> PendingReload | None:
        """Return the reload that the hub answers, with its refusal if it was refused."""
        pending = self._pending.pop(int(outcome["number"]), None)
        unknown = outcome["code"] == "E503"
        if pending is not None and outcome["code"] and not (unknown and self._holds(pending)):
            pending.refusal = ChatdError(outcome["code"], outcome["reason"], outcome["fix"])
        return pending

    def overdue(self, now: float) -> list[PendingReload]:
        """Return the reloads that nobody will answer, with a refusal unless they hold."""
        numbers = [number for number, pending in self._pending.items() if now >= pending.until]
        found = [self._pending.pop(number) for number in numbers]
        for pending in found:
            if self._holds(pending):
                continue
            reason = "outcome unknown: the other nodes have not answered in time"
            pending.refusal = ChatdError("E503", reason, "see whether it holds: chatd cluster status")
        return found

    def _holds(self, pending: PendingReload) -> bool:
        """Whether the cluster shares what a reload has changed."""
        return all(self._shared.get(path) == value for path, value in pending.shared.items())
