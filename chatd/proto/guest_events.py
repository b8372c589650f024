"""Events about guests."""

from typing import Literal

from chatd.proto.event_base import Logged


class GuestReminded(Logged):
    """The time of `guest` ends at `ends` (ms since 1970). Sent to `user`, the sponsor, and to nobody else."""

    type: Literal["guest_reminded"]
    user: str
    guest: str
    ends: int
