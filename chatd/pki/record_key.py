"""The record key: an Ed25519 key, certified by the CA, that signs heads, exports and backups.

Files in ``certs/``: record.key, record.pem, and record-KEYID.pem for each key that was replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from chatd.codes import CODES
from chatd.durable_files import PUBLIC, replace_file
from chatd.errors import ChatdError
from chatd.pki import profiles
from chatd.pki.authority import Authority, load_roots, save_issued
from chatd.pki.identity import IDENTITY_LIMIT
from chatd.pki.rollover import RETIRED, is_root, issuer_among
from chatd.proto.signatures import KEY_ID_BYTES, TIME_FORMAT, Signature, SignedHead

_NAME = "record"
_FINGERPRINT = "SHA256:"
MISSING = CODES["W116"].fix
REPLACE = "restore both files, or run: chatd cert renew --record-key"


def key_id(key: Ed25519PublicKey) -> str:
    """The name of a record key in heads: the first bytes of its fingerprint, in hexadecimal."""
    return sha256(profiles.spki(key)).digest()[:KEY_ID_BYTES].hex()


class RecordCertificate(NamedTuple):
    """A record key's certificate, checked: the CA issued it for the server ``instance``."""

    certificate: x509.Certificate
    ca: x509.Certificate
    instance: str
    key: Ed25519PublicKey

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key."""
        return profiles.fingerprint(profiles.spki(self.key))

    @property
    def ca_fingerprint(self) -> str:
        return profiles.fingerprint(self.ca.public_bytes(Encoding.DER))

    def verify(self, signed: bytes, signature: str, *, server: str, at: str) -> None:
        """Raise ValueError, with a sentence to show, unless the key of ``server`` signed this at ``at``."""
        if server != self.instance:
            raise ValueError(f"its key is that of the server {self.instance}")
        if not _covers(self.certificate, at):
            raise ValueError("its key was not valid at that time")
        _verify(self.key, signature, signed)


def _verify(key: Ed25519PublicKey, signature: str, signed: bytes) -> None:
    try:
        key.verify(bytes.fromhex(signature), signed)
    except InvalidSignature:
        raise ValueError("the signature does not fit what it is said to sign") from None


class SigningKey(NamedTuple):
    """The record key in use, with its private half."""

    public: RecordCertificate
    private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey({self.public.fingerprint})"

    def sign(self, signed: bytes, *, server: str, at: str) -> str:
        """Sign, in hexadecimal. Raises E606 for another server, E612 if no verifier would accept the time."""
        if not _covers(self.public.certificate, at):
            raise ChatdError("E612", f"this machine's clock says {at}, when the record key is not valid")
        if server != self.public.instance:
            raise ChatdError(
                "E606", f"certs/record.pem is of the server {self.public.instance}, not {server}"
            )
        return self.private.sign(signed).hex()

    def make_signature(self, signed: bytes, *, server: str, at: str) -> Signature:
        """Sign, and add what it takes to verify it. Raises E606, E612."""
        return Signature(
            certificate=self.public.certificate.public_bytes(Encoding.DER).hex(),
            ca=self.public.ca.public_bytes(Encoding.DER).hex(),
            signature=self.sign(signed, server=server, at=at),
        )


def _covers(certificate: x509.Certificate, at: str) -> bool:
    try:
        when = datetime.strptime(at, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return False
    return certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc


def check_record_certificate(der: bytes, ca: x509.Certificate) -> RecordCertificate:
    """Check a certificate, except its dates. Raises ValueError with a sentence to show."""
    certificate = profiles.parse(der)
    profiles.check_issuer(certificate, ca)
    uri = profiles.uri_of(certificate, profiles.RECORD, only=True)
    instance = uri.split("/")[2] if uri.count("/") >= 2 else ""
    key = certificate.public_key()
    if uri != profiles.record_uri(instance) or not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is not a record key's certificate")
    return RecordCertificate(certificate, ca, instance, key)


def signer_of(signature: Signature) -> RecordCertificate:
    """Return the certificate beside a signature. Only its own CA vouches for it: see `Trust`.

    Raises ValueError with a sentence to show.
    """
    ca = profiles.parse(bytes.fromhex(signature.ca))
    try:
        constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, *profiles.PARSE_ERRORS):
        raise ValueError("the authority beside the signature is not one") from None
    if not constraints.ca:
        raise ValueError("the authority beside the signature is not one")
    return check_record_certificate(bytes.fromhex(signature.certificate), ca)


class Trust(NamedTuple):
    """What somebody knows of a server: the fingerprints of its CAs or record key, and record keys."""

    fingerprints: tuple[str, ...]
    keys: tuple[Ed25519PublicKey, ...] = ()

    @classmethod
    def of(cls, text: str) -> Trust:
        """Read a fingerprint, or the path of an identity, ca.pem or record.pem. Raises E606."""
        if text.upper().startswith(_FINGERPRINT):
            digits = text[len(_FINGERPRINT) :].replace(":", "").upper()
            try:
                return cls((_FINGERPRINT + bytes.fromhex(digits).hex(":").upper(),))
            except ValueError:
                raise ChatdError("E606", f"{text!r:.120} is not a fingerprint") from None
        try:
            with Path(text).open("rb") as file:
                certificates = x509.load_pem_x509_certificates(file.read(IDENTITY_LIMIT))
            return _trust(certificates)
        except OSError as error:
            raise ChatdError("E606", f"{text}: {error.strerror}") from None
        except (*profiles.PARSE_ERRORS, x509.ExtensionNotFound):
            raise ChatdError("E606", f"{text} is neither an identity, ca.pem nor record.pem") from None

    def accepts(self, signer: RecordCertificate) -> bool:
        """Whether ``signer`` is a key, or certified by a CA, that is known."""
        known = {*self.fingerprints, *(profiles.fingerprint(profiles.spki(key)) for key in self.keys)}
        return bool(known & {signer.fingerprint, signer.ca_fingerprint})


def _trust(certificates: list[x509.Certificate]) -> Trust:
    roots = [one for one in certificates if is_root(one)]
    if roots:
        known = (profiles.record_key_in(certificate) for certificate in certificates)
        return Trust(
            tuple(profiles.fingerprint(root.public_bytes(Encoding.DER)) for root in roots),
            tuple(key for key in known if key is not None),
        )
    key = certificates[-1].public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not a record key")
    return Trust((profiles.fingerprint(profiles.spki(key)),), (key,))


def load_record_key(certs: Path) -> SigningKey | None:
    """Load the record key; None if there is none. Raises E606 if it is damaged or does not fit."""
    key_file, certificate_file = certs / f"{_NAME}.key", certs / f"{_NAME}.pem"
    if not (key_file.exists() and certificate_file.exists()):
        return None
    try:
        private = load_pem_private_key(key_file.read_bytes(), None)
        ca = x509.load_pem_x509_certificate((certs / "ca.pem").read_bytes())
        der = x509.load_pem_x509_certificate(certificate_file.read_bytes()).public_bytes(Encoding.DER)
        public = check_record_certificate(der, ca)
    except OSError as error:
        raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None
    except profiles.PARSE_ERRORS as error:
        raise ChatdError(
            "E606", f"record.key or record.pem in {certs} cannot be used: {error}", REPLACE
        ) from None
    if not isinstance(private, Ed25519PrivateKey) or profiles.spki(private.public_key()) != profiles.spki(
        public.key
    ):
        raise ChatdError("E606", f"record.key and record.pem in {certs} do not belong together", REPLACE)
    return SigningKey(public, private)


def ensure_record_key(certs: Path, authority: Authority, *, now: datetime) -> tuple[SigningKey, bool]:
    """Return the record key and whether it was created. Raises E606, E612.

    A key without a certificate has signed nothing, and somebody else may have put it there: it is replaced.
    """
    existing = load_record_key(certs)
    return (existing, False) if existing else (replace_record_key(certs, authority, now=now), True)


def replace_record_key(certs: Path, authority: Authority, *, now: datetime) -> SigningKey:
    """Create a new record key; keep the certificate of the old one. Raises E606, E612."""
    retire_certificate(certs)
    save_issued(certs, _NAME, authority.issue_record_key(now=now))
    created = load_record_key(certs)
    if created is None:
        raise ChatdError("E606", f"the record key in {certs} was removed while it was created")
    return created


def retire_certificate(certs: Path) -> None:
    """Keep record.pem as record-KEYID.pem, so that what its key signed can be verified later."""
    try:
        pem = (certs / f"{_NAME}.pem").read_bytes()
        key = x509.load_pem_x509_certificate(pem).public_key()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None
    except profiles.PARSE_ERRORS:
        return
    if isinstance(key, Ed25519PublicKey):
        replace_file(certs / f"{_NAME}-{key_id(key)}.pem", pem, PUBLIC)


def known_signers(certs: Path) -> list[RecordCertificate]:
    """The record keys, past and present, that the CAs in ``certs`` have certified. Raises E606."""
    found: list[RecordCertificate] = []
    try:
        roots = [*load_roots(certs), *load_roots(certs, RETIRED)]
        for path in sorted(certs.glob(f"{_NAME}*.pem")):
            pem = path.read_bytes()
            try:
                certificate = x509.load_pem_x509_certificate(pem)
                ca = issuer_among(certificate, roots)
                if ca is not None:
                    found.append(check_record_certificate(certificate.public_bytes(Encoding.DER), ca))
            except profiles.PARSE_ERRORS:
                continue  # chatd check reports it
    except OSError as error:
        raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None
    return found


def verify_head(
    head: SignedHead, signers: Iterable[RecordCertificate], keys: Iterable[Ed25519PublicKey] = ()
) -> None:
    """Raise ValueError, with a sentence to show, unless one of ``signers`` or ``keys`` signed ``head``."""
    problem: ValueError | None = None
    for signer in signers:
        if key_id(signer.key) == head.key_id:
            try:
                signer.verify(head.signed, head.signature, server=head.server, at=head.at)
                return
            except ValueError as error:
                problem = error  # another CA may have certified the same key, for another time
    if problem is not None:
        raise problem
    for key in keys:
        if key_id(key) == head.key_id:
            _verify(key, head.signature, head.signed)
            return
    raise ValueError(f"the head was signed with a key that is not known here: {head.key_id}")
