"""The leader's end of what other hubs forward: each node has a link, and each frame an answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from chatd.cluster.peer_link import PeerLink, PeerMessage
from chatd.errors import ChatdError
from chatd.hub.links import Link
from chatd.hub.peers.forwarding import ANSWER
from chatd.hub.peers.peer_channel import UNKNOWN_CHANNEL, PeerChannel
from chatd.hub.peers.remote_link import RemoteLink, frames_of
from chatd.hub.state.context import Principal
from chatd.link.wire import MALFORMED
from chatd.logs.logger import get_log
from chatd.proto.events import error_frame
from chatd.proto.frames import JsonObject, compact

log = get_log("server")
log_errors = get_log("errors")

# A node that has said nothing for so long is gone; its hub opens another channel when it is back.
SILENCE_SECONDS: Final = 30.0


class Decider(Protocol):
    """The part of the hub that decides for other nodes. Each call has one answer on the link."""

    def decide_request(
        self, link: RemoteLink, number: int, who: Principal, address: str, payload: bytes
    ) -> None: ...
    def decide_admission(
        self, link: RemoteLink, number: int, who: Principal, serial: str, shown: list[Any]
    ) -> None: ...
    def decide_question(
        self, link: RemoteLink, number: int, name: str, operation: str, asked: list[Any]
    ) -> None: ...
    def decide_act(
        self, link: RemoteLink, number: int, act: str, by: JsonObject, fields: JsonObject
    ) -> None: ...
    def decide_settings(self, link: RemoteLink, number: int, who: Principal, body: bytes) -> None: ...
    def tell_hook_key(self, link: RemoteLink, number: int) -> None: ...
    def link_lost(self, link: Link) -> None: ...


class LeaderDesk:
    """The links to the other nodes, in ``links``. ``head`` returns the durable head."""

    def __init__(
        self,
        peers: PeerLink,
        hub: Decider,
        links: dict[int, Link],
        head: Callable[[], int],
        epoch: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peers = peers
        self._hub = hub
        self._links = links
        self._head = head
        self._epoch = epoch
        self._clock = clock
        self._nodes: dict[str, RemoteLink] = {}
        self._heard: dict[str, float] = {}

    def take(self, message: PeerMessage) -> None:
        """Decide what a message of kind `ASK` asks. Raises ValueError for a malformed one."""
        epoch, ident, number, *_ = map(int, message.header)
        if epoch != self._epoch:
            return
        link = self._nodes.get(message.sender)
        if link is None or link.channel.ident != ident:
            if number != 1:
                self._peers.send(message.sender, ANSWER, [epoch, ident, 0, 0, UNKNOWN_CHANNEL])
                return
            link = self._open(message.sender, ident)
        self._heard[message.sender] = self._clock()
        arrived = link.channel.take(message.header, message.payload)
        if arrived is not None:
            for (operation, *arguments), payload in frames_of(arrived.frames):
                try:
                    self._decide(link, operation, arguments, payload)
                except MALFORMED:
                    log_errors.exception("peer_protocol", node=message.sender, operation=operation)
                    link.send(["answer", arguments[0]], compact(error_frame(0, ChatdError("E500"))))

    def advance(self) -> None:
        """Say what was read, send again what was lost, and forget nodes that are gone."""
        for node, link in list(self._nodes.items()):
            if self._clock() - self._heard[node] >= SILENCE_SECONDS:
                self._close(node)
            else:
                link.channel.advance()

    def close(self) -> None:
        """Forget all nodes."""
        for node in list(self._nodes):
            self._close(node)

    def _open(self, node: str, ident: int) -> RemoteLink:
        if node in self._nodes:
            self._close(node)
        channel = PeerChannel(self._peers, node, ANSWER, self._epoch, ident, self._clock)
        link = self._nodes[node] = RemoteLink(node, channel, self._head)
        self._links[link.number] = link
        return link

    def _close(self, node: str) -> None:
        link = self._nodes.pop(node)
        del self._heard[node]
        self._hub.link_lost(link)

    def _decide(self, link: RemoteLink, operation: str, arguments: list[Any], payload: bytes) -> None:
        match operation, arguments:
            case "request", [number, user, device, operator, uid, login, address]:
                who = Principal(user, device, operator, uid, login)
                self._hub.decide_request(link, number, who, address, payload)
            case "admit", [number, user, device, serial, *shown]:
                self._hub.decide_admission(link, number, Principal(user, device), serial, shown)
            case "question", [number, name, question, asked]:
                self._hub.decide_question(link, number, name, question, asked)
            case "act", [number, act, by, fields]:
                self._hub.decide_act(link, number, act, by, fields)
            case "settings", [number, user, device, operator, uid, login]:
                who = Principal(user, device, operator, uid, login)
                self._hub.decide_settings(link, number, who, payload)
            case "hook_key", [number]:
                self._hub.tell_hook_key(link, number)
            case _:
                raise ValueError(f"an unknown operation: {str(operation)[:40]}")
