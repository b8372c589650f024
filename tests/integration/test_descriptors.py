"""The limits of open files: the server raises the soft one, and `chatd check` reports a low hard one."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

from tests.support.daemon import Daemon

SOFT, HARD = 300, 420


def set_limits(hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, hard))


def limits_of(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max open files")).split()[3:5]


def test_the_soft_limit_is_raised_and_a_low_hard_limit_reported(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "home", CHATD_SERVER__MAX_CONNECTIONS="1000")
    daemon.init()
    try:
        daemon.chatd("start", preexec_fn=set_limits(HARD))
        assert {tuple(limits_of(pid)) for pid in daemon.pids()} == {(str(HARD), str(HARD))}
        report = daemon.chatd("check", check=False, preexec_fn=set_limits(HARD)).stdout
        assert f"{HARD} open files are allowed" in report
        assert "W115" in report
    finally:
        daemon.stop()
    assert "W115" not in daemon.chatd("check", check=False).stdout
