"""Requests about hooks: bots through which other programs post to a room."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chatd.proto.request_base import NameText, ReasonText, Request, RequestKind, RoomText, Sha256Text, Spec
from chatd.proto.request_bounds import HookKind

HookName = Annotated[NameText, Field(min_length=1)]


class HookCreate(Request):
    """Create a bot `name` that posts to `room`. `secret_hash`: the SHA-256 of its token, in hex.

    For the kind "github" there is none: `secret` in the result is the secret that signs each post.
    """

    spec = Spec("hook.manage", False, 1)
    type: Literal["hook_create"]
    room: RoomText
    name: HookName
    kind: HookKind
    secret_hash: Sha256Text | None = None


class HookList(Request):
    """List the hooks of the rooms that the asker may know of."""

    spec = Spec("hook.manage", True, 1, RequestKind.STATE)
    type: Literal["hook_list"]
    after: NameText = ""


class HookRotate(Request):
    """Give a hook another token or secret; the former one ends at once. See `hook_create`."""

    spec = Spec("hook.manage", False, 1, urgent=True)
    type: Literal["hook_rotate"]
    name: HookName
    secret_hash: Sha256Text | None = None


class HookRemove(Request):
    """Remove a hook: it posts no more. What it has posted stays."""

    spec = Spec("hook.manage", False, 1, urgent=True)
    type: Literal["hook_remove"]
    name: HookName
    reason: ReasonText = ""


HookRequest = HookCreate | HookList | HookRotate | HookRemove
