"""Heads of the log: read one to sign, and compare a log with heads that somebody kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from chatd.proto.lineage import LINEAGE_LIMIT
from chatd.proto.signatures import SignedHead
from chatd.store.branches import read_lineage
from chatd.store.chain import BadChain, point_at
from chatd.store.database import connect_reader, meta_bytes, storage_errors
from chatd.store.entry import Point


class BranchLike(Protocol):
    """A branch of a lineage; see `chatd.proto.lineage.Branch`."""

    @property
    def id(self) -> str: ...
    @property
    def began(self) -> int: ...


class LogHead(NamedTuple):
    """An entry's point, the 16 bytes that identify its log, and the id of the newest branch."""

    point: Point
    log: bytes
    branch: str


def read_head(data: Path, seq: int) -> LogHead:
    """Read the head that the log had at entry ``seq``. Raises E504, E610."""
    with storage_errors("read the head"):
        connection = connect_reader(data)
        try:
            branch = read_lineage(connection)[-1].id
            return LogHead(point_at(connection, seq), meta_bytes(connection, "instance"), branch)
        finally:
            connection.close()


def expected_by(heads: Iterable[SignedHead], log: bytes, lineage: Sequence[BranchLike]) -> dict[int, bytes]:
    """Return the chain hashes, by seq, that a log with this lineage must have to contain ``heads``.

    Their signatures are verified already. Raises BadChain if it cannot contain them.
    """
    expected: dict[int, bytes] = {}
    for head in heads:
        if head.log != log.hex():
            raise BadChain(head.seq, "a kept head is of another log")
        _check_lineage(head, lineage)
        chain_hash = bytes.fromhex(head.chain)
        if expected.setdefault(head.seq, chain_hash) != chain_hash:
            raise BadChain(head.seq, "two kept heads contradict each other")
    return expected


def _check_lineage(head: SignedHead, lineage: Sequence[BranchLike]) -> None:
    places = [place for place, branch in enumerate(lineage) if branch.id == head.branch]
    if not places:
        if len(lineage) >= LINEAGE_LIMIT:
            return  # it may have been merged; the chain hash still decides
        raise BadChain(head.seq, "a kept head is of a branch that is not in the lineage of this log")
    for branch in lineage[places[0] + 1 :]:
        if branch.began < head.seq:
            raise BadChain(
                head.seq,
                f"a kept head names it, but a backup that ended at {branch.began} was restored",
            )
