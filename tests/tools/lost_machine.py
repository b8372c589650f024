"""Record a conversation while a machine of its cluster is killed: ``python -m tests.tools.lost_machine``.

It uses three real nodes on this machine, three real clients and a real kill -9 of every process of the node
that leads (needs tmux and nats-server). Only the timing is edited.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.support.cluster import CLUSTER_SECONDS, Cluster, running_nodes
from tests.support.daemon import BIN, wait_until
from tests.support.terminal import Terminal
from tests.tools.recording import COLUMNS, IMAGES, LAST_SECONDS, ROWS, Recorder, say

CAST, PICTURE = IMAGES / "lost-machine.cast", IMAGES / "lost-machine.svg"
TITLE = "chatd: one of three machines is lost"
ALICE = "alice, connected to the machine that will be lost"


def converse(record: Recorder, cluster: Cluster, leader: str) -> None:
    """Play the script of the recording."""
    record.hold(0.8)
    record.type("chat")
    record.wait("· connected ·")
    record.hold(1.4)
    say(record.terminal, "bob", "rack 2 loses power any minute now")
    record.wait("any minute now")
    record.hold(1.2)
    record.type("our chat leads from there", enter=False)
    record.caption = f"kill -9 of everything on machine {leader}: hub, workers, NATS, supervisor"
    cluster.kill(leader)
    record.hold(1.0)
    record.terminal.keys("alice", "Enter")
    record.wait("connected again", "> our chat leads from there")
    record.caption = "another machine leads: nothing lost, nothing duplicated"
    record.hold(1.6)
    say(record.terminal, "bob", "I still read you")
    say(record.terminal, "carol", "so do I")
    record.wait("I still read you", "so do I")
    record.hold(1.4)
    record.type("and so it goes on")
    record.wait("> and so it goes on")
    record.hold(1.0)
    record.caption = f"machine {leader} starts again and catches up"
    cluster.start(leader)
    wait_until(cluster.have_one_log, CLUSTER_SECONDS, "one log on all machines")
    say(record.terminal, "bob", "power is back")
    record.wait("power is back")
    record.hold(LAST_SECONDS)


def main() -> None:
    """Record, and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder))
        with running_nodes(cluster):
            cluster.wait_for_hubs()
            cluster.wait_until_writable()
            leader = cluster.leader()
            rest = "".join(name for name in cluster.names if name != leader)
            people = {name: cluster.first.add_user(name) for name in ("bob", "carol")}
            environ = {k: v for k, v in cluster.first.environ.items() if k != "NO_COLOR"}
            environ |= {"XDG_STATE_HOME": folder, "PATH": f"{BIN}:{os.environ['PATH']}", "PS1": "$ "}
            environ["CHATD_IDENTITY"] = str(cluster.identity(leader + rest))
            terminal = Terminal(Path(folder), environ)
            try:
                for name, identity in people.items():
                    terminal.open(name, (str(BIN / "chat"), "--identity", str(identity)))
                    terminal.wait(name, "· connected ·")
                terminal.open("alice", ("sh",), columns=COLUMNS, rows=ROWS)
                terminal.wait("alice", "$")
                recorder = Recorder(terminal, "alice", ALICE)
                converse(recorder, cluster, leader)
            finally:
                terminal.close()
    film = recorder.film()
    film.save(CAST, PICTURE, TITLE)


if __name__ == "__main__":
    main()
