"""The window's controller: late replies, in any order, never undo newer events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chatctl.client import CaughtUp, Connected, Disconnected
from chatctl.model.conversation import ROWS_LIMIT, TRIM_STEP
from chatctl.model.paging import HistoryPage
from chatctl.window.controller import Controller
from chatctl.window.network import PendingReply
from chatd.errors import ChatdError
from chatd.proto import events as ev
from tests.unit.test_chat_model import DIRECT, LOBBY, NOON, WAR, joined, message, parted

LIMITS = dict.fromkeys(ev.SessionLimits.fields(), 1)


class Identity:
    user = "alice"
    not_after = datetime.max.replace(tzinfo=UTC)

    def ends_soon(self, now: datetime) -> bool:
        return False


class Client:
    identity = Identity()


class FakeRequest:
    """A request that the test answers when it likes."""

    def __init__(self, kind: str, fields: dict[str, Any], done: Callable[[Any], None]) -> None:
        self.kind = kind
        self.fields = fields
        self.answer = done


class FakeNetwork:
    def __init__(self) -> None:
        self.requests: list[FakeRequest] = []
        self.client = Client()

    def submit(self, pending: PendingReply, done: Callable[[Any], None], failed: object) -> None:
        self.requests.append(FakeRequest(pending.kind, pending.fields, done))

    def last(self, kind: str) -> FakeRequest:
        return [one for one in self.requests if one.kind == kind][-1]


def welcome(*rooms: str) -> Connected:
    fields = {
        "type": "welcome", "protocol": 1, "server": "", "version": "", "instance": "lab", "user": "alice",
        "device": "d", "role": "user", "permissions": ["presence.read"], "rooms": list(rooms), "head": 1,
        "time": 1, "envelope": True, "limits": LIMITS,
    }  # fmt: skip
    return Connected(ev.Welcome.model_validate(fields))


def presence(user: str, state: str, room: str = LOBBY) -> ev.Presence:
    return ev.Presence.model_validate({"type": "presence", "room": room, "user": user, "state": state})


def page(*events: ev.Logged, more: bool = False) -> HistoryPage:
    return HistoryPage(list(events), more)


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()


def started(network: FakeNetwork, room: str) -> Controller:
    """Return a controller that shows a room and is not connected."""
    control = Controller(lambda: Client(), room)  # type: ignore[arg-type, return-value]
    control.network = network  # type: ignore[assignment]
    control.model.switch(room)
    return control


@pytest.fixture
def control(network: FakeNetwork) -> Controller:
    """A connected controller that is in #lobby and #war and shows #lobby."""
    control = started(network, LOBBY)
    control._take(welcome(LOBBY, WAR))
    control._take(CaughtUp(10))
    return control


def rows(control: Controller, room: str = LOBBY) -> list[int]:
    return [row.order[0] for row in control.model.conversation(room).rows if row.kind == "message"]


def test_member_events_during_a_request_override_its_reply(control: Controller, network: FakeNetwork) -> None:
    who = network.last("who")
    for event in (
        joined(11, "carol"),
        parted(12, "eve"),
        presence("bob", "offline"),
        presence("dan", "away"),
    ):
        control._take(event)
    states = {"bob": "online", "dan": "online", "eve": "online", "frank": "away"}
    who.answer([{"user": user, "role": "user", "state": state} for user, state in states.items()])
    members = {one.user: (one.role, one.state) for one in control.model.here.members.values()}
    assert members == {
        "bob": ("user", "offline"),
        "carol": ("user", "online"),
        "dan": ("user", "away"),
        "frank": ("user", "away"),
    }


def test_an_older_reply_about_members_is_ignored(control: Controller, network: FakeNetwork) -> None:
    first = network.last("who")
    control.switch(WAR)
    control.switch(LOBBY)
    control._take(parted(11, "eve"))
    network.last("who").answer([{"user": "bob", "role": "user", "state": "online"}])
    first.answer([{"user": user, "role": "user", "state": "online"} for user in ("bob", "eve")])
    assert set(control.model.here.members) == {"bob"}


def test_a_late_page_does_not_restore_redacted_messages(control: Controller, network: FakeNetwork) -> None:
    history = network.last("history")
    control._take(ev.Redacted(type="redacted", seq=11, at=NOON, room=LOBBY, target=6, by="bob"))
    history.answer(page(message(5), message(6, "a secret"), more=True))
    assert rows(control) == [5]
    control.older()
    control._take(ev.Expired(type="expired", seq=12, at=NOON, room=LOBBY, upto=4, count=1))
    network.last("history").answer(page(joined(2, "bob"), message(3), message(4), more=True))
    assert rows(control) == [5]
    assert control.model.here.oldest == 2


def test_the_window_moves_on_from_a_removed_room(control: Controller, network: FakeNetwork) -> None:
    history = network.last("history")
    control._take(ev.RoomRemoved(type="room_removed", seq=11, at=NOON, room=LOBBY, by="bob", reason="x"))
    assert control.model.current == WAR
    assert control.model.here.rows[-1].body == "#lobby was removed by bob: x"
    history.answer(page(message(6, "a secret"), more=False))
    assert not control.model.conversation(LOBBY).message(6)


def test_a_removal_from_another_room_is_told_here(control: Controller, network: FakeNetwork) -> None:
    put_out = parted(11, "alice", WAR).model_copy(update={"by": "server", "reason": "closed to guests"})
    control._take(put_out)
    assert control.model.current == LOBBY
    assert control.model.here.rows[-1].body == "you were removed from #war by server: closed to guests"
    rows = len(control.model.here.rows)
    control._take(parted(12, "alice", DIRECT))
    assert len(control.model.here.rows) == rows, "who leaves knows it"


def test_a_page_that_would_leave_a_gap_is_ignored(control: Controller, network: FakeNetwork) -> None:
    first = 10_000
    many = range(first, first + ROWS_LIMIT + TRIM_STEP)
    network.last("history").answer(page(*map(message, many), more=True))
    control.older()
    history = network.last("history")
    assert history.fields["before"] == first
    control.switch(WAR)
    history.answer(page(message(first - 1), more=True))
    control.switch(LOBBY)
    assert rows(control) == [*many][TRIM_STEP:]
    control.older()
    assert network.last("history").fields["before"] == first + TRIM_STEP


def test_older_pages_continue_before_the_first_event_even_after_a_note(
    control: Controller, network: FakeNetwork
) -> None:
    network.last("history").answer(page(*map(message, range(100, 100 + TRIM_STEP)), more=True))
    control.model.note("after the last trimmed message")
    for seq in range(100 + TRIM_STEP, 100 + TRIM_STEP + ROWS_LIMIT - 1):
        control._take(message(seq))
    control.older()
    assert control.model.here.rows[0].kind == "note"
    assert network.last("history").fields["before"] == 100 + TRIM_STEP


def test_seeking_a_found_message_fetches_the_pages_up_to_it(
    control: Controller, network: FakeNetwork
) -> None:
    control.seek(message(3, room=DIRECT))
    network.last("history").answer(page(message(9, room=DIRECT), more=True))
    history = network.last("history")
    assert history.fields["before"] == 9
    history.answer(page(message(3, room=DIRECT)))
    assert rows(control, DIRECT) == [3, 9]


def test_messages_missed_outside_of_a_room_are_fetched_on_return(
    control: Controller, network: FakeNetwork
) -> None:
    network.last("history").answer(page(*map(message, range(1, 6))))
    control._take(parted(6, "alice"))
    assert control.model.current == WAR
    control.spawn(control.enter(LOBBY))
    control._take(joined(100, "alice"))
    network.last("join").answer({"room": LOBBY, "topic": "", "guests": False, "members": 1})
    history = network.last("history")
    assert (history.fields["room"], history.fields["before"]) == (LOBBY, None)
    history.answer(page(message(98), message(99), joined(100, "alice"), more=True))
    # The events from 6 to 97 are fetched on scrolling up.
    assert rows(control) == [98, 99]
    control.older()
    assert network.last("history").fields["before"] == 98


def test_a_page_of_a_room_that_was_left_is_ignored(control: Controller, network: FakeNetwork) -> None:
    history = network.last("history")
    control._take(parted(6, "alice"))
    history.answer(page(message(5)))
    assert not control.model.conversation(LOBBY).loaded


def test_a_removal_while_disconnected_is_reported_without_rejoining(
    control: Controller, network: FakeNetwork
) -> None:
    control._take(Disconnected(ChatdError("E607"), 1.0))
    control._take(welcome(WAR))
    control._take(CaughtUp(20))
    assert control.model.current == WAR
    assert [row.body for row in control.model.here.rows] == ["you are not in #lobby any more"]
    assert "join" not in [one.kind for one in network.requests]


def test_a_removal_from_the_last_room_is_not_followed_by_a_join(
    control: Controller, network: FakeNetwork
) -> None:
    for seq, room in ((11, WAR), (12, LOBBY)):
        control._take(parted(seq, "alice", room))
    control._take(Disconnected(ChatdError("E607"), 1.0))
    control._take(welcome())
    control._take(CaughtUp(20))
    assert "join" not in [one.kind for one in network.requests]
    # The user's other device joins again: the events missed meanwhile are fetched.
    control._take(joined(21, "alice"))
    assert network.last("history").fields["room"] == LOBBY


def test_the_room_given_at_the_start_is_joined(network: FakeNetwork) -> None:
    control = started(network, "#new")
    control._take(welcome(LOBBY))
    control._take(CaughtUp(1))
    assert network.last("join").fields == {"room": "#new"}


def test_a_topic_set_during_the_request_for_rooms_is_kept(control: Controller, network: FakeNetwork) -> None:
    def topic(seq: int, text: str) -> ev.TopicSet:
        return ev.TopicSet(type="topic", seq=seq, at=NOON, room=LOBBY, topic=text, by="bob")

    control._take(topic(11, "first"))
    control._take(CaughtUp(11))
    control._take(topic(12, "second"))
    network.last("rooms").answer([{"room": LOBBY, "topic": "first"}, {"room": WAR, "topic": "war"}])
    assert (control.model.here.topic, control.model.conversation(WAR).topic) == ("second", "war")
    # No event is newer than this request, so its reply wins.
    control._take(CaughtUp(20))
    network.last("rooms").answer([{"room": LOBBY, "topic": "third"}])
    assert control.model.here.topic == "third"


def test_a_removal_before_the_reply_to_the_join_is_kept(control: Controller, network: FakeNetwork) -> None:
    control.spawn(control.enter("#new"))
    control._take(joined(11, "alice", "#new"))
    control._take(parted(12, "alice", "#new"))
    network.last("join").answer({"room": "#new", "topic": "", "guests": False, "members": 1})
    assert (control.model.current, control.model.joined) == (LOBBY, {LOBBY, WAR})
    assert control.model.here.rows[-1].body == "you are not in #new any more"
    control.spawn(control.enter("#new"))
    network.last("join").answer({"room": "#new", "topic": "t", "guests": False, "members": 1})
    assert (control.model.current, control.model.here.topic) == ("#new", "t")


def test_a_message_is_unread_even_if_a_history_page_contained_it_first(
    control: Controller, network: FakeNetwork
) -> None:
    history = network.last("history")
    control.switch(WAR)
    history.answer(page(message(11, "alice: come")))
    control._take(message(11, "alice: come"))
    assert (control.model.unread, len(control.model.alerts), rows(control)) == (1, 1, [11])


def test_a_user_who_joins_another_room_is_still_away(control: Controller, network: FakeNetwork) -> None:
    control._take(joined(11, "carol"))
    away = [{"user": "carol", "role": "user", "state": "away", "text": "lunch"}]
    network.last("who").answer(away)
    control._take(joined(12, "carol", WAR, "guest"))
    members = control.model.conversation(WAR).members["carol"]
    assert (members.state, members.text, members.role) == ("away", "lunch", "guest")
    assert control.model.here.members["carol"].state == "away"


def test_a_removal_during_a_hub_restart_is_reported(control: Controller, network: FakeNetwork) -> None:
    control._take(CaughtUp(20))
    control.spawn(control.enter("#new"))
    both = [{"room": room, "joined": False, "topic": ""} for room in (LOBBY, "#new")]
    network.last("join").answer({"room": "#new", "topic": "", "guests": False, "members": 1})
    control.switch(LOBBY)
    # The rooms were requested before the join, so this reply does not undo it.
    network.last("rooms").answer(both)
    assert control.model.joined == {WAR, "#new"}
    assert control.model.current in control.model.joined
    assert control.model.here.rows[-1].body == "you are not in #lobby any more"


def test_catching_up_fetches_back_to_the_first_unread_message(
    control: Controller, network: FakeNetwork
) -> None:
    unread = {"room": LOBBY, "seq": 20, "unread": 100, "cursor": 130}
    network.last("unread").answer([unread])
    network.last("history").answer(page(*map(message, range(70, 130)), more=True))
    control.submit("/catchup")
    assert network.last("history").fields == {"room": LOBBY, "before": 70}
    network.last("history").answer(page(*map(message, range(40, 70)), more=True))
    assert control.sought is None
    network.last("history").answer(page(*map(message, range(15, 40)), more=True))
    assert control.sought == (LOBBY, 21)


def test_catching_up_with_nothing_unread_says_so(control: Controller, network: FakeNetwork) -> None:
    network.last("history").answer(page(message(5)))
    control.submit("/catchup")
    assert control.sought is None
    assert control.model.here.rows[-1].body == f"nothing more is unread in {LOBBY}"


def test_a_marker_inside_what_was_counted_is_counted_again(control: Controller, network: FakeNetwork) -> None:
    network.last("unread").answer([{"room": WAR, "seq": 1, "unread": 9, "cursor": 50}])
    before = len(network.requests)
    control._take(ev.ReadMarker(type="read", seq=60, at=NOON, room=WAR, user="alice", upto=20))
    assert [one.kind for one in network.requests[before:]] == ["unread"]


def test_markers_are_sent_while_connected_only(control: Controller, network: FakeNetwork) -> None:
    control.model.here.loaded, control.model.here.has_older = True, False
    control._take(message(11))
    control.model.view(above=0, first=11, last=11)
    control.send_markers(0.0)
    assert network.last("read").fields == {"room": LOBBY, "seq": 11}
    control._take(message(12))
    control._take(Disconnected(ChatdError("E607"), 5.0))
    before = len(network.requests)
    control.send_markers(99.0)
    assert len(network.requests) == before


def test_quotes_of_a_page_are_fetched_and_put_into_its_rows(
    control: Controller, network: FakeNetwork
) -> None:
    network.last("history").answer(page(message(8, reply_to=3), message(9, reply_to=4), more=True))
    request = network.last("messages")
    control._take(message(10, reply_to=5))
    assert network.last("messages") is request, "one request at a time"
    request.answer({3: message(3, "shall we?"), 4: None})
    quotes = {row.seq: row.quote for row in control.model.here.rows}
    assert quotes[8] == "bob: shall we?"
    assert quotes[9] == "a deleted or unreadable message"
    network.last("messages").answer({5: message(5, "late")})
    assert [row.quote for row in control.model.here.rows if row.seq == 10] == ["bob: late"]


def test_a_quote_that_was_redacted_meanwhile_is_not_shown(control: Controller, network: FakeNetwork) -> None:
    network.last("history").answer(page(message(8, reply_to=3), more=True))
    control._take(ev.Redacted(type="redacted", seq=11, at=NOON, room=LOBBY, target=3, by="eve"))
    network.last("messages").answer({3: message(3, "SECRET")})
    assert "SECRET" not in str(control.model.here)
    control.model.here.set_quotes({2: message(2, "SECRET")})
    control._take(ev.Redacted(type="redacted", seq=12, at=NOON, room=LOBBY, target=2, by="eve"))
    assert "SECRET" not in str(control.model.here)
