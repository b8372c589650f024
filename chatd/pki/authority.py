"""The certificate authority of a home, and the certificates it issues.

Files in ``certs/``: ca.pem, ca.key, server.pem, server.key, envelope.pem, envelope.key, and those of
`chatd.pki.record_key`.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_pem_private_key,
)

from chatd.crypto.handshake import MAX_RSA_BITS, MIN_RSA_BITS
from chatd.durable_files import PRIVATE, PUBLIC, create_file, replace_file
from chatd.errors import ChatdError
from chatd.pki import profiles
from chatd.pki.file_change import finish_change
from chatd.pki.issued import Issued
from chatd.pki.profiles import DeviceName, valid_name

CA_DAYS = 3653
# Long enough for devices that are seldom used to renew under the next CA.
CA_WARNING_DAYS = 180
# The enrol process renews these; `security.server_certificate_days` is the setting of a home.
SERVER_DAYS = 90
DEVICE_DAYS = 365

# The key of the CA before, between a rotation and its retirement.
OLD_KEY = "ca-old.key"
# A device's serial number: so many random bits, after as many that tell which CA issued it.
_TAG_BITS = 64

MAX_ADDRESSES = 64

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")


class Authority:
    """A CA with its key. Clients pin ``certificate``; ``instance`` is the server's name.

    After a rotation, ``old`` is the CA before, which issues the server's certificates until it is retired.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        old: Authority | None = None,
    ) -> None:
        self.certificate = certificate
        self.instance = instance_of(certificate)
        self.old = old
        self._key = key

    @property
    def serving(self) -> Authority:
        """The CA that issues the server's certificates: the one that all clients know."""
        return self.old or self

    @classmethod
    def create(cls, instance: str, *, now: datetime) -> Authority:
        """Create a CA for the server ``instance``, valid from ``now`` (aware) minus BACKDATE. Raises E403."""
        _check_name(instance)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = profiles.ca_builder(instance, key.public_key(), now, CA_DAYS)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certs: Path) -> Authority:
        """Load the CA from a home's ``certs``. Raises E620 without its key, E606 if that cannot be read."""
        finish_change(certs)
        try:
            ca_pem = (certs / "ca.pem").read_bytes()
            try:
                key_pem = (certs / "ca.key").read_bytes()
            except FileNotFoundError:
                raise ChatdError("E620") from None
            old_key = (certs / OLD_KEY).read_bytes() if (certs / OLD_KEY).exists() else None
        except OSError as error:
            raise ChatdError("E606", f"the authority cannot be read: {error}") from None
        return cls.from_pem(ca_pem, key_pem, f" in {certs}", old_key)

    @classmethod
    def from_pem(
        cls, ca_pem: bytes, key_pem: bytes, where: str = "", old_key: bytes | None = None
    ) -> Authority:
        """Load a CA from the contents of ca.pem, ca.key and, after a rotation, ca-old.key. Raises E606."""
        try:
            certificates = x509.load_pem_x509_certificates(ca_pem)
            keys = [load_pem_private_key(pem, None) for pem in (key_pem, old_key) if pem is not None]
        except profiles.PARSE_ERRORS:
            raise ChatdError("E606", f"ca.pem or ca.key{where} is damaged") from None
        authority: Authority | None = None
        # The old one first, as the new one refers to it.
        for certificate, key in reversed(list(zip(certificates, keys, strict=False))):
            if (
                not isinstance(key, ec.EllipticCurvePrivateKey)
                or key.public_key() != certificate.public_key()
            ):
                raise ChatdError("E606", f"ca.pem and ca.key{where} do not belong together")
            authority = cls(certificate, key, authority)
        assert authority is not None  # noqa: S101 - the readers above raise for an empty file
        return authority

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The private key."""
        return self._key

    def save(self, certs: Path) -> None:
        """Write ca.key and ca.pem. Raises E606, also if one exists."""
        issued = Issued(self.certificate, self._key)
        create_file(certs / "ca.key", issued.key_pem, PRIVATE)
        create_file(certs / "ca.pem", issued.certificate_pem, PUBLIC)

    def issue_server(self, addresses: list[str], *, now: datetime, days: int = SERVER_DAYS) -> Issued:
        """Issue the server's TLS certificate for host names or IP addresses without port. Raises E600.

        chatd's clients check only the URI, so that a server may move; the addresses are for other tools.
        """
        if len(addresses) > MAX_ADDRESSES:
            raise ChatdError("E600", f"a server has at most {MAX_ADDRESSES} addresses")
        names: list[x509.GeneralName] = [_uri(profiles.server_uri(self.instance))]
        names += [host_name(address) for address in dict.fromkeys(addresses)]
        key = ec.generate_private_key(ec.SECP256R1())
        return self.serving._issue(profiles.SERVER, key, self.instance, names, now, days)

    def issue_envelope(self, key_size: int, *, now: datetime, days: int = SERVER_DAYS) -> Issued:
        """Issue the RSA certificate of the envelope; ``key_size`` is 2048 to 8192 bits. Raises E600."""
        if not MIN_RSA_BITS <= key_size <= MAX_RSA_BITS:
            raise ChatdError("E600", f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
        key = rsa.generate_private_key(public_exponent=65537, key_size=key_size)
        names: list[x509.GeneralName] = [_uri(profiles.envelope_uri(self.instance))]
        return self.serving._issue(profiles.ENVELOPE, key, f"{self.instance} envelope", names, now, days)

    def issue_again(
        self, certificate: x509.Certificate, profile: profiles.Profile, *, now: datetime, days: int
    ) -> x509.Certificate:
        """Issue a certificate of the server with the key and the names of its last one. Raises E612."""
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        common_name = str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # noqa: S101 - of a profile
        by = self.serving
        builder = profiles.leaf_builder(profile, by.certificate, key, common_name, names, now, days)
        return builder.sign(by._key, hashes.SHA256())

    def cross_sign(self, other: Authority, *, now: datetime) -> x509.Certificate:
        """Certify the key of another CA of this server, for clients that know only this one."""
        return profiles.cross_builder(other.certificate, self.certificate, now).sign(
            self._key, hashes.SHA256()
        )

    def issue_record_key(self, *, now: datetime, key: ed25519.Ed25519PrivateKey | None = None) -> Issued:
        """Certify a record key, or make one. It ends with the CA: holders of old heads need it."""
        key = key or ed25519.Ed25519PrivateKey.generate()
        names: list[x509.GeneralName] = [_uri(profiles.record_uri(self.instance))]
        return self._issue(profiles.RECORD, key, f"{self.instance} record", names, now, CA_DAYS)

    def issue_device(
        self,
        user: str,
        device: str,
        *,
        now: datetime,
        days: int = DEVICE_DAYS,
        record_key: bytes | None = None,
    ) -> Issued:
        """Issue a TLS certificate for a device of ``user``. Raises E403.

        ``record_key`` is the record key that the certificate names, as SubjectPublicKeyInfo (DER).
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.issue_for_key(
            key.public_key(), user, device, now=now, days=days, record_key=record_key
        )
        return Issued(certificate, key)

    def issue_for_key(
        self,
        key: ec.EllipticCurvePublicKey,
        user: str,
        device: str,
        *,
        now: datetime,
        days: int = DEVICE_DAYS,
        record_key: bytes | None = None,
        serial: int | None = None,
    ) -> x509.Certificate:
        """Issue a device's certificate for a key that was made elsewhere. Raises E403.

        With the same ``now`` and ``serial`` it certifies the same again (without ``serial``: a new one, which
        tells this CA's devices from others: `is_serial_of`).
        """
        if serial is None:
            serial = _tag(self.certificate) << _TAG_BITS | secrets.randbits(_TAG_BITS)
        _check_name(user)
        _check_name(device)
        names: list[x509.GeneralName] = [_uri(profiles.device_uri(DeviceName(self.instance, user, device)))]
        extra = (
            None if record_key is None else x509.UnrecognizedExtension(profiles.RECORD_KEY_OID, record_key)
        )
        builder = profiles.leaf_builder(
            profiles.DEVICE, self.certificate, key, user, names, now, days, extra, serial
        )
        return builder.sign(self._key, hashes.SHA256())

    def _issue(
        self,
        profile: profiles.Profile,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
        common_name: str,
        names: list[x509.GeneralName],
        now: datetime,
        days: int,
    ) -> Issued:
        public_key = key.public_key()
        builder = profiles.leaf_builder(profile, self.certificate, public_key, common_name, names, now, days)
        return Issued(builder.sign(self._key, hashes.SHA256()), key)


def _tag(ca: x509.Certificate) -> int:
    """The first half of the serial numbers of a CA's devices; positive, as the whole number must be."""
    return int.from_bytes(ca.fingerprint(hashes.SHA256())[: _TAG_BITS // 8], "big") | 1


def is_serial_of(serial: str, ca: x509.Certificate) -> bool:
    """Whether the device with this serial number, in hex, has a certificate of ``ca``.

    A CA that issued devices before they had such numbers is not recognised, one made by a rotation always.
    """
    return int(serial, 16) >> _TAG_BITS == _tag(ca)


def load_ca(certs: Path) -> x509.Certificate:
    """Return the CA's certificate, which needs no key. Raises E606."""
    return load_roots(certs)[0]


def load_roots(certs: Path, name: str = "ca.pem") -> list[x509.Certificate]:
    """Return the CAs of a file: in ca.pem the one that issues, and after a rotation the old one. Raises E606.

    Other files than ca.pem may be missing.
    """
    path = certs / name
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        if name != "ca.pem" and isinstance(error, FileNotFoundError):
            return []
        raise ChatdError("E606", f"{path} cannot be read: {error.strerror}") from None
    except profiles.PARSE_ERRORS:
        raise ChatdError("E606", f"{path} is damaged") from None


def instance_of(certificate: x509.Certificate) -> str:
    """Extract the instance from a CA's subject, as `profiles.ca_builder` wrote it. Raises E606."""
    common_names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    text = str(common_names[0].value) if len(common_names) == 1 else ""
    instance = text.removesuffix(" CA")
    if instance == text or not valid_name(instance):
        raise ChatdError("E606", "ca.pem was not made by chatd init")
    return instance


def save_issued(certs: Path, name: str, issued: Issued) -> None:
    """Write NAME.key and NAME.pem; replaces existing files. Raises E606."""
    replace_file(certs / f"{name}.key", issued.key_pem, PRIVATE)
    replace_certificate(certs, f"{name}.pem", issued.certificate_pem)


def replace_certificate(certs: Path, name: str, pem: bytes) -> None:
    """Replace the first certificate of a file; those that follow it complete its chain. Raises E606."""
    content = pem + b"".join(one.public_bytes(Encoding.PEM) for one in load_chain(certs, name))
    replace_file(certs / name, content, PUBLIC)


def load_chain(certs: Path, name: str = "server.pem") -> list[x509.Certificate]:
    """Return the certificates after the first one of a file; none if there is no file, or a damaged one."""
    try:
        return x509.load_pem_x509_certificates((certs / name).read_bytes())[1:]
    except (OSError, *profiles.PARSE_ERRORS):
        return []


def _check_name(text: str) -> None:
    if not valid_name(text):
        raise ChatdError("E403", f"{text!r:.80} is not a valid name")


def _uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def host_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    if len(text) > 253 or not _HOST.fullmatch(text):
        raise ChatdError("E600", f"{text!r:.300} is not a host name or IP address", "see server.addresses")
    return x509.DNSName(text)
