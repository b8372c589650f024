"""Requests of users about their own devices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chatd.proto.request_base import NameText, Request, Sha256Text, Spec

# The person who makes the invite redeems it, on the machine beside this one.
SHORTEST_DEVICE_INVITE = 60
LONGEST_DEVICE_INVITE = 86_400


class DeviceAdd(Request):
    """Make an invite for another device of one's own, for `seconds`; it ends an earlier one.

    `secret_hash` as for `invite_create`; the same again changes nothing. Without `device` whoever redeems
    the invite names it.
    """

    spec = Spec("device.add", True, 1)
    type: Literal["device_add"]
    secret_hash: Sha256Text
    seconds: Annotated[int, Field(ge=SHORTEST_DEVICE_INVITE, le=LONGEST_DEVICE_INVITE)]
    device: NameText | None = None
