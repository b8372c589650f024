"""Permissions of roles, by default and from the settings."""

from __future__ import annotations

import pytest

from chatd.errors import ChatdError
from chatd.policy.roles import DEFAULT_ROLES, PERMISSIONS, Roles
from chatd.proto.requests import REQUESTS

GUEST = {"message.read", "message.send", "message.delete", "room.list", "room.join", "presence.read"}
GUEST |= {"search", "away.set"}
USER = GUEST | {"room.create", "room.topic", "room.closed", "dm.send", "role.show", "filter.override"}
USER |= {"guest.sponsor", "device.add"}


@pytest.mark.parametrize(("role", "may"), [("guest", GUEST), ("user", USER), ("admin", set(PERMISSIONS))])
def test_the_default_roles_have_their_permissions(role: str, may: set[str]) -> None:
    roles = Roles(DEFAULT_ROLES)
    assert roles.permissions(role) == may
    for permission in PERMISSIONS:
        assert roles.allows(role, permission) == (permission in may)


def test_unknown_roles_and_permissions_allow_nothing() -> None:
    roles = Roles(DEFAULT_ROLES)
    assert not roles.allows("root", "message.read")
    assert roles.permissions("root") == frozenset()
    assert not roles.allows("admin", "no.such")
    assert roles.names == {"admin", "user", "guest"}


def test_a_custom_role_has_its_permissions() -> None:
    roles = Roles({"deputy": ["moderate.kick"], "boss": ["message.read", "*"], "none": []})
    assert roles.permissions("deputy") == {"moderate.kick"}
    assert roles.permissions("boss") == set(PERMISSIONS)
    assert roles.permissions("none") == frozenset()


def test_unknown_permissions_are_reported() -> None:
    with pytest.raises(ChatdError, match="E600") as caught:
        Roles({"deputy": ["moderate.kik", "message.read"]})
    assert "deputy" in caught.value.reason
    assert "moderate.kik" in caught.value.reason


def test_the_permission_of_every_request_exists() -> None:
    asked = {model.spec.permission for model in REQUESTS.values()}
    # "operate" is reserved for the server's own socket and cannot be granted to a role.
    assert asked - {None, "operate"} <= set(PERMISSIONS)
    assert "operate" not in PERMISSIONS
