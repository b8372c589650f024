"""Run a daemon for tests that abuse it, and check that no other client is affected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil

from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import Json, RawClient

# Only tests of the limits should meet them.
UNLIMITED = {"messages_per_second": 1_000_000, "burst": 1_000_000, "bytes_per_day": 0}
# A throttled session notices the end of its connection with its next token: 20 s each for the slowest role.
THROTTLED_SECONDS = 120.0


def update_section(tree: dict[str, Any], section: str, **values: Any) -> None:
    """Set some keys of one section of settings.json."""
    tree.setdefault(section, {}).update(values)


def lift_rate_limits(tree: dict[str, Any]) -> None:
    """Let users and admins send as fast as they can."""
    update_section(tree, "limits", per_role={"user": UNLIMITED, "admin": UNLIMITED})


@contextmanager
def daemon_under_attack(
    home: Path, change: Callable[[dict[str, Any]], None], *users: str
) -> Iterator[Daemon]:
    """Run a daemon with changed settings and some users.

    Fails when the daemon has logged an error or restarted a child by the end.
    """
    daemon = Daemon(home)
    daemon.init()
    # Only tests of the attempts should have too many.
    limits = {"sessions_per_user": 60, "attempts_per_address": 20_000}
    daemon.write_settings(lambda tree: update_section(tree, "limits", **limits))
    daemon.write_settings(change)
    for user in users:
        daemon.add_user(user)
    try:
        daemon.start()
        yield daemon
        # What clients do belongs in connections.log or security.log; errors.log is for defects of the server.
        assert daemon.log_lines("errors.log") == []
        assert not any(c["restarts"] for c in daemon.status()["children"])
    finally:
        daemon.stop()


@contextmanager
def witnessed_daemon(home: Path, change: Callable[[dict[str, Any]], None], *users: str) -> Iterator[Daemon]:
    """Run a daemon under attack with a witness who must be unharmed, and alone, at the end."""
    with (
        daemon_under_attack(home, change, *users, "witness") as daemon,
        Witness(daemon, "witness") as witness,
    ):
        yield daemon
        witness.assert_unharmed()
        witness.wait_until_alone()


class Usage(NamedTuple):
    """The threads and file descriptors of all workers; a client that has gone must leave none behind."""

    threads: int
    descriptors: int

    @classmethod
    def of(cls, daemon: Daemon) -> Usage:
        workers = [psutil.Process(c["pid"]) for c in daemon.status()["children"] if c["kind"] == "worker"]
        return cls(sum(w.num_threads() for w in workers), sum(map(_descriptors, workers)))


def _descriptors(worker: psutil.Process) -> int:
    """Count a worker's descriptors; 0 if this is not root, to whom alone the sandbox leaves them visible."""
    try:
        return int(worker.num_fds())
    except psutil.AccessDenied:
        return 0


class Witness:
    """A user with a session on each worker who must not notice what other clients do."""

    def __init__(self, daemon: Daemon, user: str) -> None:
        self.daemon = daemon
        self.clients = session_on_each_worker(daemon, user)
        for client in self.clients:
            client.ask("resume")
        wait_until(
            lambda: session_count(daemon) == len(self.clients), what="only the witness to be connected"
        )
        self._usage = Usage.of(daemon)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.sock.close()

    def assert_unharmed(self) -> None:
        """Check that a message sent on either worker arrives on both."""
        for speaker in self.clients:
            seq = speaker.say("still here")["result"]["seq"]
            for client in self.clients:
                if client is not speaker:
                    client.until(type="message", seq=seq)

    def wait_until_alone(self) -> None:
        """Wait until no session, thread or descriptor of another client is left."""
        wait_until(
            lambda: session_count(self.daemon) == len(self.clients), THROTTLED_SECONDS, "sessions to end"
        )
        wait_until(self._usage_is_restored, what="threads and descriptors to be released")

    def _usage_is_restored(self) -> bool:
        now = Usage.of(self.daemon)
        return now.threads <= self._usage.threads and now.descriptors <= self._usage.descriptors


def log_in(daemon: Daemon, user: str, device: str = "laptop") -> RawClient:
    """Open a session that receives no events yet."""
    return RawClient(daemon.port, daemon.identity(user, device)).logged_in()


def log_in_admin(daemon: Daemon) -> RawClient:
    """Open a session of the first admin that receives no events yet."""
    return log_in(daemon, "alice", "console")


def open_live_session(
    daemon: Daemon, user: str, device: str = "laptop", *, receive_buffer: int = 0
) -> RawClient:
    """Open a session that receives events."""
    identity = daemon.identity(user, device)
    client = RawClient(daemon.port, identity, receive_buffer=receive_buffer).logged_in()
    client.ask("resume")
    return client


def login_bye(daemon: Daemon, user: str, device: str = "laptop") -> Json:
    """Try to log in; return the bye that refuses it."""
    with RawClient(daemon.port, daemon.identity(user, device)).tls().envelope() as client:
        return client.read_bye()


def session_on_each_worker(daemon: Daemon, user: str) -> list[RawClient]:
    """Open one session of a user on each of two workers.

    The kernel chooses the worker of a connection, so this connects until both are reached.
    """
    with log_in_admin(daemon) as admin:

        def affected(what: str) -> int:
            return int(admin.ask("kick", user=user, dry_run=True)["result"][what])

        # The hub may still count a session whose client has hung up.
        wait_until(lambda: affected("sessions") == 0, what=f"earlier sessions of {user} to end")
        clients = [log_in(daemon, user)]
        while affected("workers") < 2:
            clients.append(log_in(daemon, user))
    for client in clients[1:-1]:
        client.sock.close()
    return [clients[0], clients[-1]]


def session_count(daemon: Daemon) -> int:
    """Count the hub's sessions without the one that asks."""
    with log_in_admin(daemon) as admin:
        return int(admin.ask("stats")["result"]["connections"]["now"]) - 1
