"""The parts that all frames from the server share."""

from chatd.proto.plain_model import PlainModel


class FromServer(PlainModel):
    """Base of everything a client receives."""

    type: str


class Logged(FromServer):
    """Base of the events in the log: ``seq`` orders them, ``at`` is the time in ms since 1970 UTC."""

    seq: int
    at: int


class Caused(Logged):
    """Base of events that somebody causes: `by` is their name, or "server".

    An operator on the server's box is "server", too, and `by_login` and `by_uid` tell which.
    """

    by: str
    by_uid: int | None = None
    by_login: str | None = None

    @property
    def author(self) -> str:
        """`by` as people read it: "alice", "server", "server (root)"."""
        return author_text(self.by, self.by_login)


def author_text(by: str, login: str | None) -> str:
    """Put a name and the login name on the server's box into words."""
    return by if login is None else f"{by} ({login})"
