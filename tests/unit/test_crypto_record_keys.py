"""Record keys: their limits, and protection against copies."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable

import pytest

from chatd.crypto import records
from chatd.crypto.records import DATA, HEADER, REKEY
from chatd.errors import ChatdError
from tests.unit.test_crypto_records import opener, refused, sealer


def fields(record: bytes) -> tuple[int, int, int, int]:
    """Return length, type, epoch, seq."""
    length, kind, epoch, seq = HEADER.unpack_from(record)
    return length, kind, epoch, seq


def split(stream: bytes) -> list[bytes]:
    found = []
    while stream:
        end = HEADER.size + fields(stream)[0]
        found.append(stream[:end])
        stream = stream[end:]
    return found


# -- rekeying


@pytest.mark.parametrize(
    ("limit", "value", "rekeys_before"),
    [
        ("RECORDS_PER_KEY", 2, [2, 4, 6]),
        ("BYTES_PER_KEY", 10, [2, 4, 6]),
        ("BYTES_PER_KEY", 9, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_the_sealer_rekeys_at_the_limits_of_a_key(
    limit: str, value: int, rekeys_before: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, limit, value)
    sender, side = sealer(), opener()
    sent = [split(sender.seal(b"12345")) for _ in range(7)]
    assert [i for i, made in enumerate(sent) if len(made) == 2] == rekeys_before
    headers = [fields(record)[1:] for made in sent for record in made]
    assert headers[0] == (DATA, 0, 0)
    epoch = seq = 0
    for kind, e, s in headers:
        assert (e, s) == (epoch, seq)
        epoch, seq = (epoch + 1, 0) if kind == REKEY else (epoch, seq + 1)
    assert side.feed(b"".join(record for made in sent for record in made)) == [b"12345"] * 7
    assert side.feed(sender.close()) == []
    assert side.closed


@pytest.mark.parametrize(("limit", "value"), [("RECORDS_PER_KEY", 2), ("BYTES_PER_KEY", 14)])
def test_a_key_used_beyond_its_limits_is_refused(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = sealer()
    sent = [sender.seal(b"12345") for _ in range(3)]
    monkeypatch.setattr(records, limit, value)
    side = opener()
    assert side.feed(sent[0] + sent[1]) == [b"12345"] * 2
    assert refused(side, sent[2]) == "E104"


def test_a_record_of_the_previous_epoch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sender, side = sealer(), opener()
    first = sender.seal(b"one")
    monkeypatch.setattr(records, "RECORDS_PER_KEY", 1)
    second = sender.seal(b"two")
    assert side.feed(first + second) == [b"one", b"two"]
    assert refused(side, first) == "E104"


def test_authentic_record_with_another_epoch_is_refused() -> None:
    sender = sealer()
    sender._epoch = 1
    assert refused(opener(), sender.seal(b"payload")) == "E104"


def test_epochs_do_not_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORDS_PER_KEY", 1)
    monkeypatch.setattr(records, "LAST_EPOCH", 1)
    sender = sealer()
    stream = sender.seal(b"one") + sender.seal(b"two")
    with pytest.raises(ChatdError, match="E104"):
        sender.seal(b"three")
    side = opener()
    assert side.feed(stream) == [b"one", b"two"]
    assert refused(side, sender._record(REKEY, b"", 0)) == "E104"


# -- copies of a key


@pytest.mark.parametrize("side", [sealer(), opener()], ids=["sealer", "opener"])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_keys_cannot_be_copied(side: object, duplicate: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="cannot be copied"):
        duplicate(side)


_FORK = """
import os
from chatd.crypto.records import RecordOpener, RecordSealer
make = (b"s" * 32, b"c2s", b"i" * 16)
sealer, opener, record = RecordSealer(*make), RecordOpener(*make), RecordSealer(*make).seal(b"x")
child = os.fork()
if not child:
    refused = 0
    for call in (lambda: sealer.seal(b"x"), sealer.close, lambda: opener.feed(record)):
        try:
            call()
        except RuntimeError:
            refused += 1
    assert RecordOpener(*make).feed(RecordSealer(*make).seal(b"own")) == [b"own"]
    os._exit(refused)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
assert opener.feed(sealer.seal(b"y")) == [b"y"]
"""


def test_keys_work_in_the_original_process_only() -> None:
    # In a separate process: a test worker has threads and must not fork.
    subprocess.run([sys.executable, "-c", _FORK], check=True, timeout=30)
