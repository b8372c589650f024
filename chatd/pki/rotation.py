"""Make a new CA for a server, and drop the old one. chatd.pki.rollover has how both are trusted meanwhile."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.errors import ChatdError
from chatd.pki.authority import OLD_KEY, Authority, load_chain, load_roots
from chatd.pki.file_change import change_files, finish_change
from chatd.pki.issued import Issued
from chatd.pki.profiles import NEW_HOME
from chatd.pki.record_key import key_id, load_record_key
from chatd.pki.rollover import RETIRED
from chatd.pki.server_certificates import PROFILES

_RECORD = "record.pem"


def rotate(certs: Path, *, now: datetime) -> Authority:
    """Make a new CA beside the present one, and return it. Raises E606, E612, E620.

    The server's certificates stay those of the old CA, which all clients know. The record key stays, with a
    certificate of each CA.
    """
    finish_change(certs)
    old = Authority.load(certs)
    if old.old is not None or len(load_roots(certs)) > 1:
        raise ChatdError("E606", "the last rotation is not complete", "first run: chatd ca retire")
    if not old.certificate.not_valid_before_utc <= now <= old.certificate.not_valid_after_utc:
        raise ChatdError("E612", "the CA is not valid now, so nobody would trust what it certifies", NEW_HOME)
    created = Authority.create(old.instance, now=now)
    new = Authority(created.certificate, created.key, old)
    crosses = [new.cross_sign(old, now=now), old.cross_sign(new, now=now)]
    server = x509.load_pem_x509_certificate((certs / "server.pem").read_bytes())
    files = {
        "ca.pem": _pem(new.certificate, old.certificate),
        "ca.key": Issued(new.certificate, new.key).key_pem,
        OLD_KEY: Issued(old.certificate, old.key).key_pem,
        "server.pem": _pem(server, *crosses),
    }
    change_files(certs, files | _record_files(certs, new, now))
    return new


def retire(certs: Path, *, now: datetime, days: int) -> None:
    """Drop the old CA: its devices no longer log in, and the server's certificates are of the new one.

    ``days`` is their validity. Raises E410 if there is no old CA, E606, E612, E620.
    """
    finish_change(certs)
    roots = load_roots(certs)
    if len(roots) < 2:
        raise ChatdError("E410", "there is no old CA", "to make a new one: chatd ca rotate")
    new, old = Authority.load(certs), roots[1]
    alone = Authority(new.certificate, new.key)
    # Those who know the old CA only can still tell that this is their server, and are told what to do.
    crosses = [one for one in load_chain(certs) if one.public_key() == new.certificate.public_key()]
    files = {"ca.pem": _pem(new.certificate), RETIRED: _pem(old, *load_roots(certs, RETIRED))}
    for name in PROFILES:
        present = x509.load_pem_x509_certificate((certs / name).read_bytes())
        issued = alone.issue_again(present, PROFILES[name], now=now, days=days)
        files[name] = _pem(issued, *(crosses if name == "server.pem" else ()))
    change_files(certs, files, [OLD_KEY])


def _record_files(certs: Path, authority: Authority, now: datetime) -> dict[str, bytes]:
    """Certify the record key by a new CA; the old certificate is kept for what it has signed."""
    record = load_record_key(certs)
    if record is None:
        return {}
    former = record.public.certificate
    issued = authority.issue_record_key(now=now, key=record.private)
    kept = f"record-{key_id(record.public.key)}-{former.serial_number:x}.pem"
    return {_RECORD: issued.certificate_pem, kept: _pem(former)}


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
