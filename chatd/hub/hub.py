"""The hub between its links and its log: admit sessions, decide requests, record and publish events.

Everything here runs in the ordering loop. Replies and events are queued on the links; `Link.write`
sends them only after their batch is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.applying import Applier
from chatd.hub.ask_desk import AskDesk
from chatd.hub.attention import AttentionDesk
from chatd.hub.backend import Backend
from chatd.hub.bars import Bars
from chatd.hub.batch import Recorder
from chatd.hub.certificate_census import CertificateCensus
from chatd.hub.child_questions import DECIDED, ChildQuestions
from chatd.hub.fanout import Fanout
from chatd.hub.hook_key import HookKey
from chatd.hub.hook_posts import HookPosts
from chatd.hub.leadership import Leadership
from chatd.hub.links import Link, UnknownOperationError
from chatd.hub.metrics import metrics
from chatd.hub.parsing import NO_REQUEST, Parsed, parse
from chatd.hub.peers.follower_desk import FollowerDesk
from chatd.hub.query_threads import QueryThreads
from chatd.hub.reads import Asker, Reads
from chatd.hub.refusals import Refusals
from chatd.hub.sending import Sending
from chatd.hub.session_door import ABOUT_ONE_USER, SessionDoor
from chatd.hub.session_opening import SessionOpening
from chatd.hub.sessions import Sessions
from chatd.hub.state import authorize, guests, held, leaving, rooms
from chatd.hub.state.context import OPERATOR, Context, Principal, decided_elsewhere
from chatd.hub.state.model import KINDS, AuditRule, State
from chatd.hub.state.rules import Rules
from chatd.hub.state.settings_record import record_changes
from chatd.hub.stats import HubStats
from chatd.hub.upkeep import Retention, RoomEnds, Snapshots, SpaceCheck
from chatd.hub.welcome import isolated_frame
from chatd.link.wire import ENROL_NAME, Header
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.proto import requests as rq
from chatd.proto.events import error_frame
from chatd.proto.frames import JsonObject, encode
from chatd.proto.requests import RequestKind
from chatd.store.event_log import EventLog

log = get_log("server")
log_connections = get_log("connections")
log_errors = get_log("errors")


class HalfDoneError(Exception):
    """A request failed after it had changed the state. The hub must end."""


class Hub:
    """Owns state, batch, sessions and fan-out.

    ``clock`` returns ms since 1970. ``has_space`` tells whether the log's disk has space; without it the
    hub answers reads and refuses everything else (ADR 13). ``spend`` frees space for moderation then.
    ``backend``: see `Recorder`. ``leadership``: whether this hub decides; see there.
    """

    def __init__(
        self,
        events: EventLog,
        state: State,
        settings: Settings,
        queries: QueryThreads,
        clock: Callable[[], int],
        has_space: Callable[[], bool] = lambda: True,
        spend: Callable[[], bool] = lambda: False,
        backend: Backend | None = None,
        leadership: Leadership | None = None,
    ) -> None:
        self.leadership = leadership or Leadership()
        self.log = events
        self.state = state
        self.rules = Rules.from_settings(settings)
        self.sessions = Sessions()
        self.links: dict[int, Link] = {}
        # The way to the leader while another hub of the cluster leads; None for the hub that decides.
        self.elsewhere: FollowerDesk | None = None
        self.stats = HubStats(clock())
        self._census = CertificateCensus()
        self._clock = clock
        self._space = SpaceCheck(has_space)
        # Refusals, which users can cause at will.
        self.repeats = Repeats()
        self.writable = self._space.available()
        if not self.writable:
            log.error("disk_full", code="E504", what="nothing is written, reads go on", fix="free disk space")
        self._fanout = Fanout(state, self.sessions, events.head)
        self.tell_presence = self._fanout.presence
        self._door = SessionDoor(
            self.links, self.sessions, self._fanout, self.stats, self.repeats, self.context
        )
        self.memory = self._door.memory
        self._bars = Bars(spend, self._door.cut)
        self.asks = AskDesk(self.links)
        self._attention = AttentionDesk(self._door, state, self.asks.book)
        self.refusals = Refusals(self.stats, self.repeats, self.context)
        self._reads = Reads(queries, self._fanout, self.sessions, self.refusals.answer)
        self._opening = SessionOpening(
            events,
            self.sessions,
            self._door,
            self._bars,
            self._attention,
            self._fanout,
            self.leadership,
            self.context,
            self.record,
        )
        self._retention = Retention(events)
        self._room_ends = RoomEnds(events)
        self._snapshots = Snapshots(events, state)
        self.recorder = Recorder(events, self._fanout, self._reads, self.links, self._snapshots, backend)
        self.apply = Applier(events, state, self.recorder, self._fanout, self._reads, self._door).apply
        self.hook_key = HookKey(events.folder)
        self._sending = Sending(self.recorder, self.stats, self.repeats)
        hooks = HookPosts(state, self.recorder, self.context, self._sending.send)
        self.questions = ChildQuestions(
            self.context, self.record, self._end_if_half_done, self._metrics, self.asks, hooks
        )
        # The cause of the next change of the settings in the log, and the operator's identity.
        self._settings_from: tuple[str, JsonObject] = ("start", {})
        self._apply_settings()

    # --- links ---------------------------------------------------------------------------------

    def take(self, link: Link, frames: Iterable[tuple[Header, bytes]]) -> None:
        """Handle a link's frames in order. Raises UnknownOperationError, and others for bad arguments."""
        # Parse all before deciding the first: the code of both does not fit a core's caches together,
        # and alternating costs a sixth more (docs/lab/performance-journal.md).
        parsed = [
            (header, parse(payload) if header[0] == "request" else NO_REQUEST) for header, payload in frames
        ]
        for header, request in parsed:
            if link.foreign:
                return
            if question := self.questions.of(link.name, header[0]):
                if self.elsewhere is not None and header[0] in DECIDED:
                    self.elsewhere.question(link, header[0], header[1:])
                else:
                    question(link, header[1:])
                continue
            operation = (self._OF_OPERATOR if link.operator else self._OF_WORKER).get(header[0])
            if operation is None or link.name == ENROL_NAME:
                raise UnknownOperationError(str(header[0])[:40])
            operation(self, link, header[1:], request)

    def link_lost(self, link: Link) -> None:
        """Drop a worker's link and all its sessions."""
        self.links.pop(link.number, None)
        self.asks.book.lost(link.number)
        self.stats.workers.lost(link.name)
        self._door.link_lost(link)
        if self.elsewhere is not None:
            self.elsewhere.link_lost(link.number)

    def _hello(self, link: Link, arguments: list[Any], _: Parsed) -> None:
        link.hello(*arguments)
        self._door.tell_surplus()

    def _worker_stats(self, link: Link, arguments: list[Any], _: Parsed) -> None:
        (stats,) = arguments
        self.stats.workers.note(link.name, {str(name): int(count) for name, count in stats.items()})

    def _metrics(self) -> JsonObject:
        return metrics(self.stats, self._census, self.log.folder, self.context(OPERATOR), self.sessions)

    # --- sessions ------------------------------------------------------------------------------

    def _open(self, link: Link, arguments: list[Any], _: Parsed) -> None:
        self._opening.open(link, arguments, self.elsewhere)

    def _close(self, link: Link, arguments: list[Any], _: Parsed) -> None:
        if self.elsewhere is not None:
            self.elsewhere.closed((link.number, arguments[0]))
        self._door.close(link, arguments[0])

    def _charge(self, link: Link, arguments: list[Any], _: Parsed) -> None:
        sid, cost = arguments
        session = self.sessions.get(link, sid)
        if session is not None:
            self._door.charge(session, cost)

    # --- requests ------------------------------------------------------------------------------

    def _request(self, link: Link, arguments: list[Any], parsed: Parsed) -> None:
        sid = arguments[0]
        session = self.sessions.get(link, sid)
        if session is None and not link.operator:
            return  # the session ended while the request was on its way
        crash_point("hub.request.arrived")
        request = parsed.request
        if session is not None:
            self._door.charge(session, 1.0 if isinstance(request, Exception) else request.cost)
        asker = Asker(link, sid, session, parsed.request_id)
        if self.elsewhere is not None:
            self.elsewhere.request(asker, parsed)
        else:
            self.decide(asker, parsed)

    def decide(self, asker: Asker, parsed: Parsed) -> None:
        """Answer a request in this hub."""
        request_id, request, digest, _ = parsed
        try:
            if isinstance(request, Exception):
                raise request
            self._answer(asker, request, digest)
        except ChatdError as error:
            if asker.session and error.code == "E504" and isinstance(request, rq.Send | rq.Edit):
                asker.session.must_resend = True
            self.refusals.answer(asker, error)
        except Exception as error:
            log_errors.exception("request_failed", request=getattr(request, "type", "unreadable"))
            self._end_if_half_done(error)
            asker.reply(encode(error_frame(request_id, ChatdError("E500"))))

    def _end_if_half_done(self, error: Exception) -> None:
        """End if the state holds an event that is in no batch; the next hub starts from the log."""
        if self.state.head != self.recorder.head:
            raise HalfDoneError from error

    def _answer(self, asker: Asker, request: rq.AnyRequest, digest: bytes) -> None:
        if request.spec.decides and not self.leadership.leads:
            raise decided_elsewhere(self.leadership.leader)
        context = self.context(asker.who)
        kind = request.spec.kind
        context.entries = self.recorder
        if kind is RequestKind.SEND:
            result = self._sending.send(context, cast(rq.Send | rq.Edit, request), digest)
        elif kind is RequestKind.READ:
            self._reads.answer(asker, context, request)
            return
        elif kind is RequestKind.STATS:
            authorize.permit(context, request)
            result = self.stats.report(context, self.sessions)
        else:
            result = self._bars.decide(context, request)
            self.record(context)
            self.asks.settle()
        asker.reply(encode({"type": "ok", "id": request.id, "result": result}))
        for cut in context.cuts:
            self._door.cut(cut)

    @property
    def decides(self) -> bool:
        """Whether anything can become an event now."""
        return self.writable and self.leadership.leads

    # --- events --------------------------------------------------------------------------------

    def context(self, who: Principal) -> Context:
        """Return a context for ``who`` at the present time."""
        return Context(
            self.state, self.rules, who, self._clock(), self.sessions, self.asks.book, self.writable,
            hook_key=self.hook_key, leads=self.leadership.leads, format=self.leadership.format,
        )  # fmt: skip

    def record(self, context: Context) -> None:
        """Record a context's events, and tell workers and rooms what has changed with them."""
        # First, as whoever gets another role is then removed from rooms because of it.
        for event in context.events:
            if event["type"] in ABOUT_ONE_USER:
                self._door.tell(event)
        self.recorder.record(context)
        for user in context.presence_changed:
            self._fanout.presence(user, *self.sessions.state_of(user))
        context.presence_changed.clear()

    def before_commit(self) -> None:
        """Redact expired messages and end rooms in the batch, or look for space on a full disk."""
        self.asks.expire(self._clock())
        self._attention.advance(self._clock())
        if not self.recorder.uncommitted:
            self.log.check_files()  # a commit does it by itself
        if not self.writable:
            for cut in guests.overdue(self.context(OPERATOR)):
                self._door.cut(cut)
            self._resume_writing()
            return
        if not self.leadership.leads:
            return
        context = self.context(OPERATOR)
        guests.advance(context)
        context.entries = self.recorder
        held.expire(context)
        self._retention.redact_expired(context)
        self._room_ends.advance(context)
        self.record(context)
        for cut in context.cuts:
            self._door.cut(cut)

    def idle_seconds(self, most: float) -> float:
        """Return how long the loop may wait for frames: no longer than until something is due."""
        if self._reads.in_loop:
            return 0
        due = self.state.guests.next_due()
        left = most if due is None else (due - self._clock()) / 1000
        return min(left, most) if left > 0 else most

    def save_snapshot(self) -> None:
        """Write a snapshot of the state, if the disk has space."""
        if self.writable:
            self._snapshots.write()

    # --- settings ------------------------------------------------------------------------------

    def reload(self, settings: Settings, by: JsonObject | None = None) -> None:
        """Put new settings in force and bring users, rooms and sessions in line with them.

        ``by``: the fields that tell which operator acts, if that is known.
        """
        self.rules = Rules.from_settings(settings)
        self._settings_from = ("reload", by or {})
        self._apply_settings()
        for user in {session.who.user for session in self.sessions}:
            self._door.send_terms(user)

    def note_act(self, act: str, by: JsonObject, fields: JsonObject) -> None:
        """Record an act of an operator's command that the supervisor has reported, if it is an event."""
        kind = KINDS.get(act)
        if self.elsewhere is not None:
            self.elsewhere.act(act, by, fields)
        elif self.decides and kind is not None and kind.audit is AuditRule.BOX:
            context = self.context(OPERATOR)
            context.emit(act, **fields | by)
            self.record(context)

    def _resume_writing(self) -> None:
        """Write again once a full disk has space; make up for the joins that were left out."""
        if not self._space.available():
            return
        self.writable = True
        log.info("disk_has_space", what="everything is written again")
        self.end_resending()
        self._catch_up()

    def take_lead(self) -> None:
        """Decide from now on, after every batch of the former leader was applied."""
        self.leadership.leads = True
        self.mark_isolated("")
        self._catch_up()

    def mark_isolated(self, reason: str) -> None:
        """Tell all sessions, and those to come, why what this node shows may be old; "" if it is not."""
        if reason == (self.leadership.isolated or ""):
            return
        self.leadership.isolated = reason
        if reason:
            log.warning("isolated", code="E506", why=reason)
        else:
            log.info("isolated_no_longer", what="everything is up to date again")
            self.end_resending()
        self._door.notify(isolated_frame(reason), ())

    def _catch_up(self) -> None:
        """Record what was left out while nothing could be: of the settings, and joins."""
        self._apply_settings()
        for session in self.sessions if self.decides else ():
            context = self.context(session.who)
            rooms.auto_join(context, session.who.user)
            self.record(context)

    def end_resending(self) -> None:
        """End the sessions with a message that was refused: reconnecting restores the order.

        One that was sent after it may be on its way.
        """
        for session in self.sessions:
            if session.must_resend:
                error = ChatdError("E502", "the server can write again")
                self._door.end_with_bye(session, error, retry=True)

    def end_sessions(self, error: ChatdError) -> None:
        """End all sessions; their clients go to the server's other addresses."""
        for session in self.sessions:
            self._door.end_with_bye(session, error, retry=True)

    def _apply_settings(self) -> None:
        if not self.decides:
            return
        context = self.context(OPERATOR)
        record_changes(context, *self._settings_from)
        rooms.ensure_configured(context)
        leaving.put_out_unentitled(context, list(self.state.user_names))
        self.record(context)

    _OF_OPERATOR: ClassVar[dict[str, Callable[[Hub, Link, list[Any], Parsed], None]]] = {"request": _request}
    _OF_WORKER: ClassVar[dict[str, Callable[[Hub, Link, list[Any], Parsed], None]]] = {
        "hello": _hello,
        "open": _open,
        "close": _close,
        "charge": _charge,
        "request": _request,
        "stats": _worker_stats,
    }
