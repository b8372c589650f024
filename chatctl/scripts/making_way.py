"""Move a revoked identity out of the way of the one that takes its place."""

from __future__ import annotations

import os
from pathlib import Path

from chatctl.client import Client, Identity, Sent, left_behind, read_identity, state_folder
from chatctl.connecting import CONNECT_TIMEOUT
from chatctl.model.render import snippet
from chatd.console import output
from chatd.durable_files import set_aside
from chatd.errors import ChatdError

# Unsent messages that are shown, and how much of each.
UNSENT_SHOWN = 10
UNSENT_CHARS = 200


def make_way(path: Path) -> None:
    """Rename the identity file ``path`` to .old, and say so, if its server says that it is revoked for good.

    Any other file stays: only its server knows, and a file that might be of use is its owner's to move.
    """
    if not path.is_file() or not _is_revoked(path):
        return
    revoked = read_identity(path)
    output.note(f"the identity in {path} is revoked; it is now {set_aside(path)}")
    _tell_unsent(revoked)


def _tell_unsent(revoked: Identity) -> None:
    """Show what the revoked identity has not sent, as no other one sends it."""

    def tell(unsent: list[Sent]) -> list[str]:
        for sent in unsent[:UNSENT_SHOWN]:
            output.note(f"not sent to {sent.to}: {snippet(sent.body, UNSENT_CHARS)}")
        return []  # the window puts them back into the input

    try:
        count = left_behind(state_folder(revoked, os.environ), tell)
    except ChatdError as error:
        output.note(f"its unsent messages cannot be read: {error.reason}")
        return
    if count > UNSENT_SHOWN:
        output.note(f"{count - UNSENT_SHOWN:,} more were not sent: chat window shows them in its input")


def _is_revoked(path: Path) -> bool:
    try:
        with Client(read_identity(path), live=False, reconnect=False) as client:
            client.wait_connected(CONNECT_TIMEOUT)
    except ChatdError as error:
        return error.code == "E206"
    return False
