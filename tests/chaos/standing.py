"""Bans, mutes, revocations and memberships at each seq, derived from the log. Stdlib only."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from tests.chaos.log_chain import Event

_FOREVER = 2**63
EVERYONE = "*"


class Span(NamedTuple):
    """The seqs of the events that began and ended it, and the reason."""

    begin: int
    end: int
    why: str


class _Spans:
    """Spans by key, built in one pass over the log."""

    def __init__(self) -> None:
        self._done: dict[str, list[Span]] = defaultdict(list)
        self._open: dict[str, tuple[int, str]] = {}

    def begin(self, key: str, seq: int, why: str) -> None:
        self._open.setdefault(key, (seq, why))

    def end(self, key: str, seq: int) -> None:
        if key in self._open:
            begin, why = self._open.pop(key)
            self._done[key].append(Span(begin, seq, why))

    def of(self, key: str) -> list[Span]:
        unfinished = [Span(self._open[key][0], _FOREVER, self._open[key][1])] if key in self._open else []
        return self._done[key] + unfinished


class Standing:
    """``acts`` lists the admin's acts as (kind, user, device or role or "")."""

    def __init__(self, events: list[Event]) -> None:
        self.acts: list[tuple[str, str, str]] = []
        self._banned, self._revoked, self._muted, self._members = _Spans(), _Spans(), _Spans(), _Spans()
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        kind, body, seq = event.kind, event.body, event.seq
        user = body.get("user", "")
        if kind in ("banned", "unbanned", "muted", "unmuted", "device_revoked", "role_set"):
            self.acts.append((kind, user, body.get("device") or body.get("role") or ""))
        if kind == "banned":
            self._banned.begin(user, seq, f"banned at {seq}")
        elif kind == "unbanned":
            self._banned.end(user, seq)
        elif kind == "muted":
            self._muted.begin(user, seq, f"muted at {seq}")
        elif kind == "unmuted":
            self._muted.end(user, seq)
        elif kind == "device_revoked":
            self._revoked.begin(f"{user}/{body['device']}", seq, f"revoked at {seq}")
        elif kind == "joined":
            self._members.begin(f"{user} {body['room']}", seq, "")
        elif kind == "parted":
            self._members.end(f"{user} {body['room']}", seq)

    def _exclusions(self, who: str) -> list[Span]:
        return self._banned.of(who.partition("/")[0]) + self._revoked.of(who)

    def excluded(self, who: str, head: int) -> str:
        """Why ``who`` had to be refused when the log had reached ``head``; "" if there was no reason."""
        return next((span.why for span in self._exclusions(who) if span.begin <= head < span.end), "")

    def cut_between(self, who: str, opened: int, seq: int) -> str:
        """Why a session opened at head ``opened`` must have ended before ``seq``; "" if none."""
        return next((span.why for span in self._exclusions(who) if opened < span.begin < seq), "")

    def silenced(self, who: str, seq: int) -> str:
        """Why ``who`` was not allowed to write at ``seq``; "" if there was no reason."""
        spans = self._muted.of(who.partition("/")[0]) + self._exclusions(who)
        return next((span.why for span in spans if span.begin < seq < span.end), "")

    def may_read(self, user: str, room: str, seq: int, live: bool) -> bool:
        """Whether ``user`` may see event ``seq`` of ``room``: live, if a member at that seq; on resume, if a
        member then or later, because members may read a room's history."""
        if room == EVERYONE:
            return True
        spans = self._members.of(f"{user} {room}")
        return any(seq <= span.end and (span.begin <= seq or not live) for span in spans)

    def stays_in(self, user: str, event: Event) -> bool:
        """Whether ``user`` was in the event's room then and stayed until the end of the log."""
        spans = self._members.of(f"{user} {event.room}")
        return bool(spans) and spans[-1].end == _FOREVER and spans[-1].begin <= event.seq
