"""One TLS connection to a collector (RFC 5425)."""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import sys
import termios
from collections.abc import Mapping
from pathlib import PurePath

from chatd.child.tls import TlsChannel
from chatd.config.sections import ShippingSection
from chatd.errors import ChatdError

CONNECT_SECONDS = 15.0
# A collector that takes nothing for so long is taken for gone.
SEND_SECONDS = 60.0
_INT_BYTES = 4
_RECEIVE_BYTES = 16 * 1024


def collector_context(files: Mapping[str, bytes], settings: ShippingSection) -> ssl.SSLContext:
    """Make the context for connections to the collector. Raises E606.

    ``files``: the contents of the settings' files by their names.
    """
    try:
        if settings.ca_file:
            ca = files[PurePath(settings.ca_file).name].decode("ascii")
            context = ssl.create_default_context(cadata=ca)
        else:
            context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.identity_file:
            _load_identity(context, files[PurePath(settings.identity_file).name])
    except (OSError, ValueError) as error:
        fix = "check shipping.ca_file and shipping.identity_file"
        raise ChatdError("E606", f"the files for the collector cannot be used: {error}", fix) from None
    return context


def _load_identity(context: ssl.SSLContext, content: bytes) -> None:
    from chatd.pki.contexts import path_of

    with path_of(content) as path:
        context.load_cert_chain(path)


class CollectorLink:
    """A connection that is open. Every method raises OSError (ssl.SSLError too) once it is lost."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        self._channel = TlsChannel(context, server_side=False, server_name=host)
        self._sock = socket.create_connection((host, int(port)), CONNECT_SECONDS)
        try:
            self._handshake()
            self._sock.settimeout(SEND_SECONDS)
        except BaseException:
            self._sock.close()
            raise

    def _handshake(self) -> None:
        data = b""
        while True:
            try:
                done = self._channel.handshake(data)
            finally:
                # After a failure too: the alert tells the collector why.
                self._sock.sendall(self._channel.take_outgoing())
            if done:
                return
            data = self._received()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.sendall(self._channel.protect(data))

    def unacknowledged(self) -> int:
        """Return the number of sent bytes that the collector's machine has not confirmed (tcp(7), SIOCOUTQ).

        Syslog has no answers of its own.
        """
        answer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(_INT_BYTES))
        return int.from_bytes(answer, sys.byteorder, signed=True)

    def wait(self, seconds: float) -> None:
        """Wait, but notice at once if the collector closes the connection."""
        if select.select([self._sock], [], [], seconds)[0]:
            # Tickets and key updates of TLS itself; collectors send nothing else.
            self._channel.receive(self._received())
            self._sock.sendall(self._channel.take_outgoing())

    def _received(self) -> bytes:
        data = self._sock.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError("the collector closed the connection")
        return data

    def close(self) -> None:
        self._sock.close()
