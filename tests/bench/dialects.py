"""Each server's protocol, as a client speaks it: log in, subscribe to a room, send a message.

Each message body is `BODY_BYTES` long and starts with "|", a byte that the servers send nowhere else,
so that deliveries can be counted without parsing.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import ssl
import time
from pathlib import Path
from typing import Any, ClassVar

from chatd.crypto.handshake import ClientHandshake, pack
from chatd.pki.contexts import envelope_key_of
from chatd.pki.identity import read_identity
from chatd.proto.frames import encode
from tests.bench.wire_client import Connection, context

BODY_BYTES = 120
MARK = b"|"
STAMP = re.compile(rb"\|(\d{8}) (\d{20}) ")


def body(number: int) -> bytes:
    """A body with the message's number and send time (CLOCK_MONOTONIC, which all processes share)."""
    return b"|%08d %020d " % (number, time.monotonic_ns()) + b"x" * (BODY_BYTES - 31)


class Dialect:
    """One protocol. ``identities``: one file, or one per room if a user's sessions share their rooms."""

    alpn: ClassVar[str | None] = None

    def __init__(self, identities: list[Path]) -> None:
        self._contexts: list[ssl.SSLContext] = [context(path, self.alpn) for path in identities]

    def connect(self, address: tuple[str, int], number: int, room: int) -> Connection:
        """Connect and log in."""
        tls = self._contexts[self.identity_index(number, room)]
        connection = Connection(address, tls, self.before_tls)
        self.login(connection, number, room)
        return connection

    def identity_index(self, number: int, room: int) -> int:
        """Which identity a connection uses."""
        return room % len(self._contexts)

    def before_tls(self, sock: socket.socket) -> None:
        """Exchange what precedes the TLS handshake."""

    def login(self, c: Connection, number: int, room: int) -> None:
        """Log the client in."""

    def await_welcome(self, c: Connection) -> None:
        """Wait until the server has accepted a login that `login` only started."""

    def subscribe(self, c: Connection, room: int) -> None:
        """Subscribe the connection to a room's messages."""

    def prepare_sender(self, c: Connection, room: int) -> None:
        """Do what a sender needs besides logging in."""

    def message(self, room: int, text: bytes, number: int) -> bytes:
        raise NotImplementedError


class Irc(Dialect):
    """ngircd, inspircd."""

    def login(self, c: Connection, number: int, room: int) -> None:
        c.send(b"NICK b%d\r\nUSER b%d 0 * :b\r\n" % (number, number))

    def await_welcome(self, c: Connection) -> None:
        # inspircd registers clients once a second: start all logins, then wait for all.
        seen = b""
        while b" 001 " not in seen:
            data = c.read()
            seen += data
            if b"PING :" in data:
                c.send(b"PONG :" + data.partition(b"PING :")[2].partition(b"\r\n")[0] + b"\r\n")
            if b"ERROR :" in data:
                raise ConnectionError(seen[-300:].decode(errors="replace"))

    def subscribe(self, c: Connection, room: int) -> None:
        c.send(b"JOIN #r%d\r\n" % room)
        c.expect(b" 366 ")

    prepare_sender = subscribe

    def message(self, room: int, text: bytes, number: int) -> bytes:
        return b"PRIVMSG #r%d :%s\r\n" % (room, text)


class Nats(Dialect):
    def before_tls(self, sock: socket.socket) -> None:
        info = b""
        while not info.endswith(b"\r\n"):
            info += sock.recv(1)

    def login(self, c: Connection, number: int, room: int) -> None:
        options = {"verbose": False, "pedantic": False, "tls_required": True, "lang": "b", "version": "1"}
        c.send(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        c.expect(b"PONG\r\n")

    def subscribe(self, c: Connection, room: int) -> None:
        c.send(b"SUB r%d 1\r\nPING\r\n" % room)
        c.expect(b"PONG\r\n")

    def message(self, room: int, text: bytes, number: int) -> bytes:
        return b"PUB r%d %d\r\n%s\r\n" % (room, len(text), text)


class JetStream(Nats):
    """A stream in files; each client has a consumer, which gets a message once it is stored."""

    def login(self, c: Connection, number: int, room: int) -> None:
        super().login(c, number, room)
        c.tail = b"%d" % number

    def subscribe(self, c: Connection, room: int) -> None:
        number, stream = c.tail.decode(), f"s{room}"
        c.send(f"SUB in{number} 1\r\nSUB out{number} 2\r\n".encode())
        subjects = {"name": stream, "subjects": [f"r{room}"], "storage": "file", "num_replicas": 1}
        self._ask(c, number, f"STREAM.CREATE.{stream}", subjects, b"stream_create_response")
        consumer = {"deliver_subject": f"out{number}", "deliver_policy": "new", "ack_policy": "none"}
        body = {"stream_name": stream, "config": consumer}
        self._ask(c, number, f"CONSUMER.CREATE.{stream}", body, b"consumer_create_response")

    def prepare_sender(self, c: Connection, room: int) -> None:
        c.send(b"SUB acknowledged 3\r\nPING\r\n")
        c.expect(b"PONG\r\n")

    def message(self, room: int, text: bytes, number: int) -> bytes:
        return b"PUB r%d acknowledged %d\r\n%s\r\n" % (room, len(text), text)

    def _ask(self, c: Connection, number: str, what: str, body: Any, answer: bytes) -> None:
        data = json.dumps(body).encode()
        c.send(b"PUB $JS.API.%s in%s %d\r\n%s\r\n" % (what.encode(), number.encode(), len(data), data))
        c.expect(answer)


class Mqtt(Dialect):
    """Version 3.1.1, QoS 0."""

    def login(self, c: Connection, number: int, room: int) -> None:
        name = b"b%d" % number
        head = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name
        c.send(b"\x10" + bytes([len(head)]) + head)
        c.expect(b"\x20\x02\x00\x00")

    def subscribe(self, c: Connection, room: int) -> None:
        topic = b"room%d" % room
        packet = b"\x00\x01" + len(topic).to_bytes(2, "big") + topic + b"\x00"
        c.send(b"\x82" + bytes([len(packet)]) + packet)
        c.expect(b"\x90\x03\x00\x01\x00")

    def message(self, room: int, text: bytes, number: int) -> bytes:
        topic = b"room%d" % room
        packet = len(topic).to_bytes(2, "big") + topic + text
        size = len(packet)
        return b"\x30" + bytes([size & 0x7F | 0x80, size >> 7] if size > 127 else [size]) + packet


class Xmpp(Dialect):
    """prosody. SASL ANONYMOUS, because SASL EXTERNAL requires accounts; rooms are MUC."""

    _OPEN = (
        b"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams'>"
    )

    def login(self, c: Connection, number: int, room: int) -> None:
        c.send(self._OPEN)
        c.expect(b"</stream:features>")
        trace = base64.b64encode(b"b%d" % number)
        c.send(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'>" + trace + b"</auth>")
        c.expect(b"<success")
        c.send(self._OPEN)
        c.expect(b"</stream:features>")
        c.send(b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        c.expect(b"</iq>")
        c.tail = b"b%d" % number

    def subscribe(self, c: Connection, room: int) -> None:
        c.send(
            b"<presence to='r%d@rooms.localhost/%s'><x xmlns='http://jabber.org/protocol/muc'>"
            b"<history maxstanzas='0'/></x></presence>" % (room, c.tail)
        )
        c.expect(b"<subject")

    prepare_sender = subscribe

    def message(self, room: int, text: bytes, number: int) -> bytes:
        return b"<message type='groupchat' to='r%d@rooms.localhost'><body>%s</body></message>" % (room, text)


class Floor(Dialect):
    """tests/bench/floor.c: it sends what one connection says to all others."""

    def message(self, room: int, text: bytes, number: int) -> bytes:
        return text


class Chatd(Dialect):
    """chatd, with one user per room: a user's sessions share their rooms."""

    alpn = "chatd/1"

    def __init__(self, identities: list[Path]) -> None:
        super().__init__(identities)
        self._identities = [read_identity(path) for path in identities]
        self._keys = [envelope_key_of(i) for i in self._identities]

    def login(self, c: Connection, number: int, room: int) -> None:
        index = self.identity_index(number, room)
        handshake = ClientHandshake(
            binding=c.tls.get_channel_binding("tls-unique") or b"",
            server_leaf=c.tls.getpeercert(binary_form=True) or b"",
            client_leaf=self._identities[index].certificate_der,
            envelope_key_of=self._keys[index],
        )
        c.send(pack(handshake.hello()))
        m2, rest = _handshake_message(c, b"")
        c.send(pack(handshake.exchange(m2)))
        m4, rest = _handshake_message(c, rest)
        keys = handshake.finish(m4)
        c.seal, c.open = keys.sealer.seal, keys.opener.feed
        if b'"welcome"' not in b"".join(keys.opener.feed(rest) if rest else []):
            c.expect(b'"type":"welcome"')

    def subscribe(self, c: Connection, room: int) -> None:
        if room:
            # If another session has joined already, the reply is an error, which is harmless here.
            c.send(encode({"type": "join", "id": 1, "room": f"#r{room}"}))
            c.expect(b'"id":1,')
        c.send(encode({"type": "resume", "id": 2}))
        c.expect(b'"id":2,')

    def prepare_sender(self, c: Connection, room: int) -> None:
        if room:
            c.send(encode({"type": "join", "id": 1, "room": f"#r{room}"}))
            c.expect(b'"id":1,')

    def message(self, room: int, text: bytes, number: int) -> bytes:
        name = f"#r{room}" if room else "#lobby"
        # Random, because several runs may use the same log.
        msg_id = os.urandom(16).hex()
        return encode({"type": "send", "id": number + 3, "msg_id": msg_id, "to": name, "body": text.decode()})


class ChatdLines(Chatd):
    """chatd, with messages as long as one may be, and the text of `ChatdSnippets`."""

    kind: ClassVar[str] = "text"
    chars: ClassVar[int] = 500

    def message(self, room: int, text: bytes, number: int) -> bytes:
        lines = long_text(number, self.chars - 31)
        return encode(
            {
                "type": "send",
                "id": number + 3,
                "msg_id": os.urandom(16).hex(),
                "to": "#lobby",
                "body": text[:31].decode() + lines,
                "kind": self.kind,
            }
        )


class ChatdSnippets(ChatdLines):
    """chatd, with snippets of 32 KiB."""

    kind = "snippet"
    chars = 32 * 1024


def long_text(number: int, chars: int) -> str:
    """Lines such as a log has, of so many characters; the words differ from message to message."""
    lines: list[str] = []
    length = 0
    while length < chars:
        at = number * 1_000 + len(lines)
        lines.append(f"2026-11-27T12:00:00 web-{at % 40} request {at:08x} took {at % 997} ms status 200")
        length += len(lines[-1]) + 1
    return "\n".join(lines)[:chars]


class ChatdUsers(Chatd):
    """chatd, with many users in one room."""

    def identity_index(self, number: int, room: int) -> int:
        return number % len(self._contexts)


def _handshake_message(c: Connection, data: bytes) -> tuple[bytes, bytes]:
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        data += c.read_raw()
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end], data[end:]


DIALECTS: dict[str, type[Dialect]] = {
    "chatd": Chatd,
    "chatd_users": ChatdUsers,
    "chatd_lines": ChatdLines,
    "chatd_snippets": ChatdSnippets,
    "irc": Irc,
    "nats": Nats,
    "jetstream": JetStream,
    "mqtt": Mqtt,
    "xmpp": Xmpp,
    "floor": Floor,
}
