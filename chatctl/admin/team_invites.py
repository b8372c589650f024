"""Invites for a whole team, from a list: all lines are judged before the first invite is made."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from chatctl.client import Client
from chatctl.connecting import room_name
from chatctl.join_line import JoinLine, new_join_line
from chatctl.model.paging import list_all
from chatd.console.progress import Progress
from chatd.console.user_list import INVITE_COLUMNS, Mistakes, NewDevice, read_list, refuse_again
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.invite_code import SECRET_BYTES, secret_hash
from chatd.proto.request_bounds import INVITES_AT_ONCE

# The server may have made the invites.
OUTCOME_UNKNOWN = ("E503", "E607", "E611")


class Team(NamedTuple):
    """Those to invite, and what is wrong with the other lines of their list."""

    wanted: list[NewDevice]
    mistakes: Mistakes


class TeamResult(NamedTuple):
    """The outcome of a list: invites made, names left out, and the error that ended it early, if any.

    ``unsure``: names and lines of invites that the server may have made, since its answer was lost.
    """

    made: list[JsonObject]
    skipped: list[str]
    error: ChatdError | None
    unsure: list[JsonObject]


@dataclass(frozen=True)
class Inviter:
    """Makes invites with a client: all share ``fields``, and their codes have ``address``."""

    client: Client
    address: str
    fields: JsonObject

    def invite(self, new: NewDevice) -> JsonObject:
        """Make an invite. Raises ChatdError."""
        line = new_join_line(self.client.identity, self.address)
        request = self._request(new, line.secret_hash)
        return self._made(new, line, self.client.request("invite_create", **self.fields | request))

    def _made(self, new: NewDevice, line: JoinLine, result: JsonObject) -> JsonObject:
        return {
            "user": new.user,
            "role": new.role,
            "device": new.device or None,
            "until": result["until"],
            "invite": result["invite"],
            "command": line.command,
            "link": line.link(self.client),
        }

    def invite_all(self, team: Team, show: Callable[[JsonObject], None], progress: Progress) -> TeamResult:
        """Invite a team; ``show`` gets each invite as soon as it is made.

        Names with an open invite are left out, and with a used one unless no device of theirs is left, as
        of a guest who has ended: the same list goes on after it was cut short.
        """
        wanted = team.wanted
        listed = list_all(self.client.request, "invite_list", "invites", "invite")
        invited = {one["user"] for one in listed if one["state"] == "open"}
        used = {one["user"] for one in listed if one["state"] == "used"} & {new.user for new in wanted}
        invited |= used and used & self._with_devices()
        skipped = [new.user for new in wanted if new.user in invited]
        wanted = [new for new in wanted if new.user not in invited]
        self._judge(wanted, team.mistakes, progress)
        made: list[JsonObject] = []
        for part in batched(wanted):
            lines = [new_join_line(self.client.identity, self.address) for _ in part]
            pairs = list(zip(part, lines, strict=True))
            try:
                results = self._ask([self._request(new, line.secret_hash) for new, line in pairs])
            except ChatdError as error:
                unsure = pairs if error.code in OUTCOME_UNKNOWN else []
                shown = [{"user": new.user, "command": line.command} for new, line in unsure]
                return TeamResult(made, skipped, error, shown)
            invites = [self._made(*pair, result) for pair, result in zip(pairs, results, strict=True)]
            made += invites
            for one in invites:
                show(one)
            progress("inviting", len(made), len(wanted))
        return TeamResult(made, skipped, None, [])

    def _ask(self, invites: list[JsonObject], *, dry_run: bool = False) -> list[JsonObject]:
        shared = {name: value for name, value in self.fields.items() if name != "rooms"}
        result = self.client.request("invite_many", invites=invites, **shared, dry_run=dry_run)
        return list(result["invites"])

    def _with_devices(self) -> set[str]:
        """Return the users who can log in with some device."""
        users = list_all(self.client.request, "users", "users", "user")
        return {one["user"] for one in users if one["devices"]}

    def _request(self, new: NewDevice, hashed: str) -> JsonObject:
        rooms = [room_name(room) for room in new.rooms] or self.fields.get("rooms")
        named = {"role": new.role, "device": new.device or None, "rooms": rooms}
        return {"user": new.user, "secret_hash": hashed} | {
            key: value for key, value in named.items() if value is not None
        }

    def _judge(self, wanted: list[NewDevice], mistakes: Mistakes, progress: Progress) -> None:
        """Refuse the list if any of its lines is wrong, or would be refused."""
        seen: dict[str, str] = {}
        done = 0
        for part in batched(wanted):
            unused = [self._request(new, secret_hash(secrets.token_bytes(SECRET_BYTES))) for new in part]
            for new, judged in zip(part, self._ask(unused, dry_run=True), strict=True):
                with mistakes.of(new.where):
                    refuse_again(new.user, new.where, seen)
                    if (refusal := judged["refusal"]) is not None:
                        raise ChatdError(**refusal)
            done += len(part)
            progress("checking", done, len(wanted))
        mistakes.refuse()


def batched(wanted: list[NewDevice]) -> Iterator[list[NewDevice]]:
    """Yield the list in the parts that one request takes."""
    for start in range(0, len(wanted), INVITES_AT_ONCE):
        yield wanted[start : start + INVITES_AT_ONCE]


def read_team(path: Path, role: str | None, device: str) -> Team:
    """Read a list: name, role, rooms and device on each line, of which only the name is required."""
    mistakes = Mistakes()
    return Team(read_list(path, role, device, INVITE_COLUMNS, mistakes), mistakes)
