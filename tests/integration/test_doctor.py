"""`chat doctor` at a real server: each fault is named once, at the step where it is, with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.codes import CODES
from tests.support import preloaded
from tests.support.daemon import BIN, Daemon, free_port, running
from tests.support.strange_services import HTTP, answers, strange_service

STEPS = ["identity", "name", "network", "tls", "ca", "login", "clock", "terminal", "window"]
FAST_CLOCK = (
    "import time; real = time.time; time.time = lambda: real() + 7200; "
    "import sys; sys.argv[0] = 'chat'; from chatctl.chat import main; main()"
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("doctor") / "home") as found:
        found.add_user("bob")
        yield found


class Visit:
    """One run of `chat doctor --json`."""

    def __init__(self, daemon: Daemon, *words: str, program: tuple[str, ...] = (), **environ: str) -> None:
        headless = {key: value for key, value in daemon.environ.items() if not key.endswith("DISPLAY")}
        command = [*(program or ("chat",)), "doctor", "--json", *words]
        whole = {**headless, "LC_ALL": "C.UTF-8", "HOME": str(daemon.home), "TERM": "xterm", **environ}
        if preloaded.can_run(command[0], whole):
            done = preloaded.run(command, whole, Path("/"))
        else:
            command[0] = str(BIN / command[0])  # an absolute path stays one
            done = subprocess.run(command, env=whole, cwd="/", capture_output=True, text=True)
        assert done.stderr == "", done.stderr
        self.code = done.returncode
        self.findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        self.steps = [one["area"] for one in self.findings]
        self.wrong = {one["area"]: one["code"] for one in self.findings if one["level"] != "ok"}

    def text(self, area: str) -> str:
        return next(str(one["text"]) for one in self.findings if one["area"] == area)


def test_a_healthy_client_passes_every_step(daemon: Daemon) -> None:
    bob = ("--identity", str(daemon.identity("bob")))
    visit = Visit(daemon, *bob)
    assert (visit.code, visit.steps, visit.wrong) == (0, STEPS, {})
    assert visit.text("login").startswith("bob with the role user")
    lines = daemon.run("chat", "doctor", *bob).stdout.splitlines()
    assert [line.split()[1] for line in lines] == STEPS
    assert all(line.startswith("ok ") for line in lines)


def moved(daemon: Daemon, path: Path, port: int) -> str:
    text = daemon.identity("bob").read_text()
    path.write_text(text.replace(f":{daemon.port}", f":{port}"))
    path.chmod(0o600)
    return str(path)


def test_faults_of_the_identity_file(daemon: Daemon, tmp_path: Path) -> None:
    copy = Path(moved(daemon, tmp_path / "open.pem", daemon.port))
    copy.chmod(0o644)
    visit = Visit(daemon, "--identity", str(copy))
    assert (visit.code, visit.wrong) == (1, {"identity": "E608"})
    assert visit.findings[0]["fix"] == f"run: chmod 600 {copy}"
    missing = Visit(daemon, f"127.0.0.1:{daemon.port}")
    assert (missing.code, missing.wrong) == (7, {"identity": "E608"})
    assert "SHA256:" in missing.text("ca"), "a newcomer sees which server answers"


def test_faults_on_the_way(daemon: Daemon, tmp_path: Path) -> None:
    nothing = Visit(daemon, "--identity", moved(daemon, tmp_path / "none.pem", free_port()))
    assert (nothing.code, nothing.wrong) == (1, {"network": "E607"})
    bob = ("--identity", str(daemon.identity("bob")))
    unknown = Visit(daemon, "nowhere.invalid:5000", *bob)
    assert (unknown.code, unknown.wrong) == (1, {"network": "E607"})
    assert "cannot find the address" in unknown.text("network")
    with strange_service(answers(HTTP)) as web:
        other = Visit(daemon, f"127.0.0.1:{web.port}", *bob)
    assert (other.code, other.wrong) == (1, {"tls": "E630"})


def test_one_address_that_works_is_enough(daemon: Daemon, tmp_path: Path) -> None:
    """An identity names the loopback address too, which is of no use on another machine."""
    for other, code, wrong in (
        (f"127.0.0.1:{free_port()}", 0, {}),
        ("nowhere.invalid:5000", 7, {"network": "E607"}),
    ):
        path = tmp_path / "two.pem"
        text = daemon.identity("bob").read_text()
        path.write_text(text.replace("server: ", f"server: {other}\nserver: ", 1))
        path.chmod(0o600)
        visit = Visit(daemon, "--identity", str(path))
        assert (visit.code, visit.wrong) == (code, wrong)
        assert "login" in visit.steps


def test_another_server_and_a_revoked_device(daemon: Daemon, tmp_path: Path) -> None:
    with running(tmp_path / "other") as other:
        visit = Visit(daemon, f"127.0.0.1:{other.port}", "--identity", str(daemon.identity("bob")))
    assert (visit.code, visit.wrong) == (1, {"ca": "E209"})
    path = daemon.add_user("rev")
    daemon.chatctl("revoke", "rev/laptop", "--yes")
    visit = Visit(daemon, "--identity", str(path))
    assert (visit.code, visit.wrong) == (1, {"login": "E206"})
    assert visit.steps[:6] == STEPS[:6], "the steps before are fine"


def test_warnings_of_this_machine(daemon: Daemon) -> None:
    bob = ("--identity", str(daemon.identity("bob")))
    fast = Visit(daemon, *bob, program=(sys.executable, "-c", FAST_CLOCK))
    assert (fast.code, fast.wrong) == (7, {"clock": "E204"})
    assert "ahead of the server's" in fast.text("clock")
    ascii_only = Visit(daemon, *bob, PYTHONIOENCODING="ascii")
    assert (ascii_only.code, ascii_only.wrong) == (7, {"terminal": "W130"})
    assert ascii_only.findings[-2]["fix"] == CODES["W130"].fix


def test_an_address_that_is_none_is_a_usage_error(daemon: Daemon) -> None:
    assert daemon.run("chat", "doctor", "nowhere", check=False).returncode == 2
