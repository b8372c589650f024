"""Acts on a real server: their lines in audit.log, and `chatctl audit`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    return shared_daemon


def listed(daemon: Daemon, *options: str) -> list[dict[str, Any]]:
    """The acts that `chatctl audit --json` prints."""
    return [json.loads(line) for line in daemon.chatctl("audit", "--json", *options).stdout.splitlines()]


def test_acts_are_listed_with_author_target_and_reason(daemon: Daemon) -> None:
    daemon.chatctl("mute", "bob", "--reason", "spam")
    daemon.chatctl("unmute", "bob", "--reason", "sorry")
    daemon.chatctl("role", "set", "bob", "guest", "--reason", "too loud")
    daemon.chatctl("announce", "a secret")
    acts = listed(daemon, "--actor", "alice")[-4:]
    assert [(act["type"], act.get("user"), act.get("reason")) for act in acts] == [
        ("muted", "bob", "spam"),
        ("unmuted", "bob", "sorry"),
        ("role_set", "bob", "too loud"),
        ("announcement", None, None),
    ]
    assert "secret" not in str(acts)
    table = daemon.chatctl("audit", "--since", "2h", "--target", "bob", "--limit", "2")
    heading, first, second = table.stdout.splitlines()
    assert heading.split() == ["at", "by", "event", "target", "details"]
    assert first.endswith("sorry") and second.endswith("role=guest: too loud")
    assert "there are more" in table.stderr
    assert not listed(daemon, "--until", "2020-01-01")


def test_others_and_wrong_options_are_refused(daemon: Daemon) -> None:
    refused = daemon.run("chatctl", "--identity", str(daemon.identity("bob")), "audit", check=False)
    assert refused.returncode == 4 and "audit.read" in refused.stderr
    unknown = daemon.chatctl("audit", "--type", "nonsense", check=False)
    assert unknown.returncode == 1 and "role_set" in unknown.stderr
