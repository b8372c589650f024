"""The requests and front-end calls that each chat command makes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chatctl.client import Refused, Sent
from chatctl.model.actions import CATCHUP_COUNT
from chatctl.model.chat_model import ChatModel
from chatctl.model.commands import TABLE, parse
from chatctl.model.conversation import TimelineRow
from chatctl.model.grammar import CommandCall
from chatctl.model.part_question import ANSWER_SECONDS
from chatctl.model.render import Line, plain
from chatd.errors import ChatdError
from chatd.pki.identity import Identity
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject

RESULTS: dict[str, JsonObject] = {
    "kick": {"user": "bob", "sessions": 1},
    "ban": {"user": "bob", "sessions": 2, "until": None},
    "whois": {"user": "bob", "role": "user", "state": "online", "rooms": ["#lobby"]},
    "role_show": {"default": "user", "roles": {"user": ["message.send"]}},
    "role_set": {"user": "bob", "role": "admin"},
    "reactions": {"reactions": [{"text": "+1", "count": 52, "users": ["bob", "carol"]}]},
    "room_info": {"room": "#lobby", "members": 2, "mode": "read-only", "history": "all", "owners": ["bob"]},
}
RESULTS["history"] = {
    "events": [
        {
            "type": "message",
            "seq": 12,
            "at": 1,
            "room": "#lobby",
            "user": "bob",
            "device": "d",
            "role": "user",
        }
        | {"msg_id": "0" * 32, "kind": "snippet", "body": "one\ntwo"}
    ],
    "more": True,
}
LISTS: dict[str, list[JsonObject]] = {
    "rooms": [{"room": "#lobby", "members": 2, "joined": True, "guests": True}],
    "who": [{"user": "bob", "role": "admin", "state": "online"}],
    "bans": [{"user": "eve", "by": "alice", "until": None}],
    "mutes": [{"user": "eve", "room": "#war", "by": "alice", "until": None, "reason": "loud"}],
}


FILTERED = ChatdError("E400", "the message contains a word", "rephrase it, or send it anyway")


class FakeSurface:
    """A front end that records its calls."""

    help_hints: tuple[str, ...] = ("a hint",)

    def __init__(self) -> None:
        self.model = ChatModel("alice")
        self.model.joined = {"#lobby"}
        self.model.switch("#lobby")
        self.calls: list[tuple[Any, ...]] = []
        self.lines: list[str] = []

    @property
    def identity(self) -> Identity:
        return cast(Identity, SimpleNamespace(key_hash="ab" * 32, ca_hash="cd" * 32))

    async def ask(self, kind: str, **fields: Any) -> JsonObject:
        self.calls.append((kind, {name: value for name, value in fields.items() if value is not None}))
        return RESULTS.get(kind, {})

    async def ask_all(self, kind: str, key: str, by: str, **fields: Any) -> list[JsonObject]:
        self.calls.append((kind, fields))
        return LISTS[kind]

    async def enter(self, address: str) -> None:
        self.calls.append(("enter", address))

    async def create(self, room: str, topic: str | None, options: Mapping[str, Any]) -> None:
        self.calls.append(("create", room, topic, options))

    async def show_older(self, count: int) -> tuple[int, bool]:
        self.calls.append(("show_older", count))
        return count // 2, True

    async def catch_up(self, count: int) -> None:
        self.calls.append(("catch_up", count))

    async def search(self, query: str) -> None:
        self.calls.append(("search", query))

    def say(self, text: str, *, to: str = "", kind: str = "text", reply_to: int | None = None) -> None:
        self.calls.append(("say", text, to, kind, reply_to))

    def edit(self, seq: int, text: str) -> None:
        self.calls.append(("edit", seq, text))

    def show_whole(self, event: ev.Message) -> None:
        self.calls.append(("show_whole", event.seq))

    def show(self, lines: list[Line]) -> None:
        self.lines += [plain([line]) for line in lines]

    def note(self, text: str) -> None:
        self.lines.append(text)

    def focus(self, rooms: frozenset[str] | None) -> None:
        self.calls.append(("focus", rooms))

    def paste(self) -> None:
        self.calls.append(("paste",))

    def reconnect(self) -> None:
        self.calls.append(("reconnect",))

    def quit(self) -> None:
        self.calls.append(("quit",))


@pytest.fixture
def surface() -> FakeSurface:
    return FakeSurface()


def run(surface: FakeSurface, line: str) -> None:
    call = parse(line)
    assert isinstance(call, CommandCall)
    asyncio.run(call.carry_out(surface))


def message(seq: int, body: str, user: str = "bob") -> ev.Message:
    fields = {"device": "d", "role": "user", "msg_id": f"{seq:032x}", "kind": "text", "at": seq * 1_000}
    return ev.Message.model_validate(
        {"type": "message", "seq": seq, "room": "#lobby", "user": user, "body": body, **fields}
    )


# Command -> (typed line, recorded calls, part of a line shown).
EXAMPLES: dict[str, tuple[str, list[tuple[Any, ...]], str]] = {
    "help": ("/help", [], "a hint"),
    "join": ("/join war", [("enter", "#war")], ""),
    "part": ("/part", [("room_info", {"room": "#lobby"}), ("part", {"room": "#lobby"})], ""),
    "rooms": ("/rooms", [("rooms", {})], "#lobby"),
    "create": (
        "/create war --guests --since-join t",
        [("create", "#war", "t", {"guests": True, "history": "since_join"})],
        "",
    ),
    "room": ("/room", [("room_info", {"room": "#lobby"})], "only its owners write"),
    "mode": (
        "/mode read-only war",
        [("room_mode", {"room": "#war", "mode": "read-only"})],
        "read-only now",
    ),
    "invite": ("/invite bob", [("invite", {"room": "#lobby", "user": "bob"})], ""),
    "uninvite": (
        "/uninvite bob war",
        [("uninvite", {"room": "#war", "user": "bob"})],
        "is not invited to",
    ),
    "owner": (
        "/owner bob --remove war",
        [("owner", {"room": "#war", "user": "bob", "on": False})],
        "bob no longer owns #war",
    ),
    "remove": (
        "/remove bob #war too loud",
        [("member_remove", {"room": "#war", "user": "bob", "reason": "too loud"})],
        "bob was removed from #war",
    ),
    "group": ("/group bob @carol", [("enter", "@bob,carol")], ""),
    "topic": ("/topic new", [("topic", {"room": "#lobby", "topic": "new"})], ""),
    "who": ("/who", [("who", {"room": "#lobby"})], "bob*"),
    "verify": (
        "/verify bob",
        [("whois", {"user": "bob"}), ("whois", {"user": "alice"})],
        "does not name this device's key",
    ),
    "whois": ("/whois bob", [("whois", {"user": "bob"})], "role user"),
    "msg": ("/msg bob hi", [("say", "hi", "@bob", "text", None)], ""),
    "reply": ("/reply bob yes", [("say", "yes", "", "text", 7)], ""),
    "edit": ("/edit 8 better", [("edit", 8, "better")], ""),
    "delete": ("/delete 8 why", [("delete", {"room": "#lobby", "seq": 8, "reason": "why"})], "deleted: "),
    "withdraw": ("/withdraw 8", [("held_withdraw", {"seq": 8})], ""),
    "react": (
        "/react bob +1",
        [("react", {"room": "#lobby", "seq": 7, "text": "+1", "on": True})],
        "",
    ),
    "reactions": ("/reactions 7", [("reactions", {"room": "#lobby", "seq": 7})], "+1 ×52"),
    "ack": ("/ack 7 on it", [("say", "acknowledged this: on it", "", "action", 7)], ""),
    "me": ("/me waves", [("say", "waves", "", "action", None)], ""),
    "paste": ("/paste", [("paste",)], ""),
    "catchup": ("/catchup", [("catch_up", CATCHUP_COUNT)], ""),
    "history": ("/history 100", [("show_older", 100)], "50 earlier events shown"),
    "say!": ("/say! drop it", [("say", "drop it", "", "text!", None)], ""),
    "show": (
        "/show 12",
        [("history", {"room": "#lobby", "before": 13, "limit": 1}), ("show_whole", 12)],
        "",
    ),
    "search": ("/search words", [("search", "words")], ""),
    "focus": ("/focus ops", [("focus", frozenset({"#ops"}))], ""),
    "away": ("/away lunch", [("away", {"text": "lunch"})], "you are away"),
    "kick": (
        "/kick bob #war x",
        [("kick", {"user": "bob", "room": "#war", "reason": "x"})],
        "removed from #war; 1 session",
    ),
    "ban": ("/ban bob 2h", [("ban", {"user": "bob", "seconds": 7200})], "bob is banned until unbanned"),
    "unban": ("/unban bob x y", [("unban", {"user": "bob", "reason": "x y"})], "bob may connect again"),
    "bans": ("/bans", [("bans", {})], "eve"),
    "mute": ("/mute bob 30m", [("mute", {"user": "bob", "seconds": 1800})], "everywhere for 30m"),
    "mutes": ("/mutes", [("mutes", {})], "in #war until an admin ends it: loud (by alice)"),
    "unmute": (
        "/unmute bob #war x",
        [("unmute", {"user": "bob", "room": "#war", "reason": "x"})],
        "in #war",
    ),
    "redact": ("/redact 7 why", [("redact", {"room": "#lobby", "seq": 7, "reason": "why"})], ""),
    "announce": ("/announce hi", [("announce", {"body": "hi"})], ""),
    "role": (
        "/role bob admin x",
        [("role_set", {"user": "bob", "role": "admin", "reason": "x"})],
        "has the role admin",
    ),
    "reconnect": ("/reconnect", [("reconnect",)], ""),
    "quit": ("/quit", [("quit",)], ""),
}


@pytest.mark.parametrize(
    ("to", "kind", "reply_to"),
    [
        ("#lobby", "text", None),
        ("@bob", "text", None),
        ("@bob,carol", "text", 7),
        ("#lobby", "action", None),
        ("#lobby", "snippet", 7),
    ],
)
def test_what_was_refused_for_a_word_is_sent_anyway_as_it_was_and_where_it_was(
    surface: FakeSurface, to: str, kind: str, reply_to: int | None
) -> None:
    surface.model.take(Refused(Sent("1", "#lobby", "before", "text", None), FILTERED))
    surface.model.take(Refused(Sent("2", to, "drop it", kind, reply_to), FILTERED))
    run(surface, "/say!")
    assert surface.calls == [("say", "drop it", to, f"{kind}!", reply_to)]


def test_what_may_not_be_sent_anyway_says_so_again_and_nothing_older_is_sent(surface: FakeSurface) -> None:
    final = ChatdError("E400", "the message contains the forbidden word 'x'", "rephrase it")
    surface.model.take(Refused(Sent("1", "@bob", "drop it", "text", None), FILTERED))
    surface.model.take(Refused(Sent("2", "@bob", "x", "text", None), final))
    with pytest.raises(ChatdError, match="what was refused last cannot be sent anyway") as refused:
        run(surface, "/say!")
    assert (refused.value.code, refused.value.fix, surface.calls) == ("E400", "rephrase it", [])
    surface.model.sending(Sent("3", "#lobby", "other", "text", None))
    with pytest.raises(ChatdError, match="E404"):
        run(surface, "/say!")


def test_nothing_is_sent_anyway_twice(surface: FakeSurface) -> None:
    with pytest.raises(ChatdError, match="E404"):
        run(surface, "/say!")
    surface.model.take(Refused(Sent("1", "@bob", "drop it", "text", None), FILTERED))
    run(surface, "/say!")
    with pytest.raises(ChatdError, match="E404"):
        run(surface, "/say!")


@pytest.mark.parametrize("command", [command.name for command in TABLE])
def test_each_command_makes_its_calls_and_shows_its_result(surface: FakeSurface, command: str) -> None:
    line, calls, shown = EXAMPLES[command]
    surface.model.take(message(7, "hello"))
    surface.model.take(message(8, "mine", "alice"))
    run(surface, line)
    assert surface.calls == calls
    assert any(shown in text for text in surface.lines) if shown else surface.lines == []


def test_help_about_one_command_omits_the_hints(surface: FakeSurface) -> None:
    run(surface, "/help ban")
    assert surface.lines == ["/ban NAME [2h] [REASON...]  keep a user out, for a time or until /unban"]


def test_msg_without_text_opens_the_conversation(surface: FakeSurface) -> None:
    run(surface, "/msg @bob")
    assert surface.calls == [("enter", "@bob")]


def test_focus_off_shows_all_rooms_and_focus_alone_only_the_current_one(surface: FakeSurface) -> None:
    for line in ("/focus off", "/focus"):
        run(surface, line)
    assert surface.calls == [("focus", None), ("focus", frozenset())]


def test_the_topic_is_shown(surface: FakeSurface) -> None:
    run(surface, "/topic")
    surface.model.here.topic = "the plan"
    run(surface, "/topic")
    assert surface.lines == ["there is no topic", "#lobby has the topic: the plan"]


def test_who_updates_the_members(surface: FakeSurface) -> None:
    run(surface, "/who")
    assert set(surface.model.here.members) == {"bob"}


@pytest.mark.parametrize(
    ("to", "seq"), [("bob", 9), ("@carol", 8), ("00:00:07Z", 7), ("[00:00:07Z]", 7), ("00:00", 9)]
)
def test_reply_finds_the_last_message_of_a_name_or_time(surface: FakeSurface, to: str, seq: int) -> None:
    for event in (message(7, "one"), message(8, "two", "carol"), message(9, "three")):
        surface.model.take(event)
    surface.model.note("not a message")
    run(surface, f"/reply {to} yes")
    assert surface.calls == [("say", "yes", "", "text", seq)]


@pytest.mark.parametrize("line", ["/reply dan yes", "/redact dan", "/redact " + "9" * 17, "/reply 00 yes"])
def test_a_reply_or_redaction_of_an_unknown_message_is_refused(surface: FakeSurface, line: str) -> None:
    surface.model.take(message(7, "one"))
    with pytest.raises(ChatdError, match="E410"):
        run(surface, line)
    assert surface.calls == []


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("/edit better now", [("edit", 8, "better now")]),
        ("/edit 6 5 apples", [("edit", 6, "5 apples")]),
        ("/edit 6 two\nlines", [("edit", 6, "two\nlines")]),
    ],
)
def test_edit_takes_the_last_own_message_or_the_one_named(
    surface: FakeSurface, line: str, calls: list[tuple[Any, ...]]
) -> None:
    for event in (
        message(6, "one", "alice"),
        message(7, "two"),
        message(8, "mine", "alice"),
        message(9, "x"),
    ):
        surface.model.take(event)
    run(surface, line)
    assert surface.calls == calls


@pytest.mark.parametrize("line", ["/edit 5 apples", "/edit 7 not mine", "/edit 6", "/edit 99"])
def test_an_edit_that_may_mean_another_message_is_refused(surface: FakeSurface, line: str) -> None:
    for event in (message(6, "one", "alice"), message(7, "two")):
        surface.model.take(event)
    with pytest.raises(ChatdError):
        run(surface, line)
    assert surface.calls == []


def test_an_edit_of_somebody_elses_message_says_whose_it_is(surface: FakeSurface) -> None:
    surface.model.take(message(7, "two"))
    with pytest.raises(ChatdError, match="message 7 is bob's") as refused:
        run(surface, "/edit 7 not mine")
    assert (refused.value.code, refused.value.fix) == ("E310", "reply to it: /reply 7 TEXT")


def test_a_deletion_is_told_by_the_text(surface: FakeSurface) -> None:
    surface.model.take(message(7, "tpyo", "alice"))
    run(surface, "/delete 7")
    assert surface.lines == ["deleted: tpyo"]


def test_delete_without_a_number_lists_candidates(surface: FakeSurface) -> None:
    for seq in range(1, 9):
        surface.model.take(message(seq, f"word {seq}", "alice" if seq % 2 else "bob"))
    run(surface, "/delete")
    assert surface.calls == []
    assert surface.lines == [f"/delete {seq} deletes: word {seq}" for seq in (1, 3, 5, 7)]


def test_a_reaction_that_was_given_is_taken_back(surface: FakeSurface) -> None:
    surface.model.take(message(7, "hello"))
    reacted = {"room": "#lobby", "target": 7, "user": "alice", "text": "+1", "on": True, "count": 1}
    surface.model.take(ev.Reacted.model_validate({"type": "reacted", "seq": 8, "at": 0} | reacted))
    run(surface, "/react 7 +1")
    assert surface.calls == [("react", {"room": "#lobby", "seq": 7, "text": "+1", "on": False})]
    with pytest.raises(ChatdError, match="E401"):
        run(surface, "/react 7 " + "x" * 17)


def test_redact_with_a_name_lists_the_last_candidates(surface: FakeSurface) -> None:
    for seq in range(1, 9):
        surface.model.take(message(seq, f"secret {seq}"))
    run(surface, "/redact bob")
    assert surface.calls == []
    assert surface.lines == [f"/redact {seq} deletes bob: secret {seq}" for seq in range(4, 9)]


@pytest.mark.parametrize(("to", "seq"), [("7", 7), ("bob", 9), ("8", 8)])
def test_a_reply_is_to_a_name_or_a_number(surface: FakeSurface, to: str, seq: int) -> None:
    for number in (7, 8, 9):
        surface.model.take(message(number, "hello"))
    run(surface, f"/reply {to} yes")
    assert surface.calls == [("say", "yes", "", "text", seq)]
    with pytest.raises(ChatdError, match="E410"):
        run(surface, "/reply 6 yes")


@pytest.mark.parametrize(
    ("here", "others", "told"),
    [((5, 7), (9,), 7), ((), (9,), 9), ((), (9, 11), "9 in #war, 11 in #war"), ((), (), "known to wait")],
)
def test_a_waiting_message_is_taken_back_from_any_room(
    surface: FakeSurface, here: tuple[int, ...], others: tuple[int, ...], told: int | str
) -> None:
    for room, seqs in (("#lobby", here), ("#war", others)):
        pending = surface.model.conversation(room).pending
        pending.update({f"{seq}": TimelineRow((0, seq), "held", "a merger") for seq in seqs})
    if isinstance(told, int):
        run(surface, "/withdraw")
        assert surface.calls == [("held_withdraw", {"seq": told})]
    else:
        with pytest.raises(ChatdError, match=told):
            run(surface, "/withdraw")


LEAVING = [
    ({"mode": "members", "members": 3, "owners": ["bob"]}, "only an invitation brings you back"),
    ({"mode": "members", "members": 1, "owners": ["alice"]}, "its last member, so nobody can invite you"),
    ({"mode": "members", "members": 1, "owners": ["alice"]}, "nobody owns it then"),
    ({"mode": "open", "members": 3, "owners": ["alice"]}, "/owner NAME makes another owner first"),
    ({"mode": "open", "members": 3, "owners": ["bob"], "archived": True}, "nobody enters an archived room"),
    (
        {"mode": "open", "members": 3, "owners": ["bob"], "history": "since_join"},
        "your own messages included",
    ),
]


@pytest.mark.parametrize(("room", "loss"), LEAVING)
def test_leaving_what_cannot_be_entered_again_is_asked_once(
    surface: FakeSurface, monkeypatch: pytest.MonkeyPatch, room: JsonObject, loss: str
) -> None:
    monkeypatch.setitem(RESULTS, "room_info", {"room": "#lobby", "archived": False} | room)
    now = 1_000.0
    surface.model.clock = lambda: now
    run(surface, "/part")
    assert [call[0] for call in surface.calls] == ["room_info"]
    assert loss in surface.lines[-1] and surface.lines[-1].endswith("repeat: /part #lobby")
    now += ANSWER_SECONDS + 1
    run(surface, "/part")
    assert [call[0] for call in surface.calls] == ["room_info"] * 2
    now += ANSWER_SECONDS
    run(surface, "/part #lobby")
    assert surface.calls[-1] == ("part", {"room": "#lobby"})


@pytest.mark.parametrize(
    ("line", "room"),
    [
        ("/part", {"mode": "open", "members": 3, "owners": ["alice", "bob"]}),
        ("/part", {"mode": "open", "members": 3, "owners": None}),
        ("/part", {"mode": "members", "members": 3, "owners": ["alice"]}),  # the server refuses
        ("/part @alice,b", {"mode": "members", "members": 2, "owners": []}),  # the server refuses
    ],
)
def test_what_is_entered_again_is_left_at_once(
    surface: FakeSurface, monkeypatch: pytest.MonkeyPatch, line: str, room: JsonObject
) -> None:
    monkeypatch.setitem(RESULTS, "room_info", {"room": "#lobby"} | room)
    if "@" in line:
        surface.model.switch("@alice,b")
        line = "/part"
    run(surface, line)
    assert surface.calls[-1][0] == "part"


def test_leaving_a_group_first_says_that_its_messages_cannot_be_read_again(surface: FakeSurface) -> None:
    surface.model.switch("@a,alice,b")
    run(surface, "/part")
    assert not surface.calls
    assert surface.lines[-1].startswith("you are still in the group of a, alice, b: if you come back")
    run(surface, "/part")
    assert surface.calls == [("part", {"room": "@a,alice,b"})]


@pytest.mark.parametrize("line", ["/part", "/topic", "/who", "/history", "/redact 7"])
def test_room_commands_are_refused_outside_of_any_room(surface: FakeSurface, line: str) -> None:
    surface.model.current = ""
    with pytest.raises(ChatdError, match="E301"):
        run(surface, line)
