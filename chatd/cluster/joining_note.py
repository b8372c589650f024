"""The note in the home of a node that waits for a copy of the log, before its hub may start.

`chatd cluster join` writes it into a new home, and a node that is too far behind into its own. The nats
process copies the log from another node, then removes it.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from chatd.durable_files import PRIVATE, replace_file, sync_folder

JOINING_FILE: Final = "data/joining.json"


class Joining(NamedTuple):
    """``ticket`` names the node's join file, ``home`` this home: another one with that ticket is refused.

    A node that the others know already has no ticket.
    """

    ticket: str
    home: str


def begin_joining(home: Path, ticket: str = "") -> None:
    """Let the nats process copy the log; until it has done so no hub opens it. Raises E606."""
    joining = Joining(ticket, secrets.token_hex(16))
    replace_file(home / JOINING_FILE, json.dumps(joining._asdict()).encode(), PRIVATE)


def joining_of(home: Path) -> Joining | None:
    """Return the note; None if the home has its log. Raises OSError."""
    try:
        return Joining(**json.loads((home / JOINING_FILE).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise OSError(f"{JOINING_FILE} cannot be read") from error


def end_joining(home: Path) -> None:
    """The home has its log now. Raises OSError."""
    (home / JOINING_FILE).unlink(missing_ok=True)
    sync_folder((home / JOINING_FILE).parent)
