"""Rules of the word filter: warn, mask and refuse, for roles and rooms; nothing slips through a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from chatd.cli.root import main
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.policy.filter import MASK, WordFilter
from chatd.policy.filter_rules import FilterAction, FilterRule, FilterRules
from tests.support.hubworld import World

RULES = [
    {"words": ["asap"], "action": "warn", "rooms": ["#lobby"]},
    {"words": ["project x", "falcon"], "action": "redact", "roles": ["user", "guest"]},
    {"words": ["quiet"], "action": "block", "rooms": ["#ops"]},
]


def world_with(rules: list[dict[str, Any]]) -> World:
    world = World(Settings.model_validate({"filter": {"words": ["hack"], "rules": rules}}))
    world.create_configured_rooms()
    for name, role in (("alice", "admin"), ("bob", "user"), ("gus", "guest")):
        world.add_user(name, role)
    for room in ("#ops", "#other"):
        world.ask("bob", "create", room=room)
    return world


def said(world: World, user: str, text: str, room: str = "#lobby", **more: Any) -> tuple[str, list[str]]:
    """Send a message; return its text in the log, and the rules of the notes."""
    result = world.ask(user, "send", to=room, body=text, **more)
    return world.log[-1]["body"], [note["rule"] for note in result["notes"]]


def test_a_warning_leaves_the_message_as_it_is() -> None:
    world = world_with(RULES)
    assert said(world, "bob", "this ASAP") == ("this ASAP", ["warned"])
    assert said(world, "bob", "this ASAP", "#other") == ("this ASAP", [])


def test_a_word_is_masked_for_some_roles() -> None:
    world = world_with(RULES)
    assert said(world, "bob", "see Project  X, the F\u00e1lcon") == (f"see {MASK}, the {MASK}", ["masked"])
    assert said(world, "gus", "falcon") == (MASK, ["masked"])
    assert said(world, "alice", "falcon") == ("falcon", [])
    assert said(world, "bob", "falconry", "#other") == ("falconry", [])


def test_a_rule_refuses_in_one_room_and_may_be_overridden() -> None:
    world = world_with(RULES)
    assert world.outcome("bob", "send", to="#ops", body="quiet now") == "E400"
    assert said(world, "bob", "quiet now", "#other") == ("quiet now", [])
    assert said(world, "bob", "quiet falcon", "#ops", anyway=True) == (f"quiet {MASK}", ["masked"])


def test_edits_and_snippets_are_masked() -> None:
    world = world_with(RULES)
    sent = world.ask("bob", "send", to="#lobby", body="first")
    lines = "\n".join(["falcon log line " + "x" * 60] * 20)
    assert said(world, "bob", lines)[0] == lines.replace("falcon", MASK)
    assert world.log[-1]["kind"] == "snippet"
    world.ask("bob", "edit", room="#lobby", seq=sent["seq"], body="a falcon", msg_id="f" * 32)
    assert world.log[-1]["body"] == f"a {MASK}"


def test_what_cannot_be_masked_is_refused() -> None:
    world = world_with(RULES)
    assert world.outcome("bob", "topic", room="#other", topic="falcon") == "E400"
    assert world.outcome("bob", "topic", room="#ops", topic="quiet") == "E400"
    assert world.outcome("bob", "topic", room="#other", topic="quiet") == "ok"


def test_exempt_roles_are_exempt_of_all_rules() -> None:
    settings = {"filter": {"exempt_roles": ["user"], "rules": RULES}}
    world = World(Settings.model_validate(settings))
    world.create_configured_rooms()
    world.add_user("bob", "user")
    assert said(world, "bob", "hack the falcon asap") == ("hack the falcon asap", [])


def test_an_unknown_role_in_a_rule_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"filter\.rules: there is no role 'nobody'"):
        Settings.model_validate({"filter": {"rules": [{**RULES[0], "roles": ["nobody"]}]}})


DISGUISES = st.sampled_from(
    [
        "falcon",
        "FALCON",
        "\uff46alcon",
        "fa\u0301lcon",
        "fal\u200bcon",
        "project x",
        "project\t\n x",
        "projec\u0301t x",
    ]
)
TEXT = st.lists(
    st.one_of(DISGUISES, st.text(max_size=4), st.sampled_from([" ", "\x00", "\u3164", "_"])), max_size=12
)


@given(TEXT.map("".join), st.sampled_from(["words", "substring"]))
def test_no_word_is_left_after_masking(text: str, mode: Any) -> None:
    words = WordFilter(["falcon", "project x"], mode)
    filtered = FilterRules([FilterRule(words, FilterAction.REDACT)]).judge(text, "user")
    if words.find(text) is None:
        assert filtered == (text, ())
    elif filtered.word(FilterAction.BLOCK) is None:
        assert MASK in filtered.text
        assert words.find(filtered.text) is None


def test_a_mask_leaves_the_rest_alone() -> None:
    words = WordFilter(["drop", "drop table"])
    assert words.mask("a \u200bdr\u00f4p\u0301 table; dropped") == f"a \u200b{MASK}; dropped"
    assert words.mask("nothing") == "nothing"
    assert WordFilter([]).mask("drop") == "drop"


def test_a_file_is_tried_before_the_settings_are_in_force(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    settings = Settings.model_validate({"filter": {"words": ["hack"], "rules": RULES}})
    (tmp_path / "config" / "settings.json").write_text(settings.model_dump_json())
    text = tmp_path / "text"
    text.write_bytes(b"fine\nthe falcon\nasap\nhack\n" + b"x" * 70_000 + b" hack\nfalcon \xff\n")

    def tried(*options: str) -> tuple[int, list[str]]:
        words = ["--home", str(tmp_path), "filter", "test", str(text), *options]
        done = CliRunner().invoke(main, words, standalone_mode=False)
        if isinstance(done.exception, ChatdError):
            raise done.exception
        return done.return_value, [" ".join(line.split()) for line in done.stdout.splitlines()]

    masked = [f"2 redact 'falcon': the {MASK}", "4 block 'hack'", f"6 redact 'falcon': {MASK} \ufffd"]
    assert tried() == (1, masked)
    assert tried("--room", "lobby") == (1, [masked[0], "3 warn 'asap': asap", *masked[1:]])
    assert tried("--role", "admin")[1] == ["4 block 'hack'"]
    text.write_text("fine\n")
    done = CliRunner().invoke(main, ["--home", str(tmp_path), "filter", "test", str(text)])
    assert (done.stdout, done.stderr) == ("", "the filter finds nothing\n")
    with pytest.raises(ChatdError, match="there is no role"):
        tried("--role", "x")
