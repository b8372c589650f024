"""Run the `chat` program as scripts do, against a real daemon."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon
from tests.support.proxy import Proxy

Done = subprocess.CompletedProcess[str]


def identity_of(daemon: Daemon, user: str) -> Path:
    """The identity of the user's only device."""
    return daemon.identity(user, "console" if user == "alice" else "laptop")


def run_chat(daemon: Daemon, *arguments: str, text: str = "", user: str = "bob", check: bool = True) -> Done:
    """Run `chat` with ``text`` on standard input."""
    identity = str(identity_of(daemon, user))
    return daemon.run("chat", "--identity", identity, *arguments, input=text, check=check)


def bodies(done: Done) -> list[str]:
    """The message bodies in the output of a command with --json."""
    return [json.loads(line)["body"] for line in done.stdout.splitlines()]


def admin_client(daemon: Daemon) -> Client:
    """A client of the first admin that only sends requests."""
    return Client(read_identity(identity_of(daemon, "alice")), live=False)


def create_room(daemon: Daemon, name: str) -> str:
    """Create a room for one test; return its name without the #."""
    with admin_client(daemon) as alice:
        alice.request("create", room=f"#{name}")
    return name


@contextmanager
def identity_through_proxy(daemon: Daemon, folder: Path) -> Iterator[tuple[Proxy, Path]]:
    """Run a proxy to the server; yield it and an identity of bob that connects through it."""
    identity = identity_of(daemon, "bob")
    server = read_identity(identity).servers[0]
    proxy, path = Proxy(server), folder / "through-proxy.pem"
    path.touch(mode=0o600)
    path.write_text(identity.read_text().replace(server, proxy.address))
    try:
        yield proxy, path
    finally:
        proxy.close()
