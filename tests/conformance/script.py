"""One conversation that every client passes, and the one list of what has to be true of it.

`hold` talks: a user at the client under test (the seat), bob at the library, alice who moderates. A worker is
killed in the middle. `judge` compares what the seat and bob were shown with the server's log.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from chatctl.client import AnyEvent, CaughtUp, Client, Joined, Message, Parted, Presence, read_identity
from chatctl.model.render import title
from tests.conformance.seat import Seat, Shown
from tests.support.daemon import Daemon, wait_until

OLD_BEYOND = 10
STORM = 12
KILL_AT = 4
ANSWER_SECONDS = 60.0


class Listener:
    """A user at the library who remembers everything."""

    def __init__(self, daemon: Daemon, user: str, device: str = "laptop") -> None:
        self.events: list[AnyEvent] = []
        self.client = Client(read_identity(daemon.identity(user, device)))
        self.client.on_event(self.events.append)

    def start(self) -> Listener:
        self.client.start()
        self.client.wait_connected(30)
        wait_until(lambda: any(isinstance(e, CaughtUp) for e in list(self.events)), what="being caught up")
        return self

    def say(self, to: str, body: str, kind: str = "text") -> int:
        """Send and wait for the answer: the place in the log."""
        return self.client.send(to, body, kind=kind).wait(ANSWER_SECONDS).seq

    def shown(self, where: str) -> list[Shown]:
        """The messages of a conversation as they came."""
        me = self.client.identity.user
        heard = [e for e in list(self.events) if isinstance(e, Message) and title(e.room, me) == where]
        return [Shown(e.user, e.kind, e.body) for e in heard]

    def log(self, room: str) -> list[Shown]:
        """What the server has of a room."""
        page = self.client.request("history", room=room, limit=500, timeout=ANSWER_SECONDS)
        assert not page["more"]
        return [Shown(e["user"], e["kind"], e["body"]) for e in page["events"] if e["type"] == "message"]

    def heard(self, kind: type[Any], /, **fields: object) -> None:
        """Wait for an event."""

        def there() -> bool:
            events = [event for event in list(self.events) if isinstance(event, kind)]
            return any(all(getattr(e, n) == v for n, v in fields.items()) for e in events)

        wait_until(there, seconds=ANSWER_SECONDS, what=f"{kind.__name__} {fields}")


@dataclass
class Outcome:
    """What there is to be judged. ``old``: said before the seat came."""

    seat: Seat
    room: str
    old: list[Shown] = field(default_factory=list)
    said: list[Shown] = field(default_factory=list)
    log: list[Shown] = field(default_factory=list)
    seen: list[Shown] = field(default_factory=list)
    bob_saw: list[Shown] = field(default_factory=list)
    direct: list[Shown] = field(default_factory=list)
    bob_direct: list[Shown] = field(default_factory=list)
    history: list[Shown] = field(default_factory=list)


def hold(daemon: Daemon, seat: Seat) -> Outcome:
    """Have the conversation, every step waited for."""
    with ExitStack() as stack:
        alice, bob = Listener(daemon, "alice", "console").start(), Listener(daemon, "bob").start()
        stack.callback(alice.client.close)
        stack.callback(bob.client.close)
        stack.callback(seat.close)
        return _Table(daemon, seat, alice, bob).hold()


class _Table:
    def __init__(self, daemon: Daemon, seat: Seat, alice: Listener, bob: Listener) -> None:
        self.daemon, self.seat, self.alice, self.bob = daemon, seat, alice, bob
        self.room, self.other = f"#{seat.name}", f"#{seat.name}x"
        self.outcome = Outcome(seat, self.room)

    def hold(self) -> Outcome:
        for room in (self.room, self.other):
            self.alice.client.request("create", room=room)
        self.bob.client.request("join", room=self.room)
        self._before()
        self.seat.enter(self.room)
        self.bob.heard(Joined, room=self.room, user=self.seat.user)
        self._talk()
        self._direct()
        self._storm()
        self._look_back()
        if "away" not in self.seat.cannot:
            self.seat.away("having lunch")
            self.bob.heard(Presence, user=self.seat.user, state="away", text="having lunch")
        if "leave" not in self.seat.cannot:
            self.seat.enter(self.other)
            self.alice.heard(Joined, room=self.other, user=self.seat.user)
            self.seat.leave(self.other)
            self.alice.heard(Parted, room=self.other, user=self.seat.user, by=self.seat.user)
            self.seat.enter(self.room)
        self.alice.client.request("kick", user=self.seat.user, room=self.room, reason="enough now")
        told = re.compile("removed from|enough now")
        wait_until(lambda: told.search(self.seat.told()), what="being told of the kick")
        return self.outcome

    def _before(self) -> None:
        welcome = self.bob.client.wait_connected(10)
        for number in range(welcome.limits.history_on_join + OLD_BEYOND):
            self.bob.say(self.room, f"old-{number}")
            self.outcome.old.append(Shown("bob", "text", f"old-{number}"))

    def _talk(self) -> None:
        self._own("own-0")
        # What a client shows as said is in the log by then.
        assert Shown(self.seat.user, "text", "own-0") in self.alice.log(self.room)
        for number in range(5):
            self._bob(f"other-{number}")
        self._bob("waves-0", kind="action")
        if "action" not in self.seat.cannot:
            self.seat.act(self.room, "nods-0")
            self.outcome.said.append(Shown(self.seat.user, "action", "nods-0"))
            self._shown("nods-0")
        assert self.seat.called() in (None, False)
        self._bob(f"{self.seat.user}: look call-0")
        assert self.seat.called() in (None, True)

    def _direct(self) -> None:
        self.seat.enter("@bob")
        self.seat.say("@bob", "psst-0")
        wait_until(lambda: self.seat.shown("@bob"), what="psst-0")
        self.bob.say(f"@{self.seat.user}", "psst-1")
        wait_until(lambda: len(self.seat.shown("@bob")) == 2, what="psst-1")
        wait_until(lambda: len(self.bob.shown(f"@{self.seat.user}")) == 2, what="psst-1 at bob's")
        self.outcome.direct = self.seat.shown("@bob")
        self.outcome.bob_direct = self.bob.shown(f"@{self.seat.user}")
        self.seat.enter(self.room)

    def _storm(self) -> None:
        """Both talk without waiting for each other while every worker is killed."""
        waiting = []
        for number in range(STORM):
            self.seat.say(self.room, f"storm-{number}")
            waiting.append(self.bob.client.send(self.room, f"hail-{number}"))
            self.outcome.said += [
                Shown(self.seat.user, "text", f"storm-{number}"),
                Shown("bob", "text", f"hail-{number}"),
            ]
            if number == KILL_AT:
                for child in self.daemon.status()["children"]:
                    if child["kind"] == "worker":
                        os.kill(child["pid"], signal.SIGKILL)
        for sent in waiting:
            sent.wait(ANSWER_SECONDS)
        everything = len(self.outcome.old) + len(self.outcome.said)
        wait_until(
            lambda: len(self.alice.log(self.room)) >= everything, ANSWER_SECONDS, "all to be in the log"
        )
        last = self.bob.say(self.room, "end-0")
        self.outcome.said.append(Shown("bob", "text", "end-0"))
        self._shown("end-0")
        wait_until(lambda: any(getattr(e, "seq", 0) == last for e in list(self.bob.events)), what="bob's end")
        self.outcome.seen = self.seat.shown(self.room)
        self.outcome.bob_saw = self.bob.shown(self.room)
        self.outcome.log = self.alice.log(self.room)

    def _look_back(self) -> None:
        self.outcome.history = self.seat.history(self.room)

    def _own(self, body: str) -> None:
        self.seat.say(self.room, body)
        self.outcome.said.append(Shown(self.seat.user, "text", body))
        self._shown(body)

    def _bob(self, body: str, kind: str = "text") -> None:
        self.bob.say(self.room, body, kind)
        self.outcome.said.append(Shown("bob", kind, body))
        self._shown(body)

    def _shown(self, body: str) -> None:
        wait_until(
            lambda: any(one.body == body for one in self.seat.shown(self.room)),
            seconds=ANSWER_SECONDS,
            what=f"{body} at {self.seat.name}",
        )


def judge(outcome: Outcome) -> None:
    """All that has to be true, of every client."""
    old, said, log, me = outcome.old, outcome.said, outcome.log, outcome.seat.user
    assert log[: len(old)] == old
    assert Counter(log) == Counter(old + said), "in the log once each, and nothing else"
    for who in (me, "bob"):
        assert [one for one in log if one.who == who] == [one for one in old + said if one.who == who], who
    new = log[len(old) :]
    # On entering a room a client may show the end of what was said before.
    entered = [one for one in outcome.seen if one in old]
    assert entered == old[len(old) - len(entered) :]
    assert outcome.seen[len(entered) :] == new, "each once, in the order of the log"
    assert outcome.bob_saw == log
    assert outcome.direct == [Shown(me, "text", "psst-0"), Shown("bob", "text", "psst-1")]
    assert outcome.bob_direct == outcome.direct
    assert outcome.history == log
