"""The identity file: everything one device needs to log in, in one portable file.

    schema: 1
    instance: lab
    user: bob
    device: laptop
    server: 192.0.2.7:5000
    -----BEGIN PRIVATE KEY----- ... then the device's certificate, then the pinned CA's.

PEM readers skip text before the first block, so OpenSSL can load the same file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from chatd.console.pasting import pasteable
from chatd.durable_files import PRIVATE, create_file
from chatd.errors import ChatdError
from chatd.pki.authority import Issued
from chatd.pki.profiles import PARSE_ERRORS, DeviceName, device_of
from chatd.proto.text import is_host_port

SCHEMA = "1"
# Identity files are below 3 KiB; do not read all of some other large file.
IDENTITY_LIMIT = 32 * 1024
MAX_SERVERS = 16

_BEGIN = "-----BEGIN "
_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n")
_BLOCKS = ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]


@dataclass(frozen=True)
class Identity:
    """A validated identity file without its private key, which TLS reads from ``path``."""

    path: Path
    instance: str
    user: str
    device: str
    servers: tuple[str, ...]
    certificate_der: bytes = field(repr=False)
    ca_pem: str = field(repr=False)
    not_before: datetime
    not_after: datetime


def write_identity(
    path: Path,
    issued: Issued,
    ca_cert: x509.Certificate,
    *,
    instance: str,
    user: str,
    device: str,
    servers: Iterable[str],
) -> None:
    """Create the file with mode 0600. Raises E606, also if it exists; E600 for an invalid server."""
    servers = list(servers)
    if len(servers) > MAX_SERVERS:
        raise ChatdError("E600", f"an identity names at most {MAX_SERVERS} servers", "see server.addresses")
    for server in servers:
        if not is_host_port(server):
            raise ChatdError("E600", f"{server!r:.300} is not host:port", "see server.addresses")
    lines = [f"schema: {SCHEMA}", f"instance: {instance}", f"user: {user}", f"device: {device}"]
    lines += [f"server: {server}" for server in servers]
    header = "".join(f"{line}\n" for line in lines).encode("ascii")
    ca_pem = ca_cert.public_bytes(Encoding.PEM)
    create_file(path, header + issued.key_pem + issued.certificate_pem + ca_pem, PRIVATE)


def read_identity(path: Path) -> Identity:
    """Read and validate an identity file, except its dates. Raises E608."""
    try:
        return _parse(path, _read(path))
    except FileNotFoundError:
        raise ChatdError("E608", f"there is no file {path}", "check the path of the identity file") from None
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise _refused(path, str(error)) from None


def _refused(path: Path, why: str) -> ChatdError:
    return ChatdError("E608", f"{path} cannot be used as an identity: {why}")


def _read(path: Path) -> str:
    # O_NONBLOCK: opening a FIFO would wait for a writer forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a file")
        data = file.read(IDENTITY_LIMIT + 1)
        if status.st_mode & 0o077 and b"PRIVATE KEY" in data:
            raise ChatdError(
                "E608",
                f"{path} holds a private key and can be read by others (mode {status.st_mode & 0o777:o})",
                f"run: {pasteable('chmod', '600', path)}",
            )
    if len(data) > IDENTITY_LIMIT:
        raise ValueError(f"it is longer than {IDENTITY_LIMIT} bytes")
    try:
        return data.decode("ascii").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ValueError("it is not a text file of this kind") from None


def _parse(path: Path, text: str) -> Identity:
    header, begin, blocks = text.partition(_BEGIN)
    named, servers = _parse_header(header)
    certificate, ca = _parse_blocks(begin + blocks)
    der = certificate.public_bytes(Encoding.DER)
    try:
        name = device_of(der, ca).name
    except ChatdError as error:
        raise ValueError(error.reason) from None
    if name != named:
        raise ValueError("its header and its certificate name different devices")
    return Identity(
        path=path,
        instance=name.instance,
        user=name.user,
        device=name.device,
        servers=servers,
        certificate_der=der,
        ca_pem=ca.public_bytes(Encoding.PEM).decode("ascii"),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _parse_header(header: str) -> tuple[DeviceName, tuple[str, ...]]:
    single: dict[str, str] = {}
    servers: list[str] = []
    for line in header.splitlines():
        key, separator, value = line.partition(": ")
        if key == "server" and is_host_port(value):
            servers.append(value)
        elif separator and key in ("schema", "instance", "user", "device") and key not in single:
            single[key] = value
        else:
            raise ValueError(f"it has an invalid header line: {line!r:.100}")
    if single.get("schema") != SCHEMA:
        raise ValueError("it is not an identity file, or it is from a newer version")
    if len(single) != 4 or len(servers) > MAX_SERVERS:
        raise ValueError("its header is incomplete or names too many servers")
    return DeviceName(single["instance"], single["user"], single["device"]), tuple(servers)


def _parse_blocks(text: str) -> tuple[x509.Certificate, x509.Certificate]:
    """Return the device's and the CA's certificates, after checking that they and the key match."""
    found = list(_BLOCK.finditer(text))
    if [block[1] for block in found] != _BLOCKS or "".join(block[0] for block in found) != text:
        raise ValueError("it is damaged: it must have a private key and two certificates")
    key_pem, leaf_pem, ca_pem = (block[0].encode("ascii") for block in found)
    try:
        key = load_pem_private_key(key_pem, None)
        leaf, ca = x509.load_pem_x509_certificate(leaf_pem), x509.load_pem_x509_certificate(ca_pem)
        belongs = key.public_key() == leaf.public_key()
        leaf.verify_directly_issued_by(ca)
    except InvalidSignature:
        raise ValueError("its certificate was not issued by its CA certificate") from None
    except PARSE_ERRORS:
        raise ValueError("its key or one of its certificates is damaged") from None
    if not belongs:
        raise ValueError("its private key does not match its certificate")
    return leaf, ca
