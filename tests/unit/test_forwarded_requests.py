"""What a follower is asked, the leader answers: the same reply, held until the follower can show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.config.schema import Settings
from tests.support.two_hubs import TwoHubs


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[TwoHubs]:
    """Two hubs with alice at the leader (session 1) and bob at the follower (session 1)."""
    hubs = TwoHubs(tmp_path, Settings())
    for name in ("alice", "bob"):
        assert hubs.ask(hubs.operator, 0, "user_add", user=name, device="dev", serial=f"{name[0]}1")
    assert hubs.open_session(hubs.workers[0], 1, "alice", "dev", "a1")
    assert hubs.open_at_beta(1, "bob", "dev", "b1")
    yield hubs
    hubs.close()


def test_a_message_by_way_of_the_follower_is_in_both_logs(hubs: TwoHubs) -> None:
    reply = hubs.ask_beta(1, "send", to="#lobby", body="hello", msg_id="1" * 32)
    assert reply is not None
    assert reply["type"] == "ok", reply
    assert hubs.log.head == hubs.beta.log.head == reply["result"]["seq"]
    assert hubs.log.chain_hash == hubs.beta.log.chain_hash
