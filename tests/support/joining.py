"""Invites in tests: make one, and redeem it as a program that does what it wants."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chatd.pki.contexts import joining_context
from chatd.pki.identity import Identity
from chatd.pki.renewal_proof import sign_renewal
from chatd.pki.signing_request import make_request
from chatd.proto.frames import decode, encode
from chatd.proto.invite_code import InviteCode, parse_code
from chatd.proto.length_prefix import take_message
from tests.support.daemon import Daemon


def invite(daemon: Daemon, user: str, *options: str) -> str:
    """Return the HOST:PORT/CODE of a new invite."""
    done = daemon.chatctl("invite", "create", user, *options)
    program, command, code = done.stdout.split()
    assert (program, command) == ("chat", "join")
    return code


def join(daemon: Daemon, code: str, identity: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `chat join` without chatting."""
    return daemon.run("chat", "join", code, "--identity", str(identity), "--no-chat", *options, check=False)


def devices_of(daemon: Daemon, user: str) -> list[str]:
    """Return the names of a user's devices; empty if there is no such user."""
    done = daemon.chatctl("whois", user, "--json", check=False)
    return [one["device"] for one in json.loads(done.stdout)["devices"]] if done.returncode == 0 else []


class RawJoiner:
    """A client of the enrol process that checks nothing."""

    def __init__(self, port: int, timeout: float = 30.0, source: str = "127.0.0.1") -> None:
        """``source`` is the loopback address to connect from."""
        plain = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        try:
            self.sock = joining_context().wrap_socket(plain)
        except BaseException:
            plain.close()
            raise
        self._incoming = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def receive(self) -> dict[str, Any]:
        """Return the next frame; {} if the connection ends."""
        while (message := take_message(self._incoming, 65536, "E101")) is None:
            try:
                data = self.sock.recv(65536)
            except OSError:
                data = b""
            if not data:
                return {}
            self._incoming += data
        return decode(message)

    def redeem(self, code: InviteCode | str, **fields: Any) -> dict[str, Any]:
        """Redeem with a new key; return the answer, {} if there is none."""
        secret = (parse_code(code) if isinstance(code, str) else code).secret.hex()
        csr = make_request(ec.generate_private_key(ec.SECP256R1()))
        frame = {"type": "redeem", "secret": secret, "csr": base64.b64encode(csr).decode(), "device": ""}
        assert self.receive()["type"] == "authority"
        return self.send(frame | fields)

    def send(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a frame; return the answer, {} if there is none."""
        try:
            self.sock.sendall(encode(frame))
        except OSError:
            return {}
        return self.receive()

    def proof_of(self, identity: Identity) -> str:
        """Return the proof for a renewal of this identity on this connection."""
        key = load_pem_private_key(identity.path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        binding = self.sock.get_channel_binding("tls-unique") or b""
        return sign_renewal(key, binding, identity.certificate_der).hex()

    def renew(self, identity: Identity, proof: str) -> dict[str, Any]:
        """Ask for the next certificate of an identity, after the first frame was received."""
        pem = ssl.DER_cert_to_PEM_cert(identity.certificate_der)
        return self.send({"type": "renew", "certificate": pem, "proof": proof})


def outcome_of(port: int, code: InviteCode | str, **fields: Any) -> str:
    """Try to redeem a code; return "enrolled", the error's code, or "cut"."""
    try:
        with RawJoiner(port) as joiner:
            answer = joiner.redeem(code, **fields)
    except (OSError, ssl.SSLError, KeyError):
        return "cut"
    return str(answer.get("code") or answer.get("type") or "cut")
