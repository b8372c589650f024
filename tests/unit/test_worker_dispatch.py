"""The dispatcher: which requests a reader thread forwards to the hub, and when."""

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

TIMEOUT = 30.0


class Hub:
    """Record the requests sent to it."""

    def __init__(self) -> None:
        self.request_ids: list[int] = []
        self.sends = 0
        self._queue: list[int] = []

    def request(self, session: WorkerSession, request_id: int, payload: bytes, spec: Spec) -> bool:
        self._queue.append(request_id)
        return True

    def send(self) -> None:
        self.request_ids += self._queue
        self.sends += 1
        self._queue.clear()


def dispatcher_of(hub: Hub) -> Dispatcher:
    return Dispatcher(cast(Worker, SimpleNamespace(hub=hub, post=lambda *_: None)))


def message(request_id: int) -> bytes:
    return encode(
        {"type": "send", "id": request_id, "msg_id": f"{request_id:032x}", "to": "#lobby", "body": "hello"}
    )


@pytest.mark.parametrize("phase", [SessionPhase.CLOSING, SessionPhase.GONE])
def test_a_throttled_session_that_ends_sends_no_more_requests(
    phase: SessionPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    # The second message has to wait, for longer than the test.
    session.bucket.change(1e-3, 1)
    throttled = threading.Event()
    monkeypatch.setattr(dispatch, "THROTTLE_CHECK_SECONDS", TIMEOUT)
    wait = session.ended.wait

    def wait_and_signal(seconds: float) -> bool:
        throttled.set()
        return wait(seconds)

    monkeypatch.setattr(session.ended, "wait", wait_and_signal)
    records = b"".join(message(request_id) for request_id in (1, 2, 3))
    reader = threading.Thread(target=dispatcher.records, args=(session, [records]))
    reader.start()
    assert throttled.wait(TIMEOUT)
    assert hub.request_ids == [1]
    session.phase = phase
    session.ended.set()
    reader.join(TIMEOUT)
    assert not reader.is_alive()
    assert hub.request_ids == [1]


def test_requests_received_together_are_sent_to_the_hub_together() -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    session.bucket.change(1000, 1000)
    dispatcher.records(session, [message(1), message(2) + message(3)])
    assert (hub.request_ids, hub.sends) == ([1, 2, 3], 1)


def test_requests_before_a_malformed_frame_are_sent_to_the_hub() -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    session.bucket.change(1000, 1000)
    with pytest.raises(ChatdError, match="E100"):
        dispatcher.records(session, [message(1), message(2)[:-1]])
    assert hub.request_ids == [1]


def test_queued_requests_are_sent_before_waiting_for_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    session.bucket.change(1000, 1000)
    capacity = iter([True, False, True])
    sent_before_waiting = []
    monkeypatch.setattr(dispatch, "_has_capacity", lambda *_: next(capacity))
    monkeypatch.setattr(session.ended, "wait", lambda _: sent_before_waiting.append(list(hub.request_ids)))
    dispatcher.records(session, [message(1) + message(2)])
    assert sent_before_waiting == [[1]]
    assert hub.request_ids == [1, 2]
