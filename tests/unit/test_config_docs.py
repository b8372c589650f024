"""docs/configuration.md lists every setting with its default, bounds and when a change takes effect."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chatd.config.reloading import NEEDS_RESTART
from chatd.config.schema import Settings, settings_schema
from chatd.policy.roles import PERMISSIONS

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
# The placeholders on the page for keys that the operator chooses.
PLACEHOLDERS = {"limits.per_role": "ROLE"}


class Row(NamedTuple):
    default: str
    allowed: str
    effect: str


def expected() -> dict[str, Row]:
    """Return every key path of the settings with the facts that the page must give."""
    schema = settings_schema()
    return dict(_rows(schema, schema, "", Settings().model_dump(mode="json")))


def _rows(schema: dict[str, Any], node: dict[str, Any], path: str, defaults: Any) -> list[tuple[str, Row]]:
    rows: list[tuple[str, Row]] = []
    for name, field in node["properties"].items():
        key = f"{path}{name}"
        default = defaults.get(name, MISSING) if isinstance(defaults, dict) else field.get("default", MISSING)
        inner = _model(schema, field)
        if inner is not None and field.get("type") is None:
            rows += _rows(schema, inner, f"{key}.", default)
            continue
        effect = "restart" if key in NEEDS_RESTART else "init" if key == "security.rsa_key_size" else "reload"
        rows.append((key, Row(_show(key, default), _allowed(field), effect)))
        if inner is not None:
            below = "[]." if field["type"] == "array" else f".{PLACEHOLDERS[key]}."
            rows += _rows(schema, inner, f"{key}{below}", None)
    return rows


MISSING = object()


def _model(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any] | None:
    """Return the model of a field, a list's items or a dict's values; None for plain values."""
    for place in (field, field.get("items"), field.get("additionalProperties")):
        if isinstance(place, dict) and "$ref" in place:
            model: dict[str, Any] = schema["$defs"][place["$ref"].rpartition("/")[2]]
            return model
    return None


def _show(key: str, default: Any) -> str:
    if default is MISSING:
        return "required"
    if key in ("roles.permissions", "rooms", "limits.per_role"):
        return "below"
    return f"`{json.dumps(default)}`"


def _allowed(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    match field["type"]:
        case "boolean":
            return "`true`, `false`"
        case "integer" | "number":
            return _range(field)
        case "string":
            return f"text, up to {field['maxLength']} characters" if "maxLength" in field else "a name"
        case "array":
            return f"list of up to {field['maxItems']}"
    return f"object of up to {field['maxProperties']}"


def _range(field: dict[str, Any]) -> str:
    low = f"{field['minimum']:g}" if "minimum" in field else f"more than {field['exclusiveMinimum']:g}, up"
    step = f", in steps of {field['multipleOf']}" if "multipleOf" in field else ""
    return f"{low} to {field['maximum']:.0f}{step}"


def documented() -> dict[str, Row]:
    """Return the entries of the page: - `key` (default; allowed; effect): meaning."""
    page = " ".join(PAGE.read_text("utf-8").split())
    rows = re.findall(r"- `([^`\s]+)` \(([^;]+); ([^;]+); (\w+)\): ", page)
    assert len({row[0] for row in rows}) == len(rows), "a key is listed twice"
    return {key: Row(*row) for key, *row in rows}


def test_exactly_the_existing_keys_are_documented() -> None:
    assert list(documented()) == list(expected())


@pytest.mark.parametrize("key", expected())
def test_the_entry_of_a_key_has_its_default_bounds_and_effect(key: str) -> None:
    assert documented()[key] == expected()[key]


def test_json_blocks_are_valid_and_include_the_defaults() -> None:
    blocks = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    ]
    defaults = Settings().model_dump(mode="json")
    assert {"roles": {"permissions": defaults["roles"]["permissions"]}} in blocks
    assert {"limits": {"per_role": defaults["limits"]["per_role"]}} in blocks
    assert {"rooms": defaults["rooms"]} in blocks
    for block in blocks:
        Settings.model_validate(block)


def test_every_permission_is_documented() -> None:
    listed = dict(
        re.findall(r"^\| `([a-z]+(?:\.[a-z]+)?)` \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    )
    assert listed == PERMISSIONS


def test_every_key_has_a_description() -> None:
    def described(node: Any) -> None:
        for name, field in node.get("properties", {}).items():
            assert "description" in field or "$ref" in field, name

    schema = settings_schema()
    described(schema)
    for model in schema["$defs"].values():
        assert model["description"]
        described(model)
