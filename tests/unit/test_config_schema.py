"""The settings: defaults, bounds on every number, consistency between sections."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from chatd.config.schema import Settings, disagreements, settings_schema
from chatd.proto.alpn import is_loopback


def section(path: str, value: Any) -> dict[str, Any]:
    """Return a settings tree with one key set."""
    first, _, remainder = path.partition(".")
    return {first: section(remainder, value) if remainder else value}


def test_the_defaults_are_as_documented_and_valid() -> None:
    settings = Settings()
    assert f"{settings.server.host}:{settings.server.port}" == "0.0.0.0:5000"
    assert (settings.server.max_connections, settings.server.timeout) == (50, 30)
    assert (settings.security.rsa_key_size, settings.security.encryption_enabled) == (3072, True)
    assert (settings.logging.level, settings.logging.file) == ("INFO", "server.log")
    assert settings.filter.words == ["hack", "exploit", "drop", "delete"]
    assert settings.filter.mode == "words"
    assert (settings.limits.message_chars, settings.limits.long_text) == (500, "snippet")
    monitor = settings.monitor
    assert (monitor.sample_seconds, monitor.stats_seconds, monitor.console_seconds) == (5, 30, 10)
    assert [room.name for room in settings.rooms] == ["#lobby"]
    assert settings.rooms[0].guests
    assert Settings.model_validate(json.loads(settings.model_dump_json())) == settings


def _numbers() -> list[tuple[str, str, float]]:
    schema = settings_schema()
    bounds = []
    for name, field in schema["properties"].items():
        for key, value in (
            schema["$defs"].get(field.get("$ref", "").rpartition("/")[2], {}).get("properties", {}).items()
        ):
            if value.get("type") in ("integer", "number"):
                bounds.append((f"{name}.{key}", value["type"], value["minimum"]))
                bounds.append((f"{name}.{key}", value["type"], value["maximum"]))
    return bounds


@pytest.mark.parametrize(("path", "kind", "bound"), _numbers())
def test_every_number_has_bounds(path: str, kind: str, bound: float) -> None:
    def accepted(value: float) -> bool:
        try:
            Settings.model_validate(section(path, value if kind == "number" else int(value)))
        except ValidationError:
            return False
        return True

    assert accepted(bound)
    assert not (accepted(bound - 1) and accepted(bound + 1))
    assert not any(accepted(value) for value in (2**40, 2**63, -1, -(2**63)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("server.port", "5000"),
        ("server.port", 5000.5),
        ("server.port", True),
        ("server.timeout", None),
        ("server.host", ""),
        ("server.host", "two words"),
        ("server.host", "host:5000"),
        ("server.name", "Lab"),
        ("server.addresses", ["chat.example.org:"]),
        ("server.addresses", ["two words"]),
        ("server.addresses", ["fd00::1"]),
        ("server.addresses", ["chat.example.org:70000"]),
        ("server.addresses", ["chat.example.org:0"]),
        ("server.addresses", ["fd00::1:5000"]),
        ("server.addresses", ["a:1"] * 17),
        ("security.encryption_enabled", 1),
        ("security.rsa_key_size", 3000),
        ("logging.level", "debug"),
        ("logging.file", "../server.log"),
        ("logging.file", ".hidden"),
        ("limits.long_text", "cut"),
        ("monitor.stats_seconds", float("nan")),
        ("monitor.stats_seconds", float("inf")),
        ("filter.words", [""]),
        ("filter.words", ["\u200b"]),
        ("filter.words", ["\ufdfa" * 100]),
        ("filter.words", "hack"),
        ("roles.permissions", {}),
        ("roles.permissions", {"user": ["message.raed"]}),
        ("roles.assigned", {"Bob": "user"}),
        ("rooms", [{"name": "#lobby", "topic": "two\nlines"}]),
        ("rooms", [{"name": "#lobby", "topic": "\u202e"}]),
        ("rooms", [{}]),
        ("retention.per_room", {"war": 1}),
        ("nothing", {}),
    ],
)
def test_an_invalid_value_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(section(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("server.host", "::1"),
        ("server.host", "fe80::1%eth0"),
        ("server.host", "chat.example.org"),
        ("server.addresses", ["chat.example.org:5000", "[fd00::1]:5000", "10.0.0.1:443"]),
        ("server.addresses", ["chat.example.org", "[fd00::1]", "10.0.0.1"]),
        ("monitor.stats_seconds", 60),
        ("filter.words", ["rm -rf", "c++", "Straße"]),
        ("rooms", [{"name": "#lobby"}, {"name": "#war", "topic": "Lage: grün", "guests": True}]),
        ("retention", {"days": 30, "per_room": {"#war": 0}}),
    ],
)
def test_a_valid_value_is_accepted(path: str, value: Any) -> None:
    Settings.model_validate(section(path, value))


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"roles": {"default": "nobody"}}, "roles.default: there is no role 'nobody'"),
        ({"roles": {"assigned": {"bob": "boss"}}}, "roles.assigned.bob: there is no role 'boss'"),
        ({"filter": {"exempt_roles": ["boss"]}}, "filter.exempt_roles: there is no role 'boss'"),
        ({"limits": {"per_role": {"boss": {}}}}, "limits.per_role: there is no role 'boss'"),
        ({"roles": {"permissions": {"admin": ["*"]}}}, "roles.default: there is no role 'user'"),
        ({"rooms": []}, "rooms: must include #lobby"),
        ({"rooms": [{"name": "#lobby"}, {"name": "#lobby"}]}, "rooms: #lobby is listed twice"),
        ({"security": {"encryption_enabled": False}}, "security.encryption_enabled: must be true unless"),
    ],
)
def test_conflicting_sections_are_refused(tree: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Settings.model_validate(tree)


def test_consistent_sections_are_accepted() -> None:
    loopback = {"server": {"host": "127.0.0.1"}, "security": {"encryption_enabled": False}}
    assert not Settings.model_validate(loopback).security.encryption_enabled
    custom_roles = {
        "roles": {"permissions": {"boss": ["*"], "crew": []}, "default": "crew", "assigned": {"al": "boss"}}
    }
    assert disagreements(Settings.model_validate(custom_roles)) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_a_loopback_address_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["::", "10.0.0.1", "127.0.0.1.example.org", "localhost.example.org"])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)
    assert not is_loopback(Settings().server.host)


def test_a_role_without_rate_limits_has_those_of_a_user() -> None:
    limits = Settings().limits
    assert limits.for_role("admin").burst > limits.for_role("user").burst > limits.for_role("guest").burst
    assert limits.for_role("other") == limits.for_role("user")


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError):
        Settings().server.port = 1


@pytest.mark.parametrize("key", ["file", "directory"])
def test_a_log_path_must_be_printable(key: str) -> None:
    with pytest.raises(ValidationError, match="printable"):
        Settings.model_validate({"logging": {key: "a\u0000b.log"}})


def test_an_address_without_a_port_follows_the_port() -> None:
    addresses = ["chat.example.org", "[fd00::1]", "10.0.0.1:443"]
    server = Settings.model_validate({"server": {"port": 5001, "addresses": addresses}}).server
    assert server.client_addresses == ["chat.example.org:5001", "[fd00::1]:5001", "10.0.0.1:443"]
    any_port = Settings.model_validate({"server": {"port": 0, "addresses": addresses}}).server
    assert any_port.client_addresses == ["10.0.0.1:443"]
