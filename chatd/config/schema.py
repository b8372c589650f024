"""config/settings.json as a whole, and the rules across its sections."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import Field, model_validator

from chatd.config.cluster_section import ClusterSection
from chatd.config.gateway_section import GatewaySection
from chatd.config.sections import (
    FilterSection,
    LimitsSection,
    LoggingSection,
    MonitorSection,
    RetentionSection,
    RolesSection,
    RoomSection,
    Section,
    SecuritySection,
    ServerSection,
    ShippingSection,
    WorkersSection,
)
from chatd.policy.roles import BOT, DEFAULT_ROLES
from chatd.proto.alpn import is_loopback

LOBBY = "#lobby"


def _lobby() -> list[RoomSection]:
    return [RoomSection(name=LOBBY, topic="Welcome", guests=True, autojoin=True)]


class Settings(Section):
    """The whole of config/settings.json."""

    server: ServerSection = ServerSection()
    security: SecuritySection = SecuritySection()
    logging: LoggingSection = LoggingSection()
    roles: RolesSection = RolesSection()
    limits: LimitsSection = LimitsSection()
    filter: FilterSection = FilterSection()
    rooms: list[RoomSection] = Field(default_factory=_lobby, max_length=1000)
    """Rooms that the server creates; must include #lobby."""
    workers: WorkersSection = WorkersSection()
    monitor: MonitorSection = MonitorSection()
    gateway: GatewaySection = GatewaySection()
    shipping: ShippingSection = ShippingSection()
    retention: RetentionSection = RetentionSection()
    cluster: ClusterSection = ClusterSection()

    @model_validator(mode="after")
    def _sections_agree(self) -> Settings:
        problems = disagreements(self)
        if problems:
            raise ValueError("\n".join(f"{problem.key}: {problem.text}" for problem in problems))
        return self


class Disagreement(NamedTuple):
    """A key whose value conflicts with another; ``between`` are the sections that must be valid to tell."""

    key: str
    text: str
    between: frozenset[str]


def disagreements(settings: Settings) -> list[Disagreement]:
    """Find conflicts between sections that are each valid."""
    return [*_unknown_roles(settings), *_wrong_rooms(settings), *_open_envelope(settings)]


def _unknown_roles(settings: Settings) -> list[Disagreement]:
    known = settings.roles.permissions
    given = ("roles.default", *(f"roles.assigned.{user}" for user in settings.roles.assigned))
    used = {
        "roles.default": [settings.roles.default],
        "filter.exempt_roles": settings.filter.exempt_roles,
        "filter.rules": [role for rule in settings.filter.rules for role in rule.roles],
        # The default names the built-in roles, and must be valid in a file that defines others.
        "limits.per_role": [role for role in settings.limits.per_role if role not in DEFAULT_ROLES],
    } | {f"roles.assigned.{user}": [role] for user, role in settings.roles.assigned.items()}
    return [
        Disagreement(
            key,
            f"there is no role {role!r}; roles.permissions has: {', '.join(known)}",
            frozenset(("roles", key.partition(".")[0])),
        )
        for key, roles in used.items()
        for role in roles
        # Only hooks have the role "bot".
        if role not in known and (role != BOT or key in given)
    ]


def _wrong_rooms(settings: Settings) -> list[Disagreement]:
    names = [room.name for room in settings.rooms]
    wrong = [f"{name} is listed twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if LOBBY not in names:
        wrong.append(f"must include {LOBBY}")
    return [Disagreement("rooms", text, frozenset(("rooms",))) for text in wrong]


def _open_envelope(settings: Settings) -> list[Disagreement]:
    if settings.security.encryption_enabled or is_loopback(settings.server.host):
        return []
    text = "must be true unless server.host is a loopback address"
    return [Disagreement("security.encryption_enabled", text, frozenset(("security", "server")))]


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of the settings file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
