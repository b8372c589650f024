"""Requests that arrive in one read are answered in order; parsing never raises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.links import UnknownOperationError
from chatd.hub.parsing import parse
from chatd.link.wire import LINK_VERSION, Header
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from tests.support.hub_harness import HubHarness, WorkerEnd

Frame = tuple[Header, bytes]


def request(sid: int, request_id: int, kind: str, **fields: Any) -> Frame:
    return ["request", sid], json.dumps({"type": kind, "id": request_id, **fields}).encode()


def message(sid: int, request_id: int, body: str = "hello") -> Frame:
    return request(sid, request_id, "send", to="#lobby", body=body, msg_id=f"{request_id:032x}")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    """A hub at which alice is registered."""
    harness = HubHarness(tmp_path / "data", Settings())
    assert harness.ask(harness.operator, 0, "user_add", user="alice", device="dev", serial="a1")
    yield harness
    harness.close()


def replies(harness: HubHarness, worker: WorkerEnd, frames: list[Frame]) -> dict[int, Any]:
    """Return for each request id, in the order of the replies: the error code, the seq or "done"."""
    worker.replies.clear()
    harness.hub.take(worker.link, iter(frames))
    harness.run_iteration()
    return {
        request_id: reply.get("code") or reply["result"].get("seq", "done")
        for request_id, reply in worker.replies.items()
    }


def test_valid_and_invalid_requests_in_one_read_are_answered_in_order(harness: HubHarness) -> None:
    worker = harness.workers[0]
    assert harness.open_session(worker, 1, "alice", "dev", "a1")
    head = harness.log.head
    frames = [
        message(1, 1),
        request(1, 2, "no_such_thing"),
        (["request", 1], b"not json"),
        message(1, 4),
        request(1, 5, "send", to="#lobby", body="hello"),
        message(1, 4, "another text"),
        message(1, 7),
    ]
    found = list(replies(harness, worker, frames).items())
    assert found == [(1, head + 1), (2, "E103"), (0, "E102"), (4, "E408"), (5, "E102"), (7, head + 3)]


def test_requests_in_one_read_are_decided_one_after_another(harness: HubHarness) -> None:
    """Requests count only between the open and the close of their session, even within one read."""
    worker = harness.workers[0]
    opened: Frame = ["open", 1, "alice", "dev", "a1", "127.0.0.1", False], b""
    frames = [message(1, 1), opened, message(1, 2), (["close", 1], b""), message(1, 3)]
    assert list(replies(harness, worker, frames)) == [2]


@pytest.mark.parametrize("hello", [["hello"], ["hello", "worker-1", "0.0.9, link 2"]])
def test_requests_of_a_worker_with_another_link_version_are_ignored(
    harness: HubHarness, hello: Header, caplog: pytest.LogCaptureFixture
) -> None:
    worker = harness.workers[0]
    opened: Frame = ["open", 1, "alice", "dev", "a1", "127.0.0.1", False], b""
    head = harness.log.head
    assert replies(harness, worker, [(hello, b""), opened, message(1, 1)]) == {}
    assert replies(harness, worker, [message(1, 2), (["an operation of the future"], b"")]) == {}
    assert harness.log.head == head
    assert [vars(record)["event"] for record in caplog.records] == ["link_of_another_version"]
    other = harness.workers[1]
    opened = ["open", 2, "alice", "dev", "a1", "127.0.0.1", False], b""
    assert replies(harness, other, [(["hello", LINK_VERSION], b""), opened, message(2, 3)]) == {3: head + 1}


@pytest.mark.parametrize("header", [["operator"], ["hello?"], [1], [None]])
def test_a_worker_sends_only_what_workers_send(harness: HubHarness, header: Header) -> None:
    with pytest.raises(UnknownOperationError):
        harness.hub.take(harness.workers[0].link, [(header, b"")])
    with pytest.raises(UnknownOperationError):
        harness.hub.take(
            harness.operator.link, [(["open", 1, "alice", "dev", "a1", "127.0.0.1", False], b"")]
        )


def test_a_session_cannot_be_opened_twice_on_a_link(harness: HubHarness) -> None:
    worker = harness.workers[0]
    assert harness.open_session(worker, 1, "alice", "dev", "a1")
    with pytest.raises(ValueError, match="open already"):
        harness.open_session(worker, 1, "alice", "dev", "a1")


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"body": "x" * 40_000}, "E101"),
        ({"body": ["hello"]}, "E102"),
        ({"msg_id": "z" * 32}, "E102"),
        ({"kind": "announcement"}, "E102"),
        ({"user": "bob"}, "E102"),
        ({"reply_to": -1}, "E102"),
        ({"to": "#" + "x" * 400}, "E102"),
        ({"to": "#elsewhere"}, "E404"),
        ({"body": "\u0007"}, None),
        ({"body": " "}, "E402"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_hub_judges_what_a_worker_passes_on(
    harness: HubHarness, fields: JsonObject, refusal: str | None
) -> None:
    worker = harness.workers[0]
    assert harness.open_session(worker, 1, "alice", "dev", "a1")
    head = harness.log.head
    sent = {"type": "send", "id": 1, "to": "#lobby", "body": "hello", "msg_id": "1" * 32} | fields
    frame: Frame = ["request", 1], json.dumps(sent).encode()
    assert replies(harness, worker, [frame]) == {0 if refusal == "E101" else 1: refusal or head + 1}
    if refusal is None:
        assert [*harness.logged_events()][-1]["body"] == r"\x07"


@given(st.binary(max_size=60) | st.from_regex(rb'\{"type":"send"[^\x00]{0,60}\}?'))
def test_parsing_a_request_never_raises(payload: bytes) -> None:
    parsed = parse(payload)
    assert isinstance(parsed.request, ChatdError)
    assert parsed.digest == b""


def test_an_unexpected_exception_in_parsing_is_answered_with_e500(
    harness: HubHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = harness.workers[0]
    assert harness.open_session(worker, 1, "alice", "dev", "a1")

    def broken(_: object) -> rq.AnyRequest:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("chatd.hub.parsing.parse_request", broken)
        assert replies(harness, worker, [message(1, 9)]) == {9: "E500"}
    assert replies(harness, worker, [message(1, 9)]) == {9: harness.log.head}
