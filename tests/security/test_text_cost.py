"""Text that is expensive to normalise stops neither the hub nor other users."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon, running

# NFKC takes seconds for this, because it reorders the marks: quadratic in the length of the run.
MARKS = "a" + "\u0344" * 8191 + "\u0316" * 8192
HANGUL = "".join(chr(0xAC00 + number % 11_172) for number in range(16_000))


def hub_restarts(daemon: Daemon) -> int:
    (hub,) = (child for child in daemon.status()["children"] if child["kind"] == "hub")
    return int(hub["restarts"])


def test_a_guests_marks_and_hangul_are_answered_by_the_same_hub(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        with Client(read_identity(daemon.add_user("gus", role="guest"))) as client:
            client.wait_connected(30)
            # At once, as a guest's burst allows: the hub decides them in one go.
            sent = [client.send("#lobby", text) for text in (MARKS, MARKS, MARKS, MARKS, HANGUL)]
            for message in sent:
                assert message.wait(60).notes
            with suppress(ChatdError):
                client.request("away", text=MARKS[:256])
            with suppress(ChatdError):
                client.request("search", query=MARKS[:500])
        assert hub_restarts(daemon) == 0
