"""Advice fits the role of its reader: no role is told to do what it may not do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chatctl.model.commands import COMMANDS
from chatd.codes import CODES
from chatd.policy.roles import DEFAULT_ROLES, PERMISSIONS
from chatd.proto.advice import NEEDS, fitting, needed
from chatd.proto.requests import REQUESTS
from tests.unit.test_advice import ALL, TYPED

ROLES = {role: frozenset(DEFAULT_ROLES[role]) for role in ("guest", "user")} | {
    "admin": frozenset(PERMISSIONS)
}
# What refusals of requests may tell a user to do.
SERVED = sorted(
    {fix for fix, place in ALL.items() if place.startswith("chatd/hub/")}
    | {code.fix for name, code in CODES.items() if name[1] in "34"}
)
# The request of a chatctl command that is not named like it.
REQUEST_OF = {
    "guest list": "guest_list",
    "held list": "held_list",
    "hook list": "hook_list",
    "role set": "role_set",
    "hook remove": "hook_remove",
    "hook rotate": "hook_rotate",
    "invite": "invite_create",
    "room owner": "owner",
    "room unarchive": "room_archive",
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fix", SERVED)
def test_a_role_is_told_only_what_it_may_do(fix: str, role: str) -> None:
    told = fitting(fix, ROLES[role])
    assert told.startswith("ask an admin to ") or needed(told) <= ROLES[role]
    assert not told.startswith((",", " ", "or "))
    for name in TYPED.findall(told):
        permission = COMMANDS[name].permission if name in COMMANDS else None
        assert told.startswith("ask an admin to ") or permission in (None, *ROLES[role]), told


@pytest.mark.parametrize("words", [words for words in NEEDS if words.startswith("/")])
def test_the_permission_of_a_command_is_that_of_the_chat(words: str) -> None:
    assert COMMANDS[words.strip("/ ")].permission == NEEDS[words]


@pytest.mark.parametrize("words", [words for words in NEEDS if words.startswith("chatctl ")])
def test_the_permission_of_a_chatctl_command_is_that_of_its_request(words: str) -> None:
    name = words.removeprefix("chatctl ").strip()
    permission = REQUESTS[REQUEST_OF.get(name, name)].spec.permission
    # An owner may do it for their own room; the advice is about those of others.
    assert permission == NEEDS[words] or name == "room owner"


@pytest.mark.parametrize("fix", SERVED)
def test_the_permission_of_every_command_in_advice_is_known(fix: str) -> None:
    for command in re.findall(r"chatctl [a-z]+", fix):
        assert any(words.startswith(command) for words in NEEDS), command


def test_advice_reads_well_for_each_role() -> None:
    guest, user, admin = ROLES["guest"], ROLES["user"], ROLES["admin"]
    assert fitting(CODES["E404"].fix, guest) == "see /rooms or chatctl rooms"
    assert fitting(CODES["E404"].fix, user) == CODES["E404"].fix
    assert fitting(CODES["E405"].fix, user) == "see /who"
    assert fitting(CODES["E405"].fix, admin) == "see /who or chatctl users"
    assert fitting(CODES["E310"].fix, guest) == "reply to it"
    assert fitting(CODES["E307"].fix, user) == "ask an admin to undo it: chatctl room unarchive ROOM"
    assert fitting("", guest) == ""


def test_no_file_of_the_server_is_left_out() -> None:
    """The tests above would pass if nothing was found."""
    assert len(SERVED) > 60
    assert (Path(__file__).parents[2] / "chatd" / "hub").is_dir()
