"""The CA's key in a file of its own, encrypted with a passphrase, to be kept off the server.

The file is PKCS #8 (RFC 5958) with PBES2 (RFC 8018): scrypt (RFC 7914, 7.1) and AES-256-CBC. ``openssl pkey``
opens it too. It is built here because `cryptography` writes PBKDF2 with 2048 rounds only.
"""

from __future__ import annotations

import base64
import os
import textwrap

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from chatd.errors import ChatdError
from chatd.pki.profiles import PARSE_ERRORS

# OpenSSL opens no file whose scrypt takes more than 32 MiB. With these, a guess takes 16 MiB and 0.4 s.
_N, _R, _P = 2**14, 8, 10
_SALT_BYTES = 16
_KEY_BYTES = 32
_BLOCK_BYTES = 16

# Object identifiers in DER: PBES2, scrypt, AES-256-CBC.
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30


def seal_key(key: ec.EllipticCurvePrivateKey, passphrase: bytes) -> bytes:
    """Return the key as PEM text that only the passphrase opens."""
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, vector = os.urandom(_SALT_BYTES), os.urandom(_BLOCK_BYTES)
    secret = Scrypt(salt=salt, length=_KEY_BYTES, n=_N, r=_R, p=_P).derive(passphrase)
    padder, cipher = PKCS7(8 * _BLOCK_BYTES).padder(), Cipher(algorithms.AES(secret), modes.CBC(vector))
    padded = padder.update(plain) + padder.finalize()
    encryptor = cipher.encryptor()
    sealed = encryptor.update(padded) + encryptor.finalize()
    derivation = _sequence(
        _SCRYPT, _sequence(_tagged(_OCTETS, salt), _integer(_N), _integer(_R), _integer(_P))
    )
    scheme = _sequence(_AES_256_CBC, _tagged(_OCTETS, vector))
    der = _sequence(_sequence(_PBES2, _sequence(derivation, scheme)), _tagged(_OCTETS, sealed))
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode("ascii"), 64))
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode()


def open_key(pem: bytes, passphrase: bytes, ca: x509.Certificate, where: str) -> ec.EllipticCurvePrivateKey:
    """Return the key of ``ca`` in a file of `seal_key`, or in an unencrypted one. ``where`` names the file.

    Raises E606.
    """
    try:
        key = load_pem_private_key(pem, passphrase if is_sealed(pem) else None)
    except PARSE_ERRORS:
        why = "the passphrase is wrong, or the file is damaged" if is_sealed(pem) else "it is no private key"
        raise ChatdError(
            "E606", f"{where} cannot be opened: {why}", "try again, or use another file"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != ca.public_key():
        raise ChatdError("E606", f"{where} is not the key of certs/ca.pem", "use the key of this server's CA")
    return key


def is_sealed(pem: bytes) -> bool:
    """Whether a file needs a passphrase."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem


def _tagged(tag: int, content: bytes) -> bytes:
    """One value in DER; lengths up to 65535 (X.690, 8.1.3)."""
    size = len(content)
    if size < 0x80:
        length = bytes([size])
    else:
        octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + content


def _sequence(*items: bytes) -> bytes:
    return _tagged(_SEQUENCE, b"".join(items))


def _integer(value: int) -> bytes:
    return _tagged(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
