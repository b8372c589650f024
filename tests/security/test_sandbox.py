"""What a hub or worker can no longer do, tried in a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.child import libc, sandbox, seccomp
from chatd.child.landlock import _without
from chatd.child.sandbox import Sandbox
from tests.support.daemon import Daemon, running, wait_until

ALL_IN_FORCE = {"no_new_privs": True, "not_dumpable": True, "landlock": True, "seccomp": True}
# Enters the sandbox, tries everything, and prints the outcomes.
CHILD = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
from chatd.child.sandbox import Sandbox, enter
home, writable = Path(sys.argv[1]), tuple(sys.argv[2:])
in_force = enter(Sandbox(writable), home, home / "logs")
libc = ctypes.CDLL(None, use_errno=True)

def ptrace():
    if libc.ptrace(16, os.getppid(), 0, 0) < 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")

def thread():
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()

def in_thread(action):
    outcomes = []
    def run():
        try:
            action()
        except OSError as error:
            outcomes.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in outcomes:
        raise error

attempts = {
    "ca.key": lambda: (home / "certs/ca.key").read_bytes(),
    "ca.key in a thread": lambda: in_thread(lambda: (home / "certs/ca.key").read_bytes()),
    "certs": lambda: os.listdir(home / "certs"),
    "identity": lambda: (home / "certs/identities/a.pem").read_bytes(),
    "settings": lambda: (home / "config/settings.json").write_text("{}"),
    "data": lambda: (home / "data/mark").read_bytes(),
    "new data": lambda: (home / "data/new").write_bytes(b"x"),
    "outside": lambda: Path("/tmp/chatd-test-sandbox").write_bytes(b"x"),
    "execve": lambda: os.execv(sys.executable, [sys.executable, "-c", "pass"]),
    "fork": os.fork,
    "program": lambda: subprocess.run(["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
    "kill itself": lambda: os.kill(os.getpid(), 0),
    "ptrace": ptrace,
    "internet": lambda: socket.socket(socket.AF_INET),
    "unix": lambda: socket.socket(socket.AF_UNIX).close(),
    "thread": thread,
    "module": lambda: __import__("wave"),
    "null": lambda: open(os.devnull).close(),
}
outcomes = {}
for name, attempt in attempts.items():
    try:
        attempt()
        outcomes[name] = "done"
    except OSError as error:
        outcomes[name] = errno.errorcode[error.errno]
sys.stdout.write(json.dumps([in_force, outcomes]))
"""
BLOCKED = ("EACCES", "EPERM")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the files that matter here."""
    for name in ("certs/ca.key", "certs/identities/a.pem", "config/settings.json", "data/mark"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("secret")
    return tmp_path


def attempts_in_sandbox(home: Path, *writable: str) -> tuple[dict[str, bool], dict[str, str]]:
    command = [sys.executable, "-c", CHILD, str(home), *writable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    in_force, outcomes = json.loads(done.stdout)
    return in_force, outcomes


def test_a_worker_cannot_open_keys_and_log_or_start_programs(home: Path) -> None:
    in_force, outcomes = attempts_in_sandbox(home)
    if not in_force["landlock"] or not in_force["seccomp"]:
        pytest.skip(f"this kernel does not have all of it: {in_force}")
    for name in (
        "ca.key",
        "ca.key in a thread",
        "certs",
        "identity",
        "settings",
        "data",
        "new data",
        "outside",
    ):
        assert outcomes[name] == "EACCES", name
    for name in ("execve", "fork", "program", "kill", "ptrace", "internet"):
        assert outcomes[name] == "EPERM", name
    for name in ("kill itself", "unix", "thread", "module", "null"):
        assert outcomes[name] == "done", name
    assert (home / "config/settings.json").read_text() == "secret"


def test_a_hub_has_its_data_and_no_keys(home: Path) -> None:
    in_force, outcomes = attempts_in_sandbox(home, "data")
    if not in_force["landlock"]:
        pytest.skip("this kernel has no Landlock")
    assert [outcomes[name] for name in ("data", "new data")] == ["done", "done"]
    assert [outcomes[name] for name in ("ca.key", "identity", "settings")] == ["EACCES"] * 3


def test_a_kernel_without_any_of_it_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(libc, "_libc", None)
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    assert sandbox.enter(Sandbox(), tmp_path, tmp_path / "logs") == dict.fromkeys(ALL_IN_FORCE, False)


def test_a_home_inside_a_code_folder_is_left_out(tmp_path: Path) -> None:
    home = tmp_path / "venv" / "srv" / "home"
    (home / "certs").mkdir(parents=True)
    (tmp_path / "venv" / "lib").mkdir()
    (tmp_path / "venv" / "srv" / "other").mkdir()
    (tmp_path / "venv" / "link").symlink_to(home)
    found = [str(path.relative_to(tmp_path)) for path in _without(tmp_path / "venv", home)]
    assert found == ["venv/lib", "venv/srv/other"]
    assert list(_without(home, home)) == []
    for own in ("certs", "config", "data", "logs", "run"):
        assert list(_without(home / own / "inside", home)) == []
        assert list(_without(home / own, home)) == []
    code = home / ".venv" / "lib"
    assert list(_without(code, home)) == [code]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as daemon:
        yield daemon


def test_the_status_tells_what_is_in_force(daemon: Daemon) -> None:
    children = daemon.status()["children"]
    assert all(child["sandbox"].keys() == ALL_IN_FORCE.keys() for child in children)
    text = daemon.chatd("status").stdout
    if all(child["sandbox"] == ALL_IN_FORCE for child in children):
        line = "sandbox  hub, worker-1, worker-2, enrol: no_new_privs, not_dumpable, landlock, seccomp"
        assert line in text.splitlines()
    else:
        assert "not in force here" in text


def test_the_kernel_confirms_the_status(daemon: Daemon) -> None:
    for child in daemon.status()["children"]:
        lines = Path(f"/proc/{child['pid']}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert fields["NoNewPrivs"] == str(int(child["sandbox"]["no_new_privs"]))
        assert fields["Seccomp"] == ("2" if child["sandbox"]["seccomp"] else "0")


def test_a_child_counts_its_own_descriptors(daemon: Daemon) -> None:
    """Nobody else may, unless chatd runs as root."""
    wait_until(lambda: all(child["fds"] for child in daemon.status()["children"]), what="a sample")


def test_renewed_certificates_reach_workers_that_cannot_open_them(daemon: Daemon) -> None:
    pids = [child["pid"] for child in daemon.status()["children"]]
    daemon.chatd("cert", "renew")
    daemon.chatctl("users")
    shown = json.loads(daemon.chatd("cert", "show", "--json").stdout)["certificates"]
    assert {row["name"] for row in shown} >= {"server", "envelope"}
    assert [child["pid"] for child in daemon.status()["children"]] == pids
    assert daemon.log_lines("errors.log") == []


def _run(program: bytes, number: int, architecture: int, argument: int = 0) -> int:
    """Interpret a filter as the kernel does, for the few instructions that occur."""
    data = {0: number, 4: architecture, 16: argument}
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = seccomp._INSTRUCTION.unpack_from(program, at * 8)
        at += 1
        if code == seccomp._LOAD:
            loaded = data[value]
        elif code == seccomp._RETURN:
            return int(value)
        else:
            tests = {
                seccomp._JUMP_EQUAL: loaded == value,
                seccomp._JUMP_FROM: loaded >= value,
                seccomp._JUMP_BITS: bool(loaded & value),
            }
            at += if_true if tests[code] else if_false


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_the_filter_denies_the_listed_calls_on_both_machines(machine: str, architecture: int) -> None:
    program = seccomp.filter_program(machine, 77)
    assert program is not None
    column = 0 if machine == "x86_64" else 1
    eperm, allow = 0x00050001, 0x7FFF0000
    listed: dict[str, Any] = dict(seccomp.DENIED)
    for name, numbers in listed.items():
        if numbers[column] is not None:
            assert _run(program, numbers[column], architecture) == eperm, name
    clone, kill, limit = (n[column] for n in (seccomp._CLONE, seccomp._OWN_PROCESS["kill"], seccomp._PRLIMIT))
    assert clone is not None and kill is not None and limit is not None
    assert _run(program, clone, architecture, 0x3D0F00) == allow  # a thread
    assert _run(program, clone, architecture, 17) == eperm  # a fork
    assert [_run(program, kill, architecture, pid) for pid in (77, 1, 0)] == [allow, eperm, eperm]
    assert [_run(program, limit, architecture, pid) for pid in (0, 77, 1)] == [allow, allow, eperm]
    read, write = (0, 1) if machine == "x86_64" else (63, 64)
    assert {_run(program, number, architecture) for number in (read, write)} == {allow}
    assert _run(program, read, architecture ^ 1) == eperm
    assert _run(program, read | 0x40000000, architecture) == eperm


def test_there_is_no_filter_for_an_unknown_machine() -> None:
    assert seccomp.filter_program("vax") is None
