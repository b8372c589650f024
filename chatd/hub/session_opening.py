"""Open the sessions that workers report: judge a login, note it in the log, greet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.attention import AttentionDesk
from chatd.hub.bars import Bars
from chatd.hub.fanout import Fanout
from chatd.hub.leadership import Leadership
from chatd.hub.links import Link
from chatd.hub.peers.follower_desk import FollowerDesk
from chatd.hub.peers.forwarding import isolated_error
from chatd.hub.session_door import SessionDoor
from chatd.hub.sessions import Sessions
from chatd.hub.state import authorize, login_events
from chatd.hub.state.context import Context, Principal
from chatd.hub.state.user_standing import Shown
from chatd.hub.welcome import resumed_frames, welcome_frame
from chatd.logs.logger import get_log
from chatd.proto.frames import JsonObject
from chatd.store.event_log import EventLog

log_connections = get_log("connections")


class _Login(NamedTuple):
    """A session that a worker wants to open."""

    link: Link
    sid: int
    who: Principal
    serial: str
    address: str
    resumed: bool
    shown: Shown | None


class SessionOpening:
    """Opens sessions for the hub. ``record`` records a context's events."""

    def __init__(
        self,
        log: EventLog,
        sessions: Sessions,
        door: SessionDoor,
        bars: Bars,
        attention: AttentionDesk,
        fanout: Fanout,
        leadership: Leadership,
        context: Callable[[Principal], Context],
        record: Callable[[Context], None],
    ) -> None:
        self._log = log
        self._sessions = sessions
        self._door = door
        self._bars = bars
        self._attention = attention
        self._fanout = fanout
        self._leadership = leadership
        self._context = context
        self._record = record

    def open(self, link: Link, arguments: list[Any], elsewhere: FollowerDesk | None) -> None:
        """Open a session (see `chatd.link.wire`), once the leader has noted its login if there is another."""
        sid, user, device, serial, address, resumed, *certificate = arguments
        shown = Shown(*certificate) if certificate else None
        if self._sessions.get(link, sid) is not None:
            raise ValueError(f"session {sid} is open already")
        login = _Login(link, sid, Principal(user, device), serial, address, resumed, shown)
        context = self._admitted(login)
        if context is None:
            return
        if elsewhere is not None and elsewhere.turns_away:
            self._refuse(login, context, isolated_error())
        elif elsewhere is None:
            news = None
            if context.writable and context.leads:
                news = login_events.note(context, serial, shown)
                self._record(context)
            self._admit(login, context, news)
        elif login_events.is_due(context, serial, shown):
            decided, here = partial(self._decided, login), partial(self.open, link, arguments, None)
            elsewhere.admission((link.number, sid), (user, device), serial, shown, decided, here)
        else:
            self._admit(login, context, None)

    def _decided(self, login: _Login, result: JsonObject | ChatdError) -> None:
        """Open a session whose login the leader has noted, or could not: logins need no leader."""
        if isinstance(result, ChatdError):
            if result.code.startswith("E2"):
                self._refuse(login, self._context(login.who), result)
                return
            result = {}
        context = self._admitted(login)
        if context is not None:
            self._admit(login, context, result.get("news"))

    def _admitted(self, login: _Login) -> Context | None:
        """Return the context of a login; None if it is refused."""
        context = self._context(login.who)
        try:
            authorize.admit(context, login.serial, login.shown, total=len(self._sessions))
            self._bars.refuse(context)
        except ChatdError as error:
            self._refuse(login, context, error)
            return None
        return context

    def _refuse(self, login: _Login, context: Context, error: ChatdError) -> None:
        self._door.refuse(login.link, login.sid, context, login.address, error)

    def _admit(self, login: _Login, context: Context, news: JsonObject | None) -> None:
        """Let a session in; ``news`` is what its user's rooms are told."""
        user, device = login.who.user, login.who.device
        isolated = self._leadership.isolated
        greeting = (
            resumed_frames(context, isolated)
            if login.resumed
            else welcome_frame(context, self._log, isolated)
        )
        self._door.admit(login.link, login.sid, context, login.address, greeting, told=news is not None)
        if news is not None:
            self._fanout.presence(user, *self._sessions.state_of(user), notice=news)
            self._sessions.note_news(user, news)
        crash_point("hub.session.admitted")
        if not login.resumed:
            self._attention.greet(self._sessions.get(login.link, login.sid))
            log_connections.info(
                "session_opened", user=user, device=device, address=login.address, worker=login.link.name
            )
