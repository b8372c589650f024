"""The dispatcher: which requests a reader thread forwards to the hub, and when."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import cast

import pytest

from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject, encode
from chatd.proto.requests import Spec
from chatd.worker import dispatch
from chatd.worker.dispatch import Dispatcher
from chatd.worker.session import EndFlag, SessionPhase, WorkerSession
from chatd.worker.worker import Worker
from tests.unit.test_worker_timers import Bench

TIMEOUT = 30.0


class Hub:
    """Record the requests sent to it."""

    def __init__(self) -> None:
        self.request_ids: list[int] = []
        self.sends = 0
        self.charges: list[float] = []
        self._queue: list[int] = []

    def charge(self, session: WorkerSession, tokens: float) -> None:
        self.charges.append(tokens)

    def request(self, session: WorkerSession, request_id: int, payload: bytes, spec: Spec) -> bool:
        self._queue.append(request_id)
        return True

    def send(self) -> None:
        self.request_ids += self._queue
        self.sends += 1
        self._queue.clear()


def dispatcher_of(hub: Hub) -> Dispatcher:
    return Dispatcher(cast(Worker, SimpleNamespace(hub=hub, post=lambda *_: None)))


def message(request_id: int, body: str = "hello") -> bytes:
    return encode(
        {"type": "send", "id": request_id, "msg_id": f"{request_id:032x}", "to": "#lobby", "body": body}
    )


def test_a_long_text_takes_tokens_by_its_size() -> None:
    hub, session = Hub(), Bench().session
    now = time.monotonic()
    session.bucket.change(now, 1e-6, 20)
    dispatcher_of(hub).records(session, [message(1, "x" * 32_768)])
    assert round(session.bucket.level(now)) == 4


def test_the_fields_of_a_short_message_are_judged_by_the_hub() -> None:
    hub, session = Hub(), Bench().session
    session.bucket.change(time.monotonic(), 1000, 1000)
    wrong = [encode({"type": "send", "id": 1, "x": []}), encode({"type": "edit", "id": 2, "body": 5})]
    dispatcher_of(hub).records(session, wrong)
    assert (hub.request_ids, hub.charges) == ([1, 2], [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "send"},
        {"type": "send", "id": 0},
        {"type": "send", "id": True},
        {"type": ["send"], "id": 1},
        {"type": "history", "id": 1, "room": 5},
        {"type": "send", "id": 1, "x": [1] * 1024},
    ],
    ids=["no id", "an id of 0", "a truth for an id", "a list for a type", "no message", "long"],
)
def test_other_faults_do_not_reach_the_hub(wrong: JsonObject) -> None:
    hub, session = Hub(), Bench().session
    session.bucket.change(time.monotonic(), 1000, 1000)
    dispatcher_of(hub).records(session, [encode(wrong)])
    assert (hub.request_ids, hub.charges) == ([], [1.0])


def test_a_long_run_of_marks_does_not_reach_the_hub() -> None:
    hub, session = Hub(), Bench().session
    session.bucket.change(time.monotonic(), 1000, 1000)
    runs = ("a" + "\u0344" * 30) * 200
    dispatcher_of(hub).records(session, [message(1, runs), message(2, runs + "\u0344" * 31)])
    assert hub.request_ids == [1]


@pytest.mark.parametrize("phase", [SessionPhase.CLOSING, SessionPhase.GONE])
def test_a_throttled_session_that_ends_sends_no_more_requests(
    phase: SessionPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    # The second message has to wait, for longer than the test.
    session.bucket.change(time.monotonic(), 1e-3, 1)
    throttled = threading.Event()
    monkeypatch.setattr(dispatch, "THROTTLE_CHECK_SECONDS", TIMEOUT)
    wait = EndFlag.wait

    def wait_and_signal(flag: EndFlag, seconds: float) -> bool:
        throttled.set()
        return wait(flag, seconds)

    monkeypatch.setattr(EndFlag, "wait", wait_and_signal)
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
    session.bucket.change(time.monotonic(), 1000, 1000)
    dispatcher.records(session, [message(1), message(2) + message(3)])
    assert (hub.request_ids, hub.sends) == ([1, 2, 3], 1)


def test_requests_before_a_malformed_frame_are_sent_to_the_hub() -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    session.bucket.change(time.monotonic(), 1000, 1000)
    with pytest.raises(ChatdError, match="E100"):
        dispatcher.records(session, [message(1), message(2)[:-1]])
    assert hub.request_ids == [1]


def test_queued_requests_are_sent_before_waiting_for_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, session = Hub(), Bench().session
    dispatcher = dispatcher_of(hub)
    session.bucket.change(time.monotonic(), 1000, 1000)
    capacity = iter([True, False, True])
    sent_before_waiting = []
    monkeypatch.setattr(dispatch, "_has_capacity", lambda *_: next(capacity))
    monkeypatch.setattr(EndFlag, "wait", lambda *_: sent_before_waiting.append(list(hub.request_ids)))
    dispatcher.records(session, [message(1) + message(2)])
    assert sent_before_waiting == [[1]]
    assert hub.request_ids == [1, 2]


def test_what_the_worker_answers_itself_is_reported_in_whole_tokens() -> None:
    hub, session = Hub(), Bench().session
    session.phase = SessionPhase.OPEN
    dispatcher = dispatcher_of(hub)
    session.bucket.change(time.monotonic(), 1000, 5)
    ping = encode({"type": "ping", "id": 1})
    dispatcher.records(session, [ping * 9])
    assert hub.charges == []
    dispatcher.records(session, [ping * 2, encode({"type": "nonsense", "id": 2})])
    assert hub.charges == [1.1, 1.0]
    dispatcher.charge(session, 50)
    assert hub.charges[2:] == [5.0]  # a burst at most
    # The hub charges what it gets.
    dispatcher.records(session, [message(1)])
    assert len(hub.charges) == 3


def test_a_session_whose_user_owes_tokens_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, session = Hub(), Bench().session
    session.phase = SessionPhase.OPEN
    dispatcher = dispatcher_of(hub)
    session.bucket.change(time.monotonic(), 1e-3, 5)
    dispatcher.records(session, [message(1)])
    session.bucket.change(time.monotonic(), 1e-3, 5, at_most=-2.0)
    waits: list[float] = []

    def wait(_: EndFlag, seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) == 2:
            session.bucket.change(time.monotonic(), 1e9, 5)
        return False

    monkeypatch.setattr(EndFlag, "wait", wait)
    dispatcher.records(session, [message(2)])
    assert (hub.request_ids, waits) == ([1, 2], [dispatch.THROTTLE_CHECK_SECONDS] * 2)
