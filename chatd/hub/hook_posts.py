"""What the gateway asks about hooks: which hooks a room has, and to publish what one of them posts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.errors import ChatdError
from chatd.hub.batch import Recorder
from chatd.hub.state.context import Context, Principal
from chatd.hub.state.hook_acts import secret_of
from chatd.hub.state.hook_book import HOOK_DEVICE
from chatd.hub.state.model import State
from chatd.logs.logger import get_log
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import SIGNED_KINDS
from chatd.proto.requests import Send

log_audit = get_log("audit")

# Refusals of one text, which do not concern the others of a post.
_OF_TEXT = frozenset(("E400", "E401", "E402", "E415"))
Sending = Callable[[Context, Send, bytes], JsonObject]


class HookPosts:
    """Answers for the hub. ``send`` publishes a message once, with every rule that holds for people."""

    def __init__(
        self,
        state: State,
        recorder: Recorder,
        context: Callable[[Principal], Context],
        send: Sending,
    ) -> None:
        self._state = state
        self._recorder = recorder
        self._context = context
        self._send = send

    def of_room(self, context: Context, room: str) -> JsonObject:
        """Return a room's hooks, with what proves that a post comes from each."""
        hooks = context.state.hooks
        return {"hooks": [_describe(context, name) for name in hooks.of_room(room)]}

    def post(self, _: Context, name: str, turned: int, messages: list[list[Any]]) -> JsonObject:
        """Publish messages: [msg_id, msg_id of the message it answers or null, kind, text].

        ``turned`` tells which secret the gateway has checked. Raises E405 if it is not the present one, and
        whatever refuses the hook as such; then earlier messages stay, and those sent again are not repeated.
        """
        hook = self._state.hooks.by_name.get(name)
        if hook is None or hook.turned != turned:
            raise ChatdError("E405", "this hook has another secret now")
        who = Principal(name, HOOK_DEVICE)
        head = self._recorder.head
        seqs: list[int] = []
        refused: list[str] = []
        for msg_id, answered, kind, text in messages:
            request = Send(
                type="send", id=1, msg_id=msg_id, to=hook.room, kind=kind, body=text,
                reply_to=self._seq_of(who, answered),
            )  # fmt: skip
            context = self._context(who)
            context.entries = self._recorder
            try:
                # The msg_id is a hash of what makes an alert this one, so that the text may differ.
                result = self._send(context, request, bytes.fromhex(msg_id))
            except ChatdError as error:
                if error.code not in _OF_TEXT:
                    raise
                refused.append(error.reason)
                log_audit.warning("refused", user=name, device=HOOK_DEVICE, code=error.code, why=error.reason)
                continue
            seqs.append(result["seq"])
        return {"posted": sum(seq > head for seq in seqs), "seqs": seqs, "refused": refused}

    def _seq_of(self, who: Principal, msg_id: str | None) -> int | None:
        """Return the sequence number of a message of the hook; None if it has posted no such message."""
        known = None if msg_id is None else self._recorder.find((who.device_id, msg_id))
        return known.seq if known is not None and known.kind == "message" else None


def _describe(context: Context, name: str) -> JsonObject:
    hook = context.state.hooks.by_name[name]
    signs = hook.kind in SIGNED_KINDS
    return {
        "user": name,
        "kind": hook.kind,
        "born": hook.born,
        "turned": hook.turned,
        "secret_hash": hook.secret_hash,
        "secret": secret_of(context.hook_key(), name, hook) if signs else "",
    }
