"""Requests of moderators about messages that the filter holds."""

from __future__ import annotations

from typing import Literal

from chatd.proto.request_base import Count, ReasonText, Request, Spec


class HeldList(Request):
    """List the messages that wait for a moderator, with their texts, the oldest first."""

    spec = Spec("message.review", True, 1)
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


HeldRequest = HeldList | HeldApprove | HeldRefuse
