"""How long a command waits for its connection."""

from __future__ import annotations

import pytest

from chatctl.connecting import CONNECT_TIMEOUT, QUIET_SECONDS, REFUSED_TIMEOUT, wait_connected
from chatd.codes import NOTHING_LISTENS
from chatd.errors import ChatdError


class NeverConnected:
    """A client whose every attempt fails with the same error."""

    error = None

    def __init__(self, fix: str) -> None:
        self.waits: list[float] = []
        self._fix = fix

    def wait_connected(self, timeout: float) -> None:
        self.waits.append(timeout)
        raise ChatdError("E607", "cannot connect", self._fix)


@pytest.mark.parametrize(
    ("fix", "timeout", "total"),
    [
        ("", None, CONNECT_TIMEOUT),
        (NOTHING_LISTENS, None, REFUSED_TIMEOUT),
        ("", 1, 1),
        (NOTHING_LISTENS, 1, 1),
        (NOTHING_LISTENS, 60, 60),
    ],
)
def test_a_refusing_server_is_given_up_sooner(fix: str, timeout: int | None, total: float) -> None:
    client = NeverConnected(fix)
    with pytest.raises(ChatdError, match="E607"):
        wait_connected(client, timeout)  # type: ignore[arg-type]  # a stand-in
    assert sum(client.waits) == total
    assert client.waits[0] <= QUIET_SECONDS
