"""Files and folders of a home: nothing in them is executed, and only the owner looks into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running

# Modules that the daemon imports, of the standard library, of dependencies and its own.
NAMES = ("psutil", "pydantic", "json", "chatd", "orjson", "apsw", "selectors", "ssl", "sitecustomize")


def plant_modules(folder: Path) -> Path:
    """Write Python files that leave a mark when they are imported; return the mark's path."""
    mark = folder / "imported"
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r})\n")
    return mark


@pytest.mark.parametrize("template", ["true", "false"])
def test_python_files_in_a_home_are_not_imported(tmp_path: Path, template: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    mark = plant_modules(home)
    with running(home, CHATD_WORKERS__TEMPLATE=template) as daemon:
        daemon.chatd("status")
        daemon.chatd("restart")
        daemon.chatctl("stats")
        daemon.chatd("user", "add", "bob")
        daemon.chatd("stop")
        daemon.chatd("verify")
    assert not mark.exists(), mark.read_text()


def test_no_process_of_the_daemon_runs_in_the_home(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        folders = {Path(f"/proc/{pid}/cwd").readlink() for pid in daemon.pids()}
    assert folders == {Path("/")}


def test_init_closes_folders_that_exist_already(tmp_path: Path) -> None:
    """A checkout is a home whose certs/ comes with the mode of the user's umask."""
    daemon = Daemon(tmp_path / "home")
    for name in ("certs", "data", "run"):
        (daemon.home / name).mkdir(mode=0o755, parents=True)
    daemon.init()
    assert {(daemon.home / name).stat().st_mode & 0o777 for name in ("certs", "data", "run")} == {0o700}


def test_check_warns_of_open_folders(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "a home")
    daemon.init()
    (daemon.home / "certs").chmod(0o755)
    done = daemon.chatd("check", check=False)
    assert "W110" in done.stdout
    assert f"chmod 700 '{daemon.home}/certs'" in done.stdout
