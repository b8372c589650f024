"""What the commands import before they do anything: most of their time is that."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Packages that take long to load, and the server's own.
HEAVY = {
    "pydantic", "cryptography", "ssl", "sqlite3", "asyncio", "psutil", "tkinter", "prompt_toolkit",
    "wcwidth", "difflib", "shutil", "multiprocessing",
}  # fmt: skip
SERVER = {f"chatd.{name}" for name in ("hub", "worker", "enrol", "gateway", "shipping", "link")}
# What a client of the server cannot do without: it reads events without pydantic, and keeps no state.
CLIENT = {"cryptography", "ssl"}
# Of joining, renewing, and finding servers.
JOINING = {f"chatctl.client.{name}" for name in ("_joining", "_asking", "_probing", "_new_certificate")}
SETTINGS = {"chatd.config.schema", "chatd.config.loading"}
ONE_REQUEST = SERVER | SETTINGS | JOINING | (HEAVY - CLIENT)
LISTED = "import sys; print(*sys.modules, sep='\\n')"


def _imported(*modules: str) -> set[str]:
    """The modules that a fresh Python has loaded after importing ``modules``."""
    code = f"import {', '.join(modules)}\n{LISTED}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("modules", "without"),
    [
        (("chatctl.chat",), HEAVY | SERVER | SETTINGS),
        (("chatctl.cli",), HEAVY | SERVER | SETTINGS),
        (("chatd.cli.root", "chatd.cli.lifecycle"), HEAVY - {"shutil"} | SERVER | SETTINGS),
        (("chatd.cli.root", "chatd.cli.check"), SERVER | {"psutil", "sqlite3", "chatd.supervisor.main"}),
        (("chatctl.chat", "chatctl.scripts.send_command"), ONE_REQUEST | {"chatctl.model.render"}),
        (("chatctl.chat", "chatctl.scripts.history_command"), ONE_REQUEST),
        (("chatctl.chat", "chatctl.scripts.whoami_command"), ONE_REQUEST | {"chatctl.model.render"}),
        (("chatctl.cli", "chatctl.admin.server"), ONE_REQUEST),
        (("chatctl.cli", "chatctl.admin.people"), ONE_REQUEST),
        (("chatctl.cli", "chatctl.admin.sanctions"), ONE_REQUEST),
    ],
    ids=[
        "chat", "chatctl", "chatd-status", "chatd-check", "chat-send", "chat-history", "chat-whoami",
        "chatctl-stats", "chatctl-users", "chatctl-kick",
    ],
)  # fmt: skip
def test_a_command_imports_no_more_than_it_needs(modules: tuple[str, ...], without: set[str]) -> None:
    # A command of the clients imports the library when it connects.
    library = ("chatctl.client",) if len(modules) > 1 and modules[0].startswith("chatctl") else ()
    imported = _imported(*modules, *library)
    assert set(modules) <= imported
    assert not imported & without
