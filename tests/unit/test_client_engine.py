"""The client's thread and connections: login, reconnecting, failover, queues and callbacks."""

from __future__ import annotations

import queue
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from chatctl.client import (
    Acknowledged,
    CaughtUp,
    Client,
    Connected,
    Disconnected,
    Refused,
    _client,
    _dialing,
    _engine,
)
from chatctl.client._dialing import Address
from chatctl.client._state_store import FILE_NAME, FileStore
from chatctl.client._transport import Transport
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import Identity
from chatd.proto.events import Message
from chatd.proto.frames import JsonObject, decode, encode, split
from tests.support.certificates import der
from tests.support.daemon import wait_until
from tests.unit.test_client_session import bye, message, ok, refusal, welcome

TIMEOUT = 10.0


class FakeTransport:
    """A fake Transport; the test plays the server at the other end of a socket pair."""

    def __init__(self, server: str, steps: int = 1) -> None:
        """The connection opens after ``steps`` bytes from the server; the first is sent here."""
        self.server = server
        self.steps = steps
        self.failed = False
        self.connected = True
        self.heard = False
        self.wants_write = False
        self._open = False
        self._client_end, self.server_end = socket.socketpair()
        self._client_end.setblocking(False)
        self.server_end.settimeout(TIMEOUT)
        self.server_end.send(b"\0")
        self._unparsed = b""

    @property
    def open(self) -> bool:
        return self._open

    def fileno(self) -> int:
        return self._client_end.fileno()

    def advance(self) -> list[bytes]:
        if not self._open:
            self.steps -= len(self._client_end.recv(1))
            self.heard = True
            self._open = self.steps == 0
            return []
        data = self._client_end.recv(1 << 20)
        if not data:
            raise ChatdError("E607", "cut")
        return [data]

    def send(self, frames: Iterator[bytes]) -> None:
        self._client_end.setblocking(True)
        self._client_end.sendall(b"".join(frames))
        self._client_end.setblocking(False)

    def close(self) -> None:
        self._client_end.close()

    # -- the server's side

    def say(self, *messages: JsonObject) -> None:
        self.server_end.sendall(b"".join(encode(m) for m in messages))

    def next_request(self) -> JsonObject:
        """Return the client's next frame."""
        while len(self._unparsed) < 4 or len(self._unparsed) < 4 + int.from_bytes(self._unparsed[:4], "big"):
            data = self.server_end.recv(65536)
            assert data, "the client closed"
            self._unparsed += data
        end = 4 + int.from_bytes(self._unparsed[:4], "big")
        frame, self._unparsed = self._unparsed[:end], self._unparsed[end:]
        (payload,) = split(frame)
        return decode(payload)

    def greet(self, *, live: bool = True, cursor: int = 100, head: int = 100) -> JsonObject:
        return self.greet_with(welcome(head), live=live, cursor=cursor)

    def greet_with(self, first: JsonObject, *, live: bool = True, cursor: int = 100) -> JsonObject:
        self.say(first)
        if not live:
            return {}
        resume = self.next_request()
        assert resume["type"] == "resume"
        self.say(ok(resume["id"], events=[], cursor=cursor, more=False))
        return resume


class Network:
    """Creates the client's connections; servers in ``down`` are unreachable."""

    def __init__(self) -> None:
        self.transports: queue.Queue[FakeTransport] = queue.Queue()
        self.made: list[FakeTransport] = []
        self.dialled: list[str] = []
        self.steps = 1
        self.down: set[str] = set()

    def dial(self, identity: Identity, address: Address, **_: object) -> Transport:
        server = address.server
        self.dialled.append(server)
        if server in self.down:
            raise ChatdError("E607", f"cannot connect to {server}")
        transport = FakeTransport(server, self.steps)
        self.made.append(transport)
        self.transports.put(transport)
        return cast(Transport, transport)

    def next(self) -> FakeTransport:
        return self.transports.get(timeout=TIMEOUT)


def _identity() -> Identity:
    now = datetime.now(UTC)
    authority = Authority.create("lab", now=now)
    issued = authority.issue_device("alice", "laptop", now=now)
    return Identity(
        path=Path("x.pem"),
        instance="lab",
        user="alice",
        device="laptop",
        servers=("one:1",),
        certificate_der=der(issued),
        ca_pem="",
        not_before=issued.certificate.not_valid_before_utc,
        not_after=issued.certificate.not_valid_after_utc,
    )


IDENTITY = _identity()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network()
    monkeypatch.setattr(_client, "Transport", made.dial)
    monkeypatch.setattr(_dialing, "look_up", lambda server: [Address(server, socket.AF_INET, (server, 0))])
    return made


@pytest.fixture
def make(network: Network) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make_client(servers: tuple[str, ...] = ("one:1",), **options: Any) -> Client:
        clients.append(Client(replace(IDENTITY, servers=servers), **{"rand": lambda: 0.0, **options}))
        clients[-1].start()
        return clients[-1]

    yield make_client
    for client in clients:
        client.close()
    for transport in network.made:
        transport.server_end.close()


def take(client: Client, kind: type) -> Any:
    """Return the next event of a type; skip others."""
    while True:
        event = client.next_event(TIMEOUT)
        assert event is not None, f"no {kind.__name__} arrived"
        if isinstance(event, kind):
            return event


def step(transport: FakeTransport) -> None:
    """Send a byte from the server and wait until the client has read it."""
    before = transport.steps
    transport.server_end.send(b"\0")
    wait_until(lambda: transport.steps < before, what="the client to read")


def test_a_slow_login_continues_while_the_server_answers(
    make: Callable[..., Client], network: Network
) -> None:
    now = [1000.0]
    network.steps = 4
    client = make(clock=lambda: now[0])
    transport = network.next()
    wait_until(lambda: transport.steps == 3, what="the first step")
    for _ in range(3):
        now[0] += _engine.SILENCE_LIMIT - 1
        step(transport)
    transport.greet()
    client.wait_connected(TIMEOUT)
    assert len(network.made) == 1


def test_a_login_has_a_time_limit(make: Callable[..., Client], network: Network) -> None:
    now = [1000.0]
    network.steps = 1000
    client = make(clock=lambda: now[0], reconnect=False)
    transport = network.next()
    wait_until(lambda: transport.steps == 999, what="the first step")
    while now[0] < 1000.0 + _engine.LOGIN_LIMIT - _engine.SILENCE_LIMIT:
        now[0] += _engine.SILENCE_LIMIT - 1
        step(transport)
    now[0] = 1000.0 + _engine.LOGIN_LIMIT
    transport.server_end.send(b"\0")
    with pytest.raises(ChatdError, match="within 30 seconds"):
        client.wait_connected(TIMEOUT)


def test_an_unanswered_message_is_sent_again_after_a_cut(
    make: Callable[..., Client], network: Network
) -> None:
    client = make()
    first = network.next()
    first.greet()
    sent = client.send("#lobby", "hello")
    assert first.next_request()["msg_id"] == sent.msg_id
    first.server_end.close()
    assert take(client, Disconnected).retry_in == 0.0
    second = network.next()
    assert second.greet()["after"] == 100
    again = second.next_request()
    assert (again["msg_id"], again["body"]) == (sent.msg_id, "hello")
    assert client.unsent == 1
    second.say(ok(again["id"], seq=101, at=5, notes=[]))
    assert sent.wait(TIMEOUT).seq == 101
    assert take(client, Acknowledged).sent is sent
    assert client.unsent == 0


def test_events_are_delivered_once_and_in_order_across_a_cut(
    make: Callable[..., Client], network: Network
) -> None:
    client = make()
    first = network.next()
    first.greet()
    assert take(client, CaughtUp).cursor == 100
    first.say(message(101), message(102))
    assert take(client, Message).seq == 101
    assert take(client, Message).seq == 102
    assert client.cursor == 101
    first.server_end.close()
    second = network.next()
    second.say(welcome(head=103))
    resume = second.next_request()
    assert resume["after"] == 102
    second.say(ok(resume["id"], events=[message(102), message(103)], cursor=103, more=False))
    assert take(client, Message).seq == 103


def test_requests_wait_for_the_connection_and_time_out(make: Callable[..., Client], network: Network) -> None:
    client = make(live=False)
    with pytest.raises(ChatdError, match="E611"):
        client.request("rooms", timeout=0.01)
    transport = network.next()
    transport.greet(live=False)
    client.wait_connected(TIMEOUT)
    with pytest.raises(ChatdError, match="E611"):
        client.request("stats", timeout=1.0)  # long enough for the engine to send it
    late = transport.next_request()
    transport.say(ok(late["id"], late=True))
    client.on_event(lambda event: None)


def test_refused_requests_raise_the_servers_error(make: Callable[..., Client], network: Network) -> None:
    client = make(live=False)
    transport = network.next()
    transport.greet(live=False)
    results: queue.Queue[object] = queue.Queue()

    def ask() -> None:
        try:
            results.put(client.request("kick", user="bob", room=None, timeout=TIMEOUT))
        except ChatdError as error:
            results.put(error.code)

    asker = threading.Thread(target=ask)
    asker.start()
    request = transport.next_request()
    assert request == {"type": "kick", "id": request["id"], "user": "bob"}
    transport.say(refusal(request["id"], "E405"))
    assert results.get(timeout=TIMEOUT) == "E405"
    asker.join()


@pytest.mark.parametrize(("code", "retry"), [("E207", False), ("E206", False), ("E107", False)])
def test_a_final_refusal_ends_the_client(
    make: Callable[..., Client], network: Network, code: str, retry: bool
) -> None:
    client = make()
    network.next().say(bye(code, retry))
    with pytest.raises(ChatdError, match=code):
        client.wait_connected(TIMEOUT)
    assert [type(event) for event in client.events()] == [Disconnected]
    for call in (lambda: client.request("rooms"), lambda: client.send("#lobby", "x")):
        with pytest.raises(ChatdError, match=code):
            call()
    assert network.dialled == ["one:1"]


def test_a_full_server_is_tried_again(make: Callable[..., Client], network: Network) -> None:
    client = make()
    network.next().say(bye("E501", retry=True))
    assert take(client, Disconnected).error.code == "E501"
    network.next().greet()
    assert client.wait_connected(TIMEOUT).user == "alice"
    assert take(client, Connected).welcome.user == "alice"


def test_a_client_that_waits_for_the_next_attempt_can_try_at_once(
    make: Callable[..., Client], network: Network
) -> None:
    network.down = {"one:1"}
    # The clock stands still: without `try_now` there is no second attempt.
    client = make(rand=lambda: 1.0, clock=lambda: 1000.0)
    assert take(client, Disconnected).retry_in == _engine.BACKOFF_BASE
    client.try_now()
    assert take(client, Disconnected).retry_in == _engine.BACKOFF_GROWTH * _engine.BACKOFF_BASE
    network.down = set()
    client.try_now()
    network.next().greet()
    assert client.wait_connected(TIMEOUT).user == "alice"
    client.try_now()
    assert client.connected
    client.close()
    client.try_now()


def test_all_servers_are_tried_before_giving_up(make: Callable[..., Client], network: Network) -> None:
    network.down = {"one:1", "two:2", "three:3"}
    client = make(servers=("one:1", "two:2", "three:3"), reconnect=False)
    with pytest.raises(ChatdError, match="E607"):
        client.wait_connected(TIMEOUT)
    assert network.dialled == ["one:1", "two:2", "three:3"]


def test_the_next_server_is_tried_if_one_is_down(make: Callable[..., Client], network: Network) -> None:
    network.down = {"one:1"}
    client = make(servers=("one:1", "two:2"), reconnect=False)
    network.next().greet()
    client.wait_connected(TIMEOUT)


def test_a_server_that_is_cut_off_is_left_before_the_session_begins(
    make: Callable[..., Client], network: Network
) -> None:
    client = make(servers=("one:1", "two:2"), reconnect=False)
    sent = client.send("#lobby", "hello")
    network.next().say(welcome(isolated="cut off"))
    other = network.next()
    other.greet()
    client.wait_connected(TIMEOUT)
    message = other.next_request()
    other.say(ok(message["id"], seq=101, at=0, duplicate=False))
    assert sent.wait(TIMEOUT).seq == 101
    assert network.dialled == ["one:1", "two:2"]
    assert isinstance(client.next_event(TIMEOUT), Connected)
    assert client.welcome is not None and not client.welcome.isolated


def test_a_client_goes_on_to_another_server_when_its_own_is_cut_off(
    make: Callable[..., Client], network: Network
) -> None:
    client = make(servers=("one:1", "two:2"), reconnect=False)
    one = network.next()
    one.greet()
    take(client, CaughtUp)
    sent = client.send("#lobby", "hello")
    first = one.next_request()
    one.say({"type": "isolated", "reason": "cut off"})
    left = take(client, Disconnected)
    assert (left.error.code, left.error.reason, left.retry_in) == ("E506", "cut off", 0.0)
    two = network.next()
    two.greet()
    again = two.next_request()
    assert again["msg_id"] == first["msg_id"]
    two.say(ok(again["id"], seq=101, at=0, duplicate=False))
    assert sent.wait(TIMEOUT).seq == 101
    assert network.dialled == ["one:1", "two:2"]


def test_a_client_stays_with_a_server_that_is_cut_off_if_no_other_answers(
    make: Callable[..., Client], network: Network
) -> None:
    network.down = {"two:2"}
    client = make(servers=("one:1", "two:2"))
    network.next().say(welcome(isolated="cut off"))
    network.next().greet_with(welcome(isolated="cut off"))
    take(client, CaughtUp)
    assert network.dialled == ["one:1", "two:2", "one:1"]
    assert client.welcome is not None and client.welcome.isolated == "cut off"


def test_a_cut_ends_a_client_without_reconnect(make: Callable[..., Client], network: Network) -> None:
    client = make(reconnect=False)
    transport = network.next()
    transport.greet()
    sent = client.send("#lobby", "hello")
    transport.next_request()
    transport.server_end.close()
    with pytest.raises(ChatdError, match="E607"):
        sent.wait(TIMEOUT)
    assert sent.state == "pending"
    assert client.unsent == 1


def test_malformed_frames_end_the_connection(make: Callable[..., Client], network: Network) -> None:
    client = make()
    for malformed in (b"\0\0\0\2[]", b"\0\0\0\0", b"\xff" * 8):
        transport = network.next()
        transport.say(welcome())
        transport.next_request()
        transport.server_end.sendall(malformed)
        assert take(client, Disconnected).error.code in {"E100", "E101", "E102"}


def test_messages_that_no_server_accepts_are_refused_immediately(
    make: Callable[..., Client], network: Network
) -> None:
    client = make()
    for body, code in (("x" * 32_769, "E401"), ("\ud800", "E402"), ("\x01" * 32_768, "E401")):
        with pytest.raises(ChatdError, match=code):
            client.send("#lobby", body)
    with pytest.raises(ChatdError, match=r"takes 65\d\d\d bytes on the wire; at most 65536 can be sent"):
        client.send("#lobby", "\u00e9" * 32_768)
    assert client.unsent == 0


def test_unsent_messages_and_the_cursor_survive_until_the_next_run(
    make: Callable[..., Client], network: Network, tmp_path: Path
) -> None:
    network.down = {"one:1"}
    client = make(state=tmp_path)
    texts = [client.send("#lobby", f"line {n}").msg_id for n in range(3)]
    client.close()
    network.down = set()
    later = make(state=tmp_path)
    assert later.unsent == 3
    transport = network.next()
    transport.greet()
    frames = [transport.next_request() for _ in texts]
    assert [frame["msg_id"] for frame in frames] == texts
    transport.say(
        *(ok(frame["id"], seq=n + 101, at=1, notes=[]) for n, frame in enumerate(frames)), message(104)
    )
    take(later, Message)
    later.close(drain=TIMEOUT)
    store = FileStore(tmp_path)
    assert store.load()[:2] == ([], 104)
    store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE outbox SET body = printf('%.*c', 32769, 'x') WHERE n = 2",
        "UPDATE outbox SET body = printf('%.*c', 50000000, 'x') WHERE n = 2",
        "UPDATE outbox SET body = replace(printf('%.*c', 32768, 'x'), 'x', char(1)) WHERE n = 2",
        "UPDATE outbox SET body = CAST(x'ff' AS TEXT) WHERE n = 2",
        "UPDATE outbox SET target = printf('#%.*c', 264, 'x') WHERE n = 2",
        "UPDATE outbox SET kind = 'shout' WHERE n = 2",
        "UPDATE outbox SET reply_to = -1 WHERE n = 2",
        "UPDATE outbox SET msg_id = 'x' WHERE n = 2",
        "UPDATE outbox SET msg_id = CAST(x'ff' AS TEXT), owner = CAST(x'ff' AS TEXT) WHERE n = 2",
    ],
)
def test_a_stored_message_that_no_server_accepts_is_refused_and_the_others_are_sent(
    make: Callable[..., Client], network: Network, tmp_path: Path, damage: str
) -> None:
    network.down = {"one:1"}
    client = make(state=tmp_path)
    texts = [client.send("#lobby", f"line {n}").msg_id for n in range(3)]
    client.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute(damage)
    network.down = set()
    later = make(state=tmp_path)
    assert take(later, Refused).error.code in ("E401", "E402", "E102")
    transport = network.next()
    transport.greet()
    frames = [transport.next_request() for _ in range(2)]
    assert [frame["msg_id"] for frame in frames] == [texts[0], texts[2]]
    transport.say(*(ok(frame["id"], seq=n + 101, at=1, notes=[]) for n, frame in enumerate(frames)))
    later.close(drain=TIMEOUT)
    store = FileStore(tmp_path)
    assert store.load().unanswered == []
    store.close()


@pytest.fixture
def small_queue(
    make: Callable[..., Client], network: Network, monkeypatch: pytest.MonkeyPatch
) -> tuple[Client, FakeTransport]:
    """A live client whose queue holds three events at most."""
    monkeypatch.setattr(_client, "QUEUE_LIMIT", 3)
    client = make()
    transport = network.next()
    transport.greet()
    return client, transport


def test_a_full_event_queue_pauses_reading_and_loses_nothing(
    small_queue: tuple[Client, FakeTransport],
) -> None:
    client, transport = small_queue
    for seq in range(101, 151):
        transport.say(message(seq))
    assert [take(client, Message).seq for _ in range(50)] == list(range(101, 151))


def test_a_reply_is_delivered_while_the_event_queue_is_full(
    small_queue: tuple[Client, FakeTransport],
) -> None:
    client, transport = small_queue
    transport.say(*(message(seq) for seq in range(101, 106)))
    # The queue is full, and the thread that empties it waits for a reply.
    take(client, CaughtUp)
    answered = threading.Thread(
        target=lambda: transport.say(message(106), ok(transport.next_request()["id"], time=1))
    )
    answered.start()
    assert client.request("ping", timeout=TIMEOUT) == {"time": 1}
    answered.join()
    assert [take(client, Message).seq for _ in range(6)] == list(range(101, 107))


def test_a_callback_receives_the_events(make: Callable[..., Client], network: Network) -> None:
    seen: queue.Queue[object] = queue.Queue()
    client = make()
    client.on_event(seen.put)
    transport = network.next()
    transport.greet()
    transport.say(message(101))
    while not isinstance(event := seen.get(timeout=TIMEOUT), Message):
        pass
    assert event.seq == 101


def test_a_bug_in_a_callback_ends_the_client_with_an_error(
    make: Callable[..., Client], network: Network
) -> None:
    def broken(event: object) -> None:
        raise RuntimeError("oops")

    client = make()
    client.on_event(broken)
    network.next().say(welcome())
    with pytest.raises(ChatdError, match="RuntimeError: oops"):
        client.request("rooms", timeout=TIMEOUT)


def test_a_client_that_was_never_started_can_be_closed(network: Network) -> None:
    client = Client(IDENTITY)
    client.send("#lobby", "x")
    client.close()
    assert list(client.events()) == []
    with pytest.raises(ChatdError, match="E608"):
        Client(replace(IDENTITY, servers=()))
