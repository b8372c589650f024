"""Renew an identity in time: the same key, a new certificate, in the same file.

The server's enrol door takes renewals, also for a while after the certificate has expired. The key stays, so
what people have compared of it stays true, and a lost answer costs nothing: the next attempt gets it again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from cryptography import x509

from chatctl.client._piped_identity import is_piped, newest
from chatctl.client._profile import state_folder
from chatd.errors import ChatdError
from chatd.pki.explain import expired
from chatd.pki.home_addresses import servers_of
from chatd.pki.identity import Identity, read_identity
from chatd.pki.lifetimes import renewal_due

# Pause after a failed attempt; there are days left for the next ones.
RETRY_SECONDS = 3600.0
# Pause before the next attempt to get a certificate of the server's new CA.
MOVE_SECONDS = 10.0
# Refusals that say more than that a certificate has expired.
_TELLING = ("E202", "E206", "E207", "E208", "E209", "E219")
# Longest wait of a closing program for a renewal under way. One takes 30 ms.
CLOSING_SECONDS = 3.0


def renew_expired(identity: Identity) -> Identity:
    """Return an identity that has expired renewed by the first of its servers that answers.

    Others are returned as they are, and so is one whose servers cannot be reached. Raises E202 if the server
    renews it no more, E206 to E208 and E219 if its user is out.
    """
    renewal = Renewal(identity, lambda renewed: None, time.time)
    try:
        renewal.renew_expired(servers_of(identity))
    except ChatdError as error:
        if error.code != "E607":
            raise
    return renewal.identity


class Renewal:
    """Renews one client's identity on a thread of its own, and passes it to ``adopt``.

    ``wall`` returns Unix time.
    """

    def __init__(
        self, identity: Identity, adopt: Callable[[Identity], None], wall: Callable[[], float]
    ) -> None:
        self.identity = identity
        self._adopt = adopt
        self._wall = wall
        self._thread: threading.Thread | None = None
        self._next_try = self._due()
        self._moves = False  # whether the server has a new CA, of which there is no certificate yet

    def poll(self, server: str, *, now: bool = False) -> None:
        """Begin to renew at ``server`` if it is time. Call it often; it costs a comparison.

        ``now``: the server has a new CA, and the next certificate should be of that.
        """
        if now:
            self._moves, self._next_try = True, 0.0
        if self._wall() >= self._next_try and (self._thread is None or not self._thread.is_alive()):
            self._next_try = self._wall() + RETRY_SECONDS
            self._thread = threading.Thread(target=self._run, args=(server,), name="renewal", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait a moment for a renewal under way."""
        if self._thread is not None:
            self._thread.join(CLOSING_SECONDS)

    def renew_expired(self, servers: Iterable[str]) -> None:
        """Renew an identity that has expired, which no server lets log in, at the first that answers.

        Raises E202 or the refusal, or E607 if no server answers. Does nothing for a valid identity.
        """
        if self._wall() < self.identity.not_after.timestamp():
            return
        unreachable: ChatdError | None = None
        for server in servers:
            try:
                self._renew(server)
                return
            except ChatdError as error:
                if error.code != "E607":
                    raise self._refused(error) from None
                unreachable = error
        if unreachable is not None:
            raise unreachable

    def _refused(self, error: ChatdError) -> ChatdError:
        if error.code in _TELLING:
            return error
        if error.code == "E216":
            return expired(self.identity.not_after)
        why = f"your certificate expired on {self.identity.not_after:%Y-%m-%d}, and it is not renewed"
        return ChatdError("E202", f"{why}: {error.reason}", error.fix)

    def _run(self, server: str) -> None:
        try:
            self._renew(server)
        except ChatdError:
            pass  # tried again; the owner is warned when the end comes near

    def _renew(self, server: str) -> None:
        former, latest = self.identity, self._latest()
        if latest.not_after <= former.not_after and latest.ca == former.ca:
            # Most programs end before a renewal is due.
            from chatctl.client._new_certificate import renew

            latest = renew(former, server, datetime.fromtimestamp(self._wall(), UTC))
        self.identity = latest
        self._moves = self._moves and latest.ca == former.ca
        # The worker that told of the new CA may have known it before the enrol process.
        self._next_try = self._wall() + MOVE_SECONDS if self._moves else self._due()
        self._adopt(latest)

    def _latest(self) -> Identity:
        """Return the identity as its file is now: another program of this user may have renewed it."""
        if is_piped(self.identity):
            return newest(self.identity, state_folder(self.identity, os.environ))
        found, mine = read_identity(self.identity.path), self.identity
        if (found.instance, found.user, found.device) != (mine.instance, mine.user, mine.device):
            raise ChatdError("E608", f"{mine.path} is another identity by now")
        return found

    def _due(self) -> float:
        serial = x509.load_der_x509_certificate(self.identity.certificate_der).serial_number
        return renewal_due(self.identity.not_before, self.identity.not_after, serial).timestamp()
