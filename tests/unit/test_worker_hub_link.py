"""The worker's link: which unanswered requests it sends again to a new hub."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from chatd.child.tls import TlsChannel
from chatd.link.wire import LinkBuffer
from chatd.pki.profiles import DeviceName
from chatd.proto.requests import REQUESTS, RequestKind
from chatd.proto.unsealed import PlainOpener, PlainSealer
from chatd.worker.hub_link import HubLink
from chatd.worker.session import SessionPhase, WorkerSession

REPEATABLE, ONCE = REQUESTS["send"].spec, REQUESTS["redact"].spec


class HubEnd:
    """A listener in the hub's place; each `accept` is a new hub."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._sock: socket.socket | None = None

    def accept(self) -> None:
        self.die()
        self._sock, _ = self._listener.accept()

    def requests(self) -> list[bytes]:
        """Return the requests that this hub has received."""
        assert self._sock
        frames = LinkBuffer().feed(self._sock.recv(1 << 20))
        return [payload for header, payload in frames if header[0] == "request"]

    def die(self) -> None:
        if self._sock:
            self._sock.close()

    def close(self) -> None:
        self.die()
        self._listener.close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubEnd]:
    end = HubEnd(tmp_path / "hub.sock")
    yield end
    end.close()


@pytest.fixture
def link(tmp_path: Path, hub: HubEnd) -> Iterator[HubLink]:
    link = HubLink(tmp_path / "hub.sock")
    yield link
    link.disconnect([])


@pytest.fixture
def session() -> WorkerSession:
    nothing = cast(socket.socket, None), cast(TlsChannel, None)
    name = DeviceName("lab", "bob", "laptop")
    session = WorkerSession(1, *nothing, PlainSealer(), PlainOpener(), name, "1", 4e9, "", "127.0.0.1")
    session.phase = SessionPhase.OPEN
    return session


def connect(link: HubLink, hub: HubEnd, session: WorkerSession) -> list[bytes]:
    """Connect to a new hub; return the requests it receives at once."""
    assert link.connect([session])
    hub.accept()
    return hub.requests()


def test_a_request_that_was_pending_when_two_hubs_died_is_not_sent_to_a_third(
    link: HubLink, hub: HubEnd, session: WorkerSession
) -> None:
    assert connect(link, hub, session) == []
    assert link.request(session, 1, b"poison", REPEATABLE)
    link.send()
    assert hub.requests() == [b"poison"]
    assert link.disconnect([session]) == []
    assert connect(link, hub, session) == [b"poison"]
    assert link.request(session, 2, b"bystander", REPEATABLE)
    link.send()
    assert link.disconnect([session]) == [(session, 1, RequestKind.SEND)]
    assert connect(link, hub, session) == [b"bystander"]


def test_a_request_that_must_not_be_repeated_is_sent_once(
    link: HubLink, hub: HubEnd, session: WorkerSession
) -> None:
    connect(link, hub, session)
    assert link.request(session, 1, b"once", ONCE)
    assert link.disconnect([session]) == [(session, 1, RequestKind.EVENT)]


def test_requests_made_without_a_hub_are_sent_to_the_next_one(
    link: HubLink, hub: HubEnd, session: WorkerSession
) -> None:
    assert link.request(session, 1, b"once", ONCE)
    assert link.request(session, 2, b"repeatable", REPEATABLE)
    assert link.disconnect([session]) == []
    assert connect(link, hub, session) == [b"once", b"repeatable"]
    assert link.disconnect([session]) == [(session, 1, RequestKind.EVENT)]
    assert connect(link, hub, session) == [b"repeatable"]
    assert link.disconnect([session]) == [(session, 2, RequestKind.SEND)]
