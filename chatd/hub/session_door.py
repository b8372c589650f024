"""The sessions that workers report: let them in, tell them their terms, end them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chatd.child.memory import MemoryReturn
from chatd.errors import ChatdError
from chatd.hub.fanout import Fanout
from chatd.hub.links import Link
from chatd.hub.sessions import HubSession, Sessions
from chatd.hub.state.context import OPERATOR, Context, Principal, seconds_out
from chatd.hub.state.cuts import Cut
from chatd.hub.stats import HubStats
from chatd.hub.user_rates import UserRates
from chatd.hub.welcome import room_notice, standing_frame
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.policy.ratelimit import TokenBucket
from chatd.proto.events import bye_frame
from chatd.proto.frames import JsonObject, encode

log_connections = get_log("connections")
log_security = get_log("security")

# Events of which the user concerned, or their rooms, are told beside the log.
ABOUT_ONE_USER = frozenset(("role_set", "muted", "unmuted", "unbanned", "invited", "uninvited"))
_INVITING = frozenset(("invited", "uninvited"))


class SessionDoor:
    """Lets sessions in and ends them. ``context`` returns a context for an asker at the present time."""

    def __init__(
        self,
        links: Mapping[int, Link],
        sessions: Sessions,
        fanout: Fanout,
        stats: HubStats,
        repeats: Repeats,
        context: Callable[[Principal], Context],
    ) -> None:
        self.memory = MemoryReturn()
        self.rates = UserRates(sessions)
        self._links = links
        self._sessions = sessions
        self._fanout = fanout
        self._stats = stats
        self._repeats = repeats
        self._context = context

    def refuse(self, link: Link, sid: int, context: Context, address: str, error: ChatdError) -> None:
        """Tell a worker that a session may not open, and why."""
        user, device = context.who.user, context.who.device
        # "Full" and "isolated" pass by themselves; every other refusal stays until somebody acts.
        retry = error.code in ("E501", "E505", "E506")
        after = seconds_out(context, user, error.code)
        link.send(["refuse", sid, retry], encode(bye_frame(error, retry=retry, retry_after=after)))
        self._repeats.note(
            log_security.warning,
            "login_refused",
            device,
            {"device": device, "address": address},
            user=user,
            code=error.code,
        )
        self._stats.counters["refused_logins"] += 1
        self._stats.refusals[error.code] += 1

    def admit(
        self, link: Link, sid: int, context: Context, address: str, greeting: bytes, *, told: bool = False
    ) -> None:
        """Open a session of the context's asker; ``greeting`` is its first frame.

        ``told``: the user's rooms are told of a new device, and thereby that the user is here.
        """
        session = HubSession(link, sid, context.who, address, self._bucket(context))
        self.memory.note()
        if self._sessions.add(session) and not told:
            self._fanout.presence(context.who.user, "online")
        link.send(["admit", sid, self._terms(session, context)], greeting)
        self.tell_surplus()

    def close(self, link: Link, sid: int) -> None:
        """End a session that its worker has closed."""
        session = self._sessions.get(link, sid)
        if session is not None:
            self._end(session)
            self.tell_surplus()

    def link_lost(self, link: Link) -> None:
        """End all sessions of a worker."""
        for session in self._sessions.of_link(link):
            self._end(session)
        self.tell_surplus()

    def cut(self, cut: Cut) -> None:
        """End the sessions of a cut, with a bye frame that says why."""
        before = self._sessions.state_of(cut.user)
        # The other nodes end theirs, too.
        self._sessions.remote.forget(cut.user, cut.device)
        sessions = self._sessions.of_user(cut.user, cut.device)
        for session in sessions:
            self.end_with_bye(session, cut.error, retry=False, notice=cut.notice)
        state = self._sessions.state_of(cut.user)
        if not sessions and (cut.notice or state != before):
            # Tell the rooms although no session ended.
            self._fanout.presence(cut.user, *state, notice=cut.notice)

    def end_with_bye(
        self, session: HubSession, error: ChatdError, *, retry: bool, notice: JsonObject | None = None
    ) -> None:
        """End a session; see `_end` for ``notice``."""
        after = seconds_out(self._context(session.who), session.who.user, error.code)
        bye = bye_frame(error, retry=retry, retry_after=after)
        session.link.send(["cut", session.sid, retry], encode(bye))
        self._end(session, notice)

    def charge(self, session: HubSession, cost: float) -> None:
        """Charge a request to the session's user."""
        self.rates.charge(session, cost)

    def tell(self, event: JsonObject) -> None:
        """Tell a user of a new role or mute, and their rooms of it and of the end of a ban."""
        user = event["user"]
        room, inviting = event.get("room"), event["type"] in _INVITING
        if event["type"] != "unbanned":
            # A mute in a room must not tell somebody outside it that the room exists.
            told = room is None or inviting or room in self._context(OPERATOR).state.users[user].rooms
            self.send_terms(user, event if told else None)
        if not inviting:
            notice = room_notice(event)
            self._fanout.presence(user, *self._sessions.state_of(user), notice=notice, only=room)

    def send_terms(self, user: str, event: JsonObject | None = None) -> None:
        """Tell the workers the rate limit and rights of a user's present role, and the user the ``event``."""
        for session in self._sessions.of_user(user):
            context = self._context(session.who)
            self._bucket(context)
            notice = encode(standing_frame(context, event)) if event else b""
            session.link.send(["terms", session.sid, self._terms(session, context)], notice)

    def notify(self, frame: bytes, permissions: Sequence[str]) -> None:
        """Send a frame to every session whose role has all ``permissions``."""
        for session in self._sessions:
            self.notify_session(session, frame, permissions)

    def notify_session(self, session: HubSession, frame: bytes, permissions: Sequence[str]) -> None:
        """Send a frame to a session if its role has all ``permissions``."""
        context = self._context(session.who)
        if all(map(context.allows, permissions)):
            session.link.send(["terms", session.sid, self._terms(session, context)], frame)

    def tell_surplus(self) -> None:
        """Tell the workers that have more sessions than the others, so that they let those accept."""
        # Not the gateway: nobody shares its sessions.
        workers = [link for link in self._links.values() if link.is_worker]
        for link, surplus in self._sessions.surplus_of(workers).items():
            if surplus != link.surplus:
                link.surplus = surplus
                link.send(["surplus", surplus])

    def _bucket(self, context: Context) -> TokenBucket:
        """Return the asker's bucket, with the limits of their present role."""
        return self.rates.of_user(context.who.user, context.rules.settings.limits.for_role(context.role))

    def _terms(self, session: HubSession, context: Context) -> JsonObject:
        return {**self.rates.terms(session.bucket), "presence": context.allows("presence.read")}

    def _end(self, session: HubSession, notice: JsonObject | None = None) -> None:
        """Remove a session; ``notice`` is added to the presence event if its user goes offline."""
        self.memory.note()
        self._fanout.stop_live(session)
        self._sessions.note_seen(session.who, self._context(session.who).now)
        if self._sessions.remove(session):
            self._fanout.presence(session.who.user, "offline", notice=notice)
        log_connections.info(
            "session_closed", user=session.who.user, device=session.who.device, worker=session.link.name
        )
