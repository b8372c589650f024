"""Each process of an enrolment is killed at each of its points: a retry succeeds, and there is one device."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatd.crashpoints import POINTS
from chatd.pki.identity import read_identity
from tests.support.daemon import running
from tests.support.joining import devices_of, invite, join

ENROL_POINTS = [name for name in POINTS if name.startswith("enrol.")]
ATTEMPTS = 20


@pytest.mark.parametrize("point", ENROL_POINTS)
def test_a_retry_after_a_crash_succeeds_with_one_device(tmp_path: Path, point: str) -> None:
    fired = tmp_path / "fired"
    fired.mkdir()
    crash = {"CHATD_CRASH_AT": point, "CHATD_CRASH_ONCE": str(fired)}
    with running(tmp_path / "home", **crash) as daemon:
        code, path = invite(daemon, "carol"), tmp_path / "client" / "carol.pem"
        for _ in range(ATTEMPTS):
            done = join(daemon, code, path)
            if done.returncode == 0:
                break
            assert done.returncode in (1, 5), done.stderr
            assert "try again" in done.stderr or "again" in done.stderr
            assert not path.exists()
            assert len(devices_of(daemon, "carol")) <= 1
        assert done.returncode == 0, done.stderr
        assert (fired / point).exists(), "the point was passed"
        assert devices_of(daemon, "carol") == ["laptop"]
        assert [one.name for one in path.parent.iterdir()] == ["carol.pem"]
        assert read_identity(path).user == "carol"
        daemon.run("chat", "--identity", str(path), "send", "#lobby", "here I am")
