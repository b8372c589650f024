"""The sections of config/settings.json: every key with its bounds, default and meaning.

The strings below the keys are the descriptions in the JSON Schema (``chatd config schema``). A test compares
docs/configuration.md with the keys, bounds and defaults.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from chatd.errors import ChatdError
from chatd.policy.filter import WORD_CHARS, normalise
from chatd.policy.long_texts import LINE_CHARS_LIMIT, SNIPPET_BYTES, LongText
from chatd.policy.roles import DEFAULT_ROLES, EVERYTHING, PERMISSIONS
from chatd.proto.request_bounds import Mode
from chatd.proto.text import NAME, check_room, host_port_fault, is_host_port, visible

_HOST = r"[0-9A-Za-z._-]+|[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?"


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("must be 1 to 32 of a-z 0-9 . _ -, starting and ending with a letter or digit")
    return text


def _room(text: str) -> str:
    try:
        return check_room(text)
    except ChatdError:
        raise ValueError('must be "#" and a name of a-z 0-9 . _ -') from None


def _permission(text: str) -> str:
    if text != EVERYTHING and text not in PERMISSIONS:
        raise ValueError(f'must be "*" or one of: {", ".join(PERMISSIONS)}')
    return text


def _path_text(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must contain printable characters only")
    return text


def _file_name(text: str) -> str:
    _path_text(text)
    if "/" in text or text.startswith("."):
        raise ValueError("must be a file name without a folder")
    return text


def _word(text: str) -> str:
    # Normalising can make a text 18 times as long.
    if not 1 <= len(normalise(text)) <= WORD_CHARS:
        raise ValueError(f"must be 1 to {WORD_CHARS} visible characters")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(_HOST, text):
        raise ValueError("must be an IP address or a host name")
    return text


def _host_port(text: str) -> str:
    if fault := host_port_fault(text):
        raise ValueError(f"must {fault}")
    return text


def _client_address(text: str) -> str:
    # With a port appended, a host alone is as well-formed as it can be.
    if not (is_host_port(text) or is_host_port(f"{text}:1")):
        raise ValueError("must be HOST or HOST:PORT, with an IPv6 address in [ ]")
    return text


def _topic(text: str) -> str:
    if visible(text, newlines=False) != text:
        raise ValueError("must be one line of visible characters")
    return text


def _listen(text: str) -> str:
    return _host_port(text) if text else text


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"must be an address or a network such as 10.1.0.0/16: {error}") from None


Name = Annotated[str, AfterValidator(_name)]
RoomName = Annotated[str, AfterValidator(_room)]
Permission = Annotated[str, AfterValidator(_permission)]
FileName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_file_name)]
Word = Annotated[str, Field(min_length=1, max_length=WORD_CHARS), AfterValidator(_word)]
Host = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_host)]
HostPort = Annotated[str, Field(min_length=1, max_length=260), AfterValidator(_host_port)]
ClientAddress = Annotated[str, Field(min_length=1, max_length=260), AfterValidator(_client_address)]
TopicText = Annotated[str, Field(max_length=256), AfterValidator(_topic)]
Days = Annotated[int, Field(ge=0, le=36_500)]
ListenAddress = Annotated[str, Field(max_length=260), AfterValidator(_listen)]
FilePath = Annotated[str, Field(max_length=1000), AfterValidator(_path_text)]
Network = Annotated[str, Field(max_length=50), AfterValidator(_network)]


class Section(BaseModel):
    """Base of all sections: rejects unknown keys and does not convert types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class ServerSection(Section):
    """Where the server listens, and for how many clients."""

    name: Name = "chatd"
    """Name of this server, part of every identity; fixed by `chatd init`."""
    host: Host = "0.0.0.0"  # noqa: S104 - the documented default
    """Address to listen on; 0.0.0.0 means every IPv4 address of the machine."""
    port: Annotated[int, Field(ge=0, le=65535)] = 5000
    """TCP port to listen on; 0 means any free port."""
    addresses: Annotated[list[ClientAddress], Field(max_length=16)] = []
    """Where clients reach the server, written into identity files; without a port it has server.port."""
    max_connections: Annotated[int, Field(ge=1, le=20_000)] = 50
    """Maximum number of sessions; admins get a few more."""
    timeout: Annotated[int, Field(ge=2, le=3600)] = 30
    """Seconds of silence after which a session ends; the server pings it after half of that."""
    handshake_timeout: Annotated[int, Field(ge=1, le=60)] = 5
    """Seconds within which a connection must log in."""
    enrol: bool = True
    """Whether clients redeem invites on the server's port (`chatctl invite`)."""
    ask: bool = True
    """Whether strangers may ask to be let in (`chat ask`, `chatctl asks`); needs server.enrol."""

    @property
    def client_addresses(self) -> list[str]:
        """The addresses with their ports. With port 0 nobody can know what one without a port means."""
        complete = (one if is_host_port(one) else f"{one}:{self.port}" for one in self.addresses)
        return [one for one in complete if is_host_port(one)]


class SecuritySection(Section):
    """Keys and the envelope."""

    rsa_key_size: Annotated[int, Field(ge=2048, le=8192, multiple_of=256)] = 3072
    """Bits of the envelope's RSA key; applies when the key is created."""
    encryption_enabled: bool = True
    """Whether the RSA/AES envelope is used inside TLS; false requires a loopback address as server.host."""
    certificate_days: Annotated[int, Field(ge=1, le=825)] = 30
    """Days for which a device's certificate is issued; clients renew it after two thirds of them."""
    renewal_grace_days: Annotated[int, Field(ge=0, le=365)] = 14
    """Days after its end for which a device may still renew its certificate; it may do nothing else."""
    server_certificate_days: Annotated[int, Field(ge=2, le=825)] = 90
    """Days for which the server's own certificates are issued; the server renews them after two thirds."""
    expire_warning_days: Annotated[int, Field(ge=1, le=365)] = 14
    """`chatd check` warns this many days before a certificate expires."""


class LoggingSection(Section):
    """Log levels and files."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level to log."""
    directory: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_path_text)] = "logs"
    """Folder for the log files, relative to the home."""
    file: FileName = "server.log"
    """File for all records."""
    connections_file: FileName = "connections.log"
    """File for connections and sessions."""
    errors_file: FileName = "errors.log"
    """File for errors of every category."""
    security_file: FileName = "security.log"
    """File for refused logins; unknown peers can fill it."""
    audit_file: FileName = "audit.log"
    """File for acts of admins and operators, and refused requests; unknown peers cannot fill it."""
    max_bytes: Annotated[int, Field(ge=10_000, le=10_000_000_000)] = 10_485_760
    """Maximum size of a log file; then it is rotated."""
    backups: Annotated[int, Field(ge=0, le=100)] = 5
    """Number of rotated files to keep."""
    journal: Literal["auto", "on", "off"] = "auto"
    """Whether records go to systemd's journal, too; auto: if systemd runs this server."""


class RolesSection(Section):
    """Roles, their permissions and who has them."""

    permissions: Annotated[dict[Name, list[Permission]], Field(min_length=1, max_length=32)] = DEFAULT_ROLES
    """Permissions of each role; "*" means all."""
    assigned: Annotated[dict[Name, Name], Field(max_length=10_000)] = {}
    """Roles of users; overrides `chatctl role set`."""
    default: Name = "user"
    """Role of all other users."""


class RoleLimits(Section):
    """The limits of one user with this role, over all sessions."""

    messages_per_second: Annotated[float, Field(gt=0, le=1_000_000)] = 5.0
    """Messages per second of one user on average, over all sessions; more are delayed, not lost."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Messages that may arrive at once."""
    bytes_per_day: Annotated[int, Field(ge=0, le=1_000_000_000_000)] = 50_000_000
    """Bytes of entries that a user may add to the event log in one UTC day; 0 means no limit."""
    rooms_per_day: Annotated[int, Field(ge=0, le=10_000)] = 20
    """Rooms that one user may create on one day (UTC); roles with room.remove have no such limit."""


class LimitsSection(Section):
    """Limits for users and their clients."""

    message_chars: Annotated[int, Field(ge=1, le=LINE_CHARS_LIMIT)] = 500
    """Maximum characters of a message."""
    long_text: LongText = "snippet"
    """Whether longer messages become snippets, are truncated or are rejected; long actions and announcements
    are rejected unless this is "truncate". Its former name over_length is read, too."""
    snippet_bytes: Annotated[int, Field(ge=1024, le=SNIPPET_BYTES)] = SNIPPET_BYTES
    """Maximum bytes of a snippet in UTF-8; longer texts are rejected."""
    topic_chars: Annotated[int, Field(ge=1, le=256)] = 256
    """Maximum characters of a room's topic."""
    edit_minutes: Annotated[int, Field(ge=0, le=525_600)] = 15
    """Minutes during which users may edit or delete their own messages; 0 means not at all."""
    rooms_per_user: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum rooms per user."""
    rooms: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    """Maximum rooms of the server; the last tenth is kept for roles with room.remove."""
    conversations: Annotated[int, Field(ge=1, le=100_000)] = 20_000
    """Maximum direct conversations of the server; the last tenth is kept for roles with room.remove."""
    conversations_per_user: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Maximum direct conversations of one user."""
    sessions_per_user: Annotated[int, Field(ge=1, le=20_000)] = 10
    """Maximum sessions per user, over all devices."""
    history_on_join: Annotated[int, Field(ge=0, le=500)] = 20
    """Messages that a client shows when it joins a room."""
    outbox_bytes: Annotated[int, Field(ge=65_536, le=67_108_864)] = 1_048_576
    """Bytes that may queue for a client that does not read; beyond that it is disconnected."""
    handshakes: Annotated[int, Field(ge=1, le=20_000)] = 256
    """Maximum concurrent logins per worker."""
    handshakes_per_address: Annotated[int, Field(ge=1, le=20_000)] = 64
    """Maximum concurrent logins per worker from one /24 (IPv4) or /64 (IPv6)."""
    attempts_per_address: Annotated[int, Field(ge=1, le=20_000)] = 20
    """Connections per second that may try to log in to a worker from one /24 (IPv4) or /64 (IPv6); ten
    seconds' worth may come at once."""
    kick_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """Seconds before a kicked user may return."""
    per_role: Annotated[dict[Name, RoleLimits], Field(max_length=32)] = {
        "admin": RoleLimits(messages_per_second=50.0, burst=200, bytes_per_day=0),
        "user": RoleLimits(),
        "guest": RoleLimits(messages_per_second=1.0, burst=5, bytes_per_day=1_000_000),
    }
    """Limits of each role; roles not listed get the defaults."""

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, section: Any) -> Any:
        """Read the former name of long_text, which older files have."""
        if isinstance(section, dict) and "over_length" in section:
            section = dict(section)
            section.setdefault("long_text", section.pop("over_length"))
            section.pop("over_length", None)
        return section

    def for_role(self, role: str) -> RoleLimits:
        return self.per_role.get(role) or RoleLimits()


class FilterRuleSection(Section):
    """Some forbidden words, what to do about them, for whom and where."""

    words: Annotated[list[Word], Field(min_length=1, max_length=1000)]
    """The words; filter.mode is for them, too."""
    action: Literal["warn", "redact", "hold", "block"]
    """Whether the message is sent and its sender told, sent with *** for the word, sent once a moderator has
    approved it, or refused."""
    roles: Annotated[list[Name], Field(max_length=32)] = []
    """Roles it is for; none means all."""
    rooms: Annotated[list[RoomName], Field(max_length=100)] = []
    """Rooms it is for; none means everywhere, direct conversations included."""


class FilterSection(Section):
    """The filter for forbidden words."""

    words: Annotated[list[Word], Field(max_length=10_000)] = ["hack", "exploit", "drop", "delete"]
    """Forbidden words; a message with one is refused, and the sender learns which."""
    mode: Literal["words", "substring"] = "words"
    """Whether only whole words match, or also parts of words."""
    exempt_roles: Annotated[list[Name], Field(max_length=32)] = []
    """Roles that may use forbidden words."""
    rules: Annotated[list[FilterRuleSection], Field(max_length=20)] = []
    """More words, with an action for each list, for some roles and rooms."""
    held_days: Annotated[int, Field(ge=1, le=90)] = 7
    """Days for which a message waits for a moderator; then it is refused."""


class RoomSection(Section):
    """A room that the server creates."""

    name: RoomName
    """Name of the room, with its #."""
    topic: TopicText = ""
    """Initial topic."""
    guests: bool = False
    """Whether roles without the permission room.closed may join."""
    mode: Mode = "open"
    """Initial mode: who enters and writes. A room that is entered by invitation has no owner at first."""
    autojoin: bool = False
    """Whether every user who may join it is a member until they leave it."""


class WorkersSection(Section):
    """The worker processes, which own the connections."""

    count: Annotated[int, Field(ge=0, le=64)] = 0
    """Number of workers; 0 means one per CPU."""
    heartbeat_timeout: Annotated[float, Field(ge=0.5, le=300)] = 5.0
    """Seconds without a heartbeat after which a process is replaced."""
    gather_ms: Annotated[float, Field(ge=0, le=50)] = 25.0
    """The longest time in milliseconds between two commits that wait for more: while a process fills a core.
    Nothing waits while all use less than a third of one; 0 never waits. Joins, parts and presence may be
    delayed eight times as long."""
    template: bool = True
    """Whether hub and workers are forked from a template process that has all modules loaded."""


class MonitorSection(Section):
    """Intervals of measurements and reports."""

    sample_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    """Seconds between two measurements of CPU, memory and threads of each process."""
    stats_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 30.0
    """Seconds between two STATS lines in the log."""
    console_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 10.0
    """Seconds between two lines printed by `chatd start --foreground`."""


class ShippingSection(Section):
    """A collector that gets the log: syslog (RFC 5424) over TLS."""

    syslog: ListenAddress = ""
    """HOST:PORT of the collector, usually port 6514; "" means that the log stays on this machine."""
    ca_file: FilePath = ""
    """PEM file of the CA of the collector's certificate; "" means those that the system trusts."""
    identity_file: FilePath = ""
    """PEM file with a key and its certificate, for a collector that asks for one; "" means none."""
    host_name: Annotated[str, Field(max_length=255), AfterValidator(_path_text)] = ""
    """Name of this machine in the messages; "" means the one it has."""

    @property
    def files(self) -> list[str]:
        """The named files, for which relative paths begin at the home."""
        return [path for path in (self.ca_file, self.identity_file) if path]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [PurePath(path).name for path in self.files]
        if len(set(names)) < len(names):
            raise ValueError("ca_file and identity_file need different names")
        return self


class RetentionSection(Section):
    """Redaction of old messages, end of empty rooms."""

    days: Days = 0
    """Days after which messages are redacted; 0 means never."""
    per_room: Annotated[dict[RoomName, Days], Field(max_length=1000)] = {}
    """Days for single rooms; overrides retention.days."""
    empty_room_days: Days = 0
    """Days after which a room without members is removed; 0 means never. Rooms of the settings, on hold or
    archived stay."""
    edits: Literal["redact", "keep"] = "redact"
    """Whether an edit redacts the former text, or keeps it in the log, where only exports and backups show
    it. While a room is on hold, the text is kept."""
