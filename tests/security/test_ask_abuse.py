"""Asks under attack: a person in the middle, replays, floods, what an asker learns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chatd.enrol.pending_asks import ASKS_PER_BLOCK
from tests.support.askers import RawAsker, asks
from tests.support.daemon import Daemon, running, wait_until
from tests.support.joining import devices_of, invite, outcome_of


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("ask-abuse") / "home") as daemon:
        daemon.add_user("una")
        yield daemon


def test_a_key_of_somebody_in_the_middle_has_other_words_than_the_asker(daemon: Daemon) -> None:
    """The one in the middle passes the asker's name on with a key of its own."""
    with RawAsker(daemon.port) as asker, RawAsker(daemon.port) as middle:
        told = middle.begin("mia")
        assert told["type"] == "nonce"
        # The middle gives the asker the server's nonce, and has to reveal to the server before it knows the
        # asker's: the commitment came first.
        assert middle.send({"type": "reveal", "nonce": middle._nonce.hex()})["type"] == "asked"
        [listed] = [ask["words"] for ask in asks(daemon) if ask["user"] == "mia"]
        asker.ask("mia")
        assert asker.words != listed
    for ask in asks(daemon):
        if ask["user"] == "mia":
            daemon.chatctl("deny", "mia", "--words", ask["words"])


def test_the_order_of_the_exchange_cannot_be_changed(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        with RawAsker(daemon.port) as asker:
            assert asker.send({"type": "reveal", "nonce": "00" * 32})["code"] == "E105"
        for nonce in ("00" * 32, "zz" * 32, "", 7):
            with RawAsker(daemon.port) as asker:
                assert asker.begin("max")["type"] == "nonce"
                assert asker.send({"type": "reveal", "nonce": nonce})["code"] == "E102"
        with RawAsker(daemon.port) as asker:
            assert asker.begin("max")["type"] == "nonce"
            assert asker.begin("max")["code"] == "E105"
        for fields in ({"commitment": "00"}, {"csr": "junk"}, {"user": "../x"}, {"user": "server"}):
            with RawAsker(daemon.port) as asker:
                assert asker.begin(**{"user": "max"} | fields)["code"] in ("E102", "E217", "E403")
        assert asks(daemon) == []


def test_an_asker_learns_nothing_of_the_names(daemon: Daemon) -> None:
    """The same frames for a name that is taken, banned or free, until an admin decides."""
    told = []
    for user in ("alice", "una", "newt"):
        with RawAsker(daemon.port) as asker:
            told.append(asker.ask(user))
            daemon.chatctl("deny", user)
            told[-1] |= asker.decision()
    assert told[0] == told[1] == told[2]


def test_the_connection_may_drop_and_come_back_with_the_same_key(daemon: Daemon) -> None:
    with RawAsker(daemon.port) as first:
        assert first.ask("rob")["type"] == "asked"
    with RawAsker(daemon.port, first.key) as second:
        assert second.begin("rob")["type"] == "asked"
        assert [ask["words"] for ask in asks(daemon) if ask["user"] == "rob"] == [first.words]
        with RawAsker(daemon.port) as other_key:
            assert other_key.begin("rob")["type"] == "nonce"
        assert devices_of(daemon, "rob") == []
    daemon.chatctl("approve", "rob", "--words", first.words)
    with RawAsker(daemon.port, first.key) as third:
        third.ask("rob")
        assert third.decision()["user"] == "rob"
    assert devices_of(daemon, "rob") == ["laptop"]


def test_asks_are_few_for_a_block_and_hold_up_no_invite(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        waiting = [RawAsker(daemon.port) for _ in range(ASKS_PER_BLOCK)]
        try:
            assert all(asker.ask("eve")["type"] == "asked" for asker in waiting)
            with RawAsker(daemon.port) as late:
                assert late.ask("eve")["code"] == "E218"
            assert len(asks(daemon)) == ASKS_PER_BLOCK
            assert outcome_of(daemon.port, invite(daemon, "carol")) == "enrolled"
        finally:
            for asker in waiting:
                asker.sock.close()
        for ask in asks(daemon):
            daemon.chatctl("deny", "eve", "--words", ask["words"])
        outcomes = []
        for _ in range(20):
            with RawAsker(daemon.port) as asker:
                outcomes.append(asker.begin("eve").get("code", "nonce"))
        assert outcomes[-1] == "E218", outcomes
        assert daemon.child("enrol")["restarts"] == 0


def test_an_admins_own_name_gives_a_device_to_that_admin_only(daemon: Daemon) -> None:
    """Approving one's own name adds a device to oneself; nobody else may."""
    daemon.add_user("ann", role="admin")
    with RawAsker(daemon.port, ec.generate_private_key(ec.SECP256R1())) as asker:
        assert asker.ask("ann")["type"] == "asked"
        assert "there is a user ann" in daemon.chatctl("approve", "ann", "--yes", check=False).stderr
        daemon.chatctl("deny", "ann")
    wait_until(lambda: asks(daemon) == [], what="no asks")
