"""The settings file of a node of a cluster: what is shared, what is edited, what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import chatd.config.shared_file
from chatd.config.loading import load_settings
from chatd.config.reloading import NEEDS_RESTART
from chatd.config.schema import Settings
from chatd.config.shared import KNOWN, SCOPES, is_shared, shared_of, unknown_keys, with_shared
from chatd.config.shared_file import BASE_FILE, BASES_LIMIT, Drift, bring_in_line, forget_base, read_bases
from chatd.errors import ChatdError

KEY = "limits.message_chars"
DEFAULTS = shared_of(Settings())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    write(tmp_path, {"server": {"port": 5999}})
    return tmp_path


def write(home: Path, tree: dict[str, Any]) -> None:
    (home / "config" / "settings.json").write_text(json.dumps(tree))


def read(home: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((home / "config" / "settings.json").read_bytes())
    return tree


class Crash(Exception):
    """The end of a process at a crash point."""


def crash(_: str) -> None:
    raise Crash


class TestTheTable:
    def test_every_section_has_a_row(self) -> None:
        assert set(SCOPES) == set(Settings.model_fields)

    def test_the_keys_that_it_names_exist(self) -> None:
        named = {f"{section}.{key}" for section, scope in SCOPES.items() for key in scope.but}
        tree = Settings().model_dump()
        assert not [path for path in named if path.partition(".")[2] not in tree[path.partition(".")[0]]]

    def test_nothing_shared_needs_a_restart(self) -> None:
        assert not [key for key in NEEDS_RESTART if is_shared(key)]

    @pytest.mark.parametrize(
        ("path", "shared"),
        [
            ("rooms", True),
            ("limits.rooms", True),
            ("limits.handshakes", False),
            ("roles.assigned", True),
            ("server.ask", True),
            ("server.port", False),
            ("cluster.copies", False),
            ("of_another_version.key", False),
        ],
    )
    def test_some_rows(self, path: str, shared: bool) -> None:
        assert is_shared(path) is shared


class TestTogether:
    def test_only_the_shared_part_is_taken(self) -> None:
        mine = Settings.model_validate({"server": {"port": 7}, "limits": {"handshakes": 9}})
        found = with_shared(mine, DEFAULTS | {KEY: 77, "limits.handshakes": 5, "server.port": 1})
        assert (found.limits.message_chars, found.limits.handshakes, found.server.port) == (77, 9, 7)

    def test_a_key_that_is_missing_has_its_default_on_all_nodes(self) -> None:
        mine = Settings.model_validate({"limits": {"message_chars": 77}})
        assert with_shared(mine, {}).limits.message_chars == DEFAULTS[KEY]

    def test_what_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ChatdError, match=r"E600|must include #lobby"):
            with_shared(Settings(), DEFAULTS | {"rooms": []})

    def test_keys_of_another_version_are_named(self) -> None:
        assert unknown_keys(DEFAULTS | {"limits.later": 1, "server.port": 1}) == [
            "limits.later",
            "server.port",
        ]
        assert DEFAULTS.keys() == KNOWN


class TestBringInLine:
    def test_the_shared_part_is_written_and_the_rest_stays(self, home: Path) -> None:
        bring_in_line(home, DEFAULTS | {KEY: 77})
        assert read(home) == {"server": {"port": 5999}, "limits": {"message_chars": 77}}
        assert read_bases(home) == [DEFAULTS | {KEY: 77}]

    def test_a_key_that_was_edited_since_stays_and_shows(self, home: Path) -> None:
        bring_in_line(home, DEFAULTS | {KEY: 77})
        write(home, {"limits": {"message_chars": 88}})
        shared = DEFAULTS | {KEY: 99, "limits.kick_seconds": 5}
        bring_in_line(home, shared)
        assert read(home)["limits"] == {"message_chars": 88, "kick_seconds": 5}
        assert Drift(home, {}).keys(shared) == [KEY]

    def test_an_edit_that_became_shared_is_in_line(self, home: Path) -> None:
        bring_in_line(home, DEFAULTS)
        write(home, {"limits": {"message_chars": 88}})
        shared = DEFAULTS | {KEY: 88}
        bring_in_line(home, shared)
        assert Drift(home, {}).keys(shared) == []
        bring_in_line(home, DEFAULTS | {KEY: 99})
        assert read(home)["limits"]["message_chars"] == 99

    def test_a_former_name_is_replaced(self, home: Path) -> None:
        write(home, {"limits": {"over_length": "reject"}})
        bring_in_line(home, DEFAULTS | {"limits.long_text": "truncate"})
        assert read(home)["limits"] == {"long_text": "truncate"}

    def test_keys_of_another_version_are_not_written(self, home: Path) -> None:
        bring_in_line(home, DEFAULTS | {"limits.later": 1})
        load_settings(home, {})
        assert Drift(home, {}).keys(DEFAULTS | {"limits.later": 1}) == ["limits.later"]

    def test_a_file_that_is_not_valid_is_left_and_brought_in_line_later(self, home: Path) -> None:
        bring_in_line(home, DEFAULTS)
        write(home, {"limits": {"message_chars": 0}})
        with pytest.raises(ChatdError):
            bring_in_line(home, DEFAULTS | {"limits.kick_seconds": 5})
        assert Drift(home, {}).keys(DEFAULTS) == ["settings.json"]
        write(home, {})
        bring_in_line(home, DEFAULTS | {"limits.kick_seconds": 5})
        assert read(home) == {"limits": {"kick_seconds": 5}}

    def test_an_edit_that_does_not_fit_what_others_changed_keeps_the_file(self, home: Path) -> None:
        with_role = DEFAULTS | {"roles.permissions": DEFAULTS["roles.permissions"] | {"helper": ["dm.send"]}}
        bring_in_line(home, with_role)
        tree = read(home)
        tree["roles"]["assigned"] = {"bob": "helper"}
        write(home, tree)
        with pytest.raises(ChatdError, match="helper"):
            bring_in_line(home, DEFAULTS)
        assert read(home) == tree
        assert read_bases(home) == [with_role]

    def test_a_crash_between_file_and_note_is_made_good(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bring_in_line(home, DEFAULTS)
        monkeypatch.setattr(chatd.config.shared_file, "crash_point", crash)
        for chars in range(70, 78):
            with pytest.raises(Crash):
                bring_in_line(home, DEFAULTS | {KEY: chars})
        monkeypatch.undo()
        assert len(read_bases(home)) == BASES_LIMIT
        bring_in_line(home, DEFAULTS | {KEY: 99})
        assert read(home)["limits"] == {"message_chars": 99}
        assert Drift(home, {}).keys(DEFAULTS | {KEY: 99}) == []

    def test_a_crash_does_not_let_an_edit_pass_for_an_old_value(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bring_in_line(home, DEFAULTS)
        monkeypatch.setattr(chatd.config.shared_file, "crash_point", crash)
        with pytest.raises(Crash):
            bring_in_line(home, DEFAULTS | {KEY: 77})
        monkeypatch.undo()
        write(home, {"limits": {"message_chars": 88}})
        bring_in_line(home, DEFAULTS | {KEY: 99})
        assert read(home)["limits"] == {"message_chars": 88}

    def test_a_damaged_note_counts_as_none(self, home: Path) -> None:
        bring_in_line(home, DEFAULTS)
        (home / BASE_FILE).write_bytes(b"\xff")
        bring_in_line(home, DEFAULTS | {KEY: 77})
        assert read(home)["limits"] == {"message_chars": 77}

    def test_a_home_that_leaves_forgets(self, home: Path) -> None:
        bring_in_line(home, DEFAULTS)
        forget_base(home)
        forget_base(home)
        assert read_bases(home) == []


class TestDrift:
    def test_the_environment_counts(self, home: Path) -> None:
        assert Drift(home, {"CHATD_LIMITS__MESSAGE_CHARS": "77"}).keys(DEFAULTS) == [KEY]

    def test_an_edit_shows_at_once_and_goes_again(self, home: Path) -> None:
        drift = Drift(home, {})
        assert drift.keys(DEFAULTS) == []
        write(home, {"limits": {"message_chars": 77}})
        assert drift.keys(DEFAULTS) == [KEY]
        write(home, {"limits": {}})
        assert drift.keys(DEFAULTS) == []

    def test_nothing_differs_from_nothing(self, home: Path) -> None:
        assert Drift(home, {}).keys({}) == []
