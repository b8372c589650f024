"""Append a message or an edit to the log, once."""

from __future__ import annotations

from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.batch import Recorder
from chatd.hub.filter_log import log_filtered
from chatd.hub.state import authorize, held
from chatd.hub.state.context import Context
from chatd.hub.stats import HubStats
from chatd.logs.repeats import Repeats
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject


class Sending:
    """Decides messages and edits for the hub."""

    def __init__(self, recorder: Recorder, stats: HubStats, repeats: Repeats) -> None:
        self._recorder = recorder
        self._stats = stats
        self._repeats = repeats

    def send(self, context: Context, request: rq.Send | rq.Edit, digest: bytes) -> JsonObject:
        """Append a message or an edit once: a resent (device, msg_id) gets the same acknowledgement again."""
        authorize.permit(context, request)
        key = (context.who.device_id, request.msg_id)
        waiting = context.state.held.find(key)
        if waiting is not None:
            return held.again(context, waiting, digest)
        known = self._recorder.find(key)
        if known is not None:
            if known.kind == "message_refused":
                raise held.refused_error()
            # A redacted message has no digest any more; its random id is proof enough of the sender.
            if known.digest not in (None, digest):
                raise ChatdError("E408", "this msg_id was used for another message")
            return {"seq": known.seq, "at": known.at, "notes": []}
        result = authorize.perform(context, request)
        self._stats.counters["accepted"] += 1
        self._recorder.record(context, digest)
        log_filtered(context, result["seq"], self._repeats)
        crash_point("hub.request.applied")
        return result
