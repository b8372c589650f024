"""Refusals say what to do next, in the words of whoever asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from chatctl.admin.revoke_command import refuse_early
from chatctl.client import load_identity
from chatctl.model.commands import parse
from chatctl.model.grammar import Mistake
from chatctl.scripts import bot
from chatctl.scripts.doctor import examine
from chatctl.scripts.showing import show_event
from chatd.config.home import Home
from chatd.config.schema import Settings
from chatd.console.arguments import host_port
from chatd.console.numbers import number
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.proto.events import DmOpened
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


def test_a_sponsor_who_has_not_joined_yet_is_told_apart(world: World) -> None:
    guest = INVITE | {"seconds": 3600, "guest_seconds": 3600, "sponsor": "dan"}
    assert "not joined" not in world.refusal_text("alice", "invite_create", **guest)
    world.ask("alice", "invite_create", user="dan", secret_hash="1" * 64, seconds=3600)
    assert "dan is invited, but has not joined yet (E405)" in world.refusal_text(
        "alice", "invite_create", **guest
    )


def test_a_folder_that_is_no_home_may_be_the_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(ChatdError) as refused:
        Home(tmp_path).require_initialised()
    assert refused.value.fix.startswith("name the home with --home or CHATD_HOME, or run: ")


def test_what_is_no_number_is_told_in_words() -> None:
    with pytest.raises(click.BadParameter, match="'bob' is not a whole number"):
        number(1, 9).convert("bob", None, None)
    with pytest.raises(click.BadParameter, match="range"):
        number(1, 9).convert("10", None, None)
    assert number(1, 9).convert("9", None, None) == 9


def test_a_command_without_its_text_has_one_full_stop() -> None:
    mistake = parse("/announce", frozenset(("announce",)))
    assert isinstance(mistake, Mistake)
    assert mistake.sentence.startswith("/announce needs TEXT. Usage: ")


def test_a_revocation_is_refused_before_it_is_confirmed() -> None:
    asked: list[dict[str, Any]] = []

    class Server:
        def request(self, kind: str, **fields: Any) -> None:
            asked.append(fields)
            if fields["device"] == "fone":
                raise ChatdError("E412")

    refuse_early(Server(), "bob", ["phone"])  # type: ignore[arg-type]  # all it uses
    with pytest.raises(ChatdError, match="E412"):
        refuse_early(Server(), "bob", ["phone", "fone"])  # type: ignore[arg-type]  # all it uses
    assert all(one["dry_run"] for one in asked)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"do": "sned"}', "name a request, such as"),
        ('{"do": "resume"}', "name a request, such as"),
        ("hello", "one JSON object on each line"),
    ],
)
def test_a_mistake_in_a_bot_s_line_is_not_taken_for_an_old_server(
    monkeypatch: pytest.MonkeyPatch, line: str, words: str
) -> None:
    client: Any = type("Client", (), {"error": None})()
    written: list[dict[str, Any]] = []
    monkeypatch.setattr(bot, "_write", written.append)
    bot.JsonLinesBot(client, own=False)._carry_out(line)
    assert words in written[0]["fix"]


def test_who_may_not_delete_a_message_is_told_whom_to_ask(world: World) -> None:
    world.ask("bob", "join", room="#lobby")
    world.ask("alice", "join", room="#lobby")
    seq = world.ask("alice", "send", to="#lobby", body="hello")["seq"]
    assert "ask its author to delete it" in world.refusal_text("bob", "delete", room="#lobby", seq=seq)


def test_a_home_without_identities_may_be_the_wrong_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATD_IDENTITY", raising=False)
    with pytest.raises(ChatdError, match="E608") as refused:
        load_identity(None, str(tmp_path))
    assert refused.value.fix.startswith("check the path of the home, or create the first one with: ")


@pytest.mark.parametrize(
    ("address", "option", "level"),
    [("127.0.0.1:1", None, "warn"), ("127.0.0.1:1", "/nowhere/bob.pem", "fail"), (None, None, "fail")],
)
def test_the_doctor_sees_no_fault_in_an_identity_before_joining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str | None, option: str | None, level: str
) -> None:
    for name in ("CHATD_IDENTITY", "CHATD_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    first = next(iter(examine(option, None, address)))
    assert (first.area, first.level, first.code) == ("identity", level, "E608")


def test_an_event_without_a_text_prints_no_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    event = DmOpened(type="dm_opened", seq=1, at=0, room="@alice,bob")
    show_event(event, as_json=False, room="@alice,bob")
    assert capsys.readouterr().out == ""
