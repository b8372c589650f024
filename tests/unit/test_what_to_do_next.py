"""Refusals say what to do next, in the words of whoever asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from chatctl.model.commands import parse
from chatctl.model.grammar import Mistake
from chatd.config.schema import Settings
from chatd.console.arguments import host_port
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.proto.requests import parse_request
from tests.support.hubworld import World

INVITE = {"user": "gil", "secret_hash": "0" * 64}


@pytest.fixture
def world() -> World:
    world = World(Settings.model_validate({"rooms": [{"name": "#lobby"}]}))
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    world.add_user("bob", "user")
    world.ask("alice", "create", room="#ops")
    return world


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("invite_create", INVITE | {"seconds": 40 * 86_400}, "at most 30d (E102). choose a shorter one"),
        ("invite_create", INVITE | {"seconds": 1}, "at least 1m (E102). choose a longer one"),
        ("guest_extend", {"user": "gil", "seconds": 200 * 86_400}, "at most 90d (E102)"),
        ("guest_extend", {"user": "gil", "seconds": "1d"}, "field seconds: "),
    ],
)
def test_a_duration_out_of_bounds_is_told_as_a_duration(
    kind: str, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ChatdError) as refused:
        parse_request({"type": kind, "id": 1, **fields})
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "user", "words"),
    [
        ("owner", "bob", "bob is not in #ops (E410). invite them first: /invite bob"),
        ("member_remove", "bob", "bob is not in #ops (E410). see /who"),
        ("invite", "alice", "alice is in #ops already (E410). there is nothing to do"),
        ("uninvite", "bob", "bob is not invited to #ops (E410). there is nothing to do"),
    ],
)
def test_a_change_of_members_without_an_effect_says_why(
    world: World, kind: str, user: str, words: str
) -> None:
    assert words in world.refusal_text("alice", kind, room="#ops", user=user)


def test_who_joins_a_user_is_told_how_to_write_to_one() -> None:
    mistake = parse("/join @bob")
    assert isinstance(mistake, Mistake)
    assert "/msg bob" in mistake.sentence


@pytest.mark.parametrize("text", ["foo:99999", "foo:0", "foo:123456789", "[::1]:70000"])
def test_a_wrong_port_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter, match="port from 1 to 65535"):
        host_port(text)


@pytest.mark.parametrize("text", ["foo", "::1:5000", "foo:", "a b:70000"])
def test_a_wrong_address_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter, match="HOST:PORT"):
        host_port(text)


def test_a_file_that_is_no_identity_is_told(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/sh\n")
    with pytest.raises(ChatdError) as refused:
        read_identity(path)
    assert "not an identity file" in refused.value.reason
    assert "check the path" in refused.value.fix
