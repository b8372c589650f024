"""The identity file: everything one device needs to log in, in one portable file.

    schema: 1
    instance: lab
    user: bob
    device: laptop
    server: 192.0.2.7:5000
    -----BEGIN PRIVATE KEY----- ... then the device's certificate, then the pinned CA's.

PEM readers skip text before the first block, so OpenSSL can load the same file. The blocks may also come
in another order (chatd.pki.identity_blocks).
"""

from __future__ import annotations

import codecs
import hashlib
import os
import select
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.codes import NEW_IDENTITY
from chatd.console.pasting import pasteable
from chatd.durable_files import PRIVATE, create_file
from chatd.errors import ChatdError
from chatd.pki.identity_blocks import COPY_AGAIN, UnusableError, read_blocks
from chatd.pki.issued import Issued
from chatd.pki.lifetimes import warning_begins
from chatd.pki.profiles import DeviceName, device_of, fingerprint, key_hash_of, record_key_in, spki
from chatd.proto.text import is_host_port

SCHEMA = "1"
# Identity files are below 3 KiB; do not read all of some other large file.
IDENTITY_LIMIT = 32 * 1024
MAX_SERVERS = 16

# A pipe's writer may ask a person for a passphrase.
PIPE_SECONDS = 60

_BEGIN = "-----BEGIN "
_HEADER_KEYS = ("schema", "instance", "user", "device")  # each once, besides "server"


@dataclass(frozen=True)
class Identity:
    """A validated identity file. TLS reads the private key from ``path``, or from ``pem`` if that is set.

    ``pem`` holds the key and the certificates of a pipe, and of a file that OpenSSL would read otherwise.
    """

    path: Path
    instance: str
    user: str
    device: str
    servers: tuple[str, ...]
    certificate_der: bytes = field(repr=False)
    ca_pem: str = field(repr=False)
    not_before: datetime
    not_after: datetime
    record_key: str = ""  # the fingerprint of the server's record key, if the certificate names it
    pem: str = field(default="", repr=False)
    crosses: tuple[x509.Certificate, ...] = ()  # other CAs of the server, certified by this one
    servers_in_file: tuple[str, ...] = field(
        default=(), repr=False, compare=False
    )  # a program may choose other ``servers``

    @property
    def ca(self) -> x509.Certificate:
        """The CA that issued the certificate, which the file pins."""
        return x509.load_pem_x509_certificate(self.ca_pem.encode("ascii"))

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """The CAs whose certificates the server may show."""
        return (self.ca, *self.crosses)

    @property
    def key_hash(self) -> str:
        """The SHA-256 of the device's SubjectPublicKeyInfo, in hex."""
        return key_hash_of(x509.load_der_x509_certificate(self.certificate_der))

    @property
    def ca_hash(self) -> str:
        """The SHA-256 of the CA's certificate (DER), in hex."""
        ca = x509.load_pem_x509_certificate(self.ca_pem.encode("ascii"))
        return hashlib.sha256(ca.public_bytes(Encoding.DER)).hexdigest()

    @property
    def obstacle(self) -> str:
        """Why the file cannot be replaced by a renewed one; "" if it can, and for a pipe."""
        folder = self.path.resolve().parent
        if not self.path.is_file() or os.access(folder, os.W_OK | os.X_OK):
            return ""
        return f"{folder} cannot be written"

    def ends_soon(self, now: datetime) -> bool:
        """Whether its owner is to be told that it ends, because it should have been renewed."""
        return now >= warning_begins(self.not_before, self.not_after)


def write_identity(
    path: Path,
    issued: Issued,
    ca_cert: x509.Certificate,
    *crosses: x509.Certificate,
    instance: str,
    user: str,
    device: str,
    servers: Iterable[str],
) -> None:
    """Create the file with mode 0600. Raises E606, also if it exists; E600 for an invalid server."""
    name = DeviceName(instance, user, device)
    create_file(path, identity_content(issued, ca_cert, *crosses, name=name, servers=servers), PRIVATE)


def identity_content(
    issued: Issued,
    ca_cert: x509.Certificate,
    *crosses: x509.Certificate,
    name: DeviceName,
    servers: Iterable[str],
) -> bytes:
    """Return the content of an identity file. Raises E600 for an invalid server."""
    servers = list(servers)
    if len(servers) > MAX_SERVERS:
        raise ChatdError("E600", f"an identity names at most {MAX_SERVERS} servers", "see server.addresses")
    for server in servers:
        if not is_host_port(server):
            raise ChatdError("E600", f"{server!r:.300} is not host:port", "see server.addresses")
    header = _header(*name, servers).encode("ascii")
    ca_pem = b"".join(one.public_bytes(Encoding.PEM) for one in (ca_cert, *crosses))
    return header + issued.key_pem + issued.certificate_pem + ca_pem


def read_identity(path: Path) -> Identity:
    """Read and validate an identity file or pipe, except its dates. Raises E608."""
    try:
        return _parse(path, _read(path))
    except FileNotFoundError:
        raise ChatdError("E608", f"there is no file {path}", "check the path of the identity file") from None
    except OSError as error:
        fix = "check its permissions and those of its folders"
        raise _refused(path, f"it cannot be read: {error.strerror}", fix) from None
    except UnusableError as error:
        raise _refused(path, error.reason, _for_file(error.fix, path)) from None


def with_certificate(identity: Identity, certificate: str) -> Identity:
    """Return an identity that has ``pem`` with another certificate (PEM) of its key and names.

    Raises E608 for a certificate of another key, device or CA.
    """
    header = _header(identity.instance, identity.user, identity.device, identity.servers)
    former = x509.load_der_x509_certificate(identity.certificate_der).public_bytes(Encoding.PEM).decode()
    try:
        return _parse(identity.path, (header + identity.pem.replace(former, certificate)).encode())
    except UnusableError as error:
        raise _refused(identity.path, f"with its renewed certificate, {error.reason}", error.fix) from None


def _header(instance: str, user: str, device: str, servers: Iterable[str]) -> str:
    lines = [f"schema: {SCHEMA}", f"instance: {instance}", f"user: {user}", f"device: {device}"]
    lines += [f"server: {server}" for server in servers]
    return "".join(f"{line}\n" for line in lines)


def _refused(path: Path, why: str, fix: str) -> ChatdError:
    return ChatdError("E608", f"{path} cannot be used as an identity: {why}", fix)


def _for_file(fix: str, path: Path) -> str:
    return fix.replace("FILE", pasteable(path)) if path.is_file() else fix


def _read(path: Path) -> bytes:
    # O_NONBLOCK: opening a FIFO would wait for a writer forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISFIFO(status.st_mode):
            raise UnusableError("it is not a file", "check the path of the identity file")
        data = _read_limited(descriptor)
    finally:
        os.close(descriptor)
    if not data:
        raise UnusableError("it is empty", COPY_AGAIN)
    if status.st_mode & 0o077 and b"PRIVATE KEY" in data:
        raise ChatdError(
            "E608",
            f"{path} holds a private key and can be read by others (mode {status.st_mode & 0o777:o})",
            f"run: {pasteable('chmod', '600', path)}",
        )
    return data


def _read_limited(descriptor: int) -> bytes:
    """Read to the end. The program that writes into a pipe may ask for a passphrase first."""
    data, deadline = b"", time.monotonic() + PIPE_SECONDS
    while len(data) <= IDENTITY_LIMIT:
        try:
            part = os.read(descriptor, IDENTITY_LIMIT + 1 - len(data))
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0:
                raise UnusableError("nothing more came through the pipe", "name a file instead") from None
            select.select([descriptor], [], [], left)
            continue
        if not part:
            return data
        data += part
    raise UnusableError(f"it is longer than {IDENTITY_LIMIT} bytes", "check the path of the identity file")


def _text(data: bytes) -> str:
    """Decode what editors and shells save as plain text, and remove spaces around the lines."""
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if utf_16 else "utf-8-sig", "replace")
    return "\n".join(line.strip(" \t\r") for line in text.split("\n"))


def _parse(path: Path, data: bytes) -> Identity:
    text = _text(data)
    header, begin, blocks = text.partition(_BEGIN)
    if header and not begin and header.partition(":")[0] not in (*_HEADER_KEYS, "server"):
        raise UnusableError("it is not an identity file", "check the path of the identity file")
    named, servers = _parse_header(header)
    certificate, ca, crosses, pem = read_blocks(begin + blocks)
    der = certificate.public_bytes(Encoding.DER)
    try:
        name = device_of(der, ca).name
    except ChatdError as error:
        # The CA did issue it like this, so that another copy would be the same.
        raise UnusableError(error.reason, NEW_IDENTITY) from None
    if name != named:
        raise UnusableError("its header and its certificate name different devices", COPY_AGAIN)
    record_key = record_key_in(certificate)
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
        record_key="" if record_key is None else fingerprint(spki(record_key)),
        pem="" if path.is_file() and data == (header + pem).encode() else pem,
        crosses=crosses,
        servers_in_file=servers,
    )


# A certificate or a key alone looks like that, too.
_CHECK_PATH = (
    "check the path: an identity file begins with lines such as user: NAME; or copy the whole file again"
)


def _parse_header(header: str) -> tuple[DeviceName, tuple[str, ...]]:
    single: dict[str, str] = {}
    servers: list[str] = []
    lines = [line for line in header.split("\n") if line]
    if not lines:
        raise UnusableError("it is not an identity file: the lines before the key are missing", _CHECK_PATH)
    for line in lines:
        key, separator, value = line.partition(": ")
        if key == "server" and is_host_port(value):
            servers.append(value)
        elif separator and key in _HEADER_KEYS and key not in single:
            single[key] = value
        else:
            fix = "write it as server: HOST:PORT" if key == "server" else "correct or remove that line"
            raise UnusableError(f"it has an invalid header line: {line!r:.100}", fix)
    if single.get("schema", SCHEMA) != SCHEMA:
        raise UnusableError("it is from a newer version of chatd", "update this program")
    if len(single) != 4 or len(servers) > MAX_SERVERS:
        raise UnusableError("its header is incomplete or names too many servers", COPY_AGAIN)
    return DeviceName(single["instance"], single["user"], single["device"]), tuple(servers)
