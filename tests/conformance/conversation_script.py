"""The conversation that every client has to pass, and the checks of its outcome.

`run_conversation` has three users: one at the client under test, bob at the library, and alice, an admin.
All workers are killed in the middle. `check` compares what was shown with the server's log.
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
from tests.conformance.driver import Driver, ShownMessage
from tests.support.daemon import Daemon, wait_until

OLD_BEYOND = 10
STORM = 12
KILL_AT = 4
ANSWER_SECONDS = 60.0


class Listener:
    """A user at the library; keeps all events."""

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
        """Send a message, wait for the acknowledgement, and return the seq."""
        return self.client.send(to, body, kind=kind).wait(ANSWER_SECONDS).seq

    def shown(self, where: str) -> list[ShownMessage]:
        """The messages of a conversation in the order of arrival."""
        me = self.client.identity.user
        heard = [e for e in list(self.events) if isinstance(e, Message) and title(e.room, me) == where]
        return [ShownMessage(e.user, e.kind, e.body) for e in heard]

    def log(self, room: str) -> list[ShownMessage]:
        """The messages in the server's log of a room."""
        page = self.client.request("history", room=room, limit=500, timeout=ANSWER_SECONDS)
        assert not page["more"]
        return [
            ShownMessage(e["user"], e["kind"], e["body"]) for e in page["events"] if e["type"] == "message"
        ]

    def wait_event(self, kind: type[Any], /, **fields: object) -> None:
        """Wait for an event with these fields."""

        def there() -> bool:
            events = [event for event in list(self.events) if isinstance(event, kind)]
            return any(all(getattr(e, n) == v for n, v in fields.items()) for e in events)

        wait_until(there, seconds=ANSWER_SECONDS, what=f"{kind.__name__} {fields}")


@dataclass
class Outcome:
    """What `check` compares. ``old``: the messages from before the user under test entered."""

    driver: Driver
    room: str
    old: list[ShownMessage] = field(default_factory=list)
    said: list[ShownMessage] = field(default_factory=list)
    log: list[ShownMessage] = field(default_factory=list)
    seen: list[ShownMessage] = field(default_factory=list)
    bob_saw: list[ShownMessage] = field(default_factory=list)
    direct: list[ShownMessage] = field(default_factory=list)
    bob_direct: list[ShownMessage] = field(default_factory=list)
    history: list[ShownMessage] = field(default_factory=list)


def run_conversation(daemon: Daemon, driver: Driver) -> Outcome:
    """Run the conversation, and wait for the effect of every step."""
    with ExitStack() as stack:
        alice, bob = Listener(daemon, "alice", "console").start(), Listener(daemon, "bob").start()
        stack.callback(alice.client.close)
        stack.callback(bob.client.close)
        stack.callback(driver.close)
        return ConversationScript(daemon, driver, alice, bob).run_conversation()


class ConversationScript:
    def __init__(self, daemon: Daemon, driver: Driver, alice: Listener, bob: Listener) -> None:
        self.daemon, self.driver, self.alice, self.bob = daemon, driver, alice, bob
        self.room, self.other = f"#{driver.name}", f"#{driver.name}x"
        self.outcome = Outcome(driver, self.room)

    def run_conversation(self) -> Outcome:
        for room in (self.room, self.other):
            self.alice.client.request("create", room=room)
        self.bob.client.request("join", room=self.room)
        self._before()
        self.driver.enter(self.room)
        self.bob.wait_event(Joined, room=self.room, user=self.driver.user)
        self._talk()
        self._direct()
        self._storm()
        self._look_back()
        if "away" not in self.driver.unsupported:
            self.driver.away("having lunch")
            self.bob.wait_event(Presence, user=self.driver.user, state="away", text="having lunch")
        if "leave" not in self.driver.unsupported:
            self.driver.enter(self.other)
            self.alice.wait_event(Joined, room=self.other, user=self.driver.user)
            self.driver.leave(self.other)
            self.alice.wait_event(Parted, room=self.other, user=self.driver.user, by=self.driver.user)
            self.driver.enter(self.room)
        self.alice.client.request("kick", user=self.driver.user, room=self.room, reason="enough now")
        told = re.compile("removed from|enough now")
        wait_until(lambda: told.search(self.driver.output()), what="being told of the kick")
        return self.outcome

    def _before(self) -> None:
        welcome = self.bob.client.wait_connected(10)
        for number in range(welcome.limits.history_on_join + OLD_BEYOND):
            self.bob.say(self.room, f"old-{number}")
            self.outcome.old.append(ShownMessage("bob", "text", f"old-{number}"))

    def _talk(self) -> None:
        self._own("own-0")
        # A client shows an own message only when it is in the log.
        assert ShownMessage(self.driver.user, "text", "own-0") in self.alice.log(self.room)
        for number in range(5):
            self._bob(f"other-{number}")
        self._bob("waves-0", kind="action")
        if "action" not in self.driver.unsupported:
            self.driver.send_action(self.room, "nods-0")
            self.outcome.said.append(ShownMessage(self.driver.user, "action", "nods-0"))
            self._shown("nods-0")
        assert self.driver.alerted() in (None, False)
        self._bob(f"{self.driver.user}: look call-0")
        assert self.driver.alerted() in (None, True)

    def _direct(self) -> None:
        self.driver.enter("@bob")
        self.driver.say("@bob", "psst-0")
        wait_until(lambda: self.driver.shown("@bob"), what="psst-0")
        self.bob.say(f"@{self.driver.user}", "psst-1")
        wait_until(lambda: len(self.driver.shown("@bob")) == 2, what="psst-1")
        wait_until(lambda: len(self.bob.shown(f"@{self.driver.user}")) == 2, what="psst-1 at bob's")
        self.outcome.direct = self.driver.shown("@bob")
        self.outcome.bob_direct = self.bob.shown(f"@{self.driver.user}")
        self.driver.enter(self.room)

    def _storm(self) -> None:
        """Let both users send without waiting for each other while all workers are killed."""
        waiting = []
        for number in range(STORM):
            self.driver.say(self.room, f"storm-{number}")
            waiting.append(self.bob.client.send(self.room, f"hail-{number}"))
            self.outcome.said += [
                ShownMessage(self.driver.user, "text", f"storm-{number}"),
                ShownMessage("bob", "text", f"hail-{number}"),
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
        self.outcome.said.append(ShownMessage("bob", "text", "end-0"))
        self._shown("end-0")
        wait_until(lambda: any(getattr(e, "seq", 0) == last for e in list(self.bob.events)), what="bob's end")
        self.outcome.seen = self.driver.shown(self.room)
        self.outcome.bob_saw = self.bob.shown(self.room)
        self.outcome.log = self.alice.log(self.room)

    def _look_back(self) -> None:
        self.outcome.history = self.driver.history(self.room)

    def _own(self, body: str) -> None:
        self.driver.say(self.room, body)
        self.outcome.said.append(ShownMessage(self.driver.user, "text", body))
        self._shown(body)

    def _bob(self, body: str, kind: str = "text") -> None:
        self.bob.say(self.room, body, kind)
        self.outcome.said.append(ShownMessage("bob", kind, body))
        self._shown(body)

    def _shown(self, body: str) -> None:
        wait_until(
            lambda: any(one.body == body for one in self.driver.shown(self.room)),
            seconds=ANSWER_SECONDS,
            what=f"{body} at {self.driver.name}",
        )


def check(outcome: Outcome) -> None:
    """Assert what must hold for every client."""
    old, said, log, me = outcome.old, outcome.said, outcome.log, outcome.driver.user
    assert log[: len(old)] == old
    assert Counter(log) == Counter(old + said), "each message is in the log once, and nothing else"
    for who in (me, "bob"):
        assert [one for one in log if one.who == who] == [one for one in old + said if one.who == who], who
    new = log[len(old) :]
    # On entering a room a client may show the latest old messages.
    entered = [one for one in outcome.seen if one in old]
    assert entered == old[len(old) - len(entered) :]
    assert outcome.seen[len(entered) :] == new, "each once, in the order of the log"
    assert outcome.bob_saw == log
    assert outcome.direct == [ShownMessage(me, "text", "psst-0"), ShownMessage("bob", "text", "psst-1")]
    assert outcome.bob_direct == outcome.direct
    assert outcome.history == log
