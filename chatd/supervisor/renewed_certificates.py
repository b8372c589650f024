"""Write certificates that the enrol process has renewed, after judging them.

Only they pass through the supervisor, and no key: they are for the keys in ``certs/``. The enrol process is
not trusted with more than that, or it could give the workers files that they cannot use.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.errors import ChatdError
from chatd.pki.authority import instance_of, replace_certificate
from chatd.pki.profiles import PARSE_ERRORS
from chatd.pki.server_certificates import LEAST_GAIN, PROFILES, check_own, is_due
from chatd.proto.signatures import TIME_FORMAT

# A certificate with an RSA-8192 key has 3 KiB as PEM.
_MAX_CHARS: Final = 16 * 1024


def install(certs: Path, certificates: Mapping[str, object], now: datetime) -> str:
    """Write the files, which are given by name; return when the first of them ends. Raises E606."""
    judged: dict[str, x509.Certificate] = {}
    for name, text in certificates.items():
        try:
            judged[name] = _judge(certs, name, text, now)
        except PARSE_ERRORS as error:
            raise ChatdError("E606", f"the renewed {name:.40} is not used: {error}") from None
        except OSError as error:
            raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None
    if not judged:
        raise ChatdError("E606", "the enrol process sent no certificates")
    for name, certificate in judged.items():
        # The one that was judged, and nothing that may follow it in the text.
        replace_certificate(certs, name, certificate.public_bytes(Encoding.PEM))
    return min(one.not_valid_after_utc for one in judged.values()).strftime(TIME_FORMAT)


def _judge(certs: Path, name: str, text: object, now: datetime) -> x509.Certificate:
    """Raises ValueError and others of PARSE_ERRORS, ChatdError, OSError."""
    if name not in PROFILES or not isinstance(text, str) or len(text) > _MAX_CHARS or not text.isascii():
        raise ValueError("it is not a certificate of the server")
    certificate = x509.load_pem_x509_certificate(text.encode("ascii"))
    present = x509.load_pem_x509_certificate((certs / name).read_bytes())
    roots = x509.load_pem_x509_certificates((certs / "ca.pem").read_bytes())
    check_own(name, certificate, roots, instance_of(roots[0]))
    if certificate.public_key() != present.public_key():
        raise ValueError("it has another key")
    # All processes load their files anew, so that each certificate has to last.
    if not is_due(present, now):
        raise ValueError("the present one is not due")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc - LEAST_GAIN:
        raise ValueError("it is not valid now and for a day")
    return certificate
