"""The address of a node that is no member any more goes out of the settings; those of others stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatd.cli.cluster_tell import former_addresses
from chatd.config.cluster_section import ClusterSection
from chatd.config.loading import load_settings, write_settings
from chatd.config.schema import Settings
from chatd.config.sections import ServerSection
from chatd.errors import ChatdError
from chatd.nats.told_members import Members, addresses_without, store_members, take_members

MEMBERS = {"a": "10.0.0.1:5002", "b": "10.0.0.2:5002", "c": "10.0.0.3:5002"}
LEFT = {"a": "10.0.0.1:5002", "b": "10.0.0.2:5002", "d": "10.0.0.4:5002"}


def settings_with(*addresses: str, members: dict[str, str] = MEMBERS) -> Settings:
    cluster = ClusterSection(node="a", members=members)
    return Settings(server=ServerSection(addresses=list(addresses)), cluster=cluster)


def test_the_addresses_are_those_with_the_host_of_the_node() -> None:
    settings = settings_with("10.0.0.1", "10.0.0.3", "10.0.0.3:443", "10.0.0.30:5000")
    assert former_addresses(settings, "c", None) == ["10.0.0.3:5000", "10.0.0.3:443"]


def test_a_host_of_two_nodes_tells_nothing() -> None:
    members = {"a": "10.0.0.1:5002", "b": "10.0.0.3:5003", "c": "10.0.0.3:5002"}
    assert former_addresses(settings_with("10.0.0.3:5000", members=members), "c", None) == []


def test_a_named_address_must_be_one_of_the_server() -> None:
    settings = settings_with("chat.example.org", "c.example.org")
    assert former_addresses(settings, "c", "c.example.org:5000") == ["c.example.org:5000"]
    with pytest.raises(ChatdError) as refused:
        former_addresses(settings, "c", "other.example.org:5000")
    assert refused.value.code == "E404"


def test_the_addresses_left_stay_as_they_are_written() -> None:
    server = settings_with("10.0.0.1", "10.0.0.3", "[::1]:5000", "10.0.0.3:443").server
    assert addresses_without(server, ["10.0.0.3:5000"]) == ["10.0.0.1", "[::1]:5000", "10.0.0.3:443"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("certs", "config"):
        (tmp_path / folder).mkdir()
    write_settings(tmp_path, settings_with("10.0.0.1", "10.0.0.2:5000", "10.0.0.3:5000"))
    return tmp_path


def test_a_node_that_is_told_drops_the_former_address(home: Path) -> None:
    told = Members(LEFT, {}, "10.0.0.4:5000", ["10.0.0.3:5000"])
    assert take_members(home, json.dumps(told._asdict()).encode()).problem == ""
    stored = load_settings(home, {})
    assert stored.server.addresses == ["10.0.0.1", "10.0.0.2:5000", "10.0.0.4:5000"]
    assert stored.cluster.members == LEFT


def test_a_new_machine_may_have_the_address_of_the_lost_one(home: Path) -> None:
    store_members(home, Members(LEFT, {}, "10.0.0.3:5000", ["10.0.0.3:5000"]))
    assert "10.0.0.3:5000" in load_settings(home, {}).server.addresses


def test_an_earlier_version_tells_no_former_address(home: Path) -> None:
    told = {"members": LEFT, "pins": {}, "address": "10.0.0.4:5000"}
    assert take_members(home, json.dumps(told).encode()).problem == ""
    assert "10.0.0.3:5000" in load_settings(home, {}).server.addresses


@pytest.mark.parametrize("former", ["10.0.0.1", [1], 5, None, [["10.0.0.1"]]])
def test_former_addresses_of_another_kind_are_refused(home: Path, former: object) -> None:
    told = {"members": LEFT, "pins": {}, "address": "10.0.0.4:5000", "former": former}
    assert "cannot be read" in take_members(home, json.dumps(told).encode()).problem
    assert load_settings(home, {}).cluster.members == MEMBERS


def test_a_node_that_leaves_adds_no_address(home: Path) -> None:
    left = {name: route for name, route in MEMBERS.items() if name != "c"}
    taken: list[frozenset[str]] = []
    told = Members(left, {}, former=["10.0.0.3:5000"])
    assert take_members(home, json.dumps(told._asdict()).encode(), taken.append).problem == ""
    assert load_settings(home, {}).server.addresses == ["10.0.0.1", "10.0.0.2:5000"]
    assert taken == [{"a", "b"}]
    # Whoever is told twice is not changed by it.
    assert take_members(home, json.dumps(told._asdict()).encode(), taken.append).problem == ""
    assert load_settings(home, {}).cluster.members == left
