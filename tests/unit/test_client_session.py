"""The client's session without sockets: order, resending, resuming, keep-alive."""

from __future__ import annotations

from typing import Any

import pytest

from chatctl.client import Acknowledged, CaughtUp, Connected, Refused, Restored, Sent
from chatctl.client._notices import SentResult
from chatctl.client._session import (
    IN_FLIGHT_LIMIT,
    READ_ONLY_DELAY,
    SEND_AGAIN_DELAY,
    ByeReceived,
    ClientSession,
    ConnectionPhase,
    PendingRequest,
)
from chatd.errors import ChatdError
from chatd.proto.events import SessionLimits
from chatd.proto.frames import JsonObject
from chatd.proto.lineage import Branch

LIMITS = {**dict.fromkeys(SessionLimits.fields(), 5), "idle_seconds": 30}


def welcome(head: int = 100, **more: Any) -> JsonObject:
    return {
        "type": "welcome", "protocol": 1, "server": "s", "version": "0", "instance": "home", "user": "alice",
        "device": "d", "role": "user", "permissions": [], "rooms": ["#lobby"], "head": head, "time": 0,
        "envelope": True, "limits": LIMITS, **more,
    }  # fmt: skip


def message(seq: int, body: str = "x") -> JsonObject:
    return {
        "type": "message", "seq": seq, "at": seq, "room": "#lobby", "user": "bob", "device": "d",
        "role": "user", "msg_id": f"{seq:032x}", "kind": "text", "body": body,
    }  # fmt: skip


def ok(request_id: int, **result: Any) -> JsonObject:
    return {"type": "ok", "id": request_id, "result": result}


def refusal(request_id: int, code: str) -> JsonObject:
    return {"type": "error", "id": request_id, "code": code, "reason": "r", "fix": "f"}


def bye(code: str, retry: bool) -> JsonObject:
    return {"type": "bye", "code": code, "reason": "r", "fix": "f", "retry": retry}


def sent(n: int = 0) -> Sent:
    return Sent(f"{n:032x}", "#lobby", f"body {n}", "text", None)


def connect(session: ClientSession, head: int = 100) -> list[JsonObject]:
    """Welcome a session; return the first frames that it sends."""
    session.opened(0.0)
    session.receive(welcome(head), 0.0)
    return session.outgoing(0.0)


def ready(*, live: bool = False) -> ClientSession:
    session = ClientSession(live=live)
    frames = connect(session)
    if live:
        session.receive(ok(frames[0]["id"], events=[], cursor=100, more=False), 0.0)
    return session


def test_only_resume_is_sent_before_the_first_page() -> None:
    session = ClientSession(live=True, cursor=7)
    session.send(sent())
    session.ask(PendingRequest("rooms", {}))
    assert session.outgoing(0.0) == []
    (resume,) = connect(session)
    assert (resume["type"], resume["after"]) == ("resume", 7)
    session.receive(ok(resume["id"], events=[message(8)], cursor=50, more=True), 0.0)
    assert [f["type"] for f in session.outgoing(0.0)] == ["resume", "rooms", "send"]


def test_without_a_cursor_events_begin_at_the_head_of_the_welcome() -> None:
    session = ClientSession(live=True)
    (resume,) = connect(session)
    assert resume["after"] == 100
    session.closed()
    # The connection was cut before the reply, so events since the first welcome are still due.
    (resume,) = connect(session, head=101)
    assert resume["after"] == 100
    events = session.receive(ok(resume["id"], events=[message(101)], cursor=101, more=False), 0.0)
    assert [getattr(event, "seq", event) for event in events] == [101, CaughtUp(101)]


def test_sessions_that_are_not_live_never_resume() -> None:
    session = ClientSession(live=False)
    assert connect(session) == []
    session.send(sent())
    assert [f["type"] for f in session.outgoing(0.0)] == ["send"]


def test_all_pages_are_requested_and_nothing_is_delivered_twice() -> None:
    session = ClientSession(live=True, cursor=1)
    (first,) = connect(session)
    delivered = session.receive(
        ok(first["id"], events=[message(1), message(2), message(4)], cursor=10, more=True), 0.0
    )
    (second,) = session.outgoing(0.0)
    assert second["after"] == 10
    delivered += session.receive(
        ok(second["id"], events=[message(9), message(11)], cursor=12, more=False), 0.0
    )
    delivered += session.receive(message(12), 0.0)
    delivered += session.receive(message(13), 0.0)
    assert [getattr(e, "seq", e) for e in delivered] == [2, 4, 11, CaughtUp(12), 13]


def test_a_page_is_requested_only_when_there_is_space() -> None:
    session = ClientSession(live=True, cursor=1)
    (first,) = connect(session)
    session.receive(ok(first["id"], events=[message(2)], cursor=10, more=True), 0.0)
    assert session.outgoing(0.0, space=False) == []
    (second,) = session.outgoing(0.0)
    assert (second["type"], second["after"]) == ("resume", 10)
    assert session.outgoing(0.0) == []


def test_a_cursor_beyond_the_log_moves_back_to_its_head() -> None:
    session = ClientSession(live=True, cursor=5000)
    (resume,) = connect(session, head=10)
    assert resume["after"] == 10


def test_a_node_that_is_behind_shows_nothing_twice() -> None:
    session = ClientSession(live=True, cursor=20)
    session.opened(0.0)
    events = session.receive(welcome(head=10, clustered=True), 0.0)
    assert not any(isinstance(event, Restored) for event in events)
    (resume,) = session.outgoing(0.0)
    assert resume["after"] == 20
    delivered = session.receive(ok(resume["id"], events=[], cursor=10, more=False), 0.0)
    for seq in (11, 20, 21):
        delivered += session.receive(message(seq), 0.0)
    assert [getattr(e, "seq", e) for e in delivered] == [CaughtUp(20), 21]


def test_a_cursor_of_another_log_moves_back_to_the_common_part() -> None:
    first, restored = Branch(id="a" * 32, began=0), Branch(id="b" * 32, began=30)
    session = ClientSession(live=True, cursor=70, lineage=(first,))
    # The second time, the client already knows the restored log.
    for restored_at, after in (([30], 30), ([], 90)):
        session.opened(0.0)
        events = session.receive(welcome(90, lineage=[b.model_dump() for b in (first, restored)]), 0.0)
        (resume,) = session.outgoing(0.0)
        assert [e.seq for e in events if isinstance(e, Restored)] == restored_at
        assert resume["after"] == after
        session.receive(ok(resume["id"], events=[message(31)], cursor=90, more=False), 0.0)
        session.closed()
    assert session.cursor == 90


def test_a_malformed_lineage_is_refused() -> None:
    malformed: list[Any] = ["x", [{"id": "short", "began": 0}], [{"id": "a" * 32, "began": -1}], [{}] * 65]
    for lineage in malformed:
        session = ClientSession(cursor=1)
        session.opened(0.0)
        with pytest.raises(ChatdError, match="E100"):
            session.receive(welcome(lineage=lineage), 0.0)


def test_after_lagged_the_session_resumes_once_from_its_cursor() -> None:
    session = ready(live=True)
    session.receive(message(101), 0.0)
    session.receive({"type": "lagged"}, 0.0)
    session.receive({"type": "lagged"}, 0.0)
    (resume,) = session.outgoing(0.0)
    assert (resume["type"], resume["after"]) == ("resume", 101)


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"events": {}, "cursor": 1, "more": False},
        {"events": [], "cursor": "1", "more": False},
        {"events": [], "cursor": 7, "more": True},
    ],
)
def test_a_malformed_or_stuck_resume_is_refused(result: JsonObject) -> None:
    session = ClientSession(live=True, cursor=7)
    (resume,) = connect(session)
    with pytest.raises(ChatdError, match="E100"):
        session.receive({"type": "ok", "id": resume["id"], "result": result}, 0.0)


def test_messages_are_sent_in_order_up_to_the_limit() -> None:
    session = ready()
    for n in range(IN_FLIGHT_LIMIT + 3):
        session.send(sent(n))
    frames = session.outgoing(0.0)
    assert [f["body"] for f in frames] == [f"body {n}" for n in range(IN_FLIGHT_LIMIT)]
    assert session.outgoing(0.0) == []
    session.receive(ok(frames[0]["id"], seq=1, at=1, notes=[]), 0.0)
    assert [f["body"] for f in session.outgoing(0.0)] == [f"body {IN_FLIGHT_LIMIT}"]


def test_unanswered_messages_are_sent_again_in_order_with_the_same_ids() -> None:
    session = ready()
    for n in range(4):
        session.send(sent(n))
    frames = session.outgoing(0.0)
    session.receive(ok(frames[1]["id"], seq=1, at=1, notes=[]), 0.0)
    session.closed()
    session.send(sent(9))
    again = connect(session)
    assert [f["msg_id"] for f in again] == [sent(n).msg_id for n in (0, 2, 3, 9)]


def test_a_reply_reaches_the_waiting_caller() -> None:
    session = ready()
    one, two = sent(1), sent(2)
    session.send(one)
    session.send(two)
    request_ids = [f["id"] for f in session.outgoing(0.0)]
    note = {"rule": "truncated", "text": "only 500 characters are allowed"}
    assert session.receive(ok(request_ids[0], seq=7, at=8, notes=[note]), 0.0) == [Acknowledged(one)]
    assert (one.state, one.wait(0)) == ("acknowledged", SentResult(7, 8, [note]))
    (event,) = session.receive(refusal(request_ids[1], "E400"), 0.0)
    assert isinstance(event, Refused)
    assert two.state == "refused"
    with pytest.raises(ChatdError, match="E400"):
        two.wait(0)
    session.closed()
    assert connect(session) == []


def test_temporary_refusals_are_retried_later_in_order() -> None:
    session = ready()
    for n in range(3):
        session.send(sent(n))
    for frame in session.outgoing(0.0):
        assert session.receive(refusal(frame["id"], "E503"), 10.0) == []
    assert session.outgoing(10.0) == []
    assert session.tick(10.0) <= SEND_AGAIN_DELAY
    assert [f["body"] for f in session.outgoing(10.0 + SEND_AGAIN_DELAY)] == ["body 0", "body 1", "body 2"]


def test_a_cut_keeps_the_order_of_retried_messages() -> None:
    session = ready()
    for n in range(3):
        session.send(sent(n))
    first = session.outgoing(0.0)[0]
    session.receive(refusal(first["id"], "E502"), 0.0)
    session.closed()
    connect(session)
    assert [f["body"] for f in session.outgoing(SEND_AGAIN_DELAY)] == ["body 0", "body 1", "body 2"]


def test_a_cut_repeats_only_repeatable_requests() -> None:
    session = ready()
    again, once = (
        PendingRequest("rooms", {}),
        PendingRequest("kick", {"user": "bob"}),
    )
    session.ask(again)
    session.ask(once)
    session.outgoing(0.0)
    session.closed()
    with pytest.raises(ChatdError, match="E503"):
        once.reply.result(0)
    (frame,) = connect(session)
    assert frame["type"] == "rooms"
    session.receive(ok(frame["id"], rooms=[], more=False), 0.0)
    assert again.reply.result(0) == {"rooms": [], "more": False}


def test_abandoning_a_session_fails_all_waiting_calls() -> None:
    session = ready()
    message_, pending = sent(), PendingRequest("rooms", {})
    session.send(message_)
    session.ask(pending)
    session.abandon(ChatdError("E207", "banned"))
    for wait in (lambda: message_.wait(0), lambda: pending.reply.result(0)):
        with pytest.raises(ChatdError, match="E207"):
            wait()
    assert message_.state == "pending"


def test_cancelled_requests_are_not_sent() -> None:
    session = ClientSession(live=False)
    pending = PendingRequest("rooms", {})
    session.ask(pending)
    pending.reply.cancel()
    assert connect(session) == []


def test_a_ping_is_answered_and_a_silent_server_times_out() -> None:
    session = ready()
    session.receive({"type": "ping"}, 1.0)
    assert [f["type"] for f in session.outgoing(1.0)] == ["ping"]
    assert session.tick(10.0) == pytest.approx(6.0)
    session.tick(16.0)
    assert [f["type"] for f in session.outgoing(16.0)] == ["ping"]
    session.tick(17.0)
    assert session.outgoing(17.0) == []
    with pytest.raises(ChatdError, match="E106"):
        session.tick(36.0)


def test_a_missing_welcome_times_out() -> None:
    session = ClientSession()
    session.opened(0.0)
    session.tick(9.0)
    with pytest.raises(ChatdError, match="E106"):
        session.tick(10.0)


@pytest.mark.parametrize("frame", [message(1), ok(1), {"type": "lagged"}, {"type": "ping"}])
def test_frames_before_the_welcome_are_refused(frame: JsonObject) -> None:
    session = ClientSession()
    session.opened(0.0)
    with pytest.raises(ChatdError, match="E100"):
        session.receive(frame, 0.0)


def test_a_bye_ends_the_session_with_the_servers_error() -> None:
    for session in (ClientSession(), ready()):
        if session.phase is ConnectionPhase.OFFLINE:
            session.opened(0.0)
        with pytest.raises(ByeReceived) as ended:
            session.receive(bye("E207", retry=False), 0.0)
        assert (ended.value.error.code, ended.value.retry) == ("E207", False)


@pytest.mark.parametrize("code", ["E504", "E506"])
def test_a_message_waits_for_a_server_that_can_only_read(code: str) -> None:
    session = ready()
    message = sent()
    session.send(message)
    (frame,) = session.outgoing(0.0)
    with pytest.raises(ChatdError, match="did not answer in time"):
        message.wait(0)
    assert session.receive(refusal(frame["id"], code), 0.0) == []
    with pytest.raises(ChatdError, match=rf"does not take it now: .* \({code}\)"):
        message.wait(0)
    assert session.outgoing(READ_ONLY_DELAY - 0.1) == []
    (again,) = session.outgoing(READ_ONLY_DELAY)
    assert again["msg_id"] == frame["msg_id"]


def test_unknown_frames_fields_and_codes_are_tolerated() -> None:
    session = ready()
    assert session.receive({"type": "fanfare"}, 0.0) == []
    assert session.receive({**message(200), "colour": "red"}, 0.0)
    with pytest.raises(ByeReceived) as ended:
        session.receive(bye("E999", retry=True), 0.0)
    assert "E999" in ended.value.error.reason


def test_connected_carries_the_welcome() -> None:
    session = ClientSession()
    session.opened(0.0)
    (event,) = session.receive(welcome(), 0.0)
    assert isinstance(event, Connected)
    assert event.welcome.user == "alice"
    with pytest.raises(ChatdError, match="E100"):
        session.receive(welcome(), 0.0)
