"""What the line client shows when, with the library played by a small stand-in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from chatctl.client import (
    Acknowledged,
    CaughtUp,
    Connected,
    Disconnected,
    Refused,
    Restored,
    Sent,
    SentResult,
)
from chatctl.client._notices import acknowledge
from chatctl.model.grammar import CommandCall, parse
from chatctl.model.render import Line, plain
from chatctl.terminal.actions import carry_out
from chatctl.terminal.line_rooms import RECENT_LIMIT, ROOMS_LIMIT, Rooms
from chatctl.terminal.tab_completion import LineCompleter
from chatctl.terminal.talk import Talk
from chatd.errors import ChatdError
from chatd.proto import events as ev

LIMITS = dict.fromkeys(ev.SessionLimits.model_fields, 20)
WELCOME = {
    "type": "welcome", "protocol": 1, "server": "chatd", "version": "0", "instance": "lab", "user": "alice",
    "device": "d", "role": "admin", "permissions": ["moderate.ban"], "rooms": ["#lobby", "#war"], "head": 0,
    "time": 0, "envelope": True, "limits": LIMITS,
}  # fmt: skip


def message(seq: int, body: str, room: str = "#lobby", user: str = "bob", **more: Any) -> ev.Message:
    fields = {"device": "d", "role": "user", "msg_id": f"{seq:032x}", "kind": "text", "at": seq, **more}
    return ev.Message(type="message", seq=seq, room=room, user=user, body=body, **fields)


class FakeClient:
    """Answers requests from ``results``; ``asked`` runs before each answer, on the requesting thread."""

    def __init__(self) -> None:
        self.identity = SimpleNamespace(user="alice")
        self.welcome = ev.Welcome(**WELCOME)  # type: ignore[arg-type]
        self.sent: list[Sent] = []
        self.log: list[ev.Message] = []
        self.asked: Callable[[str], None] = lambda kind: None

    def request(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.asked(kind)
        if fields.get("room") == "#none":
            raise ChatdError("E404")
        events = [m.model_dump() for m in self.log if m.room == fields.get("room")]
        return {"events": events, "more": False, "topic": "t", "members": 2}

    def send(self, to: str, body: str, *, kind: str = "text", reply_to: int | None = None) -> Sent:
        self.sent.append(Sent(f"{len(self.sent):032x}", to, body, kind, reply_to))
        return self.sent[-1]


class FakeScreen:
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bells = 0
        self.closed = False

    def show(self, lines: list[Line]) -> None:
        self.lines += [plain([line]) for line in lines]

    def bell(self) -> None:
        self.bells += 1

    def redraw(self) -> None:
        pass

    def paste(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def said(self) -> list[str]:
        """The bodies shown, in order."""
        return [line.rpartition("> ")[2] for line in self.lines if "> " in line]


def run(body: Callable[[Talk, FakeClient, FakeScreen], Awaitable[None]], room: str = "#lobby") -> None:
    async def main() -> None:
        client, screen = FakeClient(), FakeScreen()
        talk = Talk(client, room, screen, Rooms("alice"))  # type: ignore[arg-type]
        try:
            await body(talk, client, screen)
        finally:
            talk.stop()

    asyncio.run(main())


async def begin(talk: Talk) -> None:
    """Connect and be in the first room."""
    talk.take(Connected(talk.client.welcome))  # type: ignore[arg-type]
    talk.take(CaughtUp(0))
    await settle(talk)


async def typed(talk: Talk, line: str) -> None:
    """A command as the user types it."""
    call = parse(line)
    assert isinstance(call, CommandCall)
    await carry_out(talk, call)


async def settle(talk: Talk) -> None:
    """Until nothing is under way."""
    while talk._tasks:
        await asyncio.gather(*talk._tasks)


def test_events_during_the_fetch_of_the_history_come_after_it_and_once() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        loop = asyncio.get_running_loop()
        client.log = [message(1, "one"), message(2, "two"), message(3, "three")]

        def meanwhile(kind: str) -> None:
            if kind == "history":
                for live in (message(3, "three"), message(4, "four")):
                    loop.call_soon_threadsafe(talk.take, live)

        client.asked = meanwhile
        await begin(talk)
        assert screen.said() == ["one", "two", "three", "four"]

    run(body)


def test_switching_back_shows_only_what_is_new() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        client.log = [message(1, "one"), message(2, "elsewhere", "#war")]
        await begin(talk)
        await talk.enter("#war")
        client.log.append(message(3, "three"))
        talk.take(client.log[-1])
        assert talk.rooms.unread() == [("#lobby", 1, False)]
        await talk.enter("#lobby")
        assert screen.said() == ["one", "elsewhere", "three"]
        assert "-- #lobby: t · 2 members · 1 new --" in screen.lines
        assert talk.rooms.unread() == []

    run(body)


def test_calls_are_shown_from_everywhere_and_ring() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        talk.take(message(5, "nothing", "#war"))
        talk.take(message(6, "alice: look", "#war"))
        talk.take(message(7, "psst", "@alice,bob"))
        assert screen.said() == ["alice: look", "psst"]
        assert screen.bells == 2
        assert talk.rooms.unread() == [("#war", 2, True), ("@alice,bob", 1, True)]

    run(body)


def test_after_a_restore_the_same_numbers_are_other_messages() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        for seq in (5, 6, 7):
            talk.take(message(seq, f"lost {seq}"))
        talk.take(Connected(client.welcome))
        talk.take(Restored(5))
        talk.take(message(6, "new 6", user="carol"))
        assert screen.said() == ["lost 5", "lost 6", "lost 7", "new 6"]
        assert sum("restored from a backup" in line for line in screen.lines) == 1
        # What is answered is what is in the log now.
        assert [m.body for m in talk.rooms.here.matching("carol")] == ["new 6"]
        assert [m.body for m in talk.rooms.here.matching("bob")] == ["lost 5"]

    run(body)


def test_calls_from_before_the_start_are_told_without_ringing() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        talk.take(Connected(client.welcome))
        for seq in range(1, 50):
            talk.take(message(seq, f"alice {seq}", "#war"))
        talk.take(CaughtUp(49))
        await settle(talk)
        assert screen.said() == [f"alice {seq}" for seq in range(30, 50)]
        assert "-- while you were away --" in screen.lines
        assert screen.bells == 0

    run(body)


def test_a_room_that_cannot_be_entered_leaves_one_in_another() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        assert any("E404" in line for line in screen.lines)
        assert talk.rooms.current == "#lobby"
        with pytest.raises(ChatdError):
            await talk.enter("#none")
        talk.take(message(9, "still shown"))
        assert screen.said() == ["still shown"]

    run(body, room="#none")


def test_leaving_moves_on_to_another_room() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        talk.take(ev.Parted(type="parted", seq=9, at=9, room="#lobby", user="alice", by="alice", reason=""))
        await settle(talk)
        assert talk.rooms.current == "#war"

    run(body)


def test_what_is_half_typed_is_not_said_in_another_room_after_being_put_out() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        talk.take(ev.Parted(type="parted", seq=9, at=9, room="#lobby", user="alice", by="bob", reason="x"))
        assert talk.rooms.current == ""
        with pytest.raises(ChatdError, match="E301"):
            talk.say("to nobody")
        await settle(talk)
        assert talk.rooms.current == ""

    run(body)


def test_who_was_put_out_while_cut_off_is_told_so() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        talk.take(Disconnected(ChatdError("E607"), 0.5))
        talk.take(Connected(client.welcome.model_copy(update={"rooms": ["#war"]})))
        talk.take(CaughtUp(9))
        assert "-- you are not in #lobby any more --" in screen.lines
        assert (talk.rooms.current, talk.rooms.joined) == ("", {"#war"})

    run(body)


def test_pending_messages_are_marked_until_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        talk.say("one")
        talk.say("two")
        assert talk.pending() == []
        now = time.monotonic() + 1
        monkeypatch.setattr(time, "monotonic", lambda: now)
        assert [sent.body for sent in talk.pending()] == ["one", "two"]
        acknowledge(client.sent[0], SentResult(3, 3, [{"rule": "truncated", "text": "only 500"}]))
        talk.take(Acknowledged(client.sent[0]))
        talk.take(Refused(client.sent[1], ChatdError("E400")))
        monkeypatch.undo()
        assert talk.pending() == []
        assert "-- your message was changed: only 500 --" in screen.lines
        assert any(line.startswith('not sent: "two"') and "E400" in line for line in screen.lines)

    run(body)


def test_the_connection_is_told_in_words_and_once() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        screen.lines.clear()
        talk.take(Disconnected(ChatdError("E607"), 1.0))
        talk.take(Disconnected(ChatdError("E607"), 2.0))
        talk.take(Connected(client.welcome))
        assert screen.lines == [
            "-- not connected: the server cannot be reached (E607); trying again --",
            "-- connected again --",
        ]
        talk.take(Disconnected(ChatdError("E206"), None))
        assert screen.closed
        assert str(talk.error) == str(ChatdError("E206"))

    run(body)


def test_focus_holds_back_what_is_said_elsewhere() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        await typed(talk, "/focus #ops")
        for number, room in enumerate(("#war", "@alice,bob", "#ops", "#lobby"), 5):
            talk.take(message(number, f"alice: {room}", room))
        assert screen.said() == ["alice: #ops", "alice: #lobby"]
        assert screen.bells == 2
        assert talk.rooms.unread() == [("#war", 1, True), ("@alice,bob", 1, True)]
        await typed(talk, "/focus off")
        talk.take(message(9, "alice: again", "#war"))
        assert screen.said()[-1] == "alice: again"

    run(body)


def test_redact_tells_the_numbers_and_takes_one() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        asked: list[dict[str, Any]] = []
        await begin(talk)
        talk.take(message(5_000, "the password\x1b[2J"))
        talk.take(message(5_001, "in the same second", user="carol"))

        def request(kind: str, **fields: Any) -> dict[str, Any]:
            asked.append({"kind": kind, **fields})
            return {}

        client.request = request  # type: ignore[method-assign]
        await typed(talk, "/redact @bob")
        assert screen.lines[-1] == r"-- /redact 5000 erases bob: the password\x1b[2J --"
        await typed(talk, "/redact 00:00:05Z")
        assert [line.split()[2] for line in screen.lines[-2:]] == ["5000", "5001"]
        for nobody in ("dan", "9" * 17):
            with pytest.raises(ChatdError, match="E410"):
                await typed(talk, f"/redact {nobody}")
        assert asked == []
        await typed(talk, "/redact 5000 a secret")
        assert asked == [{"kind": "redact", "room": "#lobby", "seq": 5000, "reason": "a secret"}]

    run(body)


def test_what_is_erased_is_forgotten_and_told() -> None:
    async def body(talk: Talk, client: FakeClient, screen: FakeScreen) -> None:
        await begin(talk)
        for seq in range(5, 9):
            talk.take(message(seq, f"secret {seq}"))
        common = {"at": 9, "room": "#lobby"}
        talk.take(ev.Redacted(type="redacted", seq=9, target=8, by="alice", **common))  # type: ignore[arg-type]
        talk.take(ev.Expired(type="expired", seq=10, upto=6, count=2, **common))  # type: ignore[arg-type]
        assert [m.seq for m in talk.rooms.here.recent] == [7]
        assert [line[12:] for line in screen.lines[-2:]] == [
            "* alice erased message 8",
            "* 2 messages of #lobby have passed their time and were erased",
        ]
        talk.take(message(11, "re", reply_to=8))
        assert "secret" not in screen.lines[-1]

    run(body)


def test_replies_find_the_message_by_name_or_time() -> None:
    rooms = Rooms("alice")
    rooms.current = "#lobby"
    for m in (message(1_000, "old"), message(5_000, "new"), message(3_000, "between", user="carol")):
        rooms.take(m)
    here = rooms.here
    assert [m.seq for m in here.recent] == [1_000, 3_000, 5_000]
    answered = [here.answered(to) for to in ("bob", "@carol", "00:00:01Z", "dan")]
    assert [found and found.body for found in answered] == ["new", "between", "old", None]
    quote = rooms.quote(message(9_000, "re", reply_to=3_000))
    assert quote is not None
    assert quote.user == "carol"


def test_what_a_server_can_make_a_client_keep_is_bounded() -> None:
    rooms = Rooms("alice")
    rooms.current = "#lobby"
    for seq in range(1, ROOMS_LIMIT + RECENT_LIMIT):
        rooms.take(message(seq, "x", f"#r{seq}"))
        rooms.take(message(seq, "x"))
    assert len(rooms._known) <= ROOMS_LIMIT
    assert "#lobby" in rooms._known
    assert len(rooms.here.recent) == RECENT_LIMIT


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("/b", {"/ban", "/bans"}),
        ("/ban c", {"carol"}),
        ("/ban ", {"bob", "carol"}),
        ("hello b", {"bob"}),
        ("hello @c", {"@carol"}),
        ("hello ", set()),
        ("/join #w", {"#war"}),
    ],
)
def test_completion(before: str, expected: set[str]) -> None:
    rooms = Rooms("alice")
    rooms.current = "#war"
    rooms.here.names |= {"bob", "carol"}
    completer = LineCompleter(rooms, lambda: ["moderate.ban"])
    word = before.rpartition(" ")[2]
    assert completer.candidates(before, word) == expected
