"""A session ends when its certificate expires; the user is told why and cannot log in again."""

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
    """Add a user as `chatd user add` does, with a certificate that expires in VALID_SECONDS."""
    settings = load_settings(daemon.home, daemon.environ)
    days = cast(int, VALID_SECONDS / 86_400)
    return add_user(Home(daemon.home), settings, user, "laptop", "user", None, days)


def test_a_session_ends_with_its_certificate(tmp_path: Path) -> None:
    # Where nobody renews certificates.
    with running(tmp_path / "home", CHATD_SERVER__ENROL="false") as daemon:
        long_lived = daemon.add_user("carol")
        identity = read_identity(short_lived(daemon, "bob"))
        events: list[object] = []
        bob = Client(identity)
        bob.on_event(events.append)
        with Client(read_identity(long_lived)) as carol, bob:
            bob.send("#lobby", "for now").wait(30)
            wait_until(lambda: bob.error is not None, what="the session to end")
            disconnections = [event for event in events if isinstance(event, Disconnected)]
            # The client retries once, in case the server's clock was wrong for a moment.
            assert [event.retry_in is None for event in disconnections] == [False, True]
            assert len([event for event in events if isinstance(event, Connected)]) == 1
            error = cast(ChatdError, bob.error)
            carol.send("#lobby", "still here").wait(30)
            # A new login is refused in the same words.
            again = Client(identity)
            again.start()
            wait_until(lambda: again.error is not None, what="the login to be refused")
            again.close()
            assert str(again.error) == str(error)
            assert (error.code, error.reason) == (
                "E202",
                f"your certificate expired on {identity.not_after:%Y-%m-%d %H:%M}Z",
            )
        lines = [r for r in daemon.log_lines("audit.log") if r["event"] == "certificate_expired"]
        assert [(r["user"], r["device"], r["code"]) for r in lines] == [("bob", "laptop", "E202")]
