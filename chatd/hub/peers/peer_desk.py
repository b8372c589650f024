"""The hub among the hubs of its cluster: it decides for the others, or has others decide."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from chatd.cluster.peer_link import PeerLink, PeerMessage
from chatd.cluster.stream_message import StreamSettings, UnreadableError, unpack_settings
from chatd.errors import ChatdError
from chatd.hub.ask_desk import AskDesk, answer_question
from chatd.hub.child_questions import DECIDED, ChildQuestions
from chatd.hub.hook_key import HookKey
from chatd.hub.links import Link
from chatd.hub.parsing import Parsed, parse
from chatd.hub.peers.follower_desk import Decided, FollowerDesk
from chatd.hub.peers.forwarding import ANSWER, ASK, Forwarding, isolated_error
from chatd.hub.peers.gossip import KIND as SESSIONS
from chatd.hub.peers.gossip import Gossip, Tell
from chatd.hub.peers.leader_desk import LeaderDesk
from chatd.hub.peers.remote_link import RemoteLink
from chatd.hub.reads import Asker
from chatd.hub.refusals import Refusals
from chatd.hub.sessions import HubSession, Sessions
from chatd.hub.state import login_events
from chatd.hub.state.ask_book import NewestAsk
from chatd.hub.state.context import Context, Principal
from chatd.hub.state.model import State
from chatd.hub.state.user_standing import Shown, check_standing
from chatd.link.wire import MALFORMED
from chatd.logs.logger import get_log
from chatd.policy.ratelimit import TokenBucket
from chatd.proto.frames import JsonObject
from chatd.store.event_log import EventLog

log = get_log("server")
log_errors = get_log("errors")

# Rates are judged where the session is.
_NO_BUCKET = TokenBucket(1.0, 1.0)
# The kind of messages that tell the others of those who ask to be let in: nothing, or a `NewestAsk`.
ASKS = "asks"
# Such a message may be lost, and a new leader knows of none until the strangers ask again.
ASKS_SECONDS = 5.0
# How often a follower looks whether there are hooks whose key it may lack.
HOOKS_SECONDS = 1.0


# What sessions are told that read on.
_WAITS = "what you see may be old, and what you write waits"
_CUT_OFF = f"this server is cut off from the others; {_WAITS}"
_FULL = f"this server has a full disk and takes nothing of the others; {_WAITS}"


class ClusterHub(Protocol):
    """The part of the hub that decides, and goes on with what was decided elsewhere."""

    elsewhere: FollowerDesk | None
    writable: bool
    log: EventLog
    state: State
    links: dict[int, Link]
    sessions: Sessions
    questions: ChildQuestions
    refusals: Refusals
    hook_key: HookKey
    asks: AskDesk

    def context(self, who: Principal) -> Context: ...
    def record(self, context: Context) -> None: ...
    def decide(self, asker: Asker, parsed: Parsed) -> None: ...
    def note_act(self, act: str, by: JsonObject, fields: JsonObject) -> None: ...
    def link_lost(self, link: Link) -> None: ...
    def end_resending(self) -> None: ...
    def end_sessions(self, error: ChatdError) -> None: ...
    def mark_isolated(self, reason: str) -> None: ...
    @property
    def tell_presence(self) -> Tell: ...


class PeerDesk:
    """Takes the messages of other hubs. Owned by the hub's loop.

    It begins as a follower without a leader. ``take_kinds`` adds what other parts take.
    """

    def __init__(self, hub: ClusterHub, peers: PeerLink, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._peers = peers
        self._clock = clock
        self.forwarding = Forwarding(peers, clock)
        self._follower = FollowerDesk(self.forwarding, self)
        self._leader: LeaderDesk | None = None
        self._gossip = Gossip(peers, hub.sessions, hub.tell_presence, clock)
        # The event of the newest hook when the leader's key was taken, and when to look for a newer one.
        self._hooks = 0
        self._hooks_due = 0.0
        self._asks_told: NewestAsk | None = None
        self._asks_due = 0.0
        self._unknown: set[str] = set()
        self._kinds: dict[str, Callable[[PeerMessage], None]] = {
            ASK: self._asked,
            ANSWER: self.forwarding.take,
            SESSIONS: self._gossip.take,
            ASKS: self._take_asks,
        }
        hub.elsewhere = self._follower

    def fileno(self) -> int:
        return self._peers.fileno()

    def take_kinds(self, kinds: dict[str, Callable[[PeerMessage], None]]) -> None:
        """Give messages of other kinds to these functions, which raise ValueError for malformed ones."""
        self._kinds |= kinds

    def take_settings(self, decide: Callable[[Principal, StreamSettings, Decided], None]) -> None:
        """Give the settings that other nodes ask this one to share to a function."""
        self._decide_settings = decide

    def receive(self) -> None:
        """Take the messages that have arrived."""
        for message in self._peers.receive():
            take = self._kinds.get(message.kind)
            if take is None:
                self._note_unknown(message)
                continue
            try:
                take(message)
            except MALFORMED:
                log_errors.exception("peer_protocol", node=message.sender, kind=message.kind)

    def advance(self) -> None:
        """Give the answers that this node has caught up with, and send what waits; once in each iteration."""
        self.forwarding.applied(self._hub.state.head)
        self.forwarding.advance()
        self._gossip.advance()
        if self._leader is None:
            self._share_hook_key()
        else:
            self._tell_asks()
            self._leader.advance()

    def lead(self, epoch: int) -> None:
        """Decide from now on, for the others, too."""
        self._hub.elsewhere = None
        self._hub.asks.book.at_leader = None
        self._leader = LeaderDesk(
            self._peers, self, self._hub.links, lambda: self._hub.log.head, epoch, self._clock
        )
        self.forwarding.end()

    def follow(self, leader: str, epoch: int) -> None:
        """Have another node decide from now on."""
        self._hub.elsewhere = self._follower
        self._hub.asks.book.at_leader = None
        if self._leader is not None:
            self._leader.close()
            self._leader = None
        self.forwarding.lead(leader, epoch)

    def isolate(self, isolated: bool, *, full: bool = False, cut: bool = False) -> None:
        """Note whether this hub can follow a leader: one is heard, and the disk is not ``full``.

        With ``cut`` there are no sessions while it cannot.
        """
        self.forwarding.isolate(isolated, full=full)
        self._follower.turns_away = isolated and cut
        self._hub.mark_isolated((_FULL if full else _CUT_OFF) if isolated else "")
        if self._follower.turns_away and len(self._hub.sessions):
            self._hub.end_sessions(isolated_error(full=full))

    def _tell_asks(self) -> None:
        """Tell the others who asks to be let in: their admins may decide, too."""
        newest, now = self._hub.asks.book.newest(), self._clock()
        if newest != self._asks_told or (newest and now >= self._asks_due):
            self._asks_told, self._asks_due = newest, now + ASKS_SECONDS
            self._peers.send(None, ASKS, list(newest or ()))

    def _share_hook_key(self) -> None:
        """Have the leader's key of signing hooks, should this node lead one day."""
        now = self._clock()
        if now < self._hooks_due or not self.forwarding.has_leader:
            return
        self._hooks_due = now + HOOKS_SECONDS
        newest = max((hook.turned for hook in self._hub.state.hooks.by_name.values()), default=0)
        if newest != self._hooks:
            self._follower.hook_key(partial(self._adopt_hook_key, newest))

    def _adopt_hook_key(self, newest: int, key: bytes) -> None:
        try:
            self._hub.hook_key.adopt(key)
        except ChatdError as error:
            log.error("hook_key_not_kept", code=error.code, why=error.reason, fix=error.fix)
            return
        self._hooks = newest

    # --- as the leader: see `chatd.hub.peers.leader_desk.Decider` --------------------------------

    def decide_request(
        self, link: RemoteLink, number: int, who: Principal, address: str, payload: bytes
    ) -> None:
        parsed = parse(payload)
        session = HubSession(link, number, who, address, _NO_BUCKET)
        self._hub.decide(Asker(link, number, session, parsed.request_id), parsed)

    def decide_admission(
        self, link: RemoteLink, number: int, who: Principal, serial: str, shown: list[Any]
    ) -> None:
        context = self._hub.context(who)
        certificate = Shown(*shown) if shown else None
        result: JsonObject | ChatdError
        try:
            check_standing(context, who.user, who.device, serial, certificate)
            result = {"news": login_events.note(context, serial, certificate) if self._hub.writable else None}
        except ChatdError as error:
            result = error
        self._hub.record(context)
        answer_question(link, number, result)

    def decide_question(
        self, link: RemoteLink, number: int, name: str, operation: str, asked: list[Any]
    ) -> None:
        question = self._hub.questions.of(name, operation)
        if question is None or operation not in DECIDED:
            raise ValueError(f"an unknown question: {operation[:40]}")
        question(link, [number, *asked])

    def decide_act(self, link: RemoteLink, number: int, act: str, by: JsonObject, fields: JsonObject) -> None:
        self._hub.note_act(act, by, fields)
        answer_question(link, number, {})

    def decide_settings(self, link: RemoteLink, number: int, who: Principal, body: bytes) -> None:
        try:
            settings = unpack_settings(body)
        except UnreadableError as error:
            raise ValueError(str(error)) from None
        self._decide_settings(who, settings, partial(answer_question, link, number))

    def tell_hook_key(self, link: RemoteLink, number: int) -> None:
        answer_question(link, number, {"key": self._hub.hook_key.known().hex()})

    def link_lost(self, link: Link) -> None:
        self._hub.link_lost(link)

    def _asked(self, message: PeerMessage) -> None:
        if self._leader is not None:
            self._leader.take(message)

    def _take_asks(self, message: PeerMessage) -> None:
        """Take what the leader tells of those who ask to be let in."""
        waiting, at, user, address = message.header or (0, 0, "", "")
        newest = NewestAsk(int(waiting), int(at), str(user), str(address))
        self._hub.asks.book.at_leader = newest if newest.waiting and self._leader is None else None

    # --- as a follower: see `chatd.hub.peers.follower_desk.Following` ----------------------------

    def decide(self, asker: Asker, parsed: Parsed) -> None:
        self._hub.decide(asker, parsed)

    def ask(self, link: Link, operation: str, arguments: list[Any]) -> None:
        question = self._hub.questions.of(link.name, operation)
        if question is not None:
            question(link, arguments)

    def note_act(self, act: str, by: JsonObject, fields: JsonObject) -> None:
        self._hub.note_act(act, by, fields)

    def refuse(self, asker: Asker, error: ChatdError) -> None:
        self._hub.refusals.answer(asker, error)

    def is_open(self, asker: Asker) -> bool:
        if asker.session is None:
            return asker.link.number in self._hub.links
        return self._hub.sessions.get(asker.link, asker.sid) is asker.session

    def end_resending(self) -> None:
        self._hub.end_resending()

    def _note_unknown(self, message: PeerMessage) -> None:
        if message.kind not in self._unknown and len(self._unknown) < 100:
            self._unknown.add(message.kind)
            log.warning("peer_message_unknown", node=message.sender, kind=message.kind[:40])
