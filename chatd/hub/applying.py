"""Put in force what another node has decided, once this node's log has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import orjson

from chatd.hub.batch import Recorder, count_written, log_audited
from chatd.hub.fanout import Fanout
from chatd.hub.reads import Reads
from chatd.hub.session_door import ABOUT_ONE_USER, SessionDoor
from chatd.hub.state.cuts import cut_of
from chatd.hub.state.model import State
from chatd.proto.frames import JsonObject
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog


class Applier:
    """Applies the events of a hub that follows: their state, readers, redactions, terms and cuts."""

    def __init__(
        self,
        log: EventLog,
        state: State,
        recorder: Recorder,
        fanout: Fanout,
        reads: Reads,
        door: SessionDoor,
    ) -> None:
        self._log = log
        self._state = state
        self._recorder = recorder
        self._fanout = fanout
        self._reads = reads
        self._door = door

    def apply(self, entries: Sequence[Entry], redact: Mapping[int, int]) -> None:
        """Apply entries that were just committed. ``redact``: see `EventLog.append`."""
        removed: dict[int, list[int]] = defaultdict(list)
        for seq, by in redact.items():
            removed[by].append(seq)
        for entry in entries:
            event: JsonObject = orjson.loads(entry.body)
            self._state.apply(event)
            count_written(self._state, entry)
            log_audited(event)
            self._fanout.publish(event, entry.body)
            self._change(event, removed[entry.seq])
            if event["type"] in ABOUT_ONE_USER:
                self._door.tell(event)
            cut = cut_of(self._state, event)
            if cut is not None:
                self._door.cut(cut)
        self._recorder.committed(redact)

    def _change(self, event: JsonObject, removed: list[int]) -> None:
        """Bring what is in memory in line with an event that edits or redacts."""
        edited = [event] if event["type"] == "edited" else []
        if not removed and not edited:
            return
        gone = {*removed}
        if edited:
            message = self._log.message(event["room"], event["target"])
            former = message.edits if message is not None else ()
            gone |= {seq for seq in former if seq < event["seq"]}
        self._fanout.redact(gone, edited)
        self._reads.note_changes(gone | {one["target"] for one in edited})
