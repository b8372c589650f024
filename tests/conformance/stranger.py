"""A client written from docs/protocol.md alone, with the standard library and `cryptography`, without chatd.

It gets the binding value in the way for libraries that do not give it out: from its own encrypted Finished.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

_TIMEOUT_SECONDS = 30.0
_HANDSHAKE_BYTES = 16384
_FRAME_BYTES = 65536
_DATA, _REKEY, _CLOSE = 1, 2, 3
# TLS cipher suite -> cipher, size of its key, hash.
_SUITES: dict[str, tuple[Any, int, str]] = {
    "TLS_AES_256_GCM_SHA384": (AESGCM, 32, "sha384"),
    "TLS_CHACHA20_POLY1305_SHA256": (ChaCha20Poly1305, 32, "sha256"),
    "TLS_AES_128_GCM_SHA256": (AESGCM, 16, "sha256"),
}

Frame = dict[str, Any]


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _hash(*items: bytes) -> bytes:
    return hashlib.sha256(b"".join(u32(len(item)) + item for item in items)).digest()


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _expand(key: bytes, info: bytes, size: int = 32) -> bytes:
    """HKDF-Expand for at most one block (RFC 5869, 2.3)."""
    return _mac(key, info + b"\x01")[:size]


def _expand_label(secret: bytes, label: bytes, size: int, name: str) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446, 7.1)."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\x00"
    return hmac.digest(secret, info + b"\x01", name)[:size]


class IdentityFile(NamedTuple):
    """What section 2, "Identity file", says is in one."""

    names: dict[str, str]
    servers: list[tuple[str, int]]
    certificate: x509.Certificate
    ca: x509.Certificate


def read_identity_file(path: Path) -> IdentityFile:
    text = path.read_text("ascii")
    header, _, _ = text.partition("-----BEGIN ")
    names: dict[str, str] = {}
    servers = []
    for line in header.splitlines():
        key, _, value = line.partition(": ")
        if key == "server":
            host, _, port = value.rpartition(":")
            servers.append((host.strip("[]"), int(port)))
        else:
            assert key in ("schema", "instance", "user", "device"), line
            assert key not in names, line
            names[key] = value
    assert names.pop("schema") == "1"
    own, ca = x509.load_pem_x509_certificates(text.encode())
    return IdentityFile(names, servers, own, ca)


def _uris(certificate: x509.Certificate) -> list[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.UniformResourceIdentifier)


def check_server_certificate(certificate: x509.Certificate, identity: IdentityFile, what: str) -> None:
    """Check the profile in section 2 of the certificate `server` or `envelope`."""
    certificate.verify_directly_issued_by(identity.ca)
    assert certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc
    assert _uris(certificate) == [f"chatd://{identity.names['instance']}/{what}"]
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    key = certificate.public_key()
    if what == "server":
        assert usage.value.digital_signature
        assert not usage.value.key_encipherment
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
        assert isinstance(key, EllipticCurvePublicKey)
        assert isinstance(key.curve, SECP256R1)
    else:
        assert usage.value.key_encipherment
        assert not usage.value.digital_signature
        assert isinstance(key, RSAPublicKey)
        assert key.public_numbers().e == 65537
        assert 2048 <= key.key_size <= 8192


class Ended(Exception):
    """The server has ended the connection; ``cleanly`` with close_notify."""

    def __init__(self, cleanly: bool) -> None:
        super().__init__(cleanly)
        self.cleanly = cleanly


class Tls:
    """A TLS connection that can compute the binding value by itself."""

    def __init__(self, context: ssl.SSLContext, address: tuple[str, int], key_log: Path) -> None:
        context.keylog_filename = str(key_log)
        self._key_log = key_log
        self._socket = socket.create_connection(address, _TIMEOUT_SECONDS)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)
        self._sent = b""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send_out()
                self._receive()
        self._send_out()
        assert self._tls.selected_alpn_protocol() == "chatd/1"

    def _send_out(self) -> None:
        data = self._out.read()
        self._sent += data
        self._socket.sendall(data)

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def binding(self) -> bytes:
        """The recipe in section 1, "Binding"; must be called before anything else is sent."""
        suite = (self._tls.cipher() or ("",))[0]
        cipher, size, name = _SUITES[suite]
        lines = (line.split() for line in self._key_log.read_text("ascii").splitlines())
        secrets = [
            bytes.fromhex(line[2]) for line in lines if line[:1] == ["CLIENT_HANDSHAKE_TRAFFIC_SECRET"]
        ]
        self._key_log.unlink()
        opener = cipher(_expand_label(secrets[-1], b"key", size, name))
        iv = int.from_bytes(_expand_label(secrets[-1], b"iv", 12, name), "big")
        messages, number, rest = b"", 0, self._sent
        while rest:
            end = 5 + int.from_bytes(rest[3:5], "big")
            if rest[0] == 23:
                nonce = (iv ^ number).to_bytes(12, "big")
                plain = opener.decrypt(nonce, rest[5:end], rest[:5]).rstrip(b"\x00")
                assert plain[-1] == 22
                messages += plain[:-1]
                number += 1
            rest = rest[end:]
        while messages[0] != 20:
            messages = messages[4 + int.from_bytes(messages[1:4], "big") :]
        return messages[4:]

    @property
    def library_says(self) -> bytes:
        """The binding value of a library that gives it out."""
        return self._tls.get_channel_binding("tls-unique") or b""

    def server_leaf(self) -> bytes:
        return self._tls.getpeercert(binary_form=True) or b""

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._send_out()

    def read(self) -> bytes:
        """Return some bytes. Raises Ended."""
        while True:
            try:
                data = self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._send_out()
                self._receive()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as error:
                raise Ended(isinstance(error, ssl.SSLZeroReturnError)) from None
            if not data:
                raise Ended(cleanly=True)
            return data

    def say_close(self) -> None:
        """Send close_notify."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._send_out()

    def drop(self) -> None:
        self._socket.close()


class Direction:
    """The keys of one direction (section 4)."""

    def __init__(self, secret: bytes, name: bytes, session_id: bytes) -> None:
        self.context = name + session_id
        self.epoch = 0
        self.use(secret)

    def use(self, secret: bytes) -> None:
        self.secret = secret
        self.cipher = AESGCM(_expand(secret, b"key"))
        self.iv = int.from_bytes(_expand(secret, b"iv", 12), "big")
        self.seq = 0

    def rekey(self) -> None:
        self.use(_expand(self.secret, b"upd"))
        self.epoch += 1

    def seal(self, kind: int, plain: bytes) -> bytes:
        header = u32(len(plain) + 16) + bytes([kind]) + self.epoch.to_bytes(2, "big")
        header += self.seq.to_bytes(8, "big")
        return header + self.cipher.encrypt(self._nonce(), plain, header + self.context)

    def open(self, header: bytes, sealed: bytes) -> bytes:
        epoch, seq = int.from_bytes(header[5:7], "big"), int.from_bytes(header[7:15], "big")
        assert (epoch, seq) == (self.epoch, self.seq)
        return self.cipher.decrypt(self._nonce(), sealed, header + self.context)

    def _nonce(self) -> bytes:
        nonce = (self.iv ^ self.seq).to_bytes(12, "big")
        self.seq += 1
        return nonce


class Stranger:
    """A client that logs in and exchanges frames. ``suite`` is what it offers in M1."""

    def __init__(self, path: Path, key_log: Path, *, suite: int = 1) -> None:
        self.identity_path = path
        self.identity = read_identity_file(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.load_cert_chain(path)
        context.load_verify_locations(cadata=self.identity.ca.public_bytes(Encoding.PEM).decode())
        context.set_alpn_protocols(["chatd/1"])
        self.tls = Tls(context, self.identity.servers[0], key_log)
        self.binding = self.tls.binding()
        self.buffer = b""
        self.frames: list[Frame] = []
        self.closed = False
        self.ids = 0
        self.cursor: int | None = None
        self.events: list[Frame] = []
        self.answers: dict[int, Frame] = {}
        self.refused_by: bytes | None = None
        self._handshake(suite)

    # --- section 3

    def _handshake(self, suite: int) -> None:
        leaf = self.tls.server_leaf()
        check_server_certificate(x509.load_der_x509_certificate(leaf), self.identity, "server")
        own = self.identity.certificate.public_bytes(Encoding.DER)
        digests = [hashlib.sha256(one).digest() for one in (leaf, own)]
        cb = _hash(b"chatd/cb/1", self.binding, *digests)
        ephemeral = X25519PrivateKey.generate()
        offer = b"\x00\x01" + suite.to_bytes(2, "big")
        m1 = b"CHD1" + offer + os.urandom(32) + ephemeral.public_key().public_bytes_raw()
        m2 = self._exchange(m1)
        if m2[:4] != offer:
            self.refused_by = m2
            return
        peer, session_id, certificate = m2[36:68], m2[68:84], m2[88:]
        assert 1 <= int.from_bytes(m2[84:88], "big") <= _FRAME_BYTES
        envelope = x509.load_der_x509_certificate(certificate)
        check_server_certificate(envelope, self.identity, "envelope")
        key = envelope.public_key()
        assert isinstance(key, RSAPublicKey)
        th2, pms = _hash(cb, m1, m2), os.urandom(32)
        label = b"chatd/env/1 pms\x00" + th2
        ct = key.encrypt(pms, OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=label))
        th3 = _hash(cb, m1, m2, ct)
        prk = _mac(th2, pms + ephemeral.exchange(X25519PublicKey.from_public_bytes(peer)))
        c2s, s2c, fin_c_key, fin_s_key = (
            _expand(prk, b"chatd/env/1 " + name + b"\x00" + th3)
            for name in (b"c2s", b"s2c", b"fin c", b"fin s")
        )
        fin_c = _mac(fin_c_key, th3)
        assert hmac.compare_digest(self._exchange(ct + fin_c), _mac(fin_s_key, _hash(th3, fin_c)))
        self.out = Direction(c2s, b"c2s", session_id)
        self.incoming = Direction(s2c, b"s2c", session_id)

    def _exchange(self, body: bytes) -> bytes:
        self.tls.write(u32(len(body)) + body)
        size = int.from_bytes(self._take(4), "big")
        assert 1 <= size <= _HANDSHAKE_BYTES
        return self._take(size)

    def _take(self, size: int) -> bytes:
        """Return the next bytes. A read may bring more than was waited for, such as M4 with `welcome`."""
        while len(self.buffer) < size:
            self.buffer += self.tls.read()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    # --- sections 4 and 5

    def ask(self, **request: Any) -> int:
        """Send a request; return its id."""
        self.ids += 1
        text = json.dumps({**request, "id": self.ids}).encode()
        self.tls.write(self.out.seal(_DATA, u32(len(text)) + text))
        return self.ids

    def rekey(self) -> None:
        self.tls.write(self.out.seal(_REKEY, b""))
        self.out.rekey()

    def next(self) -> Frame:
        """Return the next frame. Raises Ended, or returns {} for the close record."""
        while not self.frames:
            header = self._take(15)
            size = int.from_bytes(header[:4], "big")
            assert 16 <= size <= 65536 + 16
            plain = self.incoming.open(header, self._take(size))
            if header[4] == _CLOSE:
                self.closed = True
                return {}
            if header[4] == _REKEY:
                self.incoming.rekey()
            while plain:
                end = 4 + int.from_bytes(plain[:4], "big")
                self.frames.append(json.loads(plain[4:end]))
                plain = plain[end:]
        return self.frames.pop(0)

    # --- sections 6 and 9

    def step(self) -> Frame:
        """Take one frame and do what a client must do with it."""
        frame = self.next()
        if frame.get("type") == "ping":
            self.ask(type="ping")
        elif frame.get("type") in ("ok", "error"):
            self.answers[frame["id"]] = frame
        elif "seq" in frame:
            self._deliver(frame)
        return frame

    def _deliver(self, event: Frame) -> None:
        if self.cursor is None or event["seq"] > self.cursor:
            self.cursor = event["seq"]
            self.events.append(event)

    def until(self, kind: str) -> Frame:
        """Take frames up to one of this type."""
        while (frame := self.step()).get("type") != kind:
            assert frame, f"the server closed before {kind}"
        return frame

    def answer(self, request_id: int) -> Frame:
        while request_id not in self.answers:
            assert self.step(), "the server closed before it answered"
        return self.answers.pop(request_id)

    def go_live(self, after: int | None) -> None:
        """Fetch what came after the cursor ``after``, in pages."""
        self.cursor = after
        while True:
            fields = {} if self.cursor is None else {"after": self.cursor}
            result = self.answer(self.ask(type="resume", **fields))["result"]
            for event in result["events"]:
                self._deliver(event)
            self.cursor = result["cursor"]
            if not result["more"]:
                return

    def say(self, body: str, to: str = "#lobby", msg_id: str = "") -> Frame:
        return self.answer(self.ask(type="send", msg_id=msg_id or os.urandom(16).hex(), to=to, body=body))

    def close(self) -> None:
        """Leave as section 6 says."""
        self.tls.write(self.out.seal(_CLOSE, b""))
        self.tls.say_close()
        self.tls.drop()

    def rest(self) -> bool:
        """Read to the end; return whether a close record and close_notify came."""
        try:
            while True:
                if not self.closed:
                    self.next()
                else:
                    assert not self.tls.read(), "bytes after the close record"
        except Ended as end:
            return self.closed and end.cleanly
