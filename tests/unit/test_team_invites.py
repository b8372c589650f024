"""Invites for a team: a list in bounded time, cut short at any place, and as QR codes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import segno
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.admin.team_invites import Inviter, Team, read_team
from chatctl.client import Client
from chatd.config.schema import Settings
from chatd.console import qr_code
from chatd.errors import ChatdError
from chatd.hub.state.invite_book import OPEN_LIMIT
from chatd.pki.authority import Authority
from chatd.proto.invite_code import InviteCode, given_invite, looks_like_invite, parse_code, secret_hash
from chatd.proto.request_bounds import INVITES_AT_ONCE
from tests.support.hubworld import World


class _Server:
    """Answers the requests of a client from a state; ``cut_at``: fails at so many changes,
    with ``answer_lost`` after it has made them."""

    def __init__(self) -> None:
        self.world = World(Settings())
        self.world.create_configured_rooms()
        self.world.add_user("alice", "admin")
        ca = Authority.create("lab", now=datetime.now(UTC)).certificate.public_bytes(Encoding.PEM)
        self.identity = SimpleNamespace(ca_pem=ca.decode())
        self.welcome = None
        self.cut_at = -1
        self.answer_lost = False

    def request(self, kind: str, **fields: Any) -> Any:
        given = {name: value for name, value in fields.items() if value is not None}
        changes = kind == "invite_many" and not fields.get("dry_run")
        self.cut_at -= changes
        if self.cut_at == 0 and changes:
            if self.answer_lost:
                self.world.ask("alice", kind, **given)
            raise ChatdError("E503")
        return self.world.ask("alice", kind, **given)

    def inviter(self) -> Inviter:
        return Inviter(cast(Client, self), "192.0.2.1:5000", {"seconds": 3600})


def team(folder: Path, text: str) -> Team:
    path = folder / "names.csv"
    path.write_text(text)
    return read_team(path, None, "")


def test_a_thousand_names_cut_short_are_all_invited_once(tmp_path: Path) -> None:
    server = _Server()
    shown: list[Any] = []
    wanted = team(tmp_path, "".join(f"n{number}\n" for number in range(OPEN_LIMIT)))
    server.cut_at = 15
    steps: list[tuple[str, int, int]] = []
    first = server.inviter().invite_all(wanted, shown.append, lambda *step: steps.append(step))
    assert first.error is not None and len(first.made) == len(shown) == 14 * INVITES_AT_ONCE
    assert len(first.unsure) == INVITES_AT_ONCE
    assert ("checking", OPEN_LIMIT, OPEN_LIMIT) in steps
    second = server.inviter().invite_all(wanted, shown.append, lambda *_: None)
    assert second.error is None and len(second.skipped) == 14 * INVITES_AT_ONCE
    assert sorted(one["user"] for one in shown) == sorted(new.user for new in wanted.wanted)
    assert len({one["command"] for one in shown}) == OPEN_LIMIT


def test_the_lines_of_a_part_whose_answer_was_lost_are_not_lost(tmp_path: Path) -> None:
    server = _Server()
    server.cut_at, server.answer_lost = 2, True
    wanted = team(tmp_path, "".join(f"n{number}\n" for number in range(INVITES_AT_ONCE + 3)))
    first = server.inviter().invite_all(wanted, lambda _: None, lambda *_: None)
    assert [one["user"] for one in first.unsure] == ["n50", "n51", "n52"]
    book = server.world.state.invites.by_hash
    codes = [parse_code(one["command"].removeprefix("chat join ")) for one in first.unsure]
    assert [book[secret_hash(code.secret)].user for code in codes] == ["n50", "n51", "n52"]


def test_rooms_and_roles_are_of_each_line_and_all_lines_are_judged_first(tmp_path: Path) -> None:
    server = _Server()
    server.world.ask("alice", "create", room="#legal")
    wrong = team(tmp_path, "a,user,legal\nb,user,nought\nc,nil\n")
    head = server.world.state.head
    with pytest.raises(ChatdError) as caught:
        server.inviter().invite_all(wrong, lambda _: None, lambda *_: None)
    assert "2 lines are wrong" in caught.value.reason
    assert server.world.state.head == head
    both = team(tmp_path, "a,user,nought\nB\nc\nc\nd,nil\n")
    with pytest.raises(ChatdError) as caught:
        server.inviter().invite_all(both, lambda _: None, lambda *_: None)
    found = re.findall(r"line (\d): (\S+)", caught.value.reason)
    assert found == [("1", "there"), ("2", "the"), ("4", "c"), ("5", "there")]
    assert "c is also in line 3" in caught.value.reason
    good = team(tmp_path, 'a,user,legal lobby\nb,guest,"#lobby,"\nname2\n')
    server.inviter().invite_all(good, lambda _: None, lambda *_: None)
    rooms = {one.user: (one.role, one.rooms) for one in server.world.state.invites.by_hash.values()}
    assert rooms == {"a": ("user", ["#legal", "#lobby"]), "b": ("guest", ["#lobby"]), "name2": (None, [])}


@pytest.mark.parametrize("before", ["", "chat join ", " chat  join\n"])
def test_a_pasted_invite_is_found_in_what_stands_around_it(before: str) -> None:
    code = str(InviteCode("192.0.2.1:5000", b"s" * 16, b"a" * 16))
    assert given_invite(f"{before}{code[:30]}\n{code[30:]}") == code
    for text in (before + code, f"https://192.0.2.1:5443/#{code.partition('/')[2]}", code.partition("/")[2]):
        assert looks_like_invite(text)
    assert not looks_like_invite("/home/bob/identity.pem")


def test_a_qr_code_has_the_modules_of_its_text() -> None:
    text = "chat join 192.0.2.7:5000/1XKGEV-K9HJPE"
    lines = qr_code.qr_lines(text)
    halves = {"\u2588": (0, 0), "\u2580": (0, 1), "\u2584": (1, 0), " ": (1, 1)}
    rows = [[halves[char][half] for char in line] for line in lines for half in (0, 1)]
    expected = [[int(dark) for dark in row] for row in segno.make_qr(text, error="l").matrix_iter(border=4)]
    assert rows[: len(expected)] == expected
    assert len({len(line) for line in lines}) == 1


def test_a_user_whose_devices_are_all_gone_is_invited_again(tmp_path: Path) -> None:
    server = _Server()
    wanted = team(tmp_path, "bob\ncarol\n")
    assert not server.inviter().invite_all(wanted, lambda _: None, lambda *_: None).skipped
    for invite in server.world.state.invites.by_hash.values():
        invite.key = "0b" * 32
    for name in ("bob", "carol"):
        server.world.add_user(name)
    server.world.ask("alice", "revoke", user="carol", device="laptop")
    again = server.inviter().invite_all(wanted, lambda _: None, lambda *_: None)
    assert again.skipped == ["bob"]
    assert [one["user"] for one in again.made] == ["carol"]
