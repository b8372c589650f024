"""Requests about asks: strangers at the server's door, whom an admin lets in or not."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chatd.proto.guest_requests import GuestSeconds
from chatd.proto.invite_requests import INVITE_ROOMS
from chatd.proto.request_base import NameText, Request, RoomText, Sha256Text, Spec

# Of the asker's key.
AskId = Sha256Text


class Asks(Request):
    """List who asks to be let in. `after` is an `ask`. Needs the permission `user.list`, too."""

    spec = Spec("invite.create", True, 1)
    type: Literal["asks"]
    after: Annotated[str, Field(max_length=64)] = ""


class AskApprove(Request):
    """Let in whoever asks as `ask`, under the name asked for or as `user`. As `invite_create`, for that key.

    Compare the words with the asker first: they show that nobody sits between the two.
    """

    spec = Spec("invite.create", False, 1)
    type: Literal["ask_approve"]
    ask: AskId
    user: NameText | None = None
    role: NameText | None = None
    device: NameText | None = None
    rooms: Annotated[list[RoomText], Field(min_length=1, max_length=INVITE_ROOMS)] | None = None
    guest_seconds: GuestSeconds | None = None
    sponsor: NameText | None = None


class AskDeny(Request):
    """Send an asker away."""

    spec = Spec("invite.create", False, 1)
    type: Literal["ask_deny"]
    ask: AskId


AskRequest = Asks | AskApprove | AskDeny
