"""Move a revoked identity out of the way of the one that takes its place."""

from __future__ import annotations

from pathlib import Path

from chatctl.client import Client, read_identity
from chatctl.connecting import CONNECT_TIMEOUT
from chatd.console import output
from chatd.durable_files import set_aside
from chatd.errors import ChatdError


def make_way(path: Path) -> None:
    """Rename the identity file ``path`` to .old, and say so, if its server says that it is revoked for good.

    Any other file stays: only its server knows, and a file that might be of use is its owner's to move.
    """
    if not path.is_file() or not _is_revoked(path):
        return
    output.note(f"the identity in {path} is revoked; it is now {set_aside(path)}")


def _is_revoked(path: Path) -> bool:
    try:
        with Client(read_identity(path), live=False, reconnect=False) as client:
            client.wait_connected(CONNECT_TIMEOUT)
    except ChatdError as error:
        return error.code == "E206"
    return False
