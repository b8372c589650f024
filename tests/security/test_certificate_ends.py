"""A certificate that ends while its owner is connected: out, told why, and not back."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from chatctl.client import Client, Connected, Disconnected, read_identity
from chatd.cli.users import add_user
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.errors import ChatdError
from tests.support.daemon import Daemon, running, wait_until

VALID_SECONDS = 8.0


def short_lived(daemon: Daemon, user: str) -> Path:
    """As `chatd user add`, with a certificate that ends in some seconds."""
    settings = load_settings(daemon.home, daemon.environ)
    days = cast(int, VALID_SECONDS / 86_400)
    return add_user(Home(daemon.home), settings, user, "laptop", "user", None, days)


def test_a_session_ends_with_its_certificate(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        lasting = daemon.add_user("carol")
        identity = read_identity(short_lived(daemon, "bob"))
        events: list[object] = []
        bob = Client(identity)
        bob.on_event(events.append)
        with Client(read_identity(lasting)) as carol, bob:
            bob.send("#lobby", "for now").wait(30)
            wait_until(lambda: bob.error is not None, what="the session to end")
            ends = [event for event in events if isinstance(event, Disconnected)]
            # The server's clock may be wrong for a moment, so it is tried again, once; then for good.
            assert [end.retry_in is None for end in ends] == [False, True]
            assert len([event for event in events if isinstance(event, Connected)]) == 1
            cut = cast(ChatdError, bob.error)
            carol.send("#lobby", "still here").wait(30)
            # The same words as for one who comes back.
            again = Client(identity)
            again.start()
            wait_until(lambda: again.error is not None, what="the login to be refused")
            again.close()
            assert str(again.error) == str(cut)
            assert (cut.code, cut.reason) == (
                "E202",
                f"your certificate expired on {identity.not_after:%Y-%m-%d %H:%M}Z",
            )
        (line,) = [one for one in daemon.log_lines("security.log") if one["event"] == "certificate_expired"]
        assert (line["user"], line["device"], line["code"]) == ("bob", "laptop", "E202")
