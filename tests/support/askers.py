"""Asks in tests: a client that asks as a program wants, and what admins do about it."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.pki.profiles import spki
from chatd.pki.signing_request import make_request
from chatd.proto.ask_frames import ask_words, commitment
from chatd.proto.frames import encode
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.joining import RawJoiner


class RawAsker(RawJoiner):
    """A connection that asks with a key; ``words`` once both nonces are known."""

    def __init__(self, port: int, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        super().__init__(port)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.words = ""
        self._nonce = secrets.token_bytes(32)
        ca = x509.load_pem_x509_certificate(self.receive()["ca"].encode())
        self._ca = ca.public_bytes(Encoding.DER)

    def send(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a frame; return the next one, {} if there is none."""
        try:
            self.sock.sendall(encode(frame))
        except OSError:
            return {}
        return self.receive()

    def begin(self, user: str, **fields: Any) -> dict[str, Any]:
        """Send the ask; return the server's nonce, or what it says instead."""
        csr = base64.b64encode(make_request(self.key)).decode()
        frame = {"type": "ask", "user": user, "device": "", "csr": csr, "commitment": commitment(self._nonce)}
        return self.send(frame | fields)

    def ask(self, user: str) -> dict[str, Any]:
        """Ask and reveal; return the answer."""
        told = self.begin(user)
        if told.get("type") != "nonce":
            return told
        nonce = bytes.fromhex(told["nonce"])
        self.words = ask_words(self._ca, self._nonce, nonce, spki(self.key.public_key()), user)
        return self.send({"type": "reveal", "nonce": self._nonce.hex()})

    def decision(self) -> dict[str, Any]:
        """Return the first frame that is no "asked"; {} if the connection ends."""
        while (message := self.receive()).get("type") == "asked":
            pass
        return message


def asks(daemon: Daemon) -> list[dict[str, Any]]:
    """Return who asks."""
    found: list[dict[str, Any]] = json.loads(daemon.chatctl("asks", "--json").stdout)["asks"]
    return found


class AskingProgram:
    """`chat ask` in the background."""

    def __init__(self, daemon: Daemon, user: str, identity: Path) -> None:
        self._errors = identity.with_suffix(".err")
        command = [str(BIN / "chat"), "ask", f"127.0.0.1:{daemon.port}", "--as", user, "--yes", "--no-chat"]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [*command, "--identity", str(identity)], env=daemon.environ, stderr=errors
            )

    def words(self, number: int = 1) -> str:
        """Wait for words to be shown, for the ``number``th time; return them."""
        shown = wait_until(lambda: self._shown()[number - 1 :], what="the words")
        return str(shown[0])

    def _shown(self) -> list[str]:
        lines = self.said().splitlines()
        return [line.split(": ", 1)[1] for line in lines if line.startswith("your words: ")]

    def said(self) -> str:
        return self._errors.read_text()

    def finish(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was said."""
        return self._process.wait(60), self.said()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
