"""Record events: put them in a batch, publish them, commit the batch, then release replies and events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from chatd.crashpoints import crash_point
from chatd.hub.backend import Backend
from chatd.hub.fanout import Fanout
from chatd.hub.links import Link
from chatd.hub.reads import Reads
from chatd.hub.state.context import Context, Principal
from chatd.hub.state.model import DAY_MS, KINDS, NOT_AUDITED, AuditRule, State, audience_of, is_audited
from chatd.hub.upkeep import Remnants, Snapshots
from chatd.logs.logger import get_log
from chatd.proto.frames import JsonObject, compact
from chatd.store.entry import AcceptedMessage, Entry, Given, StoredMessage
from chatd.store.event_log import EventLog

log_audit = get_log("audit")

# Events that a client may cause twice by sending them again; their msg_id tells.
SENT_KINDS = frozenset(("message", "edited"))
# And what ends a held message: a resent one must not be held again.
_KEYED_KINDS = SENT_KINDS | {"message_refused"}
# (device_id, msg_id) of a message or an edit.
MessageKey = tuple[str, str]


def to_entry(event: JsonObject, who: Principal, digest: bytes | None = None) -> Entry:
    """Return the log entry of an event that ``who`` caused. ``digest``: see `Entry`."""
    kind, seq, at = event["type"], event["seq"], event["at"]
    if kind in _KEYED_KINDS:
        # The writer's device, although a moderator may have caused it.
        device, msg_id = key_of(event)
        room = audience_of(event)
        return Entry(seq, at, kind, room, device, bytes.fromhex(msg_id), digest, compact(event))
    return Entry(seq, at, kind, audience_of(event), who.device_id, None, None, compact(event))


def key_of(event: JsonObject) -> MessageKey:
    """Return the key of a message, an edit, or a refused message."""
    return f"{event['user']}/{event['device']}", event["msg_id"]


def count_written(state: State, entry: Entry) -> None:
    """Count an entry's bytes against the user who wrote it, as a start does that reads the log."""
    user = (entry.device or "").partition("/")[0]
    if user in state.users:
        state.add_written(user, entry.at // DAY_MS, len(entry.body))


def log_audited(event: JsonObject) -> None:
    """Write an event's line in audit.log if it is audited, without the text of an announcement."""
    if is_audited(event) and KINDS[event["type"]].audit is not AuditRule.BOX:
        log_audit.info(
            event["type"], **{k: v for k, v in event.items() if k not in ("type", "at", *NOT_AUDITED)}
        )


def _with_edits(
    message: StoredMessage | None, changes: list[JsonObject], redacted_by: int | None
) -> StoredMessage | None:
    """Return a message as the batch leaves it."""
    if message is None or message.gone:
        return message
    edits = {event["seq"]: event for event in changes if event["type"] == "edited"}
    if redacted_by is not None and redacted_by not in edits:
        return message._replace(body=b"", gone=True)
    # The log may know some of them: the batch is durable a moment before it counts as such.
    seqs = sorted({*message.edits, *edits})
    body = compact(edits[seqs[-1]]) if edits else message.body
    return message._replace(edits=tuple(seqs), body=body)


def _with_reactions(given: Given, changes: list[JsonObject], asked: str, user: str) -> Given:
    """Return how a message stands with a reaction after the batch."""
    for event in changes:
        if event["type"] != "reacted":
            continue
        text = event["text"]
        texts = given.texts | {text} if event["count"] else given.texts - {text}
        given = given._replace(texts=texts)
        if text == asked:
            mine = event["on"] if event["user"] == user else given.mine
            given = given._replace(users=event["count"], mine=mine)
    return given


class Batch:
    """Entries that are decided and not yet durable.

    `commit` commits at once. `begin` and `end` commit while the next batch is being decided.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._entries: list[Entry] = []
        # The messages among the entries, which the log cannot look up yet.
        self._messages: dict[MessageKey, Entry] = {}
        # The batch that is being committed.
        self._committing: list[Entry] = []
        self._committing_messages: dict[MessageKey, Entry] = {}
        # seq of a body to remove -> seq of the entry that orders it.
        self.redacted: dict[int, int] = {}
        # seq of a message -> what was done to it by entries that the log cannot look up yet.
        self._changes: dict[int, list[JsonObject]] = {}
        self._committing_changes: dict[int, list[JsonObject]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def head(self) -> int:
        """The last sequence number that was assigned."""
        decided = self._entries or self._committing
        return decided[-1].seq if decided else self._backend.head

    def add(self, entry: Entry, key: MessageKey | None = None) -> None:
        """Add an entry; ``key`` identifies a message that a client may resend."""
        self._entries.append(entry)
        if key is not None:
            self._messages[key] = entry

    def note_change(self, event: JsonObject) -> None:
        """Remember an edit of a message, or a reaction, until the log can look it up."""
        if event["type"] in ("edited", "reacted"):
            self._changes.setdefault(event["target"], []).append(event)

    def changes(self, seq: int) -> list[JsonObject]:
        """Return what was done to a message by entries that are not durable yet, in order."""
        return [*self._committing_changes.get(seq, ()), *self._changes.get(seq, ())]

    def find(self, key: MessageKey) -> Entry | None:
        """Return the message under this key if it is not durable yet."""
        return self._messages.get(key) or self._committing_messages.get(key)

    def commit(self) -> list[int]:
        """Commit the batch and return the seqs it redacted. After ChatdError E504 the hub must end."""
        commit = self.begin()
        commit()
        self.end()
        redacted = list(self.redacted)
        self.redacted.clear()
        return redacted

    def begin(self) -> Callable[[], None]:
        """Start a commit; run the result on any thread, then call `end`.

        Use `commit` for a batch that redacts. Raises ChatdError E504.
        """
        crash_point("hub.commit.before")
        self._backend.insert(self._entries, self.redacted)
        self._committing, self._entries = self._entries, []
        self._committing_messages, self._messages = self._messages, {}
        self._committing_changes, self._changes = self._changes, {}
        return self._backend.commit

    def end(self) -> None:
        """Finish what `begin` started; the batch is durable."""
        self._backend.finish()
        crash_point("hub.commit.after")
        self._committing.clear()
        self._committing_messages.clear()
        self._committing_changes.clear()


class Recorder:
    """Records and commits the events of contexts. Owned by the hub's loop.

    Replies, events and reads queued since the last commit are staged with the next one and released when
    it is durable. ``backend`` commits the batches; without one, ``log`` does.
    """

    def __init__(
        self,
        log: EventLog,
        fanout: Fanout,
        reads: Reads,
        links: Mapping[int, Link],
        snapshots: Snapshots,
        backend: Backend | None = None,
    ) -> None:
        self._log = log
        self._backend = backend or log
        self._fanout = fanout
        self._reads = reads
        self._links = links
        self._snapshots = snapshots
        self._batch = Batch(self._backend)
        self._remnants = Remnants(log)

    @property
    def head(self) -> int:
        """The last sequence number that was assigned."""
        return self._batch.head

    @property
    def uncommitted(self) -> int:
        """Events in the growing batch."""
        return len(self._batch)

    @property
    def can_overlap(self) -> bool:
        """Whether `begin_commit` may be used: no redaction, snapshot or checkpoint follows the commit."""
        return not (self._batch.redacted or self._snapshots.due or self._remnants.due)

    def find(self, key: MessageKey) -> Entry | AcceptedMessage | None:
        """Return the message under this key, durable or not."""
        return self._batch.find(key) or self._log.find(key[0], bytes.fromhex(key[1]))

    def message(self, room: str, seq: int) -> StoredMessage | None:
        """See `chatd.hub.state.context.EntryView`."""
        message = self._log.message(room, seq)
        return _with_edits(message, self._batch.changes(seq), self._batch.redacted.get(seq))

    def given(self, seq: int, text: str, user: str) -> Given:
        """See `chatd.hub.state.context.EntryView`."""
        return _with_reactions(self._log.given(seq, text, user), self._batch.changes(seq), text, user)

    def record(self, context: Context, digest: bytes | None = None) -> None:
        """Move a context's events into the batch and queue them for their readers.

        ``digest`` belongs to the message among them: see `Entry`.
        """
        edited = [event for event in context.events if event["type"] == "edited"]
        for event in context.events:
            entry = to_entry(event, context.who, digest)
            count_written(context.state, entry)
            self._batch.add(entry, key_of(event) if event["type"] in _KEYED_KINDS else None)
            self._batch.note_change(event)
            log_audited(event)
            self._fanout.publish(event, entry.body)
        context.events.clear()
        if context.redacted or edited:
            self._batch.redacted |= context.redacted
            gone = {*context.redacted, *context.outdated}
            self._fanout.redact(gone, edited)
            self._reads.note_changes(gone | {event["target"] for event in edited})
            context.redacted.clear()
            context.outdated.clear()

    def try_begin(self) -> bool:
        """Whether the batch can be committed now; False while another program has locked the log."""
        return not self._batch or self._backend.try_begin()

    def commit(self) -> None:
        """Commit the batch and release its replies. After ChatdError E504 the hub must end."""
        if self._batch:
            self.committed(self._batch.commit())
        if self._remnants.due:
            self._remnants.remove()
        self._stage()
        self._release()

    def committed(self, redacted: Collection[int]) -> None:
        """Do what follows a commit to the log; ``redacted``: the seqs whose bodies it has removed."""
        if redacted:
            self._remnants.add()
            self._reads.redact(redacted)
        if self._snapshots.due:
            self._snapshots.write()

    def begin_commit(self) -> Callable[[], None]:
        """Start a commit; run the result on any thread, then call `end_commit`.

        Requests that arrive meanwhile are decided; their replies wait for the next commit.
        """
        commit = self._batch.begin()
        self._stage()
        return commit

    def end_commit(self) -> None:
        """Release held replies; the batch is durable."""
        self._batch.end()
        self._release()

    def _stage(self) -> None:
        self._reads.stage()
        for link in self._links.values():
            link.stage()

    def _release(self) -> None:
        for link in self._links.values():
            link.release()
        self._reads.release()
