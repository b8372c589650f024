"""The enrol process's loop: sockets that are handed over, their clients, the hub, the heartbeat."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from chatd.child.address_blocks import block_of
from chatd.child.handed_socket import HandedSocket, Speaker, take_socket
from chatd.child.login_slots import LoginSlot
from chatd.child.supervised import Supervised
from chatd.crashpoints import crash_point
from chatd.enrol.admission import Admission
from chatd.enrol.credentials import OPTIONAL_FILES, load_enrol_credentials
from chatd.enrol.enrolment import Enrolment
from chatd.enrol.pending_asks import PendingAsks
from chatd.enrol.server_renewal import ServerRenewal
from chatd.errors import ChatdError
from chatd.link.hub_desk import HubDesk
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.proto.alpn import ALERT_BUSY
from chatd.proto.ask_frames import ASK_SECONDS, BEAT_SECONDS
from chatd.proto.events import error_frame
from chatd.proto.frames import encode

log = get_log("connections")
log_security = get_log("security")
log_errors = get_log("errors")

TICK_SECONDS = 1.0
# A person does not take part in an enrolment: both sides are programs.
DEADLINE_SECONDS = 10.0
DRAIN_SECONDS = 2.0
BUSY = ChatdError("E218")


@dataclass
class _Watched:
    """What the loop knows of a client: its slot, when it is cut, and the events that it waits for."""

    sock: socket.socket
    slot: LoginSlot
    deadline: float
    events: int = selectors.EVENT_READ
    # When to tell a client that waits for an admin so; None for all others.
    next_beat: float | None = None


class EnrolLoop:
    """Serves until the supervisor says drain."""

    def __init__(self, child: Supervised, door: socket.socket, hub: HubDesk) -> None:
        self._child = child
        self._door = door
        self._hub = hub
        self._renewal = ServerRenewal(child.send)
        self._load()
        self._admission = Admission()
        self._pending = PendingAsks()
        self._repeats = Repeats()
        self._clients: dict[Enrolment, _Watched] = {}
        self._draining_until: float | None = None
        self._selector = selectors.DefaultSelector()
        door.setblocking(False)
        self._selector.register(door, selectors.EVENT_READ, self._take_all)
        self._selector.register(child, selectors.EVENT_READ, self._supervisor)

    def run(self) -> None:
        """Return when a drain is complete."""
        while self._draining_until is None or (self._clients and time.monotonic() < self._draining_until):
            timeout = self._hub.keep_connected(self._selector, TICK_SECONDS)
            for key, mask in self._selector.select(timeout):
                if isinstance(key.data, Enrolment):
                    self._serve(key.data, mask)
                else:
                    key.data()
            self._sweep()
            self._renewal.run()
            self._repeats.flush()
        for client in list(self._clients):
            self._end(client)
        self._repeats.flush(now=True)

    def _supervisor(self) -> None:
        for message in self._child.receive():
            if message["type"] == "drain":
                self._draining_until = time.monotonic() + DRAIN_SECONDS
                self._selector.unregister(self._door)
            elif message["type"] == "reload":
                try:
                    self._load()
                except ChatdError as error:
                    log_errors.error("certificates_kept", code=error.code, why=error.reason)
                    continue
                # Those that wait for an admin may be here for minutes.
                for client in self._clients:
                    client.use(self._credentials)

    def _load(self) -> None:
        """Raises ChatdError E606."""
        files, settings = self._child.read_files(OPTIONAL_FILES), self._child.settings
        self._credentials = load_enrol_credentials(files, settings)
        days = settings.security.server_certificate_days
        self._renewal.take(self._credentials.authority, files, days)
        self._child.report({"ca_key": self._credentials.authority is not None})

    def _take_all(self) -> None:
        while (handed := take_socket(self._door)) is not None:
            self._take(handed)

    def _take(self, handed: HandedSocket) -> None:
        crash_point("enrol.taken")
        slot = self._admission.admit(handed.sock, handed.address)
        if slot is None:
            self._note(log_security.warning, "enrol_turned_away", handed.address)
            handed.sock.setblocking(False)
            in_tls = handed.speaker is Speaker.TLS_CLIENT
            try:
                handed.sock.send(ALERT_BUSY if in_tls else encode(error_frame(0, BUSY)))
            except OSError:
                pass
            handed.sock.close()
            return
        client = Enrolment(handed, self._credentials, self._hub, self._pending)
        self._clients[client] = _Watched(handed.sock, slot, time.monotonic() + DEADLINE_SECONDS)
        self._selector.register(client, selectors.EVENT_READ, client)
        slot.wait_ends()
        client.take(handed.first)
        self._wait(client)

    def _serve(self, client: Enrolment, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            client.write()
        if mask & selectors.EVENT_READ and not client.done:
            self._clients[client].slot.wait_ends()
            client.receive()
            self._wait(client)

    def _wait(self, client: Enrolment) -> None:
        """Let the client make way for others while it is the one that is silent."""
        if client.waits_for_client:
            self._clients[client].slot.wait_begins(time.monotonic())

    def _sweep(self) -> None:
        """End what is done or late, and watch the sockets for what each waits for."""
        now = time.monotonic()
        for client, watched in list(self._clients.items()):
            if client.done or now >= watched.deadline:
                self._end(client)
                continue
            if client.parked or watched.next_beat is not None:
                self._attend(client, watched, now)
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.wants_write else 0)
            if events != watched.events:
                watched.events = events
                self._selector.modify(client, events, client)

    def _attend(self, client: Enrolment, watched: _Watched, now: float) -> None:
        """Let a client wait for an admin without a slot; after that the usual deadline holds again."""
        if not client.parked:
            watched.next_beat, watched.deadline = None, now + DEADLINE_SECONDS
        elif watched.next_beat is None:
            # Waiting clients are bounded by `PendingAsks`.
            self._admission.leave(watched.sock)
            watched.next_beat, watched.deadline = now + BEAT_SECONDS, now + ASK_SECONDS + DEADLINE_SECONDS
        elif now >= watched.next_beat:
            watched.next_beat = now + BEAT_SECONDS
            client.beat()

    def _end(self, client: Enrolment) -> None:
        self._selector.unregister(client)
        self._admission.leave(self._clients.pop(client).sock)
        client.close()
        if client.enrolled:
            log.info("enrolled", device=client.enrolled, address=client.address)
        elif client.error is not None:
            if client.error.code == "E211":
                self._admission.note_failure(client.address)
            self._note(
                log_security.warning,
                "enrol_refused",
                client.address,
                code=client.error.code,
                why=client.error.reason,
            )
        else:
            self._note(log.info, "enrol_cut", client.address)

    def _note(self, write: Callable[..., None], event: str, address: str, **reason: str) -> None:
        self._repeats.note(write, event, block_of(address), {"address": address}, **reason)
