"""The operator's socket and the workers' socket: the kernel tells the hub who is there."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.child.peers import Peer, login_name, peer_of, why_not_operator
from chatd.child.unix_socket import connect_unix, listen_unix
from chatd.link.wire import LINK_VERSION, LinkBuffer, pack
from chatd.proto.frames import HEADER_SIZE, JsonObject, decode, encode
from chatd.store.log_reader import LogReader
from chatd.supervisor.listeners import HUB_SOCKET, OPERATOR_SOCKET
from tests.support.daemon import Daemon, running, wait_until
from tests.support.under_attack import open_live_session

ADD = {"type": "user_add", "id": 1, "user": "mallory", "device": "x", "serial": "c0ffee"}
# Connects and stays connected for STAY seconds.
CONNECT = """
import socket, sys, time
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
time.sleep(STAY)
"""
# Prints the judgement of a process that it has started, or that has detached itself as a daemon does.
SUPERVISOR = """
import os, subprocess, sys, time
from pathlib import Path
from chatd.child.peers import peer_of, why_not_operator
from chatd.child.unix_socket import listen_unix
from chatd.supervisor.template_process import _adopt_orphans
assert _adopt_orphans()
listener = listen_unix(Path({path!r}), 1)
listener.setblocking(True)
code = {connect!r}.replace("STAY", "60")
if {detach}:
    code = "import os\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\n" + code
started = subprocess.Popen([sys.executable, "-c", code, {path!r}])
sock, _ = listener.accept()
peer = peer_of(sock)
assert (peer.pid == started.pid) is not {detach}
if {detach}:
    started.wait()
print(why_not_operator(peer, os.getpid()))
os.kill(peer.pid, 9)
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("operator") / "home") as daemon:
        yield daemon


def ask(path: Path, *frames: bytes) -> JsonObject | None:
    """Send link frames; return the first reply, or None if the hub closes the link."""
    buffer = LinkBuffer()
    with connect_unix(path, 30.0) as sock:
        try:
            sock.sendall(b"".join(frames))
            while data := sock.recv(65536):
                for header, payload in buffer.feed(data):
                    if header[0] == "reply":
                        return decode(payload[HEADER_SIZE:])
        except (ConnectionResetError, BrokenPipeError):
            pass
    return None


def request(message: JsonObject) -> bytes:
    return pack(["request", 0], encode(message)[HEADER_SIZE:])


def audit_events(daemon: Daemon) -> list[str]:
    return [line["event"] for line in daemon.log_lines("audit.log")]


def test_a_stranger_on_the_workers_socket_is_refused(daemon: Daemon) -> None:
    """Not even root may speak as a worker, whatever it claims."""
    for frames in ([pack(["operator"]), request(ADD)], [pack(["hello", LINK_VERSION]), request(ADD)]):
        assert ask(daemon.home / HUB_SOCKET, *frames) is None
    wait_until(lambda: "link_refused" in audit_events(daemon), what="the refusal in audit.log")
    assert "mallory" not in daemon.chatctl("users").stdout
    assert daemon.child("hub")["restarts"] == 0


def test_the_operators_socket_takes_requests_and_nothing_else(daemon: Daemon) -> None:
    path = daemon.home / OPERATOR_SOCKET
    assert path.stat().st_mode & 0o777 == 0o600
    reply = ask(path, request({"type": "users", "id": 1}))
    assert reply is not None
    assert reply["type"] == "ok"
    session = ["open", 1, "alice", "console", "a1", "127.0.0.1", False]
    for header in (["hello", LINK_VERSION], session, ["stats", {}], ["operator"]):
        assert ask(path, pack(header), request(ADD)) is None
    wait_until(lambda: "operation_refused" in audit_events(daemon), what="the refusal in audit.log")


def test_an_event_tells_which_operator_caused_it(daemon: Daemon) -> None:
    login = pwd.getpwuid(os.geteuid()).pw_name
    daemon.add_user("erin")
    client = open_live_session(daemon, "erin")
    added = next(line for line in daemon.log_lines("audit.log") if line.get("user") == "erin")
    assert (added["by"], added["by_uid"], added["by_login"]) == ("server", os.geteuid(), login)
    environ = daemon.environ
    daemon.environ = environ | {"SUDO_USER": "somebody", "SUDO_UID": "1", "LOGNAME": "somebody"}
    daemon.add_user("frank")
    daemon.environ = environ
    joined = client.until(type="joined", user="frank")
    assert (joined["by"], joined["by_uid"], joined["by_login"]) == ("server", os.geteuid(), login)
    client.sock.close()


def test_a_command_while_nothing_runs_is_signed_too(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "home")
    daemon.init()
    reader = LogReader(daemon.home / "data")
    entries = [decode(e.body) for seq in range(1, reader.head() + 1) if (e := reader.entry(seq)) and e.body]
    reader.close()
    added = next(entry for entry in entries if entry["type"] == "user_added")
    assert (added["by"], added["by_uid"]) == ("server", os.geteuid())
    assert added["by_login"] == pwd.getpwuid(os.geteuid()).pw_name


def test_a_process_of_the_server_is_no_operator(tmp_path: Path) -> None:
    """What a worker could start, even detached, stays below the supervisor."""
    for detach in (False, True):
        script = SUPERVISOR.format(path=str(tmp_path / f"{detach}.sock"), connect=CONNECT, detach=detach)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines() == ["a process of the server itself"], done.stderr


def test_another_user_and_a_process_that_has_ended_are_no_operator(tmp_path: Path) -> None:
    script = CONNECT.replace("STAY", "0")
    with listen_unix(tmp_path / "s.sock", 1) as listener:
        subprocess.run([sys.executable, "-c", script, str(tmp_path / "s.sock")], check=True, timeout=60)
        sock, _ = listener.accept()
        assert why_not_operator(peer_of(sock), os.getpid()) == "a process that has ended"
        sock.close()
    assert why_not_operator(Peer(os.getpid(), os.geteuid() + 1), 1) == "another user"
    assert why_not_operator(Peer(os.getpid(), os.geteuid()), os.getpid()) == ""


def test_a_user_without_a_login_name_is_a_number() -> None:
    assert login_name(2**31 + 5) == f"uid {2**31 + 5}"
    assert login_name(0) == "root"
