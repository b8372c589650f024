"""Requests about guests: users whose time here ends by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chatd.proto.request_base import NameText, ReasonText, Request, RequestKind, Spec

# A guest's time from now on. Whoever stays longer is no guest.
SHORTEST_GUEST = 60
LONGEST_GUEST = 90 * 86_400
GuestSeconds = Annotated[int, Field(ge=SHORTEST_GUEST, le=LONGEST_GUEST)]


class GuestList(Request):
    """List the guests whom the asker sponsors, or with the permission `guest.manage` all, ended ones too."""

    spec = Spec("guest.sponsor", True, 1, RequestKind.STATE)
    type: Literal["guest_list"]
    after: NameText = ""


class GuestExtend(Request):
    """Let a guest whom the asker sponsors stay `seconds` longer; with `guest.manage` any guest."""

    spec = Spec("guest.sponsor", False, 1)
    type: Literal["guest_extend"]
    user: NameText
    seconds: GuestSeconds


class GuestEnd(Request):
    """End the time of a guest whom the asker sponsors now; with `guest.manage` that of any guest."""

    spec = Spec("guest.sponsor", False, 1, urgent=True)
    type: Literal["guest_end"]
    user: NameText
    reason: ReasonText = ""
    dry_run: bool = False


GuestRequest = GuestList | GuestExtend | GuestEnd
