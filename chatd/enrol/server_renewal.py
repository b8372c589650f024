"""Renews the server's own certificates: the enrol process issues them, the supervisor writes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.enrol.credentials import NO_KEY
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.pki.authority import Authority
from chatd.pki.profiles import PARSE_ERRORS
from chatd.pki.server_certificates import PROFILES, is_due, is_worth_it, renew

log_errors = get_log("errors")

# Certificates last for days. A look costs microseconds, and repairs what a wrong clock has done.
LOOK_SECONDS: Final = 600.0
_BY_HAND: Final = "run: chatd cert renew"


class ServerRenewal:
    """``send`` passes a message to the supervisor, which answers with a reload once the files are written."""

    def __init__(
        self,
        send: Callable[[dict[str, object]], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._now = now
        self._monotonic = monotonic
        self._authority: Authority | None = None
        self._ca: x509.Certificate
        self._certificates: dict[str, x509.Certificate] = {}
        self._days = 0
        self._next_look = 0.0
        self._told = ""

    def take(self, authority: Authority | None, files: Mapping[str, bytes], days: int) -> None:
        """Take the files of a start or a reload; the next `run` looks at them."""
        self._next_look, self._told = 0.0, ""
        try:
            roots = x509.load_pem_x509_certificates(files["ca.pem"])
            certificates = {name: x509.load_pem_x509_certificate(files[name]) for name in PROFILES}
        except PARSE_ERRORS as error:
            # Not fatal: invites can be redeemed all the same.
            self._tell("E606", f"a certificate of the server cannot be read: {error}", _BY_HAND)
            return
        self._authority, self._certificates, self._days = authority, certificates, days
        self._ca = roots[0] if authority is None else authority.serving.certificate

    def run(self) -> None:
        """Renew what is due. Call it in each iteration; it looks once in `LOOK_SECONDS`."""
        if self._monotonic() < self._next_look:
            return
        self._next_look = self._monotonic() + LOOK_SECONDS
        now = self._now()
        due = {
            name: one
            for name, one in self._certificates.items()
            if is_due(one, now) and is_worth_it(one, self._ca, now, self._days)
        }
        if not due:
            return
        try:
            if self._authority is None:
                raise ChatdError("E216", NO_KEY.reason, "put it back: chatd ca import FILE")
            renewed = {
                name: renew(self._authority, name, one, now, self._days).public_bytes(Encoding.PEM).decode()
                for name, one in due.items()
            }
        except ChatdError as error:
            self._tell(error.code, error.reason, error.fix)
        except ValueError as error:
            self._tell("E606", f"a certificate of the server is not renewed: {error}", _BY_HAND)
        else:
            self._send({"type": "renewed", "certificates": renewed})

    def _tell(self, code: str, why: str, fix: str) -> None:
        """Log why nothing is renewed, once until that changes."""
        if why != self._told:
            self._told = why
            log_errors.error("certificates_not_renewed", code=code, why=why, fix=fix)
