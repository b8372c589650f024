"""`POST /hook/ROOM`: prove where a post comes from, read it, and hand its messages to the hub (ADR 42)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from chatd.child.address_blocks import block_of
from chatd.child.attempts import LoginAttempts
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.gateway.hook_kinds import READERS, REPEAT_ONLY_ERRORS
from chatd.gateway.hook_messages import BadPostError, HookMessage, message_id
from chatd.gateway.hook_proof import has_proof, proven
from chatd.gateway.http_messages import HttpAnswer, HttpRequest, Route
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.policy.ratelimit import TokenBucket
from chatd.proto.frames import JsonObject, compact
from chatd.proto.text import visible

log_security = get_log("security")

HOOK_PATH = "/hook/"
# Senders split what is larger: Alertmanager by max_alerts, GitHub sends no push of more than 2,048 commits.
BODY_LIMIT = 256 * 1024
# Wrong proofs of a block of addresses: some at once, then one in two seconds.
WRONG_PER_SECOND, WRONG_BURST_SECONDS = 0.5, 20.0
# A room's hooks are asked for again after this time, and whenever a proof does not fit them.
FRESH_SECONDS = 1.0
# Seconds' worth of a hook's messages that may come at once.
BURST_SECONDS = 10.0
# Messages of one question to the hub, so that no commit waits for a whole post.
MESSAGES_AT_ONCE = 50
RETRY_SECONDS = 5

Asking = Callable[..., JsonObject]


class HookDoor:
    """Answers posts, on any thread. ``ask`` asks the hub, or raises ChatdError."""

    def __init__(
        self,
        ask: Asking,
        settings: Settings,
        repeats: Repeats,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._repeats = repeats
        self._clock = clock
        # Protects everything below.
        self._lock = threading.Lock()
        self._wrong = LoginAttempts(WRONG_PER_SECOND, clock, WRONG_BURST_SECONDS)
        # Room -> its hooks, and when they were asked for. Rooms without hooks are not kept.
        self._hooks: dict[str, tuple[float, list[JsonObject]]] = {}
        self._buckets: dict[str, TokenBucket] = {}
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Take new settings."""
        self._rate = settings.gateway.hook_rate

    def routes(self) -> dict[str, Route]:
        return {HOOK_PATH: Route(self._answer, methods=("POST",), body_limit=BODY_LIMIT)}

    def _answer(self, request: HttpRequest) -> HttpAnswer:
        if not has_proof(request):
            challenge = [("WWW-Authenticate", 'Bearer realm="chatd hook"')]
            return HttpAnswer(401, "a post needs its hook's token or signature\n", headers=challenge)
        try:
            hook = self._hook_of(request)
            if isinstance(hook, HttpAnswer):
                return hook
            messages = READERS[hook["kind"]](request.headers, request.body)
            if not messages:
                return HttpAnswer(200, "nothing of this is shown\n")
            wait = self._wait_of(hook, len(messages))
            if wait:
                return _later(hook["kind"], 429, "the hook posts faster than gateway.hook_rate", wait)
            return self._publish(hook, messages)
        except BadPostError as error:
            return HttpAnswer(400, f"{visible(str(error), newlines=False)}\n")
        except ChatdError as error:
            return _later("", 503, error.reason, RETRY_SECONDS)

    def _hook_of(self, request: HttpRequest) -> JsonObject | HttpAnswer:
        """Return the hook that a post comes from, or the refusal, the same for unknown rooms and hooks."""
        room, block = f"#{request.path.removeprefix(HOOK_PATH)}", block_of(request.address)
        with self._lock:
            may_ask = self._wrong.would_allow(block)
            asked_at, hooks = self._hooks.get(room, (float("-inf"), []))
        fresh = self._clock() - asked_at < FRESH_SECONDS
        found = proven(hooks, request) if fresh or not may_ask else None
        if found is None and may_ask:
            found = proven(self._ask_for(room), request)
        if found is not None:
            return found
        with self._lock:
            self._wrong.allow(block)
        self._repeats.note(log_security.warning, "hook_refused", block, {"address": request.address})
        if not may_ask:
            return _later("", 429, "too many posts with a wrong token or signature", RETRY_SECONDS)
        return _NOT_FOUND

    def _ask_for(self, room: str) -> list[JsonObject]:
        hooks: list[JsonObject] = self._ask("hooks", room)["hooks"]
        with self._lock:
            self._hooks.pop(room, None)
            if hooks:
                self._hooks[room] = (self._clock(), hooks)
        return hooks

    def _wait_of(self, hook: JsonObject, messages: int) -> float:
        """Take tokens for a post's messages, or return the seconds to wait."""
        name, burst = hook["user"], self._rate * BURST_SECONDS
        with self._lock:
            bucket = self._buckets.get(name)
            if bucket is None or bucket.rate != self._rate:
                bucket = self._buckets[name] = TokenBucket(self._rate, burst)
            return bucket.take(self._clock(), messages)

    def _publish(self, hook: JsonObject, messages: list[HookMessage]) -> HttpAnswer:
        """Hand messages to the hub, which answers once they are durable."""
        name, born, posted = hook["user"], hook["born"], 0
        refused: list[str] = []
        rows: list[list[Any]] = [
            [
                message_id(name, born, one.key),
                None if one.answers is None else message_id(name, born, one.answers),
                "text",
                one.text,
            ]
            for one in messages
        ]
        for begin in range(0, len(rows), MESSAGES_AT_ONCE):
            part = rows[begin : begin + MESSAGES_AT_ONCE]
            try:
                answer = self._ask("post", name, hook["turned"], part)
            except ChatdError as error:
                return _refused(hook["kind"], error)
            posted += answer["posted"]
            refused += answer["refused"]
        if len(refused) == len(rows):
            return HttpAnswer(422, f"{refused[0]}\n")
        result = {"posted": posted, "repeated": len(rows) - posted - len(refused), "refused": len(refused)}
        return HttpAnswer(202, compact(result), "application/json")


_NOT_FOUND = HttpAnswer(404, "there is no such hook\n")


def _refused(kind: str, error: ChatdError) -> HttpAnswer:
    """Answer a post that the hub has refused as a whole."""
    if error.code == "E405":
        return _NOT_FOUND
    if error.code in ("E413", "E409"):
        return _later(kind, 429, error.reason, 60)
    if error.code.startswith(("E2", "E3")):
        return HttpAnswer(403, f"{error.reason}\n")
    return _later(kind, 503, error.reason, RETRY_SECONDS)


def _later(kind: str, status: int, why: str, seconds: float) -> HttpAnswer:
    """Ask the sender to post again later, with the status that makes it do so."""
    status = 503 if kind in REPEAT_ONLY_ERRORS else status
    return HttpAnswer(status, f"{why}\n", headers=[("Retry-After", str(max(1, round(seconds + 0.5))))])
