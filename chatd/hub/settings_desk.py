"""The settings that the nodes of a cluster share, in one hub: take them from the stream, have them changed.

Who says `chatd reload` on a node asks its hub, and that the hub that leads, which appends the settings to the
stream. Every hub puts them in force where it reads them there, and tells its supervisor, which writes them to
the settings file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from chatd.cluster.stream_message import StreamSettings, pack_settings
from chatd.config.schema import Settings
from chatd.config.shared import Shared, shared_of, unknown_keys, with_shared
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.leadership import Leadership
from chatd.hub.peers.follower_desk import FollowerDesk
from chatd.hub.state.authorize import permit_operator
from chatd.hub.state.context import Context, Principal, operator
from chatd.logs.logger import get_log
from chatd.proto.frames import JsonObject

log = get_log("server")
log_errors = get_log("errors")

# What a reload may wait for at the leader, from all nodes.
WAITING_LIMIT = 16
Tell = Callable[[dict[str, object]], None]
Decided = Callable[[JsonObject | ChatdError], None]


class SharingHub(Protocol):
    """The part of the hub that settings change."""

    elsewhere: FollowerDesk | None
    leadership: Leadership

    def context(self, who: Principal) -> Context: ...
    def reload(self, settings: Settings, by: JsonObject | None = None) -> None: ...


class SharingBackend(Protocol):
    """See `chatd.cluster.stream_backend.StreamBackend`."""

    def try_begin(self) -> bool: ...
    def share(self, body: bytes) -> None: ...


class _Waiting(NamedTuple):
    settings: StreamSettings
    decided: Decided


class SettingsDesk:
    """Owned by the hub's loop. ``received`` are the settings of the supervisor, ``tell`` sends to it.

    ``stored`` are the settings that the log has noted, ``number`` is theirs.
    """

    def __init__(self, received: Settings, stored: StreamSettings | None, number: int, tell: Tell) -> None:
        self._received = received
        self._tell = tell
        self._shared: Shared = {}
        self._number = 0
        # The settings that were valid last, for what another version has sent.
        self._good = received
        self._waiting: deque[_Waiting] = deque()
        self._offered = False
        # Answers of the leader that this node has not read in the stream yet: number, who waits.
        self._answers: list[tuple[int, Decided]] = []
        if stored is not None:
            self._adopt(stored, number, fresh=False)

    def serve(self, hub: SharingHub, backend: SharingBackend) -> None:
        """Serve a hub from now on."""
        self._hub = hub
        self._backend = backend

    @property
    def in_force(self) -> Settings:
        """The machine's own settings with the shared ones."""
        return self._good

    def receive(self, received: Settings) -> Settings:
        """Take settings of the supervisor; return those in force."""
        self._received = received
        self._put_together()
        return self._good

    def take(self, settings: StreamSettings, number: int) -> None:
        """Put in force what was read in the stream and noted in the log."""
        crash_point("cluster.settings.noted")
        self._adopt(settings, number, fresh=True)
        self._hub.reload(self._good, settings.by)
        ready = [decided for awaited, decided in self._answers if awaited <= number]
        self._answers = [answer for answer in self._answers if answer[0] > number]
        for decided in ready:
            decided({"number": number})

    # --- a reload --------------------------------------------------------------------------------

    def propose(self, message: dict[str, Any]) -> None:
        """Have the settings of a reload shared; the supervisor gets the outcome."""
        settings = StreamSettings(message["shared"], self._received.cluster.node, message["by"])
        by = settings.by
        who = operator(int(by.get("by_uid", 0)), str(by.get("by_login", "")))
        decided = partial(self._tell_outcome, message["number"])
        if self._hub.elsewhere is None:
            self.decide(who, settings, decided)
            return
        try:
            body = pack_settings(settings)
        except ChatdError as error:
            decided(error)
            return
        here = partial(self.decide, who, settings, decided)
        self._hub.elsewhere.settings(who, body, partial(self._answered, decided), here)

    def decide(self, who: Principal, settings: StreamSettings, decided: Decided) -> None:
        """As the leader, share what a reload changes; ``decided`` gets the outcome once that holds."""
        try:
            permit_operator(self._hub.context(who))
            if len(self._waiting) >= WAITING_LIMIT:
                raise ChatdError("E409", "too many reloads are under way", "try again in a moment")
        except ChatdError as error:
            decided(error)
        else:
            self._waiting.append(_Waiting(settings, decided))

    def advance(self, number: int) -> None:
        """As the leader, append what waits; between commits only. ``number``: of the last settings."""
        if not self._shared and not self._offered:
            # The first leader of a cluster: from here on all nodes have the same.
            self._offered = True
            own = StreamSettings(shared_of(self._received), self._received.cluster.node, {"by": "server"})
            self._waiting.appendleft(_Waiting(own, _log_refusal))
        while self._waiting and self._backend.try_begin():
            changed, decided = self._waiting.popleft()
            try:
                settings = self._judged(changed)
                body = pack_settings(settings)
            except ChatdError as error:
                decided(error)
                continue
            if settings.shared != self._shared:
                number += 1
                self._backend.share(body)
                self.take(settings, number)
            decided({"number": number})

    def _judged(self, settings: StreamSettings) -> StreamSettings:
        """Return all shared settings with those that a reload changes. Raises E600."""
        if unknown := unknown_keys(settings.shared):
            reason = f"the leading node runs another version, which does not know {', '.join(unknown)[:200]}"
            raise ChatdError("E600", reason, "update that node first: chatd cluster status")
        whole = (self._shared or shared_of(self._received)) | settings.shared
        # Checked as every node checks them, and with defaults and former names as they are meant.
        valid = shared_of(with_shared(self._received, whole))
        return settings._replace(shared={**whole, **valid})

    def _answered(self, decided: Decided, result: JsonObject | ChatdError) -> None:
        """Pass the leader's answer on, once this node has read the settings in the stream."""
        if isinstance(result, ChatdError) or result["number"] <= self._number:
            decided(result)
        else:
            self._answers.append((int(result["number"]), decided))

    def _tell_outcome(self, number: int, result: JsonObject | ChatdError) -> None:
        outcome: dict[str, object] = {"type": "shared_outcome", "number": number, "code": ""}
        if isinstance(result, ChatdError):
            outcome |= {"code": result.code, "reason": result.reason, "fix": result.fix}
        self._tell(outcome)

    # --- the settings in force -------------------------------------------------------------------

    def _adopt(self, settings: StreamSettings, number: int, *, fresh: bool) -> None:
        self._shared, self._number = settings.shared, number
        if unknown := unknown_keys(settings.shared):
            log.warning("settings_unknown", keys=unknown, fix="install the newer version on this node")
        self._put_together()
        self._tell({"type": "shared", **settings._asdict(), "fresh": fresh})
        log.info("settings_shared", number=number)

    def _put_together(self) -> None:
        if not self._shared:
            self._good = self._received
            return
        try:
            self._good = with_shared(self._received, self._shared)
        except ChatdError as error:
            fix = "install the newer version on this node"
            log_errors.error("settings_not_taken", code=error.code, why=error.reason, fix=fix)
            self._good = with_shared(self._received, shared_of(self._good))


def _log_refusal(result: JsonObject | ChatdError) -> None:
    if isinstance(result, ChatdError):
        log_errors.error("settings_not_shared", code=result.code, why=result.reason, fix=result.fix)
