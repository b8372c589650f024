"""What is unread of a conversation: counts of the server, messages that arrive, markers of other devices."""

from __future__ import annotations

import pytest

from chatctl.client import Restored
from chatctl.model import read_state
from chatctl.model.chat_model import ChatModel
from chatctl.model.marker_sender import MARKER_SECONDS, Marker, MarkerSender
from chatctl.model.read_state import ReadState
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import INTEGER_LIMIT

ROOM, OTHER = "#lobby", "#war"


def arrived(*seqs: int, calls: bool = False) -> ReadState:
    state = ReadState()
    for seq in seqs:
        assert state.arrive(seq, calls=calls)
    return state


def test_messages_that_arrive_are_unread_until_they_are_shown() -> None:
    state = arrived(5, 6, 7)
    assert (state.unread, state.first) == (3, 5)
    assert state.read_all()
    assert (state.unread, state.seen) == (0, 7)
    assert state.first == 5, "the divider stays until the conversation is left"
    assert not state.read_all()


def test_a_message_is_counted_once() -> None:
    state = arrived(5)
    assert not state.arrive(5, calls=False)
    state.set_count(marker=1, unread=4, cursor=9, on_screen=False)
    assert not state.arrive(8, calls=False)
    assert state.arrive(10, calls=False)
    assert state.unread == 5


def test_a_marker_of_another_device_takes_off_what_it_covers() -> None:
    state = arrived(5, 6, 7, calls=True)
    assert state.move_marker(6, on_screen=False)
    assert (state.unread, list(state.calls), state.first) == (1, [7], 7)
    assert state.move_marker(9, on_screen=False)
    assert (state.unread, state.first) == (0, 0)
    assert not state.arrive(8, calls=False), "read elsewhere before it arrived here"


def test_a_marker_within_what_the_server_counted_asks_for_another_count() -> None:
    state = ReadState()
    state.set_count(marker=10, unread=40, cursor=100, on_screen=False)
    assert (state.unread, state.first) == (40, 11)
    state.move_marker(50, on_screen=False)
    assert state.stale
    state.set_count(marker=50, unread=20, cursor=110, on_screen=False)
    assert (state.unread, state.first, state.stale) == (20, 51, False)
    state.move_marker(110, on_screen=False)
    assert state.unread == 0


def test_a_marker_keeps_the_divider_of_the_conversation_on_the_screen() -> None:
    state = arrived(5, 6)
    state.move_marker(6, on_screen=True)
    assert state.first == 5


def test_a_count_from_before_the_own_marker_is_out_of_date() -> None:
    state = ReadState()
    state.set_count(marker=10, unread=0, cursor=20, on_screen=True)
    state.seen = 30
    state.set_count(marker=10, unread=9, cursor=30, on_screen=False)
    assert state.unread == 0


def test_a_count_for_the_conversation_on_the_screen_only_places_the_divider() -> None:
    state = ReadState(seen=30)
    state.set_count(marker=10, unread=9, cursor=30, on_screen=True)
    assert (state.unread, state.first, state.seen) == (0, 11, 30)


def test_a_message_shown_out_of_order_is_off_the_count() -> None:
    state = arrived(5, 6)
    state.show(6)
    assert (state.unread, state.seen) == (1, 0), "5 is still unread: the marker must not pass it"
    state.show(5)
    assert (state.unread, state.seen, state.first) == (0, 5, 0)
    state = ReadState()
    state.set_count(marker=1, unread=1, cursor=9, on_screen=False)
    state.show(4)
    assert (state.unread, state.seen) == (0, 9)


def test_a_flood_is_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_state, "ARRIVED_LIMIT", 10)
    state = arrived(*range(1, 101))
    assert state.unread == 100
    assert len(state.arrived) <= 10
    state.move_marker(100, on_screen=False)
    assert state.unread == 0


def test_a_restored_server_is_counted_anew() -> None:
    state = arrived(5, 6)
    state.seen = state.marker = 7
    state.restore(3)
    assert (state.unread, state.first, state.seen, state.marker) == (0, 0, 3, 0)
    assert state.stale
    state.set_count(2, 4, 9, on_screen=False)
    assert (state.unread, state.first, state.stale) == (4, 3, False)


# -- when markers are sent


def message(seq: int, room: str = ROOM, user: str = "bob") -> ev.Message:
    fields = {"device": "d", "role": "user", "msg_id": f"{seq:032x}", "kind": "text", "at": seq, "body": "x"}
    return ev.Message.model_validate({"type": "message", "seq": seq, "room": room, "user": user, **fields})


def marker(seq: int, room: str = ROOM) -> ev.ReadMarker:
    return ev.ReadMarker(type="read", seq=seq + 100, at=0, room=room, user="alice", upto=seq)


@pytest.fixture
def model() -> ChatModel:
    """A model with two rooms whose messages up to seq 10 are read; #lobby is current."""
    model = ChatModel("alice")
    model.joined = {ROOM, OTHER}
    model.switch(ROOM)
    counted = [{"room": room, "seq": 10, "unread": 0, "cursor": 10} for room in (ROOM, OTHER)]
    model.set_unread(counted)
    return model


def test_one_marker_for_a_room_in_a_while(model: ChatModel) -> None:
    sender = MarkerSender(model)
    assert sender.due(0.0) == []
    model.take(message(11))
    assert sender.due(0.0) == [Marker(ROOM, 11)], "the other device learns at once that the room is read"
    for seq in (12, 13, 14):
        model.take(message(seq))
        assert sender.due(1.0) == []
    assert sender.due(MARKER_SECONDS) == [Marker(ROOM, 14)]
    assert sender.due(9 * MARKER_SECONDS) == []


def test_markers_begin_anew_after_a_restore(model: ChatModel) -> None:
    sender = MarkerSender(model)
    model.take(message(20))
    assert sender.due(0.0) == [Marker(ROOM, 20)]
    model.take(Restored(12))
    model.take(message(13))
    assert sender.due(MARKER_SECONDS) == [Marker(ROOM, 13)]


def test_leaving_a_room_and_quitting_do_not_wait(model: ChatModel) -> None:
    sender = MarkerSender(model)
    for seq in (11, 12):
        model.take(message(seq))
        sender.due(0.0)
    model.switch(OTHER)
    assert sender.due(1.0) == [Marker(ROOM, 12)]
    model.take(message(13, OTHER))
    sender.due(2.0)
    model.take(message(14, OTHER))
    assert sender.due(3.0) == []
    assert sender.due(3.0, all_rooms=True) == [Marker(OTHER, 14)]


def test_own_messages_and_unseen_ones_move_no_marker(model: ChatModel) -> None:
    sender = MarkerSender(model)
    model.take(message(11, user="alice"))
    model.look(False)
    model.take(message(12))
    model.take(message(13, OTHER))
    assert sender.due(0.0, all_rooms=True) == []


def test_what_another_device_has_marked_is_not_marked_again(model: ChatModel) -> None:
    sender = MarkerSender(model)
    model.take(message(11))
    model.take(marker(11))
    assert sender.due(0.0) == []


def test_a_room_without_a_marker_gets_one_before_its_first_unread_message(model: ChatModel) -> None:
    sender = MarkerSender(model)
    model.joined.add("#new")
    model.take(message(20, "#new"))
    assert sender.due(0.0) == [Marker("#new", 19)]
    model.take(message(21, "#new"))
    assert sender.due(0.0) == []


def test_a_failed_marker_is_sent_again_unless_that_is_in_vain(model: ChatModel) -> None:
    sender = MarkerSender(model)
    model.take(message(11))
    (sent,) = sender.due(0.0)
    sender.failed(sent, ChatdError("E503"))
    assert sender.due(1.0) == [], "not at once"
    assert sender.due(MARKER_SECONDS) == [sent]
    sender.failed(sent, ChatdError("E103"))
    model.take(message(12))
    assert sender.due(9 * MARKER_SECONDS, all_rooms=True) == []


def test_a_message_scrolled_past_is_unread_until_the_end_is_on_the_screen(model: ChatModel) -> None:
    model.look(True, reading=True)
    model.take(message(11))
    assert (model.unread, model.here.read.seen) == (1, 0)
    model.look(True, reading=False)
    assert (model.unread, model.here.read.seen) == (0, 11)


def test_damaged_entries_of_a_reply_are_left_out(model: ChatModel) -> None:
    model.set_unread([{"room": "#none", "seq": 1, "unread": 5, "cursor": 9}])
    model.set_unread([{"room": ROOM, "seq": "1", "unread": 5, "cursor": 9}, {"room": 3}, {}])
    assert model.unread == 0
    assert "#none" not in model.conversations


# -- a front end that tells what is in view


@pytest.fixture
def viewed(model: ChatModel) -> ChatModel:
    """The same, told what is in view; all rows are loaded."""
    model.tells_view = True
    model.here.loaded, model.here.has_older = True, False
    return model


END = INTEGER_LIMIT


def test_a_message_in_view_is_read(viewed: ChatModel) -> None:
    viewed.take(message(11))
    assert viewed.here.read.read_upto == 10
    viewed.view(above=10, first=11, last=END)
    assert viewed.here.read.read_upto == 11


def test_of_a_burst_only_what_is_in_view_is_read(viewed: ChatModel) -> None:
    for seq in range(11, 31):
        viewed.take(message(seq))
    viewed.view(above=25, first=26, last=END)
    assert viewed.here.read.read_upto == 10
    viewed.view(above=20, first=21, last=26)
    assert viewed.here.read.read_upto == 10, "11 to 20 are still to be seen"
    viewed.view(above=9, first=10, last=15)
    assert viewed.here.read.read_upto == 15
    viewed.view(above=15, first=16, last=20)
    assert viewed.here.read.read_upto == 30


def test_entering_a_room_reads_what_comes_into_view(viewed: ChatModel) -> None:
    for seq in range(11, 16):
        viewed.take(message(seq, OTHER))
    viewed.switch(OTHER)
    viewed.here.loaded, viewed.here.has_older = True, True
    assert (viewed.unread, viewed.here.read.read_upto) == (0, 10)
    viewed.view(above=0, first=14, last=END)
    assert viewed.here.read.read_upto == 10, "older rows are not loaded"
    viewed.here.has_older = False
    viewed.view(above=0, first=11, last=END)
    assert viewed.here.read.read_upto == 15


def test_nothing_is_read_while_nobody_looks_or_nothing_is_loaded(viewed: ChatModel) -> None:
    viewed.take(message(11))
    viewed.looking = False
    viewed.view(above=10, first=11, last=END)
    viewed.looking, viewed.here.loaded = True, False
    viewed.view(above=10, first=11, last=END)
    viewed.here.loaded = viewed.here.has_older = True
    viewed.view(above=0, first=0, last=END)
    assert viewed.here.read.read_upto == 10


def test_what_the_server_counts_at_the_start_is_unread_until_it_was_in_view() -> None:
    model = ChatModel("alice")
    model.tells_view, model.joined = True, {ROOM}
    model.switch(ROOM)
    model.here.loaded = True
    model.take(message(101))
    model.view(above=100, first=101, last=END)
    model.set_unread([{"room": ROOM, "seq": 10, "unread": 90, "cursor": 100}])
    assert (model.unread, model.here.read.first, model.here.read.read_upto) == (0, 11, 10)
    model.view(above=99, first=100, last=END)
    model.here.read.move_marker(99, on_screen=True)
    assert model.here.read.read_upto == 101, "another device has read the rest"


def test_later_gaps_begin_where_an_earlier_one_does(viewed: ChatModel) -> None:
    for seq in (11, 12):
        viewed.take(message(seq))
    viewed.view(above=11, first=12, last=END)
    viewed.look(True, reading=True)
    viewed.take(message(13))
    viewed.look(True, reading=False)
    assert viewed.here.read.gap == (10, INTEGER_LIMIT)
    viewed.view(above=10, first=11, last=END)
    assert viewed.here.read.read_upto == 13


def test_what_was_scrolled_past_on_the_way_to_the_end_is_read(viewed: ChatModel) -> None:
    viewed.look(True, reading=True)
    for seq in range(11, 31):
        viewed.take(message(seq))
    viewed.view(above=9, first=10, last=20)
    viewed.view(above=20, first=21, last=28)
    assert (viewed.unread, viewed.here.read.read_upto) == (20, 0), "nothing newer than what is counted"
    viewed.look(True, reading=False)
    viewed.view(above=24, first=25, last=END)
    assert (viewed.unread, viewed.here.read.read_upto) == (0, 30)


def test_what_was_not_in_view_is_unread_again_once_the_room_is_left(viewed: ChatModel) -> None:
    for seq in range(11, 31):
        viewed.take(message(seq, OTHER))
    viewed.switch(OTHER)
    viewed.here.loaded, viewed.here.has_older = True, False
    viewed.view(above=0, first=11, last=15)
    viewed.switch(ROOM)
    assert MarkerSender(viewed).due(0.0) == [Marker(OTHER, 15)]
    assert viewed.stale
    viewed.take(marker(15, OTHER))
    viewed.set_unread([{"room": OTHER, "seq": 15, "unread": 15, "cursor": 30}])
    assert (viewed.unread, viewed.conversation(OTHER).read.first) == (15, 16)
