"""The envelope's handshake, sans-IO. Specified in docs/protocol.md, "Envelope".

    M1 C->S  hello: random, X25519 key          M3 C->S  RSA-OAEP(secret), fin_C
    M2 S->C  random, X25519 key, certificate    M4 S->C  fin_S

Each message is called a body here; on the wire `pack` puts its length before it. Every failure is
E104 with one wording to the peer; out of order is E105, another version E107.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from chatd.crypto.keys import channel_binding, digest, extract, lp, traffic_secret
from chatd.crypto.records import CLIENT_TO_SERVER, SERVER_TO_CLIENT, Opener, Sealer
from chatd.errors import ChatdError

HANDSHAKE_LIMIT: Final = 16 * 1024
MAGIC: Final = b"CHD1"
VERSION: Final = 1
SUITE: Final = 1  # RSA-OAEP-SHA256 + X25519, HKDF-SHA256, AES-256-GCM
RANDOM_BYTES: Final = 32
SESSION_ID_BYTES: Final = 16
FIN_BYTES: Final = 32

_M1: Final = struct.Struct(">4sHH32s32s")
_M2: Final = struct.Struct(">HH32s32s16sI")

Random = Callable[[int], bytes]


def pack(body: bytes) -> bytes:
    """A handshake message as it goes on the wire."""
    return len(body).to_bytes(4, "big") + body


@dataclass(frozen=True, slots=True, repr=False)
class SessionKeys:
    """What both ends have after the handshake; each ``sealer`` is the other end's ``opener``."""

    session_id: bytes
    max_frame: int
    sealer: Sealer
    opener: Opener

    def __repr__(self) -> str:
        return "<SessionKeys>"


class _Secrets:
    """The key schedule from the transcript; dropped when the handshake is over."""

    def __init__(self, th2: bytes, ciphertext: bytes, transcript: tuple[bytes, ...], secret: bytes) -> None:
        self.th3 = digest(lp(*transcript, ciphertext))
        self._prk = extract(th2, secret)

    def of(self, label: bytes) -> bytes:
        return traffic_secret(self._prk, label, self.th3)

    def client_finished(self) -> bytes:
        return hmac.digest(self.of(b"fin c"), self.th3, "sha256")

    def server_finished(self, client_finished: bytes) -> bytes:
        return hmac.digest(self.of(b"fin s"), digest(lp(self.th3, client_finished)), "sha256")


class ClientHandshake:
    """The client's side: `hello`, `exchange`, `finish`, once each, in this order."""

    def __init__(
        self,
        *,
        binding: bytes,
        server_leaf: bytes,
        client_leaf: bytes,
        envelope_key_of: Callable[[bytes], RSAPublicKey],
        random: Random = os.urandom,
    ) -> None:
        """``binding`` is the TLS value of docs/protocol.md; ``envelope_key_of`` verifies the envelope
        certificate (DER) and returns its key, or raises."""
        self._cb = channel_binding(_some(binding), server_leaf, client_leaf)
        self._envelope_key_of = envelope_key_of
        self._random = random
        self._step = 0
        self._m1 = b""

    def hello(self) -> bytes:
        """M1."""
        self._take_step(0)
        self._private = X25519PrivateKey.from_private_bytes(self._random(32))
        public = self._private.public_key().public_bytes_raw()
        self._m1 = _M1.pack(MAGIC, VERSION, SUITE, self._random(RANDOM_BYTES), public)
        return self._m1

    def exchange(self, m2: bytes) -> bytes:
        """M3 for the server's M2. Raises E104, E107, or what ``envelope_key_of`` raises."""
        self._take_step(1)
        if not _M2.size < len(m2) <= HANDSHAKE_LIMIT:
            raise ChatdError("E104", "the server's answer has a bad length")
        version, suite, _, public, self._session_id, self._max_frame = _M2.unpack_from(m2)
        _check_version(version, suite)
        key = self._envelope_key_of(m2[_M2.size :])
        th2 = digest(lp(self._cb, self._m1, m2))
        pms = self._random(32)
        ciphertext = key.encrypt(pms, _oaep(th2))
        secret = pms + _agree(self._private, public)
        self._secrets = _Secrets(th2, ciphertext, (self._cb, self._m1, m2), secret)
        self._finished = self._secrets.client_finished()
        return ciphertext + self._finished

    def finish(self, m4: bytes) -> SessionKeys:
        """The keys, once the server has proved that it has them too. Raises E104."""
        self._take_step(2)
        if not hmac.compare_digest(m4, self._secrets.server_finished(self._finished)):
            raise ChatdError("E104", "the server did not prove that it has the key")
        c2s, s2c = self._secrets.of(b"c2s"), self._secrets.of(b"s2c")
        del self._secrets, self._private
        return SessionKeys(
            self._session_id,
            self._max_frame,
            Sealer(c2s, CLIENT_TO_SERVER, self._session_id),
            Opener(s2c, SERVER_TO_CLIENT, self._session_id),
        )

    def _take_step(self, step: int) -> None:
        if self._step != step:
            raise ChatdError("E105", "the envelope's handshake is out of order")
        self._step = step + 1


class ServerHandshake:
    """The server's side: `respond`, `accept`, once each, in this order."""

    def __init__(
        self,
        *,
        binding: bytes,
        server_leaf: bytes,
        client_leaf: bytes,
        envelope_certificate: bytes,
        private_key: RSAPrivateKey,
        max_frame: int,
        random: Random = os.urandom,
    ) -> None:
        self._cb = channel_binding(_some(binding), server_leaf, client_leaf)
        self._certificate = envelope_certificate
        self._key = private_key
        self._max_frame = max_frame
        self._random = random
        self._step = 0

    def respond(self, m1: bytes) -> bytes:
        """M2 for the client's M1. Raises E104, E107."""
        self._take_step(0)
        if len(m1) != _M1.size:
            raise ChatdError("E104", "the client's hello has a bad length")
        magic, version, suite, _, self._public = _M1.unpack(m1)
        if magic != MAGIC:
            raise ChatdError("E104", "this is not a hello of the envelope")
        _check_version(version, suite)
        self._private = X25519PrivateKey.from_private_bytes(self._random(32))
        self._session_id = self._random(SESSION_ID_BYTES)
        public = self._private.public_key().public_bytes_raw()
        head = _M2.pack(VERSION, SUITE, self._random(RANDOM_BYTES), public, self._session_id, self._max_frame)
        self._m1, self._m2 = m1, head + self._certificate
        return self._m2

    def accept(self, m3: bytes) -> tuple[bytes, SessionKeys]:
        """M4 and the keys, once the client has proved that it has them. Raises E104."""
        self._take_step(1)
        size = self._key.key_size // 8
        if len(m3) != size + FIN_BYTES:
            raise ChatdError("E104", "the client's key exchange has a bad length")
        ciphertext, finished = m3[:size], m3[size:]
        th2 = digest(lp(self._cb, self._m1, self._m2))
        shared = _agree(self._private, self._public)
        secrets = _Secrets(
            th2, ciphertext, (self._cb, self._m1, self._m2), self._decrypt(ciphertext, th2) + shared
        )
        if not hmac.compare_digest(finished, secrets.client_finished()):
            raise ChatdError("E104", "the client did not prove that it has the key")
        keys = SessionKeys(
            self._session_id,
            self._max_frame,
            Sealer(secrets.of(b"s2c"), SERVER_TO_CLIENT, self._session_id),
            Opener(secrets.of(b"c2s"), CLIENT_TO_SERVER, self._session_id),
        )
        del self._private
        return secrets.server_finished(finished), keys

    def _decrypt(self, ciphertext: bytes, th2: bytes) -> bytes:
        # A ciphertext that does not decrypt goes on with random bytes, as in RFC 8446's predecessor
        # (RFC 5246 7.4.7.1): a bad padding and a bad proof then look and take the same (RFC 8017 7.1.2).
        substitute = self._random(32)
        try:
            pms = self._key.decrypt(ciphertext, _oaep(th2))
        except ValueError:
            return substitute
        return pms if len(pms) == len(substitute) else substitute

    def _take_step(self, step: int) -> None:
        if self._step != step:
            raise ChatdError("E105", "the envelope's handshake is out of order")
        self._step = step + 1


def _oaep(th2: bytes) -> OAEP:
    return OAEP(MGF1(SHA256()), SHA256(), b"chatd/env/1 pms\x00" + th2)


def _agree(private: X25519PrivateKey, public: bytes) -> bytes:
    try:
        # OpenSSL refuses a shared secret of all zeros (RFC 7748 6.1).
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise ChatdError("E104", "the peer sent a bad X25519 key") from None


def _check_version(version: int, suite: int) -> None:
    if (version, suite) != (VERSION, SUITE):
        raise ChatdError("E107", f"the peer speaks envelope {version}.{suite}, this is {VERSION}.{SUITE}")


def _some(binding: bytes) -> bytes:
    if not binding:
        raise ChatdError("E104", "the TLS library gives no value to bind the envelope to")
    return binding
