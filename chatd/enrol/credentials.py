"""The keys of the enrol process: the server's for TLS, the CA's to issue certificates."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.pki.authority import OLD_KEY, Authority
from chatd.pki.contexts import enrol_context_from
from chatd.pki.profiles import PARSE_ERRORS, spki
from chatd.pki.record_key import check_record_certificate
from chatd.pki.rollover import RETIRED, issuer_among
from chatd.proto.frames import JsonObject

log_errors = get_log("errors")

# The CA's key may be kept off the machine, and homes of an older chatd have no record key.
OPTIONAL_FILES = ("ca.key", OLD_KEY, RETIRED, "record.pem")
NO_KEY = ChatdError(
    "E216", "the CA's key is not on the server", "ask the operator to put it back: chatd ca import FILE"
)


@dataclass(frozen=True)
class EnrolCredentials:
    """Replaced as a whole by a reload. Without ``authority`` nothing can be issued.

    ``roots`` are the CAs whose devices may log in, that of ``authority`` first; ``serving`` is the one that
    issued the server's certificate.
    """

    context: ssl.SSLContext
    roots: tuple[x509.Certificate, ...]
    retired: tuple[x509.Certificate, ...]
    crosses: tuple[x509.Certificate, ...]
    serving: x509.Certificate
    authority: Authority | None
    record_key: bytes | None
    instance: str
    addresses: list[str]
    takes_asks: bool
    device_days: int

    def issue(
        self, key: ec.EllipticCurvePublicKey, user: str, device: str, at: datetime
    ) -> IssuedCertificate:
        """Issue a device's certificate. Raises E216 without the CA's key, E612 if the clock is wrong."""
        return self._issue(key, user, device, at, self.device_days, None)

    def issue_again(self, key: ec.EllipticCurvePublicKey, registered: JsonObject) -> IssuedCertificate:
        """Issue the certificate that the hub has ``registered``. Raises as `issue` does."""
        at = datetime.fromtimestamp(registered["issued"] / 1000, UTC)
        life = datetime.fromtimestamp(registered["ends"] / 1000, UTC) - at
        # Rounded up: a certificate ends with the CA at the latest, which is hardly ever after whole days.
        days = -(-life // timedelta(days=1))
        user, device, serial = registered["user"], registered["device"], int(registered["serial"], 16)
        return self._issue(key, user, device, at, days, serial)

    def _issue(
        self,
        key: ec.EllipticCurvePublicKey,
        user: str,
        device: str,
        at: datetime,
        days: int,
        serial: int | None,
    ) -> IssuedCertificate:
        if self.authority is None:
            raise NO_KEY
        certificate = self.authority.issue_for_key(
            key, user, device, now=at, days=days, record_key=self.record_key, serial=serial
        )
        ends = round(certificate.not_valid_after_utc.timestamp() * 1000)
        return IssuedCertificate(
            certificate.public_bytes(Encoding.PEM).decode("ascii"), f"{certificate.serial_number:x}", at, ends
        )

    def authority_frame(self) -> JsonObject:
        """Return the first frame for a client, with which it checks the server's certificate."""
        frame: JsonObject = {"type": "authority", "ca": _pem(self.serving)}
        if self.crosses:
            frame["roots"] = [_pem(root) for root in (*self.roots, *self.retired)]
            frame["crosses"] = [_pem(cross) for cross in self.crosses]
        return frame

    def enrolled(self, certificate: IssuedCertificate, registered: JsonObject) -> JsonObject:
        """Return the frame for the client; ``registered`` is the hub's result."""
        return {
            "type": "enrolled",
            "certificate": certificate.pem,
            "ca": _pem(self.roots[0]),
            "instance": self.instance,
            "user": registered["user"],
            "device": registered["device"],
            "role": registered["role"],
            "addresses": self.addresses,
        }


@dataclass(frozen=True)
class IssuedCertificate:
    """A certificate as PEM text, and what the hub records of it."""

    pem: str
    serial: str
    issued: datetime
    ends: int
    """ms since 1970"""


def load_enrol_credentials(files: Mapping[str, bytes], settings: Settings) -> EnrolCredentials:
    """Load the credentials from the contents of their files. Raises ChatdError E606."""
    authority = None
    if "ca.key" in files:
        authority = Authority.from_pem(files["ca.pem"], files["ca.key"], old_key=files.get(OLD_KEY))
    try:
        roots = x509.load_pem_x509_certificates(files["ca.pem"])
        server, *crosses = x509.load_pem_x509_certificates(files["server.pem"])
        retired = x509.load_pem_x509_certificates(files[RETIRED]) if RETIRED in files else []
    except PARSE_ERRORS as error:
        raise ChatdError("E606", f"the server's certificates cannot be read: {error}") from None
    return EnrolCredentials(
        context=enrol_context_from(files),
        roots=tuple(roots),
        retired=tuple(retired),
        crosses=tuple(crosses),
        serving=issuer_among(server, roots) or roots[0],
        authority=authority,
        record_key=_record_key(files),
        instance=settings.server.name,
        addresses=settings.server.client_addresses,
        takes_asks=settings.server.ask,
        device_days=settings.security.certificate_days,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _record_key(files: Mapping[str, bytes]) -> bytes | None:
    """Return the record key that device certificates name, as SubjectPublicKeyInfo (DER)."""
    if "record.pem" not in files:
        return None
    try:
        ca, record = (x509.load_pem_x509_certificate(files[name]) for name in ("ca.pem", "record.pem"))
        return spki(check_record_certificate(record.public_bytes(Encoding.DER), ca).key)
    except PARSE_ERRORS as error:
        log_errors.error("record_key_left_out", why=str(error))
        return None
