"""The file with which a machine becomes a node of a cluster: its settings, its keys, the other nodes.

Its holder can pose as the server. It works once, within a day.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatd.console.pasting import pasteable
from chatd.durable_files import PRIVATE, create_file
from chatd.errors import ChatdError
from chatd.proto.signatures import TIME_FORMAT

VALID: Final = timedelta(days=1)
# Its settings may assign roles to ten thousand users.
_MAX_BYTES: Final = 4 * 1024 * 1024
_FORMAT: Final = "chatd join 1"
# What the file may write below the home: certs/ca.pem and the like.
_PATH: Final = r"^certs/[a-z-]+\.(pem|key|json)$"


class JoinFile(BaseModel):
    """The content of the file. ``files`` are texts by their paths in the home; ``ticket`` names the file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["chatd join 1"] = _FORMAT
    server: str
    node: str
    made: str
    expires: str
    ticket: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    settings: dict[str, Any]
    files: dict[Annotated[str, Field(pattern=_PATH)], str]

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        text = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def join_command(path: Path) -> str:
    """Return the command that uses a join file, to be pasted on its machine."""
    return pasteable("chatd", "--home", "DIR", "cluster", "join", path.name, "--start")


def write_join_file(path: Path, content: JoinFile) -> None:
    """Write a new file that only its owner may read. Raises E606, also if it exists."""
    tree = {**content.model_dump(), "digest": content.digest}
    create_file(path, json.dumps(tree, indent=1).encode(), PRIVATE)


def read_join_file(path: Path, now: datetime) -> JoinFile:
    """Read and judge a file. Raises E606; E623 for one that was changed or has expired."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ChatdError("E606", f"{path}: {error.strerror}") from None
    try:
        tree = json.loads(data)
        digest = tree.pop("digest")
        content = JoinFile.model_validate(tree)
        expires = datetime.strptime(content.expires, TIME_FORMAT).replace(tzinfo=UTC)
    except (ValueError, ValidationError, AttributeError, KeyError, TypeError, RecursionError):
        raise ChatdError(
            "E623", f"{path} is no join file of this version of chatd, or only a part of one"
        ) from None
    if digest != content.digest:
        raise ChatdError(
            "E623", f"{path} was changed after it was made", "copy it again from where it was made"
        )
    if now >= expires:
        raise ChatdError("E623", f"{path} was valid until {content.expires}")
    return content
