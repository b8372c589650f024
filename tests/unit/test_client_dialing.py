"""Finding the address that answers, without a network: order, delays, failures."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from chatctl.client import _dialing
from chatctl.client._dialing import ANSWER_LIMIT, ATTEMPT_DELAY, SILENT_DELAY, Address, Lookup, Lookups, Race
from chatd.errors import ChatdError

ONE, TWO, THREE = (Address("chat.example:1", socket.AF_INET, (f"192.0.2.{n}", 1)) for n in (1, 2, 3))


class FakeAttempt:
    """An attempt; the test decides what happens to it."""

    def __init__(self, address: Address, number: int) -> None:
        self.address = address
        self.connected = self.heard = self.closed = False
        self.error: ChatdError | None = None
        self._number = number

    def fileno(self) -> int:
        return self._number

    def advance(self) -> list[bytes]:
        if self.error is not None:
            raise self.error
        self.heard = True
        return [b"hello"]

    def close(self) -> None:
        self.closed = True


class World:
    """The network of one race, and its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, found: dict[str, list[Address] | ChatdError]) -> None:
        self.now = 100.0
        self.attempts: list[FakeAttempt] = []
        self.unreachable: set[Address] = set()
        self._found = found
        monkeypatch.setattr(_dialing, "look_up", self._look_up)

    def _look_up(self, server: str) -> list[Address]:
        found = self._found[server]
        if isinstance(found, ChatdError):
            raise found
        return found

    def race(self, *servers: str) -> Race[FakeAttempt]:
        return Race(servers, lambda server: _finished(Lookup(server, lambda: None)), self._dial, self.now)

    def _dial(self, address: Address) -> FakeAttempt:
        if address in self.unreachable:
            raise ChatdError("E607", f"cannot connect to {address}: refused")
        self.attempts.append(FakeAttempt(address, len(self.attempts)))
        return self.attempts[-1]

    @property
    def tried(self) -> list[Address]:
        return [attempt.address for attempt in self.attempts]


def _finished(lookup: Lookup) -> Lookup:
    for thread in threading.enumerate():
        if thread.name == "chat-lookup":
            thread.join(10.0)
    return lookup


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    return lambda **found: World(monkeypatch, {f"{name}.example:1": value for name, value in found.items()})


def test_the_next_address_is_tried_after_a_moment_and_the_first_to_answer_wins(
    world: Callable[..., World],
) -> None:
    net = world(chat=[ONE, TWO, THREE])
    race = net.race("chat.example:1")
    assert race.advance(net.now, ()) is None
    assert (net.tried, race.wait_seconds(net.now)) == ([ONE], ATTEMPT_DELAY)
    net.now += ATTEMPT_DELAY
    assert race.advance(net.now, ()) is None
    assert net.tried == [ONE, TWO]
    first, second = net.attempts
    assert race.advance(net.now, [second.fileno()]) == (second, [b"hello"])
    assert (first.closed, second.closed) == (True, False)
    assert race.has_more, "the other addresses are lost if the winner fails"
    net.now += ATTEMPT_DELAY
    race.advance(net.now, ())
    assert net.tried == [ONE, TWO, ONE]


def test_an_address_that_accepts_and_stays_silent_gets_longer_but_not_for_ever(
    world: Callable[..., World],
) -> None:
    net = world(chat=[ONE, TWO])
    race = net.race("chat.example:1")
    race.advance(net.now, ())
    net.attempts[0].connected = True
    assert race.wait_seconds(net.now) == SILENT_DELAY
    net.now += SILENT_DELAY
    race.advance(net.now, ())
    assert net.tried == [ONE, TWO]


def test_a_refusal_moves_on_at_once_and_all_reasons_are_told(world: Callable[..., World]) -> None:
    net = world(chat=[ONE, TWO, THREE])
    net.unreachable = {ONE}
    race = net.race("chat.example:1")
    race.advance(net.now, ())
    assert net.tried == [TWO]
    net.attempts[0].error = ChatdError("E607", f"cannot connect to {TWO}: no route")
    race.advance(net.now, [0])
    assert net.tried == [TWO, THREE]
    net.now += ANSWER_LIMIT
    with pytest.raises(ChatdError) as failed:
        race.advance(net.now, ())
    assert failed.value.reason == (
        "cannot connect to chat.example:1 (192.0.2.1): refused; "
        "cannot connect to chat.example:1 (192.0.2.2): no route; "
        "chat.example:1 (192.0.2.3) did not answer within 10 seconds"
    )
    assert net.attempts[1].closed
    assert not race.has_more


def test_an_error_of_a_server_that_answered_ends_the_round(world: Callable[..., World]) -> None:
    net = world(chat=[ONE, TWO])
    race = net.race("chat.example:1")
    race.advance(net.now, ())
    net.attempts[0].heard, net.attempts[0].error = True, ChatdError("E209")
    with pytest.raises(ChatdError, match="E209"):
        race.advance(net.now, [0])
    assert race.has_more


def test_a_telling_error_is_preferred_to_unreachable_addresses(world: Callable[..., World]) -> None:
    net = world(chat=[ONE, TWO])
    race = net.race("chat.example:1")
    race.advance(net.now, ())
    net.attempts[0].error = ChatdError("E202")
    net.unreachable = {TWO}
    with pytest.raises(ChatdError, match="E202"):
        race.advance(net.now, [0])


def test_another_service_at_an_address_leaves_the_others(world: Callable[..., World]) -> None:
    net = world(chat=[ONE, TWO])
    race = net.race("chat.example:1")
    race.advance(net.now, ())
    strange = ChatdError("E630", "something else")
    assert race.failed_at(strange) is None
    net.unreachable = {TWO}
    net.attempts[0].error = strange
    with pytest.raises(ChatdError, match=r"something else; cannot connect to .*192.0.2.2.*: refused") as told:
        race.advance(net.now, [0])
    assert told.value.code == "E607", "the server may be at the address that cannot be reached now"


def test_other_services_at_all_addresses_are_told_once(world: Callable[..., World]) -> None:
    race = world(chat=[ONE]).race("chat.example:1")
    race.advance(100.0, ())
    race.close()
    strange = ChatdError("E209")
    assert race.failed_at(strange) is strange


def test_literal_addresses_come_before_names(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = world(chat=[ONE])
    literal = Address("192.0.2.9:1", socket.AF_INET, ("192.0.2.9", 1))
    net._found["192.0.2.9:1"] = [literal]
    race = net.race("chat.example:1", "192.0.2.9:1")
    race.advance(net.now, ())
    assert net.tried == [literal]


def test_a_name_that_does_not_exist_is_told(world: Callable[..., World]) -> None:
    net = world(chat=ChatdError("E607", "cannot find the address of chat.example:1: unknown"))
    with pytest.raises(ChatdError, match="cannot find the address"):
        net.race("chat.example:1").advance(net.now, ())


def test_one_lookup_of_a_name_is_under_way_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    release, woken = threading.Event(), threading.Event()

    def blocked(server: str) -> list[Address]:
        assert release.wait(10.0)
        return [ONE]

    monkeypatch.setattr(_dialing, "look_up", blocked)
    lookups = Lookups(woken.set)
    first = lookups.start("chat.example:1")
    assert lookups.start("chat.example:1") is first
    release.set()
    assert woken.wait(10.0)
    assert first.result == [ONE]
    assert lookups.start("chat.example:1") is not first


@pytest.mark.parametrize(
    ("server", "literal"),
    [("127.0.0.1:1", True), ("[::1]:1", True), ("[fe80::1%eth0]:1", True), ("chat.example:1", False)],
)
def test_literal_addresses_are_recognised(server: str, literal: bool) -> None:
    assert _dialing.is_literal(server) is literal


def test_the_address_families_alternate(monkeypatch: pytest.MonkeyPatch) -> None:
    four, six = socket.AF_INET, socket.AF_INET6
    found = [(six, "::1"), (six, "::2"), (four, "192.0.2.1"), (four, "192.0.2.2"), (four, "192.0.2.3")]

    def answer(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(family, 1, 6, "", (ip, 1)) for family, ip in found]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    ips = [address.sockaddr[0] for address in _dialing.look_up("chat.example:1")]
    assert ips == ["::1", "192.0.2.1", "::2", "192.0.2.2", "192.0.2.3"]


def test_loopback_comes_first_on_the_servers_own_box(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = ["chat.example:1", "192.0.2.1:1", "192.0.2.2:1", "127.0.0.1:1"]
    elsewhere = ["192.0.2.1:1", "192.0.2.2:1", "127.0.0.1:1", "chat.example:1"]
    assert _dialing.in_order(servers) == elsewhere
    monkeypatch.setattr(_dialing, "is_own", lambda host: host == "192.0.2.2")
    assert _dialing.in_order(servers) == elsewhere  # an address that many boxes have, such as a bridge's
    monkeypatch.setattr(_dialing, "is_own", lambda host: host == "192.0.2.1")
    assert _dialing.in_order(servers) == ["127.0.0.1:1", "192.0.2.1:1", "192.0.2.2:1", "chat.example:1"]


def test_a_machine_knows_its_own_addresses() -> None:
    assert _dialing.is_own("127.0.0.1")
    assert not _dialing.is_own("192.0.2.1")
    assert not _dialing.is_own("2001:db8::1")
