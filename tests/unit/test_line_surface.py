"""The line client's output, with a fake client library and a fake screen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

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
from chatctl.model import answers
from chatctl.model.chat_model import ChatModel
from chatctl.model.commands import parse
from chatctl.model.conversation import ROWS_LIMIT, TRIM_STEP
from chatctl.model.conversations import ROOMS_LIMIT
from chatctl.model.grammar import CommandCall
from chatctl.model.render import Line, plain
from chatctl.terminal.line_surface import PENDING_SECONDS, LineSurface
from chatctl.terminal.tab_completion import LineCompleter
from chatd.errors import ChatdError
from chatd.proto import events as ev

LIMITS = dict.fromkeys(ev.SessionLimits.fields(), 20)
WELCOME = {
    "type": "welcome", "protocol": 1, "server": "chatd", "version": "0", "instance": "lab", "user": "alice",
    "device": "d", "role": "admin", "permissions": ["moderate.ban"], "rooms": ["#lobby", "#war"], "head": 0,
    "time": 0, "envelope": True, "limits": LIMITS,
}  # fmt: skip


def message(seq: int, body: str, room: str = "#lobby", user: str = "bob", **more: Any) -> ev.Message:
    fields = {"device": "d", "role": "user", "msg_id": f"{seq:032x}", "kind": "text", "at": seq, **more}
    return ev.Message(type="message", seq=seq, room=room, user=user, body=body, **fields)


class FakeClient:
    """Replies to requests with the messages in ``log``; calls ``before_reply`` first, on the same thread."""

    def __init__(self) -> None:
        self.identity = SimpleNamespace(
            user="alice",
            not_after=datetime.max.replace(tzinfo=UTC),
            ends_soon=lambda now: False,
            obstacle="",
        )
        self.welcome = ev.Welcome(**WELCOME)  # type: ignore[arg-type]
        self.sent: list[Sent] = []
        self.log: list[ev.Message] = []
        # Messages outside the log's pages.
        self.quoted: list[ev.Message] = []
        self.before_reply: Callable[[str], None] = lambda kind: None
        self.extra: dict[str, Any] = {}

    def request(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.before_reply(kind)
        if kind == "messages":
            return {"events": [m.model_dump() for m in self.quoted if m.seq in fields["seqs"]], "more": False}
        if fields.get("room") == "#none":
            raise ChatdError("E404")
        events = [m.model_dump() for m in self.log if fields.get("room") in (None, m.room)]
        return {"events": events, "more": False, "topic": "t", "members": 2} | self.extra

    def send(self, to: str, body: str, *, kind: str = "text", reply_to: int | None = None) -> Sent:
        self.sent.append(Sent(f"{len(self.sent):032x}", to, body, kind, reply_to))
        return self.sent[-1]


class FakeScreen:
    """Records the printed lines."""

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

    def bodies(self) -> list[str]:
        """Return the printed bodies in order."""
        return [line.rpartition("> ")[2] for line in self.lines if "> " in line]


def run(body: Callable[[LineSurface, FakeClient, FakeScreen], Awaitable[None]], room: str = "#lobby") -> None:
    async def main() -> None:
        client, screen = FakeClient(), FakeScreen()
        surface = LineSurface(client, room, screen, ChatModel("alice"))  # type: ignore[arg-type]
        try:
            await body(surface, client, screen)
        finally:
            surface.stop()

    asyncio.run(main())


async def begin(surface: LineSurface) -> None:
    """Connect and enter the first room."""
    surface.take(Connected(surface.client.welcome))  # type: ignore[arg-type]
    surface.take(CaughtUp(0))
    await settle(surface)


async def run_command(surface: LineSurface, line: str) -> None:
    """Parse and carry out a command line."""
    call = parse(line)
    assert isinstance(call, CommandCall)
    await call.carry_out(surface)


def unread(surface: LineSurface) -> list[tuple[str, int, bool]]:
    """Return (conversation, unread messages, whether one mentions this user) where there are any."""
    found = sorted(surface.model.conversations.values(), key=lambda one: one.name)
    return [(one.name, one.unread, one.mentions > 0) for one in found if one.unread]


async def settle(surface: LineSurface) -> None:
    """Wait for all background tasks."""
    while surface._tasks:
        await asyncio.gather(*surface._tasks)


def test_events_during_a_history_fetch_are_printed_once_after_it() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        loop = asyncio.get_running_loop()
        client.log = [message(1, "one"), message(2, "two"), message(3, "three")]

        def deliver_live_events(kind: str) -> None:
            if kind == "history":
                for live in (message(3, "three"), message(4, "four")):
                    loop.call_soon_threadsafe(surface.take, live)

        client.before_reply = deliver_live_events
        await begin(surface)
        assert screen.bodies() == ["one", "two", "three", "four"]

    run(body)


def test_switching_back_prints_only_new_messages() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.log = [message(1, "one"), message(2, "elsewhere", "#war")]
        await begin(surface)
        await surface.enter("#war")
        client.log.append(message(3, "three"))
        surface.take(client.log[-1])
        assert unread(surface) == [("#lobby", 1, False)]
        await surface.enter("#lobby")
        assert screen.bodies() == ["one", "elsewhere", "three"]
        assert "-- #lobby: t · 2 members · 1 new --" in screen.lines
        assert unread(surface) == []

    run(body)


def test_invitations_stand_below_the_first_room_and_ring_when_they_come() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.welcome = client.welcome.model_copy(update={"invites": ["#ops"]})
        client.log = [message(n, f"line {n}") for n in range(1, 30)]
        await begin(surface)
        assert screen.lines[-1] == "-- you are invited to #ops: /join #ops --"
        told = {"type": "standing", "change": "invited", "role": "user", "permissions": [], "by": "bob"}
        surface.take(ev.Standing.model_validate({**told, "room": "#dev"}))
        assert screen.lines[-1].endswith("bob invited you to #dev: /join #dev")
        assert screen.bells == 1

    run(body)


@pytest.mark.parametrize(
    ("log", "extra", "note"),
    [
        ([], {}, "-- 0 found; one* finds words that begin with it, *one* words that contain it --"),
        ([message(1, "one")], {"partial": False}, "-- 1 found --"),
        ([message(1, "one")], {"more": True}, "-- 1 found; there are older ones: narrow the search --"),
        ([], {"partial": True}, f"-- 0 found; {answers.unseen({'partial': True})} --"),
        ([message(1, "one")], {"partial": True, "more": True}, "-- 1 found; not all messages were searched"),
    ],
)
def test_a_search_says_what_it_has_not_seen(log: list[ev.Message], extra: dict[str, Any], note: str) -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        client.log, client.extra = log, extra
        await surface.search("one")
        assert screen.lines[-1].startswith(note)

    run(body)


@pytest.mark.parametrize("soon", [False, True])
def test_an_identity_that_ends_soon_is_mentioned(soon: bool) -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.identity.not_after = datetime.now(UTC) + timedelta(days=3, hours=1)
        client.identity.ends_soon = lambda now: soon
        await begin(surface)
        assert any("your identity ends in 3 days" in line for line in screen.lines) == soon

    run(body)


def test_mentions_and_direct_messages_are_printed_with_a_bell_from_any_room() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        surface.take(message(5, "nothing", "#war"))
        surface.take(message(6, "alice: look", "#war"))
        surface.take(message(7, "psst", "@alice,bob"))
        assert screen.bodies() == ["alice: look", "psst"]
        assert screen.bells == 2
        # What was printed is read.
        assert unread(surface) == [("#war", 1, False)]

    run(body)


def test_after_a_restore_the_same_seqs_are_new_messages() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        for seq in (5, 6, 7):
            surface.take(message(seq, f"lost {seq}"))
        surface.take(Connected(client.welcome))
        surface.take(Restored(5))
        surface.take(message(6, "new 6", user="carol"))
        assert screen.bodies() == ["lost 5", "lost 6", "lost 7", "new 6"]
        assert sum("restored from a backup" in line for line in screen.lines) == 1
        # Replies refer to messages of the restored log.
        assert [m.body for m in surface.model.here.matching("carol")] == ["new 6"]
        assert [m.body for m in surface.model.here.matching("bob")] == ["lost 5"]

    run(body)


def test_missed_mentions_are_printed_at_the_start_without_a_bell() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        surface.take(Connected(client.welcome))
        for seq in range(1, 50):
            surface.take(message(seq, f"alice {seq}", "#war"))
        surface.take(CaughtUp(49))
        await settle(surface)
        assert screen.bodies() == [f"alice {seq}" for seq in range(30, 50)]
        assert "-- while you were away --" in screen.lines
        assert screen.bells == 0

    run(body)


def test_a_refused_first_room_falls_back_to_a_joined_one() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        assert any("E404" in line for line in screen.lines)
        assert surface.model.current == "#lobby"
        with pytest.raises(ChatdError):
            await surface.enter("#none")
        surface.take(message(9, "still shown"))
        assert screen.bodies() == ["still shown"]

    run(body, room="#none")


def test_leaving_a_room_enters_another() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        surface.take(
            ev.Parted(type="parted", seq=9, at=9, room="#lobby", user="alice", by="alice", reason="")
        )
        await settle(surface)
        assert surface.model.current == "#war"

    run(body)


def test_a_removed_user_is_moved_to_no_other_room() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        surface.take(ev.Parted(type="parted", seq=9, at=9, room="#lobby", user="alice", by="bob", reason="x"))
        assert surface.model.current == ""
        with pytest.raises(ChatdError, match="E301"):
            surface.say("to nobody")
        await settle(surface)
        assert surface.model.current == ""

    run(body)


def test_the_user_of_a_removed_room_is_moved_to_no_other_room() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        surface.take(message(5, "secret"))
        for seq, room in ((9, "#war"), (10, "#lobby")):
            surface.take(ev.RoomRemoved(type="room_removed", seq=seq, at=9, room=room, by="bob", reason="x"))
        assert surface.model.current == "" and not surface.model.joined
        assert [line[12:] for line in screen.lines[-3:-1]] == [
            "-!- #war was removed by bob: x",
            "-!- #lobby was removed by bob: x",
        ]
        with pytest.raises(ChatdError, match="E301"):
            surface.say("to nobody")

    run(body)


def test_a_removal_while_disconnected_is_reported() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        surface.take(Disconnected(ChatdError("E607"), 0.5))
        surface.take(Connected(client.welcome.model_copy(update={"rooms": ["#war"]})))
        surface.take(CaughtUp(9))
        assert "-- you are not in #lobby any more --" in screen.lines
        assert (surface.model.current, surface.model.joined) == ("", {"#war"})

    run(body)


def test_pending_messages_are_marked_until_answered() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        now = 100.0
        surface.model.clock = lambda: now
        await begin(surface)
        surface.say("one")
        now += PENDING_SECONDS / 2
        surface.say("two", to="@bob", kind="action")
        assert surface.pending() == []
        now += PENDING_SECONDS
        assert [(room, row.body) for room, row in surface.pending()] == [
            ("#lobby", "one"),
            ("@alice,bob", "/me two"),
        ]
        acknowledge(client.sent[0], SentResult(3, 3, [{"rule": "truncated", "text": "only 500"}]))
        surface.take(Acknowledged(client.sent[0]))
        surface.take(Refused(client.sent[1], ChatdError("E400")))
        assert surface.pending() == []
        assert "-- your message was changed: only 500 --" in screen.lines
        assert any(line.startswith('not sent: "two"') and "E400" in line for line in screen.lines)

    run(body)


def test_connection_changes_are_reported_once() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        screen.lines.clear()
        surface.take(Disconnected(ChatdError("E607"), 1.0))
        surface.take(Disconnected(ChatdError("E607"), 2.0))
        surface.take(Connected(client.welcome))
        assert screen.lines == [
            "-- not connected: the server cannot be reached (E607). check address, network and "
            "that chatd runs. Trying again, or now: /reconnect --",
            "-- connected again --",
        ]
        surface.take(Disconnected(ChatdError("E206"), None))
        assert screen.closed
        assert str(surface.error) == str(ChatdError("E206"))

    run(body)


def test_focus_hides_other_rooms() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        await run_command(surface, "/focus #ops")
        for number, room in enumerate(("#war", "@alice,bob", "#ops", "#lobby"), 5):
            surface.take(message(number, f"alice: {room}", room))
        assert screen.bodies() == ["alice: #ops", "alice: #lobby"]
        assert screen.bells == 2
        assert unread(surface) == [("#war", 1, True), ("@alice,bob", 1, True)]
        await run_command(surface, "/focus off")
        surface.take(message(9, "alice: again", "#war"))
        assert screen.bodies()[-1] == "alice: again"

    run(body)


def test_redact_lists_candidates_and_takes_a_number() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        before_reply: list[dict[str, Any]] = []
        await begin(surface)
        surface.take(message(5_000, "the password\x1b[2J"))
        surface.take(message(5_001, "in the same second", user="carol"))

        def request(kind: str, **fields: Any) -> dict[str, Any]:
            before_reply.append({"kind": kind, **fields})
            return {}

        client.request = request  # type: ignore[method-assign]
        await run_command(surface, "/redact @bob")
        assert screen.lines[-1] == r"-- /redact 5000 deletes bob: the password\x1b[2J --"
        await run_command(surface, "/redact 00:00:05Z")
        assert [line.split()[2] for line in screen.lines[-2:]] == ["5000", "5001"]
        for nobody in ("dan", "9" * 17):
            with pytest.raises(ChatdError, match="E410"):
                await run_command(surface, f"/redact {nobody}")
        assert before_reply == []
        await run_command(surface, "/redact 5000 a secret")
        assert before_reply == [{"kind": "redact", "room": "#lobby", "seq": 5000, "reason": "a secret"}]

    run(body)


def test_redacted_messages_are_dropped_and_reported() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        for seq in range(5, 9):
            surface.take(message(seq, f"secret {seq}"))
        common = {"at": 9, "room": "#lobby"}
        surface.take(ev.Redacted(type="redacted", seq=9, target=8, by="alice", **common))  # type: ignore[arg-type]
        surface.take(ev.Expired(type="expired", seq=10, upto=6, count=2, **common))  # type: ignore[arg-type]
        assert [m.seq for m in surface.model.here.rows if m.is_message] == [7]
        assert [line[12:] for line in screen.lines[-2:]] == [
            "-!- alice deleted message 8",
            "-!- 2 messages of #lobby reached their age limit and were deleted",
        ]
        surface.take(message(11, "re", reply_to=8))
        assert "secret" not in screen.lines[-1]

    run(body)


def test_memory_for_messages_and_rooms_is_bounded() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        for seq in range(10, ROWS_LIMIT + TRIM_STEP + 20):
            surface.take(message(seq, "x", f"#r{seq}"))
            surface.take(message(seq, "x"))
        assert len(surface.model.conversations) <= ROOMS_LIMIT
        assert "#lobby" in surface.model.conversations
        assert ROWS_LIMIT <= len(surface.model.here.rows) < ROWS_LIMIT + TRIM_STEP

    run(body)


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
def test_completion_offers_permitted_commands_members_and_rooms(before: str, expected: set[str]) -> None:
    model = ChatModel("alice")
    model.switch("#war")
    model.welcome = ev.Welcome(**WELCOME)  # type: ignore[arg-type]
    model.set_members("#war", [{"user": user} for user in ("bob", "carol")])
    found = LineCompleter(model).get_completions(Document(before), CompleteEvent())
    assert {completion.display_text for completion in found} == expected


def with_unread(client: FakeClient, marker: int, unread: int, cursor: int) -> None:
    """Let the server count unread messages in #lobby."""
    client.extra = {"rooms": [{"room": "#lobby", "seq": marker, "unread": unread}], "cursor": cursor}


def test_a_line_stands_above_the_first_unread_message() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.log = [message(number, f"m{number}") for number in range(1, 6)]
        with_unread(client, marker=3, unread=2, cursor=5)
        await begin(surface)
        at = screen.lines.index("-- first unread --")
        assert screen.lines[at - 1].endswith("m3")
        assert screen.lines[at + 1].endswith("m4")
        assert screen.bodies() == ["m1", "m2", "m3", "m4", "m5"]
        await run_command(surface, "/catchup")
        assert screen.lines[-1] == "-- nothing more is unread in #lobby --"

    run(body)


def test_unread_messages_before_the_shown_ones_are_announced_and_read_forward() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.log = [message(number, f"m{number}") for number in range(8, 10)]
        with_unread(client, marker=3, unread=6, cursor=9)
        await begin(surface)
        note = "-- first unread: 4 new before these are not shown; /catchup reads from there --"
        assert screen.lines.index(note) < screen.lines.index("-- 1970-01-01 --")
        client.log = [message(number, f"m{number}") for number in range(4, 10)]
        screen.lines.clear()
        await run_command(surface, "/catchup 6")
        assert screen.lines[0].startswith("-- unread in #lobby, from 1970-01-01 00:00:00Z to 1970-01-01 ")
        assert screen.bodies() == ["m4", "m5", "m6", "m7", "m8", "m9"]

    run(body)


@pytest.mark.parametrize(
    "way", ["", "/catchup 2", "/catchup 6", "/catchup skip", "elsewhere 5", "elsewhere 9"]
)
def test_a_read_marker_stops_before_what_was_not_shown(way: str) -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.log = [message(number, f"m{number}") for number in range(8, 10)]
        with_unread(client, marker=3, unread=6, cursor=9)
        await begin(surface)
        client.log = [message(number, f"m{number}") for number in range(4, 6 if way.endswith("2") else 10)]
        client.extra["more"] = way.endswith("2")
        if way.startswith("/"):
            await run_command(surface, way)
        elif way:
            marker = {"seq": 10, "at": 1, "user": "alice", "room": "#lobby", "upto": int(way[-1])}
            surface.take(ev.ReadMarker.model_validate({"type": "read", **marker}))
        surface.take(message(11, "live"))
        await settle(surface)
        upto = {"": 3, "/catchup 2": 5, "elsewhere 5": 5}.get(way, 11)
        assert surface.model.here.read.read_upto == upto

    run(body)


def test_catching_up_begins_with_what_others_wrote() -> None:
    """Not with what one wrote oneself, from another device, before they did."""

    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.log = [message(number, f"m{number}") for number in range(12, 14)]
        with_unread(client, marker=3, unread=6, cursor=13)
        await begin(surface)
        own = [message(number, f"mine{number}", user="alice") for number in range(4, 9)]
        rest = [message(9, "m9"), message(10, "mine, later", user="alice"), message(11, "m11")]
        pages = [([*own], True), ([own[-1], *rest], False)]

        def next_page(_: str) -> None:
            client.log, client.extra["more"] = pages.pop(0)

        client.before_reply = next_page
        screen.lines.clear()
        await run_command(surface, "/catchup 5")
        assert screen.bodies() == ["m9", "mine, later", "m11"]
        assert pages == []

    run(body)


def test_what_another_device_has_read_is_not_news() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        with_unread(client, marker=5, unread=1, cursor=9)
        surface.take(Connected(client.welcome))
        surface.take(message(5, "alice: old news"))
        surface.take(message(9, "alice: look"))
        surface.take(CaughtUp(9))
        await settle(surface)
        assert screen.bodies()[0] == "alice: look"
        assert "alice: old news" not in screen.bodies()

    run(body)


def test_earlier_events_have_a_heading_that_says_from_when_they_are() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.log = [message(5, "newer", at=86_400_000)]
        await begin(surface)
        client.log = [message(1, "older"), message(2, "old")]
        screen.lines.clear()
        await run_command(surface, "/history 2")
        assert screen.lines[0] == "-- earlier in #lobby, from 1970-01-01 00:00:00Z to 1970-01-01 00:00:00Z --"
        assert screen.bodies() == ["older", "old"]

    run(body)


def test_replies_of_a_page_are_printed_with_what_they_answer() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        client.log = [message(8, "yes", reply_to=3), message(9, "no", reply_to=4)]
        client.quoted = [message(3, "shall we?", user="eve")]
        await begin(surface)
        replies = [line.partition("Z] ")[2] for line in screen.lines if "(re " in line]
        assert replies == [
            '<bob> (re eve: "shall we?") yes',
            "<bob> (re a deleted or unreadable message) no",
        ]

    run(body)


def test_a_live_reply_waits_for_what_it_answers_and_keeps_its_place() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        client.quoted = [message(3, "shall we?", user="eve")]
        surface.take(message(8, "yes", reply_to=3))
        surface.take(message(9, "after it"))
        await settle(surface)
        # Another one at once is printed without waiting: anybody can send such.
        surface.take(message(10, "no", reply_to=4))
        assert [line.partition("Z] ")[2] for line in screen.lines if "<bob>" in line] == [
            '<bob> (re eve: "shall we?") yes',
            "<bob> after it",
            "<bob> (re an earlier message) no",
        ]

    run(body)


def test_a_reply_is_printed_without_its_quote_when_that_cannot_be_fetched() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        def refuse(kind: str) -> None:
            if kind == "messages":
                raise ChatdError("E503")

        client.before_reply = refuse
        client.log = [message(8, "yes", reply_to=3)]
        await begin(surface)
        surface.take(message(9, "no", reply_to=4))
        await settle(surface)
        assert [line.partition("> ")[2] for line in screen.lines if "<bob>" in line] == [
            "(re an earlier message) yes",
            "(re an earlier message) no",
        ]

    run(body)
