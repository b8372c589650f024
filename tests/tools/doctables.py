"""Generate the tables of docs/protocol.md and docs/monitoring.md from the code.

    python -m tests.tools.doctables        # refresh the documents

Each table stands between ``<!-- table NAME -->`` and ``<!-- end -->``; tests/unit/test_docs.py compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from chatctl.client import _dialing, _engine, _session
from chatd.codes import CODES
from chatd.crypto import handshake, records
from chatd.gateway.cluster_families import CLUSTER_FAMILIES
from chatd.gateway.families import FAMILIES
from chatd.hub import page_queries, pages, query_threads, welcome
from chatd.hub.state import authorize, moderation, queries
from chatd.hub.state.model import MUTES_LIMIT
from chatd.pki import identity, profiles
from chatd.policy.roles import DEFAULT_ROLES, EVERYTHING, PERMISSIONS
from chatd.proto import events, frames, lineage, requests, search_query, text
from chatd.proto.plain_model import PlainModel
from chatd.store import searcher
from chatd.worker import dispatch, login, timers

DOCS = Path(__file__).parents[2] / "docs"
PROTOCOL, MONITORING = DOCS / "protocol.md", DOCS / "monitoring.md"
_BLOCK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
# Fields that all requests or events have; the prose describes them.
_REQUEST_FIELDS = frozenset(("type", "id"))
_EVENT_FIELDS = frozenset(("type", "id", "seq", "at"))


def requests_table() -> str:
    """Every request: meaning, fields with bounds, permission, rate cost, whether it may be repeated."""
    rows = []
    for name, model in requests.REQUESTS.items():
        spec = model.spec
        fields = _request_fields(model) or "-"
        again = "yes" if spec.repeatable else "no"
        rows.append(
            (f"`{name}`", _meaning(model), fields, _permission(spec.permission), f"{spec.cost:g}", again)
        )
    return _table(("Request", "Effect", "Fields", "Permission", "Cost", "Repeatable"), rows)


def events_table() -> str:
    """Every frame from the server: meaning, fields, whether it is in the log."""
    rows = []
    for name, model in events.EVENTS.items():
        logged = "yes" if issubclass(model, events.Logged) else "no"
        with_id = ["`id`"] if "id" in model.fields() else []
        fields = "; ".join(filter(None, [*with_id, _event_fields(model)])) or "-"
        rows.append((f"`{name}`", _meaning(model), fields, logged))
    return _table(("Type", "Meaning", "Fields", "In the log"), rows)


def metrics_table() -> str:
    """Every metric but the build and the histogram, which the prose describes."""
    return _table(
        ("Metric", "Type", "Meaning"),
        [(f"`{one.name}`", one.kind.value, one.help) for one in (*FAMILIES, *CLUSTER_FAMILIES)],
    )


def codes_table() -> str:
    """Every error and warning code."""
    rows = [(code, entry.name, entry.summary, entry.fix) for code, entry in CODES.items()]
    return _table(("Code", "Name", "What happened", "What to do"), rows)


def permissions_table() -> str:
    """Every permission, and the built-in roles that have it."""
    rows = []
    for name, meaning in PERMISSIONS.items():
        roles = [role for role, granted in DEFAULT_ROLES.items() if name in granted or EVERYTHING in granted]
        rows.append((f"`{name}`", meaning, ", ".join(roles)))
    return _table(("Permission", "Allows users to", "Built-in roles"), rows)


def limits_table() -> str:
    """The limits that are not in the table of requests."""
    rows = [
        ("Frame, its length field included", f"{frames.FRAME_LIMIT} bytes"),
        ("JSON in a frame", f"{frames.PAYLOAD_LIMIT} bytes"),
        ("Plaintext of one record", f"{records.MAX_PAYLOAD} bytes"),
        ("One message of the envelope's handshake", f"{handshake.HANDSHAKE_LIMIT} bytes"),
        ("Bytes from a client before it is logged in, TLS included", f"{login.UNAUTHENTICATED_LIMIT}"),
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
        ("Rooms listed in `welcome`", f"{welcome.WELCOME_ROOMS}"),
        ("Branches of a lineage", f"{lineage.LINEAGE_LIMIT}"),
        ("Events in one page of `resume`, `history`, `search`", f"{page_queries.PAGE_EVENTS}"),
        ("JSON of the events in one such page", f"{pages.PAGE_BYTES} bytes"),
        ("Entries in one page of a list", f"{queries.PAGE_ENTRIES}"),
        ("Words and phrases of a search", f"{search_query.MAX_TOKENS}"),
        ("Time of a search", f"{searcher.SEARCH_SECONDS:g} s"),
        ("Searches of one user under way", f"{query_threads.SEARCHES_PER_USER}"),
        ("Characters of a name", f"{text.NAME_CHARS}"),
        ("Marks on one letter", f"{text.COMBINING_LIMIT}"),
        ("Mutes of a server", f"{MUTES_LIMIT}"),
        ("Users of a server", f"{moderation.USERS_LIMIT}"),
        ("Devices of one user", f"{moderation.DEVICES_LIMIT}"),
        ("Certificate, DER", f"{profiles.CERTIFICATE_LIMIT} bytes"),
        ("RSA key of the envelope", f"{handshake.MIN_RSA_BITS} to {handshake.MAX_RSA_BITS} bits"),
        ("Identity file", f"{identity.IDENTITY_LIMIT} bytes"),
        ("Servers in an identity file", f"{identity.MAX_SERVERS}"),
    ]
    return _table(("What", "Limit"), rows)


def client_table() -> str:
    """Delays and timeouts of the client library; other clients should use similar ones."""
    rows = [
        ("First maximum of the random delay", f"{_engine.BACKOFF_BASE:g} s"),
        ("Maximum after doubling at each attempt", f"{_engine.BACKOFF_LIMIT:g} s"),
        ("Length of a session that resets the delay", f"{_engine.GOOD_SESSION:g} s"),
        ("Delay before the next address is tried", f"{_dialing.ATTEMPT_DELAY:g} s"),
        ("The same after a connection without an answer", f"{_dialing.SILENT_DELAY:g} s"),
        ("Silence of all addresses after which a round ends", f"{_dialing.ANSWER_LIMIT:g} s"),
        ("Silence after which a login attempt ends", f"{_engine.SILENCE_LIMIT:g} s"),
        ("Total time after which a login attempt ends", f"{_engine.LOGIN_LIMIT:g} s"),
        ("Delay before a message is sent again after E504 or E506", f"{_session.READ_ONLY_DELAY:g} s"),
    ]
    return _table(("Connecting and sending again", "Value"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "requests": requests_table,
    "events": events_table,
    "codes": codes_table,
    "permissions": permissions_table,
    "limits": limits_table,
    "client": client_table,
    "metrics": metrics_table,
}


def refreshed(document: str) -> str:
    """Return the document with every table regenerated. Raises KeyError for an unknown table."""
    return _BLOCK.sub(lambda block: block[1] + TABLES[block[2]]() + block[3], document)


def tables_in(document: str) -> set[str]:
    """Return the names of the tables in a document."""
    return {block[2] for block in _BLOCK.finditer(document)}


def _meaning(model: type[BaseModel | PlainModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _permission(name: str | None) -> str:
    return f"`{name}`" if name else "-"


def _request_fields(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return _fields(
        (name, field, name in required)
        for name, field in schema["properties"].items()
        if name not in _REQUEST_FIELDS
    )


def _event_fields(model: type[PlainModel]) -> str:
    return _fields(
        (name, _schema(field.annotation) | {"default": field.default}, field.is_required())
        for name, field in model.fields().items()
        if name not in _EVENT_FIELDS
    )


def _schema(annotation: Any) -> dict[str, Any]:
    """Return the JSON schema of an annotation of a plain model, as far as `_kind` reads it."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) is list:
        return {"type": "array", "items": _schema(parts[0])}
    if get_origin(annotation) is Literal:
        return {"enum": parts}
    if parts and get_origin(annotation) is not dict:
        return _schema(parts[0])
    return {"type": {str: "string", int: "integer", bool: "boolean"}.get(annotation, "object")}


def _fields(fields: Iterable[tuple[str, dict[str, Any], bool]]) -> str:
    shown = []
    for name, field, required in fields:
        optional = "" if required else f", optional{_default(field.get('default'))}"
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
    for path in (PROTOCOL, MONITORING):
        path.write_text(refreshed(path.read_text("utf-8")), "utf-8")
