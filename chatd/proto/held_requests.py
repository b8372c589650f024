"""Requests about messages that the filter holds, and about the filter itself."""

from __future__ import annotations

from typing import Literal

from chatd.proto.request_base import (
    Count,
    NameText,
    ReasonText,
    Request,
    RequestKind,
    RoomText,
    Spec,
    TextRequest,
)


class HeldList(Request):
    """List the messages that wait for a moderator, with their texts, the oldest first."""

    spec = Spec("message.review", True, 1, RequestKind.STATE)
    type: Literal["held_list"]
    after: Count = 0


class HeldApprove(Request):
    """Publish the message held as `seq`, if its writer could send it now; otherwise it is refused.

    `published` in the result is its new seq, or null with the reason in `refused`.
    """

    spec = Spec("message.review", False, 1)
    type: Literal["held_approve"]
    seq: Count


class HeldRefuse(Request):
    """Refuse the message held as `seq`; its text is removed. Its writer reads the reason."""

    spec = Spec("message.review", False, 1)
    type: Literal["held_refuse"]
    seq: Count
    reason: ReasonText = ""


class HeldWithdraw(Request):
    """Take back one's own message held as `seq`, before a moderator decides; its text is removed."""

    spec = Spec("message.send", False, 1)
    type: Literal["held_withdraw"]
    seq: Count


class FilterTest(TextRequest):
    """Judge the lines of `body` by the filter in force, as if a user of `role` wrote each in `place`.

    Without `role` it is the default role. `place` is a room's name, which need not exist; without it no rule
    of a room holds.
    """

    spec = Spec("message.review", True, 1, RequestKind.STATE)
    type: Literal["filter_test"]
    role: NameText = ""
    place: RoomText = ""


HeldRequest = HeldList | HeldApprove | HeldRefuse | HeldWithdraw | FilterTest
