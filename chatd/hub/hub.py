"""The hub between its links and its log: sessions come and go, requests become events and replies.

Everything here runs in the ordering loop. Replies and events are only *queued* on the links; the
loop writes them out after `commit` has returned, so that nothing is told before it is durable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from chatd import __version__
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.arrivals import Arrival, read
from chatd.hub.batch import Batch
from chatd.hub.entries import to_entry
from chatd.hub.fanout import Fanout
from chatd.hub.links import Link
from chatd.hub.reading import ReadThread
from chatd.hub.reads import Asked, Reads
from chatd.hub.sessions import Session, Sessions
from chatd.hub.state import authorize, rooms
from chatd.hub.state.context import OPERATOR, Context, Cut, Principal
from chatd.hub.state.model import State
from chatd.hub.state.rules import Rules
from chatd.hub.stats import overview
from chatd.hub.upkeep import Upkeep
from chatd.link.wire import Header
from chatd.logs.logger import get_log
from chatd.proto import requests as rq
from chatd.proto.events import bye_frame, error_frame
from chatd.proto.frames import JsonObject, encode
from chatd.store.event_log import EventLog

log = get_log("server")
log_connections = get_log("connections")
log_security = get_log("security")
log_errors = get_log("errors")

PROTOCOL = 1
# With every link frame that is no request.
# Rooms listed in `welcome`; `rooms` pages through all of them.
WELCOME_ROOMS = 500
_NOTHING = Arrival(0, ChatdError("E500"))


class HalfDoneError(Exception):
    """A request failed after it had changed the state: this hub must not go on."""


class Hub:
    """Owns state, log, sessions and fan-out. ``clock`` gives ms since 1970, ``room`` whether the log's
    disk has space; without it reads are answered and everything else is refused (ADR 13)."""

    def __init__(
        self,
        events: EventLog,
        state: State,
        settings: Settings,
        reader: ReadThread,
        clock: Callable[[], int],
        room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.log = events
        self.state = state
        self.rules = Rules.from_settings(settings)
        self.sessions = Sessions()
        self.counters: Counter[str] = Counter()
        self.links: dict[int, Link] = {}
        self.processes: JsonObject = {}
        self.started = clock()
        self._clock = clock
        self._room = room
        self.writable = room()
        if not self.writable:
            log.error("disk_full", code="E504", what="nothing is written, reads go on", fix="free disk space")
        self._fanout = Fanout(state, self.sessions, events.head)
        self._reads = Reads(reader, self._fanout, self.sessions, self._refuse)
        self.upkeep = Upkeep(self)
        self._batch = Batch(events)
        self._settle()

    # --- links ---------------------------------------------------------------------------------

    def take(self, link: Link, frames: Iterable[tuple[Header, bytes]]) -> None:
        """Take a link's frames in order. Raises KeyError for an operation that does not exist (a defect)."""
        # All are read before the first is decided: the code of both together does not fit a core's caches,
        # and taking turns costs a sixth more (docs/lab/performance-journal.md).
        arrived = [
            (header, read(payload) if header[0] == "request" else _NOTHING) for header, payload in frames
        ]
        for header, arrival in arrived:
            if link.foreign:
                return
            self._OPERATIONS[header[0]](self, link, header[1:], arrival)

    def link_lost(self, link: Link) -> None:
        """A worker is gone and all its sessions with it."""
        self.links.pop(link.number, None)
        for session in self.sessions.of_link(link):
            self._forget(session)

    def _hello(self, link: Link, arguments: list[Any], _: Arrival) -> None:
        link.hello(*arguments)

    def _operator(self, link: Link, _: list[Any], __: Arrival) -> None:
        # The socket is 0600 in a 0700 folder: who can open it owns the box (docs/architecture.md).
        link.operator = True

    def _counts(self, link: Link, arguments: list[Any], _: Arrival) -> None:
        (link.counts,) = arguments

    # --- sessions ------------------------------------------------------------------------------

    def _open(self, link: Link, arguments: list[Any], _: Arrival) -> None:
        sid, user, device, serial, address, resumed = arguments
        context = self.context(Principal(user, device))
        try:
            authorize.admit(context, serial, total=len(self.sessions))
        except ChatdError as error:
            # Full is for a moment; every other refusal stays until somebody does something.
            retry = error.code in ("E501", "E505")
            link.send(["refuse", sid, retry], encode(bye_frame(error, retry=retry)))
            log_security.warning("login_refused", user=user, device=device, address=address, code=error.code)
            self.counters["refused_logins"] += 1
            return
        if self.writable:
            rooms.auto_join(context, user)
            self.record(context)
        session = Session(link, sid, context.who, address)
        if self.sessions.add(session):
            self._fanout.presence(user, "online")
        greeting = encode({"type": "lagged"}) if resumed else self._welcome(context)
        link.send(["admit", sid, self._terms(context)], greeting)
        crash_point("hub.session.admitted")
        if not resumed:
            log_connections.info(
                "session_opened", user=user, device=device, address=address, worker=link.name
            )

    def _close(self, link: Link, arguments: list[Any], _: Arrival) -> None:
        session = self.sessions.get(link, arguments[0])
        if session is not None:
            self._forget(session)

    def _forget(self, session: Session, told: JsonObject | None = None) -> None:
        self._fanout.stop_live(session)
        if self.sessions.remove(session):
            self._fanout.presence(session.who.user, "offline", told=told)
        log_connections.info(
            "session_closed", user=session.who.user, device=session.who.device, worker=session.link.name
        )

    def _cut(self, session: Session, cut: Cut) -> None:
        self._fanout.stop_live(session)
        session.link.send(["cut", session.sid, False], encode(bye_frame(cut.error, retry=False)))
        self._forget(session, cut.told)

    def _welcome(self, context: Context) -> bytes:
        settings, user = self.rules.settings, self.state.users[context.who.user]
        terms = self._terms(context)
        return encode(
            {
                "type": "welcome",
                "protocol": PROTOCOL,
                "server": "chatd",
                "version": __version__,
                "instance": settings.server.name,
                "user": context.who.user,
                "device": context.who.device,
                "role": context.role,
                "permissions": sorted(self.rules.roles.permissions(context.role)),
                "rooms": sorted(user.rooms)[:WELCOME_ROOMS],
                "head": self.state.head,
                "lineage": [branch.model_dump() for branch in self.log.lineage],
                "time": context.now,
                "envelope": settings.security.encryption_enabled,
                "limits": {
                    "message_chars": settings.limits.message_chars,
                    "topic_chars": settings.limits.topic_chars,
                    "rooms": settings.limits.rooms_per_user,
                    "history_on_join": settings.limits.history_on_join,
                    "idle_seconds": settings.server.timeout,
                    "messages_per_minute": round(terms["rate"] * 60),
                    "burst": terms["burst"],
                },
            }
        )

    def _terms(self, context: Context) -> JsonObject:
        limits = self.rules.settings.limits.for_role(context.role)
        return {
            "role": context.role,
            "rate": limits.messages_per_second,
            "burst": limits.burst,
            "presence": context.allows("presence.read"),
        }

    # --- requests ------------------------------------------------------------------------------

    def _request(self, link: Link, arguments: list[Any], arrival: Arrival) -> None:
        sid = arguments[0]
        session = self.sessions.get(link, sid)
        if session is None and not link.operator:
            return  # its session was cut or forgotten while the request was on its way
        crash_point("hub.request.arrived")
        label, request, digest = arrival
        try:
            if isinstance(request, Exception):
                raise request
            self._answer(link, sid, session, request, digest)
        except ChatdError as error:
            self._refuse(Asked(link, sid, session, label), error)
        except Exception as error:
            log_errors.exception("request_failed", request=getattr(request, "type", "unreadable"))
            if self.state.head != self._batch.head:
                # Something happened that is in no batch: only the log knows the truth now. The hub
                # ends, and the next one starts from there.
                raise HalfDoneError from error
            link.send(["reply", sid, label], encode(error_frame(label, ChatdError("E500"))))

    def _answer(
        self, link: Link, sid: int, session: Session | None, request: rq.AnyRequest, digest: bytes
    ) -> None:
        context = self.context(session.who if session else OPERATOR)
        if isinstance(request, rq.Send):
            result = self._send(context, request, digest)
        elif isinstance(request, rq.Resume | rq.History | rq.Search):
            self._reads.answer(Asked(link, sid, session, request.id), context, request)
            return
        elif isinstance(request, rq.Stats):
            authorize.permit(context, request)
            result = overview(self, context.now)
        else:
            if isinstance(request, rq.Redact):
                context.target = self.log.kind_and_room(request.seq)
            result = authorize.decide(context, request)
        self.record(context)
        if isinstance(request, rq.Away):
            self._fanout.presence(context.who.user, *self.sessions.state_of(context.who.user))
        link.send(["reply", sid, request.id], encode({"type": "ok", "id": request.id, "result": result}))
        for cut in context.cuts:
            victims = self.sessions.of_user(cut.user, cut.device)
            for victim in victims:
                self._cut(victim, cut)
            if not victims and cut.told:
                # Whoever shares a room with them is to know it all the same.
                self._fanout.presence(cut.user, "offline", told=cut.told)

    def _send(self, context: Context, request: rq.Send, digest: bytes) -> JsonObject:
        """A message, once: a resent (device, msg_id) gets the acknowledgement it had the first time."""
        authorize.permit(context, request)
        key = (context.who.device_id, request.msg_id)
        known = self._batch.find(key) or self.log.find(key[0], bytes.fromhex(request.msg_id))
        if known is not None:
            # The digest of an erased message is gone; whoever knows its random id has sent it.
            if known.digest not in (None, digest):
                raise ChatdError("E408", "this msg_id was used for another message")
            return {"seq": known.seq, "at": known.at, "notes": []}
        result = authorize.perform(context, request)
        self.counters["accepted"] += 1
        self.record(context, key, digest)
        crash_point("hub.request.applied")
        return result

    def _refuse(self, asked: Asked, error: ChatdError) -> None:
        link, sid, session, label = asked
        self.counters["filtered" if error.code == "E400" else "refused"] += 1
        if session is not None and error.code in _TOLD_TO_SECURITY:
            log_security.warning(
                "refused", user=session.who.user, device=session.who.device, code=error.code, why=error.reason
            )
        link.send(["reply", sid, label], encode(error_frame(label, error)))

    # --- events --------------------------------------------------------------------------------

    def context(self, who: Principal) -> Context:
        """A turn of ``who``, at the present time."""
        return Context(self.state, self.rules, who, self._clock(), self.sessions, self.writable)

    def record(
        self, context: Context, key: tuple[str, str] | None = None, digest: bytes | None = None
    ) -> None:
        """Put a turn's events in the batch and queue them for their readers."""
        for event in context.events:
            entry = to_entry(event, context.who, digest)
            self._batch.add(entry, key if event["type"] == "message" else None)
            if event["type"] in _TOLD_TO_SECURITY:
                log_security.info(
                    event["type"], **{k: v for k, v in event.items() if k not in ("type", "at")}
                )
            self._fanout.publish(event, entry.body)
            if event["type"] == "role_set":
                self._tell_terms(event["user"])
        context.events.clear()
        if context.redacted:
            self._batch.redacted |= context.redacted
            self._fanout.redact(context.redacted)
            self._reads.redacted()
            context.redacted.clear()

    @property
    def uncommitted(self) -> int:
        """Events in the batch that grows."""
        return len(self._batch)

    @property
    def can_overlap(self) -> bool:
        """Whether `begin_commit` may be used: nothing has to be done while all stands still."""
        return not self._batch.redacted and not self.upkeep.snapshot_due

    def commit(self) -> None:
        """Make the batch durable. Raises ChatdError E504; the hub must then end and start again."""
        if self._batch:
            erased = self._batch.commit()
            if erased:
                self._reads.redact(erased)
            self.upkeep.after_commit()
        self._hold()
        self._release()

    def begin_commit(self) -> Callable[[], None]:
        """The same, except that what it returns waits for the disk, on any thread; then `end_commit`.

        What arrives meanwhile is decided, and held on the links for the commit after.
        """
        wait = self._batch.begin()
        self._hold()
        return wait

    def end_commit(self) -> None:
        """The disk has it."""
        self._batch.end()
        self._release()

    def _hold(self) -> None:
        self._reads.hold()
        for link in self.links.values():
            link.hold()

    def _release(self) -> None:
        self._reads.release()
        for link in self.links.values():
            link.release()

    # --- settings ------------------------------------------------------------------------------

    def reload(self, settings: Settings) -> None:
        """Put other settings in force and bring users, rooms and sessions in line with them."""
        self.rules = Rules.from_settings(settings)
        self._settle()
        for user in {session.who.user for session in self.sessions}:
            self._tell_terms(user)

    def _tell_terms(self, user: str) -> None:
        """A user's sessions have the rate limit and the notices of the role that is in force now."""
        for session in self.sessions.of_user(user):
            session.link.send(["terms", session.sid, self._terms(self.context(session.who))])

    def try_writing(self) -> None:
        """After a full disk: is there room again? Then make up for what was left out meanwhile."""
        if not self._room():
            return
        self.writable = True
        log.info("disk_has_room", what="everything is written again")
        self._settle()
        for session in self.sessions:
            context = self.context(session.who)
            rooms.auto_join(context, session.who.user)
            self.record(context)

    def _settle(self) -> None:
        if not self.writable:
            return
        context = self.context(OPERATOR)
        rooms.ensure_configured(context)
        rooms.put_out_unentitled(context, sorted(self.state.users))
        self.record(context)

    _OPERATIONS: ClassVar[dict[str, Callable[[Hub, Link, list[Any], Arrival], None]]] = {
        "hello": _hello,
        "operator": _operator,
        "open": _open,
        "close": _close,
        "request": _request,
        "counts": _counts,
    }


# Refusals and events that security.log keeps; never with a message's body.
_TOLD_TO_SECURITY = frozenset(
    (
        *("E300", "E301", "E302", "E303", "E304", "E305", "E400", "E408"),
        *("user_added", "device_added", "device_revoked", "role_set"),
        *("banned", "unbanned", "kicked", "muted", "unmuted"),
    )
)
