"""What the tests of abuse share: a daemon with room for it, and the proof that nobody else was hurt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil

from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import RawClient

# No test waits for the rate limit unless it is about it.
UNLIMITED = {"messages_per_second": 1_000_000, "burst": 1_000_000}


def changed(tree: dict[str, Any], section: str, **values: Any) -> None:
    """Set some keys of one section of settings.json."""
    tree.setdefault(section, {}).update(values)


@contextmanager
def abused(home: Path, change: Callable[[dict[str, Any]], None], *users: str) -> Iterator[Daemon]:
    """A daemon with changed settings and some users; it must end without an error in its logs."""
    daemon = Daemon(home)
    daemon.init()
    daemon.write_settings(lambda tree: changed(tree, "limits", sessions_per_user=60))
    daemon.write_settings(change)
    for user in users:
        daemon.add_user(user)
    try:
        daemon.start()
        yield daemon
        # Whatever a client does is for the connections or the security log; an error is a defect of ours.
        assert daemon.log_lines("errors.log") == []
        assert [c["restarts"] for c in daemon.status()["children"]] == [0, 0, 0]
    finally:
        daemon.stop()


class Usage(NamedTuple):
    """What the workers hold; a client that is gone must not have left anything behind."""

    threads: int
    descriptors: int

    @classmethod
    def of(cls, daemon: Daemon) -> Usage:
        workers = [psutil.Process(c["pid"]) for c in daemon.status()["children"] if c["kind"] == "worker"]
        return cls(sum(w.num_threads() for w in workers), sum(w.num_fds() for w in workers))


class Witness:
    """Somebody with a session on each worker who must not notice what others do."""

    def __init__(self, daemon: Daemon, user: str) -> None:
        self.daemon = daemon
        self.clients = on_both_workers(daemon, user)
        for client in self.clients:
            client.ask("resume")
        wait_until(lambda: sessions_now(daemon) == len(self.clients), what="only the witness to be there")
        self._usage = Usage.of(daemon)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.sock.close()

    def unharmed(self) -> None:
        """What is said on either worker is heard on both."""
        for speaker in self.clients:
            seq = speaker.say("still here")["result"]["seq"]
            for client in self.clients:
                if client is not speaker:
                    client.until(type="message", seq=seq)

    def alone(self) -> None:
        """Wait until nothing of the others is left: no session, no thread, no descriptor."""
        wait_until(lambda: sessions_now(self.daemon) == len(self.clients), what="sessions to end")
        wait_until(self._usage_is_back, what="threads and descriptors to be given back")

    def _usage_is_back(self) -> bool:
        now = Usage.of(self.daemon)
        return now.threads <= self._usage.threads and now.descriptors <= self._usage.descriptors


def on_both_workers(daemon: Daemon, user: str) -> list[RawClient]:
    """Two sessions of a user, on one worker each; the kernel picks the worker, so this tries again."""
    identity = daemon.identity(user)
    with RawClient(daemon.port, daemon.identity("alice", "console")).logged_in() as admin:

        def reached(what: str) -> int:
            return int(admin.ask("kick", user=user, dry_run=True)["result"][what])

        # One that has ended without the hub knowing it yet would be counted with them.
        wait_until(lambda: reached("sessions") == 0, what=f"earlier sessions of {user} to end")
        clients = [RawClient(daemon.port, identity).logged_in()]
        while reached("workers") < 2:
            clients.append(RawClient(daemon.port, identity).logged_in())
    for client in clients[1:-1]:
        client.sock.close()
    return [clients[0], clients[-1]]


def sessions_now(daemon: Daemon) -> int:
    """How many sessions the hub knows, the asker not counted."""
    with RawClient(daemon.port, daemon.identity("alice", "console")).logged_in() as admin:
        return int(admin.ask("stats")["result"]["connections"]["now"]) - 1
