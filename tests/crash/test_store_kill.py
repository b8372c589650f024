"""kill -9 of the writer at random moments: every acknowledged entry is stored once and in order."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from chatd.store.verifier import verify
from tests.support.lines import next_line
from tests.support.storelog import assert_holds

KILLS = int(os.environ.get("CHATD_TEST_KILLS", "20"))
SEED = int(os.environ.get("CHATD_TEST_SEED", "1"))


def _append_and_kill(data: Path, acks: int) -> int:
    """Kill a writer after ``acks`` acknowledged batches; return the last acknowledged seq."""
    command = [sys.executable, "-m", "tests.crash.store_child", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        last = 0
        try:
            for _ in range(acks):
                last = int(next_line(child, "an acknowledgement"))
        finally:
            child.kill()
        # The child wrote more until it was killed; an incomplete last line is not an acknowledgement.
        *complete, _incomplete = child.stdout.read().split("\n")
        return int(complete[-1]) if complete else last


def test_a_killed_writer_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    acked = 0
    for _ in range(KILLS):
        acked = _append_and_kill(tmp_path, rng.randrange(1, 60))
        report = verify(tmp_path, full=True)
        assert report.ok, (SEED, report)
        assert report.head >= acked, SEED
    assert assert_holds(tmp_path, acked) > KILLS
