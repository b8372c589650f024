"""run/control.sock: commands on this box ask, the supervisor replies.

One request and one reply per connection, each one line of JSON. The user that runs chatd and root may ask,
by the file mode (0600 in a 0700 directory) and by the kernel's word; the server's own processes may not.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chatd.child.json_channel import MAX_LINE, ChannelClosedError, JsonChannel
from chatd.child.peers import ROOT, login_name, peer_of, why_not_operator
from chatd.child.unix_socket import connect_unix, listen_unix
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.logs import get_log

SOCKET: Final = "run/control.sock"
BACKLOG: Final = 16
MAX_CLIENTS: Final = 32
"""The oldest client is dropped for one more."""
IDLE_SECONDS: Final = 10.0

log_audit = get_log("audit")

Reply = Callable[[dict[str, object]], None]
Handle = Callable[[dict[str, object], Reply], None]


def ok_reply(**content: object) -> dict[str, object]:
    return {"type": "ok", **content}


def error_reply(error: ChatdError) -> dict[str, object]:
    return {"type": "error", "code": error.code, "reason": error.reason, "fix": error.fix}


def error_from_reply(reply: dict[str, object]) -> ChatdError:
    """Return the error that `error_reply` has turned into ``reply``."""
    return ChatdError(str(reply.get("code", "E611")), str(reply.get("reason", "")), str(reply.get("fix", "")))


class _Client:
    def __init__(self, sock: socket.socket, now: float, by: dict[str, object]) -> None:
        self.channel = JsonChannel(sock)
        self.by = by
        self.since = now
        self.asked = False
        self.done = False

    def reply(self, message: dict[str, object]) -> None:
        """Send the reply; ignore a second one, and one to a client that has left."""
        if self.done:
            return
        self.done = True
        try:
            self.channel.send(message)
        except ValueError:
            self.channel.send(error_reply(ChatdError("E101", "the reply is too long")))
        except ChannelClosedError:
            return


class ControlServer:
    """The supervisor's side. ``handle`` gets each request and a function to reply with, now or later.

    Each request has ``by``: the fields that tell which operator asks, by the kernel's word.
    """

    def __init__(
        self,
        path: Path,
        handle: Handle,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
    ) -> None:
        self._listener = listen_unix(path, BACKLOG)
        self._handle = handle
        self._watch = watch
        self._unwatch = unwatch
        self._clients: list[_Client] = []
        # The uids that are accepted. Looked up now, because a directory service may take seconds.
        self._logins = {uid: login_name(uid) for uid in (ROOT, os.geteuid())}
        watch(self._listener.fileno(), self._accept)

    def update(self, now: float) -> None:
        """Flush replies; drop clients that have their reply, have left, or idle for IDLE_SECONDS."""
        for client in self._clients[:]:
            try:
                client.channel.flush()
            except ChannelClosedError:
                client.done = True
            served = client.done and not client.channel.wants_write
            idle = now - client.since > IDLE_SECONDS and (client.done or not client.asked)
            if served or idle:
                self._drop(client)

    def stop_listening(self) -> None:
        """Accept no more clients; requests already received can still be replied to."""
        self._unwatch(self._listener.fileno())
        self._listener.close()

    def close(self) -> None:
        """Drop all clients. Call after `stop_listening`."""
        for client in self._clients[:]:
            self._drop(client)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        peer = peer_of(sock)
        if why := why_not_operator(peer, os.getpid()):
            log_audit.warning("control_refused", why=why, pid=peer.pid, uid=peer.uid)
            sock.close()
            return
        if len(self._clients) >= MAX_CLIENTS:
            self._drop(self._clients[0])
        by: dict[str, object] = {"by": "server", "by_uid": peer.uid, "by_login": self._logins[peer.uid]}
        client = _Client(sock, time.monotonic(), by)
        self._clients.append(client)
        self._watch(client.channel.fileno(), lambda: self._read(client))

    def _read(self, client: _Client) -> None:
        try:
            requests = client.channel.receive()
        except ChannelClosedError:
            self._drop(client)
            return
        if requests and not client.asked:
            client.asked = True
            client.since = time.monotonic()
            self._handle({**requests[0], "by": client.by}, client.reply)

    def _drop(self, client: _Client) -> None:
        client.done = True
        self._clients.remove(client)
        self._unwatch(client.channel.fileno())
        client.channel.close()


def ask(home: Path, request: dict[str, object], timeout: float) -> dict[str, object]:
    """Send a request to the supervisor of ``home``; return its reply within ``timeout`` seconds.

    Requests: {"type": "status" | "ping" | "stop" | "reload" | "reopen"}, {"type": "restart",
    "rolling": bool}, {"type": "act", "act": NAME, "fields": {...}}.

    Raises ChatdError: E603 not running, E611 no reply in time, E606 no access, or the supervisor's own error.
    """
    deadline = time.monotonic() + timeout
    try:
        sock = connect_unix(home / SOCKET, timeout)
    except (FileNotFoundError, ConnectionRefusedError):
        raise ChatdError("E603", fix=f"run: {chatd_command(home, 'start')}") from None
    except TimeoutError:
        raise ChatdError("E611") from None
    except OSError as error:
        raise ChatdError("E606", f"{home / SOCKET}: {error.strerror}") from error
    with sock:
        try:
            sock.sendall(json.dumps(request).encode() + b"\n")
            reply = _read_reply(sock, deadline)
        except TimeoutError:
            raise ChatdError("E611") from None
        except (OSError, ValueError, RecursionError):
            raise ChatdError("E603", "chatd ended before it replied") from None
    if reply.pop("type", None) == "ok":
        return reply
    raise error_from_reply(reply)


def _read_reply(sock: socket.socket, deadline: float) -> dict[str, object]:
    data = bytearray()
    while not data.endswith(b"\n"):
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        part = sock.recv(65536)
        if not part or len(data) > MAX_LINE:
            raise ConnectionResetError
        data += part
    reply = json.loads(data)
    if not isinstance(reply, dict):
        raise ConnectionResetError
    return reply
