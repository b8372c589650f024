"""A chatd home for benchmarks; the other servers use its certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatd.cli.users import add_user
from chatd.config.home import Home
from chatd.config.loading import load_settings
from tests.support.daemon import Daemon

# Besides #lobby: #r1 ... #r100, each with a user of its own, because a user's sessions share its rooms.
ROOMS = 100


class ChatHome:
    """Made once, started many times. ``settings`` are environment settings, such as CHATD_WORKERS__COUNT."""

    def __init__(self, folder: Path, users: int = ROOMS + 1, **settings: str) -> None:
        # Everything as it is by default, the 3072-bit envelope key and the number of workers too.
        defaults = {"CHATD_SECURITY__RSA_KEY_SIZE": "3072", "CHATD_WORKERS__COUNT": "0"}
        self.daemon = Daemon(folder, **(defaults | settings))
        self._environ = self.daemon.environ
        self.daemon.init()
        self.daemon.write_settings(_raise_limits)
        self.daemon.start()
        try:
            home = Home(folder)
            loaded = load_settings(folder, {})
            # Not a process each: this is a hundred of them, or a thousand.
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
        """Of the user whose sessions are in a room; 0 is the lobby's."""
        return self.daemon.identity(_user(room))

    def start(self, **settings: str) -> None:
        """``settings`` are environment settings for this time."""
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
    much = {"messages_per_second": 1_000_000.0, "burst": 1_000_000}
    tree.setdefault("server", {}).update(max_connections=20_000, timeout=3600, handshake_timeout=60)
    tree.setdefault("limits", {}).update(
        sessions_per_user=20_000,
        handshakes=20_000,
        handshakes_per_address=20_000,
        per_role={"admin": much, "user": much, "guest": much},
    )
    tree["rooms"] = [{"name": "#lobby", "guests": True, "autojoin": True}] + [
        {"name": f"#r{room}"} for room in range(1, ROOMS + 1)
    ]
