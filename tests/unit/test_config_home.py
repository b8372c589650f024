"""The choice of the home folder, and the check that it is initialised."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatd.config.home import Home, resolve_home
from chatd.errors import ChatdError


def test_the_option_precedes_the_variable_and_the_current_folder(tmp_path: Path) -> None:
    environ = {"CHATD_HOME": "from-environment"}
    assert resolve_home("option", environ, tmp_path).path == tmp_path / "option"
    assert resolve_home(None, environ, tmp_path).path == tmp_path / "from-environment"
    assert resolve_home(None, {}, tmp_path).path == tmp_path
    assert resolve_home(None, {"CHATD_HOME": ""}, tmp_path).path == tmp_path
    assert resolve_home("/srv/chat", environ, tmp_path).path == Path("/srv/chat")
    assert resolve_home("a/../b", {}, tmp_path).path == tmp_path / "b"
    assert resolve_home("~/x", {}, tmp_path).path == (Path.home() / "x").resolve()


def test_the_home_of_an_unknown_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChatdError, match="E601"):
        resolve_home("~no-such-user-here/x", {}, tmp_path)


def test_a_home_without_certificates_and_settings_is_not_initialised(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for made in (home.certs / "ca.pem", home.settings_file):
        with pytest.raises(ChatdError, match="E601") as caught:
            home.require_initialised()
        assert made.name in caught.value.reason
        made.parent.mkdir()
        made.touch()
    home.require_initialised()


def test_an_unreadable_home_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ChatdError, match="E606"):
        Home(tmp_path / ("x" * 300)).require_initialised()


def test_a_home_has_its_documented_folders_and_files(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert {home.certs, home.config, home.logs, home.data, home.run} == {
        tmp_path / name for name in ("certs", "config", "logs", "data", "run")
    }
    assert home.settings_file == tmp_path / "config" / "settings.json"
    assert home.identities == tmp_path / "certs" / "identities"
