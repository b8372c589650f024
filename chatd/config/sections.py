"""The sections of config/settings.json: every key, its bounds, its default, what it means.

The strings below the keys are the descriptions in the JSON Schema (``chatd config schema``). A test
holds docs/configuration.md against all of it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chatd.errors import ChatdError
from chatd.policy.filter import normalise
from chatd.policy.roles import DEFAULT_ROLES, EVERYTHING, PERMISSIONS
from chatd.proto.text import NAME, check_room, visible

WORD_CHARS = 100
_HOST = r"[0-9A-Za-z._-]+|[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?"
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.%]{2,64}\]|[0-9A-Za-z._-]{1,253}):(?P<port>[0-9]{1,5})")


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
        raise ValueError("must have printable characters only")
    return text


def _file_name(text: str) -> str:
    _path_text(text)
    if "/" in text or text.startswith("."):
        raise ValueError("must be a file name without a folder")
    return text


def _word(text: str) -> str:
    # Compatibility forms can be 18 times as long as what stands for them.
    if not 1 <= len(normalise(text)) <= WORD_CHARS:
        raise ValueError(f"must be 1 to {WORD_CHARS} characters that can be seen")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(_HOST, text):
        raise ValueError("must be an IP address or a host name")
    return text


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65_536:
        raise ValueError("must be HOST:PORT; an IPv6 address in [ ]")
    return text


def _topic(text: str) -> str:
    if visible(text, newlines=False) != text:
        raise ValueError("must be one line of characters that can be seen")
    return text


Name = Annotated[str, AfterValidator(_name)]
RoomName = Annotated[str, AfterValidator(_room)]
Permission = Annotated[str, AfterValidator(_permission)]
FileName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_file_name)]
Word = Annotated[str, Field(min_length=1, max_length=WORD_CHARS), AfterValidator(_word)]
Host = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_host)]
HostPort = Annotated[str, Field(min_length=1, max_length=260), AfterValidator(_address)]
TopicText = Annotated[str, Field(max_length=256), AfterValidator(_topic)]
Days = Annotated[int, Field(ge=0, le=36_500)]


class Section(BaseModel):
    """Common to all sections: unknown keys are mistakes, types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class ServerSection(Section):
    """Where the server listens and how many it serves."""

    name: Name = "chatd"
    """Name of this server, part of every identity. Cannot be changed after init."""
    host: Host = "0.0.0.0"  # noqa: S104 - the documented default
    """Address to listen on; 0.0.0.0 is every IPv4 address of the machine."""
    port: Annotated[int, Field(ge=0, le=65535)] = 5000
    """TCP port to listen on; 0 takes a free one."""
    addresses: Annotated[list[HostPort], Field(max_length=16)] = []
    """host:port under which clients find the server; written into new identity files."""
    max_connections: Annotated[int, Field(ge=1, le=20_000)] = 50
    """Sessions there may be at once; admins get a few more."""
    timeout: Annotated[int, Field(ge=2, le=3600)] = 30
    """Seconds without a sign of life after which a session ends; it is pinged at half of it."""
    handshake_timeout: Annotated[int, Field(ge=1, le=60)] = 5
    """Seconds in which a connection must have logged in."""


class SecuritySection(Section):
    """Keys and the envelope."""

    rsa_key_size: Annotated[int, Field(ge=2048, le=8192, multiple_of=256)] = 3072
    """Bits of the envelope's RSA key; used when the key is made."""
    encryption_enabled: bool = True
    """The RSA/AES envelope inside TLS; can be switched off only where server.host is a loopback address."""
    expire_warning_days: Annotated[int, Field(ge=1, le=365)] = 14
    """Days before a certificate's end at which `chatd check` warns."""


class LoggingSection(Section):
    """What is logged, and where."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""
    directory: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_path_text)] = "logs"
    """Folder of the log files; relative to the home."""
    file: FileName = "server.log"
    """Everything."""
    connections_file: FileName = "connections.log"
    """Connections and sessions."""
    errors_file: FileName = "errors.log"
    """Errors of every category."""
    security_file: FileName = "security.log"
    """Refused logins and requests, moderation."""
    max_bytes: Annotated[int, Field(ge=10_000, le=10_000_000_000)] = 10_485_760
    """Size at which a log file is rotated."""
    backups: Annotated[int, Field(ge=0, le=100)] = 5
    """Rotated files that are kept."""


class RolesSection(Section):
    """Who may do what."""

    permissions: Annotated[dict[Name, list[Permission]], Field(min_length=1, max_length=32)] = DEFAULT_ROLES
    """What each role may do; "*" is everything."""
    assigned: Annotated[dict[Name, Name], Field(max_length=10_000)] = {}
    """Users whose role is fixed here; wins over `chatctl role set`."""
    default: Name = "user"
    """Role of users who were given none."""


class RoleLimits(Section):
    """How much one session may send."""

    messages_per_second: Annotated[float, Field(gt=0, le=1_000_000)] = 5.0
    """Messages a second in the long run; more are held back, not lost."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Messages that may come at once."""


class LimitsSection(Section):
    """Bounds on what people and their clients can do."""

    message_chars: Annotated[int, Field(ge=1, le=4000)] = 500
    """Characters of a message."""
    over_length: Literal["truncate", "reject"] = "truncate"
    """What happens to longer messages."""
    topic_chars: Annotated[int, Field(ge=1, le=256)] = 256
    """Characters of a room's topic."""
    rooms_per_user: Annotated[int, Field(ge=1, le=1000)] = 100
    """Rooms one user may be in."""
    sessions_per_user: Annotated[int, Field(ge=1, le=20_000)] = 10
    """Sessions one user may have at once, on all devices."""
    history_on_join: Annotated[int, Field(ge=0, le=500)] = 20
    """Messages of a room that clients show on joining it."""
    outbox_bytes: Annotated[int, Field(ge=65_536, le=67_108_864)] = 1_048_576
    """Bytes that may wait for a client that does not read; then it is cut and resumes later."""
    handshakes: Annotated[int, Field(ge=1, le=20_000)] = 256
    """Logins that may be under way at once in one worker."""
    handshakes_per_address: Annotated[int, Field(ge=1, le=20_000)] = 64
    """The same from one address."""
    kick_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """Seconds for which a kicked user cannot come back."""
    per_role: Annotated[dict[Name, RoleLimits], Field(max_length=32)] = {
        "admin": RoleLimits(messages_per_second=50.0, burst=200),
        "user": RoleLimits(),
        "guest": RoleLimits(messages_per_second=1.0, burst=5),
    }
    """Rate limits; a role that is not named has the defaults of these two keys."""

    def for_role(self, role: str) -> RoleLimits:
        """The rate limits of a role."""
        return self.per_role.get(role) or RoleLimits()


class FilterSection(Section):
    """Words that are refused."""

    words: Annotated[list[Word], Field(max_length=10_000)] = ["hack", "exploit", "drop", "delete"]
    """A message with one of these is rejected and its sender told which."""
    mode: Literal["words", "substring"] = "words"
    """Whole words only, or also inside of words."""
    exempt_roles: Annotated[list[Name], Field(max_length=32)] = []
    """Roles whose messages are not filtered."""


class RoomSection(Section):
    """A room that exists from the start."""

    name: RoomName
    """The room, with its #."""
    topic: TopicText = ""
    """Its first topic."""
    guests: bool = False
    """Whether roles without the permission room.closed may enter."""
    autojoin: bool = False
    """Whether every user who may is put in it at first."""


class WorkersSection(Section):
    """The processes that own connections."""

    count: Annotated[int, Field(ge=0, le=64)] = 0
    """How many; 0 is one for each CPU."""
    heartbeat_timeout: Annotated[float, Field(ge=0.5, le=300)] = 5.0
    """Seconds without an answer after which a process is replaced."""
    gather_ms: Annotated[float, Field(ge=0, le=20)] = 10.0
    """Least milliseconds between two commits while the server is busy; 0 commits at once. Who comes and who
    goes is told within 20 times as long."""
    template: bool = True
    """Whether a process is kept that has everything loaded and from which hub and workers are forked."""


class MonitorSection(Section):
    """How often processes are looked at."""

    sample_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    """CPU, memory and threads of every process are read this often."""
    stats_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 30.0
    """A STATS line goes to the log this often."""
    console_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 10.0
    """`chatd start --foreground` prints a line this often."""


class RetentionSection(Section):
    """How long messages are kept."""

    days: Days = 0
    """Days after which messages are erased; 0 is never."""
    per_room: Annotated[dict[RoomName, Days], Field(max_length=1000)] = {}
    """The same for single rooms."""
