"""Keys that do not fit their certificates are detected by `chatd check` and by a starting worker."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chatd.cli.check import _key_problem
from chatd.errors import ChatdError
from chatd.worker.main import load_credentials
from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> list[Daemon]:
    """Two homes without a running daemon."""
    daemons = [Daemon(tmp_path_factory.mktemp(name) / "home") for name in ("one", "other")]
    for daemon in daemons:
        daemon.init()
    return daemons


def contents(certs: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in certs.iterdir() if path.is_file()}


def certs_of(homes: list[Daemon], tmp_path: Path, *, key_of_other: str = "", cut: str = "") -> Path:
    certs = tmp_path / "certs"
    shutil.copytree(homes[0].home / "certs", certs)
    if key_of_other:
        shutil.copyfile(homes[1].home / "certs" / f"{key_of_other}.key", certs / f"{key_of_other}.key")
    if cut:
        path = certs / f"{cut}.key"
        path.write_bytes(path.read_bytes()[:-200])
    return certs


def test_matching_keys_are_accepted(homes: list[Daemon], tmp_path: Path) -> None:
    certs = certs_of(homes, tmp_path)
    assert [_key_problem(certs, name) for name in ("server", "envelope")] == ["", ""]
    assert load_credentials(contents(certs), "lab", True).instance == "lab"


@pytest.mark.parametrize("name", ["server", "envelope"])
@pytest.mark.parametrize("harm", ["key_of_other", "cut"])
def test_a_wrong_or_damaged_key_is_refused(name: str, harm: str, homes: list[Daemon], tmp_path: Path) -> None:
    certs = certs_of(homes, tmp_path, **{harm: name})
    assert f"certs/{name}.key" in _key_problem(certs, name)
    with pytest.raises(ChatdError, match="E606"):
        load_credentials(contents(certs), "lab", True)


def test_chatd_check_reports_a_wrong_key(homes: list[Daemon], tmp_path: Path) -> None:
    shutil.copytree(homes[0].home, tmp_path / "home")
    certs = tmp_path / "home" / "certs"
    shutil.copyfile(homes[1].home / "certs" / "server.key", certs / "server.key")
    result = Daemon(tmp_path / "home").chatd("check", check=False)
    assert result.returncode == 1
    assert "certs/server.key is not the key of certs/server.pem" in result.stdout
