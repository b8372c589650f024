"""A chatd home for benchmarks; the other servers use its certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatd.cli.users import add_user
from chatd.config.home import Home
from chatd.config.loading import load_settings
from tests.support.daemon import Daemon

# Besides #lobby: #r1 to #r100, each with its own user, because a user's sessions share their rooms.
ROOMS = 100


class ChatHome:
    """A home that is started many times. ``settings`` are variables such as CHATD_WORKERS__COUNT."""

    def __init__(self, folder: Path, users: int = ROOMS + 1, **settings: str) -> None:
        # Undo the smaller values that tests use.
        defaults = {"CHATD_SECURITY__RSA_KEY_SIZE": "3072", "CHATD_WORKERS__COUNT": "0"}
        self.daemon = Daemon(folder, **(defaults | settings))
        self._environ = self.daemon.environ
        self.daemon.init()
        self.daemon.write_settings(_raise_limits)
        self.daemon.start()
        try:
            home = Home(folder)
            loaded = load_settings(folder, {})
            # In this process: there are hundreds of users.
            for number in range(users):
                add_user(home, loaded, _user(number), "laptop", None, None)
        finally:
            self.daemon.stop()

    @property
    def port(self) -> int:
        return self.daemon.port

    @property
    def certs(self) -> Path:
        return self.daemon.home / "certs"

    @property
    def data(self) -> Path:
        return self.daemon.home / "data"

    def identity(self, room: int) -> Path:
        """The identity for a room's sessions; 0 is the lobby."""
        return self.daemon.identity(_user(room))

    def start(self, **settings: str) -> None:
        """Start with additional environment ``settings``."""
        self.daemon.environ = self._environ | settings
        self.daemon.start()

    def stop(self) -> None:
        self.daemon.stop()

    def pid(self) -> int:
        pid: int = self.daemon.status()["pid"]
        return pid


def _user(number: int) -> str:
    return f"bench{number}"


def _raise_limits(tree: dict[str, Any]) -> None:
    unlimited = {"messages_per_second": 1_000_000.0, "burst": 1_000_000, "bytes_per_day": 0}
    tree.setdefault("server", {}).update(max_connections=20_000, timeout=3600, handshake_timeout=60)
    tree.setdefault("limits", {}).update(
        sessions_per_user=20_000,
        handshakes=20_000,
        handshakes_per_address=20_000,
        attempts_per_address=20_000,
        per_role={"admin": unlimited, "user": unlimited, "guest": unlimited},
    )
    tree["rooms"] = [{"name": "#lobby", "guests": True, "autojoin": True}] + [
        {"name": f"#r{room}"} for room in range(1, ROOMS + 1)
    ]
