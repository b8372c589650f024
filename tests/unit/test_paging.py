"""Fetching history and lists page by page."""

from __future__ import annotations

from typing import Any

import pytest

from chatctl.model.paging import LIST_PAGES_LIMIT, history, list_all, quoted
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import PAGE_LIMIT


class Server:
    """A room with events 1 to 1,000; a reply holds at most 90."""

    def __init__(self) -> None:
        self.requested: list[dict[str, Any]] = []

    def request(
        self, kind: str, *, room: str, limit: int, before: int | None = None, after: int | None = None
    ) -> JsonObject:
        self.requested.append({"limit": limit, "before": before, "after": after})
        assert limit <= PAGE_LIMIT
        seqs = [seq for seq in range(1, 1_001) if (before is None or seq < before) and seq > (after or 0)]
        size = min(limit, 90)
        page = seqs[:size] if after is not None else seqs[-size:]
        topic = {"type": "topic", "at": 0, "room": room, "topic": "", "by": "bob"}
        return {"events": [{**topic, "seq": seq} for seq in page], "more": len(page) < len(seqs)}


@pytest.mark.parametrize(
    ("wanted", "first", "last", "more"),
    [
        ({"count": 20}, 981, 1_000, True),
        ({"count": 200}, 801, 1_000, True),
        ({"count": 200, "before": 101}, 1, 100, False),
        ({"after": 400}, 401, 1_000, False),
    ],
)
def test_history_fetches_as_many_pages_as_needed(
    wanted: dict[str, int], first: int, last: int, more: bool
) -> None:
    page = history(Server().request, "#lobby", **wanted)
    assert [event.seq for event in page.events] == list(range(first, last + 1))
    assert page.more is more


def test_the_history_of_a_conversation_without_messages_is_empty() -> None:
    requested: list[str] = []

    def request(kind: str, **fields: Any) -> JsonObject:
        requested.append(str(fields.get("user", kind)))
        if kind == "history" or fields["user"] == "nobody":
            raise ChatdError("E404")
        return {}

    assert history(request, "@alice,bob") == ([], False)
    assert requested == ["history", "alice", "bob"]
    for room in ("@alice,nobody", "#closed"):
        with pytest.raises(ChatdError):
            history(request, room)


def test_a_list_ends_at_its_last_page_or_at_the_page_limit() -> None:
    def request(kind: str, *, after: str | None) -> JsonObject:
        number = int(after or 0)
        return {"users": [{"user": str(number + 1)}, "no entry"], "more": number < 2 or kind == "endless"}

    assert [one["user"] for one in list_all(request, "users", "users", "user")] == ["1", "2", "3"]
    assert len(list_all(request, "endless", "users", "user")) == LIST_PAGES_LIMIT
    assert list_all(request, "users", "other", "user") == []


def test_quoted_messages_are_fetched_in_batches_and_missing_ones_said_to_be_gone() -> None:
    asked: list[list[int]] = []

    def request(kind: str, *, room: str, seqs: list[int]) -> JsonObject:
        assert (kind, room) == ("messages", "#lobby")
        asked.append(seqs)
        # A full page: it ends after the tenth message.
        found = [seq for seq in seqs if seq % 7][:10]
        return {"events": [plain_message(seq) for seq in found], "more": len(found) == 10}

    found = quoted(request, "#lobby", range(1, 121))
    assert set(found) == set(range(1, 121))
    assert {seq for seq, event in found.items() if event is None} == set(range(7, 121, 7))
    assert all(len(seqs) <= 50 for seqs in asked)


def test_a_server_that_makes_no_progress_ends_the_fetching_of_quotes() -> None:
    reply = {"events": [], "more": True}
    assert quoted(lambda *_, **__: reply, "#lobby", [5, 6]) == {5: None, 6: None}
    wrong = {"events": [plain_message(1)], "more": True}
    assert quoted(lambda *_, **__: wrong, "#lobby", [5, 6]) == {5: None, 6: None}


def plain_message(seq: int) -> JsonObject:
    fields = {"device": "d", "role": "user", "msg_id": f"{seq:032x}", "kind": "text", "at": seq, "body": "x"}
    return {"type": "message", "seq": seq, "room": "#lobby", "user": "bob", **fields}
