"""No change of a head, however small, is accepted; nor is a change of a signed export."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.cli.heads import judge_signature
from chatd.pki.record_key import Trust, verify_head
from chatd.proto.signatures import EXPORT_DOMAIN, parse_heads
from chatd.store.event_log import EventLog
from chatd.store.export_verifier import check_export
from tests.security.test_export_forgery import message
from tests.support.signing import Signer, make_signer, signed_export
from tests.support.storelog import NOW, order

Change = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("signer") / "certs")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("log") / "data"
    log = EventLog.open(data, now=NOW)
    log.append(
        [order(1, "room_created", "#lobby"), message(2, "#lobby", "hello"), message(3, "#lobby", "bye")]
    )
    log.close()
    return data


def one_change(place: int, new: bytes, width: int) -> Change:
    """Replace ``width`` bytes at ``place``, counted modulo the length, by ``new``."""

    def change(content: bytes) -> bytes:
        start = place % (len(content) + 1)
        return content[:start] + new + content[start + width :]

    return change


changes = st.builds(
    one_change, st.integers(0, 100_000), st.binary(max_size=3), st.integers(min_value=0, max_value=3)
)


def head_accepted(signer: Signer, content: bytes) -> bool:
    try:
        (head,) = parse_heads(content.decode("ascii"))
        verify_head(head, [signer.record.public])
    except ValueError:
        return False
    return True


@given(change=changes)
def test_a_changed_head_is_refused(change: Change, signer: Signer, data: Path) -> None:
    line = signer.head(data, 3).line.encode()
    assert head_accepted(signer, line)
    changed = change(line)
    same = re.split(rb"[ \t\r\n]+", changed.strip(b" \t\r\n")) == line.split()
    assert head_accepted(signer, changed) == same


def export_accepted(signer: Signer, content: bytes) -> bool:
    report = check_export(content.splitlines(keepends=True), lambda n, of: None)
    if not report.ok:
        return False
    server, made = report.header["server"], report.header["made"]
    trust = Trust((signer.record.public.ca_fingerprint,))
    signed = EXPORT_DOMAIN + report.signed
    return judge_signature(report.signature, signed, server=server, at=made, trust=trust).state == "trusted"


@given(change=changes)
def test_a_changed_export_is_refused_or_says_the_same(change: Change, signer: Signer, data: Path) -> None:
    content = b"".join(signed_export(data, signer))
    assert export_accepted(signer, content)
    changed = change(content)
    if export_accepted(signer, changed):
        first_line = content.partition(b"\n")[0]
        assert changed.partition(b"\n")[0] == first_line
        assert without_spaces(changed) == without_spaces(content)


def without_spaces(content: bytes) -> bytes:
    """White space between the fields of an event means nothing in JSON; in a text it would break a hash."""
    return b"".join(content.split())
