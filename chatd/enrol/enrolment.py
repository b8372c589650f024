"""One enrolment, from the client's first bytes to the certificate.

The order makes a lost reply harmless, and a certificate worthless that nobody registered: ask the hub whether
the invite holds, issue, register in the hub, and only then send. A client without an invite asks first, and
waits for an admin.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from cryptography.hazmat.primitives.asymmetric import ec

from chatd.child.handed_socket import HandedSocket, Speaker
from chatd.child.tls import TlsChannel
from chatd.crashpoints import crash_point
from chatd.enrol.asking import Asking
from chatd.enrol.credentials import EnrolCredentials, IssuedCertificate
from chatd.enrol.pending_asks import PendingAsks
from chatd.enrol.plain_channel import Channel, PlainChannel
from chatd.enrol.renewing import RenewalQuestion, reenrol_question, renewal_question
from chatd.errors import ChatdError
from chatd.pki.profiles import key_hash
from chatd.pki.signing_request import key_of_request
from chatd.proto.enrol_frames import REDEEM_LIMIT, RedeemFrame, parse_enrol_frame
from chatd.proto.events import error_frame
from chatd.proto.frames import JsonObject, decode, encode
from chatd.proto.invite_code import secret_hash
from chatd.proto.length_prefix import take_message

_RECEIVE_BYTES = 16 * 1024
# All that a client sends: its part of the TLS handshake, and one frame.
RECEIVED_LIMIT = 32 * 1024


class AsksHub(Protocol):
    def ask(
        self, operation: str, arguments: list[Any], answered: Callable[[JsonObject | ChatdError], None]
    ) -> None: ...


class Enrolment:
    """One connection. The loop calls `receive` and `write` when the socket is ready, `close` at `done`."""

    def __init__(
        self,
        handed: HandedSocket,
        credentials: EnrolCredentials,
        hub: AsksHub,
        pending: PendingAsks,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        handed.sock.setblocking(False)
        self.address = handed.address
        self.done = False
        self.error: ChatdError | None = None
        """What the client was told, if it was refused."""
        self.enrolled = ""
        """USER/DEVICE of the certificate that was sent."""
        self._sock = handed.sock
        self._speaker = handed.speaker
        self._credentials = credentials
        self._hub = hub
        self._now = now
        self._in_tls = handed.speaker is Speaker.TLS_CLIENT
        self._channel: Channel = (
            TlsChannel(credentials.context, server_side=True) if self._in_tls else PlainChannel()
        )
        self._established = False
        self._asked = False
        self._answered = False
        self._received = 0
        self._plain = bytearray()
        self._out = bytearray()
        self._key: ec.EllipticCurvePublicKey
        # The name that the invite must be for; "" for any.
        self._user = ""
        # The hub's operations that judge and register this enrolment, and their first arguments.
        self._operations = ("check", "redeem")
        self._question: list[Any] = []
        self.asking = Asking(handed.address, credentials, pending, now)
        self.parked = False
        """Whether the enrolment waits for an admin's decision."""
        self._hub_is_lost = False

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def wants_write(self) -> bool:
        return bool(self._out)

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing happens before the client sends something."""
        return not self.parked and (self._answered or not self._asked)

    def use(self, credentials: EnrolCredentials) -> None:
        """Issue with these from now on; what TLS and the words of an ask depend on stays."""
        self._credentials = credentials

    def close(self) -> None:
        self.done = True
        self._sock.close()

    def receive(self) -> None:
        """Take what has arrived on the socket."""
        try:
            data = self._sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.done = True
            return
        self.take(data)

    def take(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._received += len(data)
        if self._answered:
            return  # read until the client closes, so that closing does not reset the connection
        try:
            if self._received > RECEIVED_LIMIT:
                raise ChatdError("E101", f"more than {RECEIVED_LIMIT} bytes in an enrolment")
            self._advance(data)
        except ssl.SSLError:
            self._send(self._channel.take_outgoing())  # the alert tells the client why
            self.done = not self._out
            self._answered = True
        except ChatdError as error:
            self._refuse(error)

    def write(self) -> None:
        """Write as much as the socket takes."""
        try:
            sent = self._sock.send(self._out)
        except BlockingIOError:
            return
        except OSError:
            self.done = True
            return
        del self._out[:sent]
        if self._answered and not self._out:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.done = True

    def _advance(self, data: bytes) -> None:
        if not self._established:
            self._established = self._channel.handshake(data)
            self._send(self._channel.take_outgoing())
            if not self._established:
                return
            data = b"" if self._in_tls else data
            self._send_frame(self._authority_frame())
            crash_point("enrol.tls")
        self._plain += self._channel.receive(data)
        while not self._asked and (message := take_message(self._plain, REDEEM_LIMIT, "E101")) is not None:
            self._begin(decode(message))

    def _authority_frame(self) -> JsonObject:
        frame = self._credentials.authority_frame()
        return frame if self._in_tls else frame | {"binding": self._channel.binding().hex()}

    def _begin(self, message: JsonObject) -> None:
        if message.get("type") in ("ask", "reveal"):
            self._send_frame(self.asking.take(message))
            if self.asking.waits:
                self._asked = self.parked = True
                self._key = self.asking.key
                self._wait_for_admin()
            return
        self._asked = True
        if message.get("type") in ("renew", "reenrol"):
            renewal = self._renewal(message)
            self._key, self._question = renewal.key, renewal.arguments
            self._operations = ("check_renewal", "renew")
            self._check()
            return
        frame = cast(RedeemFrame, parse_enrol_frame(message, RedeemFrame))
        self._key, self._user = key_of_request(frame.request), frame.user
        self._question = [secret_hash(bytes.fromhex(frame.secret)), key_hash(self._key), frame.device]
        self._check()

    def _renewal(self, message: JsonObject) -> RenewalQuestion:
        if message["type"] == "renew":
            return renewal_question(message, self._credentials, self._channel.binding())
        if self._speaker is not Speaker.GATEWAY:
            raise ChatdError("E102", "a frame of an enrolment: a client proves its key by renew")
        return reenrol_question(message, self._credentials)

    def _check(self) -> None:
        self._hub.ask(self._operations[0], self._question, self._on_checked)

    def _wait_for_admin(self) -> None:
        self._hub_is_lost = False
        self._hub.ask("ask", self.asking.question, self._on_decided)

    def beat(self) -> None:
        """Tell a waiting client that nothing is decided, and a hub that is new who waits."""
        if self.parked and not self.done:
            self._send_frame({"type": "asked"})
            if self._hub_is_lost:
                self._wait_for_admin()

    def _on_decided(self, answer: JsonObject | ChatdError) -> None:
        if self.done:
            return
        if isinstance(answer, ChatdError) and answer.code in ("E502", "E503"):
            self._hub_is_lost = True
            return
        self.parked = False
        if isinstance(answer, ChatdError):
            if answer.code != "E105":
                self.asking.end()
            self._refuse(answer)
            return
        self.asking.end()
        self._question = self.asking.invite
        self._check()

    def _on_checked(self, answer: JsonObject | ChatdError) -> None:
        if isinstance(answer, ChatdError):
            self._refuse(answer)
            return
        crash_point("enrol.checked")
        try:
            if self._user not in ("", answer["user"]):
                raise ChatdError("E211", "the invite is not for this name", "give the name it was made for")
            if "serial" in answer:
                # This key has its certificate and lost the reply.
                self._deliver(self._credentials.issue_again(self._key, answer), answer)
                return
            now = self._now().replace(microsecond=0)
            certificate = self._credentials.issue(self._key, answer["user"], answer["device"], now)
        except ChatdError as error:
            self._refuse(error)
            return
        crash_point("enrol.issued")
        issued = round(certificate.issued.timestamp() * 1000)
        self._hub.ask(
            self._operations[1],
            [*self._question, certificate.serial, issued, certificate.ends],
            lambda registered: self._on_redeemed(certificate, registered),
        )

    def _on_redeemed(self, certificate: IssuedCertificate, answer: JsonObject | ChatdError) -> None:
        if isinstance(answer, ChatdError):
            self._refuse(answer)
            return
        crash_point("enrol.redeemed")
        try:
            if answer["serial"] != certificate.serial:  # another connection of the same key was faster
                certificate = self._credentials.issue_again(self._key, answer)
        except ChatdError as error:
            self._refuse(error)
            return
        self._deliver(certificate, answer)

    def _deliver(self, certificate: IssuedCertificate, registered: JsonObject) -> None:
        self.enrolled = f"{registered['user']}/{registered['device']}"
        self._finish(self._credentials.enrolled(certificate, registered))
        crash_point("enrol.queued")

    def _refuse(self, error: ChatdError) -> None:
        self.error = error
        if self._established:
            self._finish(error_frame(0, error))
        else:
            self.done = True

    def _finish(self, frame: JsonObject) -> None:
        if self._answered:
            return
        self._send_frame(frame)
        self._answered = True
        self._send(self._channel.close_notify())

    def _send_frame(self, frame: JsonObject) -> None:
        try:
            self._send(self._channel.protect(encode(frame)))
        except ssl.SSLError:
            self.done = True

    def _send(self, data: bytes) -> None:
        self._out += data
        if self._out or self._answered:
            self.write()
