"""The tables of docs/protocol.md that are made from the code.

    python -m tests.tools.doctables        # write them into the document again

Each stands between ``<!-- table NAME -->`` and ``<!-- end -->``; tests/unit/test_docs.py compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chatd.codes import CODES
from chatd.crypto import handshake, records
from chatd.hub import reading
from chatd.hub.state import authorize, messages, moderation, queries, rooms
from chatd.pki import authority, identity, profiles
from chatd.policy.roles import DEFAULT_ROLES, EVERYTHING, PERMISSIONS
from chatd.proto import events, frames, requests, text
from chatd.store import search_query
from chatd.worker import dispatch, login, timers

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
_BLOCK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
# Common to all requests, to all events, and described in the prose.
_ASKED = frozenset(("type", "id"))
_TOLD = frozenset(("type", "id", "seq", "at"))


def requests_table() -> str:
    """Every request: fields with bounds, permission, rate cost, whether it may be sent twice."""
    rows = []
    for name, model in requests.REQUESTS.items():
        spec = model.spec
        fields = _fields(model, _ASKED) or "-"
        again = "yes" if spec.repeatable else "no"
        rows.append((f"`{name}`", fields, _permission(spec.permission), f"{spec.cost:g}", again))
    return _table(("Request", "Fields", "Permission", "Cost", "Repeatable"), rows)


def events_table() -> str:
    """Everything the server sends: fields, and whether it is part of the log."""
    rows = []
    for name, model in events.EVENTS.items():
        logged = "yes" if issubclass(model, events.Logged) else "no"
        labelled = "`id`; " if "id" in model.model_fields else ""
        rows.append((f"`{name}`", labelled + (_fields(model, _TOLD) or ("" if labelled else "-")), logged))
    return _table(("Type", "Fields", "In the log"), rows)


def codes_table() -> str:
    """Every error and warning code."""
    rows = [(code, entry.name, entry.summary, entry.fix) for code, entry in CODES.items()]
    return _table(("Code", "Name", "What happened", "What to do"), rows)


def permissions_table() -> str:
    """Every permission and the built-in roles that have it."""
    rows = []
    for name, meaning in PERMISSIONS.items():
        having = [role for role, has in DEFAULT_ROLES.items() if name in has or EVERYTHING in has]
        rows.append((f"`{name}`", meaning, ", ".join(having)))
    return _table(("Permission", "Allows to", "Built-in roles"), rows)


def limits_table() -> str:
    """The bounds that are not in the request table."""
    rows = [
        ("Frame, its length field included", f"{frames.FRAME_LIMIT} bytes"),
        ("JSON in a frame", f"{frames.PAYLOAD_LIMIT} bytes"),
        ("Plaintext of one record", f"{records.MAX_PAYLOAD} bytes"),
        ("One message of the envelope's handshake", f"{handshake.HANDSHAKE_LIMIT} bytes"),
        ("All that a client may send before it has logged in, TLS included", _bytes(login)),
        ("JSON: depth of objects and arrays", f"{frames.DEPTH_LIMIT}"),
        ("JSON: keys of one object", f"{frames.MAP_LIMIT}"),
        ("JSON: items of one array", f"{frames.ARRAY_LIMIT}"),
        ("JSON: characters of one string", f"{frames.STRING_LIMIT}"),
        ("JSON: integers", f"-{frames.INTEGER_LIMIT} to {frames.INTEGER_LIMIT}"),
        ("Data records under one key", f"{records.RECORDS_PER_KEY}"),
        ("Plaintext under one key", f"{records.BYTES_PER_KEY} bytes"),
        ("Last epoch of one direction", f"{records.LAST_EPOCH}"),
        ("Requests of one session under way", f"{dispatch.PENDING_LIMIT}"),
        ("Seconds from the login to `welcome` or `bye`", f"{timers.ADMISSION_SECONDS:g}"),
        (
            "Sessions over `server.max_connections` for roles with `moderate.kick`",
            f"{authorize.ADMIN_RESERVE}",
        ),
        ("Events in one page of `resume`, `history`, `search`", f"{reading.PAGE_EVENTS}"),
        ("JSON of the events in one such page", f"{reading.PAGE_BYTES} bytes"),
        ("Entries in one page of a list", f"{queries.PAGE_ENTRIES}"),
        ("Words and phrases of a search", f"{search_query.MAX_TOKENS}"),
        ("Characters of a name", f"{text.NAME_CHARS}"),
        ("Marks on one letter", f"{text.COMBINING_LIMIT}"),
        ("Rooms and conversations of a server", f"{rooms.ROOMS_LIMIT}"),
        ("Direct conversations of one user", f"{messages.CONVERSATIONS_LIMIT}"),
        ("Users of a server", f"{moderation.USERS_LIMIT}"),
        ("Devices of one user", f"{moderation.DEVICES_LIMIT}"),
        ("Certificate, DER", f"{profiles.CERTIFICATE_LIMIT} bytes"),
        ("RSA key of the envelope", f"{authority.MIN_RSA_BITS} to {authority.MAX_RSA_BITS} bits"),
        ("Identity file", f"{identity.IDENTITY_LIMIT} bytes"),
        ("Servers in an identity file", f"{identity.MAX_SERVERS}"),
    ]
    return _table(("What", "Limit"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "requests": requests_table,
    "events": events_table,
    "codes": codes_table,
    "permissions": permissions_table,
    "limits": limits_table,
}


def refreshed(document: str) -> str:
    """The document with every table made anew. Raises KeyError for a table that does not exist."""
    return _BLOCK.sub(lambda block: block[1] + TABLES[block[2]]() + block[3], document)


def tables_in(document: str) -> set[str]:
    """The names of the tables that a document has."""
    return {block[2] for block in _BLOCK.finditer(document)}


def _bytes(module: Any) -> str:
    return f"{module.UNAUTHENTICATED_LIMIT} bytes"


def _permission(name: str | None) -> str:
    return f"`{name}`" if name else "-"


def _fields(model: type[BaseModel], common: frozenset[str]) -> str:
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    shown = []
    for name, field in schema["properties"].items():
        if name not in common:
            optional = "" if name in required else f", optional{_default(field.get('default'))}"
            shown.append(f"`{name}` {_kind(field)}{optional}")
    return "; ".join(shown)


def _default(value: object) -> str:
    if value is None or value == "":
        return ""
    return f" ({value})" if isinstance(value, str) else f" ({str(value).lower()})"


def _kind(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        field = next(one for one in field["anyOf"] if one.get("type") != "null")
    if "enum" in field:
        return " or ".join(f'"{value}"' for value in field["enum"])
    kind = field.get("type", "object")
    if kind == "array":
        return f"array of {_kind(field['items'])}"
    if kind == "string" and "pattern" in field:
        return f"string `{field['pattern']}`"
    if kind == "string" and "maxLength" in field:
        return f"string of at most {field['maxLength']}"
    if kind == "integer" and "minimum" in field:
        return f"{field['minimum']} to {_number(field['maximum'])}"
    return str(kind)


def _number(value: int) -> str:
    return "2^53" if value == frames.INTEGER_LIMIT else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    PROTOCOL.write_text(refreshed(PROTOCOL.read_text("utf-8")), "utf-8")
