"""The exact form of the lines of an export. Unknown, missing and repeated fields are refused.

If the salt could have any length, bytes could move between salt, digest and body under the same hash. If a
key could occur twice, two readers could see two texts in one line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chatd.proto.lineage import LINEAGE_LIMIT
from chatd.store.chain import DIGEST_BYTES, SALT_BYTES, compute_chain_hash, hash_body
from chatd.store.entry import Point

SCHEMA = 1
SIGNED_SCHEMA = 2  # the same, and a last line with a signature of the first
_MAX_INT = 2**63 - 1

Bytes16 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Bytes32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Salt = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * SALT_BYTES}}}$")]
Digest = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * DIGEST_BYTES}}}$")]
Seq = Annotated[int, Field(ge=1, le=_MAX_INT)]
Time = Annotated[int, Field(ge=-_MAX_INT, le=_MAX_INT)]


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Place(_Line):
    """A `Point` in JSON."""

    seq: int = Field(ge=0, le=_MAX_INT)
    chain: Bytes32

    @property
    def point(self) -> Point:
        return Point(self.seq, bytes.fromhex(self.chain))


class Chosen(_Line):
    """What was asked for: see `Choice`."""

    room: str | None
    since: Time | None
    until: Time | None


class ExportedBranch(_Line):
    """One branch of the lineage."""

    id: Bytes16
    began: int = Field(ge=0, le=_MAX_INT)


class Header(_Line):
    """The first line."""

    schema_number: int = Field(alias="schema", ge=SCHEMA, le=SIGNED_SCHEMA)
    type: Literal["export"]
    server: str = Field(max_length=64)
    made: str = Field(max_length=40)
    log: Bytes16
    lineage: list[ExportedBranch] = Field(min_length=1, max_length=LINEAGE_LIMIT)
    choice: Chosen
    start: Place
    head: Place


class Event(_Line):
    """One event, its body withheld."""

    seq: Seq
    at: Time
    kind: str = Field(min_length=1, max_length=64)
    room: str | None
    device: str | None
    msg_id: Bytes16 | None
    body_hash: Bytes32
    chain: Bytes32

    def chain_hash(self, before: bytes) -> bytes:
        """Compute the chain hash after this event."""
        return compute_chain_hash(
            before,
            self.seq,
            self.at,
            self.kind.encode(),
            None if self.room is None else self.room.encode(),
            None if self.device is None else self.device.encode(),
            None if self.msg_id is None else bytes.fromhex(self.msg_id),
            bytes.fromhex(self.body_hash),
        )


class RedactedEvent(Event):
    """An event whose body the event ``erased_by`` has removed."""

    erased_by: Seq


class ShownEvent(Event):
    """An event with its body."""

    salt: Salt
    digest: Digest | None
    body: str

    def fits(self) -> bool:
        """Whether the body has the event's hash."""
        digest = None if self.digest is None else bytes.fromhex(self.digest)
        return hash_body(bytes.fromhex(self.salt), digest, self.body.encode()).hex() == self.body_hash

    def agrees(self) -> bool:
        """Whether the body, which is what people read, says the same as the other fields."""
        try:
            body = strict_object(self.body)
        except (ValueError, RecursionError):
            return False
        expected: dict[str, Any] = {"type": self.kind, "seq": self.seq, "at": self.at}
        if self.room is not None and self.room.startswith("="):
            expected["user"] = self.room[1:]  # for this user alone; the body's room is what it concerns
        elif self.room is not None:
            expected["room"] = self.room
        if self.kind in ("message", "edited"):
            user, _, device = (self.device or "").partition("/")
            expected |= {"room": self.room, "user": user, "device": device, "msg_id": self.msg_id}
        return all(name in body and _same(body[name], value) for name, value in expected.items())


def _same(found: object, value: object) -> bool:
    return type(found) is type(value) and found == value  # to Python, True and 1.0 are both 1


def parse_event(line: dict[str, Any]) -> Event:
    """Validate a line after the first. Raises ValueError."""
    kind = ShownEvent if "body" in line else RedactedEvent if "erased_by" in line else Event
    return kind.model_validate(line)


def strict_object(text: bytes | str) -> dict[str, Any]:
    """Decode a JSON object in which no key occurs twice. Raises ValueError, RecursionError."""
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} occurs twice")
        found[name] = value
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
