"""Every command of the table works in the line client and in the window, against a live server.

The commands come from the table, and each has a method of its name in `Commands`: a new command without
one fails here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatctl.client import (
    Announcement,
    Edited,
    Joined,
    Message,
    OwnerSet,
    Parted,
    Presence,
    Reacted,
    Redacted,
    Standing,
    TopicSet,
    Uninvited,
)
from chatctl.model.commands import TABLE
from chatctl.model.render import clock_of
from chatd.errors import ChatdError
from tests.conformance.conversation_script import Listener
from tests.conformance.screens import LineDriver, TypedDriver, WindowDriver, missing_terminal
from tests.support.daemon import Daemon, wait_until
from tests.support.under_attack import update_section
from tests.support.xvfb import missing as missing_display

# More than the window fetches on entering.
OLD_MESSAGES = 70
EDITED = {"line": r'edited "[^"]*": final-1', "window": r"final-1 \(edited\)"}
REACTED = {"line": r"reacted \+1 to ", "window": r"\+1 ×1"}
FOCUS_NOTES = {"line": "only the current room", "window": "shows one room at a time"}


class Commands:
    """Types each command as an admin at ``driver``; waits for its effect there and at another user."""

    def __init__(self, daemon: Daemon, driver: TypedDriver, alice: Listener, bob: Listener) -> None:
        self.daemon, self.driver, self.alice, self.bob = daemon, driver, alice, bob
        self.user, self.here = driver.user, f"#{driver.name}"
        self.other, self.made = f"{self.here}-other", f"{self.here}-made"

    def begin(self) -> None:
        """Create the rooms, send the old messages, and enter."""
        for room in (self.here, self.other):
            self.alice.client.request("create", room=room)
        self.bob.client.request("join", room=self.here)
        self.bob.say(self.here, "needle-1")
        for number in range(OLD_MESSAGES):
            self.alice.client.send(self.here, f"old-{number}")
        self.alice.say(self.here, "newest-1")
        self.driver.enter(self.here)
        self.sees("newest-1")

    def types(self, line: str, *patterns: str) -> None:
        """Type a line and wait until the client shows the patterns."""
        self.driver.type_line(line)
        for pattern in patterns:
            self.sees(pattern)

    def sees(self, pattern: str) -> None:
        """Wait until the client shows a pattern."""
        wait_until(
            lambda: re.search(pattern, self.driver.output()), what=f"{pattern!r} at {self.driver.name}"
        )

    def help(self) -> None:
        self.types("/help", r"/whois NAME +show a user's role", r"/quit +leave the chat")
        self.types("/help ban", r"keep a user out, for a time or until /unban")

    def join(self) -> None:
        self.types(f"/join {self.other}")
        self.alice.wait_event(Joined, room=self.other, user=self.user)
        self.driver.wait_at(self.other)

    def part(self) -> None:
        self.types("/part")
        self.alice.wait_event(Parted, room=self.other, user=self.user)
        self.driver.enter(self.here)

    def rooms(self) -> None:
        self.types("/rooms", rf"{self.here} +3 members, you are in it", rf"{self.other} +1 member, no guests")

    def create(self) -> None:
        self.types(f"/create {self.made} --guests a plan")
        self.driver.wait_at(self.made)
        self.sees(rf"{self.user} created {self.made}: a plan")
        self.driver.enter(self.here)

    def room(self) -> None:
        self.types("/room", rf"{self.here}, 3 members, no guests, open", "owners +alice")

    def mode(self) -> None:
        self.driver.enter(self.made)
        self.types("/mode members", rf"{self.made} is entered by invitation now, says {self.user}")
        self.driver.enter(self.here)

    def invite(self) -> None:
        self.types(f"/invite bob {self.made}")
        self.bob.wait_event(Standing, change="invited", room=self.made, by=self.user)
        self.bob.client.request("join", room=self.made)
        self.types(f"/invite eve {self.made}")
        self.types(f"/room {self.made}", "invitations +eve")

    def uninvite(self) -> None:
        self.types(f"/uninvite eve {self.made}")
        self.bob.wait_event(Uninvited, room=self.made, user="eve")

    def owner(self) -> None:
        self.types(f"/owner bob {self.made}")
        self.bob.wait_event(OwnerSet, room=self.made, user="bob", on=True)
        self.types(f"/owner bob --remove {self.made}")
        self.bob.wait_event(OwnerSet, room=self.made, user="bob", on=False)

    def remove(self) -> None:
        self.types(f"/remove bob {self.made} done")
        self.bob.wait_event(Parted, room=self.made, user="bob", reason="done")

    def group(self) -> None:
        self.types("/group bob alice")
        self.driver.wait_at("alice, bob")
        self.types("three-1")
        self.bob.wait_event(Message, user=self.user, body="three-1", room=f"@alice,bob,{self.user}")
        self.driver.enter(self.here)
        self.types("/msg alice,bob three-2")
        self.alice.wait_event(Message, user=self.user, body="three-2", room=f"@alice,bob,{self.user}")

    def topic(self) -> None:
        self.types("/topic new plans", rf"{self.user} set the topic of {self.here}: new plans")
        self.bob.wait_event(TopicSet, room=self.here, topic="new plans")
        self.types("/topic", rf"{self.here} has the topic: new plans")

    def who(self) -> None:
        self.types("/who", rf"{self.here}: 3 members, 3 online", r"bob +online")

    def whois(self) -> None:
        self.types("/whois bob", "bob: role user, online")

    def verify(self) -> None:
        self.types("/verify bob", "read these words to each other by voice")

    def msg(self) -> None:
        self.types("/msg bob psst-1")
        self.bob.wait_event(Message, user=self.user, body="psst-1", room=f"@bob,{self.user}")
        # The room is still current.
        self.types("still-1")
        self.bob.wait_event(Message, user=self.user, body="still-1", room=self.here)
        self.types("/msg bob")
        self.driver.wait_at("@bob")
        self.types("psst-2")
        self.bob.wait_event(Message, user=self.user, body="psst-2", room=f"@bob,{self.user}")
        self.driver.enter(self.here)

    def reply(self) -> None:
        question = self.bob.say(self.here, "question-1")
        self.sees("question-1")
        self.types("/reply bob answer-1")
        self.bob.wait_event(Message, user=self.user, body="answer-1", reply_to=question)
        at = next(e.at for e in list(self.bob.events) if isinstance(e, Message) and e.seq == question)
        self.types(f"/reply {clock_of(at)[:5]} answer-2")
        self.bob.wait_event(Message, user=self.user, body="answer-2")
        answer = next(e for e in list(self.bob.events) if isinstance(e, Message) and e.body == "answer-2")
        assert answer.reply_to is not None
        self.types("/reply nobody answer-3", r"no message of 'nobody' is known here")

    def edit(self) -> None:
        self.types("draft-1")
        self.bob.wait_event(Message, user=self.user, body="draft-1")
        seq = next(e.seq for e in list(self.bob.events) if isinstance(e, Message) and e.body == "draft-1")
        self.types("/edit final-1", EDITED[self.driver.name])
        self.bob.wait_event(Edited, target=seq, user=self.user, body="final-1")
        self.types(f"/edit {seq} final-2")
        self.bob.wait_event(Edited, target=seq, body="final-2")

    def delete(self) -> None:
        self.types("typo-1")
        self.bob.wait_event(Message, user=self.user, body="typo-1")
        seq = next(e.seq for e in list(self.bob.events) if isinstance(e, Message) and e.body == "typo-1")
        self.types("/delete", f"/delete {seq} deletes: typo-1")
        self.types(f"/delete {seq}", rf"{self.user} deleted message {seq}")
        self.bob.wait_event(Redacted, target=seq, by=self.user)

    def withdraw(self) -> None:
        self.types("a merger-1")
        self.sees("nobody else reads it until then")
        self.types("/withdraw", "is withdrawn; nobody has read it but moderators")
        self.types("/withdraw", "no message of yours is known to wait")

    def react(self) -> None:
        seq = self.bob.say(self.here, "shall-we-1")
        self.sees("shall-we-1")
        self.types("/react bob +1", REACTED[self.driver.name])
        self.bob.wait_event(Reacted, target=seq, user=self.user, text="+1", on=True, count=1)
        self.types(f"/react {seq} +1")
        self.bob.wait_event(Reacted, target=seq, user=self.user, text="+1", on=False, count=0)
        self.types(f"/react {seq} yes")
        self.bob.wait_event(Reacted, target=seq, text="yes")

    def reactions(self) -> None:
        self.types("/reactions bob", rf"yes ×1 +{self.user}")

    def ack(self) -> None:
        seq = self.bob.say(self.here, "disk-full-1")
        self.sees("disk-full-1")
        self.types(f"/ack {seq} on it", rf"{self.user}.* acknowledged this: on it")
        self.bob.wait_event(Message, user=self.user, kind="action", reply_to=seq)

    def me(self) -> None:
        self.types("/me waves-1")
        self.bob.wait_event(Message, user=self.user, body="waves-1", kind="action")

    def paste(self) -> None:
        self.driver.paste(["one", "two"])
        self.bob.wait_event(Message, user=self.user, body="one\ntwo")

    def say_anyway(self) -> None:
        self.types("drop-1 it", "forbidden word 'drop'")
        self.types("/say! drop-1 it")
        self.bob.wait_event(Message, user=self.user, body="drop-1 it")

    def show(self) -> None:
        lines = [f"shown-{number}" for number in range(30)]
        seq = self.bob.say(self.here, "\n".join(lines), "snippet")
        self.sees(rf"24 more lines.*/show {seq}")
        assert "shown-29" not in self.driver.output()
        self.driver.show_whole(seq, "shown-29")
        self.types("/show 1", "message 1 is not known here")

    def history(self) -> None:
        self.types("/history 500", r"\bneedle-1\b", rf"there is nothing earlier in {self.here}")

    def catchup(self) -> None:
        # Messages that came while the window was scrolled back are unread until the room is left.
        self.driver.enter(self.made)
        self.driver.enter(self.here)
        self.types("/catchup", rf"nothing more is unread in {self.here}")

    def search(self) -> None:
        self.driver.enter(self.made)
        self.driver.search("needle", self.here)
        self.driver.enter(self.here)

    def focus(self) -> None:
        self.types("/focus", FOCUS_NOTES[self.driver.name])
        self.types("/focus off")

    def away(self) -> None:
        self.types("/away lunch", "you are away")
        self.bob.wait_event(Presence, user=self.user, state="away", text="lunch")
        self.types("/away", "you are back")

    def kick(self) -> None:
        self.types(f"/kick bob {self.here} too loud", rf"bob was removed from {self.here}; 0 sessions closed")
        self.bob.wait_event(Parted, room=self.here, user="bob", reason="too loud")
        self.bob.client.request("join", room=self.here)

    def ban(self) -> None:
        self.types("/ban eve 2h spam", "eve is banned until 20")

    def unban(self) -> None:
        self.types("/unban eve", "eve may connect again")

    def bans(self) -> None:
        self.types("/ban eve", "eve is banned until unbanned")
        self.types("/bans", rf"eve +until unbanned, by {self.user}")

    def mute(self) -> None:
        self.types("/mute bob 30m", "bob is muted everywhere for 30m")
        with pytest.raises(ChatdError, match="E302"):
            self.bob.say(self.here, "muted-1")

    def mutes(self) -> None:
        self.types("/mute bob 2h loud", "bob is muted everywhere for 2h; that replaces one until 20")
        self.types("/mutes", rf"bob +everywhere until 20.*: loud \(by {self.user}\)")
        self.types("/whois bob", r"muted +everywhere until 20.*: loud")

    def unmute(self) -> None:
        self.types("/unmute bob", "bob may write again everywhere")
        self.bob.say(self.here, "unmuted-1")

    def redact(self) -> None:
        secret = self.bob.say(self.here, "secret-1")
        self.sees("secret-1")
        self.types("/redact bob", f"/redact {secret} deletes bob: secret-1")
        self.types(f"/redact {secret} oops", rf"{self.user} deleted message {secret} of .*: oops")
        self.bob.wait_event(Redacted, target=secret, reason="oops")

    def announce(self) -> None:
        self.types("/announce back at noon", "announces: back at noon")
        self.bob.wait_event(Announcement, body="back at noon")

    def role(self) -> None:
        self.types("/role bob guest", "bob has the role guest now")
        self.types("/role", r"new users have the role user")

    def reconnect(self) -> None:
        self.types("/reconnect", "you are connected")

    def quit(self) -> None:
        self.types("/quit")
        assert self.driver.wait_end() == 0


@pytest.fixture(params=[LineDriver, WindowDriver], ids=lambda kind: kind.name)
def commands(request: pytest.FixtureRequest, daemon: Daemon, tmp_path: Path) -> Iterator[Commands]:
    reason = missing_terminal() if request.param is LineDriver else missing_display()
    if reason:
        pytest.skip(reason)
    for user in ("bob", "eve"):
        daemon.add_user(user)
    daemon.add_user("sam", "admin")
    rule = {"words": ["merger-1"], "action": "hold"}
    daemon.write_settings(lambda tree: update_section(tree, "filter", rules=[rule]))
    daemon.chatd("reload")
    alice, bob = Listener(daemon, "alice", "console").start(), Listener(daemon, "bob").start()
    driver = request.param(daemon, "sam", tmp_path)
    try:
        yield Commands(daemon, driver, alice, bob)
    finally:
        driver.close()
        alice.client.close()
        bob.client.close()


def test_every_command(commands: Commands) -> None:
    commands.begin()
    for command in TABLE:
        getattr(commands, command.name.replace("!", "_anyway"))()
