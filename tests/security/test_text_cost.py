"""Text that is expensive to normalise stops neither the hub nor other users."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from chatctl.client import Client, Sent
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon, running

# NFKC takes seconds for this, because it reorders the marks: quadratic in the length of the run.
MARKS = "a" + "\u0344" * 8191 + "\u0316" * 8192
# As many marks as pass: runs of 30, each escaped beyond the eighth.
RUNS = ("a" + "\u0344" * 15 + "\u0316" * 15) * 520
HANGUL = "".join(chr(0xAC00 + number % 11_172) for number in range(10_000))


def refusal(message: Sent) -> str:
    try:
        message.wait(60)
    except ChatdError as error:
        return error.code
    return ""


def hub_restarts(daemon: Daemon) -> int:
    (hub,) = (child for child in daemon.status()["children"] if child["kind"] == "hub")
    return int(hub["restarts"])


def test_a_guests_marks_and_hangul_are_answered_by_the_same_hub(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        with Client(read_identity(daemon.add_user("gus", role="guest"))) as client:
            client.wait_connected(30)
            outcomes = [(MARKS, "E402"), (RUNS, "E401"), (HANGUL, ""), (MARKS[:4000], "")]
            sent = [(client.send("#lobby", text), code) for text, code in outcomes]
            for message, code in sent:
                assert refusal(message) == code
            with suppress(ChatdError):
                client.request("away", text=MARKS[:256])
            with suppress(ChatdError):
                client.request("search", query=MARKS[:500])
        assert hub_restarts(daemon) == 0
