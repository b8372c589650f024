"""The lock in data/ decides whether a server runs, not the files in run/."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.daemon import BIN, Daemon, wait_until


def test_a_server_that_lost_its_run_folder_is_found_and_stopped(daemon: Daemon) -> None:
    pids = daemon.pids()
    shutil.rmtree(daemon.home / "run")
    status = daemon.chatd("status", check=False)
    assert status.returncode
    assert f"pid {pids[0]}" in status.stderr
    assert "chatd stop" in status.stderr
    second = daemon.chatd("start", "--wait", "1", check=False)
    assert second.returncode
    assert f"pid {pids[0]}" in second.stderr
    stopped = daemon.chatd("stop")
    assert f"pid {pids[0]}" in stopped.stderr
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what="all to end")
    daemon.start()


def test_nothing_that_could_block_another_user_stays_behind(daemon: Daemon) -> None:
    assert (daemon.home / "run" / "chatd.pid").read_text() == f"{daemon.pids()[0]}\n"
    daemon.stop()
    left = {path.name for path in (daemon.home / "run").iterdir()}
    assert not {name for name in left if name.endswith((".sock", ".pid"))}, left


def test_several_starts_at_once_all_succeed(daemon: Daemon) -> None:
    daemon.stop()
    command = [str(BIN / "chatd"), "--home", str(daemon.home), "start"]
    starts = [
        subprocess.Popen(command, env=daemon.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(3)
    ]
    outputs = [start.communicate(timeout=120)[0].decode() for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], outputs
    assert sum("already running" in output for output in outputs) == 2, outputs


def test_a_stop_during_the_start_is_no_error(daemon: Daemon) -> None:
    daemon.stop()
    # The hub waits before it is ready, so that the signal comes during the start.
    log = daemon.home / "logs" / "errors.log"
    before = log.read_text() if log.exists() else ""
    command = [str(BIN / "chatd"), "--home", str(daemon.home), "start"]
    start = subprocess.Popen(command, env=daemon.environ, stderr=subprocess.PIPE)
    pid_file = daemon.home / "run" / "chatd.pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), what="the supervisor")
    os.kill(int(pid_file.read_text()), signal.SIGTERM)
    output = start.communicate(timeout=120)[1].decode()
    assert "E609" not in output
    assert (log.read_text() if log.exists() else "") == before


def test_a_reload_of_a_moved_home_says_so(daemon: Daemon, tmp_path: Path) -> None:
    moved = daemon.home.rename(tmp_path / "moved")
    elsewhere = Daemon(moved)
    reloaded = elsewhere.chatd("reload", check=False)
    assert reloaded.returncode
    assert "was moved" in reloaded.stderr
    assert "chatd init" not in reloaded.stderr
    elsewhere.chatd("stop")


REAPER = """
import os, time
from chatd.child.libc import prctl
from chatd.supervisor.template_process import PR_SET_CHILD_SUBREAPER, reap_orphans

def ended(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return fields[:2] == ["Z", str(os.getpid())]

prctl(PR_SET_CHILD_SUBREAPER, 1)
ours = os.fork() or os._exit(3)
reader, writer = os.pipe()
intermediate = os.fork()
if not intermediate:
    orphan = os.fork() or os._exit(0)
    os.write(writer, b"%d" % orphan)
    os._exit(0)
os.waitpid(intermediate, 0)
orphan = int(os.read(reader, 20))
while not (ended(ours) and ended(orphan)):
    time.sleep(0.01)
reap_orphans({ours})
assert os.waitpid(ours, 0)[1] == 3 << 8, "it took a child from its owner"
reap_orphans(set())
assert not os.path.exists(f"/proc/{orphan}"), "the orphan is left"
"""


def test_orphans_are_reaped_and_own_children_left_to_their_owner() -> None:
    done = subprocess.run(
        [sys.executable, "-c", REAPER], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
