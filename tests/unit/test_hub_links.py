"""Link frames, the registry of sessions, and the fan-out of events to workers."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.hub import fanout as fanout_module
from chatd.hub.fanout import Fanout
from chatd.hub.links import Link
from chatd.hub.sessions import HubSession, Sessions
from chatd.hub.state.context import Principal
from chatd.link import wire
from chatd.link.wire import HEADER_LENGTH, LENGTH, LINK_FRAME_LIMIT, Header, LinkBuffer, pack
from chatd.policy.ratelimit import TokenBucket
from chatd.proto.frames import JsonObject, frame
from tests.support.hubworld import World

HEADERS: st.SearchStrategy[Header] = st.lists(
    st.text(max_size=5) | st.integers(-(2**53), 2**53) | st.lists(st.integers(-(2**53), 2**53))
)


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=50)), max_size=5), st.integers(1, 40))
def test_link_frames_are_reassembled_from_chunks_of_any_size(
    sent: list[tuple[Header, bytes]], step: int
) -> None:
    stream = b"".join(pack(header, payload) for header, payload in sent)
    buffer = LinkBuffer()
    received = [item for at in range(0, len(stream), step) for item in buffer.feed(stream[at : at + step])]
    assert received == sent


def test_a_header_may_name_2000_rooms() -> None:
    """A user with 1,000 conversations goes live with one header."""
    header = ["live", 1, [f"@{'a' * 32},{'b' * 26}{n:06d}" for n in range(2000)]]
    assert list(LinkBuffer().feed(pack(header))) == [(header, b"")]


def test_a_changed_table_of_operations_needs_a_new_link_version() -> None:
    table = (wire.__doc__ or "").partition("    link -> hub")[2]
    number = wire.LINK_VERSION.rpartition(" ")[2]
    # After changing the table, raise the number in LINK_VERSION and update both values here.
    assert (number, hashlib.sha256(table.encode()).hexdigest()[:8]) == ("9", "976873b0")


@pytest.mark.parametrize("size", [0, 1, HEADER_LENGTH - 1, LINK_FRAME_LIMIT + 1, 2**31 - 1, 2**32 - 1])
def test_an_impossible_link_frame_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="link frame of"):
        list(LinkBuffer().feed(size.to_bytes(LENGTH, "big")))


@pytest.mark.parametrize("head", [b"", b"{}", b"1", b"nonsense", b"\xff"])
def test_a_malformed_link_header_is_refused(head: bytes) -> None:
    frame_body = len(head).to_bytes(HEADER_LENGTH, "big") + head
    with pytest.raises(ValueError):
        list(LinkBuffer().feed(len(frame_body).to_bytes(LENGTH, "big") + frame_body))


@pytest.mark.parametrize("length", [3, 2**16, 2**32 - 1])
def test_a_header_longer_than_its_frame_is_refused(length: int) -> None:
    frame_body = length.to_bytes(HEADER_LENGTH, "big") + b"[]"
    stream = len(frame_body).to_bytes(LENGTH, "big") + frame_body + b"]" * 70_000
    with pytest.raises(ValueError, match="bad header"):
        list(LinkBuffer().feed(stream))


class Worker:
    """The worker's end of a link; decodes what the hub sends."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.link, self._sock, self._buffer = Link(ours), theirs, LinkBuffer()

    def received(self) -> list[tuple[Header, bytes]]:
        """Return the link frames that arrived since the last call."""
        self.link.stage()
        self.link.release()
        assert not self.link.write()
        self._sock.setblocking(False)
        try:
            return list(self._buffer.feed(self._sock.recv(1_000_000)))
        except BlockingIOError:
            return []

    def close(self) -> None:
        self.link.close()
        self._sock.close()


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    both = [Worker(), Worker()]
    yield both
    for worker in both:
        worker.close()


@pytest.fixture
def world() -> World:
    """bob is in #lobby and #den, carl in #lobby."""
    world = World()
    world.create_configured_rooms()
    for name in ("bob", "carl"):
        world.add_user(name)
    world.ask("bob", "create", room="#den")
    return world


class FanoutBench:
    """Sessions and fan-out over a world."""

    def __init__(self, world: World) -> None:
        self.world, self.sessions = world, Sessions()
        self.fanout = Fanout(world.state, self.sessions, world.state.head)
        self._published = len(world.log)
        self.body_bytes = 0

    def open(self, worker: Worker, sid: int, user: str, device: str = "laptop") -> HubSession:
        session = HubSession(worker.link, sid, Principal(user, device), "127.0.0.1", TokenBucket(1, 1))
        self.sessions.add(session)
        self.fanout.go_live(session)
        return session

    def publish(self) -> list[JsonObject]:
        """Publish the new events; return them."""
        new_events = self.world.log[self._published :]
        for event in new_events:
            self.fanout.publish(event, (b"%d" % event["seq"]).ljust(self.body_bytes))
        self._published = len(self.world.log)
        return new_events


def test_the_registry_counts_the_sessions_of_a_user_on_two_workers(workers: list[Worker]) -> None:
    sessions, bucket = Sessions(), TokenBucket(1, 1)
    opened = [
        HubSession(workers[0].link, 1, Principal("bob", "laptop"), "", bucket),
        HubSession(workers[1].link, 1, Principal("bob", "phone"), "", bucket),
    ]
    assert [sessions.add(session) for session in opened] == [True, False]
    assert sessions.sessions_of("bob") == (2, 2)
    assert sessions.sessions_of("bob", "phone") == (1, 1)
    assert sessions.sessions_of("nil") == (0, 0)
    assert sessions.of_link(workers[1].link) == [opened[1]]
    assert sessions.get(workers[0].link, 1) is opened[0]
    sessions.set_away("bob", "lunch")
    sessions.set_away("nil", "lunch")
    assert sessions.state_of("bob") == ("away", "lunch")
    assert [sessions.remove(s) for s in (opened[0], opened[0], opened[1], opened[1])] == [
        False,
        False,
        True,
        False,
    ]
    assert sessions.state_of("bob") == ("offline", "")
    assert (len(sessions), sessions.opened_total, list(sessions)) == (0, 2, [])
    assert sessions.add(opened[0])
    assert sessions.state_of("bob") == ("online", "")


def test_events_go_once_to_each_worker_with_a_live_member(workers: list[Worker], world: World) -> None:
    one, two = workers
    bench = FanoutBench(world)
    for sid, user in ((1, "bob"), (2, "bob"), (3, "carl")):
        bench.open(one, sid, user)
    bench.open(two, 1, "carl")
    bobs, carls = ["#den", "#lobby", "*", "=bob"], ["#lobby", "*", "=carl"]
    assert [sorted(header[2]) for header, _ in one.received()] == [bobs, bobs, carls]
    two.received()
    world.ask("bob", "send", to="#den", body="x")
    world.ask("bob", "send", to="#lobby", body="x")
    den, lobby = bench.publish()
    assert one.received() == [
        (["room", "#den"], frame(b"%d" % den["seq"])),
        (["room", "#lobby"], frame(b"%d" % lobby["seq"])),
    ]
    assert two.received() == [(["room", "#lobby"], frame(b"%d" % lobby["seq"]))]


def test_a_session_enters_a_room_before_its_event_and_leaves_after_it(
    workers: list[Worker], world: World
) -> None:
    bench = FanoutBench(world)
    bench.open(workers[0], 7, "carl")
    workers[0].received()
    world.ask("carl", "join", room="#den")
    world.ask("carl", "part", room="#den")
    world.ask("bob", "send", to="#den", body="not for carl")
    world.ask("bob", "send", to="@carl", body="x")
    bench.publish()
    headers = [header for header, _ in workers[0].received()]
    assert headers == [
        *(["enter", "#den", [7]], ["later", "#den"], ["later", "#den"], ["leave", "#den", [7]]),
        *(["enter", "@bob,carl", [7]], ["room", "@bob,carl"], ["room", "@bob,carl"]),
    ]


def test_nothing_is_sent_for_sessions_that_are_not_live(workers: list[Worker], world: World) -> None:
    bench = FanoutBench(world)
    session = bench.open(workers[0], 1, "bob")
    bench.fanout.stop_live(session)
    bench.fanout.stop_live(session)
    workers[0].received()
    world.ask("bob", "send", to="#den", body="x")
    bench.publish()
    assert workers[0].received() == []
    bench.fanout.go_live(session)
    bench.fanout.go_live(session)
    assert [header[0] for header, _ in workers[0].received()] == ["live"]


def test_sanctions_and_role_changes_are_not_published(workers: list[Worker], world: World) -> None:
    bench = FanoutBench(world)
    bench.open(workers[0], 1, "carl")
    workers[0].received()
    world.ask_as_operator("ban", user="bob")
    world.ask_as_operator("mute", user="bob")
    world.ask_as_operator("role_set", user="carl", role="admin")
    world.ask_as_operator("revoke", user="bob", device="laptop")
    assert len(bench.publish()) == 4
    assert workers[0].received() == []


def test_recent_events_are_served_only_if_none_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout_module, "RECENT_EVENTS", 3)
    bench = FanoutBench(world)
    start = world.state.head
    for place in ("#den", "#lobby", "#den", "#lobby"):
        world.ask("bob", "send", to=place, body="x")
    bench.publish()
    assert bench.fanout.since(start, {"#den": 0}) is None
    assert [r.seq - start for r in bench.fanout.since(start + 1, {"#den": 0, "#lobby": 0}) or ()] == [2, 3, 4]
    assert [r.seq - start for r in bench.fanout.since(start + 2, {"#den": 0}) or ()] == [3]
    assert list(bench.fanout.since(start + 4, {"#den": 0}) or ()) == []
    assert list(bench.fanout.since(start + 999, {"#den": 0}) or ()) == []


def test_recent_events_are_bounded_by_their_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout_module, "RECENT_BYTES", 100_000)
    bench = FanoutBench(world)
    bench.body_bytes = 30_000
    start = world.state.head
    for _ in range(9):
        world.ask("bob", "send", to="#den", body="x")
    bench.publish()
    kept = [r.seq - start for r in bench.fanout.since(start + 6, {"#den": 0}) or ()]
    assert (kept, bench.fanout.since(start + 5, {"#den": 0})) == ([7, 8, 9], None)
    # A redacted body makes place for others.
    bench.fanout.redact([start + 8, start + 9])
    for _ in range(2):
        world.ask("bob", "send", to="#den", body="x")
    bench.publish()
    assert [r.seq - start for r in bench.fanout.since(start + 6, {"#den": 0}) or ()] == [7, 10, 11]


def test_redacted_messages_leave_the_recent_events(world: World) -> None:
    bench = FanoutBench(world)
    start = world.state.head
    for _ in range(3):
        world.ask("bob", "send", to="#den", body="x")
    bench.publish()
    bench.fanout.redact([0, start + 2, start + 99])
    assert [r.seq - start for r in bench.fanout.since(start, {"#den": 0}) or ()] == [1, 3]
