"""The model of a user's conversations, and the blocks that the window draws from it."""

from __future__ import annotations

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
from chatctl.client._notices import WELCOME_ROOMS, acknowledge, refuse
from chatctl.model.chat_model import ChatModel, RedactedRange
from chatctl.model.conversation import READING_LIMIT, ROWS_LIMIT, TRIM_STEP
from chatctl.model.conversations import EARLIER_LIMIT, ROOMS_LIMIT
from chatctl.model.finder import INVITED, Destination, places
from chatctl.window.side_items import conversation_items
from chatctl.window.timeline import Block, BlockCache, blocks, changes, line_count, splices
from chatd.errors import ChatdError
from chatd.proto import events as ev

LOBBY, WAR, DIRECT = "#lobby", "#war", "@alice,bob"
NOON = 1_750_000_000_000


def message(
    seq: int, body: str = "hello", *, room: str = LOBBY, user: str = "bob", **more: object
) -> ev.Message:
    fields = {
        "kind": "text",
        "msg_id": f"{seq:032x}",
        "device": "d",
        "role": "user",
        "at": NOON + seq,
        **more,
    }
    return ev.Message.model_validate(
        {"type": "message", "seq": seq, "room": room, "user": user, "body": body, **fields}
    )


def joined(seq: int, user: str, room: str = LOBBY, role: str = "user") -> ev.Joined:
    return ev.Joined(type="joined", seq=seq, at=NOON, room=room, user=user, role=role, by=user)


def parted(seq: int, user: str, room: str = LOBBY) -> ev.Parted:
    return ev.Parted(type="parted", seq=seq, at=NOON, room=room, user=user, by=user)


def sent(body: str = "mine", to: str = LOBBY) -> Sent:
    return Sent("f" * 32, to, body, "text", None)


@pytest.fixture
def model() -> ChatModel:
    model = ChatModel("alice")
    model.joined = {LOBBY, WAR}
    model.switch(LOBBY)
    model.changed.clear()
    return model


def shown(model: ChatModel, room: str = LOBBY) -> str:
    drawn = blocks(model.conversation(room), model.me)
    return "".join(text for block in drawn for _, text in block.parts)


def test_events_are_kept_once_in_the_order_of_the_log(model: ChatModel) -> None:
    model.take(message(5, "five"))
    model.add_history(LOBBY, [message(3, "three"), message(4, "four"), message(5, "five")], more=True)
    model.take(message(6, "six"))
    assert [row.body for row in model.here.rows] == ["three", "four", "five", "six"]
    assert (model.here.oldest, model.here.newest, model.here.has_older) == (3, 6, True)


@pytest.mark.parametrize(
    ("event", "unread", "called"),
    [
        (message(1), 0, 0),
        (message(1, room=WAR), 1, 0),
        (message(1, "alice: come", room=WAR), 1, 1),
        (message(1, "malice", room=WAR), 1, 0),
        (message(1, room=DIRECT), 1, 1),
        (message(1, room=WAR, user="alice"), 0, 0),
    ],
)
def test_messages_in_other_rooms_are_unread_and_mentions_alert(
    model: ChatModel, event: ev.Message, unread: int, called: int
) -> None:
    model.take(event)
    assert (model.unread, len(model.alerts)) == (unread, called)
    model.switch(event.room)
    assert model.unread == 0


def test_messages_in_the_current_room_are_unread_while_the_window_has_no_focus(model: ChatModel) -> None:
    model.look(False)
    model.take(message(7))
    assert (model.unread, model.here.read.first) == (1, 7)
    assert "new\n" in shown(model)
    model.look(True)
    assert model.unread == 0
    model.switch(WAR)
    model.switch(LOBBY)
    assert "new\n" not in shown(model)


def test_the_divider_stands_above_the_first_message_of_somebody_else(model: ChatModel) -> None:
    for event in (
        message(3, "old"),
        message(4, "mine", user="alice"),
        joined(5, "carol"),
        message(6, "news"),
    ):
        model.take(event)
    model.here.read.first = 4
    text = shown(model)
    assert text.index("mine") < text.index("new\n") < text.index("news")


def test_a_message_is_pending_until_it_is_in_the_log(model: ChatModel) -> None:
    message_sent = sent()
    model.sending(message_sent)
    assert len(model.pending()) == 1
    assert "sending" in shown(model)
    acknowledge(message_sent, SentResult(9, NOON, [{"rule": "truncated", "text": "the message was cut"}]))
    model.take(Acknowledged(message_sent))
    assert (len(model.pending()), "sending" in shown(model), "mine" in shown(model)) == (0, False, True)
    model.take(message(9, "mine", user="alice", msg_id=message_sent.msg_id))
    assert not model.here.pending
    assert shown(model).count("mine") == 1
    assert "your message was changed: the message was cut" in shown(model)


def test_who_does_not_get_what_is_written_is_told_until_that_changes(model: ChatModel) -> None:
    told = []
    for seq, text in enumerate(("bob left", "bob left", "carol left", "", "bob left"), 9):
        message_sent = sent()
        notes = [{"rule": "left", "text": text}] if text else []
        acknowledge(message_sent, SentResult(seq, NOON, notes))
        model.take(Acknowledged(message_sent))
        told.append(model.sent_notes)
    assert told == [["bob left"], [], ["carol left"], [], ["bob left"]]
    assert shown(model).count("bob left") == 2


def test_the_acknowledgement_may_arrive_before_the_message_is_shown(model: ChatModel) -> None:
    message_sent = sent()
    acknowledge(message_sent, SentResult(9, NOON, []))
    model.take(Acknowledged(message_sent))
    model.take(message(9, "mine", user="alice", msg_id=message_sent.msg_id))
    model.sending(message_sent)
    assert shown(model).count("mine") == 1


def test_the_event_may_arrive_before_the_acknowledgement(model: ChatModel) -> None:
    message_sent = sent()
    model.take(message(9, "mine", user="alice", msg_id=message_sent.msg_id))
    model.sending(message_sent)
    acknowledge(message_sent, SentResult(9, NOON, []))
    model.take(Acknowledged(message_sent))
    assert shown(model).count("mine") == 1


def test_a_refused_message_waits_for_an_empty_input(model: ChatModel) -> None:
    message_sent = sent("a hack", to="@bob")
    model.sending(message_sent)
    refuse(message_sent, ChatdError("E400", "forbidden word", "rephrase it"))
    model.take(Refused(message_sent, ChatdError("E400", "forbidden word", "rephrase it")))
    direct = model.conversation(DIRECT)
    assert (direct.draft, list(direct.refused), direct.pending) == ("", ["a hack"], {})
    assert "--\tnot sent: a hack\n\tforbidden word; rephrase it" in shown(model, DIRECT)


def test_the_note_about_a_refused_text_goes_once_the_text_is_sent(model: ChatModel) -> None:
    for number, body in enumerate(("a hack", "another")):
        refused = Sent(f"{number:032x}", LOBBY, body, "text", None)
        model.take(Refused(refused, ChatdError("E400", "forbidden word", "rephrase it")))
    again = Sent("e" * 32, LOBBY, "a hack", "text!", None)
    model.sending(again)
    acknowledge(again, SentResult(9, NOON, []))
    model.take(Acknowledged(again))
    assert "not sent: a hack" not in shown(model)
    assert "not sent: another" in shown(model)


def test_a_message_to_nobody_leaves_no_conversation(model: ChatModel) -> None:
    message_sent = sent("hi", to="@zoe")
    model.sending(message_sent)
    model.take(Refused(message_sent, ChatdError("E405", "there is no user 'zoe'", "see /who")))
    assert "@alice,zoe" not in model.conversations
    assert list(model.here.refused) == ["/msg zoe hi"]
    assert "there is no user" in shown(model)
    # One that exists stays, with the text: its user may have been removed.
    model.take(message(3, "hello", room=DIRECT))
    model.take(Refused(sent("hi", to="@bob"), ChatdError("E405", "there is no user 'bob'", "see /who")))
    assert list(model.conversation(DIRECT).refused) == ["hi"]


def test_a_notice_without_words_is_not_shown(model: ChatModel) -> None:
    told = {"type": "standing", "role": "user", "permissions": [], "by": "server"}
    model.take(ev.Standing.model_validate({**told, "change": "resumed"}))
    assert model.here.rows == []
    model.take(message(3))
    model.take(ev.Standing.model_validate({**told, "change": "role_set", "by": "dora"}))
    notice = {"type": "presence", "room": LOBBY, "user": "alice", "state": "online", "by": "dora"}
    model.take(ev.Presence.model_validate({**notice, "cause": "made user", "reason": ""}))
    assert shown(model).count("dora") == 1, "a change of one's own role is told once"


def test_invitations_are_known_until_they_are_answered(model: ChatModel) -> None:
    welcome = connected(LOBBY)
    welcome = Connected(welcome.welcome.model_copy(update={"invites": ["#ops", "#dev"]}))
    model.take(welcome)
    assert model.invited_to == ["#dev", "#ops"]
    assert [alert.title for alert in model.alerts] == ["you are invited"]
    model.take(welcome)
    assert len(model.alerts) == 1, "told once"
    told = {"type": "standing", "role": "user", "permissions": [], "by": "dora"}
    model.take(ev.Standing.model_validate({**told, "change": "invited", "room": "#new"}))
    assert model.alerts[-1] == ("dora invited you", "to #new")
    model.take(ev.Standing.model_validate({**told, "change": "uninvited", "room": "#dev"}))
    model.take(joined(7, "alice", "#ops"))
    assert model.invited_to == ["#new"]
    items = [(item.key, item.text, item.mark) for item in conversation_items(model)]
    assert items[:2] == [("", "Invitations", ""), ("#new", "new", "Join")]
    assert Destination("#new", INVITED) in places(model)
    # Notes of before the first page of history stand below it, where they are seen.
    model.add_history(LOBBY, [message(3, "three"), message(4, "four")], more=False)
    text = shown(model)
    assert text.index("four") < text.index("you are invited to #ops")


@pytest.mark.parametrize(
    ("fix", "offered"), [("rephrase it, or send it anyway", True), ("rephrase it", False)]
)
def test_sending_anyway_is_offered_after_such_a_refusal_only(
    model: ChatModel, fix: str, offered: bool
) -> None:
    first, second = (Sent(f"{number:032x}", LOBBY, "a hack", "text", None) for number in (1, 2))
    model.sending(first)
    assert model.here.overridable is None
    model.take(Refused(first, ChatdError("E400", "forbidden word", fix)))
    assert (model.here.overridable is first) is offered
    assert (model.here.rows[-1].body.endswith("send it anyway: Menu > Send anyway")) is offered
    model.sending(second)
    assert model.here.overridable is None


def test_every_refused_text_is_kept_beside_what_is_being_typed(model: ChatModel) -> None:
    model.here.draft = "being typed"
    for number in range(3):
        refused = Sent(f"{number:032x}", LOBBY, f"text {number}", "text", None)
        model.sending(refused)
        model.take(Refused(refused, ChatdError("E400")))
    assert (model.here.draft, list(model.here.refused)) == ("being typed", ["text 0", "text 1", "text 2"])
    assert model.pending() == []


def test_messages_of_earlier_runs_are_pending_at_once_and_shown_once(model: ChatModel) -> None:
    earlier = [Sent(f"{n:032x}", LOBBY if n % 2 else "@bob", f"text {n}", "text", None) for n in range(4)]
    model.sending_earlier(earlier)
    model.sending_earlier(earlier)
    assert [(room, row.body) for room, row in model.pending()] == [
        (DIRECT, "text 0"),
        (LOBBY, "text 1"),
        (DIRECT, "text 2"),
        (LOBBY, "text 3"),
    ]
    # One of them had reached the server.
    model.add_history(LOBBY, [message(7, "text 1", user="alice", msg_id=earlier[1].msg_id)], more=False)
    assert [row.body for _, row in model.pending()] == ["text 0", "text 2", "text 3"]
    many = [Sent(f"{n:032x}", LOBBY, "x", "text", None) for n in range(100, 101 + EARLIER_LIMIT)]
    model.sending_earlier(many)
    assert len(model.pending()) == 3 + EARLIER_LIMIT


def test_a_join_by_somebody_else_is_no_presence(model: ChatModel) -> None:
    def added(seq: int, user: str, room: str = LOBBY) -> ev.Joined:
        return ev.Joined(type="joined", seq=seq, at=NOON, room=room, user=user, role="user", by="server")

    model.set_members(LOBBY, [{"user": "bob", "state": "online"}, {"user": "dan", "state": "offline"}])
    model.take(added(1, "carol"))
    model.take(joined(2, "dan", WAR))  # dan is connected: nobody joined for them
    model.take(added(3, "bob", WAR))
    model.take(added(4, "carol", WAR))
    assert {one.user: one.state for one in model.here.members.values()} == {
        "bob": "online",
        "dan": "offline",  # the presence event of this room says more
        "carol": "offline",
    }
    assert {one.user: one.state for one in model.conversation(WAR).members.values()} == {
        "dan": "online",
        "bob": "online",
        "carol": "offline",
    }
    model.take(ev.Presence(type="presence", room=LOBBY, user="carol", state="online", text=""))
    assert model.here.members["carol"].state == "online"


def test_members_follow_events(model: ChatModel) -> None:
    entries = [{"user": "bob", "role": "admin", "state": "online", "text": ""}, {"user": "eve"}, {}]
    model.set_members(LOBBY, entries)
    model.take(joined(1, "carol", role="guest"))
    model.take(parted(2, "eve"))
    model.take(ev.Presence(type="presence", room=LOBBY, user="bob", state="away", text="lunch"))
    found = {(one.user, one.role, one.state, one.text) for one in model.here.members.values()}
    assert found == {
        ("bob", "admin", "away", "lunch"),
        ("carol", "guest", "online", ""),
    }
    model.take(parted(3, "alice", WAR))
    assert [one.name for one in model.listed()] == [LOBBY]


def test_members_are_dated_while_disconnected() -> None:
    now = 14.0
    model = ChatModel("alice", clock=lambda: now)
    lost = Disconnected(ChatdError("E607"), 1.0)
    model.take(lost)
    model.set_members(LOBBY, [{"user": "bob", "state": "online"}])
    model.connection = "connected"
    model.changed.clear()
    model.take(lost)
    assert (model.conversation(LOBBY).members_as_of, "members" in model.changed) == (14_000, True)
    now = 15.0
    model.take(lost)
    assert model.conversation(LOBBY).members_as_of == 14_000
    # This reply belongs to the previous connection.
    model.set_members(LOBBY, [{"user": "bob", "state": "online"}])
    assert model.conversation(LOBBY).members_as_of == 14_000
    model.connection = "connected"
    model.set_members(LOBBY, [{"user": "bob", "state": "online"}])
    assert model.conversation(LOBBY).members_as_of == 0


def test_kicks_are_shown_in_loaded_rooms(model: ChatModel) -> None:
    model.set_members(WAR, [{"user": "bob", "state": "online"}])
    model.take(message(1, room=WAR))
    because = {"cause": "kicked", "by": "eve\x1b", "reason": "noise"}
    for room in (WAR, "#unseen"):
        model.take(ev.Presence(type="presence", room=room, user="bob", state="offline", **because))
    assert model.conversation(WAR).members["bob"].state == "offline"
    assert r"bob was kicked by eve\x1b: noise" in shown(model, WAR)
    assert "kicked" not in shown(model, LOBBY) + shown(model, "#unseen")


def test_rooms_are_listed_before_direct_conversations(model: ChatModel) -> None:
    model.take(message(1, room=DIRECT))
    model.set_rooms([{"room": WAR, "joined": True, "topic": "t"}, {"room": "#other"}, {"joined": True}], 0)
    assert [model.title(one.name) for one in model.listed()] == [LOBBY, WAR, "@bob"]
    assert (model.address(DIRECT), model.address(WAR)) == ("@bob", WAR)


def test_an_outdated_list_of_rooms_does_not_undo_a_join(model: ChatModel) -> None:
    model.take(joined(3, "alice", room="#left"))
    model.take(parted(5, "alice", room="#left"))
    model.take(joined(5, "alice", room="#new"))
    assert model.entered("#newer", 4)
    model.set_rooms(
        [
            {"room": "#new", "joined": False, "topic": "t"},
            {"room": "#newer", "joined": False},
            {"room": "#left", "joined": True},
        ],
        4,
    )
    assert [one.name for one in model.listed()] == [LOBBY, "#new", "#newer"]
    assert model.conversation("#new").topic == "t"


def test_rooms_beyond_those_of_the_welcome_are_listed(model: ChatModel) -> None:
    rooms = sorted(f"#r{number}" for number in range(900))
    model.conversation(WAR)
    model.take(connected(*rooms[:WELCOME_ROOMS]))
    assert model.rooms_missing
    assert "too many conversations for one list" in shown(model)
    model.set_rooms([{"room": room, "joined": True, "topic": "t"} for room in rooms], 0)
    model.set_rooms([{"room": "#open", "joined": False}, {"room": "@alice,bob", "joined": True}], 0)
    listed = [one.name for one in model.listed()]
    assert set(listed) == {LOBBY, WAR, *rooms}
    assert model.unlisted == 0
    # After a reconnect they are still there.
    model.take(connected(*rooms[:WELCOME_ROOMS]))
    assert [one.name for one in model.listed()] == listed
    assert shown(model).count("too many conversations") == 1
    model.joined |= {f"#s{number}" for number in range(ROOMS_LIMIT)}
    for room in sorted(model.joined):
        model.conversation(room)
    assert model.unlisted == len(model.joined) - ROOMS_LIMIT


def connected(*rooms: str) -> Connected:
    limits = dict.fromkeys(ev.SessionLimits.fields(), 1)
    names = {"server": "", "version": "", "instance": "lab", "user": "alice", "device": "d", "role": "user"}
    fields = {"type": "welcome", "protocol": 1, "permissions": [], "head": 1, "time": 1, "envelope": True}
    return Connected(ev.Welcome.model_validate({**names, **fields, "rooms": [*rooms], "limits": limits}))


def test_the_connection_state_follows_disconnects_and_welcomes(model: ChatModel) -> None:
    model.take(Disconnected(ChatdError("E607"), 1.0))
    assert model.connection == "reconnecting"
    model.take(Disconnected(ChatdError("E208"), None))
    assert (model.connection, model.trouble and model.trouble.code) == ("ended", "E208")
    limits = dict.fromkeys(ev.SessionLimits.fields(), 1)
    welcome = {
        "type": "welcome",
        "protocol": 1,
        "server": "",
        "version": "",
        "instance": "lab",
        "user": "alice",
    }
    welcome |= {"device": "d", "role": "admin", "permissions": ["search"], "rooms": ["#new"], "head": 1}
    model.take(
        Connected(ev.Welcome.model_validate({**welcome, "time": 1, "envelope": True, "limits": limits}))
    )
    assert (str(model.connection), model.trouble) == ("connected", None)
    assert model.permissions == {"search"}
    assert model.joined == {"#new"}  # removed from the others while disconnected


def test_the_seconds_until_the_next_attempt_count_down() -> None:
    now = 100.0
    model = ChatModel("alice", clock=lambda: now)
    assert (model.retry_seconds, model.connection_words) == (0, "connecting")
    model.take(Disconnected(ChatdError("E607"), 7.0))
    assert model.connection_words == "reconnecting in 7 s \u00b7 /reconnect"
    now = 104.5
    assert model.connection_words == "reconnecting in 3 s \u00b7 /reconnect"
    now = 107.0
    assert model.connection_words == "reconnecting"
    now = 50.0  # the clock was set back
    assert model.connection_words == "reconnecting in 7 s \u00b7 /reconnect"
    model.take(Disconnected(ChatdError("E208"), None))
    assert model.connection_words == "ended"


def test_a_restore_drops_events_that_the_new_log_lacks(model: ChatModel) -> None:
    model.add_history(LOBBY, [message(50)], more=False)
    model.take(CaughtUp(50))
    assert model.here.rows
    model.take(Restored(40))
    assert [row.kind for row in model.here.rows] == ["note"]
    assert not model.here.loaded


HOSTILE = "a\x1b[2J\u202eb\x00\r\nfoo\u200b"


def test_hostile_text_is_escaped_in_every_text(model: ChatModel) -> None:
    model.take(message(1, HOSTILE, user=HOSTILE, role=HOSTILE))
    model.take(message(2, HOSTILE, reply_to=1, kind="action"))
    model.take(joined(3, HOSTILE, role=HOSTILE))
    model.take(ev.TopicSet(type="topic", seq=4, at=NOON, room=LOBBY, topic=HOSTILE, by=HOSTILE))
    model.take(ev.Announcement(type="announcement", seq=5, at=NOON, body=HOSTILE, by=HOSTILE))
    model.take(message(6, "alice " + HOSTILE, user=HOSTILE, room=WAR))
    model.set_members(WAR, [{"user": HOSTILE, "role": HOSTILE, "state": HOSTILE, "text": HOSTILE}])
    model.note(HOSTILE)
    texts = [shown(model), shown(model, WAR), model.here.topic, *map(str, model.alerts)]
    texts += [
        text for one in model.conversation(WAR).members.values() for text in (one.user, one.role, one.text)
    ]
    for text in texts:
        assert not set(text) & set("\x1b\u202e\x00\r\u200b"), text
    assert "\\x1b[2J" in texts[0]


def test_memory_for_messages_and_rooms_is_bounded(model: ChatModel) -> None:
    model.reading = True
    for seq in range(1, READING_LIMIT + TRIM_STEP):
        model.take(message(seq, room=WAR))
        model.take(message(seq))
    assert ROWS_LIMIT <= len(model.conversation(WAR).rows) < ROWS_LIMIT + TRIM_STEP
    assert len(model.here.rows) == READING_LIMIT + TRIM_STEP - 1
    assert "Too far back" in shown(model)
    model.reading = False
    model.take(message(20_000))
    assert len(model.here.rows) == ROWS_LIMIT
    assert model.here.has_older
    for n in range(ROOMS_LIMIT + 10):
        model.take(message(30_000 + n, room=f"#r{n}"))
    assert len(model.conversations) == ROOMS_LIMIT
    assert LOBBY in model.conversations


def test_consecutive_messages_of_a_user_share_a_heading(model: ChatModel) -> None:
    model.add_history(LOBBY, [message(1, "one"), message(2, "two"), message(3, "x", user="eve")], more=False)
    model.take(message(4, "late", user="eve", at=NOON + 3_600_000))
    headings = [
        text for block in blocks(model.here, "alice") for _, text in block.parts if text in ("bob", "eve")
    ]
    assert headings == ["bob", "eve", "eve"]
    assert shown(model).startswith("Beginning of #lobby\n2025-06-15\nbob")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "ab", (0, 0, 2)),
        ("ab", "ab", (2, 2, 2)),
        ("ab", "abc", (2, 2, 3)),
        ("bc", "abc", (0, 0, 1)),
        ("abc", "axc", (1, 2, 2)),
        ("aa", "aaa", (2, 2, 3)),
        ("abc", "", (0, 3, 0)),
    ],
)
def test_changes_are_limited_to_the_blocks_that_differ(
    old: str, new: str, expected: tuple[int, int, int]
) -> None:
    def drawn(text: str) -> list[Block]:
        return [Block((("body", f"{letter}\n"),)) for letter in text]

    assert changes(drawn(old), drawn(new)) == expected
    assert line_count(drawn(new)) == len(new)


def test_redacted_messages_and_their_quotes_disappear(model: ChatModel) -> None:
    for event in (message(1, "SECRET one"), message(2, "SECRET two"), message(3, "a reply", reply_to=2)):
        model.take(event)
    assert "\u258e bob: SECRET two" in shown(model)
    redacted = {"type": "redacted", "seq": 4, "at": NOON, "room": LOBBY, "target": 2, "by": "eve"}
    model.take(ev.Redacted.model_validate({**redacted, "reason": "a password"}))
    assert "SECRET two" not in shown(model)
    assert "\u258e a deleted or unreadable message" in shown(model)
    assert "eve deleted message 2: a password" in shown(model)
    assert list(model.redacted) == [RedactedRange(LOBBY, 2, 2)]
    assert [
        model.redacted[0].covers(message(seq, room=room)) for seq, room in ((2, LOBBY), (2, WAR), (3, LOBBY))
    ] == [
        True,
        False,
        False,
    ]
    model.take(ev.Expired(type="expired", seq=5, at=NOON, room=LOBBY, upto=3, count=2))
    assert "SECRET" not in shown(model)
    assert "a reply" not in shown(model)
    assert list(model.redacted)[1:] == [RedactedRange(LOBBY, 0, 3)]
    assert "2 messages of #lobby reached their age limit and were deleted" in shown(model)
    model.take(ev.Held(type="held", seq=6, at=NOON, room=LOBBY, on=True, by="eve"))
    assert "the messages of #lobby are held, says eve" in shown(model)


def test_a_removed_room_is_left_and_its_messages_are_dropped(model: ChatModel) -> None:
    for seq in (1, 2):
        model.take(message(seq, "SECRET"))
    model.take(ev.RoomRemoved(type="room_removed", seq=5, at=NOON, room=LOBBY, by="eve", reason="done"))
    assert "SECRET" not in shown(model)
    assert "#lobby was removed by eve: done" in shown(model)
    assert model.joined == {WAR}
    assert list(model.redacted) == [RedactedRange(LOBBY, 0, 5)]
    assert not model.entered(LOBBY, 4), "a reply from before the removal"
    # Somebody creates a room of this name later.
    model.take(joined(7, "alice", LOBBY))
    model.take(message(8, "new"))
    assert LOBBY in model.joined and "new" in shown(model)


def test_trimming_replaces_only_the_first_blocks() -> None:
    old = [Block((("b", f"{n}\n"),), n) for n in range(100)]
    head = [Block((("day", "d\n"),)), Block((("name", "bob\n"),), 40)]
    new = [*head, *old[41:], Block((("b", "100\n"),), 100)]
    steps = splices(old, new)
    assert steps == [(100, 100, new[-1:]), (0, 41, head)]
    for before, after in ((old, new), (new, old), (old, []), ([], new), (old, old), (new[:3], old)):
        made = list(before)
        for begin, end, fresh in splices(before, after):
            made[begin:end] = fresh
        assert made == after


def test_cached_blocks_are_reused_and_dropped_with_their_rows(model: ChatModel) -> None:
    cache: BlockCache = {}
    model.add_history(LOBBY, [message(1, "SECRET"), message(2, "two"), message(3, "three")], more=False)
    first = blocks(model.here, "alice", cache)
    model.take(message(4, "four"))
    second = blocks(model.here, "alice", cache)
    assert [one is other for one, other in zip(first[2:], second[2:], strict=False)] == [True] * 3
    assert second == blocks(model.here, "alice")
    model.here.redact(1, 1)
    assert blocks(model.here, "alice", cache) == blocks(model.here, "alice")
    assert "SECRET" not in str(cache)


def test_a_refused_message_in_another_conversation_alerts(model: ChatModel) -> None:
    elsewhere = sent("hi", to="@bob")
    model.sending(elsewhere)
    assert [(room, row.body) for room, row in model.pending()] == [(DIRECT, "hi")]
    model.take(Refused(elsewhere, ChatdError("E404", "there is no user 'bob'")))
    assert [(alert.title, alert.text) for alert in model.alerts] == [
        ("not sent to @bob", "there is no user 'bob'")
    ]
    here = sent("hi")
    model.sending(here)
    model.take(Refused(here, ChatdError("E400")))
    assert len(model.alerts) == 1


def test_messages_in_focused_rooms_are_read(model: ChatModel) -> None:
    model.focus = frozenset({WAR})
    model.take(message(1, "alice: come", room=WAR))
    model.take(message(2, "alice: come", room=DIRECT))
    assert [(one.name, one.unread) for one in model.listed() if one.unread] == [(DIRECT, 1)]


def test_a_restore_keeps_events_that_both_logs_have(model: ChatModel) -> None:
    model.add_history(LOBBY, [message(39), message(40), message(41)], more=False)
    model.take(message(7, room=WAR))
    model.take(Restored(40))
    assert [row.seq for row in model.here.rows if row.is_message] == [39, 40]
    assert [row.seq for row in model.conversation(WAR).rows] == [7]


def test_addresses_and_names_of_conversations_convert_both_ways(model: ChatModel) -> None:
    for address, name in (("@bob", DIRECT), (WAR, WAR), (DIRECT, DIRECT)):
        assert model.resolve(address) == name
        assert model.address(name) == ("@bob" if name == DIRECT else WAR)
    assert model.require_current() == LOBBY
    model.current = ""
    with pytest.raises(ChatdError, match="E301"):
        model.require_current()


def test_completion_offers_users_of_the_conversation_and_joined_rooms(model: ChatModel) -> None:
    model.take(message(1, user="carol"))
    model.set_members(LOBBY, [{"user": "bob"}])
    model.set_members(WAR, [{"user": "eve"}])
    assert (model.user_names(), model.room_names()) == ({"bob", "carol"}, {LOBBY, WAR})
    model.switch(DIRECT)
    assert model.user_names() == {"bob", "eve"}


def test_only_loaded_messages_can_be_quoted(model: ChatModel) -> None:
    model.take(message(1, "words"))
    model.take(joined(2, "carol"))
    quotes = [model.quote(message(3, reply_to=seq)) for seq in (1, 2, 9, None)]
    assert quotes == [("bob", "words"), None, None, None]
