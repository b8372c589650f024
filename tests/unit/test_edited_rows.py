"""Edits and reactions in the model of the clients, in the window's blocks, and as printed lines."""

from __future__ import annotations

from typing import Any

import pytest

from chatctl.client import Acknowledged, Refused, Restored, Sent, SentResult
from chatctl.client._notices import acknowledge, refuse
from chatctl.client._session import send_frame
from chatctl.model import render
from chatctl.model.chat_model import ChatModel
from chatctl.window.timeline import blocks
from chatd.errors import ChatdError
from chatd.proto import events as ev

LOBBY = "#lobby"
VIEWER = render.Viewer(me="alice", room=LOBBY)


def message(seq: int, body: str = "hello", user: str = "bob", **more: object) -> ev.Message:
    fields = {"kind": "text", "msg_id": f"{seq:032x}", "device": "d", "role": "user", "at": 1_000 * seq}
    return ev.Message.model_validate(
        {"type": "message", "seq": seq, "room": LOBBY, "user": user, "body": body, **fields, **more}
    )


def edited(seq: int, target: int, body: str, user: str = "bob") -> ev.Edited:
    fields = {"kind": "text", "msg_id": f"{seq:032x}", "device": "d", "role": "user", "at": 1_000 * seq}
    return ev.Edited.model_validate(
        {"type": "edited", "seq": seq, "room": LOBBY, "target": target, "user": user, "body": body, **fields}
    )


def reacted(
    seq: int, target: int, text: str, count: int, user: str = "bob", *, on: bool = True
) -> ev.Reacted:
    return ev.Reacted(
        type="reacted", seq=seq, at=0, room=LOBBY, target=target, user=user, text=text, on=on, count=count
    )


@pytest.fixture
def model() -> ChatModel:
    model = ChatModel("alice")
    model.joined = {LOBBY, "#war"}
    model.switch(LOBBY)
    return model


def row_of(model: ChatModel, seq: int) -> Any:
    row = model.here.message(seq)
    assert row is not None
    return row


def drawn(model: ChatModel) -> str:
    return "".join(text for block in blocks(model.here, "alice") for _, text in block.parts)


def test_an_edit_changes_the_row_and_the_quotes_of_it(model: ChatModel) -> None:
    model.take(message(1, "first wording"))
    model.take(message(2, "yes", "carol", reply_to=1))
    model.take(edited(3, 1, "second wording for alice"))
    row = row_of(model, 1)
    assert (row.body, row.edited, row.mentions_me) == ("second wording for alice", 3, True)
    assert row_of(model, 2).quote == "bob: second wording for alice"
    assert "first" not in drawn(model)
    assert "second wording for alice (edited)" in drawn(model)


def test_a_line_about_an_edit_quotes_the_former_text(model: ChatModel) -> None:
    model.take(message(1, "first\nwording"))
    for event, former in ((edited(3, 1, "second"), "first wording"), (edited(4, 1, "third"), "second")):
        model.take(event)
        assert f'-!- bob edited "{former}": ' in render.plain(
            render.render(event, VIEWER, model.quote(event))
        )


def test_an_older_edit_and_an_older_page_do_not_undo_a_newer_edit(model: ChatModel) -> None:
    model.take(message(1, "one"))
    model.take(edited(5, 1, "three"))
    model.take(edited(4, 1, "two"))
    model.add_history(LOBBY, [message(1, "one")], more=False)
    assert row_of(model, 1).body == "three"


def test_an_edit_or_reaction_of_an_unknown_message_changes_nothing(model: ChatModel) -> None:
    model.take(edited(5, 1, "two"))
    model.take(reacted(6, 1, "+1", 1))
    assert model.here.rows == []


def test_edits_and_reactions_make_nothing_unread_and_alert_nobody(model: ChatModel) -> None:
    model.take(message(1, "one"))
    model.switch("#war")
    model.take(edited(2, 1, "for alice"))
    model.take(reacted(3, 1, "alice", 1))
    assert model.unread == 0
    assert not model.alerts
    assert model.heard == 3


def test_reactions_are_counted_below_the_message(model: ChatModel) -> None:
    model.take(message(1, "shall we?"))
    model.take(reacted(2, 1, "+1", 1))
    model.take(reacted(3, 1, "+1", 2, "alice"))
    model.take(reacted(4, 1, "no", 1, "carol"))
    assert [(one.text, one.count, one.mine) for one in row_of(model, 1).reactions] == [
        ("+1", 2, True),
        ("no", 1, False),
    ]
    assert "+1 ×2  no ×1\n" in drawn(model)
    model.take(reacted(5, 1, "+1", 1, "alice", on=False))
    model.take(reacted(6, 1, "no", 0, "carol", on=False))
    assert [(one.text, one.count, one.mine) for one in row_of(model, 1).reactions] == [("+1", 1, False)]


def test_a_page_and_the_events_after_it_count_nobody_twice(model: ChatModel) -> None:
    known = [{"text": "+1", "count": 2, "mine": False}]
    model.add_history(LOBBY, [message(1, reactions=known)], more=False)
    # The page was made after both.
    model.take(reacted(2, 1, "+1", 1))
    model.take(reacted(3, 1, "+1", 2, "carol"))
    assert [one.count for one in row_of(model, 1).reactions] == [2]


def test_a_page_that_is_older_than_a_reaction_shows_the_reaction(model: ChatModel) -> None:
    model.take(reacted(3, 1, "+1", 2, "alice"))
    model.add_history(LOBBY, [message(1, reactions=[{"text": "+1", "count": 1}])], more=False)
    assert [(one.count, one.mine) for one in row_of(model, 1).reactions] == [(2, True)]


def test_a_redacted_message_is_gone_with_its_reactions(model: ChatModel) -> None:
    model.take(message(1, "oops"))
    model.take(reacted(2, 1, "+1", 1))
    model.take(ev.Redacted(type="redacted", seq=3, at=0, room=LOBBY, target=1, by="bob", own=True))
    assert model.here.message(1) is None
    assert "+1" not in drawn(model)


def test_what_was_changed_after_a_backup_is_fetched_again(model: ChatModel) -> None:
    for event in (message(1, "one"), message(2, "two"), edited(3, 1, "changed"), message(4)):
        model.take(event)
    model.take(Restored(2))
    assert model.here.message(1) is None
    assert not model.here.loaded


def test_an_edit_is_pending_until_it_is_answered(model: ChatModel) -> None:
    model.take(message(1, "one", "alice"))
    sent = Sent("f" * 32, LOBBY, "two", "edit", 1)
    model.sending(sent)
    assert [row.body for row in model.here.pending.values()] == ["/edit 1 two"]
    acknowledge(sent, SentResult(2, 0, []))
    model.take(Acknowledged(sent))
    assert not model.here.pending
    refused = Sent("e" * 32, LOBBY, "three", "edit", 1)
    model.sending(refused)
    refuse(refused, ChatdError("E309"))
    model.take(Refused(refused, ChatdError("E309")))
    assert list(model.here.refused) == ["/edit 1 three"]


def test_an_edit_is_sent_with_its_msg_id_and_the_seq_of_the_message() -> None:
    assert send_frame(7, Sent("f" * 32, LOBBY, "two", "edit", 1)) == {
        "type": "edit",
        "id": 7,
        "msg_id": "f" * 32,
        "room": LOBBY,
        "seq": 1,
        "body": "two",
    }


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (message(1, "new", edited=2), "[00:00:01Z] <bob> new (edited)"),
        (
            message(1, "one\ntwo", reactions=[{"text": "+1", "count": 3}, {"text": "no", "count": 1}]),
            "[00:00:01Z] <bob> one\n    two\n    +1 ×3  no ×1",
        ),
        (edited(2, 1, "new\nlines"), "[00:00:02Z] -!- bob edited message 1: new\n    lines"),
        (reacted(2, 1, "+1", 3), "[00:00:00Z] -!- bob reacted +1 to message 1 (3 now)"),
        (reacted(2, 1, "+1", 0, on=False), "[00:00:00Z] -!- bob took back +1 to message 1"),
    ],
)
def test_printed_lines(event: Any, line: str) -> None:
    assert render.plain(render.render(event, VIEWER)) == line


def test_hostile_reactions_are_escaped_and_bounded() -> None:
    many = [{"text": f"\x1b[2J{number}" * 9, "count": 10**9} for number in range(500)]
    lines = render.render(message(1, reactions=many), VIEWER)
    text = render.plain(lines)
    assert "\x1b" not in text
    assert len(text) < 1_000


def test_a_reaction_says_whose_message_it_is_about() -> None:
    body = "hostile \x1b[2J " + "long " * 60
    words = render.plain(render.render(reacted(2, 1, "+1", 3), VIEWER, render.Quote("carol", body)))
    assert '-!- bob reacted +1 to carol: "hostile \\x1b[2J long' in words
    assert words.endswith('…" (3 now)')
    assert len(words) < 150
    unknown = render.plain(render.render(reacted(2, 1, "+1", 3), VIEWER._replace(folded=True)))
    assert unknown.endswith("bob reacted +1 to message 1 (3 now) · /show 1")


def test_a_deletion_by_somebody_else_says_whose_message_it_was() -> None:
    fields = {
        "type": "redacted",
        "seq": 3,
        "at": 1,
        "room": LOBBY,
        "target": 2,
        "user": "bob",
        "reason": "spam",
    }
    assert (
        render.describe(ev.Redacted.model_validate(fields | {"by": "eve"}))
        == "eve deleted message 2 of bob: spam"
    )
    own = ev.Redacted.model_validate(fields | {"by": "bob", "own": True})
    assert render.describe(own) == "bob deleted message 2: spam"
