"""The CA of a cluster's machines: it signs the certificates with which their NATS servers know each other.

It is apart from the CA of `chatd.pki.authority`: no certificate of a person opens the port between machines.
Files in ``certs/``: node-ca.pem, node-ca.key, node.pem, node.key, and node-pins.json, the members' keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from chatd.durable_files import PRIVATE, PUBLIC, create_file, replace_file
from chatd.errors import ChatdError
from chatd.pki import profiles
from chatd.pki.authority import CA_DAYS, host_name
from chatd.pki.issued import Issued

CA_NAME: Final = "node-ca"
NODE_NAME: Final = "node"
PINS_FILE: Final = "node-pins.json"
# Its extended key usage has two purposes, which a profile has no place for: it is added below.
_PROFILE: Final = profiles.Profile("node", "digital_signature", None)
# Each route is a client of one machine and a server of the other.
_PURPOSES: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


class NodeAuthority:
    """The CA of the machines, with its key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    @classmethod
    def create(cls, instance: str, *, now: datetime) -> NodeAuthority:
        """Create the CA of the server ``instance``."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = profiles.ca_builder(f"{instance} nodes", key.public_key(), now, CA_DAYS)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certs: Path) -> NodeAuthority:
        """Load it from a home's ``certs``. Raises E606."""
        try:
            certificate = x509.load_pem_x509_certificate((certs / f"{CA_NAME}.pem").read_bytes())
            key = load_pem_private_key((certs / f"{CA_NAME}.key").read_bytes(), None)
        except OSError as error:
            raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None
        except profiles.PARSE_ERRORS:
            raise ChatdError("E606", f"{CA_NAME}.pem or {CA_NAME}.key in {certs} is damaged") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ChatdError("E606", f"{CA_NAME}.pem and {CA_NAME}.key in {certs} do not belong together")
        return cls(certificate, key)

    @property
    def issued(self) -> Issued:
        """Its certificate with its key."""
        return Issued(self.certificate, self._key)

    def save(self, certs: Path) -> None:
        """Write its files. Raises E606, also if one exists."""
        create_file(certs / f"{CA_NAME}.key", self.issued.key_pem, PRIVATE)
        create_file(certs / f"{CA_NAME}.pem", self.issued.certificate_pem, PUBLIC)

    def issue(self, node: str, host: str, *, now: datetime) -> Issued:
        """Issue the certificate of a machine, which the others reach at ``host``. Raises E600, E612.

        It lasts as long as the CA: a machine that leaves is locked out by its key (`write_pins`).
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = profiles.leaf_builder(
            _PROFILE, self.certificate, key.public_key(), node, [host_name(host)], now, CA_DAYS, _PURPOSES
        )
        return Issued(builder.sign(self._key, hashes.SHA256()), key)


def pin_of(certificate: x509.Certificate) -> str:
    """Return the hash of a machine's key, as nats-server compares it."""
    return profiles.key_hash_of(certificate)


def write_pins(certs: Path, pins: Mapping[str, str]) -> None:
    """Write the keys that may come to the route port: ``pins`` by node. Raises E606."""
    replace_file(certs / PINS_FILE, pins_text(pins).encode(), PUBLIC)


def pins_text(pins: Mapping[str, str]) -> str:
    """Return the content of the file of the keys."""
    return json.dumps(dict(pins), indent=1)


def read_pins(certs: Path) -> dict[str, str]:
    """Return the keys that may come to the route port, by node. Raises E606."""
    path = certs / PINS_FILE
    try:
        pins = json.loads(path.read_bytes())
    except OSError as error:
        raise ChatdError("E606", f"{path}: {error.strerror}") from None
    except ValueError:
        pins = None
    if not isinstance(pins, dict) or not all(isinstance(pin, str) for pin in pins.values()):
        raise ChatdError("E606", f"{path} is damaged")
    return pins
