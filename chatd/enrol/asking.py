"""The conversation with a client that asks to be let in, up to the words that people compare."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from hmac import compare_digest
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.enrol.credentials import EnrolCredentials
from chatd.enrol.pending_asks import PendingAsk, PendingAsks
from chatd.errors import ChatdError
from chatd.pki.profiles import key_hash, spki
from chatd.pki.signing_request import key_of_request
from chatd.proto.ask_frames import NONCE_BYTES, AskFrame, RevealFrame, ask_hash, ask_words, commitment
from chatd.proto.enrol_frames import parse_enrol_frame
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_new_name


class Asking:
    """One client's ask. `take` its frames in order; once it `waits`, put the ``question`` to the hub."""

    key: ec.EllipticCurvePublicKey

    def __init__(
        self,
        address: str,
        credentials: EnrolCredentials,
        pending: PendingAsks,
        now: Callable[[], datetime],
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._pending = pending
        self._now = now
        self._frame: AskFrame | None = None
        self._key_hash = ""
        self._nonce = b""
        self._ask: PendingAsk | None = None

    @property
    def waits(self) -> bool:
        """Whether the ask is complete and waits for an admin."""
        return self._ask is not None

    @property
    def question(self) -> list[Any]:
        """The arguments of the question to the hub."""
        assert self._ask is not None  # noqa: S101 - `waits` was true
        ask = self._ask
        return [self._key_hash, ask.user, ask.device, ask.address, ask.words, ask.at]

    @property
    def invite(self) -> list[str]:
        """The arguments with which the hub checks the invite of an approved ask."""
        return [ask_hash(self._key_hash), self._key_hash, self._ask.device if self._ask else ""]

    def end(self) -> None:
        """Free the place of an ask that was decided."""
        self._pending.end(self._key_hash)

    def take(self, message: JsonObject) -> JsonObject:
        """Take a frame of the client; return the answer. Raises the ChatdError that refuses it."""
        if message["type"] == "ask":
            return self._begin(cast(AskFrame, parse_enrol_frame(message, AskFrame)))
        return self._reveal(cast(RevealFrame, parse_enrol_frame(message, RevealFrame)))

    def _begin(self, frame: AskFrame) -> JsonObject:
        if self._frame is not None:
            raise ChatdError("E105", "this connection has asked already")
        if not self._credentials.takes_asks:
            raise ChatdError("E220")
        check_new_name(frame.user, "user")
        if frame.device:
            check_new_name(frame.device, "device")
        self._frame = frame
        self.key = key_of_request(frame.request)
        self._key_hash = key_hash(self.key)
        self._ask = self._pending.find(self._key_hash)
        if self._ask is not None:
            return {"type": "asked"}
        self._pending.allow(self._address)
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        return {"type": "nonce", "nonce": self._nonce.hex()}

    def _reveal(self, frame: RevealFrame) -> JsonObject:
        if self._frame is None or self._ask is not None:
            raise ChatdError("E105", "there is nothing to reveal")
        nonce = bytes.fromhex(frame.nonce)
        if not compare_digest(commitment(nonce), self._frame.commitment):
            raise ChatdError("E102", "a frame of an enrolment: the nonce is not the one committed to")
        ca = self._credentials.serving.public_bytes(Encoding.DER)
        words = ask_words(ca, nonce, self._nonce, spki(self.key), self._frame.user)
        at = round(self._now().timestamp() * 1000)
        self._ask = self._pending.add(
            self._key_hash, self._frame.user, self._frame.device, self._address, words, at
        )
        return {"type": "asked"}
