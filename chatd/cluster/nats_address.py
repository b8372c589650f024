"""Where the NATS servers listen, in a file that only chatd's processes may read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from chatd.durable_files import PRIVATE, replace_file

STREAM_FOLDER: Final = "data/stream"
_NAME: Final = "address.json"
ADDRESS_FILE: Final = f"{STREAM_FOLDER}/{_NAME}"
# In certs/, each of them optional: how every node logs in to NATS servers of one's own.
CA_FILE: Final = "nats-ca.pem"
CLIENT_FILES: Final = ("nats-client.pem", "nats-client.key")
LOGIN_FILE: Final = "nats-login.key"
OUTSIDE_FILES: Final = (CA_FILE, *CLIENT_FILES, LOGIN_FILE)


class NatsAddress(NamedTuple):
    """Where the box's own NATS server listens for clients, and who may be one.

    With ``outside``, URLs of servers that chatd does not start, there is none of its own. ``ca`` is the PEM
    text of their CA, "" for those that the system trusts; ``certificate`` and ``key`` are files, "" for none.
    ``syncs``: whether the settings say that they sync before they acknowledge.
    """

    host: str
    port: int
    user: str
    password: str
    outside: Sequence[str] = ()
    ca: str = ""
    certificate: str = ""
    key: str = ""
    syncs: bool = False

    @property
    def urls(self) -> Sequence[str]:
        return self.outside or (f"nats://{self.host}:{self.port}",)


def write_address(folder: Path, address: NatsAddress) -> None:
    """Write the address of the server whose files are in ``folder``. Raises E606."""
    replace_file(folder / _NAME, json.dumps(address._asdict()).encode(), PRIVATE)


def read_address(home: Path) -> NatsAddress:
    """Return the address of the home's server. Raises OSError while there is none."""
    try:
        return NatsAddress(**json.loads((home / ADDRESS_FILE).read_bytes()))
    except (ValueError, TypeError) as error:
        raise OSError(f"{ADDRESS_FILE} cannot be read") from error
