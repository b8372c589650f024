"""What a reader thread passes on, and what not any more."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

import pytest

from chatd.errors import ChatdError
from chatd.proto.frames import encode
from chatd.proto.requests import Spec
from chatd.worker import dispatch
from chatd.worker.dispatch import Dispatcher
from chatd.worker.session import SessionPhase, WorkerSession
from chatd.worker.worker import Worker
from tests.unit.test_worker_timers import Bench

WAIT = 30.0


class Hub:
    """Notes the requests that are sent to it."""

    def __init__(self) -> None:
        self.labels: list[int] = []
        self.sends = 0
        self._queue: list[int] = []

    def request(self, session: WorkerSession, label: int, payload: bytes, spec: Spec) -> bool:
        self._queue.append(label)
        return True

    def send(self) -> None:
        self.labels += self._queue
        self.sends += 1
        self._queue.clear()


def dispatcher_of(hub: Hub) -> Dispatcher:
    return Dispatcher(cast(Worker, SimpleNamespace(hub=hub, post=lambda *_: None)))


def message(label: int) -> bytes:
    return encode({"type": "send", "id": label, "msg_id": f"{label:032x}", "to": "#lobby", "body": "hello"})


@pytest.mark.parametrize("phase", [SessionPhase.CLOSING, SessionPhase.GONE])
def test_a_session_that_ends_while_held_back_sends_no_more_requests(
    phase: SessionPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    # The second message has to wait, for longer than the test.
    session.bucket.change(1e-3, 1)
    held = threading.Event()
    monkeypatch.setattr(dispatch, "THROTTLE_CHECK_SECONDS", WAIT)
    wait = session.ended.wait

    def waits(seconds: float) -> bool:
        held.set()
        return wait(seconds)

    monkeypatch.setattr(session.ended, "wait", waits)
    records = b"".join(message(label) for label in (1, 2, 3))
    reader = threading.Thread(target=dispatcher.records, args=(session, [records]))
    reader.start()
    assert held.wait(WAIT)
    assert hub.labels == [1]
    session.phase = phase
    session.ended.set()
    reader.join(WAIT)
    assert not reader.is_alive()
    assert hub.labels == [1]


def test_requests_received_together_are_sent_to_the_hub_together() -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    session.bucket.change(1000, 1000)
    dispatcher.records(session, [message(1), message(2) + message(3)])
    assert (hub.labels, hub.sends) == ([1, 2, 3], 1)


def test_requests_before_a_malformed_frame_are_sent_to_the_hub() -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    session.bucket.change(1000, 1000)
    with pytest.raises(ChatdError, match="E100"):
        dispatcher.records(session, [message(1), message(2)[:-1]])
    assert hub.labels == [1]


def test_queued_requests_are_sent_before_waiting_for_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    session.bucket.change(1000, 1000)
    room = iter([True, False, True])
    sent_by_then = []
    monkeypatch.setattr(dispatch, "_has_capacity", lambda *_: next(room))
    monkeypatch.setattr(session.ended, "wait", lambda _: sent_by_then.append(list(hub.labels)))
    dispatcher.records(session, [message(1) + message(2)])
    assert sent_by_then == [[1]]
    assert hub.labels == [1, 2]
