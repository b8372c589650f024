"""A text longer than a line of the chat: a snippet by default, cut or refused by the settings; its cost."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.config.loading import default_settings
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.lane import Page
from chatd.hub.pages import PAGE_BYTES, page_frame
from chatd.policy.long_texts import MARK_RUN_LIMIT, SNIPPET_BYTES, SNIPPET_JSON_BYTES, refuse_mark_runs
from chatd.proto.frames import FRAME_LIMIT, compact, encode
from chatd.proto.requests import parse_request
from tests.support.hubworld import World

LOG_LINES = "\n".join(
    f"2026-11-27T07:00:{n:02} kubelet[812]: pod web-7 restarted {n} times" for n in range(30)
)


def world_with(**limits: Any) -> World:
    world = World(Settings.model_validate({"limits": limits}))
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    world.add_user("bob", "user")
    return world


@pytest.fixture
def world() -> World:
    return world_with()


def test_thirty_log_lines_arrive_whole_as_one_snippet(world: World) -> None:
    assert len(LOG_LINES) > 500
    assert world.ask("bob", "send", to="#lobby", body=LOG_LINES)["notes"] == []
    message = world.log[-1]
    assert (message["type"], message["kind"], message["body"]) == ("message", "snippet", LOG_LINES)


@pytest.mark.parametrize(("length", "kind"), [(500, "text"), (501, "snippet")])
def test_a_line_of_the_chat_has_500_characters(world: World, length: int, kind: str) -> None:
    world.ask("bob", "send", to="#lobby", body="x" * length)
    assert (world.log[-1]["kind"], len(world.log[-1]["body"])) == (kind, length)


def test_a_short_text_may_be_sent_as_a_snippet(world: World) -> None:
    world.ask("bob", "send", to="#lobby", body="one\ntwo", kind="snippet")
    assert (world.log[-1]["kind"], world.log[-1]["body"]) == ("snippet", "one\ntwo")


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("x" * SNIPPET_BYTES, "ok"),
        ("x" * (SNIPPET_BYTES - 1) + "ü", "E401"),
        ("\u20ac" * (SNIPPET_BYTES // 3), "ok"),
        ("\u20ac" * (SNIPPET_BYTES // 3 + 1), "E401"),
        # Escaped it is four times as long; as JSON, twice.
        ("\x01" * (SNIPPET_BYTES // 2), "E401"),
        ('"' * (SNIPPET_JSON_BYTES // 2 - 1), "ok"),
        ('"' * (SNIPPET_JSON_BYTES // 2), "E401"),
        ("\n\n" + "x" * (SNIPPET_BYTES - 2), "ok"),
        ("x" * 20_000 + "\ndrop", "E400"),
        (" " * 600, "E402"),
    ],
)
def test_a_snippet_is_bounded_and_judged_whole(world: World, body: str, outcome: str) -> None:
    assert world.outcome("bob", "send", to="#lobby", body=body) == outcome


def test_the_largest_snippet_fits_a_frame_and_a_page(world: World) -> None:
    world.ask("bob", "send", to="#lobby", body='"' * (SNIPPET_JSON_BYTES // 2 - 1), reply_to=2**53)
    body = compact(world.log[-1])
    assert len(body) <= PAGE_BYTES
    assert len(encode(world.log[-1])) <= FRAME_LIMIT
    assert len(page_frame(2**53, Page([body], 2**53, True))) <= FRAME_LIMIT


def test_actions_and_announcements_stay_lines_and_lose_nothing(world: World) -> None:
    assert world.outcome("bob", "send", to="#lobby", body="x" * 501, kind="action") == "E401"
    assert world.outcome("alice", "announce", body="x" * 501) == "E401"
    assert world.outcome("alice", "announce", body="x" * 500) == "ok"


def test_the_settings_may_cut_or_refuse_long_texts_instead() -> None:
    cutting = world_with(long_text="truncate")
    (note,) = cutting.ask("bob", "send", to="#lobby", body="x" * 501)["notes"]
    assert note["rule"] == "truncated"
    assert (cutting.log[-1]["kind"], len(cutting.log[-1]["body"])) == ("text", 500)
    cutting.ask("alice", "announce", body="x" * 501)
    assert len(cutting.log[-1]["body"]) == 500
    refusing = world_with(long_text="reject")
    assert refusing.outcome("bob", "send", to="#lobby", body="x" * 501) == "E401"
    assert refusing.outcome("bob", "send", to="#lobby", body="x" * 500) == "ok"


@pytest.mark.parametrize("kind", ["text", "snippet"])
def test_the_size_of_snippets_is_a_setting(kind: str) -> None:
    small = world_with(snippet_bytes=1024)
    assert small.outcome("bob", "send", to="#lobby", body="x" * 1024, kind=kind) == "ok"
    assert small.outcome("bob", "send", to="#lobby", body="x" * 1025, kind=kind) == "E401"


@pytest.mark.parametrize("choice", ["truncate", "reject"])
def test_the_former_name_of_the_setting_keeps_its_meaning(choice: str) -> None:
    former = Settings.model_validate({"limits": {"over_length": choice}})
    assert former.limits.long_text == choice
    both = Settings.model_validate({"limits": {"over_length": choice, "long_text": "snippet"}})
    assert both.limits.long_text == "snippet"
    assert Settings.model_validate(former.model_dump()).limits.long_text == choice


def test_a_new_home_has_snippets() -> None:
    new = default_settings(name="chatd", host="127.0.0.1", port=0, addresses=[], admin="alice")
    assert new.limits.long_text == "snippet"


def send_cost(body: str) -> float:
    fields = {"type": "send", "id": 1, "msg_id": "0" * 32, "to": "#lobby", "body": body}
    return parse_request(fields).cost


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        ("", 1),
        ("x" * 500, 1),
        ("\U0001f642" * 500, 1),
        ("x" * 4096, 2),
        ("\u20ac" * 4096, 6),
        ("x" * 32_768, 16),
    ],
)
def test_a_text_costs_by_its_bytes(body: str, cost: float) -> None:
    assert send_cost(body) == cost


def test_an_announcement_costs_by_its_bytes_too() -> None:
    assert parse_request({"type": "announce", "id": 1, "body": "x" * 4096}).cost == 2


def test_long_runs_of_marks_are_refused_by_name() -> None:
    refuse_mark_runs(("a" + "\u0344" * MARK_RUN_LIMIT) * 100)
    with pytest.raises(ChatdError, match="E402"):
        refuse_mark_runs("a" + "\u0344" * (MARK_RUN_LIMIT + 1))


def test_an_edit_costs_by_its_bytes_too() -> None:
    fields = {"type": "edit", "id": 1, "msg_id": "0" * 32, "room": "#lobby", "seq": 1, "body": "x" * 4096}
    assert parse_request(fields).cost == 2
