"""What the commands import before they do anything: most of their time is that."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Packages that take long to load, and the server's own.
HEAVY = {"pydantic", "cryptography", "ssl", "sqlite3", "asyncio", "psutil", "tkinter", "prompt_toolkit"}
SERVER = {f"chatd.{name}" for name in ("hub", "worker", "enrol", "gateway", "shipping", "link")}
# What a client of the server cannot do without.
CLIENT = {"pydantic", "cryptography", "ssl", "sqlite3"}
SETTINGS = {"chatd.config.schema", "chatd.config.loading"}
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
        (("chatd.cli.root", "chatd.cli.lifecycle"), HEAVY | SERVER | SETTINGS),
        (("chatctl.chat", "chatctl.scripts.one_shot"), SERVER | SETTINGS | HEAVY - CLIENT),
        (("chatctl.cli", "chatctl.admin.server"), SERVER | SETTINGS | HEAVY - CLIENT),
    ],
    ids=["chat", "chatctl", "chatd-status", "chat-send", "chatctl-stats"],
)
def test_a_command_imports_no_more_than_it_needs(modules: tuple[str, ...], without: set[str]) -> None:
    imported = _imported(*modules)
    assert set(modules) <= imported
    assert not imported & without
