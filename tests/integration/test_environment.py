"""Odd places and machines: paths, home directories, log folders and tracebacks, in real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon, wait_until

# Python runs this first: the user is in no password database.
STRANGER = """
import pwd

def getpwuid(uid):
    raise KeyError(uid)

pwd.getpwuid = getpwuid
"""
WITHOUT_PROC = [
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    'mount -t tmpfs none /proc && exec "$@"',
    "sh",
]


def shell(daemon: Daemon, command: str, **options: str) -> subprocess.CompletedProcess[str]:
    environ = {**daemon.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **options}
    return subprocess.run(
        ["/bin/bash", "-c", command], cwd="/", env=environ, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("name", ["a home", "it's $HOME; `x`", "caf\u00e9 \u202e"])
def test_printed_commands_can_be_pasted(tmp_path: Path, name: str) -> None:
    daemon = Daemon(tmp_path / name)
    daemon.init()
    done = shell(daemon, 'chatd --home "$PLACE" status', PLACE=str(daemon.home))
    assert done.returncode == 5
    advice = done.stderr.partition("run: ")[2]
    assert advice.endswith(" start\n")
    try:
        assert shell(daemon, advice).returncode == 0
        done = shell(daemon, 'chatd --home "$PLACE" user add bob', PLACE=str(daemon.home))
        advice = done.stderr.partition("on this machine: ")[2]
        assert "bob/laptop" in shell(daemon, f"{advice.rstrip()} whoami").stdout
        daemon.identity("bob").chmod(0o644)
        done = shell(daemon, f"{advice.rstrip()} whoami")
        assert shell(daemon, done.stderr.partition("run: ")[2]).returncode == 0
        assert daemon.identity("bob").stat().st_mode & 0o777 == 0o600
    finally:
        daemon.stop()


@pytest.mark.parametrize("words", [("init",), ("status",), ("start",)])
def test_a_home_whose_path_is_not_utf8_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    home = tmp_path / os.fsdecode(b"\xff")
    home.mkdir()
    done = subprocess.run(
        [str(BIN / "chatd"), "--home", str(home), *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "is not UTF-8 (E606)" in done.stderr and "bug" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("chat", "whoami"), ("chatctl", "users"), ("chat",), ("chat", "--identity", "~/x", "whoami"),
        ("chat", "--home", "~/x", "whoami"), ("chatd", "--home", "~", "status"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_user_without_a_home_directory_is_told_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "sitecustomize.py").write_text(STRANGER)
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "no home directory" in done.stderr and "bug" not in done.stderr


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    command = f'mkdir "$0" && cd "$0" && rmdir "$0" && exec "{BIN / "chatd"}" status'
    done = subprocess.run(["/bin/sh", "-c", command, str(gone)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "error: the current folder is gone (E606)" in done.stderr


def test_a_machine_without_proc_is_refused_in_one_line(tmp_path: Path) -> None:
    if subprocess.run([*WITHOUT_PROC, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount")
    daemon = Daemon(tmp_path / "home")
    daemon.init()
    done = subprocess.run(
        [*WITHOUT_PROC, str(BIN / "chatd"), "--home", str(daemon.home), "start"],
        env=daemon.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: /proc/self/stat: ") and len(done.stderr.splitlines()) == 1


def test_a_removed_log_folder_is_made_again(daemon: Daemon) -> None:
    shutil.rmtree(daemon.home / "logs")
    wait_until(lambda: daemon.chatctl("users").stdout and (daemon.home / "logs" / "server.log").exists())
    assert "logs" not in daemon.chatd("status").stdout


def test_lost_log_lines_are_reported_in_words(daemon: Daemon) -> None:
    logs, elsewhere = daemon.home / "logs", daemon.home / "elsewhere"
    shutil.rmtree(logs)
    logs.symlink_to(elsewhere)
    lost = f"lines lost so far: {logs / 'server.log'}: the link {logs} leads nowhere"
    wait_until(
        lambda: daemon.chatctl("users").stdout and lost in daemon.chatd("status").stdout, what="the reason"
    )
    checked = daemon.chatd("check", check=False)
    assert checked.returncode == 1
    assert lost in checked.stdout and "E606" in checked.stdout
    elsewhere.mkdir()
    # A reload is logged each time; many logins are only counted.
    wait_until(
        lambda: (
            "ok" not in daemon.chatd("reload").stderr
            and "lines were lost, none now" in daemon.chatd("status").stdout
        ),
        what="the end of the loss",
    )
    assert daemon.chatd("check", check=False).returncode != 1


def test_a_bug_leaves_its_traceback_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import chatctl.client._profile as p\ndef f(*_): raise LookupError('a fault')\np.find_identity = f\n"
    )
    done = subprocess.run(
        [str(BIN / "chatctl"), "users"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    kept = tmp_path / "chatd" / "traceback.txt"
    sentence = f"error: this is a bug: LookupError: a fault. The traceback is in {kept}; please report it\n"
    assert (done.returncode, done.stderr) == (1, sentence)
    assert kept.read_text().endswith("LookupError: a fault\n")
    assert kept.stat().st_mode & 0o777 == 0o600
