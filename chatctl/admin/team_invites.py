"""Invites for a whole team, from a list: all lines are judged before the first invite is made."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from chatctl.client import Client
from chatctl.connecting import room_name
from chatctl.join_line import new_join_line
from chatctl.model.paging import list_all
from chatd.console.progress import Progress
from chatd.console.user_list import INVITE_COLUMNS, Mistakes, NewDevice, read_list
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.invite_code import SECRET_BYTES, secret_hash


class TeamResult(NamedTuple):
    """The outcome of a list: invites made, names left out, and the error that ended it early, if any."""

    made: list[JsonObject]
    skipped: list[str]
    error: ChatdError | None


@dataclass(frozen=True)
class Inviter:
    """Makes invites with a client: all share ``fields``, and their codes have ``address``."""

    client: Client
    address: str
    fields: JsonObject

    def invite(self, new: NewDevice) -> JsonObject:
        """Make an invite. Raises ChatdError."""
        line = new_join_line(self.client.identity, self.address)
        result = self.client.request("invite_create", **self._request(new, line.secret_hash))
        return {
            "user": new.user,
            "role": new.role,
            "device": new.device or None,
            "until": result["until"],
            "invite": result["invite"],
            "command": line.command,
        }

    def invite_all(
        self, wanted: list[NewDevice], show: Callable[[JsonObject], None], progress: Progress
    ) -> TeamResult:
        """Invite a team; ``show`` gets each invite as soon as it is made.

        Names with an open invite are left out, and with a used one unless no device of theirs is left, as
        of a guest who has ended: the same list goes on after it was cut short.
        """
        listed = list_all(self.client.request, "invite_list", "invites", "invite")
        invited = {one["user"] for one in listed if one["state"] == "open"}
        used = {one["user"] for one in listed if one["state"] == "used"} & {new.user for new in wanted}
        invited |= used and used & self._with_devices()
        skipped = [new.user for new in wanted if new.user in invited]
        wanted = [new for new in wanted if new.user not in invited]
        self._judge(wanted, progress)
        made: list[JsonObject] = []
        for new in wanted:
            try:
                made.append(self.invite(new))
            except ChatdError as error:
                return TeamResult(made, skipped, error)
            show(made[-1])
            progress("inviting", len(made), len(wanted))
        return TeamResult(made, skipped, None)

    def _with_devices(self) -> set[str]:
        """Return the users who can log in with some device."""
        users = list_all(self.client.request, "users", "users", "user")
        return {one["user"] for one in users if one["devices"]}

    def _request(self, new: NewDevice, hashed: str) -> JsonObject:
        rooms = [room_name(room) for room in new.rooms] or self.fields.get("rooms")
        named = {"role": new.role, "device": new.device or None, "rooms": rooms}
        chosen = {key: value for key, value in named.items() if value is not None}
        return {"user": new.user, "secret_hash": hashed, **self.fields, **chosen}

    def _judge(self, wanted: Iterable[NewDevice], progress: Progress) -> None:
        """Refuse the list if any of its lines would be refused."""
        mistakes = Mistakes()
        seen: dict[str, str] = {}
        wanted = list(wanted)
        for number, new in enumerate(wanted, 1):
            with mistakes.of(new.where):
                if new.user in seen:
                    raise ChatdError("E406", f"{new.user} is also in {seen[new.user]}")
                seen[new.user] = new.where
                unused = secret_hash(secrets.token_bytes(SECRET_BYTES))
                self.client.request("invite_create", **self._request(new, unused), dry_run=True)
            progress("checking", number, len(wanted))
        mistakes.refuse()


def read_team(path: Path, role: str | None, device: str) -> list[NewDevice]:
    """Read a list: name, role, rooms and device on each line, of which only the name is required."""
    return read_list(path, role, device, INVITE_COLUMNS)
