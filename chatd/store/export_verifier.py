"""Verify an export with nothing but its lines. Who signed it is for `chatd.pki.record_key` to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from chatd.proto.request_bounds import EDITS_LIMIT
from chatd.proto.signatures import Signature, SignedHead
from chatd.store.branches import first_branch_id
from chatd.store.chain import BadChain, genesis
from chatd.store.entry import Point
from chatd.store.export_format import (
    SCHEMA,
    SIGNED_SCHEMA,
    Event,
    Header,
    RedactedEvent,
    ShownEvent,
    parse_event,
    strict_object,
)
from chatd.store.kept_heads import expected_by
from chatd.store.message_changes import WRITTEN_KINDS
from chatd.store.redactions import ORDERS, covers

# Entries that one event other than `expired` may redact: a message and its edits.
_LISTED = EDITS_LIMIT + 1

ExportProgress = Callable[[int, int], None]  # number of events done, of how many


class ExportReport(NamedTuple):
    """``first`` and ``head`` are seqs; ``shown``, ``erased`` and ``withheld`` count events.

    ``later`` counts those of ``erased`` that an event after the end redacts, so that the file does not prove
    it. ``signature`` is that of ``signed``, the first line; None in an export that was not signed.
    """

    ok: bool
    first: int
    head: int
    shown: int
    erased: int
    withheld: int
    later: int
    bad_line: int | None
    reason: str
    header: dict[str, Any]
    signature: Signature | None = None
    signed: bytes = b""


class _BadExportError(Exception):
    pass


class _Removed(NamedTuple):
    """The events that one event claims to have redacted: a room, the first and the last seq, how many.

    ``seqs``: all of them, if there are no more than one event other than `expired` can redact.
    """

    room: str | None
    first: int
    last: int
    events: int
    seqs: tuple[int, ...] = ()


class _Verification:
    """What has been verified of an export after its first line."""

    def __init__(self, line: dict[str, Any], heads: Sequence[SignedHead]) -> None:
        if line.get("type") != "export" or line.get("schema") not in (SCHEMA, SIGNED_SCHEMA):
            raise _BadExportError("this is not an export, or it is from a newer chatd")
        self.header = Header.model_validate(line)
        log = bytes.fromhex(self.header.log)
        self.point = self.header.start.point
        if self.point.seq == 0 and self.point != genesis(log):
            raise _BadExportError("the first event does not begin the chain of this log")
        first_branch = self.header.lineage[0]
        if (first_branch.id, first_branch.began) != (first_branch_id(log), 0):
            raise _BadExportError("the lineage is not of this log")
        choice = self.header.choice
        if choice.since is None and choice.until is None and self.point.seq:
            raise _BadExportError("the export of all times does not begin with event 1")
        self.counts = Counter(shown=0, erased=0, withheld=0, later=0)
        self.signature: Signature | None = None
        self._last: Event | None = None
        self._expected = expected_by(heads, log, self.header.lineage)
        self._meet()
        # Events whose redaction has not been met yet, by the seq of the event that orders it.
        self._removed: dict[int, _Removed] = {}

    def follow(self, line: dict[str, Any]) -> None:
        """Verify the next event, or the signature's form."""
        if self.signature is not None:
            raise _BadExportError("there is something after the signature")
        if "type" in line and self.header.schema_number == SIGNED_SCHEMA:
            self.signature = Signature.model_validate(line)
            return
        seq = self.point.seq + 1
        if line.get("seq") != seq:
            raise _BadExportError(f"event {seq} is missing")
        event = parse_event(line)
        chain_hash = event.chain_hash(self.point.chain_hash)
        if chain_hash.hex() != event.chain:
            raise _BadExportError(f"event {seq} does not fit the chain")
        if self._last is None and not self._within(event):
            raise _BadExportError("the first event is not of the requested time")
        self._judge_body(event)
        self._judge_order(event)
        self.point = Point(seq, chain_hash)
        self._meet()
        self._last = event

    def finish(self) -> None:
        """Verify that nothing is missing at the end."""
        header = self.header
        if self.point != header.head.point:
            raise _BadExportError("the export ends before the head that its first line names")
        if header.schema_number == SIGNED_SCHEMA and self.signature is None:
            raise _BadExportError("the signature is missing")
        if self._expected:
            raise _BadExportError(f"event {max(self._expected)}, which a kept head names, is not in the file")
        if self._last is not None and not self._within(self._last):
            raise _BadExportError("the last event is not of the requested time")
        self.counts["later"] = sum(removed.events for removed in self._removed.values())
        if self._removed and header.choice.until is None:
            raise _BadExportError(f"event {min(self._removed)}, which redacts others, is missing")

    def _meet(self) -> None:
        seq, chain_hash = self.point
        if self._expected.pop(seq, chain_hash) != chain_hash:
            raise _BadExportError(f"event {seq} is not the one that a kept head names")

    def _within(self, event: Event) -> bool:
        choice = self.header.choice
        return (choice.since is None or event.at >= choice.since) and (
            choice.until is None or event.at < choice.until
        )

    def _requested(self, event: Event) -> bool:
        return self.header.choice.room in (None, event.room)

    def _judge_body(self, event: Event) -> None:
        seq = event.seq
        if isinstance(event, ShownEvent):
            self.counts["shown"] += 1
            if not self._requested(event):
                raise _BadExportError(f"event {seq} is of a room that was not requested, but has its text")
            if not event.fits():
                raise _BadExportError(f"the body of event {seq} was changed")
            if not event.agrees():
                raise _BadExportError(f"the body of event {seq} is of another event")
        elif isinstance(event, RedactedEvent):
            self.counts["erased"] += 1
            self._note(event)
        else:
            self.counts["withheld"] += 1
            if self._requested(event):
                raise _BadExportError(f"the text of event {seq} is missing")

    def _note(self, event: RedactedEvent) -> None:
        seq, by_seq = event.seq, event.erased_by
        removed = self._removed.get(by_seq, _Removed(event.room, seq, seq, 0))
        if event.kind not in WRITTEN_KINDS or by_seq <= seq or removed.room != event.room:
            raise _BadExportError(
                f"the text of event {seq} is missing, and event {by_seq} does not redact it"
            )
        events = removed.events + 1
        seqs = (*removed.seqs, seq) if events <= _LISTED else ()
        self._removed[by_seq] = removed._replace(last=seq, events=events, seqs=seqs)

    def _judge_order(self, event: Event) -> None:
        """Verify that an event redacts what others say it does."""
        removed = self._removed.pop(event.seq, None)
        if removed is None:
            return
        if isinstance(event, ShownEvent):
            places = removed.seqs or (removed.first, removed.last)
            if not removed.seqs and event.kind != "expired":
                raise _not_redacted(removed.first, event.seq)
            covered = all(covers(event.kind, event.room, event.body, seq, removed.room) for seq in places)
        else:
            covered = event.kind in ORDERS and event.room == removed.room is not None
        if not covered:
            raise _not_redacted(removed.first, event.seq)


def _not_redacted(seq: int, by_seq: int) -> _BadExportError:
    return _BadExportError(f"the text of event {seq} is missing, and event {by_seq} does not redact it")


def check_export(
    lines: Iterable[bytes], progress: ExportProgress, heads: Sequence[SignedHead] = ()
) -> ExportReport:
    """Verify an export using nothing but its lines. Never raises because of their content.

    It must contain all ``heads``. Neither their signatures nor its own are checked here, only their form.
    """
    signed = b""
    verification: _Verification | None = None
    header: dict[str, Any] = {}
    number, reason = 0, ""
    try:
        for text in lines:
            number += 1
            line = strict_object(text)
            if verification is None:
                header, signed = line, text.removesuffix(b"\n")
                verification = _Verification(line, heads)
                continue
            verification.follow(line)
            start = verification.header.start.seq
            progress(verification.point.seq - start, verification.header.head.seq - start)
        number += 1
        if verification is None:
            raise _BadExportError("the file is empty")
        verification.finish()
    except (_BadExportError, BadChain) as error:
        reason = str(error)
    except ValidationError as error:
        reason = f"this is not a line of an export: {_fault(error)}"
    except (ValueError, RecursionError):
        reason = "this is not a line of an export"
    bad_line = number if reason else None
    if verification is None:
        return ExportReport(False, 1, 0, 0, 0, 0, 0, bad_line, reason, header)
    return ExportReport(
        not reason,
        verification.header.start.seq + 1,
        verification.point.seq,
        bad_line=bad_line,
        reason=reason,
        header=header,
        signature=verification.signature,
        signed=signed,
        **verification.counts,
    )


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        return "a field is unknown"  # its name is whatever the file's author likes
    name = ".".join(map(str, first["loc"]))
    return f"{name} is missing" if first["type"] == "missing" else f"{name} is not as it must be"
