"""Words for keys of devices: people compare them by voice, as they compare the words of an ask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from chatd.proto.word_list import words_of

# Enough to recognize a key, not to prove it: somebody could make a key with the words of another.
KEY_WORDS = 4
# 64 bits. Whoever wants other keys with the same words has to try 2^64 of them.
PAIR_WORDS = 8


def words_of_key(key_hash: str) -> str:
    """Return the words of one key, from its SHA-256 in hex. Raises ValueError for anything else."""
    return words_of(bytes.fromhex(key_hash)[:KEY_WORDS])


def words_of_pair(ca_hash: str, *people: tuple[str, Iterable[str]]) -> str:
    """Return the words of people's keys on one server, in whatever order they are given.

    ``people``: users, each with the SHA-256 of all their keys in hex.
    """
    hashed = hashlib.sha256(b"chatd/verify/1\0" + bytes.fromhex(ca_hash))
    for user, keys in sorted((user, sorted(set(keys))) for user, keys in people):
        hashed.update(f"{user}\0{len(keys)}\0".encode("ascii"))
        for key in keys:
            hashed.update(bytes.fromhex(key))
    return words_of(hashed.digest()[:PAIR_WORDS])
