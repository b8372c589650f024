"""Properties of the store: search queries and the hash chain."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.errors import ChatdError
from chatd.proto.search_query import parse
from chatd.store.chain import hash_entry
from chatd.store.entry import Entry
from chatd.store.search_index import SearchIndex
from chatd.store.searcher import Searcher
from tests.support.storelog import NOW, filled

_PIECES = st.sampled_from(
    [
        '"',
        "'",
        "NEAR(",
        ")",
        "AND",
        "NOT",
        "^",
        "*",
        ":",
        "-",
        "from:",
        "in:#x",
        "since:",
        "1h",
        "\0",
        "{a b}: c",
    ]
)
_TEXT = st.lists(st.one_of(_PIECES, st.text(max_size=8)), max_size=20).map("".join)


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    data = tmp_path_factory.mktemp("words")
    filled(data, 8).close()
    index = SearchIndex(data)
    index.catch_up(8)
    searcher = Searcher(data)
    yield searcher
    searcher.close()
    index.close()


@given(_TEXT, st.integers(0, 2**50))
@settings(max_examples=400, deadline=None)
def test_no_query_is_an_error(searcher: Searcher, text: str, now: int) -> None:
    try:
        found = searcher.search(parse(text, now), ["#lobby", "#war"], limit=5, before=None)
    except ChatdError as error:
        assert error.code == "E411"
        return
    assert not found.partial


SALT = bytes(16)
_NULLABLE_TEXT = st.none() | st.text(max_size=4)
_NULLABLE_BYTES = st.none() | st.binary(max_size=4)
_ENTRIES = st.builds(
    Entry,
    st.integers(1, 3),
    st.integers(0, 3),
    st.text(max_size=4),
    _NULLABLE_TEXT,
    _NULLABLE_TEXT,
    _NULLABLE_BYTES,
    _NULLABLE_BYTES,
    st.binary(max_size=4),
)


@given(_ENTRIES, _ENTRIES, st.binary(min_size=32, max_size=32))
def test_different_entries_have_different_hashes(one: Entry, other: Entry, previous: bytes) -> None:
    """Moving bytes to the next field changes the hash, and NULL differs from empty."""
    same = hash_entry(previous, one, SALT) == hash_entry(previous, other, SALT)
    assert same == (one == other)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=3), _ENTRIES)
def test_moving_bytes_between_fields_changes_the_hash(moved: str, entry: Entry) -> None:
    left = entry._replace(kind=entry.kind + moved, room=entry.room or "")
    right = entry._replace(room=moved + (entry.room or ""))
    assert hash_entry(bytes(32), left, SALT) != hash_entry(bytes(32), right, SALT)


def test_hashes_are_as_documented() -> None:
    """Computed independently of the code: old logs must stay verifiable."""
    entry = Entry(258, NOW, "message", "#a", None, b"i" * 16, b"", b"{}")
    head = (258).to_bytes(8) + NOW.to_bytes(8) + b"".join(n.to_bytes(4) for n in (7, 2, 2**32 - 1, 16))
    body_hash = sha256(b"s" * 16 + (0).to_bytes(4) + b"{}").digest()
    raw = bytes(32) + head + b"message" + b"#a" + b"i" * 16 + body_hash
    assert hash_entry(bytes(32), entry, b"s" * 16) == (body_hash, sha256(raw).digest())
