"""An enrol process in a thread of a test: real sockets, frames and certificates, and the hub's real state."""

from __future__ import annotations

import base64
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.child.handed_socket import take_socket
from chatd.config.schema import Settings
from chatd.enrol.credentials import EnrolCredentials, load_enrol_credentials
from chatd.enrol.enrolment import Enrolment
from chatd.enrol.pending_asks import PendingAsks
from chatd.errors import ChatdError
from chatd.gateway.plain_enrolment import PlainEnrolments
from chatd.hub.state import invites, renewals
from chatd.hub.state.context import OPERATOR
from chatd.link.hub_desk import Answered
from chatd.pki.authority import Authority
from chatd.pki.issued import Issued
from chatd.pki.signing_request import make_request
from chatd.proto.frames import decode, encode
from chatd.proto.length_prefix import take_message
from tests.support.hubworld import World

OPERATIONS: dict[str, Any] = {
    "check": invites.check,
    "redeem": invites.redeem,
    "check_renewal": renewals.check,
    "renew": renewals.renew,
}


class WorldDesk:
    """Answers the enrol process's questions from a `World`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ask(self, operation: str, arguments: list[Any], answered: Answered) -> None:
        context = self.world.context(OPERATOR)
        try:
            result = OPERATIONS[operation](context, *arguments)
        except ChatdError as error:
            answered(error)
            return
        self.world.log += context.events
        answered(result)


def credentials_of(now: datetime) -> EnrolCredentials:
    """Make the CA and the server's certificates of a server named lab."""
    authority = Authority.create("lab", now=now)
    server = authority.issue_server(["127.0.0.1"], now=now)
    files = {
        "ca.pem": authority.certificate.public_bytes(Encoding.PEM),
        "ca.key": Issued(authority.certificate, authority.key).key_pem,
        "server.pem": server.certificate_pem,
        "server.key": server.key_pem,
    }
    return load_enrol_credentials(files, Settings.model_validate({"server": {"name": "lab"}}))


@contextmanager
def enrolling(world: World) -> Iterator[PlainEnrolments]:
    """Serve enrolments of ``world``; yield the gateway's side."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    now = datetime.fromtimestamp(world.now / 1000, UTC)
    arguments = (credentials_of(now), WorldDesk(world), PendingAsks(), lambda: now)
    ended, end = socket.socketpair()
    with ours, ended, end:
        thread = threading.Thread(target=_serve, args=(ours, ended, arguments))
        thread.start()
        enrolments = PlainEnrolments(theirs.detach())
        try:
            yield enrolments
        finally:
            end.close()
            thread.join()
            enrolments.close()


def _serve(door: socket.socket, ended: socket.socket, arguments: tuple[Any, ...]) -> None:
    credentials, hub, pending, now = arguments
    clients: list[Enrolment] = []
    door.setblocking(False)
    while True:
        watched: list[Any] = [door, ended, *clients]
        readable, _, _ = select.select(watched, [], [])
        if ended in readable:
            break
        if door in readable and (handed := take_socket(door)) is not None:
            client = Enrolment(handed, credentials, hub, pending, now)
            client.take(handed.first)
            clients.append(client)
        for client in [one for one in clients if one in readable]:
            client.receive()
            if client.done:
                clients.remove(client)
                client.close()
    for client in clients:
        client.close()


class PlainJoiner:
    """A client on a plain enrolment, as a page is one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(30)
        self._incoming = bytearray()
        self.authority = self.receive()

    def receive(self) -> dict[str, Any]:
        """Return the next frame; {} at the end."""
        while (message := take_message(self._incoming, 65536, "E101")) is None:
            data = self.sock.recv(65536)
            if not data:
                return {}
            self._incoming += data
        return decode(message)

    def send(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a frame; return the answer."""
        self.sock.sendall(encode(frame))
        return self.receive()

    def redeem(self, secret: bytes, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        """Redeem an invite's secret for a key."""
        csr = base64.b64encode(make_request(key)).decode()
        return self.send({"type": "redeem", "secret": secret.hex(), "csr": csr, "device": ""})
